//! Webhooks out and in, events, decisions.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};

use super::super::test_support::{Key, TestApi};
use crate::domain::Timestamp;
use crate::domain::event::EventType;
use crate::domain::ids::EventId;
use crate::store::events;

/// An event of the account's.
async fn happen(api: &TestApi, key: &Key, event_type: EventType) -> EventId {
    let mut tx = api.app.store.begin().await.unwrap();
    let now = api.app.clock.now();
    let id = events::insert(&mut tx, key.account, event_type, "it", &json!({}), now).await.unwrap();
    tx.commit().await.unwrap();
    id
}

fn ids(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_webhook_shows_its_secret_when_it_is_made_and_rotated() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let body = json!({"webhook": {"url": "https://app.example/hooks", "event_filters": ["enrollment.*"]}});
    let made = api.post(&key, "/webhooks", body).await.expect(StatusCode::CREATED);
    assert!(made["secret"].as_str().unwrap().starts_with("whsec_"));
    let path = format!("/webhooks/{}", made["id"].as_str().unwrap());
    assert!(api.get(&key, &path).await.expect(StatusCode::OK).get("secret").is_none());
    let rotated =
        api.call("POST", &key, &format!("{path}/rotate_secret?grace=true"), None).await.expect(StatusCode::OK);
    assert_ne!(rotated["secret"], made["secret"]);
    assert_eq!(api.get(&key, &format!("{path}/deliveries")).await.expect(StatusCode::OK), json!([]));
    let stranger = api.key().await;
    api.get(&stranger, &path).await.expect_error(404, "webhook_not_found");
    api.call("DELETE", &key, &path, None).await.expect(StatusCode::OK);
    api.get(&key, &path).await.expect_error(404, "webhook_not_found");
}

#[tokio::test]
async fn a_webhook_goes_to_https_and_filters_what_exists() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let body = json!({"webhook": {"url": "http://app.example/", "event_filters": ["enrolment.*"]}});
    let details = api.post(&key, "/webhooks", body).await.expect_error(422, "validation_failed");
    assert!(details["webhook.url"][0].as_str().unwrap().contains("https://"));
    assert!(details["webhook.event_filters.0"][0].as_str().unwrap().contains("matches no event"));
}

#[tokio::test]
async fn a_webhook_is_turned_off_and_on_by_its_owner() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let body = json!({"webhook": {"url": "https://app.example/hooks"}});
    let made = api.post(&key, "/webhooks", body).await.expect(StatusCode::CREATED);
    assert_eq!(
        (&made["enabled"], &made["disabled_at"], &made["event_filters"]),
        (&json!(true), &json!(null), &json!(["*"]))
    );
    let path = format!("/webhooks/{}", made["id"].as_str().unwrap());
    let patch = async |body: Value| api.call("PATCH", &key, &path, Some(json!({ "webhook": body }))).await;
    let off = patch(json!({ "enabled": false })).await.expect(StatusCode::OK);
    assert_eq!((&off["enabled"], &off["disabled_reason"]), (&json!(false), &json!("owner")));
    assert!(off["disabled_at"].is_string());
    let still = patch(json!({ "event_filters": ["campaign.paused"] })).await.expect(StatusCode::OK);
    assert_eq!(still["enabled"], false);
    let missing = format!("{path}/deliveries/{}/redeliver", made["id"].as_str().unwrap());
    api.call("POST", &key, &missing, None).await.expect_error(422, "unprocessable");
    let on = patch(json!({ "enabled": true })).await.expect(StatusCode::OK);
    assert_eq!(
        (&on["enabled"], &on["disabled_at"], &on["disabled_reason"]),
        (&json!(true), &json!(null), &json!(null))
    );
    api.call("POST", &key, &missing, None).await.expect_error(404, "not_found");
    let details = patch(json!({ "enabled": null, "event_filters": null, "disabled_at": null, "url": 1 })).await;
    let details = details.expect_error(422, "validation_failed");
    assert_eq!(details.as_object().unwrap().len(), 4, "{details}");
}

