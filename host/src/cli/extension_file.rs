//! Files of extensions in the shell: read, told apart by their ending, checked by the operator's rules in a host without a
//! database and without a folder; and those that are stored.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};

use crate::app::App;
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::config::Config;
use crate::extensions::{EngineKind, ExtensionHost, HostOptions, LoadError, LoadedExtension};
use crate::store::extensions::StoredExtension;

/// A host with nothing in it: whoever asks one extension does not wait until the others are compiled. It has the limits, the
/// grants and the signers of the settings, and neither network nor cache.
pub(super) fn bare_host(config: &Config) -> anyhow::Result<ExtensionHost> {
    Ok(ExtensionHost::start(HostOptions {
        grants: config.extension_hosts.clone(),
        raised: config.extension_limits.clone(),
        trusted_signers: config.trusted_signers.clone(),
        ..HostOptions::new(Clock::system())
    })?)
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

/// The same by the settings: where the system's extensions must be signed, one that is not is refused.
pub(super) async fn check_by(
    config: &Config,
    host: &ExtensionHost,
    file: &Path,
) -> anyhow::Result<Arc<LoadedExtension>> {
    let loaded = check(host, file).await?;
    require_signature(config, &loaded)?;
    Ok(loaded)
}

/// What loading one of the system's asks beyond a whole signature.
pub(super) fn require_signature(config: &Config, loaded: &LoadedExtension) -> Result<(), LoadError> {
    if config.require_signatures { loaded.require_signature() } else { Ok(()) }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extensions::SigningKey;

    const GATE: &str = "//! name: gate\n//! version: 1.0.0\n//! hooks: send-gate\n\
        //! example: { \"input\": {}, \"expect\": { \"decision\": \"admit\" } }\n\
        fn admit(send) { let n = 0; while n < 100000 { n += 1; } #{ decision: \"admit\" } }\n";

    /// What `check` says by these settings of a file with these bytes.
    async fn checked(bytes: &[u8], settings: &[(&'static str, &str)]) -> anyhow::Result<String> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("gate.rhai");
        std::fs::write(&file, bytes)?;
        let data = folder.path().join("data");
        let mut settings: Vec<_> = settings.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        settings.push(("data_dir", data.display().to_string()));
        // An example that is slow on a busy machine is not what is tested.
        settings.push(("extension_limits", "gate.operations=1000000, gate.time_ms=10000".to_owned()));
        let config = Config::from_settings(&settings)?;
        let loaded = check_by(&config, &bare_host(&config)?, &file).await;
        assert!(!data.exists(), "a check makes no folder");
        Ok(loaded?.signature())
    }

    async fn refused(bytes: &[u8], settings: &[(&'static str, &str)], told: &str) {
        let error = format!("{:#}", checked(bytes, settings).await.unwrap_err());
        assert!(error.contains(told), "{error}");
    }

    #[tokio::test]
    async fn a_check_says_who_signed_and_refuses_what_a_server_would() {
        let (ada, eve) = (SigningKey::make("ada").unwrap(), SigningKey::make("eve").unwrap());
        let trusted = ada.signer().to_string();
        let trusting = [("trusted_signers", trusted.as_str())];
        let strict = [("trusted_signers", trusted.as_str()), ("require_signatures", "true")];
        let by = |key: &SigningKey| key.sign(GATE.as_bytes(), EngineKind::Script);

        assert_eq!(checked(GATE.as_bytes(), &trusting).await.unwrap(), "not signed");
        assert_eq!(checked(&by(&ada), &strict).await.unwrap(), "signed by ada");
        let of_a_stranger = "signed by eve, whose key is not among trusted_signers";
        assert_eq!(checked(&by(&eve), &trusting).await.unwrap(), of_a_stranger);

        refused(GATE.as_bytes(), &strict, "is not signed, and require_signatures is on").await;
        refused(&by(&eve), &strict, "is signed by eve, whose key is not among trusted_signers").await;
        let changed = String::from_utf8(by(&ada)).unwrap().replace("100000", "100001");
        refused(changed.as_bytes(), &trusting, "was changed after ada signed it").await;
        refused(GATE.as_bytes(), &[("trusted_signers", "ada")], "trusted_signers = \"ada\"").await;
    }

    #[tokio::test]
    async fn a_check_gives_a_name_the_limits_that_the_settings_give_it() {
        assert!(checked(GATE.as_bytes(), &[]).await.is_ok());
        let other = GATE.replace("name: gate", "name: other");
        let error = format!("{:#}", checked(other.as_bytes(), &[]).await.unwrap_err());
        assert!(error.contains("took over 200000 operations") || error.contains("limit of 50ms"), "{error}");
    }
}
