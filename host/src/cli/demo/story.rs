//! What happens in the demo, told line by line. Every line is what the API said, not what the demo hopes.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::people::{self, Answer};
use super::world::{ADA, GRACE, PASSWORD, World};
use crate::demo::smtp_receiver::{ReceivedMessage, SmtpReceiver};

/// A minute of the campaign takes this long here.
const MINUTE: Duration = Duration::from_millis(40);
const DAY: Duration = Duration::from_secs(86_400);
/// What is expected and does not come within this is an error.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(40);
/// Three of twenty: what Ada has at the worst does not exceed it, so that Grace alone goes down.
const THRESHOLD_PERCENT: f64 = 15.0;

const FILTER: &str = r#"//! name: ticket-systems
//! version: 1.0.0
//! hooks: reply-classifier
//! description: The receipt of a ticket system is no answer of a person.
//! licence: Apache-2.0

fn classify(message) {
    if message.subject.contains("[Ticket") && message.text.contains("request was received") {
        return #{ verdict: "auto-reply", kind: "receipt", reason: "a ticket system's receipt" };
    }
    #{ verdict: "pass" }
}
"#;

struct Narrator {
    bar: ProgressBar,
}

/// What the story goes on with.
struct Cast {
    campaign: String,
    ada: String,
    grace: String,
    inbound_url: String,
}

pub(super) async fn tell(world: &World) -> anyhow::Result<()> {
    let narrator = Narrator::new();
    let cast = prepare(world, &narrator).await?;
    first_steps(world, &narrator, &cast).await?;
    answers(world, &narrator, &cast).await?;
    swap_a_filter(world, &narrator, &cast).await?;
    follow_ups(world, &narrator, &cast, "Three days later: step 2, in the same threads", 3).await?;
    provider_bounces(world, &narrator, &cast).await?;
    back_again(world, &narrator, &cast).await?;
    follow_ups(world, &narrator, &cast, "Four days later: step 3", 4).await?;
    narrator.bar.finish_and_clear();
    table(world, &cast).await
}

async fn prepare(world: &World, narrator: &Narrator) -> anyhow::Result<Cast> {
    narrator.chapter("A campaign of three steps, two credentials, one mailbox, thirty contacts");
    let smtp = |from: &str, name: &str, receiver: &SmtpReceiver, tls: &str| {
        json!({ "label": name, "smtp_host": "localhost", "smtp_port": receiver.address().port(), "smtp_tls": tls,
                "smtp_username": from, "smtp_password": PASSWORD, "from_name": name, "from_email": from, "daily_limit": 100 })
    };
    let mut ada = smtp(ADA, "Ada", &world.ada, "starttls");
    for (key, value) in [
        ("imap_host", json!("localhost")),
        ("imap_port", json!(world.mailbox.address().port())),
        ("imap_tls", json!("implicit")),
        ("imap_username", json!(ADA)),
        ("imap_password", json!(PASSWORD)),
    ] {
        ada[key] = value;
    }
    let step = |position: u32, delay_days: u32, text: &str| {
        json!({ "position": position, "subject": "A question", "delay_minutes": delay_days * 24 * 60,
                "body_html": format!("<p>Hi {{{{first_name}}}},</p><p>{text}</p>") })
    };
    let campaign = json!({ "campaign": {
        "name": "The demo", "verify_email_mx": true, "min_wait_seconds": 60, "max_wait_seconds": 180,
        "bounce_rate_threshold": THRESHOLD_PERCENT,
        "smtp_credentials": [ada, smtp(GRACE, "Grace", &world.grace, "implicit")],
        "sequence_steps": [
            step(1, 0, "does {{company}} still sort its mail by hand?"),
            step(2, 3, "did you see my question?"),
            step(3, 4, "I will not ask again."),
        ],
    }});
    let made = world.client.post("/campaigns", &campaign).await?;
    let campaign = text(&made, "id")?;
    let credentials = world.client.get(&format!("/campaigns/{campaign}/smtp_credentials")).await?;
    let credential = |from: &str| -> anyhow::Result<String> {
        let found = credentials.as_array().into_iter().flatten().find(|one| one["from_email"] == from);
        text(found.with_context(|| format!("no credential of {from}"))?, "id")
    };
    let import = json!({ "contact_import": { "name": "thirty", "contacts": people::contacts() } });
    let import = world.client.post("/contact_imports", &import).await?;
    narrator.line(&format!("imported {} contacts", import["record_count"]));
    let webhook = json!({ "webhook": { "url": world.webhook_url } });
    world.client.post("/webhooks", &webhook).await?;
    let endpoint = json!({ "inbound_endpoint": { "provider": "smtp2go" } });
    let endpoint = world.client.post("/inbound_endpoints", &endpoint).await?;
    let enroll = json!({ "contact_import_id": text(&import, "id")?, "batch_size": 15 });
    let enrolled = world.client.post(&format!("/campaigns/{campaign}/enroll"), &enroll).await?;
    narrator.line(&format!("enrolled {} in {} batches", enrolled["enrolled"], enrolled["batches"]));
    Ok(Cast { campaign, ada: credential(ADA)?, grace: credential(GRACE)?, inbound_url: text(&endpoint, "url")? })
}

