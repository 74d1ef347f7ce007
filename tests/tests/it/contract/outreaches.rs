//! Outreaches.

use ampout_tests::text;
use reqwest::Method;
use serde_json::json;

use super::{BO, World, has, is, with_status};

#[tokio::test]
async fn a_group_is_made_listed_shown_and_changed() -> anyhow::Result<()> {
    let world = World::start().await?;
    let made = with_status(world.post("/outreaches", json!({ "outreach": { "name": "Q4" } })).await?, 201)?;
    has(&made, "id name unique_contacts created_at")?;
    assert_eq!(made["unique_contacts"], true);
    assert_eq!(world.api().get("/outreaches").await?[0]["id"], made["id"]);
    let campaign = world.plan().set("outreach_id", made["id"].clone()).make(world.api()).await?;
    let path = format!("/outreaches/{}", text(&made["id"])?);
    let shown = world.api().get(&path).await?;
    is(&shown["totals"], "pending sent opened replied bounced")?;
    assert_eq!(shown["campaigns"], json!([{ "id": campaign.id, "name": "Spring", "status": "pending" }]));
    let change = json!({ "outreach": { "name": "Q1", "unique_contacts": false } });
    let changed = with_status(world.api().call(Method::PATCH, &path, Some(change)).await?, 200)?;
    assert_eq!((&changed["name"], &changed["unique_contacts"]), (&json!("Q1"), &json!(false)));
    Ok(())
}

#[tokio::test]
async fn nobody_is_mailed_by_two_campaigns_of_a_group() -> anyhow::Result<()> {
    let world = World::start().await?;
    let group = world.api().post("/outreaches", json!({ "outreach": { "name": "Q4" } })).await?["id"].clone();
    let one = world.plan().set("outreach_id", group.clone()).make(world.api()).await?;
    let two = world.plan().set("outreach_id", group).make(world.api()).await?;
    let import = world.import(&[BO]).await?;
    let body = json!({ "contact_import_id": import });
    assert_eq!(world.api().post(&one.path("/enroll"), body.clone()).await?["enrolled"], 1);
    let second = world.api().post(&two.path("/enroll"), body).await?;
    assert_eq!((&second["enrolled"], &second["skipped"][0]["email"]), (&json!(0), &json!(BO)));
    assert_eq!(two.show().await?["skipped"]["cross_campaign_duplicate"], 1);
    Ok(())
}
