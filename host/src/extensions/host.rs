//! The door to both engines: load an extension, ask one, ask the line of those that are bound. Every call goes one way:
//! permit, fresh instance with limits, wall clock, call, check of the answer, record.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::future::join_all;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use super::breaker::{Change, Permission};
use super::chain::{Binding, BindingTable, CallScope, Line};
use super::decision::{Author, Decided, DecisionRecord, Mode, Suspension};
use super::error::{CallError, LoadError, StartError};
use super::extension::Program;
use super::extension::{EngineKind, LoadedExtension};
use super::fetch::Access;
use super::grants::Grant;
use super::hooks::{HookDecision, HookInput, bounce, gate, ingest, reply};
use super::limits::Limits;
use super::load;
use super::record::CallRecord;
use super::rhai::ScriptEngine;
use super::signature::Signer;
use super::wasm::{ComponentEngine, Purpose};
use crate::clock::Clock;
use crate::domain::Timestamp;
use crate::domain::status::Hook;
use crate::http_client::HttpClient;

/// How long a message waits when its gate can't answer.
const GATE_FAILED_WAIT: Duration = Duration::from_secs(5 * 60);
/// News of suspensions that nobody fetched; older ones are dropped.
const MOST_SUSPENSIONS: usize = 256;

/// What the host of extensions is started with.
#[derive(Debug, Clone)]
pub struct HostOptions {
    /// What a call may cost.
    pub limits: Limits,
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
    permits: Semaphore,
    fetching_permits: Semaphore,
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

/// What became of a provider's request.
#[derive(Debug, Clone, PartialEq)]
pub enum Ingested {
    /// The adapter read it.
    Outcome(ingest::Outcome),
    /// The adapter refused it.
    Refused(ingest::Refusal),
    /// The adapter failed or rests: the request is kept and asked again.
    Unavailable {
        /// For people.
        reason: String,
    },
    /// There is no adapter of that name.
    UnknownProvider,
}

/// What came of asking a line.
enum Asked {
    Answered(HookDecision, Author),
    Failed(CallError),
    /// Nobody was there, all rested, or all passed.
    Nobody,
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
        let HostOptions { limits, cache_folder, clock, .. } = &options;
        let components = ComponentEngine::start(limits, cache_folder.as_deref(), Purpose::Asking)?;
        Ok(Self(Arc::new(Inner {
            components: Arc::new(components),
            counting: Mutex::default(),
            scripts: ScriptEngine::start(&limits.script),
            permits: Semaphore::new(limits.concurrent_calls),
            fetching_permits: Semaphore::new(limits.fetch.concurrent_calls),
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
        let extension = self.load_untried(bytes.into(), engine, file).await?;
        load::run_examples(self, &extension).await?;
        Ok(Arc::new(extension))
    }

    /// The same without its examples.
    pub(super) async fn load_untried(
        &self,
        bytes: Bytes,
        engine: EngineKind,
        file: &str,
    ) -> Result<LoadedExtension, LoadError> {
        let (inner, name) = (Arc::clone(&self.0), file.to_owned());
        let compile = move || load::compile(&inner, &inner.components, bytes, engine, &name);
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
        let turn = tokio::time::timeout(self.0.options.limits.queue_wait, self.turn(extension)).await;
        let Ok(Some(_permits)) = turn else {
            return Called { answer: Err(CallError::Busy), record };
        };
        let began = Instant::now();
        let answer = match &extension.program {
            Program::Component(program) => program.call(input, now, access, &mut record).await,
            Program::Script(program) => program.call(&self.0.scripts, input, now, &mut record).await,
        };
        record.micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        Called { answer, record }
    }

    /// Waits for a slot. Who waits for the network holds only some of them.
    async fn turn(&self, extension: &LoadedExtension) -> Option<(Option<SemaphorePermit<'_>>, SemaphorePermit<'_>)> {
        let fetching = match extension.may_fetch() {
            true => Some(self.0.fetching_permits.acquire().await.ok()?),
            false => None,
        };
        Some((fetching, self.0.permits.acquire().await.ok()?))
    }

    /// Puts these bindings in the place of all that are there, at once. Calls under way finish on the old ones.
    pub fn set_bindings(&self, bindings: &[Binding]) {
        self.0.table.rcu(|table| table.with_bindings(bindings));
    }

    /// Puts these extensions behind all bindings, in this order.
    pub fn set_shipped(&self, shipped: &[Arc<LoadedExtension>]) {
        self.0.table.rcu(|table| table.with_shipped(shipped));
    }

    /// What is this inbound message? Where nobody can tell, it is [`reply::Verdict::Unclassified`].
    pub async fn classify(&self, scope: &CallScope, message: Arc<reply::Message>) -> Decided<reply::Classification> {
        let line = self.line(Hook::ReplyClassifier, scope);
        let (asked, records) = self.ask(line, HookInput::ReplyClassifier(message)).await;
        let unclassified =
            |reason: String| reply::Classification::new(reply::Verdict::Unclassified, Some(reason), Default::default());
        match asked {
            Asked::Answered(HookDecision::ReplyClassifier(reply::Answer::Classified(decision)), author) => {
                Decided { decision, by: Some(author), records }
            }
            Asked::Failed(error) => Decided { decision: unclassified(error.to_string()), by: None, records },
            _ => Decided { decision: unclassified("no classifier could tell".to_owned()), by: None, records },
        }
    }

    /// What does this provider's request say?
    pub async fn ingest(
        &self,
        scope: &CallScope,
        provider: &str,
        request: Arc<ingest::Request>,
        settings: Arc<ingest::Settings>,
    ) -> Decided<Ingested> {
        let line = self.line(Hook::ProviderAdapter, scope).of_provider(provider);
        if line.active.is_empty() {
            return Decided { decision: Ingested::UnknownProvider, by: None, records: Vec::new() };
        }
        let (asked, records) = self.ask(line, HookInput::ProviderAdapter(request, settings)).await;
        match asked {
            Asked::Answered(HookDecision::ProviderAdapter(answer), author) => {
                let decision = answer.map_or_else(Ingested::Refused, Ingested::Outcome);
                Decided { decision, by: Some(author), records }
            }
            Asked::Failed(error) => {
                Decided { decision: Ingested::Unavailable { reason: error.to_string() }, by: None, records }
            }
            _ => {
                let reason = "the adapter is suspended".to_owned();
                Decided { decision: Ingested::Unavailable { reason }, by: None, records }
            }
        }
    }

    /// The adapter that would be asked first for `provider`: its settings and the status for "try again" are in its
    /// manifest.
    pub fn adapter(&self, scope: &CallScope, provider: &str) -> Option<Arc<LoadedExtension>> {
        self.line(Hook::ProviderAdapter, scope).of_provider(provider).active.into_iter().next()
    }

    /// Are these bounces too many? Where no policy can tell, the host's own threshold rule does.
    pub async fn judge(&self, scope: &CallScope, stats: Arc<bounce::Stats>) -> Decided<bounce::Judgement> {
        let line = self.line(Hook::BouncePolicy, scope);
        let (asked, records) = self.ask(line, HookInput::BouncePolicy(Arc::clone(&stats))).await;
        match asked {
            Asked::Answered(HookDecision::BouncePolicy(decision), author) => {
                Decided { decision, by: Some(author), records }
            }
            _ => Decided { decision: bounce::Judgement::by_threshold(&stats), by: None, records },
        }
    }

    /// May this message leave now? Where no gate is bound, it may; where the gate can't answer, in five minutes.
    pub async fn admit(&self, scope: &CallScope, send: Arc<gate::Send>) -> Decided<gate::Admission> {
        let line = self.line(Hook::SendGate, scope);
        let is_open = line.active.is_empty();
        let (asked, records) = self.ask(line, HookInput::SendGate(send)).await;
        let wait = |reason: String| gate::Admission::Defer { until: self.0.clock.now().plus(GATE_FAILED_WAIT), reason };
        match asked {
            Asked::Answered(HookDecision::SendGate(decision), author) => {
                Decided { decision, by: Some(author), records }
            }
            Asked::Failed(error) => {
                Decided { decision: wait(format!("the send gate failed: {error}")), by: None, records }
            }
            _ if is_open => Decided { decision: gate::Admission::Admit, by: None, records },
            _ => Decided { decision: wait("the send gate is suspended".to_owned()), by: None, records },
        }
    }

    /// Whether any extension is bound to the send gate for this scope. Where none is, the facts need not be gathered.
    pub fn has_gate(&self, scope: &CallScope) -> bool {
        let line = self.line(Hook::SendGate, scope);
        !line.active.is_empty() || !line.shadows.is_empty()
    }

    /// Takes the news of extensions that were suspended or brought back since the last time; at most 256 are kept.
    pub fn drain_suspensions(&self) -> Vec<Suspension> {
        self.0.suspensions.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
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

    /// Asks the active ones in turn and all shadows beside them.
    async fn ask(&self, line: Line, input: HookInput) -> (Asked, Vec<DecisionRecord>) {
        let shadows = line.shadows.iter().map(|shadow| self.shadow(shadow, &input));
        let ((asked, mut records), shadowed) = tokio::join!(self.ask_in_turn(&line.active, &input), join_all(shadows));
        records.extend(shadowed.into_iter().flatten());
        (asked, records)
    }

    async fn ask_in_turn(&self, line: &[Arc<LoadedExtension>], input: &HookInput) -> (Asked, Vec<DecisionRecord>) {
        let mut records = Vec::with_capacity(1);
        for extension in line {
            let permission = extension.breaker.permission(self.0.clock.now());
            if permission == Permission::Rest {
                continue;
            }
            let (answer, change) = self.ask_one(extension, input, permission, Mode::Active, &mut records).await;
            match answer {
                Ok(HookDecision::ReplyClassifier(reply::Answer::Pass)) => {}
                Ok(decision) => return (Asked::Answered(decision, Author::of(extension)), records),
                // From its suspension on, the next in line answers.
                Err(_) if change == Change::Suspended || permission == Permission::Probe => {}
                Err(error) => return (Asked::Failed(error), records),
            }
        }
        (Asked::Nobody, records)
    }

    async fn shadow(&self, extension: &Arc<LoadedExtension>, input: &HookInput) -> Option<DecisionRecord> {
        let permission = extension.breaker.permission(self.0.clock.now());
        if permission == Permission::Rest {
            return None;
        }
        let mut records = Vec::with_capacity(1);
        self.ask_one(extension, input, permission, Mode::Shadow, &mut records).await.0.ok();
        records.pop()
    }

    async fn ask_one(
        &self,
        extension: &LoadedExtension,
        input: &HookInput,
        permission: Permission,
        mode: Mode,
        records: &mut Vec<DecisionRecord>,
    ) -> (Result<HookDecision, CallError>, Change) {
        let Called { answer, record } = self.call(extension, input).await;
        let change = match &answer {
            Ok(_) => extension.breaker.answered(permission),
            Err(error) if error.is_the_extensions_fault() => extension.breaker.failed(self.0.clock.now(), error),
            Err(_) => Change::None,
        };
        if change != Change::None {
            let error = answer.as_ref().err().map(ToString::to_string);
            self.tell(Suspension { author: Author::of(extension), hook: input.hook(), at: self.0.clock.now(), error });
        }
        records.push(DecisionRecord::of(extension, input.hook(), mode, &answer, record));
        (answer, change)
    }

    fn tell(&self, news: Suspension) {
        let mut kept = self.0.suspensions.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST_SUSPENSIONS {
            kept.pop_front();
        }
        kept.push_back(news);
        self.0.suspended.notify_one();
    }
}
