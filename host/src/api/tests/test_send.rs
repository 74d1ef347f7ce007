//! Test messages: what arrives, what is refused, and that nothing counts.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::super::test_support::{Key, TestApi, credential, request};
use crate::demo::smtp_receiver::{ReceiverLogin, Reply, SmtpReceiver, SmtpReceiverOptions, by_local_part};
use crate::domain::ids::{EnrollmentId, SendId};
use crate::secrets::SecretString;
use crate::store::accounts;

const ON_THIS_MACHINE: [(&str, &str); 2] = [("egress_allow", "127.0.0.0/8"), ("allow_plaintext", "true")];

async fn receiver() -> SmtpReceiver {
    let login = ReceiverLogin { username: "ada".to_owned(), password: SecretString::from("hunter2") };
    SmtpReceiver::start(SmtpReceiverOptions { login: Some(login), ..Default::default() }).await.unwrap()
}

/// A campaign that sends through `receiver`; its address.
async fn campaign(api: &TestApi, key: &Key, receiver: &SmtpReceiver) -> String {
    let mut credential = credential();
    credential["smtp_host"] = json!("127.0.0.1");
    credential["smtp_port"] = json!(receiver.address().port());
    credential["smtp_tls"] = json!("none");
    let html = "<p>Hello {{company}}</p>";
    let steps = json!([
        { "position": 1, "subject": "Hi {{first_name}}, {{email}}", "body_html": html },
        { "position": 5, "subject": "Again", "body_html": html },
    ]);
    let id = api.campaign(key, json!({ "smtp_credentials": [credential], "sequence_steps": steps })).await;
    format!("/campaigns/{id}")
}

