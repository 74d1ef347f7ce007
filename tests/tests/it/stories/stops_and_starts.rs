//! The program itself: keys from the shell, settings that are told and mistyped, a stop that leaves nothing half-done, a
//! kill that sends nothing twice, and the demo.

use std::os::unix::process::ExitStatusExt;
use std::process::Output;

use ampout::demo::certificates::Certificates;
use ampout::demo::smtp_receiver::{Moment, ReceiverTls, SmtpReceiver};
use ampout_tests::{
    Api, CampaignPlan, Database, Installation, PASSWORD, credential, eventually, provider, text, times_written_to,
};
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

super::on_both_databases!(a_stop_finishes_what_is_on_its_way, a_kill_sends_nothing_twice_and_loses_nothing);

const ADA: &str = "ada@lovelace.test";

/// An installation on either database that trusts the receiver, and the file of whom it trusts.
async fn installation(database: Database, ada: &SmtpReceiver) -> anyhow::Result<(Installation, NamedTempFile)> {
    let trusted = NamedTempFile::new()?;
    std::fs::write(trusted.path(), ada.ca_pem())?;
    let url = match database {
        Database::Sqlite => String::new(),
        Database::Postgres => ampout_tests::postgres::fresh_database().await?,
    };
    let settings = [
        ("AMPOUT_DATABASE_URL", url.as_str()),
        ("AMPOUT_EGRESS_ALLOW", "127.0.0.0/8"),
        ("AMPOUT_EXTRA_CA", trusted.path().to_str().context("a path in UTF-8")?),
        ("AMPOUT_RATE_LIMIT_PER_MINUTE", "1000000"),
        ("AMPOUT_LEASE_SECONDS", "5"),
    ];
    Ok((Installation::new(&settings)?, trusted))
}

async fn make_key(installation: &Installation) -> anyhow::Result<String> {
    let output = installation.run(&["keys", "create", "--json"]).await?;
    ensure!(output.status.success(), "{}", told(&output));
    let key: Value = serde_json::from_slice(&output.stdout)?;
    let plaintext = text(&key["plaintext"])?;
    ensure!(plaintext.starts_with("ak_live_") && plaintext.starts_with(text(&key["prefix"])?), "{key}");
    Ok(plaintext.to_owned())
}

