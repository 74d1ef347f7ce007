//! An account's keys: the last one stays whoever revokes at the same time, a revoked one is dead everywhere at once, and
//! what was called with them is counted, on all nodes and over a stop.

use ampout_tests::{Api, Database, Engine, Installation, Serving, text};
use anyhow::ensure;
use reqwest::Method;
use serde_json::{Value, json};

super::on_both_databases!(
    two_keys_that_are_revoked_at_once_leave_one,
    what_was_called_is_counted_over_a_stop,
    a_wrong_key_is_told_from_one_that_may_not
);

const ROUNDS: usize = 10;

async fn two_keys_that_are_revoked_at_once_leave_one(database: Database) -> anyhow::Result<()> {
    let engine = Engine::on(database).start().await?;
    let mut one = engine.api.clone();
    for _ in 0..ROUNDS {
        let own = one.get("/api_keys").await?[0]["id"].clone();
        let made = one.post("/api_keys", json!({ "label": "other" })).await?;
        let other = Api::new(&engine.base(), text(&made["plaintext"])?)?;
        let (own, others) = (format!("/api_keys/{}", text(&own)?), format!("/api_keys/{}", text(&made["id"])?));
        // Each revokes itself.
        let (ended, others_ended) =
            tokio::try_join!(one.call(Method::DELETE, &own, None), other.call(Method::DELETE, &others, None))?;
        let (gone, stays, refused) = if ended.status == 200 { (one, other, others_ended) } else { (other, one, ended) };
        refused.refused(422, "cannot_revoke_last_key")?;
        gone.call(Method::GET, "/campaigns", None).await?.refused(401, "unauthorized")?;
        ensure!(stays.get("/api_keys").await?.as_array().map(Vec::len) == Some(1), "not one key is left");
        one = stays;
    }
    engine.stop().await;
    Ok(())
}

async fn what_was_called_is_counted_over_a_stop(database: Database) -> anyhow::Result<()> {
    let url = match database {
        Database::Sqlite => String::new(),
        Database::Postgres => ampout_tests::postgres::fresh_database().await?,
    };
    let settings = [("AMPOUT_DATABASE_URL", url.as_str()), ("AMPOUT_RATE_LIMIT_PER_MINUTE", "1000000")];
    let installation = Installation::new(&settings)?;
    let output = installation.run(&["keys", "create", "--client-kind", "mcp", "--json"]).await?;
    let key: Value = serde_json::from_slice(&output.stdout)?;
    let key = text(&key["plaintext"])?;
    let call = async |serving: &Serving, times: usize| -> anyhow::Result<Api> {
        let api = Api::new(&serving.base(), key)?;
        for _ in 0..times {
            api.get("/campaigns").await?;
        }
        Ok(api)
    };

    let mut first = installation.serve().await?;
    call(&first, 20).await?;
    let mut expected = 20;
    if database == Database::Postgres {
        // A second node counts into the same rows at the same time.
        let mut second = installation.serve().await?;
        let (_, _) = tokio::try_join!(call(&first, 30), call(&second, 30))?;
        expected += 60;
        second.end_by("TERM").await?;
    }
    first.end_by("TERM").await?;
    let again = installation.serve().await?;
    let api = call(&again, 5).await?;
    let usage = api.get("/usage?since=24h").await?;
    let of_list = usage["top_paths"].as_array().into_iter().flatten().find(|row| row["path"] == "/campaigns");
    let expected = json!({ "client_kind": "mcp", "method": "GET", "path": "/campaigns", "count": expected + 5 });
    ensure!(of_list == Some(&expected), "{usage}");
    ensure!(usage["total"] == usage["by_kind"]["mcp"], "{usage}");
    let used = api.get("/api_keys").await?[0]["last_used_at"].clone();
    ensure!(used.is_string(), "the use of the key is not kept: {used}");
    Ok(())
}

async fn a_wrong_key_is_told_from_one_that_may_not(database: Database) -> anyhow::Result<()> {
    let engine = Engine::on(database).start().await?;
    let made = engine.api.post("/api_keys", json!({ "label": "reader", "scopes": ["read"] })).await?;
    let reader = Api::new(&engine.base(), text(&made["plaintext"])?)?;
    reader.get("/usage").await?;
    let outreach = json!({ "outreach": { "name": "o" } });
    reader.call(Method::POST, "/outreaches", Some(outreach.clone())).await?.refused(403, "forbidden")?;
    engine.api.call(Method::DELETE, &format!("/api_keys/{}", text(&made["id"])?), None).await?.succeeded()?;
    for (method, body) in [(Method::GET, None), (Method::POST, Some(outreach))] {
        reader.call(method, "/outreaches", body).await?.refused(401, "unauthorized")?;
    }
    engine.stop().await;
    Ok(())
}
