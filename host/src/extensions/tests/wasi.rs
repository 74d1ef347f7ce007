//! A guest built for `wasm32-wasip2` with the whole standard library: it runs, and WASI gives it nothing.

use serde_json::json;

use super::*;

pub(super) const GUEST: &[u8] =
    include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/guests/wasi-classifier.wasm"));

async fn called(subject: &str) -> super::super::Called {
    let host = host();
    let guest = load_guest(&host, GUEST.to_vec()).await.unwrap();
    host.call(&guest, &input(Hook::ReplyClassifier, json!({ "subject": subject }))).await
}

async fn check(subject: &str, reason: &str) {
    let decision = called(subject).await.answer.unwrap().to_json();
    assert_eq!(decision, json!({ "verdict": "human-reply", "reason": reason }));
}

#[tokio::test]
async fn nothing_is_in_reach() {
    check("reach", "variables 0 arguments 0 file false folder false socket false name false").await;
}

#[tokio::test]
async fn time_is_that_of_the_call_and_moves_by_being_looked_at() {
    check("clock", &format!("{NOW} 1000")).await;
}

#[tokio::test]
async fn random_numbers_are_the_same_in_each_call() {
    let ask = async || called("random").await.answer.unwrap().to_json();
    assert_eq!(ask().await, ask().await);
}

#[tokio::test]
async fn what_it_prints_is_logged() {
    let record = called("print").await.record;
    let lines: Vec<_> = record.logs.iter().map(|line| line.message.as_str()).collect();
    assert_eq!(lines, ["to standard output", "to standard error"]);
    let flooded = called("flood").await;
    // Whether it ends in time is its own matter.
    assert_eq!(flooded.record.logs.len(), 65);
}

#[tokio::test]
async fn the_last_words_of_a_panic_are_logged() {
    let called = called("panic").await;
    assert!(called.answer.is_err());
    assert!(called.record.logs.iter().any(|line| line.message.contains("the guest gives up")), "{:?}", called.record);
}
