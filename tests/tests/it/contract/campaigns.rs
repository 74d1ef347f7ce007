//! Campaigns and their steps.

use ampout_tests::{altered, letters, text};
use anyhow::{Context, ensure};
use reqwest::Method;
use serde_json::{Value, json};

use super::{ADA, BO, World, has, is, told_of, with_status};

#[tokio::test]
async fn a_campaign_has_the_defaults_of_the_page() -> anyhow::Result<()> {
    let world = World::start().await?;
    let step = json!({ "position": 1, "subject": "Hi", "body_html": "<p>Hi</p>" });
    let body = json!({ "name": "Bare", "smtp_credentials": [world.credential()], "sequence_steps": [step] });
    let made = with_status(world.post("/campaigns", json!({ "campaign": body })).await?, 201)?;
    assert_eq!(made["status"], "pending");
    ensure!(made["smtp_credentials"][0]["id"].is_string() && made["sequence_steps"][0]["id"].is_string(), "{made}");
    let shown = world.api().get(&format!("/campaigns/{}", text(&made["id"])?)).await?;
    let expected = json!({ "outreach_id": null, "min_wait_seconds": 120, "max_wait_seconds": 420,
                           "verify_email_mx": false, "bounce_rate_threshold": 8.0, "track_opens": true });
    for (field, value) in expected.as_object().context("an object")? {
        assert_eq!(&shown[field], value, "{field}");
    }
    Ok(())
}

#[tokio::test]
async fn every_range_of_a_campaign_is_held() -> anyhow::Result<()> {
    let world = World::start().await?;
    let wrong: [(&str, Value, &str); 13] = [
        ("name", json!(""), "name"),
        ("name", json!("x".repeat(201)), "name"),
        ("min_wait_seconds", json!(-1), "min_wait_seconds"),
        ("max_wait_seconds", json!(86_401), "max_wait_seconds"),
        ("min_wait_seconds", json!(500), "max_wait_seconds"),
        ("bounce_rate_threshold", json!(0.4), "bounce_rate_threshold"),
        ("bounce_rate_threshold", json!(25.1), "bounce_rate_threshold"),
        ("verify_email_mx", json!("yes"), "verify_email_mx"),
        ("track_opens", json!(1), "track_opens"),
        ("smtp_credentials", json!([]), "smtp_credentials"),
        ("sequence_steps", json!([]), "sequence_steps"),
        ("outreach_id", json!("x"), "outreach_id"),
        ("colour", json!("red"), "colour"),
    ];
    for (field, value, named) in wrong {
        let mut body = world.plan().body();
        body["campaign"]["max_wait_seconds"] = json!(420);
        body["campaign"][field] = value.clone();
        let refused = world.post("/campaigns", body).await?.refused(422, "validation_failed");
        let refused = refused.with_context(|| format!("{field} = {value}"))?;
        told_of(&refused, &format!("campaign.{named}"))?;
    }
    assert_eq!(world.api().get("/campaigns").await?, json!([]));
    Ok(())
}

#[tokio::test]
async fn every_rule_of_a_step_is_held() -> anyhow::Result<()> {
    let world = World::start().await?;
    let step = json!({ "position": 1, "subject": "Hi", "body_html": "<p>Hi</p>" });
    let wrong: [(Value, &str); 6] = [
        (json!({ "position": 0 }), "sequence_steps.0.position"),
        (json!({ "subject": "" }), "sequence_steps.0.subject"),
        (json!({ "body_html": null }), "sequence_steps.0.body_html"),
        (json!({ "delay_minutes": -1 }), "sequence_steps.0.delay_minutes"),
        (json!({ "subject": "Hi {{nickname}}" }), "sequence_steps.0.subject"),
        (json!({ "body_html": "{{nickname}}" }), "sequence_steps.0.body_html"),
    ];
    for (change, named) in wrong {
        let body = world.plan().set("sequence_steps", Value::Null).body();
        let body = altered(body["campaign"].clone(), json!({ "sequence_steps": [altered(step.clone(), change)] }));
        let refused = world.post("/campaigns", json!({ "campaign": body })).await?.refused(422, "validation_failed")?;
        told_of(&refused, &format!("campaign.{named}"))?;
    }
    let body = altered(world.plan().body()["campaign"].clone(), json!({ "sequence_steps": [step.clone(), step] }));
    let refused = world.post("/campaigns", json!({ "campaign": body })).await?.refused(422, "validation_failed")?;
    told_of(&refused, "campaign.sequence_steps.1.position")?;
    Ok(())
}

