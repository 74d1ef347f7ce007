//! Contacts come into campaigns: many at once, twice at once, and ahead of others.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::super::test_support::{Key, TestApi};
use crate::domain::Timestamp;

async fn import_of(api: &TestApi, key: &Key, name: &str, count: usize) -> String {
    let addresses: Vec<String> = (0..count).map(|n| format!("{name}{n}@example.org")).collect();
    api.import(key, &addresses.iter().map(String::as_str).collect::<Vec<_>>()).await
}

#[tokio::test]
async fn batches_are_shown_a_thousand_at_a_time() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let campaign = format!("/campaigns/{}", api.campaign(&key, json!({})).await);
    let import = import_of(&api, &key, "a", 1003).await;
    let body = json!({ "contact_import_id": import, "batch_size": 1 });
    let enrolled = api.post(&key, &format!("{campaign}/enroll"), body).await.expect(StatusCode::OK);
    assert_eq!((&enrolled["enrolled"], &enrolled["batches"]), (&json!(1003), &json!(1003)));
    let first = api.get(&key, &campaign).await.expect(StatusCode::OK);
    assert_eq!((first["per_batch"].as_array().unwrap().len(), &first["more_batches_after"]), (1000, &json!(1000)));
    let second = api.get(&key, &format!("{campaign}?batches_after=1000")).await.expect(StatusCode::OK);
    let numbers: Vec<_> = second["per_batch"].as_array().unwrap().iter().map(|one| &one["batch_number"]).collect();
    assert_eq!(
        (numbers, &second["more_batches_after"]),
        (vec![&json!(1001), &json!(1002), &json!(1003)], &Value::Null)
    );
    api.get(&key, &format!("{campaign}?batches_after=x")).await.expect_error(400, "bad_request");
}

#[tokio::test]
async fn enrolling_twice_at_once_makes_no_duplicates_and_mixes_no_batches() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let campaign = format!("/campaigns/{}", api.campaign(&key, json!({})).await);
    let (a, b) = (import_of(&api, &key, "a", 4100).await, import_of(&api, &key, "b", 4100).await);
    let enroll = async |import: &str| {
        let body = json!({ "contact_import_id": import, "batch_size": 30 });
        api.post(&key, &format!("{campaign}/enroll"), body).await.expect(StatusCode::OK)
    };
    // The first import twice, and another beside it: each goes in several transactions.
    let (one, again, other) = tokio::join!(enroll(&a), enroll(&a), enroll(&b));
    let count = |answer: &Value, name: &str| answer[name].as_u64().unwrap();
    assert_eq!(count(&one, "enrolled") + count(&again, "enrolled"), 4100);
    assert_eq!(count(&one, "skipped_count") + count(&again, "skipped_count"), 4100);
    assert_eq!(count(&other, "enrolled"), 4100);
    let shown = api.get(&key, &campaign).await.expect(StatusCode::OK);
    assert_eq!(shown["totals"]["pending"], 8200);
    let sizes: Vec<u64> =
        shown["per_batch"].as_array().unwrap().iter().map(|one| count(&one["totals"], "pending")).collect();
    assert!(sizes.iter().all(|size| (1..=30).contains(size)), "{sizes:?}");
    let batches = [&one, &again, &other].map(|answer| count(answer, "batches")).iter().sum::<u64>();
    assert_eq!((sizes.iter().sum::<u64>(), u64::try_from(sizes.len()).unwrap()), (8200, batches));
    assert_eq!(enroll(&a).await["enrolled"], 0);
}

/// When the first step of each enrollment of a batch leaves, oldest enrollment first.
async fn due_times(api: &TestApi, key: &Key, campaign: &str) -> Vec<Timestamp> {
    let listed = api.get(key, &format!("{campaign}/enrollments")).await.expect(StatusCode::OK);
    let mut times = Vec::new();
    for enrollment in listed.as_array().unwrap().iter().rev() {
        let timeline = api.get(key, &format!("/enrollments/{}/timeline", enrollment["id"].as_str().unwrap())).await;
        let timeline = timeline.expect(StatusCode::OK);
        let queued = timeline.as_array().unwrap().iter().find(|fact| fact["kind"] == "queued").cloned();
        times.extend(queued.map(|fact| fact["due_at"].as_str().unwrap().parse::<Timestamp>().unwrap()));
    }
    times
}

#[tokio::test]
async fn priority_goes_first_in_a_batch_that_is_under_way_and_keeps_its_gaps() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let waits = json!({ "min_wait_seconds": 600, "max_wait_seconds": 600 });
    let campaign = format!("/campaigns/{}", api.campaign(&key, waits).await);
    let import = import_of(&api, &key, "a", 3).await;
    let body = json!({ "contact_import_id": import });
    api.post(&key, &format!("{campaign}/enroll"), body).await.expect(StatusCode::OK);
    api.post(&key, &format!("{campaign}/dispatch"), json!({})).await.expect(StatusCode::ACCEPTED);
    let before = due_times(&api, &key, &campaign).await;

    let late = import_of(&api, &key, "late", 1).await;
    let contacts = api.get(&key, &format!("/contact_imports/{late}/contacts")).await.expect(StatusCode::OK);
    let body = json!({ "contact_id": contacts[0]["id"], "batch_number": 1, "priority": true });
    let made = api.post(&key, &format!("{campaign}/enroll_contact"), body.clone()).await.expect(StatusCode::CREATED);
    assert_eq!((&made["batch_number"], &made["status"]), (&json!(1), &json!("pending")));
    api.post(&key, &format!("{campaign}/enroll_contact"), body).await.expect_error(422, "contact_already_enrolled");
    let only = json!({ "batch_number": 1 });
    let dispatched = api.post(&key, &format!("{campaign}/dispatch"), only).await.expect(StatusCode::ACCEPTED);
    assert_eq!((&dispatched["dispatched"], &dispatched["batches"]), (&json!(1), &json!(1)));
    let after = due_times(&api, &key, &campaign).await;
    let gap = std::time::Duration::from_secs(600);
    let later: Vec<Timestamp> = before.iter().map(|at| at.plus(gap)).collect();
    assert_eq!((after[3], &after[..3]), (before[0], later.as_slice()));
}
