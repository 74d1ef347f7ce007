//! The rows as Markdown tables for people: median and 99th percentile, and how many times the yardstick's median each takes.
//! Behind them lines of JSON, one for each peer of a yardstick, as the other benchmarks of the project print them.

use serde_json::json;

use crate::Row;

pub(crate) fn print(rows: &mut [Row]) {
    for row in rows.iter_mut() {
        row.nanos.sort_unstable();
    }
    let mut questions: Vec<&str> = Vec::new();
    for row in rows.iter() {
        if !questions.contains(&row.question) {
            questions.push(row.question);
        }
    }
    for question in &questions {
        let asked = rows.iter().filter(|row| row.question == *question);
        let yardstick = yardstick(rows, question).map(|row| quantile(&row.nanos, 0.5));
        println!("\n| {question} | median µs | p99 µs | times |\n|---|---:|---:|---:|");
        for row in asked {
            let (median, late) = (quantile(&row.nanos, 0.5), quantile(&row.nanos, 0.99));
            let times = yardstick.map_or(String::new(), |yardstick| format!("{:.2}", median / yardstick));
            println!("| {} | {median:.2} | {late:.2} | {times} |", row.name);
        }
    }
    println!();
    for question in questions {
        let Some(ours) = yardstick(rows, question) else { continue };
        let peers: Vec<&Row> = rows.iter().filter(|row| row.question == question && !row.is_yardstick).collect();
        match peers.as_slice() {
            [] => println!("{}", line(ours, None)),
            peers => peers.iter().for_each(|peer| println!("{}", line(ours, Some(peer)))),
        }
    }
}

fn yardstick<'a>(rows: &'a [Row], question: &str) -> Option<&'a Row> {
    rows.iter().find(|row| row.question == question && row.is_yardstick)
}

fn line(ours: &Row, peer: Option<&Row>) -> serde_json::Value {
    let value = quantile(&ours.nanos, 0.5);
    let peers = peer.map(|peer| quantile(&peer.nanos, 0.5));
    json!({
        "name": format!("{}: {}", ours.question, ours.name),
        "value": value,
        "unit": "µs",
        "peer": peer.map(|peer| &peer.name),
        "peer_value": peers,
        "ratio": peers.map(|peers| value / peers),
        "goal": ours.goal.map(|goal| format!("below {goal} µs")),
        "goal_met": ours.goal.map(|goal| value < goal),
        "detail": format!("median of {} calls, p99 {:.2} µs", ours.nanos.len(), quantile(&ours.nanos, 0.99)),
    })
}

/// In microseconds, of sorted nanoseconds.
pub(crate) fn quantile(sorted: &[u64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let index = (last as f64 * share).round() as usize;
    sorted.get(index).map_or(f64::NAN, |nanos| *nanos as f64 / 1000.0)
}
