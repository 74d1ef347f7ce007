//! What one call may cost. The defaults are the contract's; an operator may raise them by extension, see `raised.rs`.

use std::time::Duration;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Limits of both engines and of their number of calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Calls that run at the same time, over all extensions.
    pub concurrent_calls: usize,
    /// How long a call waits for its turn before it is given up as [`super::CallError::Busy`].
    pub queue_wait: Duration,
    /// Limits of a WebAssembly component.
    pub component: ComponentLimits,
    /// Limits of a Rhai script.
    pub script: ScriptLimits,
    /// What a component may fetch.
    pub fetch: FetchLimits,
}

/// Limits of a component. Each call has an instance and a memory of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentLimits {
    /// The file, in bytes.
    pub file_bytes: usize,
    /// Linear memory of one call, all memories together, in bytes, unless the manifest asks for more.
    pub memory_bytes: usize,
    /// The most that a manifest may ask for, in bytes.
    pub max_memory_bytes: usize,
    /// The guest's own time: that of its threads, looked at every 10 ms.
    pub own_time: Duration,
    /// The whole call, with the time in which other work had its turn.
    pub wall_time: Duration,
    /// Bytes that one copy from the guest to the host may have.
    pub copied_bytes: usize,
    /// Handles to host resources.
    pub handles: usize,
    /// Elements of one table.
    pub table_elements: usize,
}

/// Limits of `http.fetch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchLimits {
    /// Requests of one call.
    pub requests: u32,
    /// The body of one answer, in bytes.
    pub answer_bytes: usize,
    /// The whole call of an extension that may fetch, in the place of the component's wall time.
    pub wall_time: Duration,
    /// Calls of such extensions at the same time. They wait for others, and must leave slots to those that do not.
    pub concurrent_calls: usize,
}

/// Limits of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptLimits {
    /// The source, in bytes.
    pub source_bytes: usize,
    /// Operations of the interpreter.
    pub operations: u64,
    /// Elapsed time.
    pub time: Duration,
    /// Elapsed time after which a call leaves the asynchronous thread, see `rhai/`.
    pub inline_time: Duration,
    /// Calls inside calls.
    pub call_depth: usize,
    /// All texts of one value together, in bytes.
    pub string_bytes: usize,
    /// All elements of one list and of those inside it.
    pub array_items: usize,
    /// All entries of one map and of those inside it.
    pub map_entries: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            concurrent_calls: 64,
            queue_wait: Duration::from_secs(5),
            component: ComponentLimits::default(),
            script: ScriptLimits::default(),
            fetch: FetchLimits::default(),
        }
    }
}

impl Default for FetchLimits {
    fn default() -> Self {
        Self { requests: 5, answer_bytes: MIB, wall_time: Duration::from_secs(2), concurrent_calls: 16 }
    }
}

impl Default for ComponentLimits {
    fn default() -> Self {
        Self {
            file_bytes: 32 * MIB,
            memory_bytes: 16 * MIB,
            max_memory_bytes: 256 * MIB,
            own_time: Duration::from_millis(50),
            wall_time: Duration::from_millis(250),
            copied_bytes: 2 * MIB,
            handles: 256,
            // JavaScript and Python guests have tables of this size.
            table_elements: 200_000,
        }
    }
}

impl Default for ScriptLimits {
    fn default() -> Self {
        Self {
            source_bytes: 256 * KIB,
            operations: 200_000,
            time: Duration::from_millis(50),
            inline_time: Duration::from_millis(2),
            call_depth: 16,
            string_bytes: 64 * KIB,
            array_items: 4096,
            map_entries: 1024,
        }
    }
}
