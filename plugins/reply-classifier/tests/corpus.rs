//! Measures the classifier over a folder of labelled mails that is not part of the project: `AMPOUT_CORPUS` names it, and
//! it holds `labels.jsonl` with `{"file", "label"}` a line. Prints a confusion matrix, and every miss with
//! `AMPOUT_CORPUS_MISSES=1`. The floors are the project's.

mod raw_mail;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use ampout_plugin::{Classification, Verdict};
use reply_classifier::classify;

/// What the classifier made of a mail, in the words of the labels.
fn outcome(classification: &Classification) -> &'static str {
    match &classification.verdict {
        Verdict::HumanReply => "human",
        Verdict::AutoReply(_) => "autoreply",
        Verdict::Complaint(_) => "complaint",
        Verdict::UnsubscribeRequest => "unsubscribe",
        Verdict::Challenge => "challenge",
        Verdict::Ignore => "ignore",
        Verdict::Pass => "pass",
        Verdict::Bounce(bounces) => {
            let failed: Vec<_> = bounces.iter().filter(|bounce| bounce.action == "failed").collect();
            match (failed.is_empty(), bounces.iter().any(|bounce| bounce.action == "delayed")) {
                (true, true) => "delayed",
                (true, false) if !bounces.is_empty() => "delivered",
                _ if failed.iter().any(|bounce| bounce.class == "hard") => "bounce_hard",
                _ => "bounce_soft",
            }
        }
    }
}

#[derive(Default)]
struct Matrix {
    counts: BTreeMap<(String, &'static str), usize>,
}

impl Matrix {
    fn count(&self, label: impl Fn(&str) -> bool, outcome: impl Fn(&str) -> bool) -> usize {
        self.counts.iter().filter(|((l, o), _)| label(l) && outcome(o)).map(|(_, count)| count).sum()
    }

    /// Prints a share and tells whether it reaches its floor, in percent. A corpus without such mails reaches it.
    fn floor(&self, name: &str, label: impl Fn(&str) -> bool, outcome: impl Fn(&str) -> bool, floor: usize) -> bool {
        let of = self.count(&label, |_| true);
        let found = self.count(&label, outcome);
        let reached = found * 100 >= floor * of;
        println!("{name}: {found} of {of} (floor {floor} %){}", if reached { "" } else { "  <-- missed" });
        reached
    }
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
    let mut matrix = Matrix::default();
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
        *matrix.counts.entry((label.to_owned(), outcome)).or_default() += 1;
        if show_misses && !agrees(label, outcome) {
            println!("{label:<18} {outcome:<12} {file} {} {:?}", row["reasons"], classification);
            println!("    From {from:?} {:?}", text.chars().take(400).collect::<String>());
        }
    }
    for ((label, outcome), count) in &matrix.counts {
        println!("{label:<18} -> {outcome:<12} {count}");
    }
    println!("slowest call in a test build: {slowest:?}");
    assert!(reaches_floors(&matrix), "a floor was missed; AMPOUT_CORPUS_MISSES=1 prints the mails");
}

fn agrees(label: &str, outcome: &str) -> bool {
    match label {
        "bounce_unspecified" | "bounce_mixed" | "bounce_unexplained" => outcome.starts_with("bounce"),
        "forensic" => outcome == "ignore",
        _ => label == outcome,
    }
}

fn reaches_floors(matrix: &Matrix) -> bool {
    let is_bounce = |word: &str| word.starts_with("bounce");
    let is = |expected: &'static str| move |word: &str| word == expected;
    let soft_called_hard = matrix.count(is("bounce_soft"), is("bounce_hard"));
    let soft = matrix.count(is("bounce_soft"), |_| true);
    println!("soft called hard: {soft_called_hard} of {soft} (at most 5 %)");
    [
        // A delay is told by the same machines and labelled a bounce by most sources; the other way round has its own floor.
        matrix.floor("bounces and delays found", is_bounce, |word| is_bounce(word) || word == "delayed", 97),
        matrix.floor("humans called human", is("human"), is("human"), 99),
        matrix.floor("automatic replies found", is("autoreply"), is("autoreply"), 90),
        matrix.floor("complaints found", is("complaint"), is("complaint"), 90),
        matrix.floor("delays not called bounces", is("delayed"), |word| !is_bounce(word), 90),
        matrix.floor("hard bounces called hard", is("bounce_hard"), is("bounce_hard"), 90),
        soft_called_hard * 100 <= soft * 5,
    ]
    .iter()
    .all(|reached| *reached)
}
