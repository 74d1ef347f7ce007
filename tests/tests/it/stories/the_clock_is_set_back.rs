//! The machine's clock is set back by an hour while a campaign is under way: nobody is mailed twice, what is due now
//! leaves now, and what is planned leaves when the clock shows its time.

use std::time::Duration;

use ampout::demo::certificates::Certificates;
use ampout::demo::smtp_receiver::ReceiverTls;
use ampout_tests::{CampaignPlan, Database, Engine, WebhookReceiver, credential, eventually, letters, provider, text};
use anyhow::ensure;
use serde_json::json;

super::on_both_databases!(nobody_is_mailed_twice_and_nothing_stands_still);

const ADA: &str = "ada@lovelace.test";
const MINUTE: Duration = Duration::from_secs(60);

async fn nobody_is_mailed_twice_and_nothing_stands_still(database: Database) -> anyhow::Result<()> {
    let certificates = Certificates::generate()?;
    let ada = provider(ADA, ReceiverTls::Implicit, &certificates).await?;
    let app = WebhookReceiver::start().await?;
    let engine = Engine::on(database).trust(certificates.ca_pem()).set("lease_seconds", 30).start().await?;
    engine.api.post("/webhooks", json!({ "webhook": { "url": app.url(), "event_filters": ["*"] } })).await?;
    let plan = CampaignPlan::new("Back").credential(credential(ADA, &ada, "implicit"));
    let plan = plan.step(0, "A question", "<p>Hi</p>").step(10, "Did you see it?", "<p>Hi</p>");
    let campaign = plan.make(&engine.api).await?;
    let before = ["bo0@there.test", "bo1@there.test", "bo2@there.test"];
    campaign.send_to(&before).await?;
    letters(&ada, 3).await?;
    for recipient in before {
        campaign.becomes(recipient, "sent").await?;
    }
    app.nth(3).await?;

    engine.clock.set_back(60 * MINUTE);
    let after = ["cy0@there.test", "cy1@there.test"];
    campaign.send_to(&after).await?;
    for recipient in after {
        campaign.becomes(recipient, "sent").await?;
    }
    // Told at once, too.
    app.nth(5).await?;
    assert_eq!(ada.accepted(), 5);

    engine.clock.advance(11 * MINUTE);
    letters(&ada, 7).await?;
    let follow_ups = &ada.messages()[5..];
    ensure!(follow_ups.iter().all(|message| message.to[0].starts_with("cy")), "an hour too early: {follow_ups:?}");
    engine.clock.advance(60 * MINUTE);
    letters(&ada, 10).await?;
    eventually("the campaign to be finished", async || {
        let shown = campaign.show().await.map_err(|error| format!("{error:#}"))?;
        if shown["status"] == "finished" { Ok(()) } else { Err(shown["totals"].to_string()) }
    })
    .await?;
    // Five people with two steps each, and the end.
    app.nth(11).await?;
    let mut ids: Vec<String> = Vec::new();
    for message in ada.messages() {
        ids.extend(message.message_id.clone());
    }
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), ada.accepted()), (10, 10));
    let events = engine.api.get("/events?limit=1000").await?;
    let told: Vec<&str> =
        events.as_array().into_iter().flatten().map(|event| text(&event["type"])).collect::<Result<_, _>>()?;
    assert_eq!(told.iter().filter(|kind| **kind == "enrollment.sent").count(), 10, "{told:?}");
    engine.stop().await;
    Ok(())
}
