//! The forms in which requests come, and those that are refused.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use serde_json::{Value, json};

use super::super::test_support::{Answer, Key, TestApi, request};

async fn send_as(api: &TestApi, key: &Key, content_type: &str, body: impl Into<Body>) -> Answer {
    let request = Request::post("/outreaches").header(header::AUTHORIZATION, format!("Bearer {}", key.plaintext));
    api.send(request.header(header::CONTENT_TYPE, content_type).body(body.into()).unwrap()).await
}

#[tokio::test]
async fn head_is_get_without_a_body_and_options_names_the_methods() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let got = api.get(&key, "/campaigns").await;
    let head = api.call("HEAD", &key, "/campaigns", None).await;
    assert_eq!((head.status, head.text.as_str()), (StatusCode::OK, ""));
    assert_eq!(head.header("content-type"), got.header("content-type"));
    assert_eq!(head.header("content-length"), "2");
    let options = api.send(request("OPTIONS", "/campaigns", None, None)).await;
    assert_eq!((options.status, options.header("allow")), (StatusCode::NO_CONTENT, "GET,HEAD,POST"));
    for (method, path) in [("PUT", "/campaigns"), ("GET", "/signup"), ("DELETE", "/status"), ("BREW", "/usage")] {
        let answer = api.call(method, &key, path, None).await;
        answer.expect_error(405, "method_not_allowed");
        assert!(!answer.header("allow").is_empty() && !answer.header("allow").contains(method));
    }
}

#[tokio::test]
async fn a_slash_at_the_end_leads_to_the_address_without_it() {
    let api = TestApi::start().await;
    let key = api.key().await;
    for method in ["GET", "POST"] {
        let answer = api.call(method, &key, "/outreaches/?limit=2", None).await;
        assert_eq!(answer.status, StatusCode::PERMANENT_REDIRECT);
        assert_eq!(answer.header("location"), "/outreaches?limit=2");
    }
    for path in ["//elsewhere.example/", "/", "//"] {
        api.get(&key, path).await.expect_error(404, "not_found");
    }
}

#[tokio::test]
async fn a_body_in_another_form_is_refused_with_the_reason() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let good = json!({"outreach": {"name": "Größe 🙂"}}).to_string();
    for kind in ["application/json", "Application/JSON; charset=UTF-8", "application/vnd.api+json;charset=\"utf-8\""] {
        send_as(&api, &key, kind, good.clone()).await.expect(StatusCode::CREATED);
    }
    for kind in ["application/json; charset=iso-8859-1", "application/json;Charset=\"utf-16\"", "text/json", ""] {
        send_as(&api, &key, kind, good.clone()).await.expect_error(400, "bad_request");
    }
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    for body in ["{", "", &deep, r#"{"outreach": {"name": "\ud83d"}}"#, r#"{"outreach": {"name": 1e999}}"#, "{}{}"] {
        send_as(&api, &key, "application/json", body.to_owned()).await.expect_error(400, "bad_request");
    }
    send_as(&api, &key, "application/json", b"{\"outreach\": {\"name\": \"\xfc\"}}".to_vec())
        .await
        .expect_error(400, "bad_request");
}

#[tokio::test]
async fn what_the_body_has_twice_or_no_database_can_hold_is_named() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let refused = async |body: &str| -> Value {
        send_as(&api, &key, "application/json", body.to_owned()).await.expect_error(422, "validation_failed")
    };
    let details = refused(r#"{"outreach": {"name": "a", "name": "b", "colour": 1}}"#).await;
    assert_eq!(details["outreach.name"], json!(["is given more than once"]));
    assert_eq!(details["outreach.colour"], json!(["is no known field; the fields are name, unique_contacts"]));
    let details =
        refused(r#"{"outreach": {"name": "a\u0000b", "unique_contacts": 123456789012345678901234567890}}"#).await;
    assert_eq!(details["outreach.name"], json!(["must not contain the character U+0000"]));
    assert_eq!(details["outreach.unique_contacts"], json!(["must be true or false, not a number"]));
    let details = refused(r#"{"outreach": {"na\u0000me": "a"}}"#).await;
    assert_eq!(details["outreach.name"][0], "must not contain the character U+0000");
}

#[tokio::test]
async fn u_0000_in_an_address_is_refused_everywhere() {
    let api = TestApi::start().await;
    let key = api.key().await;
    for path in
        ["/campaigns/%00", "/campaigns?limit=%00", "/decisions?hook=%00", "/bindings?scope=account&scope_id=%00"]
    {
        api.get(&key, path).await.expect_error(400, "bad_request");
    }
    for path in ["/t/%00.gif", "/u/%00", "/inbound/%00/%00", "/inbound/smtp2go/a%00"] {
        let answer = api.send(request("GET", path, None, None)).await;
        assert!(matches!(answer.status.as_u16(), 400 | 404), "{path}: {} {}", answer.status, answer.text);
    }
}

#[tokio::test]
async fn a_parameter_that_is_unknown_wrong_or_given_twice_is_named() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let details = api.get(&key, "/outreaches?limit=5&limit=6&after=x&statuz=1").await.expect_error(400, "bad_request");
    assert_eq!(
        details,
        json!({
            "limit": ["is given more than once"],
            "after": ["must be an id"],
            "statuz": ["is no known parameter; known: limit, after"],
        })
    );
    for limit in ["0", "1001", "-1", "1.5", "", "99999999999999999999"] {
        let details = api.get(&key, &format!("/campaigns?limit={limit}")).await.expect_error(400, "bad_request");
        assert_eq!(details["limit"], json!(["must be a whole number from 1 to 1000"]), "{limit}");
    }
}

#[tokio::test]
async fn what_a_call_does_not_take_is_named_and_nothing_is_done() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let campaign = api.campaign(&key, json!({})).await;
    let path = |rest: &str| format!("/campaigns/{campaign}{rest}");
    let details = api.post(&key, &path("/dispatch?batch_number=2"), json!({})).await.expect_error(400, "bad_request");
    assert_eq!(details["batch_number"], json!(["is no known parameter; known: there are none here"]));
    let details = api.post(&key, &path("/pause"), json!({"reason": "x"})).await.expect_error(422, "validation_failed");
    assert!(details["reason"].is_array(), "{details}");
    api.get(&key, &path("?fields=name")).await.expect_error(400, "bad_request");
    assert_eq!(api.get(&key, &path("")).await.json()["status"], "pending");
    // An empty object says nothing.
    api.post(&key, &path("/pause"), json!({})).await.expect_error(422, "campaign_not_active");
}
