//! Runs a plugin's function over the examples that its `plugin.toml` names, natively and without a host. The same files
//! are the manifest's examples, which the engine runs each time the plugin is loaded.
//!
//! An example is a JSON file: `{"hook": "reply-classifier", "input": {…}, "expected": {…}}`. Inputs are the WIT records
//! with their fields in snake_case, where what is empty may be left out; bytes are text. Decisions are in the contract's
//! words: `{"verdict": "bounce", "bounces": […]}`, `{"events": […]}`, `{"error": "unauthorized", "reason": "…"}`.
//!
//! ```no_run
//! # use ampout_plugin::{Classification, Message};
//! # fn classify(_: Message) -> Classification { Classification::pass() }
//! #[test]
//! fn every_example_is_decided_as_expected() {
//!     ampout_plugin::testkit::check_reply_classifier(env!("CARGO_MANIFEST_DIR"), classify);
//! }
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::decision_json::DecisionJson;
use crate::input_json::IngestInput;
use crate::{Admission, Classification, Judgement, Message, Outcome, Refusal, Request, Send, Settings, Stats};

/// The time at which the host's clock stands still in a native test.
pub const NOW: &str = "2026-11-23T08:00:00.000Z";

#[derive(Deserialize)]
struct Manifest {
    hooks: Vec<String>,
    #[serde(default)]
    examples: Vec<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Example {
    hook: String,
    input: Value,
    expected: Value,
}

/// Runs a reply classifier over the examples of the package in `directory`.
///
/// # Panics
/// When an example is not decided as expected, can't be read, or lies in `fixtures/` without being named in `plugin.toml`.
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
        read::<IngestInput>(input).map(|input| ingest(input.request, Settings(input.settings)).to_json())
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
    let manifest: Manifest = toml::from_str(&text_of(&directory.join("plugin.toml")))
        .unwrap_or_else(|error| panic!("{}: {error}", directory.join("plugin.toml").display()));
    assert!(manifest.hooks.iter().any(|named| named == hook), "plugin.toml does not name the hook {hook}");
    assert_every_fixture_is_named(directory, &manifest.examples);

    let mut wrong = Vec::new();
    for path in &manifest.examples {
        let example: Example = serde_json::from_str(&text_of(&directory.join(path)))
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if example.hook != hook {
            continue;
        }
        match decide(example.input) {
            Ok(decision) if decision == example.expected => {}
            Ok(decision) => {
                wrong.push(format!("{}\n  expected {}\n  got      {decision}", path.display(), example.expected))
            }
            Err(error) => wrong.push(format!("{}: the input can't be read: {error}", path.display())),
        }
    }
    assert!(wrong.is_empty(), "{} of {} examples failed:\n{}", wrong.len(), manifest.examples.len(), wrong.join("\n"));
}

fn assert_every_fixture_is_named(directory: &Path, named: &[PathBuf]) {
    let Ok(entries) = fs::read_dir(directory.join("fixtures")) else { return };
    let on_disk = entries.flatten().map(|entry| Path::new("fixtures").join(entry.file_name()));
    let forgotten: BTreeSet<PathBuf> =
        on_disk.filter(|path| path.extension().is_some_and(|end| end == "json") && !named.contains(path)).collect();
    assert!(forgotten.is_empty(), "plugin.toml does not name {forgotten:?} among its examples");
}

fn read<T: DeserializeOwned>(input: Value) -> Result<T, String> {
    serde_json::from_value(input).map_err(|error| error.to_string())
}

fn text_of(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