#[tokio::test]
async fn an_account_has_a_hundred_webhooks_at_most() {
    let api = TestApi::start().await;
    let (key, other) = (api.key().await, api.key().await);
    let body = || json!({"webhook": {"url": "https://app.example/hooks"}});
    for _ in 0..100 {
        api.post(&key, "/webhooks", body()).await.expect(StatusCode::CREATED);
    }
    api.post(&key, "/webhooks", body()).await.expect_error(422, "unprocessable");
    api.post(&other, "/webhooks", body()).await.expect(StatusCode::CREATED);
}

#[tokio::test]
async fn events_follow_a_cursor_oldest_first() {
    let api = TestApi::start().await;
    let (key, stranger) = (api.key().await, api.key().await);
    let mut told = Vec::new();
    for n in 0..5 {
        let event_type = if n % 2 == 0 { EventType::EnrollmentSent } else { EventType::CampaignPaused };
        told.push(happen(&api, &key, event_type).await.to_string());
    }
    let foreign = happen(&api, &stranger, EventType::EnrollmentSent).await;
    let first = api.get(&key, "/events?limit=2").await;
    assert_eq!(ids(&first.expect(StatusCode::OK)), told[..2]);
    let next = format!("<http://ampout.example/events?limit=2&after={}>; rel=\"next\"", told[1]);
    assert_eq!(first.header("link"), next);
    let rest = api.get(&key, &format!("/events?after={}", told[1])).await;
    assert_eq!(ids(&rest.expect(StatusCode::OK)), told[2..]);
    assert_eq!(rest.header("link"), "");
    let paused = api.get(&key, &format!("/events?after={}&type=campaign.paused", told[1])).await;
    assert_eq!(ids(&paused.expect(StatusCode::OK)), [told[3].as_str()]);
    assert_eq!(api.get(&key, &format!("/events?after={}", told[4])).await.expect(StatusCode::OK), json!([]));

    for unknown in [foreign, EventId::new(api.app.clock.now())] {
        let details = api.get(&key, &format!("/events?after={unknown}")).await.expect_error(400, "bad_request");
        assert_eq!(details["after"], json!(["is no event of this account"]));
    }
    // Whoever was away for longer than a month goes on with what is left.
    let swept = EventId::new(Timestamp::from_millis(api.app.clock.now().as_millis() - 31 * 86_400_000));
    assert_eq!(ids(&api.get(&key, &format!("/events?after={swept}")).await.expect(StatusCode::OK)), told);
}

#[tokio::test]
async fn an_inbound_endpoint_names_an_adapter_that_is_there() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let unknown = json!({"inbound_endpoint": {"provider": "nobody"}});
    let details = api.post(&key, "/inbound_endpoints", unknown).await.expect_error(422, "validation_failed");
    assert!(details["inbound_endpoint.provider"][0].as_str().unwrap().contains("smtp2go"));
    let body = json!({"inbound_endpoint": {"provider": "smtp2go", "signing_secret": "s3cret"}});
    let answer = api.post(&key, "/inbound_endpoints", body).await;
    let made = answer.expect(StatusCode::CREATED);
    assert!(made["url"].as_str().unwrap().starts_with("http://ampout.example/inbound/smtp2go/"));
    assert!(!answer.text.contains("s3cret"));
    let path = format!("/inbound_endpoints/{}", made["id"].as_str().unwrap());
    api.get(&key, &path).await.expect(StatusCode::OK);
    api.call("DELETE", &key, &path, None).await.expect(StatusCode::OK);
    api.get(&key, &path).await.expect_error(404, "inbound_endpoint_not_found");
}

