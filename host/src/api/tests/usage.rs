//! What calls are counted as, and who sees it.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::json;

use super::super::test_support::{Key, TestApi, request};

const DAY: Duration = Duration::from_secs(24 * 3600);

#[tokio::test]
async fn calls_are_counted_by_kind_day_and_route() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let made = api.post(&key, "/api_keys", json!({"label": "tools", "client_kind": "mcp"})).await;
    let plaintext = made.expect(StatusCode::CREATED)["plaintext"].as_str().unwrap().to_owned();
    let tools = Key { account: key.account, plaintext };
    let campaign = api.campaign(&key, json!({})).await;
    for _ in 0..3 {
        api.get(&tools, &format!("/campaigns/{campaign}?")).await.expect(StatusCode::OK);
    }
    api.app.clock.advance(DAY);
    let missing =
        "/campaigns/019ab7c0-0000-7000-8000-000000000000/smtp_credentials/019ab7c0-0000-7000-8000-000000000001";
    api.get(&tools, missing).await.expect_error(404, "campaign_not_found");

    let usage = api.get(&key, "/usage?since=2d").await.expect(StatusCode::OK);
    assert_eq!(
        usage,
        json!({
            "since": "2026-11-22T00:00:00.000Z",
            "total": 7,
            "by_kind": { "direct": 3, "mcp": 4, "sdk": 0 },
            "by_kind_per_day": {
                "2026-11-23": { "direct": 2, "mcp": 3, "sdk": 0 },
                "2026-11-24": { "direct": 1, "mcp": 1, "sdk": 0 },
            },
            "top_paths": [
                { "client_kind": "mcp", "method": "GET", "path": "/campaigns/:id", "count": 3 },
                { "client_kind": "direct", "method": "POST", "path": "/api_keys", "count": 1 },
                { "client_kind": "direct", "method": "POST", "path": "/campaigns", "count": 1 },
                { "client_kind": "mcp", "method": "GET", "path": "/campaigns/:id/smtp_credentials/:id", "count": 1 },
                { "client_kind": "direct", "method": "GET", "path": "/usage", "count": 1 },
            ],
        })
    );
    let today = api.get(&key, "/usage?since=2026-11-24").await.expect(StatusCode::OK);
    assert_eq!((&today["total"], &today["since"]), (&json!(3), &json!("2026-11-24T00:00:00.000Z")));
    let stranger = api.key().await;
    assert_eq!(api.get(&stranger, "/usage").await.expect(StatusCode::OK)["total"], 1);
}

#[tokio::test]
async fn calls_without_a_key_or_beyond_its_limit_are_not_counted() {
    let api = TestApi::with(&[("rate_limit_per_minute", "2")]).await;
    let key = api.key().await;
    api.send(request("GET", "/campaigns", None, None)).await.expect_error(401, "unauthorized");
    api.send(request("GET", "/status", None, None)).await.expect(StatusCode::OK);
    api.get(&key, "/campaigns").await.expect(StatusCode::OK);
    api.get(&key, "/campaigns").await.expect(StatusCode::OK);
    api.get(&key, "/campaigns").await.expect_error(429, "rate_limited");
    api.app.clock.advance(Duration::from_secs(60));
    assert_eq!(api.get(&key, "/usage").await.expect(StatusCode::OK)["total"], 3);
}

#[tokio::test]
async fn what_is_no_beginning_is_told() {
    let api = TestApi::start().await;
    let key = api.key().await;
    for since in ["7w", "", "tomorrow", "2026-11-23T08:00:01Z", "0d"] {
        let details = api.get(&key, &format!("/usage?since={since}")).await.expect_error(400, "bad_request");
        assert_eq!(details, json!({"since": ["must be 7d, 24h or a past time such as 2026-11-23T08:00:00Z"]}));
    }
    // What is not kept any more is not asked for in vain, and the answer says where the counts begin.
    let usage = api.get(&key, "/usage?since=4000d").await.expect(StatusCode::OK);
    assert_eq!(usage["since"], "2025-10-19T00:00:00.000Z");
}
