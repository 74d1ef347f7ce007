//! Clients in other languages, thirty lines each, written against the contract's page alone: they are run as their users
//! would run them, and the mail must be there.

use std::process::{Command, Stdio};

use ampout::demo::certificates::Certificates;
use ampout::demo::smtp_receiver::ReceiverTls;
use ampout_tests::{Database, Engine, PATIENCE, credential, letters, node_folder, provider};
use anyhow::ensure;

const ADA: &str = "ada@lovelace.test";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_in_python_sends_a_campaign() -> anyhow::Result<()> {
    sends_a_campaign("python3", &["outreach.py"]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_in_typescript_sends_a_campaign() -> anyhow::Result<()> {
    let packages = node_folder()?.join("node_modules");
    let built = tempfile::tempdir()?;
    std::fs::write(built.path().join("package.json"), r#"{ "type": "module" }"#)?;
    let mut compiler = Command::new("node");
    compiler
        .arg(packages.join("typescript/bin/tsc"))
        .args("--strict --noUncheckedIndexedAccess --module nodenext --target es2022 --types node".split(' '))
        .arg("--typeRoots")
        .arg(packages.join("@types"))
        .arg("--outDir")
        .arg(built.path())
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/clients/outreach.ts"))
        .stdin(Stdio::null());
    let told = tokio::task::spawn_blocking(move || compiler.output()).await??;
    ensure!(told.status.success(), "tsc says: {}", String::from_utf8_lossy(&told.stdout));
    let client = built.path().join("outreach.js").display().to_string();
    sends_a_campaign("node", &[&client]).await
}

async fn sends_a_campaign(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let certificates = Certificates::generate()?;
    let ada = provider(ADA, ReceiverTls::Implicit, &certificates).await?;
    let engine = Engine::on(Database::Sqlite).trust(certificates.ca_pem()).start().await?;
    let mut client = Command::new("timeout");
    client
        .args([&PATIENCE.as_secs().to_string(), program])
        .args(arguments)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/clients"))
        .env("AMPOUT_URL", engine.base())
        .env("AMPOUT_KEY", engine.api.key())
        .env("SMTP_CREDENTIAL", credential(ADA, &ada, "implicit").to_string())
        .stdin(Stdio::null());
    let told = tokio::task::spawn_blocking(move || client.output()).await??;
    let (out, err) = (String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
    ensure!(told.status.success() && out.trim() == "sent", "the client ends with {}\n{out}\n{err}", told.status);
    let letter = letters(&ada, 1).await?.remove(0);
    assert_eq!(letter.subject(), "Hi Bo");
    engine.stop().await;
    Ok(())
}