#[tokio::test]
async fn a_requests_fate_is_shown_and_it_can_be_read_again() {
    let api = TestApi::start().await;
    let (key, stranger) = (api.key().await, api.key().await);
    let body = json!({"inbound_endpoint": {"provider": "smtp2go", "signing_secret": "s3cret"}});
    let made = api.post(&key, "/inbound_endpoints", body).await.expect(StatusCode::CREATED);
    let path = format!("/inbound_endpoints/{}/requests", made["id"].as_str().unwrap());
    assert_eq!(api.get(&key, &path).await.expect(StatusCode::OK), json!([]));
    let url = made["url"].as_str().unwrap().strip_prefix("http://ampout.example").unwrap();
    let status = api.post(&key, url, json!({})).await.status;
    let list = api.get(&key, &path).await.expect(StatusCode::OK);
    let request = &list[0];
    let state = request["state"].as_str().unwrap();
    assert_eq!(
        (status.as_u16(), request["size"].as_u64()),
        (if state == "malformed" { 422 } else { 401 }, Some(2)),
        "{list}"
    );
    assert!(request["error"].is_string() && request["next_try_at"].is_null(), "{list}");
    let others = api.get(&key, &format!("{path}?state=applied")).await.expect(StatusCode::OK);
    assert_eq!(others, json!([]));
    api.get(&key, &format!("{path}?state=lost")).await.expect_error(400, "bad_request");
    api.get(&stranger, &path).await.expect_error(404, "inbound_endpoint_not_found");

    let again = format!("{path}/{}/retry", request["id"].as_str().unwrap());
    api.call("POST", &stranger, &again, None).await.expect_error(404, "inbound_endpoint_not_found");
    let retried = api.call("POST", &key, &again, None).await.expect(StatusCode::OK);
    assert_eq!(retried["status"], "stored");
    assert_eq!(crate::inbound::step(&api.app).await.unwrap().read, 1);
    assert_eq!(api.get(&key, &path).await.expect(StatusCode::OK)[0]["state"], state);
    api.call("POST", &key, &format!("{path}/{}/retry", key.account), None).await.expect_error(404, "not_found");
}

#[tokio::test]
async fn an_inbound_request_is_bounded_in_all_its_parts() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let body = json!({"inbound_endpoint": {"provider": "smtp2go", "signing_secret": "s3cret"}});
    let made = api.post(&key, "/inbound_endpoints", body).await.expect(StatusCode::CREATED);
    let url = made["url"].as_str().unwrap().strip_prefix("http://ampout.example").unwrap();
    let send = async |header: usize, body: usize| {
        let request = Request::builder().method("POST").uri(url).header("x-long", "x".repeat(header));
        api.send(request.body(Body::from(vec![b' '; body])).unwrap()).await
    };
    send(40_000, 0).await.expect_error(400, "bad_request");
    send(0, 1024 * 1024 + 1).await.expect_error(413, "payload_too_large");
    let list = api.get(&key, &format!("/inbound_endpoints/{}/requests", made["id"].as_str().unwrap())).await;
    assert_eq!(list.expect(StatusCode::OK), json!([]), "what was turned away is not kept");
}

