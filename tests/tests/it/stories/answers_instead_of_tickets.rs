//! What a customer would otherwise have to ask the operator: when will it be sent, what will it look like, what became of
//! it. Each answer is held against what really happens.

use std::collections::BTreeMap;

use ampout::clock::Clock;
use ampout::demo::certificates::Certificates;
use ampout::demo::smtp_receiver::{ReceiverTls, SmtpReceiver};
use ampout::domain::Timestamp;
use ampout_tests::{
    Campaign, CampaignPlan, Database, Engine, WebhookReceiver, altered, credential, eventually, letters, provider, text,
};
use anyhow::{Context, ensure};
use reqwest::Method;
use serde_json::{Value, json};

super::on_both_databases!(
    a_forecast_is_what_then_leaves,
    a_test_message_is_the_message_and_counts_nowhere,
    a_deleted_credentials_follow_ups_end_with_a_reason,
    a_timeline_tells_who_said_what
);

const ADA: &str = "ada@lovelace.test";
const GRACE: &str = "grace@hopper.test";
const TEN_MINUTES: u64 = 600;

const GATE: &str = r#"//! name: one-at-a-time
//! version: 1.0.0
//! hooks: send-gate
//! description: Lets everything through.
//! license: Apache-2.0

fn admit(send) {
    #{ decision: "admit" }
}
"#;

/// First steps and follow-ups by UTC date.
type Days = BTreeMap<String, (u64, u64)>;

async fn a_forecast_is_what_then_leaves(database: Database) -> anyhow::Result<()> {
    let certificates = Certificates::generate()?;
    let ada = provider(ADA, ReceiverTls::Implicit, &certificates).await?;
    let grace = provider(GRACE, ReceiverTls::Implicit, &certificates).await?;
    let clock = Clock::manual("2026-11-23T20:00:00Z".parse()?);
    let engine = Engine::on(database).trust(certificates.ca_pem()).clock(clock).start().await?;
    // Gaps that are all alike make the forecast exact.
    let plan = CampaignPlan::new("Forecast")
        .set("min_wait_seconds", TEN_MINUTES)
        .set("max_wait_seconds", TEN_MINUTES)
        .credential(altered(credential(ADA, &ada, "implicit"), json!({ "daily_limit": 8 })))
        .credential(altered(credential(GRACE, &grace, "implicit"), json!({ "daily_limit": 4 })))
        .step(0, "One", "<p>One</p>")
        .step(24 * 60, "Two", "<p>Two</p>")
        .step(2 * 24 * 60, "Three", "<p>Three</p>");
    let campaign = plan.make(&engine.api).await?;
    let contacts = (0..31).map(|n| json!({ "email": format!("bo{n}@there.test") })).collect();
    campaign.enroll_contacts(contacts, 16).await?;

    let before = engine.api.get(&campaign.path("/send_forecast")).await?;
    assert_eq!((&before["assumes"], &before["not_dispatched"]), (&json!("dispatched_now"), &json!(31)));
    campaign.dispatch().await?;
    let forecast = engine.api.get(&campaign.path("/send_forecast")).await?;
    let expected = days_of(&forecast)?;
    assert_eq!(days_of(&before)?, expected, "dispatching now was what it took for granted");
    assert_eq!((&forecast["assumes"], &forecast["not_dispatched"]), (&Value::Null, &json!(0)));
    let limits: Vec<_> = forecast["days"].as_array().context("days")?.iter().map(|day| &day["limited_by"]).collect();
    assert_eq!(limits[..3], [&json!("daily_limit"), &json!("daily_limit"), &Value::Null], "{forecast}");
    assert_eq!(forecast["after"], json!({ "first_steps": 0, "follow_ups": 0 }));

    let happened = days_as_they_come(&engine, &campaign, &[&ada, &grace]).await?;
    assert_eq!(happened, expected.into_iter().filter(|(_, sends)| *sends != (0, 0)).collect(), "{forecast}");
    assert_eq!(ada.accepted() + grace.accepted(), 31 * 3);
    engine.stop().await;
    Ok(())
}

