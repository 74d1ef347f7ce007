//! What authors of extensions are promised: guides that work as they stand, a reference that is true, examples in three
//! languages.

mod guides;
mod languages;
mod reference;
mod scripts;

use std::path::{Path, PathBuf};

use ampout_tests::binary;
use anyhow::Context as _;

/// A path in the source tree.
fn in_the_tree(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// A folder for whatever cargo makes, as many authors have one for all their work. `plugin build` leaves it alone.
fn target_of_plugins() -> anyhow::Result<PathBuf> {
    Ok(binary::path()?.ancestors().nth(2).context("the binary is not in a target folder")?.join("guides"))
}