async fn a_stop_finishes_what_is_on_its_way(database: Database) -> anyhow::Result<()> {
    let certificates = Certificates::generate()?;
    let ada = provider(ADA, ReceiverTls::Implicit, &certificates).await?;
    let (installation, _trusted) = installation(database, &ada).await?;
    let key = make_key(&installation).await?;
    let mut serving = installation.serve().await?;
    let api = Api::new(&serving.base(), &key)?;
    assert_eq!(api.get("/status").await?["status"], "ok");
    let plan = CampaignPlan::new("Stops").credential(credential(ADA, &ada, "implicit"));
    let campaign = plan.make(&api).await?;
    let recipients: Vec<String> = (0..60).map(|n| format!("bo{n}@there.test")).collect();
    campaign.send_to(&recipients.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    ampout_tests::letters(&ada, 10).await?;
    let status = serving.end_by("TERM").await?;
    ensure!(status.success(), "{status}: {}", serving.log());
    let log = serving.log();
    ensure!(log.contains("Stopping on SIGTERM") && log.contains("Stopped") && !log.contains(PASSWORD), "{log}");
    let before = ada.accepted();
    drop(serving);

    let serving = installation.serve().await?;
    let api = Api::new(&serving.base(), &key)?;
    let sent = eventually("the rest to leave", async || {
        let shown = api.get(&campaign.path("")).await.map_err(|error| error.to_string())?["totals"].clone();
        if shown["sent"] == 60 { Ok(()) } else { Err(shown) }
    });
    sent.await?;
    assert_eq!(api.get("/status").await?["queue"], json!({ "due": 0, "in_doubt": 0 }));
    let counts = times_written_to(&ada);
    ensure!(counts.len() == 60 && counts.values().all(|count| *count == 1), "{before} before the stop; {counts:?}");
    Ok(())
}

async fn a_kill_sends_nothing_twice_and_loses_nothing(database: Database) -> anyhow::Result<()> {
    let certificates = Certificates::generate()?;
    let ada = provider(ADA, ReceiverTls::Implicit, &certificates).await?;
    let (installation, _trusted) = installation(database, &ada).await?;
    let key = make_key(&installation).await?;
    let mut serving = installation.serve().await?;
    let api = Api::new(&serving.base(), &key)?;
    let plan = CampaignPlan::new("Kills").credential(credential(ADA, &ada, "implicit"));
    let campaign = plan.make(&api).await?;
    let recipients: Vec<String> = (0..200).map(|n| format!("bo{n}@there.test")).collect();
    // Slow enough to be killed in the midst of it.
    ada.set_rule(|moment| {
        if let Moment::Recipient { .. } = moment {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        None
    });
    campaign.send_to(&recipients.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    for kill in 1..=3 {
        ampout_tests::letters(&ada, kill * 40).await?;
        let status = serving.end_by("KILL").await?;
        assert_eq!(status.signal(), Some(9));
        ensure!(ada.accepted() < 200, "everything had left before the kill");
        drop(serving);
        serving = installation.serve().await?;
    }
    let api = Api::new(&serving.base(), &key)?;
    let in_doubt = eventually("everything to be sent or in doubt", async || {
        let shown = api.get(&campaign.path("")).await.map_err(|error| error.to_string())?["totals"].clone();
        let queue = api.get("/status").await.map_err(|error| error.to_string())?["queue"].clone();
        let (sent, in_doubt) = (shown["sent"].as_u64().unwrap_or(0), queue["in_doubt"].as_u64().unwrap_or(0));
        if sent + in_doubt == 200 && queue["due"] == 0 { Ok(in_doubt) } else { Err(format!("{shown}, {queue}")) }
    });
    let in_doubt = usize::try_from(in_doubt.await?)?;
    let counts = times_written_to(&ada);
    ensure!(counts.values().all(|count| *count == 1), "sent twice: {counts:?}");
    let missing = 200 - counts.len();
    ensure!(missing <= in_doubt, "{missing} are missing and {in_doubt} in doubt");
    ensure!(in_doubt <= 3 * 4, "more in doubt than connections were open: {in_doubt}");
    Ok(())
}

#[tokio::test]
async fn a_terminal_that_is_closed_stops_it_in_order() -> anyhow::Result<()> {
    let mine = std::fs::read_to_string("/proc/self/status")?;
    let ignored = mine.lines().find_map(|line| line.strip_prefix("SigIgn:")).context("no mask")?;
    if u64::from_str_radix(ignored.trim(), 16)? & 1 == 1 {
        println!("SKIPPED: SIGHUP is ignored here, and so it is by what is started");
        return Ok(());
    }
    let installation = Installation::new(&[])?;
    let mut serving = installation.serve().await?;
    let status = serving.end_by("HUP").await?;
    ensure!(status.success() && serving.log().contains("Stopping on SIGHUP"), "{status}: {}", serving.log());
    Ok(())
}

#[tokio::test]
async fn settings_are_told_without_secrets_and_a_misspelt_one_is_named() -> anyhow::Result<()> {
    let key = "ab".repeat(32);
    let settings = [
        ("AMPOUT_SECRET_KEY", key.as_str()),
        ("AMPOUT_DATABASE_URL", "postgres://ampout:hunter2@db.company.test/ampout"),
        ("AMPOUT_LEASE_SECONDS", "7"),
    ];
    let installation = Installation::new(&settings)?;
    let output = installation.run(&["config", "--json"]).await?;
    ensure!(output.status.success(), "{}", told(&output));
    let printed = String::from_utf8(output.stdout)?;
    ensure!(!printed.contains(&key) && !printed.contains("hunter2"), "a secret is shown: {printed}");
    let lease: Value = serde_json::from_str(printed.lines().find(|line| line.contains("lease")).context("no lease")?)?;
    assert_eq!(lease, json!({ "name": "lease_seconds", "value": "7", "source": "AMPOUT_LEASE_SECONDS" }));

    let misspelt = Installation::new(&[("AMPOUT_LISSTEN", "127.0.0.1:1")])?;
    for command in [["config"], ["serve"]] {
        let output = misspelt.run(&command).await?;
        ensure!(
            output.status.code() == Some(1) && told(&output).to_lowercase().contains("lissten"),
            "{}",
            told(&output)
        );
    }
    Ok(())
}

#[tokio::test]
async fn the_demo_tells_its_story_to_the_end() -> anyhow::Result<()> {
    let output = Installation::new(&[])?.run(&["demo"]).await?;
    let printed = told(&output);
    ensure!(output.status.success(), "{printed}");
    for part in ["status", "replied", "bounced", "credential.disabled", "ada@lovelace.example", "signed webhooks"] {
        ensure!(printed.contains(part), "no {part:?} in {printed}");
    }
    Ok(())
}

fn told(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
