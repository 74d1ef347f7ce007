//! Keys and signing up.

use axum::http::StatusCode;
use serde_json::json;

use super::super::test_support::{Key, TestApi, request};
use crate::domain::api_key::Scope;

#[tokio::test]
async fn a_new_key_works_until_it_is_revoked_and_the_last_one_stays() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let made = api.post(&key, "/api_keys", json!({"label": "second", "scopes": ["read", "admin"]})).await;
    let made = made.expect(StatusCode::CREATED);
    let second = Key { account: key.account, plaintext: made["plaintext"].as_str().unwrap().to_owned() };
    let listed = api.get(&second, "/api_keys").await;
    assert_eq!(listed.expect(StatusCode::OK).as_array().unwrap().len(), 2);
    assert!(!listed.text.contains(&second.plaintext) && !listed.text.contains("hash"));
    let more = json!({"label": "third", "scopes": ["write"]});
    api.post(&second, "/api_keys", more).await.expect_error(422, "validation_failed");

    let path = format!("/api_keys/{}", made["id"].as_str().unwrap());
    assert_eq!(api.call("DELETE", &key, &path, None).await.expect(StatusCode::OK)["status"], "revoked");
    api.get(&second, "/campaigns").await.expect_error(401, "unauthorized");
    let own = api.get(&key, "/api_keys").await.json()[0]["id"].as_str().unwrap().to_owned();
    api.call("DELETE", &key, &format!("/api_keys/{own}"), None).await.expect_error(422, "cannot_revoke_last_key");
}

#[tokio::test]
async fn the_last_key_that_may_admin_keys_stays_beside_others() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let own = api.get(&key, "/api_keys").await.json()[0]["id"].as_str().unwrap().to_owned();
    let reader = json!({"label": "reader", "scopes": ["read"]});
    let reader = api.post(&key, "/api_keys", reader).await.expect(StatusCode::CREATED);
    let revoke = async |id: &str| api.call("DELETE", &key, &format!("/api_keys/{id}"), None).await;
    revoke(&own).await.expect_error(422, "cannot_revoke_last_key");
    revoke(reader["id"].as_str().unwrap()).await.expect(StatusCode::OK);
    let other = json!({"label": "other", "scopes": ["read", "admin"]});
    api.post(&key, "/api_keys", other).await.expect(StatusCode::CREATED);
    revoke(&own).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn anybody_signs_up_where_that_is_open() {
    let closed = TestApi::start().await;
    let body = json!({"email": "ada@example.org"});
    closed.send(request("POST", "/signup", None, Some(body.clone()))).await.expect_error(404, "not_found");

    let api = TestApi::with(&[("signup", "open")]).await;
    let operator = api.key_with(Scope::ALL).await;
    api.app.clock.advance(std::time::Duration::from_millis(1));
    let made = api.send(request("POST", "/signup", None, Some(body.clone()))).await.expect(StatusCode::CREATED);
    let plaintext = made["api_key"]["plaintext"].as_str().unwrap().to_owned();
    let guest = Key { account: made["account_id"].as_str().unwrap().parse().unwrap(), plaintext };
    api.get(&guest, "/campaigns").await.expect(StatusCode::OK);
    // A guest's key has every scope, and the system is still the operator's alone.
    let none = Some(json!({"bindings": []}));
    api.call("PUT", &guest, "/bindings?scope=system", none.clone()).await.expect_error(403, "forbidden");
    api.call("PUT", &operator, "/bindings?scope=system", none).await.expect(StatusCode::OK);

    for _ in 0..4 {
        api.send(request("POST", "/signup", None, Some(body.clone()))).await.expect(StatusCode::CREATED);
    }
    api.send(request("POST", "/signup", None, Some(body))).await.expect_error(429, "rate_limited");
}

#[tokio::test]
async fn a_key_says_through_what_it_is_used_and_makes_none_that_may_do_more() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let sdk = json!({"label": "library", "client_kind": "sdk", "scopes": ["admin", "read", "admin"]});
    let made = api.post(&key, "/api_keys", sdk).await.expect(StatusCode::CREATED);
    assert_eq!((&made["client_kind"], &made["scopes"]), (&json!("sdk"), &json!(["read", "admin"])));
    let narrow = Key { account: key.account, plaintext: made["plaintext"].as_str().unwrap().to_owned() };
    let child = api.post(&narrow, "/api_keys", json!({"label": "child"})).await.expect(StatusCode::CREATED);
    assert_eq!(child["scopes"], json!(["read", "admin"]));

    let wrong = json!({"label": "", "client_kind": "fax", "scopes": ["read", "send", "fly"], "colour": "red"});
    let details = api.post(&narrow, "/api_keys", wrong).await.expect_error(422, "validation_failed");
    let named: Vec<&String> = details.as_object().unwrap().keys().collect();
    assert_eq!(named, ["client_kind", "colour", "label", "scopes.1", "scopes.2"]);
    let none = json!({"label": "useless", "scopes": []});
    let details = api.post(&key, "/api_keys", none).await.expect_error(422, "validation_failed");
    assert_eq!(details["scopes"], json!(["must not be empty; leave it out for all that your own key may do"]));
}

#[tokio::test]
async fn who_has_no_valid_key_is_told_to_wait_and_nobody_else_at_the_address() {
    let api = TestApi::with(&[("failed_authentications_per_minute", "3")]).await;
    let known = api.key().await;
    let newcomer = api.key().await;
    api.get(&known, "/campaigns").await.expect(StatusCode::OK);
    let guess = Key { account: known.account, plaintext: format!("ak_live_{}", "A".repeat(43)) };
    for _ in 0..3 {
        api.get(&guess, "/campaigns").await.expect_error(401, "unauthorized");
    }
    let refused = api.get(&guess, "/campaigns").await;
    refused.expect_error(429, "rate_limited");
    assert_eq!((refused.header("retry-after"), refused.header("ratelimit-limit")), ("60", "3"));
    api.send(request("GET", "/campaigns", None, None)).await.expect_error(429, "rate_limited");
    api.get(&known, "/campaigns").await.expect(StatusCode::OK);
    api.get(&newcomer, "/campaigns").await.expect_error(429, "rate_limited");
    api.send(request("GET", "/status", None, None)).await.expect(StatusCode::OK);
    api.app.clock.advance(std::time::Duration::from_secs(60));
    api.get(&newcomer, "/campaigns").await.expect(StatusCode::OK);
}

#[tokio::test]
async fn a_signup_that_is_wrong_does_not_count_and_each_answer_tells_of_the_limit() {
    let api = TestApi::with(&[("signup", "open")]).await;
    let sign_up = async |body| api.send(request("POST", "/signup", None, Some(body))).await;
    for _ in 0..6 {
        let details = sign_up(json!({"email": "nobody", "name": ""})).await.expect_error(422, "validation_failed");
        assert_eq!(details.as_object().unwrap().len(), 2);
    }
    let good = json!({"email": "ada@example.org", "name": "Ada"});
    for left in ["4", "3", "2", "1", "0"] {
        let answer = sign_up(good.clone()).await;
        assert_eq!(answer.expect(StatusCode::CREATED)["plan_slug"], "self_hosted");
        assert_eq!((answer.header("ratelimit-limit"), answer.header("ratelimit-remaining")), ("5", left));
    }
    let answer = sign_up(good.clone()).await;
    answer.expect_error(429, "rate_limited");
    assert_eq!((answer.header("retry-after"), answer.header("ratelimit-reset")), ("3600", "3600"));
    api.app.clock.advance(std::time::Duration::from_secs(3600));
    sign_up(good).await.expect(StatusCode::CREATED);
}
