//! Trying a version: it is asked as it would be in earnest, and a component once more where instructions are counted. That
//! figure is the same on every machine, however busy; the time is not. The network is only read, and nothing is recorded.

use std::sync::{Arc, PoisonError};

use bytes::Bytes;

use super::error::LoadError;
use super::extension::{EngineKind, LoadedExtension};
use super::fetch::Access;
use super::hooks::HookInput;
use super::host::{Called, ExtensionHost, Inner};
use super::load;
use super::manifest::Example;
use super::raised;
use super::wasm::{ComponentEngine, Purpose};

/// A version and its twin that counts.
#[derive(Debug)]
pub struct Trial {
    /// The version.
    pub extension: Arc<LoadedExtension>,
    counting: Option<LoadedExtension>,
}

/// What came of an example.
#[derive(Debug)]
pub struct Tried {
    /// Its name, or its place.
    pub name: String,
    /// The call; none where the example itself can't be read.
    pub called: Option<Called>,
    /// What is wrong: with the example, or with what came out.
    pub wrong: Option<String>,
}

impl ExtensionHost {
    /// Makes ready to try a version, whose file holds `bytes`.
    pub async fn trial(&self, extension: Arc<LoadedExtension>, bytes: Bytes) -> Result<Trial, LoadError> {
        if extension.engine() == EngineKind::Script {
            return Ok(Trial { extension, counting: None });
        }
        let file = extension.file().to_owned();
        let (host, name) = (self.clone(), file.clone());
        let compile = move || {
            let engine =
                counting_engine(host.inner()).map_err(|reason| LoadError::Engine { file: name.clone(), reason })?;
            // Components are the system's.
            load::compile(host.inner(), &engine, bytes, EngineKind::Component, &name, None)
        };
        let compiled = tokio::task::spawn_blocking(compile).await;
        let counting = compiled.map_err(|error| LoadError::Engine { file, reason: error.to_string() })??;
        Ok(Trial { extension, counting: Some(counting) })
    }

    /// The same of a file whose examples were not run: a trial tells what comes of each of them.
    pub async fn trial_of_file(&self, bytes: Bytes, engine: EngineKind, file: &str) -> Result<Trial, LoadError> {
        let extension = self.load_untried(bytes.clone(), engine, file, None).await?;
        self.trial(Arc::new(extension), bytes).await
    }
}

impl Trial {
    /// Asks it, at the time of the input, as an example and a replay do.
    pub async fn ask(&self, host: &ExtensionHost, input: &HookInput) -> Called {
        let now = input.time();
        let mut called = host.call_at(&self.extension, input, now, Access::Reading).await;
        if let Some(counting) = &self.counting {
            let counted = host.call_at(counting, input, now, Access::Reading).await;
            called.record.instructions = counted.record.instructions;
        }
        called
    }

    /// Runs examples, those of its own manifest or others, each with the answers that it brings.
    pub async fn examples(&self, host: &ExtensionHost, examples: &[Example]) -> Vec<Tried> {
        let mut tried = Vec::with_capacity(examples.len());
        for (index, example) in examples.iter().enumerate() {
            let name = load::name_of(example, index);
            tried.push(match self.example(host, example).await {
                Ok(called) => Tried { name, wrong: load::compare(example, &called).err(), called: Some(called) },
                Err(wrong) => Tried { name, called: None, wrong: Some(wrong) },
            });
        }
        tried
    }

    async fn example(&self, host: &ExtensionHost, example: &Example) -> Result<Called, String> {
        let mut called = load::run(host, &self.extension, example).await?;
        if let Some(counting) = &self.counting {
            called.record.instructions = load::run(host, counting, example).await?.record.instructions;
        }
        Ok(called)
    }
}

/// Not for an asynchronous thread.
fn counting_engine(host: &Inner) -> Result<Arc<ComponentEngine>, String> {
    let mut made = host.counting.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(engine) = &*made {
        return Ok(Arc::clone(engine));
    }
    let options = &host.options;
    let limits = raised::of_pool(&options.limits, &options.raised);
    let engine = ComponentEngine::start(&limits, options.cache_folder.as_deref(), Purpose::Counting);
    let engine = Arc::new(engine.map_err(|error| error.to_string())?);
    *made = Some(Arc::clone(&engine));
    Ok(engine)
}