#[tokio::test]
async fn an_inbound_endpoint_has_the_settings_of_its_adapter_and_no_others() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let make =
        async |body: serde_json::Value| api.post(&key, "/inbound_endpoints", json!({"inbound_endpoint": body})).await;
    let details = make(json!({"provider": "ses"})).await.expect_error(422, "validation_failed");
    assert_eq!(details["inbound_endpoint.settings"], json!(["topic_arns is required by ses"]));
    let odd = json!({"provider": "ses", "settings": {"topic_arns": "arn:x", "topics": "arn:x"}});
    let details = make(odd).await.expect_error(422, "validation_failed");
    let told = details["inbound_endpoint.settings"][0].as_str().unwrap();
    assert!(told.contains("\"topics\" is no setting of ses; beside signing_secret it has topic_arns"), "{told}");
    make(json!({"provider": "ses", "settings": {"topic_arns": 7}})).await.expect_error(422, "validation_failed");
    let details = make(json!({"provider": "mailgun"})).await.expect_error(422, "validation_failed");
    assert_eq!(
        details["inbound_endpoint.signing_secret"],
        json!(["is required by mailgun; where mailgun tells it later, give any and PATCH it then"])
    );

    // The setting reaches the adapter: another topic is refused, this one only for its signature.
    let made = make(json!({"provider": "ses", "settings": {"topic_arns": "arn:mine"}})).await;
    let url = made.expect(StatusCode::CREATED)["url"].as_str().unwrap().to_owned();
    let path = url.strip_prefix("http://ampout.example").unwrap();
    let told = json!({"Type": "Notification", "TopicArn": "arn:mine"});
    let details = api.post(&key, path, told).await.expect_error(401, "unauthorized");
    assert_eq!(details, json!({}), "a stranger is not told the adapter's reason");

    // What is wrong already is not asked for once more.
    let details = make(json!({"provider": "mailgun", "signing_secret": ""})).await;
    let details = details.expect_error(422, "validation_failed");
    assert_eq!(details, json!({"inbound_endpoint.signing_secret": ["must not be empty"]}));
    let details = make(json!({"provider": "ses", "settings": 7})).await.expect_error(422, "validation_failed");
    assert_eq!(details, json!({"inbound_endpoint.settings": ["must be an object, not a number"]}));
}

