//! Campaigns as their owner makes and runs them.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::super::test_support::{TestApi, campaign, credential};
use crate::store::{credentials, mailboxes};

#[tokio::test]
async fn a_campaign_is_made_with_its_credentials_and_steps() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let made =
        api.post(&key, "/campaigns", json!({ "campaign": campaign(json!({})) })).await.expect(StatusCode::CREATED);
    assert_eq!(made["status"], "pending");
    assert_eq!(made["sequence_steps"].as_array().unwrap().len(), 2);
    let id = made["id"].as_str().unwrap();
    let shown = api.get(&key, &format!("/campaigns/{id}")).await;
    let body = shown.expect(StatusCode::OK);
    assert_eq!((&body["min_wait_seconds"], &body["max_wait_seconds"]), (&json!(120), &json!(420)));
    assert_eq!((&body["bounce_rate_threshold"], &body["track_opens"]), (&json!(8.0), &json!(true)));
    assert_eq!(body["credentials"][0]["id"], made["smtp_credentials"][0]["id"]);
    assert_eq!(body["totals"], json!({"pending": 0, "sent": 0, "opened": 0, "replied": 0, "bounced": 0}));
    assert!(!shown.text.contains("hunter2"));
}

#[track_caller]
fn check(details: &Value, expected: &[(&str, &str)]) {
    let fields: Vec<&String> = details.as_object().unwrap().keys().collect();
    for (path, part) in expected {
        let told = details[*path][0].as_str().unwrap_or_else(|| panic!("{path} is not among {fields:?}"));
        assert!(told.contains(part), "{path}: {told}");
    }
    assert_eq!(fields.len(), expected.len(), "{details}");
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let mut wrong = credential();
    wrong["smtp_port"] = json!(0);
    wrong["from_email"] = json!("nobody");
    wrong["smtp_tls"] = json!("none");
    wrong["imap_host"] = json!("imap.example.com");
    wrong["smtp_host"] = json!("smtp example");
    wrong["daily_limit"] = Value::Null;
    let body = json!({ "campaign": {
        "name": " ", "min_wait_seconds": 500, "max_wait_seconds": 400, "bounce_rate_threshold": 40, "colour": "red",
        "smtp_credentials": [credential(), wrong],
        "sequence_steps": [
            { "position": 1, "subject": "Hi {{nickname}}", "body_html": "" },
            { "position": 1, "subject": "a", "body_html": "b" },
            { "position": 1, "subject": "a", "body_html": "b", "delay_minutes": -1 },
        ],
    }});
    let details = api.post(&key, "/campaigns", body).await.expect_error(422, "validation_failed");
    check(
        &details,
        &[
            ("campaign.name", "must not be empty"),
            ("campaign.max_wait_seconds", "at least min_wait_seconds"),
            ("campaign.bounce_rate_threshold", "0.5 to 25.0"),
            ("campaign.colour", "no known field"),
            ("campaign.smtp_credentials.1.smtp_port", "1 to 65535"),
            ("campaign.smtp_credentials.1.smtp_host", "host name"),
            ("campaign.smtp_credentials.1.from_email", "no @"),
            ("campaign.smtp_credentials.1.smtp_tls", "not allowed here"),
            ("campaign.smtp_credentials.1.daily_limit", "is required"),
            ("campaign.smtp_credentials.1.imap_port", "all four"),
            ("campaign.smtp_credentials.1.imap_username", "all four"),
            ("campaign.smtp_credentials.1.imap_password", "all four"),
            ("campaign.sequence_steps.0.subject", "unknown merge tag {{nickname}}"),
            ("campaign.sequence_steps.0.body_html", "must not be empty"),
            ("campaign.sequence_steps.2.delay_minutes", "whole number"),
        ],
    );
    let twice = campaign(json!({"sequence_steps": [
        { "position": 1, "subject": "a", "body_html": "b" }, { "position": 1, "subject": "a", "body_html": "b" },
    ], "smtp_credentials": []}));
    let details =
        api.post(&key, "/campaigns", json!({ "campaign": twice })).await.expect_error(422, "validation_failed");
    check(
        &details,
        &[("campaign.sequence_steps.1.position", "another step"), ("campaign.smtp_credentials", "at least one")],
    );
}

