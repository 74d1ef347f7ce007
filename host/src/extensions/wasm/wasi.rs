//! WASI 0.2 with nothing granted: no file, no socket, no name, no variable, no argument. It is there because the compilers
//! of JavaScript, Python and Go make guests that import it, and nothing of it reaches anything.
//!
//! What it can't do without is made of the call alone, so that a call comes out the same on any day and machine: the wall
//! clock shows the time of the call, the monotonic clock moves a microsecond each time it is looked at, and random numbers
//! are always the same ones. They are good for hash tables and for nothing secret; an extension keeps no secrets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::io::AsyncWrite;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi::{Deterministic, HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder};

use crate::domain::Timestamp;
use crate::extensions::record::{LogBuffer, LogLevel};

/// What is kept of what a guest prints.
const MOST_PRINTED: usize = 64 * 1024;
/// One piece of random numbers, and how many of them there are before they begin anew.
const LARGEST_RANDOM: u64 = 64 * 1024;
const RANDOM_BLOCKS: u32 = 512;

/// The WASI of one call.
pub(super) struct Wasi {
    pub(super) ctx: WasiCtx,
    pub(super) table: ResourceTable,
    printed: Printed,
}

/// What the guest printed. Standard output and standard error are one.
#[derive(Clone, Default)]
struct Printed(Arc<Mutex<Vec<u8>>>);

/// Stands still.
struct TimeOfCall(Timestamp);

/// Moves by being looked at.
#[derive(Default)]
struct Looks(AtomicU64);

impl Wasi {
    pub(super) fn new(now: Timestamp, handles: usize) -> Self {
        let printed = Printed::default();
        let mut table = ResourceTable::new();
        table.set_max_capacity(handles);
        let ctx = WasiCtxBuilder::new()
            .stdout(printed.clone())
            .stderr(printed.clone())
            .wall_clock(TimeOfCall(now))
            .monotonic_clock(Looks::default())
            .secure_random(Deterministic::new(random_bytes()))
            .insecure_random(Deterministic::new(random_bytes()))
            .insecure_random_seed(0)
            .max_random_size(LARGEST_RANDOM)
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .build();
        Self { ctx, table, printed }
    }

    /// Puts what was printed into the log: the words of a panic are the best there is of it.
    pub(super) fn tell(&self, logs: &mut LogBuffer) {
        let printed = std::mem::take(&mut *self.printed.0.lock().unwrap_or_else(PoisonError::into_inner));
        for line in String::from_utf8_lossy(&printed).lines().filter(|line| !line.trim().is_empty()) {
            logs.write(LogLevel::Info, line);
        }
    }
}

/// Made once: a guest that asks for little must not wait for much.
fn random_bytes() -> Vec<u8> {
    static BYTES: std::sync::LazyLock<Vec<u8>> =
        std::sync::LazyLock::new(|| (0..RANDOM_BLOCKS).flat_map(|block| Sha256::digest(block.to_le_bytes())).collect());
    BYTES.clone()
}

impl HostWallClock for TimeOfCall {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.as_millis()).unwrap_or(0))
    }
}

impl HostMonotonicClock for Looks {
    fn resolution(&self) -> u64 {
        1000
    }

    fn now(&self) -> u64 {
        self.0.fetch_add(1000, Ordering::Relaxed)
    }
}

impl IsTerminal for Printed {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Printed {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Printed {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut printed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = MOST_PRINTED - printed.len();
        printed.extend_from_slice(&bytes[..bytes.len().min(room)]);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MOST_PRINTED)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Printed {
    async fn ready(&mut self) {}
}
