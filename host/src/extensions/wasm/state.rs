//! What belongs to one call of a component: its log, its time, what it may fetch, and the guard of its memory.

use wasmtime::ResourceLimiter;
use wasmtime_wasi::{WasiCtxView, WasiView};

use super::own_time::OwnTime;
use super::wasi::Wasi;
use crate::domain::Timestamp;
use crate::extensions::fetch::Fetcher;
use crate::extensions::limits::ComponentLimits;
use crate::extensions::record::{LogBuffer, LogLine};

// A Rust component has three core instances (itself and two shims), a JavaScript one about five, a Python one a few dozen:
// each of its shared libraries is one. QuickJS with its stubs has three memories.
pub(super) const MOST_INSTANCES: usize = 64;
pub(super) const MOST_TABLES: usize = 8;
pub(super) const MOST_MEMORIES: usize = 4;

/// The data of one store.
pub(super) struct State {
    pub(super) guard: MemoryGuard,
    pub(super) logs: LogBuffer,
    /// What the guest's clock shows: one call sees one time.
    pub(super) now: Timestamp,
    pub(super) fetcher: Fetcher,
    pub(super) own_time: OwnTime,
    handles: usize,
    /// Made when it is first used: most guests have none.
    wasi: Option<Box<Wasi>>,
}

/// Counts all memories of a call together, refuses what goes over the limit and remembers that it did, so that the trap that
/// follows can be told from others.
pub(super) struct MemoryGuard {
    limit_bytes: usize,
    table_elements: usize,
    /// What all memories have, in bytes. None shrinks, so it is the most that there was, too.
    pub(super) granted_bytes: usize,
    /// More was asked for than the limit.
    pub(super) refused: bool,
}

impl State {
    pub(super) fn new(limits: &ComponentLimits, now: Timestamp, fetcher: Fetcher) -> Self {
        let guard = MemoryGuard {
            limit_bytes: limits.memory_bytes,
            table_elements: limits.table_elements,
            granted_bytes: 0,
            refused: false,
        };
        let own_time = OwnTime::new(limits.own_time);
        Self { guard, logs: LogBuffer::default(), now, fetcher, own_time, handles: limits.handles, wasi: None }
    }

    /// All that the guest logged and printed.
    pub(super) fn into_logs(mut self) -> Vec<LogLine> {
        if let Some(wasi) = &self.wasi {
            wasi.tell(&mut self.logs);
        }
        self.logs.finish()
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let wasi = self.wasi.get_or_insert_with(|| Box::new(Wasi::new(self.now, self.handles)));
        WasiCtxView { ctx: &mut wasi.ctx, table: &mut wasi.table }
    }
}

impl ResourceLimiter for MemoryGuard {
    fn memory_growing(&mut self, current: usize, desired: usize, most: Option<usize>) -> wasmtime::Result<bool> {
        // It would not grow after all, and must not be counted.
        if most.is_some_and(|most| desired > most) {
            return Ok(false);
        }
        let granted = self.granted_bytes.saturating_add(desired.saturating_sub(current));
        if granted > self.limit_bytes {
            self.refused = true;
            return Ok(false);
        }
        self.granted_bytes = granted;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= self.table_elements)
    }

    fn instances(&self) -> usize {
        MOST_INSTANCES
    }

    fn tables(&self) -> usize {
        MOST_TABLES
    }

    fn memories(&self) -> usize {
        MOST_MEMORIES
    }
}
