//! Webhooks as their owner sees them: a real HTTP server on this machine takes what is posted.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::domain::event::EventType;
use crate::domain::ids::AccountId;
use crate::secrets::SealedFor;
use crate::store::deliveries::Delivery;
use crate::store::events;
use crate::store::page::Page;
use crate::store::webhooks::{self, DisabledReason, Webhook};
use crate::test_support::{START, TestApp, WEBHOOK_SECRET};

/// A customer's app. It answers each request with the next of its answers, and with the last one from then on.
struct Customer {
    url: String,
    received: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
    arrived: Arc<tokio::sync::Notify>,
}

impl Customer {
    async fn answering(answers: &[u16]) -> Self {
        let received: Arc<Mutex<Vec<(HeaderMap, Bytes)>>> = Arc::default();
        let arrived = Arc::new(tokio::sync::Notify::new());
        let (kept, ring, answers) = (Arc::clone(&received), Arc::clone(&arrived), answers.to_vec());
        let take = move |headers: HeaderMap, body: Bytes| async move {
            let nth = {
                let mut kept = kept.lock().unwrap();
                kept.push((headers, body));
                kept.len() - 1
            };
            ring.notify_one();
            let answer = answers.get(nth).or(answers.last()).copied().unwrap_or(200);
            if answer == 0 {
                std::future::pending::<()>().await;
            }
            StatusCode::from_u16(answer).unwrap()
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        tokio::spawn(axum::serve(listener, Router::new().route("/hook", post(take))).into_future());
        Self { url, received, arrived }
    }

    fn bodies(&self) -> Vec<Value> {
        self.received.lock().unwrap().iter().map(|(_, body)| serde_json::from_slice(body).unwrap()).collect()
    }

    fn headers(&self, nth: usize) -> HeaderMap {
        self.received.lock().unwrap()[nth].0.clone()
    }
}

async fn happen(app: &TestApp, account: AccountId, subject: &str, data: Value) {
    let mut tx = app.store.begin().await.unwrap();
    events::insert(&mut tx, account, EventType::EnrollmentSent, subject, &data, app.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
}

async fn deliveries(app: &TestApp, webhook: &Webhook) -> Vec<Delivery> {
    crate::store::deliveries::list(&mut app.store.read().await.unwrap(), webhook.id, &Page::first(100)).await.unwrap()
}

async fn webhook_now(app: &TestApp, webhook: &Webhook) -> Webhook {
    webhooks::get(&mut app.store.read().await.unwrap(), webhook.id).await.unwrap().unwrap()
}

#[tokio::test]
async fn an_event_arrives_once_signed_and_whole() {
    let app = TestApp::start().await;
    let account = app.account().await;
    let customer = Customer::answering(&[200]).await;
    let webhook = app.webhook(account, &customer.url).await;
    happen(&app, account, "one", json!({ "n": 1 })).await;

    assert_eq!(step(&app).await.unwrap(), 1);
    assert_eq!(step(&app).await.unwrap(), 0);

    let (headers, body) = customer.received.lock().unwrap()[0].clone();
    let envelope: Value = serde_json::from_slice(&body).unwrap();
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    assert_eq!(envelope["id"], header("webhook-id"));
    assert_eq!(envelope["type"], "enrollment.sent");
    assert_eq!(envelope["created_at"], START.to_string());
    assert_eq!(envelope["account_id"], account.to_string());
    assert_eq!(envelope["data"], json!({ "n": 1 }));
    let seconds = START.as_millis() / 1000;
    assert_eq!(header("webhook-timestamp"), seconds.to_string());
    let expected = signature(&WEBHOOK_SECRET.into(), &header("webhook-id"), seconds, &body).unwrap();
    assert_eq!(header("webhook-signature"), expected);
    let delivered = deliveries(&app, &webhook).await.remove(0);
    assert_eq!((delivered.state.as_str(), delivered.attempt, delivered.status_code), ("delivered", 1, Some(200)));
}

#[tokio::test]
async fn during_the_grace_of_a_rotation_both_secrets_sign() {
    let app = TestApp::start().await;
    let account = app.account().await;
    let customer = Customer::answering(&[200]).await;
    let mut webhook = app.webhook(account, &customer.url).await;
    let row = webhook.id.to_string();
    let place = SealedFor { column: webhooks::SECRET, row: &row };
    webhook.old_secret = Some(webhook.secret.clone());
    webhook.old_secret_until = Some(START.plus(Duration::from_secs(60)));
    webhook.secret = app.sealer.seal(&"whsec_bmV3".into(), place);
    let mut tx = app.store.begin().await.unwrap();
    webhooks::update(tx.conn(), &webhook).await.unwrap();
    tx.commit().await.unwrap();

    happen(&app, account, "one", json!({})).await;
    step(&app).await.unwrap();
    app.clock.advance(Duration::from_secs(60));
    happen(&app, account, "one", json!({})).await;
    step(&app).await.unwrap();
    let signatures = |nth| customer.headers(nth)["webhook-signature"].to_str().unwrap().split(' ').count();
    assert_eq!((signatures(0), signatures(1)), (2, 1));
}

#[tokio::test]
async fn a_subjects_events_wait_for_each_other_and_another_subjects_do_not() {
    let app = TestApp::start().await;
    let account = app.account().await;
    let customer = Customer::answering(&[500, 200]).await;
    app.webhook(account, &customer.url).await;
    for (subject, n) in [("one", 1), ("one", 2), ("one", 3)] {
        happen(&app, account, subject, json!({ "n": n })).await;
    }
    let seen = || customer.bodies().iter().map(|body| body["data"]["n"].as_i64().unwrap()).collect::<Vec<_>>();
    step(&app).await.unwrap();
    assert_eq!(seen(), [1]);
    happen(&app, account, "two", json!({ "n": 9 })).await;
    step(&app).await.unwrap();
    assert_eq!(seen(), [1, 9]);
    app.clock.advance(Duration::from_secs(7));
    step(&app).await.unwrap();
    assert_eq!(seen(), [1, 9, 1, 2, 3]);
}

#[tokio::test]
async fn what_is_never_taken_fails_after_nine_attempts_and_the_next_goes_on() {
    let app = TestApp::start().await;
    let account = app.account().await;
    let mut answers = vec![503; 9];
    answers.push(200);
    let customer = Customer::answering(&answers).await;
    let webhook = app.webhook(account, &customer.url).await;
    happen(&app, account, "one", json!({ "n": 1 })).await;
    happen(&app, account, "one", json!({ "n": 2 })).await;
    for _ in 0..9 {
        step(&app).await.unwrap();
        app.clock.advance(Duration::from_secs(29 * 3600));
    }
    let states: Vec<_> = deliveries(&app, &webhook).await.into_iter().map(|it| (it.attempt, it.state)).collect();
    assert_eq!(states, [(1, "delivered".to_owned()), (9, "failed".to_owned())]);
    assert_eq!(webhook_now(&app, &webhook).await.failures, 0);
}

#[tokio::test]
async fn a_webhook_that_is_gone_is_asked_no_more() {
    let app = TestApp::start().await;
    let account = app.account().await;
    let customer = Customer::answering(&[410]).await;
    let webhook = app.webhook(account, &customer.url).await;
    happen(&app, account, "one", json!({})).await;
    step(&app).await.unwrap();
    happen(&app, account, "two", json!({})).await;
    step(&app).await.unwrap();
    assert_eq!(customer.bodies().len(), 1);
    let now = webhook_now(&app, &webhook).await;
    assert_eq!((now.disabled_at, now.disabled_reason), (Some(START), Some(DisabledReason::Gone)));
}

#[tokio::test]
async fn one_that_is_enabled_again_gets_at_once_what_waited() {
    let app = TestApp::start().await;
    let account = app.account().await;
    let customer = Customer::answering(&[500, 410, 200]).await;
    let webhook = app.webhook(account, &customer.url).await;
    happen(&app, account, "one", json!({ "n": 1 })).await;
    happen(&app, account, "two", json!({ "n": 2 })).await;
    happen(&app, account, "one", json!({ "n": 3 })).await;
    step(&app).await.unwrap();
    assert_eq!(customer.bodies().len(), 2, "one is refused, the other gone");
    let mut tx = app.store.begin().await.unwrap();
    webhooks::enable(&mut tx, webhook.id, app.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
    let now = webhook_now(&app, &webhook).await;
    assert_eq!((now.disabled_at, now.disabled_reason, now.failures), (None, None, 0));
    // The clock stands: nothing waits for its next try.
    step(&app).await.unwrap();
    let told: Vec<_> = customer.bodies().iter().map(|body| body["data"]["n"].as_i64().unwrap()).collect();
    // Either may have come first and been refused; only what is about the same subject has an order.
    let (refused, mut later) = (told[0], told[2..].to_vec());
    assert!(refused == 2 || later == [1, 3], "{told:?}");
    later.sort_unstable();
    assert_eq!(later, [refused, 3]);
}

#[tokio::test]
async fn what_is_older_than_a_month_is_forgotten_told_or_not() {
    let app = TestApp::start().await;
    let account = app.account().await;
    let customer = Customer::answering(&[410]).await;
    let webhook = app.webhook(account, &customer.url).await;
    happen(&app, account, "one", json!({})).await;
    happen(&app, account, "one", json!({})).await;
    step(&app).await.unwrap();
    let all = async |app: &TestApp| {
        let mut conn = app.store.read().await.unwrap();
        events::after(&mut conn, account, 0, None, 10).await.unwrap().len()
    };
    app.clock.advance(KEPT_FOR);
    sequence::sweep(&app).await.unwrap();
    assert_eq!((all(&app).await, deliveries(&app, &webhook).await.len()), (2, 2), "a month is not over");
    app.clock.advance(Duration::from_millis(1));
    sequence::sweep(&app).await.unwrap();
    assert_eq!((all(&app).await, deliveries(&app, &webhook).await.len()), (0, 0));
}

#[tokio::test]
async fn one_that_fails_for_a_day_is_given_up() {
    let app = TestApp::start().await;
    let account = app.account().await;
    let customer = Customer::answering(&[500]).await;
    let webhook = app.webhook(account, &customer.url).await;
    for n in 0..49 {
        happen(&app, account, &n.to_string(), json!({})).await;
    }
    step(&app).await.unwrap();
    assert_eq!(webhook_now(&app, &webhook).await.disabled_at, None);
    app.clock.advance(Duration::from_secs(25 * 3600));
    step(&app).await.unwrap();
    assert!(webhook_now(&app, &webhook).await.disabled_at.is_some());
}

#[tokio::test]
async fn a_filter_lets_through_what_it_names_and_another_accounts_events_stay_there() {
    let app = TestApp::start().await;
    let (account, other) = (app.account().await, app.account().await);
    let customer = Customer::answering(&[200]).await;
    let mut webhook = app.webhook(account, &customer.url).await;
    webhook.event_filters = vec!["campaign.paused".to_owned()];
    let mut tx = app.store.begin().await.unwrap();
    webhooks::update(tx.conn(), &webhook).await.unwrap();
    tx.commit().await.unwrap();
    happen(&app, account, "one", json!({})).await;
    happen(&app, other, "two", json!({})).await;
    assert_eq!(step(&app).await.unwrap(), 0);
    assert!(customer.bodies().is_empty());
}

#[tokio::test]
async fn a_webhook_that_hangs_delays_no_other() {
    let app = TestApp::start().await;
    let account = app.account().await;
    let (slow, fast) = (Customer::answering(&[0]).await, Customer::answering(&[200]).await);
    app.webhook(account, &slow.url).await;
    app.webhook(account, &fast.url).await;
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(run(app.app.clone(), shutdown.clone()));
    // Shorter than the ten seconds that a webhook may take.
    let limit = Duration::from_secs(8);
    for _ in 0..3 {
        happen(&app, account, "one", json!({})).await;
        tokio::time::timeout(limit, fast.arrived.notified()).await.expect("the fast one waits for the slow one");
    }
    assert_eq!(slow.bodies().len(), 1);
    shutdown.cancel();
    tokio::time::timeout(limit, running).await.expect("a shutdown waits for the slow one").unwrap();
}

#[tokio::test]
async fn a_dead_webhook_gives_its_place_up_at_its_first_failure_and_a_busy_one_soon() {
    let app = TestApp::start().await;
    let account = app.account().await;
    let check = async |answer: u16, expected: usize| {
        let customer = Customer::answering(&[answer]).await;
        let webhook = app.webhook(account, &customer.url).await;
        for n in 0..40 {
            happen(&app, account, &n.to_string(), json!({})).await;
        }
        assert_eq!(delivery::take_turn(&app, webhook.id).await.unwrap(), expected, "{answer}");
    };
    check(500, 8).await;
    check(200, 16).await;
}
