//! What decides is replaced while the engine runs: the next decision is the new one's. A script that is broken is refused
//! and changes nothing; one account's script is never asked about another's mail.

use ampout::demo::certificates::Certificates;
use ampout::demo::smtp_receiver::{ReceiverTls, Reply, SmtpReceiver, by_local_part};
use ampout_tests::{
    Api, Campaign, CampaignPlan, CertificateAuthority, Database, Dovecot, Engine, Letter, PASSWORD, credential,
    eventually, provider, text, with_mailbox,
};
use anyhow::{Context, ensure};
use serde_json::{Value, json};

super::on_both_databases!(a_reply_filter_is_swapped, a_bounce_policy_is_swapped);

const ADA: &str = "ada@lovelace.test";
const GRACE: &str = "grace@hopper.test";

const FILTER: &str = r#"//! name: ticket-systems
//! version: 1.0.0
//! hooks: reply-classifier
//! description: The receipt of a ticket system is no answer of a person.
//! license: Apache-2.0

fn classify(message) {
    if message.subject.contains("[Ticket") {
        return #{ verdict: "auto-reply", kind: "receipt", reason: "a ticket system's receipt" };
    }
    #{ verdict: "pass" }
}
"#;

const STRICT: &str = r#"//! name: strict
//! version: 2.1.0
//! hooks: bounce-policy
//! description: One bounce is one too many.
//! license: Apache-2.0

fn judge(stats) {
    if stats.since_enabled.hard_bounces > 0 {
        return #{ decision: "disable", reason: "one bounce is one too many" };
    }
    #{ decision: "keep" }
}
"#;

async fn a_reply_filter_is_swapped(database: Database) -> anyhow::Result<()> {
    let certificates = Certificates::generate()?;
    let authority = CertificateAuthority::create()?;
    let dovecot = Dovecot::start(&authority).await?;
    dovecot.add_user(ADA, PASSWORD)?;
    dovecot.add_user(GRACE, PASSWORD)?;
    let ada = provider(ADA, ReceiverTls::Implicit, &certificates).await?;
    let grace = provider(GRACE, ReceiverTls::Implicit, &certificates).await?;
    let engine = Engine::on(database).trust(certificates.ca_pem()).trust(authority.pem()).start().await?;
    let ours = &engine.api;
    let theirs = engine.another_account().await?;
    let recipients = ["a@there.test", "b@there.test", "c@there.test"];
    let our_campaign = campaign_of(ours, ADA, &ada, dovecot.imaps_port, &recipients).await?;
    let their_campaign = campaign_of(&theirs, GRACE, &grace, dovecot.imaps_port, &recipients).await?;

    let judged = ticket_taken(&dovecot, &our_campaign, &ada, ADA, "a@there.test").await?;
    assert_eq!(judged, ("human-reply".to_owned(), "reply-classifier".to_owned()), "nothing marks it as a machine's");
    assert_eq!(our_campaign.enrollment_of("a@there.test").await?["status"], "replied");

    let filter = ours.upload("/extensions", "text/rhai", FILTER.as_bytes()).await?.succeeded()?;
    bind(ours, json!({ "scope": "account" }), "reply-classifier", &filter).await?;
    let judged = ticket_taken(&dovecot, &our_campaign, &ada, ADA, "b@there.test").await?;
    assert_eq!(judged, ("auto-reply".to_owned(), "ticket-systems".to_owned()));
    assert_eq!(our_campaign.enrollment_of("b@there.test").await?["status"], "sent");

    let judged = ticket_taken(&dovecot, &their_campaign, &grace, GRACE, "b@there.test").await?;
    assert_eq!(judged, ("human-reply".to_owned(), "reply-classifier".to_owned()), "it is not their filter");
    let decisions = theirs.get("/decisions?hook=reply-classifier").await?;
    ensure!(
        !decisions.to_string().contains("ticket-systems"),
        "it was asked about another account's mail: {decisions}"
    );
    let path = format!("/extensions/{}", text(&filter["id"])?);
    theirs.call(reqwest::Method::GET, &path, None).await?.refused(404, "extension_not_found")?;

    let broken = FILTER.replace("1.0.0", "1.1.0").replace("#{ verdict: \"pass\" }", "#{ verdict: \"pass\" ");
    let refused = ours.upload("/extensions", "text/rhai", broken.as_bytes()).await?.refused(422, "unprocessable")?;
    let message = text(&refused["message"])?;
    ensure!(message.contains(":13:1: "), "no line and column: {message}");
    let judged = ticket_taken(&dovecot, &our_campaign, &ada, ADA, "c@there.test").await?;
    assert_eq!(judged, ("auto-reply".to_owned(), "ticket-systems".to_owned()), "what was active stays active");
    engine.stop().await;
    Ok(())
}

