//! The limit of a month: dispatch refuses, the engine holds it to the message, and `explain` says so.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::super::test_support::{Key, TestApi, credential};
use crate::demo::smtp_receiver::{ReceiverLogin, SmtpReceiver, SmtpReceiverOptions};
use crate::secrets::SecretString;
use crate::store::{account_months, accounts};

const SETTINGS: [(&str, &str); 3] =
    [("egress_allow", "127.0.0.0/8"), ("allow_plaintext", "true"), ("rate_limit_per_minute", "1000000")];

async fn limit(api: &TestApi, key: &Key, messages: Option<u64>) {
    let mut tx = api.app.store.begin().await.unwrap();
    accounts::set_plan(tx.conn(), key.account, messages, None).await.unwrap();
    tx.commit().await.unwrap();
}

/// Asks until `holds`; the explanation that it held for.
async fn explained(api: &TestApi, key: &Key, campaign: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    for _ in 0..3000 {
        last = api.get(key, &format!("{campaign}/explain")).await.expect(StatusCode::OK);
        if holds(&last) {
            return last;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("seen last: {last}");
}

#[tokio::test]
async fn exactly_so_many_messages_leave_in_a_month() {
    let api = TestApi::with(&SETTINGS).await;
    let key = api.key().await;
    let login = ReceiverLogin { username: "ada".to_owned(), password: SecretString::from("hunter2") };
    let receiver = SmtpReceiver::start(SmtpReceiverOptions { login: Some(login), ..Default::default() }).await.unwrap();
    let mut sender = credential();
    sender["smtp_host"] = json!("127.0.0.1");
    sender["smtp_port"] = json!(receiver.address().port());
    sender["smtp_tls"] = json!("none");
    let more = json!({ "min_wait_seconds": 0, "max_wait_seconds": 0, "smtp_credentials": [sender] });
    let mut campaigns = Vec::new();
    for name in ["a", "b"] {
        let campaign = format!("/campaigns/{}", api.campaign(&key, more.clone()).await);
        let recipients: Vec<String> = (0..4).map(|n| format!("{name}{n}@example.org")).collect();
        let import = api.import(&key, &recipients.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let body = json!({ "contact_import_id": import });
        api.post(&key, &format!("{campaign}/enroll"), body).await.expect(StatusCode::OK);
        api.post(&key, &format!("{campaign}/dispatch"), json!({})).await.expect(StatusCode::ACCEPTED);
        campaigns.push(campaign);
    }
    // Two campaigns of the account share six messages, of both steps.
    limit(&api, &key, Some(6)).await;
    let shutdown = CancellationToken::new();
    let sending = tokio::spawn(crate::dispatch::run(api.app.clone(), shutdown.clone()));
    let is_used_up = |told: &Value| told["reasons"][0]["code"] == "plan_limit_reached";
    for campaign in &campaigns {
        let told = explained(&api, &key, campaign, is_used_up).await;
        assert_eq!(told["reasons"][0]["until"], "2026-12-01T00:00:00.000Z");
        assert_eq!(told["reasons"][0]["subject_id"], key.account.to_string());
    }
    assert!(receiver.wait_for(6, Duration::from_secs(30)).await);
    let forecast = api.get(&key, &format!("{}/send_forecast", campaigns[1])).await.expect(StatusCode::OK);
    assert_eq!(forecast["days"][0]["limited_by"], "plan_limit", "{forecast}");

    // The follow-ups of the six are held, too: an hour later nothing has left.
    api.app.clock.advance(Duration::from_secs(3 * 3600));
    explained(&api, &key, &campaigns[0], |told| told["state"] == "blocked" && is_used_up(told)).await;
    assert_eq!(receiver.accepted(), 6);
    let import = api.import(&key, &["late@example.org"]).await;
    let body = json!({ "contact_import_id": import });
    api.post(&key, &format!("{}/enroll", campaigns[0]), body).await.expect(StatusCode::OK);
    let refused = api.post(&key, &format!("{}/dispatch", campaigns[0]), json!({})).await;
    let details = refused.expect_error(402, "plan_limit_reached");
    assert_eq!(details, json!({ "current_period_sends": 6, "monthly_limit": 6, "plan_slug": "self_hosted" }));

    // A larger plan lets the rest leave, a message in a new month counts for that month.
    limit(&api, &key, Some(7)).await;
    api.app.store.wakeups().ring(crate::wake::Wake::Dispatch);
    assert!(receiver.wait_for(7, Duration::from_secs(30)).await);
    explained(&api, &key, &campaigns[0], is_used_up).await;
    let begins = "2026-12-01T00:00:00Z".parse().unwrap();
    api.app.clock.advance(api.app.clock.now().until(begins));
    assert!(receiver.wait_for(14, Duration::from_secs(30)).await);
    let mut waiting = 0;
    for campaign in &campaigns {
        let told = explained(&api, &key, campaign, |told| is_used_up(told) || told["state"] == "idle").await;
        waiting += usize::from(is_used_up(&told));
    }
    assert!(waiting > 0, "two of the sixteen messages are left");
    let mut conn = api.app.store.read().await.unwrap();
    for month in [begins.utc_month() - 1, begins.utc_month()] {
        let plan = account_months::plan(&mut conn, key.account, month).await.unwrap();
        assert_eq!(plan.current_period_sends, 7);
    }
    assert_eq!(receiver.accepted(), 14);
    shutdown.cancel();
    sending.await.unwrap();
}

#[tokio::test]
async fn a_message_that_did_not_leave_gives_its_place_back() {
    let api = TestApi::with(&SETTINGS).await;
    let key = api.key().await;
    // Nobody listens there: the credential rests, and its message is due again.
    let mut sender = credential();
    sender["smtp_host"] = json!("127.0.0.1");
    sender["smtp_port"] = json!(9);
    sender["smtp_tls"] = json!("none");
    let campaign = format!("/campaigns/{}", api.campaign(&key, json!({ "smtp_credentials": [sender] })).await);
    let import = api.import(&key, &["a@example.org"]).await;
    let body = json!({ "contact_import_id": import });
    api.post(&key, &format!("{campaign}/enroll"), body).await.expect(StatusCode::OK);
    api.post(&key, &format!("{campaign}/dispatch"), json!({})).await.expect(StatusCode::ACCEPTED);
    limit(&api, &key, Some(1)).await;
    let shutdown = CancellationToken::new();
    let sending = tokio::spawn(crate::dispatch::run(api.app.clone(), shutdown.clone()));
    explained(&api, &key, &campaign, |told| told["reasons"][0]["code"] == "credential_resting").await;
    shutdown.cancel();
    sending.await.unwrap();
    let mut conn = api.app.store.read().await.unwrap();
    let plan = account_months::plan(&mut conn, key.account, api.app.clock.now().utc_month()).await.unwrap();
    assert_eq!(plan.current_period_sends, 0);
}
