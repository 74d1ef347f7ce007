//! The disk of an installation on SQLite is full for a while: the server stays up, sends nothing that it can't write down
//! first, and goes on by itself when there is room again.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ampout_tests::{Installation, Mailing, eventually};
use anyhow::{Context, ensure};
use reqwest::Method;

const MESSAGES: u64 = 900;
/// Room for the compiled extensions, the database and its log.
const SIZE: &str = "size=64m";
/// A disk of its own for the data, which only this process and its children see, and which needs no rights where user
/// namespaces are allowed.
const WITH_A_DISK_OF_ITS_OWN: &str =
    r#"mkdir -p "$AMPOUT_DATA_DIR" && mount -t tmpfs -o "$0" tmpfs "$AMPOUT_DATA_DIR" && exec "$@""#;
const FULL_FOR: Duration = Duration::from_secs(3);
/// What the log says of it.
const TOLD: &str = "How sends came out could not be written";
const PIECE: [u8; 4096] = [0; 4096];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_sends_nothing_meanwhile_and_goes_on_afterwards() -> anyhow::Result<()> {
    if let Some(why) = no_disk_of_its_own() {
        println!("SKIPPED: the disk can't be filled here, as a process may not mount its own: {why}");
        return Ok(());
    }
    let installation = Installation::at("", &[("AMPOUT_LEASE_SECONDS", "5")])?;
    let installation = installation.started_by(&["unshare", "-rm", "sh", "-c", WITH_A_DISK_OF_ITS_OWN, SIZE]);
    let mut serving = installation.serve().await?;
    // What the process sees, from outside.
    let inside = installation.data_folder().strip_prefix("/")?.to_owned();
    let filler = PathBuf::from(format!("/proc/{}/root", serving.id())).join(inside).join("filler");
    let mailing = Mailing::start(&serving, MESSAGES).await?;
    ensure!(mailing.server.wait_for(50, ampout_tests::PATIENCE).await, "{}", serving.log());
    fill(&filler)?;
    eventually("the disk to be too small for the ledger", async || {
        let log = serving.log();
        if log.contains("full") { Ok(()) } else { Err(log) }
    })
    .await?;
    // It lasts for a while, and is told once, whatever waits to be written.
    let times_told = || serving.log().lines().filter(|line| line.contains(TOLD)).count();
    eventually("the log to tell", async || if times_told() > 0 { Ok(()) } else { Err(serving.log()) }).await?;
    tokio::time::sleep(FULL_FOR).await;
    ensure!(times_told() == 1, "told {} times: {}", times_told(), serving.log());
    let when_full = mailing.server.accepted();
    // Nobody tells a load balancer that all is well.
    let status = eventually("the status to tell", async || {
        let answer = mailing.api.call(Method::GET, "/status", None).await.map_err(|error| format!("{error:#}"))?;
        if answer.status == 503 { Ok(answer.body) } else { Err(answer.text) }
    })
    .await?;
    ensure!(status["queue"]["due"].as_u64().context("due")? > 0, "all had left before the disk was full: {status}");
    std::fs::remove_file(&filler)?;
    mailing.is_done(MESSAGES, 0).await?;
    mailing.each_has_arrived_once(MESSAGES)?;
    ensure!(when_full < MESSAGES, "all had left before the disk was full");
    let status = serving.end_by("TERM").await?;
    ensure!(status.success(), "{status}: {}", serving.log());
    Ok(())
}

/// Why not, where mounting is not allowed.
fn no_disk_of_its_own() -> Option<String> {
    let tried = Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).output();
    match tried {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(error.to_string()),
    }
}

/// Takes all the room that there is, as far as whole pages go.
fn fill(path: &Path) -> anyhow::Result<()> {
    let mut filler = File::create(path).with_context(|| path.display().to_string())?;
    loop {
        match filler.write_all(&PIECE) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::StorageFull => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}
