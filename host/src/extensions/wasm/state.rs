//! What belongs to one call of a component: its log, its time, and the guard of its memory.

use wasmtime::ResourceLimiter;

use crate::domain::Timestamp;
use crate::extensions::record::LogBuffer;

// A Rust component has three core instances (itself and two shims), a JavaScript one about five.
pub(super) const MOST_INSTANCES: usize = 16;
pub(super) const MOST_TABLES: usize = 8;
pub(super) const MOST_MEMORIES: usize = 2;

/// The data of one store.
pub(super) struct State {
    pub(super) guard: MemoryGuard,
    pub(super) logs: LogBuffer,
    /// What the guest's clock shows: one call sees one time.
    pub(super) now: Timestamp,
}

/// Refuses memory over the limit and remembers that it did, so that the trap that follows can be told from others.
pub(super) struct MemoryGuard {
    limit_bytes: usize,
    table_elements: usize,
    /// The most memory that was granted, in bytes.
    pub(super) peak_bytes: usize,
    /// More was asked for than the limit.
    pub(super) refused: bool,
}

impl State {
    pub(super) fn new(limit_bytes: usize, table_elements: usize, now: Timestamp) -> Self {
        let guard = MemoryGuard { limit_bytes, table_elements, peak_bytes: 0, refused: false };
        Self { guard, logs: LogBuffer::default(), now }
    }
}

impl ResourceLimiter for MemoryGuard {
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        if desired > self.limit_bytes {
            self.refused = true;
            return Ok(false);
        }
        self.peak_bytes = self.peak_bytes.max(desired);
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