#[tokio::test]
async fn what_is_wrong_is_told_once_and_nothing_of_what_follows_from_it() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let mut sender = credential();
    (sender["imap_host"], sender["imap_port"]) = (json!(""), json!(993));
    let waits = json!({"min_wait_seconds": -1, "max_wait_seconds": 0});
    let mut wrong = campaign(waits.clone());
    wrong["smtp_credentials"] = json!([sender]);
    let details = api.post(&key, "/campaigns", json!({ "campaign": wrong })).await;
    let details = details.expect_error(422, "validation_failed");
    let required = json!(["is required: give all four imap fields, or none"]);
    assert_eq!(
        details,
        json!({
            "campaign.min_wait_seconds": ["must be a whole number from 0 to 86400"],
            "campaign.smtp_credentials.0.imap_host": ["must not be empty"],
            "campaign.smtp_credentials.0.imap_username": required,
            "campaign.smtp_credentials.0.imap_password": required,
        })
    );
    let path = format!("/campaigns/{}", api.campaign(&key, json!({})).await);
    let details = api.call("PATCH", &key, &path, Some(json!({ "campaign": waits }))).await;
    let details = details.expect_error(422, "validation_failed");
    assert_eq!(details, json!({"campaign.min_wait_seconds": ["must be a whole number from 0 to 86400"]}));
}

#[tokio::test]
async fn a_message_of_nothing_but_white_space_is_empty() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let step = json!({"position": 1, "subject": "Hi", "body_html": " \n\t", "body_text": "\u{a0} "});
    let body = json!({ "campaign": campaign(json!({"sequence_steps": [step]})) });
    let details = api.post(&key, "/campaigns", body).await.expect_error(422, "validation_failed");
    assert_eq!(
        details,
        json!({
            "campaign.sequence_steps.0.body_html": ["must not be empty"],
            "campaign.sequence_steps.0.body_text": ["must not be empty"],
        })
    );
}

#[tokio::test]
async fn another_accounts_campaign_is_not_there() {
    let api = TestApi::start().await;
    let (ours, theirs) = (api.key().await, api.key().await);
    let id = api.campaign(&ours, json!({})).await;
    for path in ["", "/explain", "/preview", "/enrollments", "/smtp_credentials"] {
        api.get(&theirs, &format!("/campaigns/{id}{path}")).await.expect_error(404, "campaign_not_found");
    }
    for call in ["dispatch", "pause", "resume"] {
        api.post(&theirs, &format!("/campaigns/{id}/{call}"), json!({})).await.expect_error(404, "campaign_not_found");
    }
    let outreach = api.post(&ours, "/outreaches", json!({"outreach": {"name": "o"}})).await.json()["id"].clone();
    let body = json!({ "campaign": campaign(json!({"outreach_id": outreach})) });
    api.post(&theirs, "/campaigns", body).await.expect_error(404, "outreach_not_found");
}

#[tokio::test]
async fn another_server_or_user_is_another_mailbox_and_a_password_is_not() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let id = api.campaign(&key, json!({})).await;
    let mut given = credential();
    let imap =
        json!({ "imap_host": "imap.example.org", "imap_port": 993, "imap_username": "ada", "imap_password": "x" });
    given.as_object_mut().unwrap().extend(imap.as_object().unwrap().clone());
    let path = format!("/campaigns/{id}/smtp_credentials");
    let made = api.post(&key, &path, json!({ "smtp_credential": given })).await.expect(StatusCode::CREATED);
    let credential = made["id"].as_str().unwrap().to_owned();
    let change = async |fields: Value| {
        let body = json!({ "smtp_credential": fields });
        api.call("PATCH", &key, &format!("{path}/{credential}"), Some(body)).await.expect(StatusCode::OK);
        let mut conn = api.app.store.read().await.unwrap();
        let mailbox = mailboxes::mailbox(&mut conn, credential.parse().unwrap()).await.unwrap();
        mailbox.map(|mailbox| mailbox.generation)
    };
    assert_eq!(change(json!({ "imap_password": "y", "imap_host": "IMAP.example.org" })).await, Some(1));
    assert_eq!(change(json!({ "imap_username": "grace" })).await, Some(2));
    assert_eq!(change(json!({ "imap_host": "imap.example.net", "imap_password": "z" })).await, Some(3));
    assert_eq!(change(json!({ "imap_host": null })).await, None);
    assert_eq!(change(imap).await, Some(4));
}

