//! The door to both engines: load an extension, bind it, call it. Every call goes one way: permit, fresh instance with
//! limits, wall clock, call, check of the answer, record. The engine's own questions, which go to all that are bound, are
//! in `asking.rs`.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::Notify;

use super::chain::{Binding, BindingTable, CallScope, Line};
use super::decision::Suspension;
use super::error::{CallError, LoadError, StartError};
use super::extension::{EngineKind, LoadedExtension, Program};
use super::fetch::Access;
use super::grants::Grant;
use super::hooks::{HookDecision, HookInput};
use super::limits::Limits;
use super::load::{self, Told};
use super::raised::{self, RaisedLimit};
use super::record::CallRecord;
use super::rhai::ScriptEngine;
use super::signature::Signer;
use super::slots::Slots;
use super::wasm::{ComponentEngine, Purpose};
use crate::clock::Clock;
use crate::domain::Timestamp;
use crate::domain::ids::AccountId;
use crate::domain::status::Hook;
use crate::http_client::HttpClient;

/// News of suspensions that nobody fetched; older ones are dropped.
const MOST_SUSPENSIONS: usize = 256;

/// What the host of extensions is started with.
#[derive(Debug, Clone)]
pub struct HostOptions {
    /// What a call may cost.
    pub limits: Limits,
    /// What some of the system's extensions get beyond that.
    pub raised: Vec<RaisedLimit>,
    /// A folder of our own for compiled components; none compiles at every start.
    pub cache_folder: Option<PathBuf>,
    /// What time it is.
    pub clock: Clock,
    /// The guarded client of extensions that may fetch; none of them may without.
    pub http: Option<HttpClient>,
    /// Who may fetch from where.
    pub grants: Vec<Grant>,
    /// Whose signatures count.
    pub trusted_signers: Vec<Signer>,
}

impl HostOptions {
    /// The contract's limits, no folder, no network, nobody trusted.
    pub fn new(clock: Clock) -> Self {
        Self {
            limits: Limits::default(),
            raised: Vec::new(),
            cache_folder: None,
            clock,
            http: None,
            grants: Vec::new(),
            trusted_signers: Vec::new(),
        }
    }
}

/// The host of all extensions. Cheap to clone; clones are the same host.
#[derive(Clone)]
pub struct ExtensionHost(Arc<Inner>);

pub(super) struct Inner {
    pub(super) components: Arc<ComponentEngine>,
    /// Made when a test first wants it.
    pub(super) counting: Mutex<Option<Arc<ComponentEngine>>>,
    pub(super) scripts: ScriptEngine,
    pub(super) options: HostOptions,
    slots: Slots,
    clock: Clock,
    table: ArcSwap<BindingTable>,
    suspensions: Mutex<VecDeque<Suspension>>,
    suspended: Notify,
}

/// One call: the answer and what it took.
#[derive(Debug)]
pub struct Called {
    /// The checked answer, or why there is none.
    pub answer: Result<HookDecision, CallError>,
    /// What it took.
    pub record: CallRecord,
}

impl Inner {
    pub(super) fn largest_file(&self, engine: EngineKind) -> usize {
        match engine {
            EngineKind::Component => self.options.limits.component.file_bytes,
            EngineKind::Script => self.options.limits.script.source_bytes,
        }
    }
}

impl ExtensionHost {
    /// Starts both engines. Nothing is bound.
    pub fn start(options: HostOptions) -> Result<Self, StartError> {
        let HostOptions { limits, raised, cache_folder, clock, .. } = &options;
        let pool_limits = raised::of_pool(limits, raised);
        let components = ComponentEngine::start(&pool_limits, cache_folder.as_deref(), Purpose::Asking)?;
        if !components.is_pooled() {
            tracing::warn!(
                "Addresses are too few for a pool of plugins' memory, so each call takes about twice the time"
            );
        }
        Ok(Self(Arc::new(Inner {
            components: Arc::new(components),
            counting: Mutex::default(),
            scripts: ScriptEngine::start(&limits.script),
            slots: Slots::new(limits),
            clock: clock.clone(),
            options,
            table: ArcSwap::default(),
            suspensions: Mutex::default(),
            suspended: Notify::new(),
        })))
    }

    /// The largest file that is loaded, in bytes.
    pub fn largest_file(&self, engine: EngineKind) -> usize {
        self.0.largest_file(engine)
    }

    /// Whether the memory of components comes from a pool; without one a call takes about twice the time.
    pub fn is_pooled(&self) -> bool {
        self.0.components.is_pooled()
    }

    /// Checks a file: looks at its signature, reads its manifest, compiles it off the asynchronous threads, type-checks it against its hooks,
    /// makes an instance and runs its examples. Nothing is bound by this; the error is one line with the mend.
    pub async fn load(
        &self,
        bytes: impl Into<Bytes>,
        engine: EngineKind,
        file: &str,
    ) -> Result<Arc<LoadedExtension>, LoadError> {
        self.load_for(None, bytes, engine, file).await
    }

