//! Several nodes on one PostgreSQL: each message leaves once, a daily limit holds over all of them, a mailbox has one owner,
//! what is told to one is done by any, and whoever stops or dies leaves nothing lying.

use std::time::{Duration, Instant};

use ampout::clock::Clock;
use ampout::demo::certificates::Certificates;
use ampout::demo::smtp_receiver::{Action, Moment, ReceiverTls, SmtpReceiver};
use ampout::domain::Timestamp;
use ampout::server::Server;
use ampout_tests::{
    Api, CampaignPlan, CertificateAuthority, Database, Dovecot, Engine, Installation, PASSWORD, altered, credential,
    eventually, eventually_within, letters, postgres, provider, text, times_written_to, with_mailbox,
};
use anyhow::{Context, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

const ADA: &str = "ada@lovelace.test";
const BO: &str = "bo@there.test";
/// 2026-11-23T08:00:00Z.
const START: Timestamp = Timestamp::from_millis(1_795_420_800_000);
const HOUR: Duration = Duration::from_secs(3600);

/// Another node beside an engine: the same settings, another process's place.
async fn beside(engine: &Engine, clock: Clock) -> anyhow::Result<(Server, Api)> {
    let server = Server::start(engine.config(), clock).await?;
    let api = Api::new(&format!("http://{}", server.address()), engine.api.key())?;
    Ok((server, api))
}

fn recipients(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("bo{n}@there.test")).collect()
}

