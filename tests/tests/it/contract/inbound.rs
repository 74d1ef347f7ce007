//! Inbound provider webhooks.

use ampout_tests::text;
use anyhow::ensure;
use serde_json::json;

use super::{World, has, told_of, with_status};

#[tokio::test]
async fn an_endpoint_is_made_for_a_loaded_adapter_and_answers_as_its_adapter_reads() -> anyhow::Result<()> {
    let world = World::start().await?;
    let body = json!({ "inbound_endpoint": { "provider": "smtp2go", "signing_secret": "s3cret" } });
    let made = with_status(world.post("/inbound_endpoints", body).await?, 201)?;
    has(&made, "id provider url")?;
    let url = text(&made["url"])?;
    ensure!(url.starts_with(&format!("{}/inbound/smtp2go/", world.engine.base())), "{url}");
    assert_eq!(world.api().get("/inbound_endpoints").await?[0]["id"], made["id"]);
    let unsigned = world.api().post_publicly(url, "application/json", r#"{"event":"bounce"}"#).await?;
    assert_eq!(unsigned.as_u16(), 401);
    let signed = url.replacen("http://", "http://any:s3cret@", 1);
    let unreadable = world.api().post_publicly(&signed, "application/json", "{\"event\":").await?;
    assert_eq!(unreadable.as_u16(), 422);
    let unknown = json!({ "inbound_endpoint": { "provider": "pigeon" } });
    told_of(
        &world.post("/inbound_endpoints", unknown).await?.refused(422, "validation_failed")?,
        "inbound_endpoint.provider",
    )?;
    let path = format!("/inbound_endpoints/{}", text(&made["id"])?);
    assert_eq!(with_status(world.delete(&path).await?, 200)?, json!({ "id": made["id"], "status": "deleted" }));
    assert_eq!(world.api().post_publicly(&signed, "application/json", "{}").await?.as_u16(), 404);
    Ok(())
}
