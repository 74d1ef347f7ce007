//! Calls with a key, as a client that retries meets them.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::super::test_support::{Answer, Key, TestApi, request};
use super::*;
use crate::domain::ids::ContactImportId;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn with_key(method: &str, path: &str, key: &Key, idempotency: &str, body: Option<Value>) -> Request<Body> {
    let mut request = request(method, path, Some(key), body);
    request.headers_mut().insert("idempotency-key", idempotency.parse().unwrap());
    request
}

fn outreach(name: &str) -> Option<Value> {
    Some(json!({ "outreach": { "name": name } }))
}

async fn create(api: &TestApi, key: &Key, idempotency: &str, name: &str) -> Answer {
    api.send(with_key("POST", "/outreaches", key, idempotency, outreach(name))).await
}

async fn count(api: &TestApi, key: &Key) -> usize {
    api.get(key, "/outreaches?limit=1000").await.json().as_array().unwrap().len()
}

#[tokio::test]
async fn the_same_call_does_nothing_and_is_given_the_first_answer_byte_for_byte() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let first = create(&api, &key, "a", "Spring").await;
    let second = create(&api, &key, "a", "Spring").await;
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (201, 201));
    assert_eq!(first.text, second.text);
    assert_eq!((first.header("idempotency-replayed"), second.header("idempotency-replayed")), ("", "true"));
    assert_eq!(second.header("content-type"), "application/json");
    assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
    assert_eq!(count(&api, &key).await, 1);

    assert_eq!(create(&api, &key, "b", "Spring").await.status, 201);
    let other = api.key().await;
    assert_eq!(create(&api, &other, "a", "Spring").await.header("idempotency-replayed"), "");
    assert_eq!((count(&api, &key).await, count(&api, &other).await), (2, 1));
}

#[tokio::test]
async fn a_key_belongs_to_one_request_for_a_day() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let id = create(&api, &key, "a", "Spring").await.json()["id"].as_str().unwrap().to_owned();
    create(&api, &key, "a", "Summer").await.expect_error(422, "idempotency_key_reused");
    let change = with_key("PATCH", &format!("/outreaches/{id}"), &key, "a", outreach("Spring"));
    api.send(change).await.expect_error(422, "idempotency_key_reused");
    assert_eq!(count(&api, &key).await, 1);

    api.app.clock.advance(DAY - Duration::from_secs(1));
    assert_eq!(create(&api, &key, "a", "Spring").await.header("idempotency-replayed"), "true");
    api.app.clock.advance(Duration::from_secs(2));
    assert_eq!(create(&api, &key, "a", "Summer").await.header("idempotency-replayed"), "");
    assert_eq!(count(&api, &key).await, 2);
}

#[tokio::test]
async fn refusals_are_stored_and_a_missing_key_is_none() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let refused = create(&api, &key, "a", "").await;
    refused.expect_error(422, "validation_failed");
    let again = create(&api, &key, "a", "").await;
    assert_eq!((again.header("idempotency-replayed"), &again.text), ("true", &refused.text));
    for bad in ["", "with space", &"x".repeat(256)] {
        create(&api, &key, bad, "Spring").await.expect_error(400, "bad_request");
    }
    assert_eq!(count(&api, &key).await, 0);
}

#[tokio::test]
async fn fifty_at_once_make_one() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let answers = join_all((0..50).map(|_| create(&api, &key, "a", "Spring"))).await;
    let made: Vec<&str> = answers.iter().filter(|a| a.status == 201).map(|a| a.text.as_str()).collect();
    assert!(!made.is_empty() && made.iter().all(|text| *text == made[0]));
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        answer.expect_error(409, "idempotency_in_progress");
        assert_eq!(answer.header("retry-after"), "1");
    }
    assert_eq!(count(&api, &key).await, 1);
}

#[tokio::test]
async fn two_nodes_with_one_database_make_one() {
    let api = TestApi::start().await;
    let other = api.second_node().await;
    let key = api.key().await;
    for round in 0..20 {
        let name = format!("round-{round}");
        let (one, two) = tokio::join!(create(&api, &key, &name, &name), create(&other, &key, &name, &name));
        assert_eq!((one.status.as_u16(), two.status.as_u16()), (201, 201));
        assert_eq!(one.text, two.text);
    }
    assert_eq!(count(&api, &key).await, 20);
}

#[tokio::test]
async fn a_secret_that_is_shown_once_is_given_again_and_not_kept_in_the_open() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let make = || api.send(with_key("POST", "/api_keys", &key, "k", Some(json!({ "label": "ci" }))));
    let (first, second) = (make().await, make().await);
    assert_eq!(first.text, second.text);
    let plaintext = first.json()["plaintext"].as_str().unwrap().to_owned();
    let file = std::fs::read(api.folder().join("ampout.db-wal")).unwrap();
    let holds = |text: &str| file.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds(first.json()["id"].as_str().unwrap()), "the log holds what was written");
    assert!(!holds(&plaintext));
}

#[tokio::test]
async fn an_answer_is_given_again_only_to_who_may_make_the_call() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let body = Some(json!({ "label": "ci" }));
    let first = api.send(with_key("POST", "/api_keys", &key, "k", body.clone())).await;
    let reader = api.post(&key, "/api_keys", json!({ "label": "reader", "scopes": ["read"] })).await;
    let reader = Key { account: key.account, plaintext: reader.json()["plaintext"].as_str().unwrap().to_owned() };
    let refused = api.send(with_key("POST", "/api_keys", &reader, "k", body.clone())).await;
    refused.expect_error(403, "forbidden");
    assert_eq!(api.send(with_key("POST", "/api_keys", &key, "k", body)).await.text, first.text);

    // Nor is a refusal given to who may.
    create(&api, &reader, "o", "Spring").await.expect_error(403, "forbidden");
    assert_eq!(create(&api, &key, "o", "Spring").await.status, 201);
}

#[tokio::test]
async fn a_call_that_was_cut_off_is_not_gone_on_with_by_another() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let import =
        |name: &str| json!({ "contact_import": { "name": name, "contacts": [{ "email": "ada@example.org" }] } });
    let of = KeyOf { account: key.account, key: "i" };
    let opening = Fingerprint::begin(&Method::POST, &"/contact_imports".parse().unwrap()).so_far();
    let whole = Fingerprint::begin(&Method::POST, &"/contact_imports".parse().unwrap());
    whole.add_last(import("first").to_string().as_bytes());
    let begun = format!("{opening} {}", whole.whole().unwrap());
    let now = api.app.clock.now();
    let id = ContactImportId::new(now).to_string();
    let mut tx = api.app.store.begin().await.unwrap();
    answers::begin(tx.conn(), of, &begun, &id, now, now, now).await.unwrap();
    tx.commit().await.unwrap();

    let other = api.send(with_key("POST", "/contact_imports", &key, "i", Some(import("other")))).await;
    other.expect_error(422, "idempotency_key_reused");
    assert_eq!(api.get(&key, "/contact_imports").await.json(), json!([]));
    let same = api.send(with_key("POST", "/contact_imports", &key, "i", Some(import("first")))).await;
    assert_eq!((same.status.as_u16(), same.json()["id"].as_str().unwrap()), (201, id.as_str()));
}
