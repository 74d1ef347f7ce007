//! Shipped adapters before anybody has asked them. There is one for each provider and most installations have one provider,
//! so each is compiled and tried at its first call, which takes some tenths of a second once: the compiled form is kept in
//! the cache's folder. Their examples are run then, and by the tests of every build.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use super::error::LoadError;
use super::extension::{EngineKind, LoadedExtension, Program};
use super::host::ExtensionHost;
use super::shipped::Shipped;
use super::signature;
use crate::domain::status::Hook;

/// An adapter that is loaded when it is first asked.
pub(super) struct Later {
    shipped: Shipped,
    loaded: OnceCell<Arc<LoadedExtension>>,
}

impl Later {
    /// Whether it may wait: a component that does nothing but read providers' requests.
    pub(super) fn may_wait(shipped: &Shipped) -> Result<bool, LoadError> {
        Ok(shipped.engine == EngineKind::Component && shipped.manifest()?.hooks == [Hook::ProviderAdapter])
    }

    /// Reads the manifest and no more.
    pub(super) fn extension(host: &ExtensionHost, shipped: Shipped) -> Result<LoadedExtension, LoadError> {
        let Shipped { file, engine, bytes } = shipped;
        let trusted = &host.inner().options.trusted_signers;
        Ok(LoadedExtension {
            manifest: shipped.manifest()?,
            owner: None,
            sha256: hex::encode(Sha256::digest(bytes)),
            file: file.to_owned(),
            vouched: signature::look(&Bytes::from_static(bytes), engine, trusted),
            program: Program::Later(Self { shipped, loaded: OnceCell::new() }),
            breaker: Default::default(),
        })
    }

    /// The loaded one; those who ask at the same time wait for one loading. In a box, as running its examples asks it.
    pub(super) fn get<'a>(&'a self, host: &'a ExtensionHost) -> BoxFuture<'a, Result<Arc<LoadedExtension>, LoadError>> {
        let load = || host.load(self.shipped.bytes, self.shipped.engine, self.shipped.file);
        Box::pin(async move { self.loaded.get_or_try_init(load).await.cloned() })
    }
}
