//! Too many bounces disable a credential, and with the last one the campaign is paused. Its owner turns both on again and
//! the rest leaves.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ampout::demo::certificates::Certificates;
use ampout::demo::smtp_receiver::{Action, Moment, ReceiverTls, Reply, SmtpReceiver};
use ampout_tests::{Campaign, CampaignPlan, Database, Engine, WebhookReceiver, credential, eventually, provider, text};
use anyhow::{Context, ensure};
use reqwest::Method;
use serde_json::{Value, json};

super::on_both_databases!(bounces_bring_credentials_down_and_their_owner_brings_them_back);

const ADA: &str = "ada@lovelace.test";
const GRACE: &str = "grace@hopper.test";
const MINUTE: Duration = Duration::from_secs(60);

async fn bounces_bring_credentials_down_and_their_owner_brings_them_back(database: Database) -> anyhow::Result<()> {
    let certificates = Certificates::generate()?;
    let ada = provider(ADA, ReceiverTls::Implicit, &certificates).await?;
    let grace = provider(GRACE, ReceiverTls::Implicit, &certificates).await?;
    let app = WebhookReceiver::start().await?;
    let engine = Engine::on(database).trust(certificates.ca_pem()).start().await?;
    let filters = ["credential.disabled", "campaign.paused"];
    engine.api.post("/webhooks", json!({ "webhook": { "url": app.url(), "event_filters": filters } })).await?;
    let plan = CampaignPlan::new("Down")
        .set("min_wait_seconds", 60)
        .set("max_wait_seconds", 60)
        .set("bounce_rate_threshold", 8.0)
        .credential(credential(ADA, &ada, "implicit"))
        .credential(credential(GRACE, &grace, "implicit"));
    let campaign = plan.make(&engine.api).await?;

    // Two of Ada's first nineteen bounce, over 8 %: too few to tell. The twentieth brings her down.
    refuse_the_first(&ada, 2);
    enroll(&campaign, "first", 38).await?;
    nothing_pending(&engine, &campaign).await?;
    let figures = campaign.figures_of(ADA).await?;
    assert_eq!((&figures["transactions"], &figures["bounces"]), (&json!(19), &json!(2)));
    assert_eq!(figures["disabled_at"], Value::Null, "{figures}");
    enroll(&campaign, "second", 2).await?;
    nothing_pending(&engine, &campaign).await?;
    // A message that was taken is judged with the next tick; only bounces are judged at once.
    let figures = engine.as_time_passes(MINUTE, "Ada to be disabled", async || {
        let figures = campaign.figures_of(ADA).await.map_err(|error| error.to_string())?;
        if figures["disabled_at"].is_null() { Err(figures) } else { Ok(figures) }
    });
    let figures = figures.await?;
    let told = app.event("credential.disabled").await?.json()?["data"].clone();
    assert_eq!(told["credential_id"], figures["id"]);
    assert_eq!((&told["decided_by"], &told["from_email"]), (&json!("threshold@1.0.0"), &json!(ADA)));
    assert_eq!((&told["bounce_rate"], &told["threshold"]), (&json!(10.0), &json!(8.0)));
    ensure!(text(&figures["disabled_reason"])?.contains("2 of 20 messages bounced"), "{figures}");
    assert_eq!(campaign.show().await?["status"], "finished", "Grace is left, so nothing was paused");

    // Now Grace's bounce, too, and she is the last.
    refuse_the_first(&grace, usize::MAX);
    enroll(&campaign, "third", 20).await?;
    engine
        .as_time_passes(MINUTE, "the campaign to be paused", async || {
            let shown = campaign.show().await.map_err(|error| error.to_string())?;
            if shown["status"] == "paused" { Ok(()) } else { Err(shown["totals"].to_string()) }
        })
        .await?;
    let paused = app.event("campaign.paused").await?.json()?;
    assert_eq!(paused["data"], json!({ "campaign_id": campaign.id, "reason": "all credentials are disabled" }));
    let explained = campaign.explain().await?;
    assert_eq!((&explained["state"], &explained["reasons"][0]["code"]), (&json!("blocked"), &json!("campaign_paused")));
    let pending = campaign.show().await?["totals"]["pending"].as_u64().context("pending")?;
    ensure!(pending > 0, "the pause came too late to keep anything back");

    let resume = campaign.path("/resume");
    engine.api.call(Method::POST, &resume, None).await?.refused(422, "unprocessable")?;
    for from in [ADA, GRACE] {
        let id = campaign.figures_of(from).await?["id"].clone();
        let path = campaign.path(&format!("/smtp_credentials/{}/reenable", text(&id)?));
        assert_eq!(engine.api.call(Method::POST, &path, None).await?.succeeded()?["status"], "enabled");
    }
    refuse_the_first(&grace, 0);
    let resumed = engine.api.call(Method::POST, &resume, None).await?.succeeded()?;
    assert_eq!(resumed["status"], "active");
    let before = ada.accepted() + grace.accepted();
    nothing_pending(&engine, &campaign).await?;
    let totals = campaign.show().await?["totals"].clone();
    let (sent, bounced) = (totals["sent"].as_u64().context("sent")?, totals["bounced"].as_u64().context("bounced")?);
    assert_eq!((sent, sent + bounced), (ada.accepted() + grace.accepted(), 38 + 2 + 20), "{totals}");
    ensure!(sent > before, "nothing left after the resume: {totals}");
    for from in [ADA, GRACE] {
        assert_eq!(campaign.figures_of(from).await?["disabled_at"], Value::Null, "what was is forgiven");
    }
    engine.stop().await;
    Ok(())
}

/// From now on, the receiver refuses so many recipients and takes the rest.
fn refuse_the_first(receiver: &SmtpReceiver, count: usize) {
    let asked = AtomicUsize::new(0);
    receiver.set_rule(move |moment| -> Option<Action> {
        let Moment::Recipient { .. } = moment else { return None };
        let is_refused = asked.fetch_add(1, Ordering::Relaxed) < count;
        is_refused.then(|| Reply::refuse(550, "5.1.1", "no such user"))
    });
}

async fn enroll(campaign: &Campaign, name: &str, count: usize) -> anyhow::Result<()> {
    let recipients: Vec<String> = (0..count).map(|n| format!("{name}{n}@there.test")).collect();
    campaign.send_to(&recipients.iter().map(String::as_str).collect::<Vec<_>>()).await
}

async fn nothing_pending(engine: &Engine, campaign: &Campaign) -> anyhow::Result<()> {
    engine
        .as_time_passes(MINUTE, "every message to have left", async || {
            let totals = campaign.show().await.map_err(|error| error.to_string())?["totals"].clone();
            if totals["pending"] == 0 { Ok(()) } else { Err(totals) }
        })
        .await?;
    eventually("the campaign to be finished", async || {
        let explained = campaign.explain().await.map_err(|error| error.to_string())?;
        if explained["state"] == "idle" { Ok(()) } else { Err(explained) }
    })
    .await
}
