//! Pages of lists, read while rows come and go.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::super::test_support::{Key, TestApi};

/// A page's ids, and the address of the next one.
async fn page(api: &TestApi, key: &Key, path: &str) -> (Vec<String>, Option<String>) {
    let answer = api.get(key, path).await;
    let ids = |body: Value| body.as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect();
    let link = answer
        .header("link")
        .strip_prefix("<http://ampout.example")
        .map(|link| link.strip_suffix(">; rel=\"next\"").unwrap_or_else(|| panic!("{link}")).to_owned());
    (ids(answer.expect(StatusCode::OK)), link)
}

#[tokio::test]
async fn pages_pass_over_nothing_and_repeat_nothing_while_rows_come_and_go() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let make = async || {
        api.app.clock.advance(Duration::from_millis(1));
        let made = api.post(&key, "/api_keys", json!({"label": "k"})).await.expect(StatusCode::CREATED);
        made["id"].as_str().unwrap().to_owned()
    };
    let mut all = Vec::new();
    for _ in 0..9 {
        all.push(make().await);
    }
    all.reverse();
    let (first, next) = page(&api, &key, "/api_keys?limit=3").await;
    assert_eq!(first, all[..3]);
    // The row that the next page begins after goes, one of that page goes, and a new one comes.
    for id in [&all[2], &all[4]] {
        api.call("DELETE", &key, &format!("/api_keys/{id}"), None).await.expect(StatusCode::OK);
    }
    make().await;
    let (second, next) = page(&api, &key, &next.unwrap()).await;
    assert_eq!(second, [&all[3], &all[5], &all[6]].map(String::clone));
    let (third, next) = page(&api, &key, &next.unwrap()).await;
    // The two that are left of the nine, and the key that all of this was asked with.
    assert_eq!((third.len(), &third[..2], next), (3, &all[7..9], None));
    let (beyond, next) = page(&api, &key, &format!("/api_keys?after={}", third[2])).await;
    assert_eq!((beyond.len(), next), (0, None));
}

#[tokio::test]
async fn the_link_keeps_the_filters() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let campaign = api.campaign(&key, json!({})).await;
    let import = api.import(&key, &["a@x.test", "b@x.test", "c@x.test"]).await;
    let enroll = format!("/campaigns/{campaign}/enroll");
    api.post(&key, &enroll, json!({"contact_import_id": import})).await.expect(StatusCode::OK);
    let path = format!("/campaigns/{campaign}/enrollments?status=pending&limit=2");
    let (first, next) = page(&api, &key, &path).await;
    let next = next.unwrap();
    assert!(next.contains("status=pending") && next.contains("limit=2"), "{next}");
    let (second, end) = page(&api, &key, &next).await;
    assert_eq!((first.len(), second.len(), end), (2, 1, None));
}