async fn first_steps(world: &World, narrator: &Narrator, cast: &Cast) -> anyhow::Result<()> {
    narrator.chapter("Dispatch: domains without MX are bounced unsent, the rest is spaced by one to three minutes");
    world.client.post(&format!("/campaigns/{}/dispatch", cast.campaign), &json!({})).await?;
    narrator.bar.set_length(30);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let totals = campaign(world, cast).await?["totals"].clone();
        let pending = number(&totals, "pending")?;
        narrator.bar.set_position(30 - pending.min(30));
        if pending == 0 {
            break;
        }
        if Instant::now() > deadline {
            bail!("first steps did not leave: {totals}");
        }
        world.clock.advance(Duration::from_secs(60));
        tokio::time::sleep(MINUTE).await;
    }
    let shown = campaign(world, cast).await?;
    let (ada, grace) = (world.ada.accepted(), world.grace.accepted());
    narrator.line(&format!("in turns through both credentials: {ada} by {ADA}, {grace} by {GRACE}"));
    narrator.line(&format!("without MX: {}; no SMTP transaction, in no rate", shown["skipped"]["mx_invalid"]));
    for bounce in shown["recent_bounces"].as_array().into_iter().flatten() {
        narrator.line(&format!("bounced: {} – {}", plain(&bounce["email"]), plain(&bounce["reason"])));
    }
    Ok(())
}

async fn answers(world: &World, narrator: &Narrator, cast: &Cast) -> anyhow::Result<()> {
    narrator.chapter("Answers come into Ada's mailbox");
    let received = world.ada.messages();
    let mut letters = received.iter();
    for (answer, what) in [
        (Answer::Interested, "a person is interested"),
        (Answer::Away, "a machine says that its person is away"),
        (Answer::Interested, "another person is interested"),
        (Answer::Undeliverable, "a relay gives a message back"),
        (Answer::Ticket, "a ticket system has taken the message for a ticket"),
    ] {
        let letter = letters.next().context("Ada has sent fewer messages than there are answers")?;
        let verdict = judge(world, cast, letter, answer).await?;
        narrator.line(&format!("{what} → {verdict}"));
    }
    Ok(())
}

async fn swap_a_filter(world: &World, narrator: &Narrator, cast: &Cast) -> anyhow::Result<()> {
    narrator.chapter("The ticket was taken for a person. A reply filter of ten lines mends it while everything runs");
    let uploaded = world.client.upload("/extensions", "text/rhai", FILTER.as_bytes()).await?;
    let binding = json!({ "bindings": [
        { "scope": "campaign", "scope_id": cast.campaign, "hook": "reply-classifier",
          "extension_id": uploaded["id"], "mode": "active" },
    ]});
    world.client.put("/bindings", &binding).await?;
    narrator.line(&format!("bound {}@{} to the campaign", plain(&uploaded["name"]), plain(&uploaded["version"])));
    let received = world.ada.messages();
    let letter = received.get(5).context("Ada has sent fewer than six messages")?;
    let verdict = judge(world, cast, letter, Answer::Ticket).await?;
    narrator.line(&format!("the next ticket system's receipt → {verdict}"));
    Ok(())
}