#[tokio::test]
async fn campaigns_are_listed_newest_first() -> anyhow::Result<()> {
    let world = World::start().await?;
    let (old, new) = (world.campaign().await?, world.campaign().await?);
    let listed = world.api().get("/campaigns").await?;
    is(&listed[0], "id name status created_at")?;
    assert_eq!((&listed[0]["id"], &listed[1]["id"]), (&json!(new.id), &json!(old.id)));
    Ok(())
}

#[tokio::test]
async fn a_campaign_is_shown_with_its_figures() -> anyhow::Result<()> {
    let world = World::start().await?;
    let campaign = world.campaign().await?;
    campaign.send_to(&[BO]).await?;
    campaign.becomes(BO, "sent").await?;
    let shown = campaign.show().await?;
    has(
        &shown,
        "id name status outreach_id min_wait_seconds max_wait_seconds verify_email_mx bounce_rate_threshold \
                 track_opens created_at totals rates per_batch recent_bounces credentials skipped",
    )?;
    is(&shown["totals"], "pending sent opened replied bounced")?;
    is(&shown["rates"], "bounce_rate open_rate reply_rate")?;
    is(&shown["skipped"], "mx_invalid cross_campaign_duplicate unsubscribed suppressed")?;
    has(&shown["per_batch"][0], "batch_number totals")?;
    has(
        &shown["credentials"][0],
        "id label from_email sent_today daily_limit transactions bounces bounce_rate \
                                   disabled_at disabled_reason",
    )?;
    let figures = campaign.figures_of(ADA).await?;
    assert_eq!((&figures["sent_today"], &figures["transactions"]), (&json!(1), &json!(1)));
    assert_eq!(shown["totals"]["sent"], 1);
    Ok(())
}

#[tokio::test]
async fn a_campaign_is_changed_and_what_is_fixed_is_not() -> anyhow::Result<()> {
    let world = World::start().await?;
    let campaign = world.campaign().await?;
    let change = json!({ "name": "Summer", "min_wait_seconds": 1, "max_wait_seconds": 2, "verify_email_mx": true,
                         "bounce_rate_threshold": 5.5, "track_opens": false });
    let body = json!({ "campaign": change });
    let changed = with_status(world.api().call(Method::PATCH, &campaign.path(""), Some(body)).await?, 200)?;
    for (field, value) in change.as_object().context("an object")? {
        assert_eq!(&changed[field], value, "{field}");
    }
    let fixed = json!({ "campaign": { "status": "active" } });
    let refused = world.api().call(Method::PATCH, &campaign.path(""), Some(fixed)).await?;
    told_of(&refused.refused(422, "validation_failed")?, "campaign.status")?;
    Ok(())
}

#[tokio::test]
async fn a_campaign_is_deleted() -> anyhow::Result<()> {
    let world = World::start().await?;
    let campaign = world.campaign().await?;
    let deleted = with_status(world.delete(&campaign.path("")).await?, 200)?;
    assert_eq!(deleted, json!({ "id": campaign.id, "status": "deleted" }));
    world.api().call(Method::GET, &campaign.path(""), None).await?.refused(404, "campaign_not_found")?;
    Ok(())
}

#[tokio::test]
async fn a_dispatch_is_accepted_once_there_is_something_to_send() -> anyhow::Result<()> {
    let world = World::start().await?;
    let campaign = world.campaign().await?;
    world.post(&campaign.path("/dispatch"), json!({})).await?.refused(422, "no_pending_enrollments")?;
    campaign.enroll(&[BO]).await?;
    world
        .post(&campaign.path("/dispatch"), json!({ "batch_number": 77 }))
        .await?
        .refused(422, "no_pending_enrollments")?;
    let accepted = with_status(world.post(&campaign.path("/dispatch"), json!({})).await?, 202)?;
    assert_eq!(accepted, json!({ "status": "active", "dispatched": 1, "batches": 1 }));
    campaign.becomes(BO, "sent").await?;
    Ok(())
}

