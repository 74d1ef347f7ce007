//! Runs a plugin's function over the examples that its `plugin.toml` names, natively and without a host. The same files
//! are the manifest's examples, which the engine runs each time the plugin is loaded.
//!
//! An example is `{"name": …, "hook": …, "input": {…}, "expect": {…}}`. It stands in `plugin.toml` under `[[examples]]`, or
//! in the JSON list that `examples_file` names. Inputs are the WIT records with their fields in snake_case, where what is
//! empty may be left out; bytes are text, or `{"base64": "…"}`. Decisions are in the contract's words:
//! `{"verdict": "bounce", "bounces": […]}`, `{"events": […]}`, `{"error": "unauthorized"}`. A decision may hold keys that the
//! example leaves out; `null` means that a key has to be absent.
//!
//! ```no_run
//! # use ampout_plugin::{Classification, Message};
//! # fn classify(_: Message) -> Classification { Classification::pass() }
//! #[test]
//! fn every_example_is_decided_as_expected() {
//!     ampout_plugin::testkit::check_reply_classifier(env!("CARGO_MANIFEST_DIR"), classify);
//! }
//! ```

pub mod conformance;
mod fetch;

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::decision_json::DecisionJson;
use crate::host::{FetchError, FetchRequest, FetchResponse};
use crate::input_json::IngestInput;
use crate::{Admission, Classification, Judgement, Message, Outcome, Refusal, Request, Send, Settings, Stats};

pub(crate) use fetch::fetched;
pub use fetch::with_fetch;

/// The time at which the host's clock stands still in a native test.
pub const NOW: &str = "2026-11-23T08:00:00.000Z";

#[derive(Deserialize)]
struct Manifest {
    hooks: Vec<String>,
    #[serde(default)]
    examples: Vec<Example>,
    examples_file: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Example {
    #[serde(default)]
    name: String,
    hook: Option<String>,
    input: Value,
    expect: Value,
    /// What the addresses answer that it fetches from.
    #[serde(default)]
    fetches: Vec<Fetch>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fetch {
    url: String,
    #[serde(default = "ok")]
    status: u16,
    #[serde(default)]
    body: String,
}

fn ok() -> u16 {
    200
}

/// Runs a reply classifier over the examples of the package in `directory`.
///
/// # Panics
/// When there is no example, or one is not decided as expected or can't be read.
pub fn check_reply_classifier(directory: impl AsRef<Path>, classify: fn(Message) -> Classification) {
    check(directory.as_ref(), "reply-classifier", |input| {
        read::<Message>(input).map(|message| classify(message).to_json())
    });
}

/// Runs a provider adapter over the examples of the package in `directory`.
///
/// # Panics
/// As [`check_reply_classifier`].
pub fn check_provider_adapter(directory: impl AsRef<Path>, ingest: fn(Request, Settings) -> Result<Outcome, Refusal>) {
    check(directory.as_ref(), "provider-adapter", |input| {
        read::<IngestInput>(input).map(|input| {
            let mut request = input.request;
            // As in the engine, what is not said is a POST.
            if request.method.is_empty() {
                request.method = "POST".to_owned();
            }
            ingest(request, Settings(input.settings)).to_json()
        })
    });
}

/// Runs a bounce policy over the examples of the package in `directory`.
///
/// # Panics
/// As [`check_reply_classifier`].
pub fn check_bounce_policy(directory: impl AsRef<Path>, judge: fn(Stats) -> Judgement) {
    check(directory.as_ref(), "bounce-policy", |input| read::<Stats>(input).map(|stats| judge(stats).to_json()));
}

/// Runs a send gate over the examples of the package in `directory`.
///
/// # Panics
/// As [`check_reply_classifier`].
pub fn check_send_gate(directory: impl AsRef<Path>, admit: fn(Send) -> Admission) {
    check(directory.as_ref(), "send-gate", |input| read::<Send>(input).map(|send| admit(send).to_json()));
}

fn check(directory: &Path, hook: &str, decide: impl Fn(Value) -> Result<Value, String>) {
    let path = directory.join("plugin.toml");
    let manifest: Manifest =
        toml::from_str(&text_of(&path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(manifest.hooks.iter().any(|named| named == hook), "plugin.toml does not name the hook {hook}");
    let mut examples = manifest.examples;
    if let Some(file) = &manifest.examples_file {
        let path = directory.join(file);
        let more: Vec<Example> =
            serde_json::from_str(&text_of(&path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        examples.extend(more);
    }
    examples.retain(|example| example.hook.as_deref().is_none_or(|named| named == hook));
    assert!(!examples.is_empty(), "plugin.toml has no example for {hook}");

    let count = examples.len();
    let wrong: Vec<String> = examples.into_iter().filter_map(|example| complaint(example, &decide)).collect();
    assert!(wrong.is_empty(), "{} of {count} examples failed:\n{}", wrong.len(), wrong.join("\n"));
}

fn complaint(example: Example, decide: impl Fn(Value) -> Result<Value, String>) -> Option<String> {
    let answer = move |request: &FetchRequest| match example.fetches.iter().find(|fetch| fetch.url == request.url) {
        Some(Fetch { status, body, .. }) => {
            Ok(FetchResponse { status: *status, headers: Vec::new(), body: body.clone().into_bytes() })
        }
        None => Err(FetchError::Denied(format!("the example has no answer of {}", request.url))),
    };
    match with_fetch(answer, || decide(example.input)) {
        Ok(decision) if holds(&example.expect, &decision) => None,
        Ok(decision) => Some(format!("{}\n  expected {}\n  got      {decision}", example.name, example.expect)),
        Err(error) => Some(format!("{}: the input can't be read: {error}", example.name)),
    }
}

/// Whether a decision is what was expected: maps may hold more keys, lists may not hold more items.
pub(crate) fn holds(expected: &Value, decision: &Value) -> bool {
    match (expected, decision) {
        (Value::Object(expected), Value::Object(decision)) => {
            expected.iter().all(|(key, value)| holds(value, decision.get(key).unwrap_or(&Value::Null)))
        }
        (Value::Array(expected), Value::Array(decision)) => {
            expected.len() == decision.len() && expected.iter().zip(decision).all(|(left, right)| holds(left, right))
        }
        (expected, decision) => expected == decision,
    }
}

fn read<T: DeserializeOwned>(input: Value) -> Result<T, String> {
    serde_json::from_value(input).map_err(|error| error.to_string())
}

fn text_of(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
