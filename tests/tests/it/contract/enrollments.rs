//! Enrollments.

use ampout_tests::{Campaign, text};
use anyhow::ensure;
use serde_json::{Value, json};

use super::{BO, World, has, with_status};

async fn enroll(world: &World, campaign: &Campaign, addresses: &[&str], more: Value) -> anyhow::Result<Value> {
    let mut body = json!({ "contact_import_id": world.import(addresses).await? });
    if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
        body.extend(more.clone());
    }
    world.api().post(&campaign.path("/enroll"), body).await
}

#[tokio::test]
async fn an_import_is_enrolled_in_batches() -> anyhow::Result<()> {
    let world = World::start().await?;
    let campaign = world.campaign().await?;
    let addresses: Vec<String> = (0..51).map(|n| format!("bo{n}@there.test")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let enrolled = enroll(&world, &campaign, &addresses, json!({})).await?;
    has(&enrolled, "enrolled batches batch_size skipped")?;
    assert_eq!(
        (&enrolled["enrolled"], &enrolled["batches"], &enrolled["batch_size"]),
        (&json!(51), &json!(2), &json!(50))
    );
    Ok(())
}

#[tokio::test]
async fn a_contact_is_enrolled_alone_and_once() -> anyhow::Result<()> {
    let world = World::start().await?;
    let campaign = world.campaign().await?;
    let contact = world.contact(BO).await?;
    let body = json!({ "contact_id": contact, "priority": true });
    let made = with_status(world.post(&campaign.path("/enroll_contact"), body.clone()).await?, 201)?;
    has(&made, "id contact_id batch_number status")?;
    assert_eq!((&made["batch_number"], &made["status"]), (&json!(0), &json!("pending")));
    world.post(&campaign.path("/enroll_contact"), body).await?.refused(422, "contact_already_enrolled")?;
    Ok(())
}

#[tokio::test]
async fn enrollments_are_listed_by_status_and_batch() -> anyhow::Result<()> {
    let world = World::start().await?;
    let campaign = world.campaign().await?;
    enroll(&world, &campaign, &[BO, "cy@there.test"], json!({ "batch_size": 1 })).await?;
    let all = world.api().get(&campaign.path("/enrollments")).await?;
    has(&all[0], "id contact_id smtp_credential_id status batch_number sent_at opened_at replied_at bounce_reason")?;
    let batch = all[0]["batch_number"].clone();
    let of_batch =
        world.api().get(&campaign.path(&format!("/enrollments?status=pending&batch_number={batch}"))).await?;
    assert_eq!(of_batch.as_array().map(Vec::len), Some(1));
    assert_eq!(world.api().get(&campaign.path("/enrollments?status=replied")).await?, json!([]));
    Ok(())
}

#[tokio::test]
async fn a_timeline_tells_every_fact_in_order() -> anyhow::Result<()> {
    let world = World::start().await?;
    let campaign = world.campaign().await?;
    campaign.send_to(&[BO]).await?;
    let enrollment = campaign.becomes(BO, "sent").await?;
    let timeline = world.api().get(&format!("/enrollments/{}/timeline", text(&enrollment["id"])?)).await?;
    let facts = timeline.as_array().cloned().unwrap_or_default();
    let times: Vec<&str> = facts.iter().map(|fact| text(&fact["at"])).collect::<anyhow::Result<_>>()?;
    ensure!(times.is_sorted(), "not in order: {timeline}");
    let transaction = facts.iter().find(|fact| fact["kind"] == "transaction");
    ensure!(transaction.is_some_and(|fact| fact["smtp_code"] == 250), "no transaction with its reply: {timeline}");
    Ok(())
}