async fn follow_ups(world: &World, narrator: &Narrator, cast: &Cast, title: &str, days: u32) -> anyhow::Result<()> {
    narrator.chapter(title);
    let before = world.ada.accepted() + world.grace.accepted();
    world.clock.advance(DAY * days + Duration::from_secs(3600));
    let mut last = (before, Instant::now());
    let deadline = Instant::now() + PATIENCE;
    // They leave within minutes of each other; a second without one means that all have.
    while last.1.elapsed() < Duration::from_secs(1) && Instant::now() < deadline {
        world.clock.advance(Duration::from_secs(60));
        tokio::time::sleep(MINUTE).await;
        let now = world.ada.accepted() + world.grace.accepted();
        if now != last.0 {
            last = (now, Instant::now());
        }
    }
    let sent = last.0 - before;
    if sent == 0 {
        let why = world.client.get(&format!("/campaigns/{}/explain", cast.campaign)).await?;
        bail!("no follow-up left: {why}");
    }
    narrator.line(&format!("{sent} follow-ups left; who answered, bounced or unsubscribed got none"));
    Ok(())
}

async fn provider_bounces(world: &World, narrator: &Narrator, cast: &Cast) -> anyhow::Result<()> {
    narrator.chapter("Grace's provider posts bounces, until the bounce policy turns the credential off");
    for (n, letter) in world.grace.messages().iter().enumerate() {
        let send_id = letter.message_id.as_deref().unwrap_or_default().trim_matches(['<', '>']);
        let send_id = send_id.split('@').next().unwrap_or_default();
        let event = json!({ "event": "bounce", "bounce": "hard", "id": format!("event-{n}"), "rcpt": letter.to.first(),
                            "message": "550 5.1.1 mailbox unavailable", "X-Ampout-Send-Id": send_id });
        world.client.post_to(&cast.inbound_url, &event).await?;
        // Told twice, as providers do; it counts once.
        world.client.post_to(&cast.inbound_url, &event).await?;
        tokio::time::sleep(LOOK_AGAIN).await;
        let grace = credential(world, cast, &cast.grace).await?;
        narrator.line(&format!(
            "bounce of {} → {} % of {} transactions",
            letter.to.join(", "),
            grace["bounce_rate"],
            grace["transactions"]
        ));
        if !grace["disabled_at"].is_null() {
            narrator.line(&format!("credential.disabled: {}", plain(&grace["disabled_reason"])));
            return Ok(());
        }
        if n > 12 {
            break;
        }
    }
    eventually("the credential is disabled", async || {
        Ok(!credential(world, cast, &cast.grace).await?["disabled_at"].is_null())
    })
    .await
}

async fn back_again(world: &World, narrator: &Narrator, cast: &Cast) -> anyhow::Result<()> {
    narrator.chapter("Its owner has cleaned the list and turns it on again");
    let path = format!("/campaigns/{}/smtp_credentials/{}/reenable", cast.campaign, cast.grace);
    let enabled = world.client.post(&path, &json!({})).await?;
    narrator.line(&format!("{} is {}", plain(&enabled["from_email"]), plain(&enabled["status"])));
    Ok(())
}

async fn table(world: &World, cast: &Cast) -> anyhow::Result<()> {
    let shown = campaign(world, cast).await?;
    let totals = &shown["totals"];
    println!("\n{:<12}{:>6}", "status", "count");
    for status in ["pending", "sent", "opened", "replied", "bounced"] {
        println!("{status:<12}{:>6}", plain(&totals[status]));
    }
    println!("\n{:<24}{:>8}{:>14}{:>9}{:>8}", "credential", "sent", "transactions", "bounces", "rate");
    for credential in shown["credentials"].as_array().into_iter().flatten() {
        let sent = if credential["id"] == *cast.ada { world.ada.accepted() } else { world.grace.accepted() };
        let rate = format!("{} %", credential["bounce_rate"]);
        let (transactions, bounces) = (plain(&credential["transactions"]), plain(&credential["bounces"]));
        let from = plain(&credential["from_email"]);
        println!("{from:<24}{sent:>8}{transactions:>14}{bounces:>9}{rate:>8}");
    }
    println!("\nThe customer's app took {} signed webhooks.", world.webhooks_taken());
    Ok(())
}