#[tokio::test]
async fn a_test_reaches_each_address_over_one_connection_and_counts_nowhere() {
    let api = TestApi::with(&ON_THIS_MACHINE).await;
    let key = api.key().await;
    let receiver = receiver().await;
    receiver.set_rule(by_local_part(vec![("gone".to_owned(), Reply::refuse(550, "5.1.1", "no such user"))]));
    let campaign = campaign(&api, &key, &receiver).await;
    let import = api.import(&key, &["me@example.org"]).await;
    api.post(&key, &format!("{campaign}/enroll"), json!({ "contact_import_id": import })).await.expect(StatusCode::OK);
    api.post(&key, "/suppressions", json!({"suppression": {"domain": "blocked.test"}}))
        .await
        .expect(StatusCode::CREATED);

    let emails = ["Me@example.org", "gone@example.org", "you@example.org", "me@EXAMPLE.org", "x@blocked.test"];
    let tested = api.post(&key, &format!("{campaign}/test_send"), json!({ "emails": emails })).await;
    let tested = tested.expect(StatusCode::OK);
    assert_eq!(tested["sent"], json!(["Me@example.org", "you@example.org"]), "{tested}");
    let failed: Vec<(&str, &str)> = tested["failed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["email"].as_str().unwrap(), one["error"].as_str().unwrap()))
        .collect();
    assert!(failed[0].0 == "x@blocked.test" && failed[0].1.contains("suppressed"), "{failed:?}");
    assert!(failed[1].0 == "gone@example.org" && failed[1].1.contains("550 5.1.1 no such user"), "{failed:?}");
    assert_eq!((receiver.accepted(), receiver.connections()), (2, 1));
    let raw = String::from_utf8(receiver.messages()[0].raw.clone()).unwrap();
    assert!(raw.contains("Subject: Hi Ada, Me@example.org") && raw.contains("Hello Example Ltd"), "{raw}");

    let shown = api.get(&key, &campaign).await.expect(StatusCode::OK);
    assert_eq!(shown["totals"], json!({"pending": 1, "sent": 0, "opened": 0, "replied": 0, "bounced": 0}));
    let figures = &shown["credentials"][0];
    let counted = ["sent_today", "transactions", "bounces"].map(|name| figures[name].clone());
    assert_eq!(counted, [json!(0), json!(0), json!(0)]);
    assert_eq!(api.get(&key, "/status").await.expect(StatusCode::OK)["queue"], json!({"due": 0, "in_doubt": 0}));

    // Its links work and are about nobody.
    let links = &api.app.links;
    let (pixel, unsubscribe) = (links.pixel(SendId::NOBODY), links.unsubscribe(EnrollmentId::NOBODY));
    let unfolded = raw.replace("=\r\n", "");
    assert!(unfolded.contains(pixel.rsplit('/').next().unwrap()), "{unfolded}");
    assert!(raw.contains(&format!("List-Unsubscribe: <{unsubscribe}>")), "{raw}");
    let path = |url: &str| url.strip_prefix("http://ampout.example").unwrap().to_owned();
    let (pixel, unsubscribe) = (path(&pixel), path(&unsubscribe));
    assert_eq!(api.send(request("GET", &pixel, None, None)).await.status, StatusCode::OK);
    for method in ["GET", "POST"] {
        assert_eq!(api.send(request(method, &unsubscribe, None, None)).await.status, StatusCode::OK);
    }
    let enrollment = api.get(&key, &format!("{campaign}/enrollments")).await.json()[0].clone();
    assert_eq!((&enrollment["opened_at"], &enrollment["stopped_at"]), (&Value::Null, &Value::Null));
    let contact = format!("/contacts/{}", enrollment["contact_id"].as_str().unwrap());
    assert!(api.get(&key, &contact).await.json()["unsubscribed_at"].is_null());
}

#[tokio::test]
async fn a_step_and_a_credential_can_be_chosen() {
    let api = TestApi::with(&ON_THIS_MACHINE).await;
    let key = api.key().await;
    let receiver = receiver().await;
    let campaign = campaign(&api, &key, &receiver).await;
    let mut another = credential();
    another["smtp_host"] = json!("127.0.0.1");
    another["smtp_port"] = json!(receiver.address().port());
    another["smtp_tls"] = json!("none");
    another["from_email"] = json!("grace@example.com");
    let made = api.post(&key, &format!("{campaign}/smtp_credentials"), json!({ "smtp_credential": another })).await;
    let id = made.expect(StatusCode::CREATED)["id"].clone();
    let body = json!({ "emails": ["me@example.org"], "step": 5, "smtp_credential_id": id });
    api.post(&key, &format!("{campaign}/test_send"), body).await.expect(StatusCode::OK);
    let message = receiver.messages().remove(0);
    assert_eq!(message.from, "grace@example.com");
    assert!(String::from_utf8_lossy(&message.raw).contains("Subject: Again"));
}

#[tokio::test]
async fn what_is_wrong_with_a_test_is_told_before_anything_leaves() {
    let api = TestApi::with(&ON_THIS_MACHINE).await;
    let (key, stranger) = (api.key().await, api.key().await);
    let receiver = receiver().await;
    let campaign = campaign(&api, &key, &receiver).await;
    let path = format!("{campaign}/test_send");
    let body = json!({ "emails": ["me@example.org"] });
    api.post(&stranger, &path, body.clone()).await.expect_error(404, "campaign_not_found");
    for nobody in [json!({}), json!({ "emails": [] }), json!({ "emails": null })] {
        api.post(&key, &path, nobody).await.expect_error(422, "no_emails_provided");
    }
    let many: Vec<String> = (0..11).map(|n| format!("me{n}@example.org")).collect();
    let wrong = [
        (json!({ "emails": many }), "emails"),
        (json!({ "emails": ["nobody"] }), "emails.0"),
        (json!({ "emails": ["me@example.org"], "step": 2 }), "step"),
        (json!({ "emails": ["me@example.org"], "steps": 2 }), "steps"),
    ];
    for (body, field) in wrong {
        let details = api.post(&key, &path, body).await.expect_error(422, "validation_failed");
        assert!(details[field].is_array(), "{details}");
    }
    let mut unknown = body.clone();
    unknown["smtp_credential_id"] = json!("019ab7c0-0000-7000-8000-000000000000");
    api.post(&key, &path, unknown).await.expect_error(404, "smtp_credential_not_found");

    let mut tx = api.app.store.begin().await.unwrap();
    accounts::set_plan(tx.conn(), key.account, Some(0), Some("trial")).await.unwrap();
    tx.commit().await.unwrap();
    let details = api.post(&key, &path, body).await.expect_error(402, "plan_limit_reached");
    assert_eq!(details, json!({ "current_period_sends": 0, "monthly_limit": 0, "plan_slug": "trial" }));
    assert_eq!(receiver.connections(), 0);
}
