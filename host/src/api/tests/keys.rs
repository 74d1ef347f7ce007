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
