//! What `ampout plugin new` writes, as it lies in `host/templates/`: a source for each language and hook, and for each hook
//! an example and fixtures, which all languages share because their templates decide alike.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::status::Hook;
use crate::extensions::manifest::Setting;

/// The versions that the templates ask for and that the tests run.
pub(super) const COMPONENTIZE_QJS: &str = "0.4.5";
pub(super) const COMPONENTIZE_PY: &str = "0.25.1";

pub(super) const README: &str = include_str!("../../../templates/README.md");
pub(super) const CARGO_TOML: &str = include_str!("../../../templates/rust/Cargo.toml");
pub(super) const RUST_TEST: &str = include_str!("../../../templates/rust/test.rs");
pub(super) const PACKAGE_JSON: &str = include_str!("../../../templates/javascript/package.json");
pub(super) const REQUIREMENTS: &str = include_str!("../../../templates/python/requirements.txt");

/// The SDK and the interfaces: paths in the plugin's folder with their contents. `host/build.rs` makes the list.
pub(super) const VENDORED_SDK: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/vendored_sdk.rs"));

/// What a plugin is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(in crate::cli) enum Language {
    /// Small and fast: 20 µs a call
    Rust,
    /// With QuickJS inside: 0.5 ms a call
    Javascript,
    /// With CPython inside: 6 ms a call
    Python,
}

/// What the templates of one hook are tried with.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HookExamples {
    pub(super) description: String,
    #[serde(default)]
    pub(super) settings: Vec<Setting>,
    /// Goes into `plugin.toml`.
    pub(super) example: Map<String, Value>,
    /// Folders of `fixtures/` by name.
    pub(super) fixtures: std::collections::BTreeMap<String, FixtureFiles>,
}

/// The files of one fixture.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FixtureFiles {
    /// `input.json`.
    pub(super) input: Option<Value>,
    /// `input.eml`.
    pub(super) mail: Option<String>,
    /// `expected.json`.
    pub(super) expected: Value,
}

impl Language {
    /// Its name as people write it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::Javascript => "JavaScript",
            Self::Python => "Python",
        }
    }

    /// The file that a plugin's author edits.
    pub(super) fn source_file(self) -> &'static str {
        match self {
            Self::Rust => "src/lib.rs",
            Self::Javascript => "plugin.js",
            Self::Python => "plugin.py",
        }
    }

    /// The file in a plugin's folder that tells its language.
    pub(super) fn marked_by(self) -> &'static str {
        match self {
            Self::Rust => "Cargo.toml",
            Self::Javascript | Self::Python => self.source_file(),
        }
    }

    /// What has to be run once before the first build.
    pub(super) fn prepared_by(self) -> &'static str {
        match self {
            Self::Rust => "rustup target add wasm32-unknown-unknown",
            Self::Javascript => "npm install",
            Self::Python => "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt",
        }
    }

    /// What it needs of memory beyond the default, in MiB.
    pub(super) fn memory_mib(self) -> Option<usize> {
        match self {
            Self::Rust | Self::Javascript => None,
            Self::Python => Some(64),
        }
    }
}

/// The source of a plugin that answers `hook`.
pub(super) fn source(language: Language, hook: Hook) -> &'static str {
    macro_rules! template {
        ($path:literal) => {
            include_str!(concat!("../../../templates/", $path))
        };
    }
    match (language, hook) {
        (Language::Rust, Hook::ReplyClassifier) => template!("rust/reply-classifier.rs"),
        (Language::Rust, Hook::ProviderAdapter) => template!("rust/provider-adapter.rs"),
        (Language::Rust, Hook::BouncePolicy) => template!("rust/bounce-policy.rs"),
        (Language::Rust, Hook::SendGate) => template!("rust/send-gate.rs"),
        (Language::Javascript, Hook::ReplyClassifier) => template!("javascript/reply-classifier.js"),
        (Language::Javascript, Hook::ProviderAdapter) => template!("javascript/provider-adapter.js"),
        (Language::Javascript, Hook::BouncePolicy) => template!("javascript/bounce-policy.js"),
        (Language::Javascript, Hook::SendGate) => template!("javascript/send-gate.js"),
        (Language::Python, Hook::ReplyClassifier) => template!("python/reply-classifier.py"),
        (Language::Python, Hook::ProviderAdapter) => template!("python/provider-adapter.py"),
        (Language::Python, Hook::BouncePolicy) => template!("python/bounce-policy.py"),
        (Language::Python, Hook::SendGate) => template!("python/send-gate.py"),
    }
}

/// What a plugin for `hook` is tried with.
pub(super) fn examples(hook: Hook) -> anyhow::Result<HookExamples> {
    let text = match hook {
        Hook::ReplyClassifier => include_str!("../../../templates/examples/reply-classifier.json"),
        Hook::ProviderAdapter => include_str!("../../../templates/examples/provider-adapter.json"),
        Hook::BouncePolicy => include_str!("../../../templates/examples/bounce-policy.json"),
        Hook::SendGate => include_str!("../../../templates/examples/send-gate.json"),
    };
    Ok(serde_json::from_str(text)?)
}
