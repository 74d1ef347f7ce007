//! Deleting imports, contacts and campaigns, as a caller and a recipient notice it.

use axum::http::StatusCode;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::super::test_support::{Key, TestApi, request};
use crate::catalog::Catalog;
use crate::store::{deletions, suppressions};
use crate::test_support::TestApp;

async fn delete(api: &TestApi, key: &Key, path: &str) -> Value {
    api.call("DELETE", key, path, None).await.expect(StatusCode::OK)
}

/// A campaign of an import of three, dispatched; the ids of both.
async fn dispatched(api: &TestApi, key: &Key) -> (String, String) {
    let campaign = api.campaign(key, json!({})).await;
    let import = api.import(key, &["a@example.org", "b@example.org", "c@example.org"]).await;
    let body = json!({ "contact_import_id": import, "batch_size": 2 });
    api.post(key, &format!("/campaigns/{campaign}/enroll"), body).await.expect(StatusCode::OK);
    api.post(key, &format!("/campaigns/{campaign}/dispatch"), json!({})).await.expect(StatusCode::ACCEPTED);
    (campaign, import)
}

#[tokio::test]
async fn an_import_goes_with_its_contacts_and_their_enrollments() {
    let api = TestApi::start().await;
    let (key, stranger) = (api.key().await, api.key().await);
    let (campaign, import) = dispatched(&api, &key).await;
    let path = format!("/contact_imports/{import}");
    let contact = api.get(&key, &format!("{path}/contacts")).await.json()[0]["id"].as_str().unwrap().to_owned();
    api.call("DELETE", &stranger, &path, None).await.expect_error(404, "contact_import_not_found");
    assert_eq!(delete(&api, &key, &path).await, json!({ "id": import, "status": "deleted" }));
    api.get(&key, &path).await.expect_error(404, "contact_import_not_found");
    api.get(&key, &format!("{path}/contacts")).await.expect_error(404, "contact_import_not_found");
    api.get(&key, &format!("/contacts/{contact}")).await.expect_error(404, "contact_not_found");
    api.call("DELETE", &key, &path, None).await.expect_error(404, "contact_import_not_found");
    let shown = api.get(&key, &format!("/campaigns/{campaign}")).await.json();
    assert_eq!((&shown["totals"]["pending"], &shown["per_batch"][0]["totals"]["pending"]), (&json!(0), &json!(0)));
    let status = api.get(&key, "/status").await.json();
    assert_eq!(status["queue"]["due"], 0);
    // The addresses are free again.
    let again = api.import(&key, &["a@example.org"]).await;
    assert_eq!(api.get(&key, &format!("/contact_imports/{again}")).await.json()["contact_count"], 1);
}

#[tokio::test]
async fn a_contact_goes_and_its_import_stays() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let (campaign, import) = dispatched(&api, &key).await;
    let contacts = api.get(&key, &format!("/contact_imports/{import}/contacts")).await.json();
    let id = contacts[0]["id"].as_str().unwrap();
    let path = format!("/contacts/{id}");
    assert_eq!(delete(&api, &key, &path).await, json!({ "id": id, "status": "deleted" }));
    for method in ["GET", "DELETE"] {
        api.call(method, &key, &path, None).await.expect_error(404, "contact_not_found");
    }
    let body = json!({ "contact_id": id });
    api.post(&key, &format!("/campaigns/{campaign}/enroll_contact"), body).await.expect_error(404, "contact_not_found");
    let shown = api.get(&key, &format!("/contact_imports/{import}")).await.json();
    assert_eq!((&shown["record_count"], &shown["contact_count"]), (&json!(3), &json!(2)));
    assert_eq!(api.get(&key, &format!("/contact_imports/{import}/contacts")).await.json().as_array().unwrap().len(), 2);
    assert_eq!(api.get(&key, &format!("/campaigns/{campaign}")).await.json()["totals"]["pending"], 2);
}

#[tokio::test]
async fn a_campaign_goes_once_it_is_paused() {
    let api = TestApi::start().await;
    let (key, stranger) = (api.key().await, api.key().await);
    let outreach = json!({ "outreach": { "name": "o" } });
    let outreach = api.post(&key, "/outreaches", outreach).await.json()["id"].as_str().unwrap().to_owned();
    let (campaign, _) = dispatched(&api, &key).await;
    let other = api.campaign(&key, json!({ "outreach_id": outreach })).await;
    let path = format!("/campaigns/{campaign}");
    let told = api.call("DELETE", &key, &path, None).await;
    told.expect_error(422, "unprocessable");
    assert!(told.text.contains("pause it"), "{}", told.text);
    api.post(&key, &format!("{path}/pause"), json!({})).await.expect(StatusCode::OK);
    api.call("DELETE", &stranger, &path, None).await.expect_error(404, "campaign_not_found");
    assert_eq!(delete(&api, &key, &path).await, json!({ "id": campaign, "status": "deleted" }));
    for (method, below) in
        [("GET", ""), ("DELETE", ""), ("POST", "/dispatch"), ("POST", "/resume"), ("GET", "/smtp_credentials")]
    {
        api.call(method, &key, &format!("{path}{below}"), None).await.expect_error(404, "campaign_not_found");
    }
    assert_eq!(api.get(&key, "/campaigns").await.json().as_array().unwrap().len(), 1);
    // One that was never dispatched goes at once, and its outreach forgets it.
    delete(&api, &key, &format!("/campaigns/{other}")).await;
    let shown = api.get(&key, &format!("/outreaches/{outreach}")).await.json();
    assert_eq!((&shown["campaigns"], &shown["totals"]["pending"]), (&json!([]), &json!(0)));
}

#[tokio::test]
async fn the_link_in_the_mail_to_whoever_was_deleted_still_unsubscribes() {
    let app = TestApp::start().await;
    let account = app.account().await;
    let sender = app.sender(account, None).await;
    let send = app.sent(sender, "Bob@Example.com").await;
    let mut tx = app.store.begin().await.unwrap();
    deletions::mark_contact(&mut tx, account, send.contact_id, app.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
    assert!(crate::deletions::finish(&app, deletions::Doomed::Contact(send.contact_id)).await.unwrap());
    let router = crate::api::router(app.app.clone(), Catalog::start(&app).await.unwrap());
    let link = app.links.unsubscribe(send.enrollment_id);
    for method in ["GET", "POST"] {
        let answer = request(method, link.strip_prefix("http://ampout.example").unwrap(), None, None);
        assert_eq!(router.clone().oneshot(answer).await.unwrap().status(), StatusCode::OK, "{method}");
    }
    let mut conn = app.store.read().await.unwrap();
    let kept = suppressions::list(&mut conn, account, &crate::store::Page::first(10)).await.unwrap();
    assert_eq!(kept.iter().map(|one| one.value.as_str()).collect::<Vec<_>>(), ["bob@example.com"]);
}
