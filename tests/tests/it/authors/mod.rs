//! What authors of extensions are promised: guides that work as they stand, a reference that is true, examples in three
//! languages.

mod guides;
mod languages;
mod reference;
mod scripts;

use std::path::{Path, PathBuf};

/// A path in the source tree.
fn in_the_tree(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}
