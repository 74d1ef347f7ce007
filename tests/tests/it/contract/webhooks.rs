//! Outgoing webhooks and the stream of events.

use ampout_tests::{WebhookReceiver, eventually, text};
use anyhow::ensure;
use reqwest::Method;
use serde_json::{Value, json};

use super::{BO, World, has, is, told_of, with_status};

#[tokio::test]
async fn a_webhook_is_made_listed_changed_and_deleted() -> anyhow::Result<()> {
    let world = World::start().await?;
    let body = json!({ "webhook": { "url": "https://app.company.test/hooks" } });
    let made = with_status(world.post("/webhooks", body).await?, 201)?;
    has(&made, "id url event_filters secret")?;
    assert_eq!(made["event_filters"], json!(["*"]));
    ensure!(text(&made["secret"])?.starts_with("whsec_"), "{made}");
    let listed = world.api().get("/webhooks").await?;
    ensure!(listed[0]["id"] == made["id"] && listed[0].get("secret").is_none_or(Value::is_null), "{listed}");
    let path = format!("/webhooks/{}", text(&made["id"])?);
    let change = json!({ "webhook": { "event_filters": ["enrollment.*", "campaign.paused"] } });
    let changed = with_status(world.api().call(Method::PATCH, &path, Some(change)).await?, 200)?;
    assert_eq!(changed["event_filters"], json!(["enrollment.*", "campaign.paused"]));
    let unknown = json!({ "webhook": { "event_filters": ["enrollment.eaten"] } });
    let refused = world.api().call(Method::PATCH, &path, Some(unknown)).await?.refused(422, "validation_failed")?;
    told_of(&refused, "webhook.event_filters.0")?;
    assert_eq!(with_status(world.delete(&path).await?, 200)?, json!({ "id": made["id"], "status": "deleted" }));
    world.delete(&path).await?.refused(404, "webhook_not_found")?;
    Ok(())
}

#[tokio::test]
async fn a_secret_is_rotated_with_and_without_grace() -> anyhow::Result<()> {
    let world = World::start().await?;
    let app = WebhookReceiver::start().await?;
    let made = world.api().post("/webhooks", json!({ "webhook": { "url": app.url() } })).await?;
    let path = format!("/webhooks/{}/rotate_secret", text(&made["id"])?);
    let rotated = with_status(world.api().call(Method::POST, &format!("{path}?grace=true"), None).await?, 200)?;
    is(&rotated, "id secret")?;
    let campaign = world.campaign().await?;
    campaign.send_to(&[BO]).await?;
    let request = app.event("enrollment.sent").await?;
    request.verify(text(&made["secret"])?)?;
    request.verify(text(&rotated["secret"])?)?;
    Ok(())
}

#[tokio::test]
async fn an_event_has_the_envelope_of_the_page_and_its_deliveries_are_listed() -> anyhow::Result<()> {
    let world = World::start().await?;
    let app = WebhookReceiver::start().await?;
    let made = world.api().post("/webhooks", json!({ "webhook": { "url": app.url() } })).await?;
    let campaign = world.campaign().await?;
    campaign.send_to(&[BO]).await?;
    let event = app.event("enrollment.sent").await?.json()?;
    is(&event, "id type created_at account_id data")?;
    has(&event["data"], "enrollment_id contact_id contact_email campaign_id status sent_at replied_at bounce_reason")?;
    let path = format!("/webhooks/{}/deliveries?limit=10", text(&made["id"])?);
    let delivery = eventually("the delivery to be told", async || {
        let deliveries = world.api().get(&path).await.map_err(|error| error.to_string())?;
        let found = deliveries.as_array().into_iter().flatten().find(|one| one["delivered_at"].is_string()).cloned();
        found.ok_or(deliveries.to_string())
    });
    let delivery = delivery.await?;
    has(&delivery, "id event_type attempt status_code error delivered_at created_at")?;
    let again = format!("/webhooks/{}/deliveries/{}/redeliver", text(&made["id"])?, text(&delivery["id"])?);
    let before = app.requests().len();
    ensure!(world.api().call(Method::POST, &again, None).await?.status.is_success());
    eventually("it to be delivered again", async || {
        let count = app.requests().len();
        if count > before { Ok(()) } else { Err(count.to_string()) }
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn events_are_read_by_cursor_and_type() -> anyhow::Result<()> {
    let world = World::start().await?;
    let campaign = world.campaign().await?;
    campaign.send_to(&[BO]).await?;
    let sent = eventually("the event", async || {
        let events = world.api().get("/events?type=enrollment.sent").await.map_err(|error| error.to_string())?;
        events.get(0).cloned().ok_or(events.to_string())
    });
    let sent = sent.await?;
    is(&sent, "id type created_at account_id data")?;
    let after = world.api().get(&format!("/events?type=enrollment.sent&after={}", text(&sent["id"])?)).await?;
    assert_eq!(after, json!([]));
    Ok(())
}
