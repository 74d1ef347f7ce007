//! The scripts of the repository: each is loaded, which runs the examples of its manifest.

use std::path::{Path, PathBuf};

use ampout::clock::Clock;
use ampout::domain::status::Hook;
use ampout::extensions::manifest::Example;
use ampout::extensions::{EngineKind, ExtensionHost, HostOptions, LoadedExtension};
use anyhow::Context as _;

use super::in_the_tree;

/// Below this many examples nobody would know what a script is for.
const FEWEST_EXAMPLES: usize = 4;

const KINDS: [(&str, Hook); 4] = [
    ("reply_filters", Hook::ReplyClassifier),
    ("adapters", Hook::ProviderAdapter),
    ("bounce_policies", Hook::BouncePolicy),
    ("send_gates", Hook::SendGate),
];

#[tokio::test]
async fn every_script_decides_its_examples_and_lies_with_its_kind() -> anyhow::Result<()> {
    let host = ExtensionHost::start(HostOptions::new(Clock::system()))?;
    for (folder, hook) in KINDS {
        let scripts = scripts(&in_the_tree("scripts").join(folder))?;
        assert!(!scripts.is_empty(), "{folder} is empty");
        for path in scripts {
            let script = load(&host, &path).await?;
            let name = path.file_stem().and_then(|name| name.to_str());
            assert_eq!((Some(script.name()), script.hooks()), (name, [hook].as_slice()), "{}", path.display());
            assert!(script.examples_passed() >= FEWEST_EXAMPLES, "{}: has few examples", path.display());
            assert!(!script.manifest().description.is_empty(), "{}: has no description", path.display());
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_adapter_in_rhai_decides_the_components_examples_alike() -> anyhow::Result<()> {
    let host = ExtensionHost::start(HostOptions::new(Clock::system()))?;
    let script = in_the_tree("scripts/adapters/smtp2go.rhai");
    let loaded = load(&host, &script).await?;
    let trial = host.trial(loaded, std::fs::read(&script)?.into()).await?;
    let examples = std::fs::read_to_string(in_the_tree("plugins/smtp2go/fixtures/examples.json"))?;
    let examples: Vec<Example> = serde_json::from_str(&examples)?;
    let tried = trial.examples(&host, &examples).await;
    let wrong: Vec<_> = tried.iter().filter_map(|one| Some((&one.name, one.wrong.as_ref()?))).collect();
    assert!(wrong.is_empty() && tried.len() > 10, "{wrong:#?}");
    Ok(())
}

async fn load(host: &ExtensionHost, path: &Path) -> anyhow::Result<std::sync::Arc<LoadedExtension>> {
    let source = std::fs::read(path).with_context(|| path.display().to_string())?;
    Ok(host.load(source, EngineKind::Script, &path.display().to_string()).await?)
}

fn scripts(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    Ok(paths.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "rhai")).collect())
}
