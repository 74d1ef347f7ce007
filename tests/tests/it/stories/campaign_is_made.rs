//! A campaign comes into being over HTTP: made with its credentials and steps, given contacts, told to go. What is wrong
//! in it is told at once and in full, and nobody else can see it.

use ampout_tests::{CampaignPlan, Database, Engine, altered, text};
use anyhow::{Context, ensure};
use reqwest::Method;
use serde_json::{Value, json};

super::on_both_databases!(
    a_campaign_is_made_filled_and_dispatched,
    everything_that_is_wrong_is_named_at_once,
    nobody_else_sees_it
);

const SECRET: &str = "not to be seen again";

fn smtp(from: &str) -> Value {
    json!({ "smtp_host": "smtp.company.test", "smtp_port": 465, "smtp_username": from, "smtp_password": SECRET,
            "from_name": "Ada", "from_email": from, "daily_limit": 50 })
}

fn plan() -> CampaignPlan {
    let mailbox = json!({ "imap_host": "imap.company.test", "imap_port": 993, "imap_username": "ada",
                          "imap_password": SECRET });
    CampaignPlan::new("Spring")
        .set("verify_email_mx", true)
        .credential(altered(smtp("ada@company.test"), mailbox))
        .credential(smtp("grace@company.test"))
        .step(0, "Hi {{first_name}}", "<p>Does {{company}} sort its mail by hand?</p>")
        .step(3 * 24 * 60, "Did you see it?", "<p>My question, {{first_name}}?</p>")
        .step(4 * 24 * 60, "A last word", "<p>I will not ask again.</p>")
}

async fn a_campaign_is_made_filled_and_dispatched(database: Database) -> anyhow::Result<()> {
    let engine = Engine::on(database).start().await?;
    let campaign = plan().make(&engine.api).await?;
    let shown = engine.api.call(Method::GET, &campaign.path(""), None).await?;
    assert!(!shown.text.contains(SECRET), "a password is shown: {}", shown.text);
    let shown = shown.succeeded()?;
    assert_eq!((&shown["status"], &shown["verify_email_mx"]), (&json!("pending"), &json!(true)));
    assert_eq!(shown["credentials"].as_array().context("credentials")?.len(), 2);
    let delays: Vec<_> =
        shown["sequence_steps"].as_array().context("steps")?.iter().map(|s| &s["delay_minutes"]).collect();
    assert_eq!(delays, [0, 4320, 5760]);
    assert_eq!(campaign.credential("ada@company.test").await?["imap_host"], "imap.company.test");
    assert_eq!(campaign.credential("grace@company.test").await?["imap_host"], Value::Null);

    engine.api.call(Method::POST, &campaign.path("/dispatch"), None).await?.refused(422, "no_pending_enrollments")?;
    let contacts = (0..5).map(|n| json!({ "email": format!("bo{n}@there.test"), "company": "There" })).collect();
    let enrolled = campaign.enroll_contacts(contacts, 2).await?;
    assert_eq!(
        (&enrolled["enrolled"], &enrolled["batches"], &enrolled["batch_size"]),
        (&json!(5), &json!(3), &json!(2))
    );
    let dispatched = engine.api.call(Method::POST, &campaign.path("/dispatch"), None).await?;
    assert_eq!(dispatched.status, 202);
    assert_eq!(dispatched.body, json!({ "status": "active", "dispatched": 5, "batches": 3 }));
    assert_eq!(campaign.show().await?["status"], "active");
    engine.stop().await;
    Ok(())
}

async fn everything_that_is_wrong_is_named_at_once(database: Database) -> anyhow::Result<()> {
    let engine = Engine::on(database).start().await?;
    let half_a_mailbox = json!({ "smtp_port": 0, "from_email": "nobody", "imap_host": "imap.company.test" });
    let wrong = plan()
        .set("name", "")
        .set("bounce_rate_threshold", 40)
        .set("colour", "red")
        .credential(altered(smtp("ada@company.test"), half_a_mailbox))
        .step(0, "Hi {{nickname}}", "");
    let answer = engine.api.call(Method::POST, "/campaigns", Some(wrong.body())).await?;
    let refused = answer.refused(422, "validation_failed")?;
    let named: Vec<&str> = refused["details"].as_object().context("details")?.keys().map(String::as_str).collect();
    let mut expected = [
        "name",
        "bounce_rate_threshold",
        "colour",
        "smtp_credentials.2.smtp_port",
        "smtp_credentials.2.from_email",
        "smtp_credentials.2.imap_port",
        "smtp_credentials.2.imap_username",
        "smtp_credentials.2.imap_password",
        "sequence_steps.3.subject",
        "sequence_steps.3.body_html",
    ]
    .map(|field| format!("campaign.{field}"));
    expected.sort();
    assert_eq!(named, expected);
    assert_eq!(engine.api.get("/campaigns").await?, json!([]));
    engine.stop().await;
    Ok(())
}

async fn nobody_else_sees_it(database: Database) -> anyhow::Result<()> {
    let engine = Engine::on(database).start().await?;
    let campaign = plan().make(&engine.api).await?;
    campaign.enroll(&["bo@there.test"]).await?;
    let enrollment = campaign.enrollment_of("bo@there.test").await?;
    let stranger = engine.another_account().await?;
    for (method, below) in [(Method::GET, ""), (Method::POST, "/dispatch"), (Method::GET, "/enrollments")] {
        stranger.call(method, &campaign.path(below), None).await?.refused(404, "campaign_not_found")?;
    }
    let timeline = format!("/enrollments/{}/timeline", text(&enrollment["id"])?);
    stranger.call(Method::GET, &timeline, None).await?.refused(404, "enrollment_not_found")?;
    ensure!(stranger.get("/campaigns").await? == json!([]), "a stranger's list is not empty");
    engine.stop().await;
    Ok(())
}
