//! Programs from PyPI and npm that `tests/setup` has put into the target folder.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

/// The program of this name, installed in a virtual environment of the same name.
pub fn python_tool(name: &str) -> anyhow::Result<PathBuf> {
    installed(&tools()?.join(name).join("bin").join(name))
}

/// The folder whose `node_modules` holds what `tests/node/package.json` names.
pub fn node_folder() -> anyhow::Result<PathBuf> {
    let folder = tools()?.join("node");
    installed(&folder.join("node_modules"))?;
    Ok(folder)
}

fn tools() -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe().context("this test does not know where it is")?;
    // <target>/debug/deps/it-…
    let target = test.ancestors().nth(3).context("this test is not in a target folder")?;
    Ok(target.join("tools"))
}

fn installed(path: &Path) -> anyhow::Result<PathBuf> {
    ensure!(path.exists(), "{} is not there; run tests/setup", path.display());
    Ok(path.to_owned())
}