    /// The same of an account's, or (none) of the system's, which get the limits that the operator gives their names. An
    /// account's have the limits of all, as their names are its own affair, and share its slots.
    pub async fn load_for(
        &self,
        owner: Option<AccountId>,
        bytes: impl Into<Bytes>,
        engine: EngineKind,
        file: &str,
    ) -> Result<Arc<LoadedExtension>, LoadError> {
        self.load_and_try(owner, bytes.into(), engine, file, Told::Before).await
    }

    /// The same of a version that is new: its examples must be within reason.
    pub async fn load_new(
        &self,
        owner: Option<AccountId>,
        bytes: impl Into<Bytes>,
        engine: EngineKind,
        file: &str,
    ) -> Result<Arc<LoadedExtension>, LoadError> {
        self.load_and_try(owner, bytes.into(), engine, file, Told::Now).await
    }

    async fn load_and_try(
        &self,
        owner: Option<AccountId>,
        bytes: Bytes,
        engine: EngineKind,
        file: &str,
        limits: Told,
    ) -> Result<Arc<LoadedExtension>, LoadError> {
        let extension = self.load_untried(bytes, engine, file, owner).await?;
        load::run_examples(self, &extension, limits).await?;
        Ok(Arc::new(extension))
    }

    /// The same without its examples.
    pub(super) async fn load_untried(
        &self,
        bytes: Bytes,
        engine: EngineKind,
        file: &str,
        owner: Option<AccountId>,
    ) -> Result<LoadedExtension, LoadError> {
        let (inner, name) = (Arc::clone(&self.0), file.to_owned());
        let compile = move || load::compile(&inner, &inner.components, bytes, engine, &name, owner);
        let compiled = tokio::task::spawn_blocking(compile).await;
        let extension =
            compiled.map_err(|error| LoadError::Engine { file: file.to_owned(), reason: error.to_string() })??;
        load::make_an_instance(&extension).await?;
        Ok(extension)
    }

    /// Asks one extension, whatever is bound. The breaker is neither asked nor told.
    pub async fn call(&self, extension: &LoadedExtension, input: &HookInput) -> Called {
        self.call_at(extension, input, self.0.clock.now(), Access::Granted).await
    }

    /// The same as if it were `now`, and with this reach into the network.
    pub(super) async fn call_at(
        &self,
        extension: &LoadedExtension,
        input: &HookInput,
        now: Timestamp,
        access: Access,
    ) -> Called {
        let mut record = CallRecord::default();
        let loaded;
        let extension = match &extension.program {
            Program::Later(later) => match later.get(self).await {
                Ok(ready) => {
                    loaded = ready;
                    &*loaded
                }
                Err(error) => return Called { answer: Err(CallError::Engine { reason: error.to_string() }), record },
            },
            Program::Unloadable(_, reason) => {
                return Called { answer: Err(CallError::NotLoaded { reason: reason.clone() }), record };
            }
            _ => extension,
        };
        let slot = tokio::time::timeout(self.0.options.limits.queue_wait, self.0.slots.take(extension)).await;
        let Ok(Some(_slot)) = slot else {
            return Called { answer: Err(CallError::Busy), record };
        };
        let began = Instant::now();
        let answer = match &extension.program {
            Program::Component(program) => program.call(input, now, access, &mut record).await,
            Program::Script(program) => program.call(input, now, &mut record).await,
            Program::Later(_) | Program::Unloadable(..) => {
                Err(CallError::Engine { reason: "it was not loaded".to_owned() })
            }
        };
        record.micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        Called { answer, record }
    }

    /// Puts these bindings in the place of all that are there, at once. Calls under way finish on the old ones.
    pub fn set_bindings(&self, bindings: &[Binding]) {
        self.0.table.rcu(|table| table.with_bindings(bindings));
    }

    /// Puts these extensions behind all bindings, in this order.
    pub fn set_shipped(&self, shipped: &[Arc<LoadedExtension>]) {
        self.0.table.rcu(|table| table.with_shipped(shipped));
    }

    /// Takes the oldest news of an extension that was suspended or brought back; at most 256 are kept.
    pub fn next_suspension(&self) -> Option<Suspension> {
        self.0.suspensions.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Keeps news that nobody could be told: they are the next again.
    pub fn tell_again(&self, news: Suspension) {
        self.0.suspensions.lock().unwrap_or_else(PoisonError::into_inner).push_front(news);
    }

    /// Waits until there may be such news.
    pub async fn suspension_told(&self) {
        self.0.suspended.notified().await;
    }

    pub(super) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.0
    }

    pub(super) fn line(&self, hook: Hook, scope: &CallScope) -> Line {
        self.0.table.load().line(hook, scope)
    }

    /// What is in force at this moment.
    pub(super) fn table(&self) -> Arc<BindingTable> {
        self.0.table.load_full()
    }

    pub(super) fn tell(&self, news: Suspension) {
        let mut kept = self.0.suspensions.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST_SUSPENSIONS {
            kept.pop_front();
        }
        kept.push_back(news);
        self.0.suspended.notify_one();
    }
}
