//! The extensions inside the binary, so that an empty plugin folder still works. `host/build.rs` makes the lists.

use std::sync::Arc;

use super::error::LoadError;
use super::extension::{EngineKind, LoadedExtension};
use super::host::ExtensionHost;

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

impl ExtensionHost {
    /// Loads what is shipped and puts it behind all bindings.
    pub async fn load_shipped(&self) -> Result<Vec<Arc<LoadedExtension>>, LoadError> {
        let mut loaded = Vec::with_capacity(SHIPPED.len());
        for shipped in SHIPPED {
            loaded.push(self.load(shipped.bytes, shipped.engine, shipped.file).await?);
        }
        self.set_shipped(&loaded);
        Ok(loaded)
    }
}
