//! The `ampout` binary, for the stories that start it as a person does.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// The binary that lies beside this test's own: cargo builds it for the tests of the crate `ampout`.
pub fn path() -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe().context("this test does not know where it is")?;
    let folder = test.parent().and_then(Path::parent).context("this test is not in a target folder")?;
    let binary = folder.join("ampout");
    if !binary.exists() {
        bail!("{} is not there; run `cargo build`, or the tests of the whole workspace", binary.display());
    }
    Ok(binary)
}