#[tokio::test]
async fn contacts_are_enrolled_dispatched_and_counted() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let id = api.campaign(&key, json!({})).await;
    let import = api.import(&key, &["a@example.org", "b@example.org", "c@blocked.test"]).await;
    api.post(&key, "/suppressions", json!({"suppression": {"domain": "Blocked.test"}}))
        .await
        .expect(StatusCode::CREATED);
    let body = json!({"contact_import_id": import, "batch_size": 1});
    let enrolled = api.post(&key, &format!("/campaigns/{id}/enroll"), body.clone()).await.expect(StatusCode::OK);
    assert_eq!(
        (&enrolled["enrolled"], &enrolled["batches"], &enrolled["batch_size"]),
        (&json!(2), &json!(2), &json!(1))
    );
    assert_eq!(enrolled["skipped"][0]["email"], "c@blocked.test");
    assert_eq!(enrolled["skipped"][0]["reason"], "suppressed");
    let again = api.post(&key, &format!("/campaigns/{id}/enroll"), body).await.expect(StatusCode::OK);
    assert_eq!((&again["enrolled"], &again["skipped_count"]), (&json!(0), &json!(3)));

    let listed = api.get(&key, &format!("/campaigns/{id}/enrollments?batch_number=2&status=pending")).await;
    let listed = listed.expect(StatusCode::OK);
    assert_eq!(listed.as_array().unwrap().len(), 1);
    let contact = listed[0]["contact_id"].clone();
    let twice = json!({"contact_id": contact});
    api.post(&key, &format!("/campaigns/{id}/enroll_contact"), twice)
        .await
        .expect_error(422, "contact_already_enrolled");

    let dispatched = api.post(&key, &format!("/campaigns/{id}/dispatch"), json!({})).await.expect(StatusCode::ACCEPTED);
    assert_eq!(dispatched, json!({"status": "active", "dispatched": 2, "batches": 2}));
    api.post(&key, &format!("/campaigns/{id}/dispatch"), json!({})).await.expect_error(422, "no_pending_enrollments");
    let shown = api.get(&key, &format!("/campaigns/{id}")).await.expect(StatusCode::OK);
    assert_eq!(shown["totals"]["pending"], 2);
    assert_eq!(shown["skipped"]["suppressed"], 2);
    assert_eq!(shown["per_batch"][1]["batch_number"], 2);

    let timeline = api.get(&key, &format!("/enrollments/{}/timeline", listed[0]["id"].as_str().unwrap())).await;
    let kinds: Vec<_> = timeline.expect(StatusCode::OK).as_array().unwrap().iter().map(|e| e["kind"].clone()).collect();
    assert_eq!(kinds, ["enrolled", "queued"]);
}

#[tokio::test]
async fn siblings_of_an_outreach_do_not_share_contacts() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let outreach = api.post(&key, "/outreaches", json!({"outreach": {"name": "o"}})).await.json()["id"].clone();
    let first = api.campaign(&key, json!({"outreach_id": outreach})).await;
    let second = api.campaign(&key, json!({"outreach_id": outreach})).await;
    let import = api.import(&key, &["a@example.org"]).await;
    let body = json!({"contact_import_id": import});
    api.post(&key, &format!("/campaigns/{first}/enroll"), body.clone()).await.expect(StatusCode::OK);
    let skipped = api.post(&key, &format!("/campaigns/{second}/enroll"), body).await.expect(StatusCode::OK);
    assert_eq!(skipped["skipped"][0]["reason"], "cross_campaign_duplicate");
    let shown = api.get(&key, &format!("/outreaches/{}", outreach.as_str().unwrap())).await.expect(StatusCode::OK);
    assert_eq!((&shown["totals"]["pending"], shown["campaigns"].as_array().unwrap().len()), (&json!(1), 2));
}

