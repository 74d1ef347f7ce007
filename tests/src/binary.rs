//! The `ampout` binary, for the stories that start it as a person does.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use anyhow::{Context, ensure};

/// The binary of the very sources that this test was built from: in the same folder, with the same profile. The first
/// that asks has cargo build it, which has nothing to do where `tests/run` or `cargo build` came before; a binary that
/// merely lies there might be an older one's.
pub fn path() -> anyhow::Result<PathBuf> {
    static BUILT: Mutex<Option<PathBuf>> = Mutex::new(None);
    let mut built = BUILT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(path) = &*built {
        return Ok(path.clone());
    }
    let path = build()?;
    *built = Some(path.clone());
    Ok(path)
}

fn build() -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe().context("this test does not know where it is")?;
    // <target>/<profile>/deps/it-<hash>
    let folder = test.ancestors().nth(2).context("this test is not in a target folder")?;
    let target = folder.parent().context("this test is not in a target folder")?;
    let name = folder.file_name().and_then(|name| name.to_str()).context("the profile's folder has no name")?;
    let profile = if name == "debug" { "dev" } else { name };
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--package", "ampout", "--bin", "ampout", "--profile", profile, "--target-dir"])
        .arg(target)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .stdin(Stdio::null())
        .output()
        .context("cargo could not be started")?;
    ensure!(output.status.success(), "cargo build failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(folder.join("ampout"))
}
