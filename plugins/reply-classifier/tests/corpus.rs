//! Measures the classifier over a folder of labelled mails that is not part of the project: `AMPOUT_CORPUS` names it, and
//! it holds `labels.jsonl` with `{"file", "label"}` a line. Prints a confusion matrix, and every miss with
//! `AMPOUT_CORPUS_MISSES=1`. The floors are the project's.

mod outcome;
mod raw_mail;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use reply_classifier::classify;

use self::outcome::{Matrix, outcome};

/// Whether a share reaches its floor, in percent. A corpus without such mails reaches it.
fn floor(
    matrix: &Matrix,
    name: &str,
    label: impl Fn(&str) -> bool,
    outcome: impl Fn(&str) -> bool,
    floor: usize,
) -> bool {
    let of = matrix.count(&label, |_| true);
    let found = matrix.count(&label, outcome);
    let reached = found * 100 >= floor * of;
    println!("{name}: {found} of {of} (floor {floor} %){}", if reached { "" } else { "  <-- missed" });
    reached
}

#[test]
fn the_floors_hold_on_the_labelled_mails() {
    let Ok(folder) = std::env::var("AMPOUT_CORPUS") else {
        println!("skipped: AMPOUT_CORPUS does not name a folder of labelled mails");
        return;
    };
    let folder = Path::new(&folder);
    let show_misses = std::env::var_os("AMPOUT_CORPUS_MISSES").is_some();
    let labels = std::fs::read_to_string(folder.join("labels.jsonl")).expect("labels.jsonl can be read");
    let (mut matrix, mut folders) = (Matrix::default(), BTreeMap::<String, Matrix>::new());
    let mut slowest = Duration::ZERO;
    for line in labels.lines().filter(|line| !line.trim().is_empty()) {
        let row: serde_json::Value = serde_json::from_str(line).expect("a label is JSON");
        let (file, label) = (row["file"].as_str().expect("file"), row["label"].as_str().expect("label"));
        let raw = std::fs::read(folder.join(file)).expect("the mail can be read");
        let message = raw_mail::message_of(&raw);
        let started = Instant::now();
        let (from, text) = (message.header("from").unwrap_or_default().to_owned(), message.text.clone());
        let classification = classify(message);
        slowest = slowest.max(started.elapsed());
        let outcome = outcome(&classification);
        // A source that gives no reasons calls every permanent failure hard, a full mailbox too; one that does calls a
        // forensic report (RFC 6591) a complaint. Both are counted under a name of their own.
        let label = match label {
            "bounce_hard" | "bounce_soft" if row["reasons"].is_null() => "bounce_unexplained",
            "complaint" if classification.reason.as_deref().is_some_and(|reason| reason.contains("auth-failure")) => {
                "forensic"
            }
            label => label,
        };
        matrix.add(label, outcome);
        folders.entry(file.split('/').next().unwrap_or_default().to_owned()).or_default().add(label, outcome);
        if show_misses && !agrees(label, outcome) {
            println!("{label:<18} {outcome:<12} {file} {} {:?}", row["reasons"], classification);
            println!("    From {from:?} {:?}", text.chars().take(400).collect::<String>());
        }
    }
    for (name, matrix) in &folders {
        matrix.print(name);
    }
    println!("slowest call in a test build: {slowest:?}");
    assert!(reaches_floors(&matrix), "a floor was missed; AMPOUT_CORPUS_MISSES=1 prints the mails");
}

fn agrees(label: &str, outcome: &str) -> bool {
    match label {
        "bounce_unspecified" | "bounce_mixed" | "bounce_unexplained" => outcome.starts_with("bounce"),
        "bounce_hard" => outcome == "bounce-hard",
        "bounce_soft" => matches!(outcome, "bounce-soft" | "bounce-policy"),
        "autoreply" => matches!(outcome, "out-of-office" | "other-auto-reply"),
        "forensic" => outcome == "ignore",
        _ => label == outcome,
    }
}

fn reaches_floors(matrix: &Matrix) -> bool {
    let is_bounce = |word: &str| word.starts_with("bounce");
    let is = |expected: &'static str| move |word: &str| word == expected;
    let soft_called_hard = matrix.count(is("bounce_soft"), is("bounce-hard"));
    let soft = matrix.count(is("bounce_soft"), |_| true);
    println!("soft called hard: {soft_called_hard} of {soft} (at most 5 %)");
    [
        // A delay is told by the same machines and labelled a bounce by most sources; the other way round has its own floor.
        floor(matrix, "bounces and delays found", is_bounce, |word| is_bounce(word) || word == "delayed", 97),
        floor(matrix, "humans called human", is("human"), is("human"), 99),
        floor(matrix, "automatic replies found", is("autoreply"), |word| agrees("autoreply", word), 90),
        floor(matrix, "complaints found", is("complaint"), is("complaint"), 90),
        floor(matrix, "delays not called bounces", is("delayed"), |word| !is_bounce(word), 90),
        floor(matrix, "hard bounces called hard", is("bounce_hard"), is("bounce-hard"), 90),
        soft_called_hard * 100 <= soft * 5,
    ]
    .iter()
    .all(|reached| *reached)
}
