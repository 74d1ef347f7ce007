//! Conventions: ids, times, lists, the public routes.

use ampout_tests::{Api, text};
use anyhow::ensure;
use reqwest::Method;
use serde_json::json;

use super::{World, has, is};

#[tokio::test]
async fn the_status_is_public_and_complete() -> anyhow::Result<()> {
    let world = World::start().await?;
    let visitor = Api::new(&world.engine.base(), "")?;
    let status = visitor.get("/status").await?;
    has(&status, "status version database extensions queue")?;
    assert_eq!((&status["status"], &status["database"]), (&json!("ok"), &json!("ok")));
    has(&status["extensions"], "loaded suspended")?;
    is(&status["queue"], "due in_doubt")?;
    assert_eq!(visitor.get("/openapi.json").await?["openapi"], "3.1.0");
    Ok(())
}

#[tokio::test]
async fn ids_sort_by_time_and_times_are_utc() -> anyhow::Result<()> {
    let world = World::start().await?;
    let make = async || world.api().post("/outreaches", json!({ "outreach": { "name": "x" } })).await;
    let (old, new) = (make().await?, make().await?);
    let (old_id, new_id) = (text(&old["id"])?, text(&new["id"])?);
    ensure!(old_id < new_id && old_id.as_bytes().get(14) == Some(&b'7'), "{old_id} {new_id}");
    ensure!(text(&old["created_at"])?.ends_with('Z'), "{old}");
    Ok(())
}

#[tokio::test]
async fn a_list_is_read_page_by_page_while_rows_are_added_and_deleted() -> anyhow::Result<()> {
    let world = World::start().await?;
    let mut made = Vec::new();
    for n in 0..25 {
        let suppression = json!({ "suppression": { "email": format!("bo{n}@there.test") } });
        made.push(text(&world.api().post("/suppressions", suppression).await?["id"])?.to_owned());
    }
    let mut seen = Vec::new();
    let mut path = "/suppressions?limit=10".to_owned();
    loop {
        let page = world.api().get(&path).await?;
        let ids: Vec<String> = page
            .as_array()
            .into_iter()
            .flatten()
            .map(|row| text(&row["id"]).map(str::to_owned))
            .collect::<Result<_, _>>()?;
        let Some(last) = ids.last().cloned() else { break };
        path = format!("/suppressions?limit=10&after={last}");
        seen.extend(ids);
        let late = json!({ "suppression": { "email": format!("late{}@there.test", seen.len()) } });
        world.api().post("/suppressions", late).await?;
        // The cursor's own row may go, too.
        world.api().call(Method::DELETE, &format!("/suppressions/{last}"), None).await?.succeeded()?;
    }
    made.reverse();
    assert_eq!(seen, made);
    Ok(())
}
