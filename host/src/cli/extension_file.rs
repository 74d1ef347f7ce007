//! Files of extensions in the shell: read, told apart by their ending, checked in a host without a database; and those that
//! are stored.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};

use crate::app::App;
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::status::Hook;
use crate::extensions::{EngineKind, ExtensionHost, HostOptions, LoadedExtension};
use crate::store::extensions::StoredExtension;

/// A host with nothing in it: whoever asks one extension does not wait until the others are compiled.
pub(super) fn bare_host() -> anyhow::Result<ExtensionHost> {
    Ok(ExtensionHost::start(HostOptions::new(Clock::system()))?)
}

/// A host with those of the shipped extensions that serve a hook.
pub(super) async fn host_for(hook: Hook) -> anyhow::Result<ExtensionHost> {
    let host = bare_host()?;
    host.load_shipped_for(hook).await?;
    Ok(host)
}

/// The bytes of a file and what runs them.
pub(super) fn read(file: &Path) -> anyhow::Result<(Vec<u8>, EngineKind)> {
    let engine = match file.extension().and_then(|ending| ending.to_str()) {
        Some("wasm") => EngineKind::Component,
        Some("rhai") => EngineKind::Script,
        _ => bail!("{}: an extension's file ends in .wasm (a plugin) or .rhai (a script)", file.display()),
    };
    let bytes = std::fs::read(file).with_context(|| file.display().to_string())?;
    Ok((bytes, engine))
}

/// Checks a file as an upload would: parse, types, an instance, its examples.
pub(super) async fn check(host: &ExtensionHost, file: &Path) -> anyhow::Result<Arc<LoadedExtension>> {
    let (bytes, engine) = read(file)?;
    Ok(host.load(bytes, engine, &file.display().to_string()).await?)
}

/// The engine's parts, without a server.
pub(super) async fn open(config: Config) -> anyhow::Result<(App, Catalog)> {
    let base = format!("http://{}", config.listen);
    let app = App::start(config, Clock::system(), &base).await?;
    let catalog = Catalog::start(&app).await?;
    Ok((app, catalog))
}

/// The system's version of this name, `NAME@VERSION` or the one of `NAME` that was stored last.
pub(super) async fn stored(catalog: &Catalog, text: &str) -> anyhow::Result<StoredExtension> {
    let (name, version) = text.split_once('@').map_or((text, None), |(name, version)| (name, Some(version)));
    let stored = catalog.system_version(name, version).await?;
    stored.with_context(|| format!("no version {text} is stored; `ampout plugin list` shows them"))
}
