//! WebAssembly components: the only place that names wasmtime. A [`ComponentProgram`] is a compiled component; each call
//! of it has a fresh instance, which is dropped with its store whatever happened.

mod bindings;
mod cache_folder;
mod check;
mod convert;
mod engine;
mod host_functions;
mod own_time;
mod state;
mod wasi;

use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::{ComponentExportIndex, ComponentNamedList, Instance, InstancePre, Lift, Lower};
use wasmtime::{PoolConcurrencyLimitError, Store, Trap};
use wasmtime_wasi::I32Exit;

use self::bindings as wit;
use self::state::State;
use super::error::CallError;
use super::fetch::{Access, Fetcher, Reach};
use super::hooks::{HookDecision, HookInput};
use super::limits::ComponentLimits;
use super::record::CallRecord;
use crate::domain::Timestamp;
use crate::domain::status::Hook;

pub(super) use self::check::read_manifest;
pub(super) use self::engine::{ComponentEngine, Purpose};

/// A compiled component that was found to serve its hooks.
pub(super) struct ComponentProgram {
    engine: Arc<ComponentEngine>,
    reach: Arc<Reach>,
    instance: InstancePre<State>,
    exports: Vec<(Hook, ComponentExportIndex)>,
    limits: ComponentLimits,
}

impl ComponentProgram {
    /// Compiles and type-checks. The error is one line that says how to mend it. Not for an asynchronous thread.
    pub(super) fn compile(
        engine: &Arc<ComponentEngine>,
        bytes: &[u8],
        hooks: &[Hook],
        limits: ComponentLimits,
        reach: Reach,
    ) -> Result<Self, String> {
        let component = engine.compile(bytes).map_err(|error| check::one_line(&error))?;
        check::imports(engine.engine(), &component)?;
        let exports = check::exports(engine.engine(), &component, hooks)?;
        let instance = engine.link(&component).map_err(|error| check::one_line(&error))?;
        let limits = engine.patient(limits);
        Ok(Self { engine: Arc::clone(engine), reach: Arc::new(reach), instance, exports, limits })
    }

    /// Whether a call may have to wait for the network.
    pub(super) fn may_fetch(&self) -> bool {
        self.reach.is_open()
    }

    fn wall_time(&self) -> Duration {
        let fetching = self.engine.limits().fetch.wall_time;
        if self.may_fetch() { fetching.max(self.limits.wall_time) } else { self.limits.wall_time }
    }

    fn fresh_store(&self, now: Timestamp, access: Access) -> Store<State> {
        let fetcher = Fetcher::new(&self.reach, access, self.wall_time());
        self.engine.fresh_store(&self.limits, now, fetcher)
    }