async fn a_bounce_policy_is_swapped(database: Database) -> anyhow::Result<()> {
    let certificates = Certificates::generate()?;
    let ada = provider(ADA, ReceiverTls::Implicit, &certificates).await?;
    ada.set_rule(by_local_part(vec![("gone".to_owned(), Reply::refuse(550, "5.1.1", "no such user"))]));
    let engine = Engine::on(database).trust(certificates.ca_pem()).start().await?;
    let plan = CampaignPlan::new("Policy").credential(credential(ADA, &ada, "implicit"));
    let campaign = plan.make(&engine.api).await?;
    campaign.send_to(&["gone1@there.test"]).await?;
    campaign.becomes("gone1@there.test", "bounced").await?;
    let asked = eventually("the shipped policy to be asked", async || {
        let decisions = engine.api.get("/decisions?hook=bounce-policy").await.map_err(|error| error.to_string())?;
        if decisions[0]["by"]["name"] == "threshold" { Ok(decisions[0].clone()) } else { Err(decisions.to_string()) }
    });
    assert_eq!(asked.await?["decision"]["decision"], "keep");

    let strict = engine.api.upload("/extensions", "text/rhai", STRICT.as_bytes()).await?.succeeded()?;
    bind(&engine.api, json!({ "scope": "campaign", "scope_id": campaign.id }), "bounce-policy", &strict).await?;
    campaign.send_to(&["gone2@there.test"]).await?;
    campaign.becomes("gone2@there.test", "bounced").await?;
    let disabled = eventually("the credential to be disabled", async || {
        let figures = campaign.figures_of(ADA).await.map_err(|error| error.to_string())?;
        if figures["disabled_at"].is_null() { Err(figures) } else { Ok(figures) }
    });
    assert_eq!(disabled.await?["disabled_reason"], "one bounce is one too many");
    // An event has its place in the stream a moment after its fact.
    let told = eventually("the event to be in the stream", async || {
        let events = engine.api.get("/events?type=credential.disabled").await.map_err(|error| error.to_string())?;
        if events[0].is_null() { Err(events.to_string()) } else { Ok(events[0].clone()) }
    });
    assert_eq!(told.await?["data"]["decided_by"], "strict@2.1.0");
    engine.stop().await;
    Ok(())
}

/// Whoever means their own mail must not store what is asked of everybody's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_is_not_taken_for_an_account() -> anyhow::Result<()> {
    let engine = Engine::on(Database::Sqlite).start().await?;
    let upload = async |path: &str| engine.api.upload(path, "application/wasm", b"\0asm").await;
    let refused = upload("/extensions?scope=account").await?.refused(422, "validation_failed")?;
    ensure!(text(&refused["details"]["scope"][0])?.contains("a component is the system's"), "{refused}");
    // What it is, is looked at only then.
    for path in ["/extensions", "/extensions?scope=system"] {
        let refused = upload(path).await?.refused(422, "unprocessable")?;
        ensure!(text(&refused["message"])?.contains("is no WebAssembly"), "{refused}");
    }
    engine.stop().await;
    Ok(())
}

async fn campaign_of(
    api: &Api,
    from: &str,
    receiver: &SmtpReceiver,
    imaps_port: u16,
    recipients: &[&str],
) -> anyhow::Result<Campaign> {
    let mailbox = with_mailbox(credential(from, receiver, "implicit"), imaps_port, "implicit");
    let campaign = CampaignPlan::new("Filters").credential(mailbox).make(api).await?;
    campaign.send_to(recipients).await?;
    for recipient in recipients {
        campaign.becomes(recipient, "sent").await?;
    }
    Ok(campaign)
}

async fn bind(api: &Api, scope: Value, hook: &str, extension: &Value) -> anyhow::Result<()> {
    let binding =
        ampout_tests::altered(scope, json!({ "hook": hook, "extension_id": extension["id"], "mode": "active" }));
    api.put("/bindings", json!({ "bindings": [binding] })).await.map(drop)
}

/// Lets `recipient`'s ticket system answer; the verdict on it and whose it is.
async fn ticket_taken(
    dovecot: &Dovecot,
    campaign: &Campaign,
    receiver: &SmtpReceiver,
    sender: &str,
    recipient: &str,
) -> anyhow::Result<(String, String)> {
    let received = receiver.messages();
    let received = received.iter().find(|message| message.to == [recipient]).context("not written to")?;
    let receipt = "Thank you for your message. An agent will look at it.";
    let receipt = Letter::of(received)?.answer_with("", "Re: A question [Ticket 4711]", receipt);
    dovecot.deliver_from(recipient, sender, receipt).await?;
    eventually("a verdict", async || {
        let timeline = campaign.timeline_of(recipient).await.map_err(|error| format!("{error:#}"))?;
        let judged = timeline.iter().find(|fact| fact["verdict"].is_string()).cloned();
        let judged = judged.ok_or_else(|| format!("{timeline:?}"))?;
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok::<_, String>((word(&judged["verdict"]), word(&judged["by"]["name"])))
    })
    .await
}