#[tokio::test]
async fn pausing_and_resuming_follow_the_state() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let id = api.campaign(&key, json!({})).await;
    let path = |call: &str| format!("/campaigns/{id}/{call}");
    api.post(&key, &path("pause"), json!({})).await.expect_error(422, "campaign_not_active");
    api.post(&key, &path("resume"), json!({})).await.expect_error(422, "campaign_not_paused");
    let import = api.import(&key, &["a@example.org"]).await;
    api.post(&key, &path("enroll"), json!({"contact_import_id": import})).await.expect(StatusCode::OK);
    // Dispatch, pause and resume take no body.
    api.call("POST", &key, &path("dispatch"), None).await.expect(StatusCode::ACCEPTED);
    assert_eq!(api.get(&key, &path("explain")).await.expect(StatusCode::OK)["state"], "sending");
    api.call("POST", &key, &path("pause"), None).await.expect(StatusCode::OK);
    let explained = api.get(&key, &path("explain")).await.expect(StatusCode::OK);
    assert_eq!((&explained["state"], &explained["reasons"][0]["code"]), (&json!("blocked"), &json!("campaign_paused")));
    let resumed = api.call("POST", &key, &path("resume"), None).await.expect(StatusCode::OK);
    assert_eq!(resumed["status"], "active");
}

#[tokio::test]
async fn a_campaign_without_a_credential_says_what_it_needs_before_it_is_resumed() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let id = api.campaign(&key, json!({})).await;
    let path = |call: &str| format!("/campaigns/{id}/{call}");
    let import = api.import(&key, &["a@example.org"]).await;
    api.post(&key, &path("enroll"), json!({"contact_import_id": import})).await.expect(StatusCode::OK);
    api.call("POST", &key, &path("dispatch"), None).await.expect(StatusCode::ACCEPTED);
    let all = path("smtp_credentials");
    let only = api.get(&key, &all).await.json()[0]["id"].as_str().unwrap().to_owned();
    api.call("DELETE", &key, &format!("{all}/{only}"), None).await.expect(StatusCode::OK);

    let reason = async || api.get(&key, &path("explain")).await.expect(StatusCode::OK)["reasons"][0].clone();
    let told = reason().await;
    assert_eq!(told["code"], "campaign_paused");
    assert!(told["message"].as_str().unwrap().contains("Add a credential first"), "{told}");
    api.call("POST", &key, &path("resume"), None).await.expect_error(422, "unprocessable");
    api.post(&key, &all, json!({"smtp_credential": credential()})).await.expect(StatusCode::CREATED);
    let told = reason().await;
    assert!(!told["message"].as_str().unwrap().contains("first"), "{told}");
    api.call("POST", &key, &path("resume"), None).await.expect(StatusCode::OK);

    // With nothing left to send it needs none.
    api.call("POST", &key, &path("pause"), None).await.expect(StatusCode::OK);
    let only = api.get(&key, &all).await.json()[0]["id"].as_str().unwrap().to_owned();
    api.call("DELETE", &key, &format!("{all}/{only}"), None).await.expect(StatusCode::OK);
    api.call("POST", &key, &path("resume"), None).await.expect_error(422, "unprocessable");
    let nobody = json!({"suppression": {"email": "a@example.org"}});
    api.post(&key, "/suppressions", nobody).await.expect(StatusCode::CREATED);
    api.call("POST", &key, &path("resume"), None).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn a_preview_shows_what_a_contact_would_read() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let id = api.campaign(&key, json!({})).await;
    let steps = api.get(&key, &format!("/campaigns/{id}/preview")).await.expect(StatusCode::OK);
    assert_eq!(steps[0]["subject"], "Hi Ada");
    assert_eq!(steps[0]["body_html"], "<p>Hello Example Ltd</p>");
    assert_eq!(steps[0]["body_text"].as_str().unwrap().trim(), "Hello Example Ltd");
}

