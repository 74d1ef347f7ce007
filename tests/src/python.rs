//! Programs from PyPI that `tests/setup` has put into the target folder.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// The program of this name, installed in a virtual environment of the same name.
pub fn python_tool(name: &str) -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe().context("this test does not know where it is")?;
    // <target>/debug/deps/it-…
    let target = test.ancestors().nth(3).unwrap_or(Path::new("target"));
    let program = target.join("tools").join(name).join("bin").join(name);
    if !program.exists() {
        bail!("{} is not there; run tests/setup", program.display());
    }
    Ok(program)
}