#[tokio::test]
async fn a_request_that_its_adapter_cant_read_is_told_so_in_our_shape() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let body = json!({"inbound_endpoint": {"provider": "generic", "signing_secret": "s3cret"}});
    let made = api.post(&key, "/inbound_endpoints", body).await.expect(StatusCode::CREATED);
    let url = made["url"].as_str().unwrap().strip_prefix("http://ampout.example").unwrap();
    // Signed, and its kind is no text.
    let signature = "d0e4015bf49472c8b38855b7a850a2cc63e6a61200fc7f6e23d3557d9278a573";
    let request = Request::post(url).header("x-webhook-signature", format!("sha256={signature}"));
    let answer = api.send(request.body(Body::from(r#"{"kind":5,"recipient":[]}"#)).unwrap()).await;
    answer.expect_error(422, "unprocessable");
    assert!(!answer.text.contains("kind"), "the reason is for the endpoint's owner: {}", answer.text);
    let list = format!("/inbound_endpoints/{}/requests", made["id"].as_str().unwrap());
    let list = api.get(&key, &list).await.expect(StatusCode::OK);
    assert_eq!(list[0]["state"], "malformed");
    assert!(list[0]["error"].as_str().unwrap().contains("kind must be text"), "{list}");
    // Whoever asks by another method is answered by the adapter, too.
    api.send(Request::get(url).body(Body::empty()).unwrap()).await.expect_error(422, "unprocessable");
}

#[tokio::test]
async fn a_null_takes_away_what_an_adapter_does_without() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let make = async |body: Value| {
        let made = api.post(&key, "/inbound_endpoints", json!({"inbound_endpoint": body})).await;
        let made = made.expect(StatusCode::CREATED);
        let url = made["url"].as_str().unwrap().strip_prefix("http://ampout.example").unwrap().to_owned();
        (format!("/inbound_endpoints/{}", made["id"].as_str().unwrap()), url)
    };
    let patch =
        async |path: &str, body: Value| api.call("PATCH", &key, path, Some(json!({"inbound_endpoint": body}))).await;
    let (path, url) = make(json!({"provider": "smtp2go", "signing_secret": "s3cret"})).await;
    assert_eq!(api.post(&key, &url, json!({"event": "open"})).await.status, StatusCode::UNAUTHORIZED);
    patch(&path, json!({"signing_secret": null, "settings": null})).await.expect(StatusCode::OK);
    assert_eq!(api.post(&key, &url, json!({"event": "open"})).await.status, StatusCode::OK);

    let (path, _) = make(json!({"provider": "ses", "settings": {"topic_arns": "arn:mine"}})).await;
    let details = patch(&path, json!({"settings": null})).await.expect_error(422, "validation_failed");
    assert_eq!(details["inbound_endpoint.settings"], json!(["topic_arns is required by ses"]));
    let (path, _) = make(json!({"provider": "mailgun", "signing_secret": "s3cret"})).await;
    let details = patch(&path, json!({"signing_secret": null})).await.expect_error(422, "validation_failed");
    assert!(
        details["inbound_endpoint.signing_secret"][0].as_str().unwrap().contains("required by mailgun"),
        "{details}"
    );
    patch(&path, json!({})).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn an_unknown_inbound_address_is_not_found() {
    let api = TestApi::start().await;
    let key = api.key().await;
    api.post(&key, "/inbound/smtp2go/nonsense", json!({})).await.expect_error(404, "inbound_endpoint_not_found");
}

#[tokio::test]
async fn events_and_decisions_are_lists() {
    let api = TestApi::start().await;
    let key = api.key().await;
    assert_eq!(api.get(&key, "/events?type=enrollment.sent").await.expect(StatusCode::OK), json!([]));
    assert_eq!(api.get(&key, "/decisions?hook=send-gate").await.expect(StatusCode::OK), json!([]));
    api.get(&key, "/events?type=nothing").await.expect_error(400, "bad_request");
}

#[tokio::test]
async fn an_inbound_endpoint_is_given_its_secret_later_and_keeps_its_address() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let made = api
        .post(
            &key,
            "/inbound_endpoints",
            json!({"inbound_endpoint": {"provider": "postmark", "signing_secret": "not known yet"}}),
        )
        .await
        .expect(StatusCode::CREATED);
    let path = made["url"].as_str().unwrap().strip_prefix("http://ampout.example").unwrap().to_owned();
    let told = json!({ "RecordType": "Delivery", "MessageID": "m", "Recipient": "bob@example.org",
        "DeliveredAt": "2026-11-23T08:00:00Z", "ServerID": 1, "MessageStream": "outbound" });
    let told_with = async |secret: &str| {
        let request = Request::post(&path).header("authorization", format!("Bearer {secret}"));
        api.send(request.body(Body::from(told.to_string())).unwrap()).await.status
    };
    assert_eq!(told_with("the secret").await, StatusCode::UNAUTHORIZED);
    let one = format!("/inbound_endpoints/{}", made["id"].as_str().unwrap());
    let change = json!({ "inbound_endpoint": { "signing_secret": "the secret" } });
    let changed = api.call("PATCH", &key, &one, Some(change)).await;
    assert_eq!(changed.expect(StatusCode::OK)["url"], made["url"]);
    assert_eq!(told_with("the secret").await, StatusCode::OK);
    assert_eq!(told_with("not known yet").await, StatusCode::UNAUTHORIZED);

    let wrong = json!({ "inbound_endpoint": { "settings": { "public_key": "x" }, "provider": "ses" } });
    let details = api.call("PATCH", &key, &one, Some(wrong)).await.expect_error(422, "validation_failed");
    assert_eq!(details.as_object().unwrap().len(), 2, "{details}");
    let stranger = api.key().await;
    let change = json!({ "inbound_endpoint": { "signing_secret": "x" } });
    api.call("PATCH", &stranger, &one, Some(change)).await.expect_error(404, "inbound_endpoint_not_found");
}

#[tokio::test]
async fn a_provider_comes_again_when_the_database_is_away() {
    let api = TestApi::start().await;
    api.app.store.close().await;
    for (provider, status) in [("brevo", 429), ("postmark", 503)] {
        let request = Request::post(format!("/inbound/{provider}/token")).body(Body::from("{}")).unwrap();
        let answer = api.send(request).await;
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (status, "10"));
    }
}