#[tokio::test]
async fn a_credential_is_added_changed_and_deleted() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let id = api.campaign(&key, json!({})).await;
    let all = format!("/campaigns/{id}/smtp_credentials");
    let mut with_mailbox = credential();
    for (name, value) in [
        ("imap_host", json!("imap.example.com")),
        ("imap_port", json!(993)),
        ("imap_username", json!("ada")),
        ("imap_password", json!("hunter3")),
    ] {
        with_mailbox[name] = value;
    }
    let made = api.post(&key, &all, json!({"smtp_credential": with_mailbox})).await.expect(StatusCode::CREATED);
    let one = format!("{all}/{}", made["id"].as_str().unwrap());
    let shown = api.get(&key, &one).await;
    assert_eq!(shown.expect(StatusCode::OK)["imap_tls"], "auto");
    assert!(!shown.json()["mailbox"].is_null() && !shown.text.contains("hunter"));

    let kept = json!({"smtp_credential": {"daily_limit": 50.0, "imap_password": null}});
    let details = api.call("PATCH", &key, &one, Some(kept)).await.expect_error(422, "validation_failed");
    check(&details, &[("smtp_credential.imap_password", "can't be null")]);
    let change = json!({"smtp_credential": {"daily_limit": 5, "imap_host": null}});
    let changed = api.call("PATCH", &key, &one, Some(change)).await.expect(StatusCode::OK);
    assert_eq!(
        (&changed["daily_limit"], &changed["imap_host"], &changed["mailbox"]),
        (&json!(5), &Value::Null, &Value::Null)
    );
    let unknown = json!({"smtp_credential": {"daily_limits": 5}});
    let details = api.call("PATCH", &key, &one, Some(unknown)).await.expect_error(422, "validation_failed");
    check(&details, &[("smtp_credential.daily_limits", "no known field")]);

    assert_eq!(
        api.call("POST", &key, &format!("{one}/reenable"), None).await.expect(StatusCode::OK)["status"],
        "enabled"
    );
    api.call("DELETE", &key, &one, None).await.expect(StatusCode::OK);
    api.get(&key, &one).await.expect_error(404, "smtp_credential_not_found");
    assert_eq!(api.get(&key, &all).await.expect(StatusCode::OK).as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_new_address_of_a_sender_leaves_its_message_ids_as_they_are() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let campaign = api.campaign(&key, json!({})).await;
    let all = format!("/campaigns/{campaign}/smtp_credentials");
    let id = api.get(&key, &all).await.json()[0]["id"].as_str().unwrap().to_owned();
    let one = format!("{all}/{id}");
    for address in ["ada@new.example", "ada@newer.example"] {
        api.call("PATCH", &key, &one, Some(json!({"smtp_credential": {"from_email": address}})))
            .await
            .expect(StatusCode::OK);
    }
    let mut conn = api.app.store.read().await.unwrap();
    let credential = credentials::get(&mut conn, id.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((credential.from_email.as_str(), credential.message_id_domain()), ("ada@newer.example", "example.com"));
}

#[tokio::test]
async fn a_stored_password_is_not_sent_to_another_server() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let campaign = api.campaign(&key, json!({})).await;
    let all = format!("/campaigns/{campaign}/smtp_credentials");
    let id = api.get(&key, &all).await.json()[0]["id"].as_str().unwrap().to_owned();
    let change = async |fields: Value| {
        api.call("PATCH", &key, &format!("{all}/{id}"), Some(json!({"smtp_credential": fields}))).await
    };
    let elsewhere = json!({"smtp_host": "smtp.elsewhere.example"});
    let details = change(elsewhere).await.expect_error(422, "validation_failed");
    assert_eq!(details.as_object().unwrap().keys().collect::<Vec<_>>(), ["smtp_credential.smtp_password"]);
    change(json!({"smtp_host": "smtp.elsewhere.example", "smtp_password": "x"})).await.expect(StatusCode::OK);
    change(json!({"smtp_host": "SMTP.elsewhere.example", "smtp_port": 465})).await.expect(StatusCode::OK);
}
