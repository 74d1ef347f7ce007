//! The extensions inside the binary, so that an empty plugin folder still works. `host/build.rs` makes the lists.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::error::LoadError;
use super::extension::{EngineKind, LoadedExtension};
use super::host::ExtensionHost;
use super::load;
use crate::domain::status::Hook;

/// An extension inside the binary.
#[derive(Debug, Clone, Copy)]
pub struct Shipped {
    /// Its name in the source tree, such as `reply-classifier.wasm`.
    pub file: &'static str,
    /// What runs it.
    pub engine: EngineKind,
    /// Its bytes.
    pub bytes: &'static [u8],
}

/// All of them, in the order in which they are asked: filters that are scripts before the components that know the rest.
pub const SHIPPED: &[Shipped] = include!(concat!(env!("OUT_DIR"), "/shipped.rs"));

/// The bytes of a shipped extension, which the store does not have.
pub fn bytes_of(sha256: &str) -> Option<&'static [u8]> {
    SHIPPED.iter().map(|shipped| shipped.bytes).find(|bytes| hex::encode(Sha256::digest(bytes)) == sha256)
}

impl ExtensionHost {
    /// Loads what is shipped and puts it behind all bindings.
    pub async fn load_shipped(&self) -> Result<Vec<Arc<LoadedExtension>>, LoadError> {
        self.load_of(SHIPPED).await
    }

    /// The same with those alone that serve a hook: compiling the others would take most of a short command's time.
    pub async fn load_shipped_for(&self, hook: Hook) -> Result<Vec<Arc<LoadedExtension>>, LoadError> {
        let mut serving = Vec::new();
        for shipped in SHIPPED {
            let manifest = load::manifest_of(shipped.bytes, shipped.engine, shipped.file)?;
            serving.extend(manifest.hooks.contains(&hook).then_some(*shipped));
        }
        self.load_of(&serving).await
    }

    async fn load_of(&self, all: &[Shipped]) -> Result<Vec<Arc<LoadedExtension>>, LoadError> {
        let mut loaded = Vec::with_capacity(all.len());
        for shipped in all {
            loaded.push(self.load(shipped.bytes, shipped.engine, shipped.file).await?);
        }
        self.set_shipped(&loaded);
        Ok(loaded)
    }
}
