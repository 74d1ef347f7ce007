//! Extism, with the same classifier as its plugin, the same limits of memory and time as the host sets, and no WASI.

use std::cell::RefCell;
use std::time::Duration;

use anyhow::ensure;
use extism::convert::Msgpack;
use extism::{CompiledPlugin, Manifest, Plugin, PluginBuilder, Wasm};

use crate::timed;
use crate::wire::{Answer, Message};

const MOST_PAGES: u32 = 256;
const TIME: Duration = Duration::from_millis(250);

pub(crate) struct Rows {
    plain: CompiledPlugin,
    pooled: CompiledPlugin,
    kept: RefCell<Plugin>,
    message: Message,
}

impl Rows {
    pub(crate) fn new(plugin: &[u8], message: &Message) -> anyhow::Result<Self> {
        let manifest = || Manifest::new([Wasm::data(plugin.to_vec())]).with_memory_max(MOST_PAGES).with_timeout(TIME);
        let builder = || PluginBuilder::new(manifest()).with_wasi(false).with_cache_disabled();
        let plain = builder().compile()?;
        let pooled = builder().with_wasmtime_config(pooling()).compile()?;
        let kept = RefCell::new(Plugin::new_from_compiled(&plain)?);
        Ok(Self { plain, pooled, kept, message: message.clone() })
    }

    pub(crate) fn round(&self, row: &str, calls: usize) -> anyhow::Result<Vec<u64>> {
        let (function, kind) = row.rsplit_once('-').unwrap_or(("classify", row));
        let function = if function == "nothing" { "nothing" } else { "classify" };
        timed(calls, || match kind {
            "fresh" => self.ask(&mut Plugin::new_from_compiled(&self.plain)?, function),
            "pooled" => self.ask(&mut Plugin::new_from_compiled(&self.pooled)?, function),
            _ => self.ask(&mut self.kept.borrow_mut(), function),
        })
    }

    fn ask(&self, plugin: &mut Plugin, function: &str) -> anyhow::Result<()> {
        let Msgpack(answer): Msgpack<Answer> = plugin.call(function, Msgpack(&self.message))?;
        ensure!(answer.verdict == "human-reply", "{}", answer.verdict);
        Ok(())
    }
}

/// The pool as the host has it.
fn pooling() -> wasmtime::Config {
    let mut pool = wasmtime::PoolingAllocationConfig::new();
    pool.total_core_instances(256)
        .total_memories(256)
        .total_tables(256)
        .max_memory_size(16 << 20)
        .table_elements(20_000)
        .linear_memory_keep_resident(1 << 20)
        .table_keep_resident(64 << 10)
        .pagemap_scan(wasmtime::Enabled::Auto);
    let mut config = wasmtime::Config::new();
    config.allocation_strategy(wasmtime::InstanceAllocationStrategy::Pooling(pool));
    config
}