/// Puts an answer into the mailbox and gives what the engine made of it.
async fn judge(world: &World, cast: &Cast, letter: &ReceivedMessage, answer: Answer) -> anyhow::Result<String> {
    let recipient = letter.to.first().context("a message without a recipient")?;
    let enrollment = enrollment_of(world, cast, recipient).await?;
    world.mailbox.deliver(ADA, answer.write(letter, world.clock.now()))?;
    let path = format!("/enrollments/{enrollment}/timeline");
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let timeline = world.client.get(&path).await?;
        let read = timeline.as_array().into_iter().flatten().find(|fact| !fact["verdict"].is_null());
        if let Some(fact) = read {
            let status = enrollment_status(world, cast, &enrollment).await?;
            return Ok(format!(
                "{}, says {}; the enrollment is {status}",
                plain(&fact["verdict"]),
                author(&fact["by"])
            ));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    bail!("the answer of {recipient} was not read within {} s", PATIENCE.as_secs())
}

async fn enrollment_of(world: &World, cast: &Cast, email: &str) -> anyhow::Result<String> {
    let enrollments = world.client.get(&format!("/campaigns/{}/enrollments?limit=1000", cast.campaign)).await?;
    for enrollment in enrollments.as_array().into_iter().flatten() {
        let contact = world.client.get(&format!("/contacts/{}", text(enrollment, "contact_id")?)).await?;
        if contact["email"].as_str().is_some_and(|known| known.eq_ignore_ascii_case(email)) {
            return text(enrollment, "id");
        }
    }
    bail!("nobody is enrolled with {email}")
}

async fn enrollment_status(world: &World, cast: &Cast, id: &str) -> anyhow::Result<String> {
    let enrollments = world.client.get(&format!("/campaigns/{}/enrollments?limit=1000", cast.campaign)).await?;
    let found = enrollments.as_array().into_iter().flatten().find(|one| one["id"] == id);
    text(found.context("the enrollment is gone")?, "status")
}

async fn campaign(world: &World, cast: &Cast) -> anyhow::Result<Value> {
    world.client.get(&format!("/campaigns/{}", cast.campaign)).await
}

async fn credential(world: &World, cast: &Cast, id: &str) -> anyhow::Result<Value> {
    let shown = campaign(world, cast).await?;
    let found = shown["credentials"].as_array().into_iter().flatten().find(|one| one["id"] == id).cloned();
    found.with_context(|| format!("the campaign does not show credential {id}"))
}

async fn eventually(what: &str, check: impl AsyncFn() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if check().await? {
            return Ok(());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    bail!("waited {} s in vain: {what}", PATIENCE.as_secs())
}

fn text(value: &Value, key: &str) -> anyhow::Result<String> {
    value[key].as_str().map(str::to_owned).with_context(|| format!("the answer has no {key}: {value}"))
}

fn number(value: &Value, key: &str) -> anyhow::Result<u64> {
    value[key].as_u64().with_context(|| format!("the answer has no {key}: {value}"))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Who decided, as the timeline names it.
fn author(by: &Value) -> String {
    match by {
        Value::Object(_) => format!("{}@{}", plain(&by["name"]), plain(&by["version"])),
        other => plain(other),
    }
}

impl Narrator {
    fn new() -> Self {
        let bar = ProgressBar::new(30);
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} first steps done");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar }
    }

    fn chapter(&self, title: &str) {
        self.bar.suspend(|| println!("\n{title}"));
    }

    fn line(&self, text: &str) {
        self.bar.suspend(|| println!("  {text}"));
    }
}
