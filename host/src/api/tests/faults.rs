//! Faults of ours: what the caller is told, and what the log.

use std::io::Write;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use axum::routing::get;
use serde_json::Value;
use sqlx::AssertSqlSafe;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::super::as_documented::Operations;
use super::super::auth::MayRead;
use super::super::state::Api;
use super::super::test_support::{Answer, TestApi, request, send_to};
use super::super::{around, behind_a_key};
use crate::catalog::Catalog;

/// All that is logged while it lives, by this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn listen() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let lines = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone());
        (log, lines.finish().set_default())
    }

    /// The lines that tell of a request.
    fn of(&self, answer: &Answer) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let id = answer.header("x-request-id");
        text.lines().filter(|line| line.contains(id)).map(str::to_owned).collect()
    }
}

#[track_caller]
fn check(answer: &Answer, log: &Log, cause: &str) {
    let details = answer.expect_error(500, "internal_error");
    assert_eq!(details["request_id"], answer.header("x-request-id"));
    assert_eq!(details.as_object().unwrap().len(), 1);
    assert!(!answer.text.contains(cause), "{}", answer.text);
    let told: String = answer.headers.iter().map(|(name, value)| format!("{name}: {value:?}\n")).collect();
    assert!(!told.contains(cause), "{told}");
    let lines = log.of(answer);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains(cause), "{}", lines[0]);
}

#[tokio::test]
async fn a_fault_of_the_database_is_logged_once_and_not_told() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let mut tx = api.app.store.begin().await.unwrap();
    let sql = "ALTER TABLE suppressions RENAME TO put_away".to_owned();
    sqlx::query(AssertSqlSafe(sql)).execute(tx.conn()).await.unwrap();
    tx.commit().await.unwrap();
    let (log, _listening) = Log::listen();
    let answer = api.get(&key, "/suppressions").await;
    check(&answer, &log, "no such table");
    assert!(!answer.text.contains("suppressions"), "{}", answer.text);
    assert_eq!(answer.header("ratelimit-limit"), "1000");
}

#[tokio::test]
async fn a_panic_is_logged_once_and_not_told() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let inner = Api::new(api.app.clone(), Catalog::start(&api.app).await.unwrap());
    let keyed: Router<Api> = Router::new().route("/keyed", get(async |_: MayRead| -> () { panic!("the inside") }));
    let public: Router<Api> = Router::new().route("/public", get(async || -> () { panic!("the inside") }));
    let router = around(behind_a_key(keyed, Operations::of(&Value::Null), &inner).merge(public), inner);
    let (log, _listening) = Log::listen();
    let answer = send_to(&router, request("GET", "/public", None, None)).await;
    check(&answer, &log, "the inside");
    let answer = send_to(&router, request("GET", "/keyed", Some(&key), None)).await;
    check(&answer, &log, "the inside");
    assert_eq!(answer.header("ratelimit-remaining"), "999");
}

#[tokio::test]
async fn every_answer_has_an_id_of_its_own_that_is_in_the_log() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let (log, _listening) = Log::listen();
    let mut ids = Vec::new();
    let no_json = Request::post("/outreaches").header(header::CONTENT_TYPE, "application/json");
    let no_json = no_json.header(header::AUTHORIZATION, format!("Bearer {}", key.plaintext)).body(Body::from("{"));
    for request in [
        request("GET", "/campaigns", Some(&key), None),
        request("GET", "/campaigns", None, None),
        request("GET", "/campaigns/", Some(&key), None),
        request("GET", "/nothing", None, None),
        request("PUT", "/campaigns", Some(&key), None),
        request("OPTIONS", "/campaigns", None, None),
        request("HEAD", "/campaigns", Some(&key), None),
        request("GET", "/status", None, None),
        request("GET", "/t/none.gif", None, None),
        no_json.unwrap(),
    ] {
        let answer = api.send(request).await;
        assert_eq!(log.of(&answer).len(), 1, "{}: {}", answer.status, answer.text);
        ids.push(answer.header("x-request-id").to_owned());
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 10);
}
