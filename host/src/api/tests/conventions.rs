//! What all routes have in common.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use serde_json::json;

use super::super::test_support::{TestApi, request};
use crate::domain::api_key::Scope;

#[tokio::test]
async fn what_is_not_there_is_told_in_our_shape() {
    let api = TestApi::start().await;
    let key = api.key().await;
    api.get(&key, "/nothing").await.expect_error(404, "not_found");
    let answer = api.call("PUT", &key, "/campaigns", None).await;
    answer.expect_error(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), "GET,HEAD,POST");
}

#[tokio::test]
async fn a_call_without_a_valid_key_is_refused() {
    let api = TestApi::start().await;
    let answer = api.send(request("GET", "/campaigns", None, None)).await;
    answer.expect_error(401, "unauthorized");
    assert_eq!(answer.header("www-authenticate"), "Bearer");
    for authorization in ["Bearer nonsense", "Basic YTpi", "Bearer ak_live_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]
    {
        let request = Request::get("/campaigns").header(header::AUTHORIZATION, authorization).body(Body::empty());
        api.send(request.unwrap()).await.expect_error(401, "unauthorized");
    }
}

#[tokio::test]
async fn a_key_does_what_its_scopes_allow() {
    let api = TestApi::start().await;
    let reader = api.key_with(&[Scope::Read]).await;
    api.get(&reader, "/campaigns").await.expect(StatusCode::OK);
    api.post(&reader, "/outreaches", json!({"outreach": {"name": "o"}})).await.expect_error(403, "forbidden");
    api.get(&reader, "/api_keys").await.expect_error(403, "forbidden");
    let writer = api.key_with(&[Scope::Read, Scope::Write]).await;
    let campaign = api.campaign(&writer, json!({})).await;
    api.post(&writer, &format!("/campaigns/{campaign}/dispatch"), json!({})).await.expect_error(403, "forbidden");
}

#[tokio::test]
async fn a_body_that_is_no_json_or_too_large_is_refused() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let with = |kind: &str, body: String| {
        let request = Request::post("/outreaches").header(header::AUTHORIZATION, format!("Bearer {}", key.plaintext));
        request.header(header::CONTENT_TYPE, kind).body(Body::from(body)).unwrap()
    };
    api.send(with("application/json", "{".to_owned())).await.expect_error(400, "bad_request");
    api.send(with("text/plain", "{}".to_owned())).await.expect_error(400, "bad_request");
    let large = format!("\"{}\"", "a".repeat(1024 * 1024));
    api.send(with("application/json", large)).await.expect_error(413, "payload_too_large");
}

#[tokio::test]
async fn the_pages_of_a_list_are_linked() {
    let api = TestApi::start().await;
    let key = api.key().await;
    for name in ["a", "b", "c"] {
        api.post(&key, "/outreaches", json!({"outreach": {"name": name}})).await.expect(StatusCode::CREATED);
        api.app.clock.advance(std::time::Duration::from_millis(1));
    }
    let first = api.get(&key, "/outreaches?limit=2").await;
    let names = |body: serde_json::Value| -> Vec<String> {
        body.as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(first.expect(StatusCode::OK)), ["c", "b"]);
    let link = first.header("link").to_owned();
    let next = link.strip_prefix("<http://ampout.example").and_then(|l| l.strip_suffix(">; rel=\"next\"")).unwrap();
    assert!(next.starts_with("/outreaches?limit=2&after="), "{next}");
    let second = api.get(&key, next).await;
    assert_eq!(names(second.expect(StatusCode::OK)), ["a"]);
    assert_eq!(second.header("link"), "");
}

#[tokio::test]
async fn a_wrong_parameter_is_named() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let details = api.get(&key, "/campaigns?limit=0&statuz=x").await.expect_error(400, "bad_request");
    assert_eq!(details["limit"], json!(["must be a whole number from 1 to 1000"]));
    assert_eq!(details["statuz"], json!(["is no known parameter; known: limit, after"]));
    api.get(&key, "/campaigns/not-an-id").await.expect_error(400, "bad_request");
}

#[tokio::test]
async fn too_many_calls_are_refused_until_the_window_ends() {
    let api = TestApi::with(&[("rate_limit_per_minute", "2")]).await;
    let key = api.key().await;
    assert_eq!(api.get(&key, "/campaigns").await.header("ratelimit-remaining"), "1");
    api.get(&key, "/campaigns").await.expect(StatusCode::OK);
    let answer = api.get(&key, "/campaigns").await;
    answer.expect_error(429, "rate_limited");
    assert_eq!((answer.header("retry-after"), answer.header("ratelimit-limit")), ("60", "2"));
    api.app.clock.advance(std::time::Duration::from_secs(60));
    api.get(&key, "/campaigns").await.expect(StatusCode::OK);
}

#[tokio::test]
async fn the_status_needs_no_key() {
    let api = TestApi::start().await;
    let body = api.send(request("GET", "/status", None, None)).await.expect(StatusCode::OK);
    assert_eq!(body["queue"], json!({"due": 0, "in_doubt": 0}));
    assert_eq!(body["extensions"]["suspended"], 0);
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_told_with_when_to_come_again_and_nothing_of_the_inside() {
    let api = TestApi::start().await;
    let key = api.key().await;
    api.app.store.close().await;
    let answer = api.get(&key, "/campaigns").await;
    let details = answer.expect_error(503, "service_unavailable");
    assert_eq!(details["request_id"], answer.header("x-request-id"));
    assert_eq!(answer.header("retry-after"), "2");
    assert!(!answer.text.contains("pool"), "{}", answer.text);
    let status = api.send(request("GET", "/status", None, None)).await.expect(StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!((&status["status"], &status["queue"]), (&json!("unavailable"), &serde_json::Value::Null));
}

#[tokio::test]
async fn the_last_use_of_a_key_is_kept() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let first = api.get(&key, "/api_keys").await.expect(StatusCode::OK);
    assert!(first[0]["last_used_at"].is_null());
    api.app.usage.write().await.unwrap();
    let keys = api.get(&key, "/api_keys").await.expect(StatusCode::OK);
    assert_eq!(keys[0]["last_used_at"], "2026-11-23T08:00:00.000Z");
}
