//! Which replies ask to be let go, in the words in which people do, and which have those words and ask for something else:
//! `fixtures/replies`, one a line, in which `\\n` is the end of a line. Who is taken for an opt-out is never written to again;
//! who is not heard is written to against his will.

use std::path::Path;

use ampout_plugin::{Message, Verdict};
use reply_classifier::classify;

#[test]
fn who_asks_to_be_let_go_is_heard() {
    every_reply_is("that-ask-to-be-let-go.txt", &Verdict::UnsubscribeRequest);
}

#[test]
fn who_wants_something_else_is_a_person() {
    every_reply_is("that-ask-for-something-else.txt", &Verdict::HumanReply);
}

/// The same six requests (`+`) and six other replies (`-`) in every language.
#[test]
fn every_language_is_heard_and_none_is_taken_at_a_word() {
    let replies = fixture("in-each-language.txt");
    let is_wrong = |line: &&str| match line.split_once(' ') {
        Some(("+", reply)) => verdict(reply) != Verdict::UnsubscribeRequest,
        Some(("-", reply)) => verdict(reply) != Verdict::HumanReply,
        _ => false,
    };
    let misses: Vec<_> = replies.lines().filter(is_wrong).collect();
    assert!(misses.is_empty(), "{misses:#?}");
}

#[track_caller]
fn every_reply_is(file: &str, expected: &Verdict) {
    let replies = fixture(file);
    let replies: Vec<_> = replies.lines().filter(|line| !line.is_empty()).collect();
    let misses: Vec<_> = replies.iter().filter(|reply| verdict(reply) != *expected).collect();
    assert!(misses.is_empty(), "{} of {}: {misses:#?}", misses.len(), replies.len());
}

fn fixture(file: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/replies").join(file);
    std::fs::read_to_string(file).expect("the replies can be read")
}

fn verdict(reply: &str) -> Verdict {
    let own = reply.replace("\\n", "\n");
    let text =
        format!("{own}\n\nOn Mon, 23 Nov 2026, Ana Ruiz <ana@example.com> wrote:\n> To stop, reply unsubscribe me\n");
    let kim = Some("kim@acme.example".to_owned());
    let message = Message {
        subject: "Re: Quick question".to_owned(),
        sender: kim.clone(),
        return_path: kim,
        text,
        ..Message::default()
    };
    classify(message).verdict
}
