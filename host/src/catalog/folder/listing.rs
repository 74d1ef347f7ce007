//! What lies in the folders: names, and by what a change of a file is seen without reading it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::extensions::EngineKind;

/// More files than this are not read: it is a folder of something else.
const MOST_FILES: usize = 256;

/// The folders at one moment.
#[derive(Debug, Default, Clone, PartialEq)]
pub(in crate::catalog) struct Listing {
    pub(super) files: BTreeMap<String, FoundFile>,
    /// Files that were being written.
    unsettled: BTreeSet<String>,
    /// The folders that could be read.
    readable: BTreeSet<&'static str>,
    pub(super) errors: Vec<String>,
}

/// A file in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FoundFile {
    path: PathBuf,
    pub(super) engine: EngineKind,
    stamp: Stamp,
}

/// What changes when a file does.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    len: u64,
    modified: Option<SystemTime>,
    /// The inode and the time of its change: a file that was put in another's place keeps neither.
    inode: (u64, i64, i64),
}

/// What reading a file gave.
pub(super) enum Content {
    Settled(Vec<u8>),
    /// It changed while it was read.
    Changed,
    Unreadable(String),
}

impl Listing {
    pub(super) fn of(plugins: Option<&Path>, scripts: Option<&Path>) -> Self {
        let mut listing = Self::default();
        listing.add("plugins", plugins, EngineKind::Component);
        listing.add("scripts", scripts, EngineKind::Script);
        listing
    }

    /// Of which nothing is known.
    pub(super) fn unreadable(error: String) -> Self {
        Self { errors: vec![error], ..Self::default() }
    }

    /// This listing without the files that were others in `earlier`.
    pub(super) fn settled_since(mut self, earlier: &Self) -> Self {
        let names: BTreeSet<&String> = self.files.keys().chain(earlier.files.keys()).collect();
        let moving = names.into_iter().filter(|name| self.files.get(*name) != earlier.files.get(*name));
        self.unsettled = moving.cloned().collect();
        self.files.retain(|name, _| !self.unsettled.contains(name));
        self
    }

    /// Forgets these files, so that the next listing differs from this one.
    pub(super) fn look_again_at(&mut self, files: &[String]) {
        self.files.retain(|name, _| !files.contains(name));
    }

    /// Whether a file that is not in the listing is not in its folder either.
    pub(super) fn knows_of(&self, file: &str) -> bool {
        let folder = file.split_once('/').map_or("", |(folder, _)| folder);
        self.readable.contains(folder) && !self.unsettled.contains(file)
    }

    fn add(&mut self, kind: &'static str, folder: Option<&Path>, engine: EngineKind) {
        let Some(folder) = folder else { return };
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return self.errors.push(format!("{}: {error}", folder.display())),
        };
        self.readable.insert(kind);
        let files = entries.filter_map(|entry| FoundFile::at(entry.ok()?.path(), engine)).take(MOST_FILES);
        self.files
            .extend(files.filter_map(|file| Some((format!("{kind}/{}", file.path.file_name()?.to_str()?), file))));
    }
}

impl FoundFile {
    fn at(path: PathBuf, engine: EngineKind) -> Option<Self> {
        let ending = match engine {
            EngineKind::Component => "wasm",
            EngineKind::Script => "rhai",
        };
        if path.extension()?.to_str()? != ending {
            return None;
        }
        let metadata = std::fs::metadata(&path).ok().filter(Metadata::is_file)?;
        Some(Self { path, engine, stamp: Stamp::of(&metadata) })
    }

    /// Its bytes, if it is no larger than `limit` and still the file that was listed.
    pub(super) async fn read(&self, limit: usize) -> Content {
        if self.stamp.len > limit as u64 {
            return Content::Unreadable(format!("it has {} bytes; at most {limit} are taken", self.stamp.len));
        }
        let (bytes, metadata) = match (tokio::fs::read(&self.path).await, tokio::fs::metadata(&self.path).await) {
            (Ok(bytes), Ok(metadata)) => (bytes, metadata),
            (Err(error), _) | (_, Err(error)) => return Content::Unreadable(error.to_string()),
        };
        if Stamp::of(&metadata) == self.stamp { Content::Settled(bytes) } else { Content::Changed }
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let inode = {
            use std::os::unix::fs::MetadataExt as _;
            (metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
        };
        #[cfg(not(unix))]
        let inode = (0, 0, 0);
        Self { len: metadata.len(), modified: metadata.modified().ok(), inode }
    }
}
