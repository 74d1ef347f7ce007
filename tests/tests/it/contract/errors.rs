//! The codes that no other row meets.

use ampout_tests::Api;
use anyhow::ensure;
use reqwest::Method;
use serde_json::json;

use super::{NOBODY, World, is};

#[tokio::test]
async fn an_error_has_a_code_a_page_a_message_and_details() -> anyhow::Result<()> {
    let world = World::start().await?;
    let refused = world.api().call(Method::GET, "/nowhere", None).await?.refused(404, "not_found")?;
    is(&refused, "code type message details")?;
    assert_eq!(refused["type"], format!("{}/docs/errors/not_found", world.engine.base()));
    Ok(())
}

#[tokio::test]
async fn what_is_missing_is_told_by_the_resources_own_code() -> anyhow::Result<()> {
    let world = World::start().await?;
    let campaign = world.campaign().await?;
    for (path, code) in [
        (format!("/campaigns/{NOBODY}"), "campaign_not_found"),
        (format!("/contacts/{NOBODY}"), "contact_not_found"),
        (format!("/contact_imports/{NOBODY}"), "contact_import_not_found"),
        (format!("/outreaches/{NOBODY}"), "outreach_not_found"),
        (campaign.path(&format!("/smtp_credentials/{NOBODY}")), "smtp_credential_not_found"),
        (format!("/webhooks/{NOBODY}/deliveries"), "webhook_not_found"),
        (format!("/enrollments/{NOBODY}/timeline"), "enrollment_not_found"),
        (format!("/extensions/{NOBODY}"), "extension_not_found"),
    ] {
        world.api().call(Method::GET, &path, None).await?.refused(404, code)?;
    }
    for (path, code) in [
        (format!("/api_keys/{NOBODY}"), "api_key_not_found"),
        (format!("/inbound_endpoints/{NOBODY}"), "inbound_endpoint_not_found"),
        (format!("/suppressions/{NOBODY}"), "suppression_not_found"),
    ] {
        world.delete(&path).await?.refused(404, code)?;
    }
    let resolve = format!("/sends/{NOBODY}/resolve");
    world.post(&resolve, json!({ "as": "sent" })).await?.refused(404, "send_not_found")?;
    Ok(())
}

#[tokio::test]
async fn keys_and_scopes_are_asked_for() -> anyhow::Result<()> {
    let world = World::start().await?;
    let nobody = Api::new(&world.engine.base(), "ak_live_nonsense")?;
    nobody.call(Method::GET, "/campaigns", None).await?.refused(401, "unauthorized")?;
    let reader = world.api().post("/api_keys", json!({ "label": "reader", "scopes": ["read"] })).await?;
    let reader = Api::new(&world.engine.base(), ampout_tests::text(&reader["plaintext"])?)?;
    reader.get("/campaigns").await?;
    let body = json!({ "outreach": { "name": "x" } });
    reader.call(Method::POST, "/outreaches", Some(body)).await?.refused(403, "forbidden")?;
    Ok(())
}

#[tokio::test]
async fn bad_requests_and_large_ones_are_refused() -> anyhow::Result<()> {
    let world = World::start().await?;
    let api = world.api();
    api.upload("/outreaches", "application/json", b"{").await?.refused(400, "bad_request")?;
    api.upload("/outreaches", "text/plain", b"{}").await?.refused(400, "bad_request")?;
    api.call(Method::GET, "/campaigns?limit=0", None).await?.refused(400, "bad_request")?;
    api.call(Method::GET, "/campaigns?limit=1001", None).await?.refused(400, "bad_request")?;
    api.call(Method::GET, "/campaigns/no-id", None).await?.refused(400, "bad_request")?;
    let large = format!("{{\"outreach\":{{\"name\":\"{}\"}}}}", "x".repeat(1024 * 1024));
    api.upload("/outreaches", "application/json", large.as_bytes()).await?.refused(413, "payload_too_large")?;
    let unknown = json!({ "outreach": { "name": "x", "nmae": "y" } });
    let refused = api.call(Method::POST, "/outreaches", Some(unknown)).await?.refused(422, "validation_failed")?;
    ensure!(refused["details"]["outreach.nmae"].is_array(), "{refused}");
    Ok(())
}

#[tokio::test]
async fn every_code_has_its_page() -> anyhow::Result<()> {
    let world = World::start().await?;
    let codes = "unauthorized forbidden not_found campaign_not_found contact_not_found contact_import_not_found \
                 outreach_not_found smtp_credential_not_found api_key_not_found webhook_not_found enrollment_not_found \
                 send_not_found \
                 extension_not_found inbound_endpoint_not_found suppression_not_found bad_request validation_failed \
                 unprocessable rate_limited no_pending_enrollments campaign_not_active campaign_not_paused \
                 contact_already_enrolled no_emails_provided no_contacts_provided cannot_revoke_last_key \
                 idempotency_key_reused idempotency_in_progress plan_limit_reached payload_too_large internal_error \
                 service_unavailable";
    for code in codes.split_whitespace() {
        let page = world.api().call(Method::GET, &format!("/docs/errors/{code}"), None).await?;
        ensure!(page.status == 200 && page.text.contains(code), "{code}: {}", page.text);
    }
    Ok(())
}
