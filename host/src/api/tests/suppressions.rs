//! Suppressions: what is never mailed, and what they stop.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::super::test_support::{Key, TestApi};

#[tokio::test]
async fn a_suppression_is_an_address_or_a_domain() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let add = |body| api.post(&key, "/suppressions", json!({ "suppression": body }));
    let made = add(json!({"email": "A@Example.org"})).await.expect(StatusCode::CREATED);
    assert_eq!((&made["kind"], &made["value"]), (&json!("address"), &json!("a@example.org")));
    let again = add(json!({"email": "a@example.org"})).await.expect(StatusCode::OK);
    assert_eq!(again["id"], made["id"]);
    add(json!({"email": "a@example.org", "domain": "example.org"})).await.expect_error(422, "validation_failed");
    let path = format!("/suppressions/{}", made["id"].as_str().unwrap());
    let stranger = api.key().await;
    api.call("DELETE", &stranger, &path, None).await.expect_error(404, "suppression_not_found");
    assert_eq!(api.call("DELETE", &key, &path, None).await.expect(StatusCode::OK)["status"], "deleted");
}

#[tokio::test]
async fn addresses_and_domains_are_compared_whatever_their_case_and_script() {
    let api = TestApi::start().await;
    let key = api.key().await;
    for (given, kind, value) in [
        (json!({"domain": "@Bücher.Example"}), "domain", "xn--bcher-kva.example"),
        (json!({"email": "JÖRG@Bücher.example"}), "address", "jörg@xn--bcher-kva.example"),
    ] {
        let made = api.post(&key, "/suppressions", json!({ "suppression": given })).await.expect(StatusCode::CREATED);
        assert_eq!((&made["kind"], &made["value"]), (&json!(kind), &json!(value)));
    }
    for domain in ["localhost", "a b.example", "", "x@y@example.org", "127.0.0.1"] {
        let body = json!({ "suppression": { "domain": domain } });
        api.post(&key, "/suppressions", body).await.expect_error(422, "validation_failed");
    }
    let first = api.get(&key, "/suppressions?limit=1").await;
    let next =
        first.header("link").split_once('>').unwrap().0.strip_prefix("<http://ampout.example").unwrap().to_owned();
    let last = api.get(&key, &next).await;
    assert_eq!((first.json()[0]["kind"].as_str(), last.json()[0]["kind"].as_str()), (Some("address"), Some("domain")));
    assert_eq!(last.header("link"), "");
}

/// A campaign whose contacts are these, planned; its id.
async fn planned(api: &TestApi, key: &Key, addresses: &[&str]) -> String {
    let campaign = api.campaign(key, json!({})).await;
    let import = api.import(key, addresses).await;
    let body = json!({ "contact_import_id": import });
    api.post(key, &format!("/campaigns/{campaign}/enroll"), body).await.expect(StatusCode::OK);
    api.post(key, &format!("/campaigns/{campaign}/dispatch"), json!({})).await.expect(StatusCode::ACCEPTED);
    campaign
}

async fn due(api: &TestApi) -> Value {
    // The figures of the last second are shown again.
    api.app.clock.advance(std::time::Duration::from_secs(1));
    api.get(
        &Key { account: crate::domain::ids::AccountId::new(api.app.clock.now()), plaintext: String::new() },
        "/status",
    )
    .await
    .json()["queue"]["due"]
        .clone()
}

#[tokio::test]
async fn what_is_suppressed_is_not_due_any_more() {
    let api = TestApi::start().await;
    let (key, stranger) = (api.key().await, api.key().await);
    let addresses = ["a@one.example", "b@one.example", "c@mail.one.example", "d@two.example", "e@two.example"];
    let campaign = planned(&api, &key, &addresses).await;
    planned(&api, &stranger, &addresses).await;
    assert_eq!(due(&api).await, 10);
    let add = |body| api.post(&key, "/suppressions", json!({ "suppression": body }));
    add(json!({"domain": "ONE.example"})).await.expect(StatusCode::CREATED);
    assert_eq!(due(&api).await, 8, "the domain alone, and of this account");
    let made = add(json!({"email": "D@two.example"})).await.expect(StatusCode::CREATED);
    assert_eq!(due(&api).await, 7);
    add(json!({"domain": "one.example"})).await.expect(StatusCode::OK);
    let shown = api.get(&key, &format!("/campaigns/{campaign}")).await.json();
    assert_eq!(shown["skipped"]["suppressed"], 3);
    let enrollments = api.get(&key, &format!("/campaigns/{campaign}/enrollments")).await.json();
    let stopped = enrollments.as_array().unwrap().iter().filter(|one| one["stop_reason"] == "suppressed").count();
    assert_eq!(stopped, 3);
    // Lifting it lets the address be enrolled elsewhere; what was stopped stays so.
    api.call("DELETE", &key, &format!("/suppressions/{}", made["id"].as_str().unwrap()), None)
        .await
        .expect(StatusCode::OK);
    assert_eq!(due(&api).await, 7);
}