/// Lets the campaign run to its end, moving the clock to where it says that it goes on.
async fn days_as_they_come(engine: &Engine, campaign: &Campaign, receivers: &[&SmtpReceiver]) -> anyhow::Result<Days> {
    let mut days = Days::new();
    loop {
        let explained = settled(campaign).await?;
        let messages: Vec<_> = receivers.iter().flat_map(|receiver| receiver.messages()).collect();
        let first_steps = messages.iter().filter(|one| is_first_step(&one.raw)).count();
        let counted: (u64, u64) = days.values().fold((0, 0), |sum, day| (sum.0 + day.0, sum.1 + day.1));
        let today = days.entry(engine.clock.now().utc_date()).or_default();
        today.0 += u64::try_from(first_steps)? - counted.0;
        today.1 += u64::try_from(messages.len() - first_steps)? - counted.1;
        match explained["reasons"][0]["until"].as_str() {
            Some(until) => engine.move_to(until.parse::<Timestamp>()?),
            None => break,
        }
    }
    days.retain(|_, sends| *sends != (0, 0));
    Ok(days)
}

fn is_first_step(raw: &[u8]) -> bool {
    String::from_utf8_lossy(raw).contains("Subject: One")
}

/// The explanation as soon as nothing is under way.
async fn settled(campaign: &Campaign) -> anyhow::Result<Value> {
    eventually("the campaign to wait for something", async || {
        let first = campaign.explain().await.map_err(|error| error.to_string())?;
        // What is asked at once once more says the same when nothing is under way.
        let second = campaign.explain().await.map_err(|error| error.to_string())?;
        if first == second && first["state"] != "sending" { Ok(first) } else { Err(second.to_string()) }
    })
    .await
}

fn days_of(forecast: &Value) -> anyhow::Result<Days> {
    let days = forecast["days"].as_array().context("days")?;
    let figure = |day: &Value, name: &str| day[name].as_u64().with_context(|| format!("{name} in {day}"));
    days.iter()
        .map(|day| Ok((text(&day["date"])?.to_owned(), (figure(day, "first_steps")?, figure(day, "follow_ups")?))))
        .collect()
}

async fn a_test_message_is_the_message_and_counts_nowhere(database: Database) -> anyhow::Result<()> {
    let certificates = Certificates::generate()?;
    let ada = provider(ADA, ReceiverTls::Implicit, &certificates).await?;
    let engine = Engine::on(database).trust(certificates.ca_pem()).start().await?;
    let plan = CampaignPlan::new("Test").credential(credential(ADA, &ada, "implicit"));
    let campaign = plan.step(0, "Hi {{first_name}}", "<p>Hello {{company}}</p>").make(&engine.api).await?;
    let body = json!({ "emails": ["me@company.test", "you@company.test"] });
    let sent = engine.api.post(&campaign.path("/test_send"), body).await?;
    assert_eq!(sent, json!({ "sent": ["me@company.test", "you@company.test"], "failed": [] }));
    assert_eq!((ada.accepted(), ada.connections()), (2, 1));
    let preview = engine.api.get(&campaign.path("/preview")).await?;
    for letter in letters(&ada, 2).await? {
        assert_eq!(letter.subject(), preview[0]["subject"]);
        ensure!(letter.html().starts_with(text(&preview[0]["body_html"])?), "{}", letter.html());
        let link = letter.unsubscribe_link();
        let form = "application/x-www-form-urlencoded";
        assert_eq!(engine.api.post_publicly(link, form, "List-Unsubscribe=One-Click").await?, 200);
    }
    let figures = campaign.figures_of(ADA).await?;
    assert_eq!((&figures["sent_today"], &figures["transactions"]), (&json!(0), &json!(0)));
    engine
        .api
        .call(Method::POST, &campaign.path("/test_send"), Some(json!({})))
        .await?
        .refused(422, "no_emails_provided")?;
    engine.stop().await;
    Ok(())
}

