//! What the classifier made of a mail, in one word, and tables of such words.

use std::collections::BTreeMap;

use ampout_plugin::{Classification, Verdict};

/// The verdict in one word; of a bounce also its class, and `delayed` or `delivered` where it is none.
pub(crate) fn outcome(classification: &Classification) -> &'static str {
    match &classification.verdict {
        Verdict::HumanReply => "human",
        Verdict::AutoReply(reply) if reply.kind == "out-of-office" => "out-of-office",
        Verdict::AutoReply(_) => "other-auto-reply",
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
                _ if failed.iter().any(|bounce| bounce.class == "hard") => "bounce-hard",
                _ if !failed.is_empty() && failed.iter().all(|bounce| bounce.class == "policy") => "bounce-policy",
                _ => "bounce-soft",
            }
        }
    }
}

/// How often a label met an outcome.
#[derive(Default)]
pub(crate) struct Matrix {
    counts: BTreeMap<(String, &'static str), usize>,
}

impl Matrix {
    pub(crate) fn add(&mut self, label: &str, outcome: &'static str) {
        *self.counts.entry((label.to_owned(), outcome)).or_default() += 1;
    }

    pub(crate) fn print(&self, name: &str) {
        println!("== {name}");
        for ((label, outcome), count) in &self.counts {
            println!("{label:<20} -> {outcome:<18} {count}");
        }
    }

    pub(crate) fn count(&self, label: impl Fn(&str) -> bool, outcome: impl Fn(&str) -> bool) -> usize {
        self.counts.iter().filter(|((l, o), _)| label(l) && outcome(o)).map(|(_, count)| count).sum()
    }
}
