//! What a host of extensions must hold: good guests are asked, hostile ones hurt nobody but themselves, a swap drops
//! nothing, and a breaker opens and closes. Guests are WebAssembly text and scripts, as an author's files would be.

mod binding;
mod component;
mod conformance;
mod fetch;
mod frozen;
mod guests;
mod hostile;
mod raised;
mod script;
mod script_values;
mod trial;
mod wasi;

use std::sync::Arc;

use serde_json::{Value, json};

use super::{CallError, EngineKind, ExtensionHost, HostOptions, LoadedExtension, Suspension};
use crate::clock::Clock;
use crate::domain::Timestamp;
use crate::domain::status::Hook;
use crate::extensions::hooks::HookInput;

/// 2026-11-23T08:00:00Z.
const NOW: i64 = 1_795_420_800_000;

fn host_at(clock: &Clock) -> ExtensionHost {
    ExtensionHost::start(HostOptions::new(clock.clone())).unwrap()
}

fn host() -> ExtensionHost {
    host_at(&Clock::manual(Timestamp::from_millis(NOW)))
}

fn all_suspensions(host: &ExtensionHost) -> Vec<Suspension> {
    std::iter::from_fn(|| host.next_suspension()).collect()
}

/// A script with a manifest before `body`.
fn script_text(name: &str, hook: Hook, body: &str) -> String {
    format!("//! name: {name}\n//! version: 1.0.0\n//! hooks: {hook}\n\n{body}\n")
}

async fn load_script(host: &ExtensionHost, hook: Hook, body: &str) -> Result<Arc<LoadedExtension>, String> {
    let source = script_text("test-script", hook, body);
    host.load(source, EngineKind::Script, "test.rhai").await.map_err(|error| error.to_string())
}

async fn load_guest(host: &ExtensionHost, guest: Vec<u8>) -> Result<Arc<LoadedExtension>, String> {
    host.load(guest, EngineKind::Component, "test.wasm").await.map_err(|error| error.to_string())
}

fn input(hook: Hook, value: Value) -> HookInput {
    HookInput::from_json(hook, value).unwrap()
}

fn message() -> HookInput {
    input(
        Hook::ReplyClassifier,
        json!({
            "headers": [{ "name": "Auto-Submitted", "value": "no" }, { "name": "Subject", "value": "Re: hello" }],
            "sender": "ada@example.org", "subject": "Re: hello", "text": "No thanks, not interested.\n",
            "received_at": "2026-11-23T08:00:00Z",
        }),
    )
}

/// The answer, or the one line of the error.
async fn answer(host: &ExtensionHost, extension: &LoadedExtension, input: &HookInput) -> Result<Value, String> {
    let called = host.call(extension, input).await;
    called.answer.map(|decision| decision.to_json()).map_err(|error: CallError| {
        let line = error.to_string();
        assert!(!line.contains('\n') && line.len() < 800, "not one clear line: {line}");
        line
    })
}