    /// Makes an instance and checks the types of its exports: linking alone does not tell of a record with another
    /// number of fields.
    pub(super) async fn trial(&self, now: Timestamp) -> Result<(), CallError> {
        let mut store = self.fresh_store(now, Access::Canned(Arc::default()));
        let trial = async {
            let instance = self.instance.instantiate_async(&mut store).await?;
            for (hook, export) in &self.exports {
                match hook {
                    Hook::ReplyClassifier => {
                        typed::<(wit::Message<'_>,), (wit::Classification,)>(&mut store, &instance, export)?;
                    }
                    Hook::ProviderAdapter => {
                        typed::<IngestArguments<'_>, (Result<wit::Outcome, wit::Refusal>,)>(
                            &mut store, &instance, export,
                        )?;
                    }
                    Hook::BouncePolicy => {
                        typed::<(wit::Stats<'_>,), (wit::Judgement,)>(&mut store, &instance, export)?;
                    }
                    Hook::SendGate => {
                        typed::<(wit::SendFacts<'_>,), (wit::Admission,)>(&mut store, &instance, export)?;
                    }
                }
            }
            Ok(())
        };
        let ended = tokio::time::timeout(self.wall_time(), trial).await;
        self.judge(&store, ended).map(drop)
    }

    /// Asks the component. The record is filled whatever the outcome.
    pub(super) async fn call(
        &self,
        input: &HookInput,
        now: Timestamp,
        access: Access,
        record: &mut CallRecord,
    ) -> Result<HookDecision, CallError> {
        let hook = input.hook();
        let Some((_, export)) = self.exports.iter().find(|(served, _)| *served == hook) else {
            return Err(CallError::NotServed { hook });
        };
        let mut store = self.fresh_store(now, access);
        let ended = tokio::time::timeout(self.wall_time(), self.ask(&mut store, export, input)).await;
        let answer = self.judge(&store, ended);
        record.instructions = self.engine.instructions(&store);
        record.memory_bytes = u64::try_from(store.data().guard.granted_bytes).ok();
        record.logs = store.into_data().into_logs();
        answer?.map_err(CallError::BadAnswer)
    }

    async fn ask(
        &self,
        store: &mut Store<State>,
        export: &ComponentExportIndex,
        input: &HookInput,
    ) -> wasmtime::Result<Result<HookDecision, super::hooks::BadAnswer>> {
        let instance = self.instance.instantiate_async(&mut *store).await?;
        Ok(match input {
            HookInput::ReplyClassifier(message) => {
                let lists = convert::MessageLists::of(message);
                let function = typed(store, &instance, export)?;
                let (answer,): (wit::Classification,) =
                    function.call_async(store, (convert::message(message, &lists),)).await?;
                convert::classification(answer).map(HookDecision::ReplyClassifier)
            }
            HookInput::ProviderAdapter(request, settings) => {
                let settings: Vec<_> = settings.exposed().collect();
                let function = typed(store, &instance, export)?;
                let (answer,): (Result<wit::Outcome, wit::Refusal>,) =
                    function.call_async(store, (convert::request(request), settings.as_slice())).await?;
                convert::outcome(answer).map(HookDecision::ProviderAdapter)
            }
            HookInput::BouncePolicy(stats) => {
                let function = typed(store, &instance, export)?;
                let (answer,): (wit::Judgement,) = function.call_async(store, (convert::stats(stats),)).await?;
                Ok(HookDecision::BouncePolicy(convert::judgement(answer)))
            }
            HookInput::SendGate(send) => {
                let function = typed(store, &instance, export)?;
                let (answer,): (wit::Admission,) = function.call_async(store, (convert::send(send),)).await?;
                convert::admission(answer).map(HookDecision::SendGate)
            }
        })
    }

    /// Turns an engine's error into one that a caller can act on.
    fn judge<T>(
        &self,
        store: &Store<State>,
        ended: Result<wasmtime::Result<T>, tokio::time::error::Elapsed>,
    ) -> Result<T, CallError> {
        let limits = &self.limits;
        let error = match ended {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => error,
            Err(_) => return Err(CallError::OutOfTime { limit: self.wall_time() }),
        };
        if error.is::<PoolConcurrencyLimitError>() {
            return Err(CallError::Engine { reason: check::one_line(&error) });
        }
        if let Some(exit) = error.downcast_ref::<I32Exit>() {
            return Err(CallError::Trapped { reason: format!("it exited with status {}", exit.0) });
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => Err(CallError::OutOfTime { limit: limits.own_time }),
            // Whatever a guest does after it was refused memory, the refusal is the cause.
            _ if store.data().guard.refused => Err(CallError::OutOfMemory { limit_bytes: limits.memory_bytes }),
            Some(trap) => Err(CallError::Trapped { reason: trap.to_string() }),
            None if check::copies_too_much(&error) => Err(CallError::TooLarge { limit_bytes: limits.copied_bytes }),
            None => Err(CallError::Trapped { reason: check::one_line(&error) }),
        }
    }
}

type IngestArguments<'a> = (wit::Request<'a>, &'a [(&'a str, &'a str)]);

fn typed<Params, Return>(
    store: &mut Store<State>,
    instance: &Instance,
    export: &ComponentExportIndex,
) -> wasmtime::Result<wasmtime::component::TypedFunc<Params, Return>>
where
    Params: ComponentNamedList + Lower,
    Return: ComponentNamedList + Lift,
{
    instance.get_typed_func(store, export)
}
