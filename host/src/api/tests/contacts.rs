//! Contacts, imports and suppressions.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::super::test_support::TestApi;
use crate::domain::EmailAddress;
use crate::domain::ids::ContactId;
use crate::store::contacts::{self, NewContact};

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
async fn a_name_is_kept_without_outer_blanks_and_none_where_nothing_is_left_of_it() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let contact = json!({"email": "a@example.org", "first_name": " Ada ", "last_name": "", "company": "  "});
    let body = json!({"contact_import": {"name": "l", "contacts": [contact]}});
    let made = api.post(&key, "/contact_imports", body).await.expect(StatusCode::CREATED);
    let path = format!("/contact_imports/{}/contacts", made["id"].as_str().unwrap());
    let names = |contact: &Value| json!([contact["first_name"], contact["last_name"], contact["company"]]);
    let imported = api.get(&key, &path).await.json()[0].clone();
    assert_eq!(names(&imported), json!(["Ada", null, null]));
    let path = format!("/contacts/{}", imported["id"].as_str().unwrap());
    let patch = |body| api.call("PATCH", &key, &path, Some(json!({"contact": body})));
    let changed = patch(json!({"first_name": "", "last_name": "Lovelace ", "company": "\u{a0}"})).await;
    assert_eq!(names(&changed.expect(StatusCode::OK)), json!([null, "Lovelace", null]));
    let details = patch(json!({"company": "a\tb"})).await.expect_error(422, "validation_failed");
    assert_eq!(details["contact.company"], json!(["must be one line without control characters"]));
}

#[tokio::test]
async fn pages_of_an_import_stay_whole_while_it_grows() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let addresses: Vec<String> = (0..25).map(|n| format!("a{n}@example.org")).collect();
    let import = api.import(&key, &addresses.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut path = format!("/contact_imports/{import}/contacts?limit=10");
    let mut seen = Vec::new();
    loop {
        let page = api.get(&key, &path).await;
        let link = page.header("link").to_owned();
        for contact in page.expect(StatusCode::OK).as_array().unwrap() {
            seen.push(contact["email"].as_str().unwrap().to_owned());
        }
        // Newer contacts come before the first page and move no other.
        let id = import.parse().unwrap();
        let now = api.app.clock.now();
        let email = EmailAddress::parse(&format!("late{}@example.org", seen.len())).unwrap();
        let late = NewContact { id: ContactId::new(now), email, first_name: None, last_name: None, company: None };
        let mut tx = api.app.store.begin().await.unwrap();
        assert!(contacts::grow_import(&mut tx, key.account, id, 25, &[late], now).await.unwrap());
        tx.commit().await.unwrap();
        let Some(next) = link.strip_prefix("<http://ampout.example").and_then(|rest| rest.split_once('>')) else {
            break;
        };
        path = next.0.to_owned();
    }
    let expected: Vec<_> = addresses.into_iter().rev().collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn the_old_address_of_whoever_unsubscribed_is_never_mailed() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let import = api.import(&key, &["a@example.org", "b@example.org"]).await;
    let contacts = api.get(&key, &format!("/contact_imports/{import}/contacts")).await.json();
    for contact in contacts.as_array().unwrap() {
        let id = contact["id"].as_str().unwrap();
        if contact["email"] == "a@example.org" {
            let mut tx = api.app.store.begin().await.unwrap();
            contacts::unsubscribe(tx.conn(), key.account, id.parse().unwrap(), api.app.clock.now()).await.unwrap();
            tx.commit().await.unwrap();
        }
        let moved = json!({"contact": {"email": format!("new.{}", contact["email"].as_str().unwrap())}});
        api.call("PATCH", &key, &format!("/contacts/{id}"), Some(moved)).await.expect(StatusCode::OK);
    }
    let suppressed = api.get(&key, "/suppressions").await.json();
    assert_eq!((suppressed.as_array().unwrap().len(), &suppressed[0]["value"]), (1, &json!("a@example.org")));
}
