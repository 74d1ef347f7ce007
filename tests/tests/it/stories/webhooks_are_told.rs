//! A customer's app is told what happens: signed so that the published libraries believe it, again until it is taken, in
//! order, past one that hangs, and no more once it is gone.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use ampout::app::App;
use ampout::demo::certificates::Certificates;
use ampout::demo::smtp_receiver::{ReceiverTls, SmtpReceiver};
use ampout::domain::Timestamp;
use ampout::domain::event::EventType;
use ampout::store::{accounts, events};
use ampout_tests::{
    Answer, Campaign, CampaignPlan, Database, Engine, ReceivedRequest, WebhookReceiver, credential, eventually,
    letters, node_folder, provider, text,
};
use anyhow::{Context, bail, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

super::on_both_databases!(
    the_published_libraries_believe_it,
    one_that_hangs_delays_no_other,
    what_is_refused_is_tried_again_by_the_schedule,
    an_enrollments_events_arrive_in_order,
    one_that_is_gone_is_told_no_more_until_its_owner_says_so,
    two_nodes_tell_each_event_once
);

const ADA: &str = "ada@lovelace.test";
/// The contract's, in seconds.
const SCHEDULE: [i64; 8] = [5, 60, 300, 1800, 7200, 21_600, 43_200, 86_400];

/// An engine whose campaign can send.
struct World {
    engine: Engine,
    ada: SmtpReceiver,
    campaign: Campaign,
}

impl World {
    async fn start(database: Database) -> anyhow::Result<Self> {
        let certificates = Certificates::generate()?;
        let ada = provider(ADA, ReceiverTls::Implicit, &certificates).await?;
        let engine = Engine::on(database).trust(certificates.ca_pem()).start().await?;
        let plan = CampaignPlan::new("Told").credential(credential(ADA, &ada, "implicit"));
        let campaign = plan.make(&engine.api).await?;
        Ok(Self { engine, ada, campaign })
    }

    async fn webhook(&self, app: &WebhookReceiver, filters: &[&str]) -> anyhow::Result<Hook> {
        let body = json!({ "webhook": { "url": app.url(), "event_filters": filters } });
        let made = self.engine.api.post("/webhooks", body).await?;
        let path = format!("/webhooks/{}", text(&made["id"])?);
        Ok(Hook { path, secret: text(&made["secret"])?.to_owned() })
    }

    /// The newest delivery of a webhook, as soon as it is as `check` wants it.
    async fn delivery(&self, hook: &Hook, what: &str, check: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        eventually(what, async || {
            let path = format!("{}/deliveries?limit=1", hook.path);
            let mut list = self.engine.api.get(&path).await.map_err(|error| format!("{error:#}"))?;
            let newest = list[0].take();
            if check(&newest) { Ok(newest) } else { Err(newest) }
        })
        .await
    }
}

struct Hook {
    path: String,
    secret: String,
}

async fn the_published_libraries_believe_it(database: Database) -> anyhow::Result<()> {
    let world = World::start(database).await?;
    let app = WebhookReceiver::start().await?;
    let hook = world.webhook(&app, &["enrollment.*"]).await?;
    world.campaign.send_to(&["bo@there.test"]).await?;
    let first = app.event("enrollment.sent").await?;
    verify(&first, &hook.secret).await?;
    let envelope = first.json()?;
    let names = |value: &Value| value.as_object().map(|map| map.keys().cloned().collect::<Vec<_>>().join(" "));
    assert_eq!(names(&envelope).as_deref(), Some("account_id created_at data id type"));
    let of_data = "bounce_reason campaign_id contact_email contact_id enrollment_id replied_at sent_at status";
    assert_eq!(names(&envelope["data"]).as_deref(), Some(of_data));
    assert_eq!(envelope["id"], first.header("webhook-id")?);
    assert_eq!(envelope["data"]["contact_email"], "bo@there.test");
    assert_eq!(first.header("content-type")?, "application/json");
    let path = format!("{}/rotate_secret", hook.path);
    let rotate = async |query: &str| -> anyhow::Result<String> {
        let rotated = world.engine.api.call(Method::POST, &format!("{path}{query}"), None).await?.succeeded()?;
        Ok(text(&rotated["secret"])?.to_owned())
    };

    let second_secret = rotate("?grace=true").await?;
    world.campaign.send_to(&["cy@there.test"]).await?;
    let second = app.nth(2).await?;
    assert_eq!(second.header("webhook-signature")?.split(' ').count(), 2);
    verify(&second, &hook.secret).await?;
    verify(&second, &second_secret).await?;
    refuse(&second, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").await?;
    let altered = ReceivedRequest { body: format!("{} ", String::from_utf8(second.body.to_vec())?).into(), ..second };
    refuse(&altered, &second_secret).await?;

    let third_secret = rotate("").await?;
    world.campaign.send_to(&["di@there.test"]).await?;
    let third = app.nth(3).await?;
    verify(&third, &third_secret).await?;
    refuse(&third, &second_secret).await?;
    world.engine.stop().await;
    Ok(())
}

async fn one_that_hangs_delays_no_other(database: Database) -> anyhow::Result<()> {
    let world = World::start(database).await?;
    let (hanging, quick) = (WebhookReceiver::start().await?, WebhookReceiver::start().await?);
    hanging.answer(Answer::Hang);
    for _ in 0..20 {
        world.webhook(&hanging, &["*"]).await?;
    }
    world.webhook(&quick, &["enrollment.sent"]).await?;
    let begun = world.engine.clock.now();
    for (nth, recipient) in ["bo@there.test", "cy@there.test", "di@there.test"].iter().enumerate() {
        world.campaign.send_to(&[recipient]).await?;
        assert_eq!(quick.nth(nth + 1).await?.json()?["data"]["contact_email"], *recipient);
    }
    hanging.nth(20).await?;
    let took = begun.until(world.engine.clock.now());
    ensure!(took < Duration::from_secs(10), "it took {took:?}, longer than one that hangs is waited for");
    ensure!(hanging.requests().len() < 20 * 3, "each of those that hang is at its first events still");
    world.engine.stop().await;
    Ok(())
}

async fn what_is_refused_is_tried_again_by_the_schedule(database: Database) -> anyhow::Result<()> {
    let world = World::start(database).await?;
    let app = WebhookReceiver::start().await?;
    app.answer(Answer::Status(503));
    let hook = world.webhook(&app, &["enrollment.*"]).await?;
    world.campaign.send_to(&["bo@there.test"]).await?;
    for (nth, wait) in (1..).zip(SCHEDULE) {
        app.nth(nth).await?;
        let tried = world.delivery(&hook, "a refusal", |delivery| delivery["attempt"] == nth).await?;
        assert_eq!((&tried["state"], &tried["status_code"]), (&json!("pending"), &json!(503)), "{tried}");
        let next: Timestamp = text(&tried["next_try_at"])?.parse()?;
        let sent: i64 = app.nth(nth).await?.header("webhook-timestamp")?.parse()?;
        let waits = next.as_millis() / 1000 - sent;
        // A fifth more or less, and what the test's own machine takes.
        ensure!((wait * 8 / 10..=wait * 12 / 10 + 5).contains(&waits), "try {nth} waits {waits} s, not about {wait}");
        world.engine.move_to(next);
    }
    app.nth(9).await?;
    let failed = world.delivery(&hook, "the end", |delivery| delivery["state"] == "failed").await?;
    assert_eq!((&failed["attempt"], &failed["next_try_at"]), (&json!(9), &Value::Null));
    let requests = app.requests();
    let ids = requests.iter().map(|request| request.header("webhook-id"));
    let mut ids: Vec<&str> = ids.collect::<anyhow::Result<_>>()?;
    ids.dedup();
    assert_eq!(ids.len(), 1, "it is one event, however often it is told");

    app.answer(Answer::Status(204));
    let path = format!("{}/deliveries/{}/redeliver", hook.path, text(&failed["id"])?);
    let again = world.engine.api.call(Method::POST, &path, None).await?.succeeded()?;
    assert_eq!(again, json!({ "id": failed["id"], "status": "pending" }));
    let delivered = world.delivery(&hook, "it to be taken", |delivery| delivery["state"] == "delivered").await?;
    assert_eq!((&delivered["status_code"], &delivered["error"]), (&json!(204), &Value::Null));
    ensure!(delivered["delivered_at"].is_string(), "{delivered}");
    // Told once more and refused: that it had arrived stays known.
    app.answer(Answer::Status(500));
    world.engine.api.call(Method::POST, &path, None).await?.succeeded()?;
    let refused = world.delivery(&hook, "it to be refused", |delivery| delivery["status_code"] == 500).await?;
    assert_eq!((&refused["state"], &refused["delivered_at"]), (&json!("pending"), &delivered["delivered_at"]));
    world.engine.stop().await;
    Ok(())
}

async fn an_enrollments_events_arrive_in_order(database: Database) -> anyhow::Result<()> {
    let world = World::start(database).await?;
    let app = WebhookReceiver::start().await?;
    app.answer_next([Answer::Status(500), Answer::Status(502)]);
    world.webhook(&app, &["enrollment.*"]).await?;
    world.campaign.send_to(&["bo@there.test"]).await?;
    app.nth(1).await?;
    // While the first event waits for its next try, the contact leaves and another is written to.
    let letter = letters(&world.ada, 1).await?.remove(0);
    let left = world.engine.api.post_publicly(letter.unsubscribe_link(), "text/plain", "").await?;
    ensure!(left.is_success(), "{left}");
    world.campaign.send_to(&["cy@there.test"]).await?;
    let told = world
        .engine
        .as_time_passes(Duration::from_secs(1), "all three events", async || {
            let told: Vec<_> = app.requests().iter().filter_map(|request| request.json().ok()).collect();
            let of = |email: &str| {
                let of_it = told.iter().filter(|event| event["data"]["contact_email"] == email);
                of_it.map(|event| event["type"].clone()).collect::<Vec<_>>()
            };
            let (bo, cy) = (of("bo@there.test"), of("cy@there.test"));
            if bo.len() + cy.len() >= 5 { Ok((bo, cy)) } else { Err(format!("{bo:?} {cy:?}")) }
        })
        .await?;
    let (bo, cy) = told;
    // Whichever of the two was the second to be refused, the contact's leaving came last.
    ensure!(bo.last() == Some(&json!("enrollment.unsubscribed")), "{bo:?}");
    ensure!(bo[..bo.len() - 1].iter().all(|event| event == "enrollment.sent") && bo.len() >= 3, "{bo:?}");
    ensure!(!cy.is_empty(), "nobody waits for another's event");
    world.engine.stop().await;
    Ok(())
}

async fn one_that_is_gone_is_told_no_more_until_its_owner_says_so(database: Database) -> anyhow::Result<()> {
    let world = World::start(database).await?;
    let app = WebhookReceiver::start().await?;
    app.answer_next([Answer::Redirect, Answer::Status(410)]);
    let hook = world.webhook(&app, &["enrollment.*"]).await?;
    world.campaign.send_to(&["bo@there.test"]).await?;
    app.nth(1).await?;
    let redirected = world.delivery(&hook, "a redirect", |delivery| delivery["attempt"] == 1).await?;
    assert_eq!(redirected["error"], "it answered 302: redirects are not followed");
    world.engine.move_to(text(&redirected["next_try_at"])?.parse()?);
    app.nth(2).await?;
    let shown = async || world.engine.api.get(&hook.path).await.map_err(|error| format!("{error:#}"));
    let gone = eventually("the webhook to be disabled", async || {
        let shown = shown().await?;
        if shown["enabled"] == false { Ok(shown) } else { Err(shown.to_string()) }
    });
    assert_eq!(gone.await?["disabled_reason"], "gone");
    // What happens meanwhile is in the stream, and is not told later.
    world.campaign.send_to(&["cy@there.test"]).await?;
    eventually("the second event", async || {
        let events =
            world.engine.api.get("/events?type=enrollment.sent").await.map_err(|error| format!("{error:#}"))?;
        if events.as_array().is_some_and(|events| events.len() == 2) { Ok(()) } else { Err(events.to_string()) }
    })
    .await?;

    world.engine.api.patch(&hook.path, json!({ "webhook": { "enabled": true } })).await?;
    world.campaign.send_to(&["di@there.test"]).await?;
    let told = app.nth(3).await?.json()?;
    assert_eq!(told["data"]["contact_email"], "di@there.test");
    ensure!(app.requests().iter().all(|request| request.path == "/hook"), "a redirect was followed");
    world.engine.stop().await;
    Ok(())
}

/// Two nodes over one database look for deliveries at the same time, again and again.
async fn two_nodes_tell_each_event_once(database: Database) -> anyhow::Result<()> {
    const SUBJECTS: usize = 10;
    const EACH: usize = 12;
    let engine = Engine::on(database).start().await?;
    let app = WebhookReceiver::start().await?;
    engine.api.post("/webhooks", json!({ "webhook": { "url": app.url() } })).await?;
    let mut nodes = JoinSet::new();
    let mut store = None;
    for _ in 0..2 {
        let node = App::start(engine.config(), engine.clock.clone(), &engine.base()).await?;
        store = Some(node.store.clone());
        nodes.spawn(async move {
            while ampout::events::step(&node).await.is_ok() {
                tokio::task::yield_now().await;
            }
        });
    }
    let store = store.context("no node")?;
    let account = *accounts::list(&mut *store.read().await?).await?.first().context("no account")?;
    for n in 0..EACH {
        let mut tx = store.begin().await?;
        for subject in 0..SUBJECTS {
            let (name, data) = (subject.to_string(), json!({ "subject": subject, "n": n }));
            events::insert(&mut tx, account, EventType::EnrollmentSent, &name, &data, engine.clock.now()).await?;
        }
        tx.commit().await?;
    }
    app.nth(SUBJECTS * EACH).await?;
    ensure!(nodes.try_join_next().is_none(), "a node gave up");
    let told = app.requests();
    assert_eq!(told.len(), SUBJECTS * EACH, "none is told twice");
    let told: Vec<Value> = told.iter().map(|request| request.json()).collect::<Result<_, _>>()?;
    for subject in 0..SUBJECTS {
        let of_it = told.iter().filter(|event| event["data"]["subject"] == subject);
        let order: Vec<_> = of_it.map(|event| event["data"]["n"].clone()).collect();
        assert_eq!(order, (0..EACH).map(Value::from).collect::<Vec<_>>(), "subject {subject}");
    }
    nodes.shutdown().await;
    engine.stop().await;
    Ok(())
}

/// Both libraries take it.
async fn verify(request: &ReceivedRequest, secret: &str) -> anyhow::Result<()> {
    by_rust(request, secret).context("the crate refuses it")?;
    let event = by_node(request, secret).await.context("the npm package refuses it")?;
    ensure!(event == request.json()?, "the npm package reads {event}");
    Ok(())
}

/// Both libraries refuse it, for its signature.
async fn refuse(request: &ReceivedRequest, secret: &str) -> anyhow::Result<()> {
    let (Err(rust), Err(node)) = (by_rust(request, secret), by_node(request, secret).await) else {
        bail!("a library takes what it should refuse");
    };
    let told = format!("{rust:#} {node:#}");
    ensure!(told.to_lowercase().matches("signature").count() >= 2, "{told}");
    Ok(())
}

fn by_rust(request: &ReceivedRequest, secret: &str) -> anyhow::Result<()> {
    Ok(standardwebhooks::Webhook::new(secret)?.verify(&request.body, &request.headers)?)
}

async fn by_node(request: &ReceivedRequest, secret: &str) -> anyhow::Result<Value> {
    const SCRIPT: &str = include_str!("../../../node/verify.mjs");
    let headers = request.headers.iter().map(|(name, value)| Ok((name.to_string(), value.to_str()?.into())));
    let headers: serde_json::Map<String, Value> = headers.collect::<anyhow::Result<_>>()?;
    let given = json!({ "secret": secret, "headers": headers, "body": String::from_utf8(request.body.to_vec())? });
    let folder = node_folder()?;
    let output = tokio::task::spawn_blocking(move || -> anyhow::Result<Output> {
        let mut node = Command::new("timeout");
        node.args(["60", "node", "--input-type=module", "--eval", SCRIPT]).current_dir(folder);
        let mut node = node.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut stdin = node.stdin.take().context("node has no standard input")?;
        stdin.write_all(given.to_string().as_bytes())?;
        drop(stdin);
        Ok(node.wait_with_output()?)
    });
    let output = output.await??;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}
