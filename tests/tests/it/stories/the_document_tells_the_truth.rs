//! The OpenAPI document against the running engine: schemathesis makes requests of it, right ones and wrong ones, and
//! nothing may come back that the document does not tell: no 5xx, no other status, no other shape. What the document
//! forbids is refused, a call without a key among it.

use std::process::{Command, Stdio};

use ampout_tests::{Database, Engine, python_tool};
use anyhow::ensure;

/// Requests for each operation and phase; the whole run takes a minute or two.
const EXAMPLES: &str = "15";
const LIMIT_SECONDS: &str = "600";
/// The same requests in each run; another seed is a matter of one's own runs.
const SEED: &str = "20261123";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemathesis_finds_nothing_that_the_document_does_not_tell() -> anyhow::Result<()> {
    let engine = Engine::on(Database::Sqlite).start().await?;
    let folder = tempfile::tempdir()?;
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/schemathesis");
    let mut run = Command::new("timeout");
    run.arg(LIMIT_SECONDS)
        .arg(python_tool("schemathesis")?)
        .args(["--config-file", &format!("{here}/schemathesis.toml"), "run"])
        .arg(format!("{}/openapi.json", engine.base()))
        .args(["--max-examples", EXAMPLES, "--seed", SEED, "--workers", "2", "--continue-on-failure", "--no-color"])
        .env("AMPOUT_KEY", engine.api.key())
        .env("SCHEMATHESIS_HOOKS", format!("{here}/hooks.py"))
        .current_dir(folder.path())
        .stdin(Stdio::null());
    let told = tokio::task::spawn_blocking(move || run.output()).await??;
    let (out, err) = (String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
    ensure!(told.status.success(), "schemathesis ends with {}\n{out}\n{err}", told.status);
    ensure!(out.contains("Stateful"), "schemathesis did not run all its phases\n{out}");
    engine.stop().await;
    Ok(())
}