#[tokio::test]
async fn a_campaign_is_paused_and_resumed() -> anyhow::Result<()> {
    let world = World::start().await?;
    let campaign = world.plan().step(0, "Hi", "<p>Hi</p>").step(60, "Again", "<p>Hi</p>").make(world.api()).await?;
    let call = async |what: &str| world.post(&campaign.path(what), json!({})).await;
    call("/pause").await?.refused(422, "campaign_not_active")?;
    campaign.send_to(&[BO]).await?;
    call("/resume").await?.refused(422, "campaign_not_paused")?;
    assert_eq!(with_status(call("/pause").await?, 200)?, json!({ "id": campaign.id, "status": "paused" }));
    assert_eq!(campaign.explain().await?["reasons"][0]["code"], "campaign_paused");
    assert_eq!(with_status(call("/resume").await?, 200)?, json!({ "id": campaign.id, "status": "active" }));
    Ok(())
}

#[tokio::test]
async fn a_test_message_is_sent_at_once_and_counted_nowhere() -> anyhow::Result<()> {
    let world = World::start().await?;
    let campaign = world.campaign().await?;
    let path = campaign.path("/test_send");
    world.post(&path, json!({ "emails": [] })).await?.refused(422, "no_emails_provided")?;
    let many: Vec<String> = (0..11).map(|n| format!("bo{n}@there.test")).collect();
    told_of(&world.post(&path, json!({ "emails": many })).await?.refused(422, "validation_failed")?, "emails")?;
    let tried = with_status(world.post(&path, json!({ "emails": [BO], "step": 1 })).await?, 200)?;
    is(&tried, "sent failed")?;
    assert_eq!((tried["sent"].as_array().map(Vec::len), &tried["failed"]), (Some(1), &json!([])));
    assert_eq!(letters(&world.provider, 1).await?[0].to, BO);
    let figures = campaign.figures_of(ADA).await?;
    assert_eq!((&figures["sent_today"], &figures["transactions"]), (&json!(0), &json!(0)));
    Ok(())
}

#[tokio::test]
async fn a_preview_shows_each_step_as_a_contact_would_read_it() -> anyhow::Result<()> {
    let world = World::start().await?;
    let campaign =
        world.plan().step(0, "Hi {{first_name}}", "<p>{{email}} &amp; {{company}}</p>").make(world.api()).await?;
    let sample = world.api().get(&campaign.path("/preview")).await?;
    is(&sample[0], "position subject body_html body_text")?;
    ensure!(!sample.to_string().contains("{{"), "{sample}");
    let contact = world.contact(BO).await?;
    let own = world.api().get(&campaign.path(&format!("/preview?contact_id={contact}"))).await?;
    assert_eq!(own[0]["subject"], "Hi Bo");
    ensure!(text(&own[0]["body_html"])?.contains(BO) && text(&own[0]["body_text"])?.contains(BO), "{own}");
    Ok(())
}

#[tokio::test]
async fn what_is_to_come_is_told_by_day() -> anyhow::Result<()> {
    let world = World::start().await?;
    let small = altered(world.credential(), json!({ "daily_limit": 0 }));
    let campaign = ampout_tests::CampaignPlan::new("Slow").credential(small).make(world.api()).await?;
    campaign.send_to(&[BO]).await?;
    let forecast = world.api().get(&campaign.path("/send_forecast")).await?;
    ensure!(forecast.to_string().contains("daily_limit"), "the limit that binds is not named: {forecast}");
    Ok(())
}

#[tokio::test]
async fn what_stands_in_the_way_is_explained() -> anyhow::Result<()> {
    let world = World::start().await?;
    let small = altered(world.credential(), json!({ "daily_limit": 0 }));
    let campaign = ampout_tests::CampaignPlan::new("Slow").credential(small).make(world.api()).await?;
    campaign.send_to(&[BO]).await?;
    let explained = campaign.explain().await?;
    is(&explained, "state reasons")?;
    is(&explained["reasons"][0], "code message until subject_id")?;
    // A limit of nothing does not end at midnight.
    assert_eq!(explained["reasons"][0]["code"], "daily_limit_is_zero");
    assert_eq!((&explained["state"], &explained["reasons"][0]["until"]), (&json!("blocked"), &Value::Null));
    Ok(())
}