async fn a_deleted_credentials_follow_ups_end_with_a_reason(database: Database) -> anyhow::Result<()> {
    let certificates = Certificates::generate()?;
    let ada = provider(ADA, ReceiverTls::Implicit, &certificates).await?;
    let grace = provider(GRACE, ReceiverTls::Implicit, &certificates).await?;
    let engine = Engine::on(database).trust(certificates.ca_pem()).start().await?;
    let plan = CampaignPlan::new("Gone")
        .credential(credential(ADA, &ada, "implicit"))
        .credential(credential(GRACE, &grace, "implicit"))
        .step(0, "One", "<p>One</p>")
        .step(60, "Two", "<p>Two</p>");
    let campaign = plan.make(&engine.api).await?;
    let recipients = ["bo@there.test", "cy@there.test"];
    campaign.send_to(&recipients).await?;
    let mut through_ada = None;
    let adas = campaign.figures_of(ADA).await?["id"].clone();
    for recipient in recipients {
        let enrollment = campaign.becomes(recipient, "sent").await?;
        if enrollment["smtp_credential_id"] == adas {
            through_ada = Some(recipient);
        }
    }
    let through_ada = through_ada.context("nobody was written to through Ada")?;
    let path = campaign.path(&format!("/smtp_credentials/{}", text(&adas)?));
    let deleted = engine.api.call(Method::DELETE, &path, None).await?.succeeded()?;
    assert_eq!(deleted, json!({ "id": adas, "status": "deleted" }));
    let ended = campaign.enrollment_of(through_ada).await?;
    assert_eq!(ended["stop_reason"], "the credential was deleted");
    let timeline = campaign.timeline_of(through_ada).await?;
    let second = timeline.iter().find(|fact| fact["kind"] == "queued" && fact["step"] == 2).context("no step 2")?;
    assert_eq!((&second["state"], &second["reason"]), (&json!("skipped"), &json!("the credential was deleted")));
    let forecast = engine.api.get(&campaign.path("/send_forecast")).await?;
    let to_come: u64 = days_of(&forecast)?.values().map(|(_, follow_ups)| follow_ups).sum();
    assert_eq!((to_come, &forecast["held"]["follow_ups"]), (1, &json!(0)), "{forecast}");
    engine.stop().await;
    Ok(())
}

async fn a_timeline_tells_who_said_what(database: Database) -> anyhow::Result<()> {
    let certificates = Certificates::generate()?;
    let ada = provider(ADA, ReceiverTls::Implicit, &certificates).await?;
    let app = WebhookReceiver::start().await?;
    let engine = Engine::on(database).trust(certificates.ca_pem()).start().await?;
    let webhook = engine.api.post("/webhooks", json!({ "webhook": { "url": app.url() } })).await?;
    let gate = engine.api.upload("/extensions", "text/rhai", GATE.as_bytes()).await?.succeeded()?;
    let binding = json!({ "scope": "account", "hook": "send-gate", "extension_id": gate["id"], "mode": "active" });
    let bound = engine.api.call(Method::PUT, "/bindings", Some(json!({ "bindings": [binding] }))).await?;
    bound.succeeded()?;
    let campaign = CampaignPlan::new("Told").credential(credential(ADA, &ada, "implicit")).make(&engine.api).await?;
    campaign.send_to(&["bo@there.test"]).await?;
    app.event("enrollment.sent").await?;
    let timeline = eventually("the delivery to be told", async || {
        let timeline = campaign.timeline_of("bo@there.test").await.map_err(|error| error.to_string())?;
        let is_told = timeline.iter().any(|fact| fact["kind"] == "webhook" && fact["state"] == "delivered");
        if is_told { Ok(timeline) } else { Err(format!("{timeline:?}")) }
    })
    .await?;
    let kinds: Vec<&str> = timeline.iter().filter_map(|fact| fact["kind"].as_str()).collect();
    assert_eq!(kinds, ["enrolled", "queued", "gate", "transaction", "event", "webhook"]);
    assert_eq!(
        (&timeline[2]["by"]["name"], &timeline[2]["send_id"]),
        (&json!("one-at-a-time"), &timeline[1]["send_id"])
    );
    assert_eq!((&timeline[3]["outcome"], &timeline[3]["smtp_code"]), (&json!("accepted"), &json!(250)));
    let told = &timeline[5];
    assert_eq!((&told["webhook_id"], &told["event_type"]), (&webhook["id"], &json!("enrollment.sent")));
    assert_eq!((&told["status_code"], &told["event_id"]), (&json!(200), &timeline[4]["id"]));
    engine.stop().await;
    Ok(())
}
