//! wasmtime, configured: pooled memory, copy-on-write images, epochs as the guest's clock, a private compile cache. One
//! engine asks; a second one, made when a test first wants it, counts instructions.

use std::path::Path;
use std::thread;

use wasmtime::UpdateDeadline;
use wasmtime::component::{Component, HasSelf, InstancePre, Linker};
use wasmtime::{
    Cache, CacheConfig, Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store,
};

use super::bindings::Imports;
use super::own_time::TICK;
use super::state::{MOST_INSTANCES, MOST_MEMORIES, MOST_TABLES, State};
use super::{cache_folder, check};
use crate::domain::Timestamp;
use crate::extensions::error::StartError;
use crate::extensions::fetch::Fetcher;
use crate::extensions::limits::{ComponentLimits, Limits};

/// What stays resident of a memory between two calls. Without `pagemap_scan` all of it would be cleared each time.
const KEEP_RESIDENT_BYTES: usize = 1024 * 1024;

/// Without a pool: the addresses of a memory until it moves, and those behind it.
const UNPOOLED_MEMORY_BYTES: u64 = 2 * 1024 * 1024;
const UNPOOLED_GUARD_BYTES: u64 = 64 * 1024;

/// Counting takes two or three times as long, and a test runs on whatever machine there is.
const PATIENCE_WHILE_COUNTING: u32 = 20;

/// What an engine is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::extensions) enum Purpose {
    /// Asking, as fast as can be.
    Asking,
    /// Counting the instructions of a test: the same figure on every machine, however busy it is.
    Counting,
}

/// The engine of all components of one host.
pub(in crate::extensions) struct ComponentEngine {
    engine: Engine,
    linker: Linker<State>,
    wasi_linker: Linker<State>,
    limits: Limits,
    pooled: bool,
    purpose: Purpose,
}

impl ComponentEngine {
    /// Starts the engine and its clock thread, which ends with it. Where the address space is too small for a pool,
    /// memory is allocated for each call.
    pub(in crate::extensions) fn start(
        limits: &Limits,
        cache: Option<&Path>,
        purpose: Purpose,
    ) -> Result<Self, StartError> {
        let refused = |error: wasmtime::Error| StartError::Engine(format!("{error:#}"));
        let cache = cache.map(open_cache).transpose()?;
        let pool = (purpose == Purpose::Asking).then(|| pool(limits));
        let pooled = pool.and_then(|pool| Engine::new(&config(cache.clone(), Some(pool), purpose)).ok());
        let (engine, pooled) = match pooled {
            Some(engine) => (engine, true),
            None => (Engine::new(&config(cache, None, purpose)).map_err(refused)?, false),
        };
        let mut linker = Linker::new(&engine);
        Imports::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state).map_err(refused)?;
        let mut wasi_linker = linker.clone();
        wasmtime_wasi::p2::add_to_linker_async(&mut wasi_linker).map_err(refused)?;
        tick(&engine)?;
        Ok(Self { engine, linker, wasi_linker, limits: limits.clone(), pooled, purpose })
    }

    /// Whether memory comes from a pool.
    pub(in crate::extensions) fn is_pooled(&self) -> bool {
        self.pooled
    }

    /// The limits of a component here: counting takes longer.
    pub(super) fn patient(&self, mut limits: ComponentLimits) -> ComponentLimits {
        if self.purpose == Purpose::Counting {
            limits.own_time *= PATIENCE_WHILE_COUNTING;
            limits.wall_time *= PATIENCE_WHILE_COUNTING;
        }
        limits
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Compiles a component: milliseconds for Rust, seconds for JavaScript and Python. Not for an asynchronous thread.
    pub(super) fn compile(&self, bytes: &[u8]) -> wasmtime::Result<Component> {
        Component::from_binary(&self.engine, bytes)
    }

    /// Matches a component's imports with ours; WASI is there only for those that want it.
    pub(super) fn link(&self, component: &Component) -> wasmtime::Result<InstancePre<State>> {
        let linker = if check::wants_wasi(&self.engine, component) { &self.wasi_linker } else { &self.linker };
        linker.instantiate_pre(component)
    }

    /// The instructions that a store has executed, where they are counted.
    pub(super) fn instructions(&self, store: &Store<State>) -> Option<u64> {
        (self.purpose == Purpose::Counting).then(|| u64::MAX - store.get_fuel().unwrap_or(u64::MAX))
    }

    /// The one place that makes stores, so that none is without limits.
    #[expect(clippy::disallowed_methods, reason = "this is the door: the limits are set below")]
    pub(super) fn fresh_store(&self, limits: &ComponentLimits, now: Timestamp, fetcher: Fetcher) -> Store<State> {
        let state = State::new(limits, now, fetcher);
        let own_time = state.own_time.clone();
        let mut store = Store::new(&self.engine, state);
        if self.purpose == Purpose::Counting {
            // Fails only where nothing counts.
            let _ = store.set_fuel(u64::MAX);
        }
        store.limiter(|state| &mut state.guard);
        store.set_hostcall_fuel(limits.copied_bytes);
        store.set_max_component_handles(limits.handles);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |_| {
            if own_time.is_over() {
                return Ok(UpdateDeadline::Interrupt);
            }
            let own_time = own_time.clone();
            let others = async move {
                tokio::task::yield_now().await;
                own_time.goes_on();
            };
            Ok(UpdateDeadline::YieldCustom(1, Box::pin(others)))
        });
        store
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the door: one engine, configured here")]
fn config(cache: Option<Cache>, pool: Option<PoolingAllocationConfig>, purpose: Purpose) -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true);
    config.consume_fuel(purpose == Purpose::Counting);
    // Guests are stripped: a backtrace would be numbers, and traps are told in one line.
    config.wasm_backtrace_max_frames(None);
    // Registering unwind tables is quadratic in loaded modules, and nothing unwinds through a guest.
    config.native_unwind_info(false);
    config.cache(cache);
    match pool {
        Some(pool) => {
            config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        }
        None => {
            // Addresses may be few: 4 GiB of them for each memory, which would save looking at its bounds, are not there.
            config.memory_reservation(UNPOOLED_MEMORY_BYTES).memory_guard_size(UNPOOLED_GUARD_BYTES);
            config.memory_reservation_for_growth(UNPOOLED_MEMORY_BYTES);
        }
    }
    config
}

