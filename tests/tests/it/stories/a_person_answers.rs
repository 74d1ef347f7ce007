//! An answer in the mailbox: a person's turns the enrollment to replied and is told to the customer's app, signed; an
//! absence is told as such and changes nothing. The mailbox's owner does not notice that it was read.

use ampout::demo::certificates::Certificates;
use ampout::demo::smtp_receiver::ReceiverTls;
use ampout_tests::{
    CampaignPlan, CertificateAuthority, Database, Dovecot, Engine, Letter, PASSWORD, WebhookReceiver, credential,
    eventually, letters, provider, text, with_mailbox,
};
use anyhow::{Context, ensure};
use serde_json::{Value, json};

super::on_both_databases!(an_answer_comes_over_starttls, an_answer_comes_over_imaps);

const ADA: &str = "ada@lovelace.test";
const BO: &str = "bo@there.test";
const CY: &str = "cy@there.test";

async fn an_answer_comes_over_starttls(database: Database) -> anyhow::Result<()> {
    an_answer_comes(database, "starttls").await
}

async fn an_answer_comes_over_imaps(database: Database) -> anyhow::Result<()> {
    an_answer_comes(database, "implicit").await
}

async fn an_answer_comes(database: Database, tls: &str) -> anyhow::Result<()> {
    let certificates = Certificates::generate()?;
    let authority = CertificateAuthority::create()?;
    let dovecot = Dovecot::start(&authority).await?;
    dovecot.add_user(ADA, PASSWORD)?;
    let ada = provider(ADA, ReceiverTls::Implicit, &certificates).await?;
    let app = WebhookReceiver::start().await?;
    let engine = Engine::on(database).trust(certificates.ca_pem()).trust(authority.pem()).start().await?;
    let webhook = engine.api.post("/webhooks", json!({ "webhook": { "url": app.url() } })).await?;
    let port = if tls == "starttls" { dovecot.imap_port } else { dovecot.imaps_port };
    let plan = CampaignPlan::new("Answers").credential(with_mailbox(credential(ADA, &ada, "implicit"), port, tls));
    let campaign = plan.make(&engine.api).await?;
    campaign.send_to(&[BO, CY]).await?;
    let sent = letters(&ada, 2).await?;
    let letter_to = |recipient: &str| sent.iter().find(|letter| letter.to == recipient).context("not written to");
    campaign.becomes(BO, "sent").await?;
    campaign.becomes(CY, "sent").await?;

    let away: &Letter = letter_to(CY)?;
    dovecot.deliver(ADA, away.absence()).await?;
    let told = app.event("enrollment.auto_replied").await?.json()?;
    assert_eq!((&told["data"]["contact_email"], &told["data"]["status"]), (&json!(CY), &json!("sent")));

    let human: &Letter = letter_to(BO)?;
    dovecot.deliver_from(BO, ADA, human.answer("That sounds useful. Can we talk on Thursday?")).await?;
    let enrollment = campaign.becomes(BO, "replied").await?;
    let request = app.event("enrollment.replied").await?;
    request.verify(text(&webhook["secret"])?)?;
    let told = request.json()?;
    assert_eq!(request.header("webhook-id")?, text(&told["id"])?);
    for (field, expected) in
        [("enrollment_id", &enrollment["id"]), ("contact_email", &json!(BO)), ("status", &json!("replied"))]
    {
        assert_eq!(&told["data"][field], expected, "{told}");
    }
    ensure!(told["data"]["replied_at"].is_string() && told["data"]["campaign_id"] == campaign.id, "{told}");

    assert_eq!(campaign.enrollment_of(CY).await?["status"], "sent", "an absence is no reply");
    for (recipient, verdict) in [(BO, "human-reply"), (CY, "auto-reply")] {
        let timeline = campaign.timeline_of(recipient).await?;
        let read = timeline.iter().find(|fact| fact["kind"] == "inbound_message").context("not in the timeline")?;
        assert_eq!((&read["verdict"], &read["by"]["name"]), (&json!(verdict), &json!("reply-classifier")), "{read}");
    }
    let mailbox = campaign.credential(ADA).await?["mailbox"].clone();
    assert_eq!(mailbox["last_error"], Value::Null, "{mailbox}");
    let kept = eventually("both messages", async || match dovecot.messages(ADA) {
        Ok(messages) if messages.len() == 2 => Ok(messages),
        other => Err(format!("{other:?}")),
    });
    for message in kept.await? {
        assert_eq!(message.flags, [""; 0], "a message was marked");
    }
    engine.stop().await;
    Ok(())
}
