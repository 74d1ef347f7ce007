//! Accounts and keys.

use ampout_tests::{Api, text};
use anyhow::ensure;
use serde_json::json;

use super::{World, has, is, with_status};

#[tokio::test]
async fn signing_up_gives_an_account_and_its_first_key() -> anyhow::Result<()> {
    let world = World::start().await?;
    let made = with_status(world.post("/signup", json!({ "email": "new@company.test", "name": "New" })).await?, 201)?;
    is(&made, "account_id plan_slug api_key")?;
    is(&made["api_key"], "id prefix plaintext")?;
    let (key, prefix) = (text(&made["api_key"]["plaintext"])?, text(&made["api_key"]["prefix"])?);
    // ak_live_ and 32 bytes of base64url; the prefix is its first twelve characters.
    assert_eq!((key.len(), &key[..8], &key[..12]), (8 + 43, "ak_live_", prefix));
    let new = Api::new(&world.engine.base(), key)?;
    assert_eq!(new.get("/campaigns").await?, json!([]));
    Ok(())
}

#[tokio::test]
async fn keys_are_listed_made_and_revoked() -> anyhow::Result<()> {
    let world = World::start().await?;
    let made = with_status(world.post("/api_keys", json!({ "label": "ci" })).await?, 201)?;
    has(&made, "id prefix label client_kind scopes last_used_at created_at plaintext")?;
    assert_eq!((&made["client_kind"], made["scopes"].as_array().map(Vec::len)), (&json!("direct"), Some(5)));
    let listed = world.api().get("/api_keys").await?;
    is(&listed[0], "id prefix label client_kind scopes last_used_at created_at")?;
    ensure!(!listed.to_string().contains(text(&made["plaintext"])?), "a key is shown twice");
    for kind in ["direct", "mcp", "sdk"] {
        let body = json!({ "label": kind, "client_kind": kind, "scopes": ["read"] });
        assert_eq!(world.api().post("/api_keys", body).await?["scopes"], json!(["read"]));
    }
    let refused = world.post("/api_keys", json!({ "label": "x", "client_kind": "robot", "scopes": ["fly"] })).await?;
    has(&refused.refused(422, "validation_failed")?["details"], "client_kind scopes.0")?;

    let path = format!("/api_keys/{}", text(&made["id"])?);
    let revoked = with_status(world.delete(&path).await?, 200)?;
    assert_eq!(revoked, json!({ "id": made["id"], "status": "revoked" }));
    let gone = Api::new(&world.engine.base(), text(&made["plaintext"])?)?;
    gone.call(reqwest::Method::GET, "/campaigns", None).await?.refused(401, "unauthorized")?;
    Ok(())
}

#[tokio::test]
async fn the_last_active_key_stays() -> anyhow::Result<()> {
    let world = World::start().await?;
    let only = world.api().get("/api_keys").await?[0]["id"].clone();
    world.delete(&format!("/api_keys/{}", text(&only)?)).await?.refused(422, "cannot_revoke_last_key")?;
    assert_eq!(world.api().get("/campaigns").await?, json!([]));
    Ok(())
}

#[tokio::test]
async fn usage_counts_authenticated_calls_by_kind_and_path() -> anyhow::Result<()> {
    let world = World::start().await?;
    let campaign = world.campaign().await?;
    for _ in 0..3 {
        campaign.show().await?;
    }
    let since = "2020-01-01T00:00:00Z";
    for asked in ["7d", since] {
        let usage = world.api().get(&format!("/usage?since={asked}")).await?;
        is(&usage, "since total by_kind by_kind_per_day top_paths")?;
        let top = usage["top_paths"].as_array().cloned().unwrap_or_default();
        ensure!(top.len() <= 50 && top.iter().all(|row| is(row, "client_kind method path count").is_ok()), "{usage}");
        let shown = top.iter().find(|row| row["path"] == "/campaigns/:id" && row["method"] == "GET");
        assert_eq!(shown.map(|row| &row["count"]), Some(&json!(3)), "{usage}");
        ensure!(usage["total"].as_u64() >= Some(4) && usage["by_kind"]["direct"].as_u64() >= Some(4), "{usage}");
    }
    Ok(())
}