fn pool(limits: &Limits) -> PoolingAllocationConfig {
    let calls = u32::try_from(limits.concurrent_calls).unwrap_or(u32::MAX / 64);
    let (instances, tables, memories) = (MOST_INSTANCES as u32, MOST_TABLES as u32, MOST_MEMORIES as u32);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(calls)
        .total_core_instances(calls.saturating_mul(instances))
        .total_memories(calls.saturating_mul(memories))
        .total_tables(calls.saturating_mul(tables))
        .total_stacks(calls)
        .max_core_instances_per_component(instances)
        .max_memories_per_component(memories)
        .max_tables_per_component(tables)
        .max_component_instance_size(4 * 1024 * 1024)
        .max_core_instance_size(4 * 1024 * 1024)
        .max_memory_size(limits.component.max_memory_bytes)
        .table_elements(limits.component.table_elements)
        .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
        .table_keep_resident(64 * 1024)
        .pagemap_scan(Enabled::Auto);
    pool
}

/// A folder that only we can write: what lies in it is run as machine code.
fn open_cache(folder: &Path) -> Result<Cache, StartError> {
    let refused = |reason: String| StartError::Cache { folder: folder.display().to_string(), reason };
    cache_folder::make_private(folder).map_err(|error| refused(error.to_string()))?;
    let folder = folder.canonicalize().map_err(|error| refused(error.to_string()))?;
    let mut config = CacheConfig::new();
    config.with_directory(folder);
    Cache::new(config).map_err(|error| refused(format!("{error:#}")))
}

/// A thread of the system moves the epoch: a busy asynchronous thread must not hold the clock back.
#[expect(clippy::disallowed_methods, reason = "the thread is its own and does nothing else; guests' time is real time")]
fn tick(engine: &Engine) -> Result<(), StartError> {
    let engine = engine.weak();
    let run = move || {
        loop {
            thread::sleep(TICK);
            match engine.upgrade() {
                Some(engine) => engine.increment_epoch(),
                None => return,
            }
        }
    };
    thread::Builder::new().name("wasm-epoch".to_owned()).spawn(run).map(drop).map_err(StartError::Thread)
}
