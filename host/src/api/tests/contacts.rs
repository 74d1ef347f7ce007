//! Contacts, imports and suppressions.

use axum::http::StatusCode;
use serde_json::json;

use super::super::test_support::TestApi;

#[tokio::test]
async fn an_import_drops_what_the_list_or_the_account_has() {
    let api = TestApi::start().await;
    let key = api.key().await;
    api.import(&key, &["a@example.org"]).await;
    let contacts =
        json!([{"email": "A@Example.org"}, {"email": " b@bücher.example "}, {"email": "B@xn--bcher-kva.example"}]);
    let body = json!({"contact_import": {"name": "second", "contacts": contacts}});
    let made = api.post(&key, "/contact_imports", body).await.expect(StatusCode::CREATED);
    assert_eq!((&made["record_count"], &made["skipped"]), (&json!(3), &json!(2)));
    let path = format!("/contact_imports/{}", made["id"].as_str().unwrap());
    assert_eq!(api.get(&key, &path).await.expect(StatusCode::OK)["contact_count"], 1);
    let contacts = api.get(&key, &format!("{path}/contacts")).await.expect(StatusCode::OK);
    assert_eq!(contacts[0]["email"], "b@xn--bcher-kva.example");
}

#[tokio::test]
async fn a_wrong_contact_is_named_by_its_place() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let contacts = json!([{"email": "a@example.org"}, {"email": "nobody", "first_name": "a\u{0}"}, {"name": "x"}]);
    let body = json!({"contact_import": {"name": "l", "contacts": contacts}});
    let details = api.post(&key, "/contact_imports", body).await.expect_error(422, "validation_failed");
    let fields: Vec<_> = details.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        fields,
        [
            "contact_import.contacts.1.email",
            "contact_import.contacts.1.first_name",
            "contact_import.contacts.2.email",
            "contact_import.contacts.2.name"
        ]
    );
    let none = json!({"contact_import": {"name": "l", "contacts": []}});
    api.post(&key, "/contact_imports", none).await.expect_error(422, "no_contacts_provided");
}

#[tokio::test]
async fn a_contact_is_changed_but_not_its_choice() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let import = api.import(&key, &["a@example.org", "b@example.org"]).await;
    let contacts = api.get(&key, &format!("/contact_imports/{import}/contacts")).await.json();
    let one = contacts.as_array().unwrap().iter().find(|c| c["email"] == "a@example.org").unwrap();
    let path = format!("/contacts/{}", one["id"].as_str().unwrap());
    let patch = |body| api.call("PATCH", &key, &path, Some(json!({"contact": body})));
    let changed = patch(json!({"email": "ada@example.org", "company": "Ampout"})).await.expect(StatusCode::OK);
    assert_eq!((&changed["email"], &changed["company"]), (&json!("ada@example.org"), &json!("Ampout")));
    let details = patch(json!({"email": "B@example.org"})).await.expect_error(422, "validation_failed");
    assert_eq!(details["contact.email"], json!(["is the address of another contact"]));
    patch(json!({"unsubscribed_at": null})).await.expect_error(422, "validation_failed");
    let stranger = api.key().await;
    api.get(&stranger, &path).await.expect_error(404, "contact_not_found");
}

#[tokio::test]
async fn a_suppression_is_an_address_or_a_domain() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let add = |body| api.post(&key, "/suppressions", json!({ "suppression": body }));
    let made = add(json!({"email": "A@Example.org"})).await.expect(StatusCode::CREATED);
    assert_eq!((&made["kind"], &made["value"]), (&json!("address"), &json!("a@example.org")));
    let again = add(json!({"email": "a@example.org"})).await.expect(StatusCode::CREATED);
    assert_eq!(again["id"], made["id"]);
    add(json!({"email": "a@example.org", "domain": "example.org"})).await.expect_error(422, "validation_failed");
    let path = format!("/suppressions/{}", made["id"].as_str().unwrap());
    let stranger = api.key().await;
    api.call("DELETE", &stranger, &path, None).await.expect_error(404, "suppression_not_found");
    assert_eq!(api.call("DELETE", &key, &path, None).await.expect(StatusCode::OK)["status"], "deleted");
}
