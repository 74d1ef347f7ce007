//! The mails of `fixtures/labelled`: one mbox a label, in our own words and in the shapes of life. Each must come out as
//! its file is called, and with the day that its `X-Expected-Return` names, or with none.

mod outcome;
mod raw_mail;

use std::path::Path;

use ampout_plugin::Verdict;
use reply_classifier::classify;

use self::outcome::{Matrix, outcome};

const LABELS: [&str; 12] = [
    "human",
    "out-of-office",
    "other-auto-reply",
    "bounce-hard",
    "bounce-soft",
    "bounce-policy",
    "delayed",
    "delivered",
    "complaint",
    "unsubscribe",
    "challenge",
    "ignore",
];

#[test]
fn every_mail_comes_out_as_its_file_is_called() {
    let (mut matrix, mut misses) = (Matrix::default(), Vec::new());
    for label in LABELS {
        for raw in mails(label) {
            let message = raw_mail::message_of(raw.as_bytes());
            let (subject, expected) = (message.subject.clone(), message.header("X-Expected-Return").map(str::to_owned));
            let classification = classify(message);
            let found = outcome(&classification);
            matrix.add(label, found);
            let return_date = match &classification.verdict {
                Verdict::AutoReply(reply) => reply.return_date.clone(),
                _ => None,
            };
            if found != label || return_date != expected {
                misses.push(format!("{label}: {subject:?} is {found}, back on {return_date:?}: {classification:?}"));
            }
        }
    }
    matrix.print("fixtures/labelled");
    for label in LABELS {
        let (found, all) = (matrix.count(|it| it == label, |it| it == label), matrix.count(|it| it == label, |_| true));
        println!("{label}: {found} of {all}");
    }
    assert!(misses.is_empty(), "{} misses:\n{}", misses.len(), misses.join("\n"));
}

/// The mails of an mbox; their separators are lines of our own.
fn mails(label: &str) -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/labelled").join(label).with_extension("mbox");
    let text = std::fs::read_to_string(&file).expect("the mbox can be read");
    let mails: Vec<_> =
        text.split("From fixture\n").filter(|mail| !mail.trim().is_empty()).map(str::to_owned).collect();
    assert!(!mails.is_empty(), "{label} has no mail");
    mails
}
