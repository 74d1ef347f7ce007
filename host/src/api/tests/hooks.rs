//! Webhooks out and in, events, decisions.

use axum::http::StatusCode;
use serde_json::json;

use super::super::test_support::TestApi;

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