fn once_each(receiver: &SmtpReceiver, count: usize) -> anyhow::Result<()> {
    let counts = times_written_to(receiver);
    ensure!(counts.len() == count && counts.values().all(|n| *n == 1), "{} were written to: {counts:?}", counts.len());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daily_limit_holds_over_three_nodes_and_nobody_is_written_to_twice() -> anyhow::Result<()> {
    let certificates = Certificates::generate()?;
    let ada = provider(ADA, ReceiverTls::Implicit, &certificates).await?;
    let engine =
        Engine::on(Database::Postgres).trust(certificates.ca_pem()).clock(Clock::manual(START)).start().await?;
    // Their clocks are one: the day ends for all of them at once.
    let others = [beside(&engine, engine.clock.clone()).await?, beside(&engine, engine.clock.clone()).await?];
    let forty = |name: &str| altered(credential(ADA, &ada, "implicit"), json!({ "daily_limit": 40, "label": name }));
    let plan = CampaignPlan::new("Limits").credential(forty("one")).credential(forty("two"));
    let campaign = plan.make(&engine.api).await?;
    let people = recipients(200);
    campaign.send_to(&people.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    for day in 1..=2 {
        let used_up = engine.as_time_passes(Duration::from_millis(50), "the limits to be reached", async || {
            let explained = campaign.explain().await.map_err(|error| error.to_string())?;
            let is_used_up = explained["reasons"][0]["code"] == "daily_limit_reached";
            if is_used_up && explained["state"] == "blocked" { Ok(()) } else { Err(explained.to_string()) }
        });
        used_up.await?;
        once_each(&ada, day * 80)?;
        for credential in campaign.show().await?["credentials"].as_array().into_iter().flatten() {
            assert_eq!(credential["sent_today"], 40);
        }
        engine.clock.advance(engine.clock.now().until(engine.clock.now().next_utc_day()));
    }
    let done = engine.as_time_passes(Duration::from_millis(50), "the rest to leave", async || {
        let totals = campaign.show().await.map_err(|error| error.to_string())?["totals"].clone();
        if totals["sent"] == 200 { Ok(()) } else { Err(totals) }
    });
    done.await?;
    once_each(&ada, 200)?;
    for (server, _) in others {
        server.stop().await;
    }
    engine.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_is_told_wakes_the_others() -> anyhow::Result<()> {
    let certificates = Certificates::generate()?;
    let ada = provider(ADA, ReceiverTls::Implicit, &certificates).await?;
    // Here it is eight o'clock for ever: what is due at nine leaves by another node.
    let engine =
        Engine::on(Database::Postgres).trust(certificates.ca_pem()).clock(Clock::manual(START)).start().await?;
    let plan = || {
        let hourly = CampaignPlan::new("Hourly").set("min_wait_seconds", 3600).set("max_wait_seconds", 3600);
        hourly.credential(credential(ADA, &ada, "implicit"))
    };
    let (first, paused) = (plan().make(&engine.api).await?, plan().make(&engine.api).await?);
    first.send_to(&[BO, "cy@there.test"]).await?;
    paused.send_to(&["di@there.test", "eve@there.test"]).await?;
    letters(&ada, 2).await?;
    engine.api.post(&paused.path("/pause"), json!({})).await?;
    let there = Clock::manual(START.plus(2 * HOUR));
    let (server, _) = beside(&engine, there.clone()).await?;
    letters(&ada, 3).await?;
    // It has looked at everything, and its next look is ten seconds of its own time away.
    engine.api.post(&paused.path("/resume"), json!({})).await?;
    eventually("the other node to be woken", async || {
        // For what it tries again: the two may have looked at the same time.
        there.advance(Duration::from_millis(4));
        if ada.accepted() == 4 { Ok(()) } else { Err(ada.accepted()) }
    })
    .await?;
    ensure!(there.now() < START.plus(2 * HOUR + Duration::from_secs(9)), "it looked by itself at {}", there.now());
    once_each(&ada, 4)?;
    server.stop().await;
    engine.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mailbox_has_one_owner_and_moves_when_that_stops() -> anyhow::Result<()> {
    let certificates = Certificates::generate()?;
    let authority = CertificateAuthority::create()?;
    let dovecot = Dovecot::start(&authority).await?;
    dovecot.add_user(ADA, PASSWORD)?;
    let ada = provider(ADA, ReceiverTls::Implicit, &certificates).await?;
    let options = Engine::on(Database::Postgres).trust(certificates.ca_pem()).trust(authority.pem());
    // Their clocks stand: nobody looks by himself.
    let engine = options.clock(Clock::manual(START)).start().await?;
    let logins = || dovecot.log().matches("imap-login: Info: Login: user=").count();
    let watched = with_mailbox(credential(ADA, &ada, "implicit"), dovecot.imaps_port, "implicit");
    let campaign = CampaignPlan::new("Mailbox").credential(watched).make(&engine.api).await?;
    campaign.send_to(&[BO]).await?;
    let letter = letters(&ada, 1).await?.remove(0);
    eventually("the mailbox to be opened", async || if logins() == 1 { Ok(()) } else { Err(logins()) }).await?;
    let (other, api) = beside(&engine, Clock::manual(START)).await?;
    // Something that rings the mailboxes' bell on both: a change of settings.
    let id = text(&campaign.show().await?["credentials"][0]["id"])?.to_owned();
    let path = campaign.path(&format!("/smtp_credentials/{id}"));
    api.patch(&path, json!({ "smtp_credential": { "label": "the same" } })).await?;
    dovecot.deliver(ADA, letter.absence()).await?;
    eventually("the absence to be read", async || {
        let timeline = campaign.timeline_of(BO).await.map_err(|error| error.to_string())?;
        if timeline.iter().any(|fact| fact["kind"] == "inbound_message") { Ok(()) } else { Err(json!(timeline)) }
    })
    .await?;
    assert_eq!(logins(), 1, "two nodes opened it: {}", dovecot.log());

    engine.stop().await;
    eventually("the other node to open it", async || if logins() == 2 { Ok(()) } else { Err(logins()) }).await?;
    dovecot.deliver_from(BO, ADA, letter.answer("That sounds useful.")).await?;
    let path = format!("/campaigns/{}", campaign.id);
    eventually("the answer to be read", async || {
        let totals = api.get(&path).await.map_err(|error| error.to_string())?["totals"].clone();
        if totals["replied"] == 1 { Ok(()) } else { Err(totals) }
    })
    .await?;
    other.stop().await;
    Ok(())
}

/// A provider that takes its time with each recipient.
fn slowly(millis: u64) -> impl Fn(&Moment<'_>) -> Option<Action> + Send + Sync + 'static {
    move |moment| {
        if let Moment::Recipient { .. } = moment {
            std::thread::sleep(Duration::from_millis(millis));
        }
        None
    }
}

/// Real processes on one database, with the lease that they have by default.
fn installation(database: &str, trusted: &NamedTempFile) -> anyhow::Result<Installation> {
    Installation::new(&[
        ("AMPOUT_DATABASE_URL", database),
        ("AMPOUT_EGRESS_ALLOW", "127.0.0.0/8"),
        ("AMPOUT_EXTRA_CA", trusted.path().to_str().context("a path in UTF-8")?),
        ("AMPOUT_RATE_LIMIT_PER_MINUTE", "1000000"),
    ])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_nodes_work_is_taken_over_within_half_a_minute() -> anyhow::Result<()> {
    const PEOPLE: usize = 300;
    let certificates = Certificates::generate()?;
    let authority = CertificateAuthority::create()?;
    let dovecot = Dovecot::start(&authority).await?;
    dovecot.add_user(ADA, PASSWORD)?;
    let ada = provider(ADA, ReceiverTls::Implicit, &certificates).await?;
    let trusted = NamedTempFile::new()?;
    std::fs::write(trusted.path(), format!("{}\n{}", ada.ca_pem(), authority.pem()))?;
    let installation = installation(&postgres::fresh_database().await?, &trusted)?;
    let made = installation.run(&["keys", "create", "--json"]).await?;
    let key: Value = serde_json::from_slice(&made.stdout)?;
    let mut dying = installation.serve().await?;
    let api = Api::new(&dying.base(), text(&key["plaintext"])?)?;
    let watched = with_mailbox(credential(ADA, &ada, "implicit"), dovecot.imaps_port, "implicit");
    let campaign = CampaignPlan::new("Takeover").credential(watched).make(&api).await?;
    let logins = || dovecot.log().matches("imap-login: Info: Login: user=").count();
    eventually("the mailbox to be opened", async || if logins() == 1 { Ok(()) } else { Err(logins()) }).await?;
    let surviving = installation.serve().await?;
    // Slow enough to be killed in the midst of it.
    ada.set_rule(slowly(15));
    let people = recipients(PEOPLE);
    campaign.send_to(&people.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    let letter = letters(&ada, 40).await?.remove(0);
    ensure!(ada.accepted() < 200, "everything had left before the kill");
    dying.end_by("KILL").await?;
    let died = Instant::now();
    dovecot.deliver_from(&letter.to, ADA, letter.answer("Tell me more.")).await?;

    let api = Api::new(&surviving.base(), api.key())?;
    let path = format!("/campaigns/{}", campaign.id);
    let settled = eventually_within(Duration::from_secs(30), "everything to have moved", async || {
        let totals = api.get(&path).await.map_err(|error| error.to_string())?["totals"].clone();
        let queue = api.get("/status").await.map_err(|error| error.to_string())?["queue"].clone();
        let count = |value: &Value| value.as_u64().unwrap_or(0);
        let in_doubt = count(&queue["in_doubt"]);
        let all = count(&totals["sent"]) + count(&totals["replied"]) + in_doubt == u64::try_from(PEOPLE).unwrap_or(0);
        if all && totals["replied"] == 1 { Ok(in_doubt) } else { Err(format!("{totals}, {queue}")) }
    });
    let in_doubt = usize::try_from(settled.await?)?;
    ensure!(died.elapsed() < Duration::from_secs(30), "it took {:?}", died.elapsed());
    assert_eq!(logins(), 2, "{}", dovecot.log());
    let counts = times_written_to(&ada);
    ensure!(counts.values().all(|count| *count == 1), "written to twice: {counts:?}");
    ensure!(PEOPLE - counts.len() <= in_doubt && in_doubt <= 4, "{} came, {in_doubt} in doubt", counts.len());

    // People find what is in doubt, and since when.
    let doubts = api.get("/sends?state=in_doubt").await?;
    assert_eq!(doubts.as_array().map(Vec::len), Some(in_doubt));
    for doubt in doubts.as_array().into_iter().flatten() {
        ensure!(doubt["in_doubt_since"].is_string() && doubt["reason"] == "the node stopped while it was sending");
        let resolve = format!("/sends/{}/resolve", text(&doubt["id"])?);
        let came = counts.contains_key(text(&doubt["contact_email"])?);
        let resolved_as = if came { "sent" } else { "retry" };
        api.call(Method::POST, &resolve, Some(json!({ "as": resolved_as }))).await?.succeeded()?;
    }
    eventually("everybody to be written to", async || match times_written_to(&ada).len() {
        PEOPLE => Ok(()),
        other => Err(other),
    })
    .await?;
    once_each(&ada, PEOPLE)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_sends_on() -> anyhow::Result<()> {
    const PEOPLE: usize = 800;
    let certificates = Certificates::generate()?;
    let ada = provider(ADA, ReceiverTls::Implicit, &certificates).await?;
    let trusted = NamedTempFile::new()?;
    std::fs::write(trusted.path(), ada.ca_pem())?;
    let installation = installation(&postgres::fresh_database().await?, &trusted)?;
    let made = installation.run(&["keys", "create", "--json"]).await?;
    let key: Value = serde_json::from_slice(&made.stdout)?;
    let (mut one, mut two) = (installation.serve().await?, installation.serve().await?);
    let api = Api::new(&one.base(), text(&key["plaintext"])?)?;
    let campaign = CampaignPlan::new("Rolling").credential(credential(ADA, &ada, "implicit")).make(&api).await?;
    ada.set_rule(slowly(50));
    let people = recipients(PEOPLE);
    campaign.send_to(&people.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    let restarted = async {
        for node in [&mut one, &mut two] {
            let before = usize::try_from(ada.accepted())?;
            letters(&ada, before + 30).await?;
            let status = node.end_by("TERM").await?;
            ensure!(status.success(), "{status}: {}", node.log());
            *node = installation.serve().await?;
        }
        anyhow::Ok(ada.accepted())
    };
    let longest_gap = async {
        let (mut seen, mut since, mut longest) = (0, Instant::now(), Duration::ZERO);
        eventually_within(Duration::from_secs(90), "everything to leave", async || {
            if ada.accepted() != seen {
                longest = longest.max(since.elapsed());
                (seen, since) = (ada.accepted(), Instant::now());
            }
            if seen == u64::try_from(PEOPLE).unwrap_or(0) { Ok(()) } else { Err(seen) }
        })
        .await?;
        anyhow::Ok(longest)
    };
    let (restarted, longest_gap) = tokio::join!(restarted, longest_gap);
    ensure!(restarted? < u64::try_from(PEOPLE)?, "everything had left before both were restarted");
    let longest_gap = longest_gap?;
    ensure!(longest_gap < Duration::from_secs(5), "nothing left for {longest_gap:?}");
    once_each(&ada, PEOPLE)?;
    let api = Api::new(&two.base(), api.key())?;
    assert_eq!(api.get("/status").await?["queue"]["in_doubt"], 0);
    Ok(())
}
