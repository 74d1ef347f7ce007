//! The manifest: what an extension says of itself. A script has it in its leading `//!` lines, a component in the custom
//! section `ampout:manifest` as JSON; the keys are the same.

pub mod embed;
mod header;

use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fetch::CannedAnswer;
use super::grants::HostPattern;
use super::raised::MOST_MEMORY_MIB;
use crate::domain::status::Hook;

const LONGEST_NAME: usize = 64;
const MOST_EXAMPLES: usize = 256;

/// What an extension says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Lower-case letters, digits and `-`; an adapter's name is its provider.
    pub name: String,
    /// Semantic version.
    #[serde(with = "version_text")]
    pub version: Version,
    /// The hooks it serves, at least one.
    pub hooks: Vec<Hook>,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// An SPDX expression, such as `Apache-2.0`.
    #[serde(default, alias = "license", skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// The settings that an endpoint of this adapter has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<Setting>,
    /// The HTTP status that makes the adapter's provider try again: 429 or a 5xx.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_status: Option<u16>,
    /// Hosts that a component wants to fetch from; the operator grants them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<HostPattern>,
    /// What it needs beyond the defaults.
    #[serde(default)]
    pub limits: AskedLimits,
    /// Inputs with the decision expected, run at each load.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<Example>,
}

/// A setting of an adapter's endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// Its name, such as `signing_secret`.
    pub key: String,
    /// An endpoint can't do without it.
    #[serde(default)]
    pub required: bool,
    /// Nobody is to see it again. Today none of an endpoint's settings is ever shown, and all of them are sealed.
    #[serde(default)]
    pub secret: bool,
}

/// Limits that a component asks for; the operator's maximum caps them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskedLimits {
    /// Linear memory, in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<usize>,
}

/// An input with the decision expected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// May be left out where the extension serves one hook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook: Option<Hook>,
    /// The facts; what is left out is empty.
    pub input: Value,
    /// The decision. Keys that it leaves out may be anything.
    pub expect: Value,
    /// What `http.fetch` answers while it runs: an example has no network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fetches: Vec<CannedAnswer>,
}

/// Why a manifest can't be read: the place and the mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("manifest, {place}: {problem}")]
pub struct ManifestError {
    /// Such as `line 3` or `version`.
    pub place: String,
    /// What is wrong and what was expected.
    pub problem: String,
}

impl Manifest {
    /// Reads the leading `//!` lines of a script.
    pub fn from_script(source: &str) -> Result<Self, ManifestError> {
        header::parse(source).and_then(Self::checked)
    }

    /// Reads the JSON of a component's custom section.
    pub fn from_json(json: &[u8]) -> Result<Self, ManifestError> {
        let manifest = serde_json::from_slice(json)
            .map_err(|error| ManifestError::new(format!("line {}", error.line()), error.to_string()))?;
        Self::checked(manifest)
    }

    /// The JSON that a row and an answer keep.
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).unwrap_or(Value::Null)
    }

    /// The status that makes this adapter's provider try again.
    pub fn retry_status(&self) -> u16 {
        self.retry_status.unwrap_or(503)
    }

    fn checked(self) -> Result<Self, ManifestError> {
        if !is_name(&self.name) {
            return Err(ManifestError::new(
                "name",
                format!("{:?} is no name; use lower-case letters, digits and -, at most {LONGEST_NAME}", self.name),
            ));
        }
        if self.hooks.is_empty() {
            return Err(ManifestError::new("hooks", format!("there are none; name some of {}", hook_words())));
        }
        if let Some(hook) = self.hooks.iter().enumerate().find(|(i, hook)| self.hooks[..*i].contains(hook)) {
            return Err(ManifestError::new("hooks", format!("{} is there twice", hook.1)));
        }
        if let Some(status) = self.retry_status.filter(|status| *status != 429 && !(500..=599).contains(status)) {
            return Err(ManifestError::new(
                "retry_status",
                format!("{status} makes nobody try again; use 429 or a 5xx"),
            ));
        }
        let of_adapters = [("settings", !self.settings.is_empty()), ("retry_status", self.retry_status.is_some())];
        if let Some((key, _)) = of_adapters.into_iter().find(|(_, is_given)| *is_given)
            && !self.hooks.contains(&Hook::ProviderAdapter)
        {
            let problem = format!("means something for a {} alone; leave it out", Hook::ProviderAdapter);
            return Err(ManifestError::new(key, problem));
        }
        if let Some(mib) = self.limits.memory_mib.filter(|mib| !(1..=MOST_MEMORY_MIB).contains(mib)) {
            let problem = format!("{mib} is out of range; ask for 1 to {MOST_MEMORY_MIB}, if the operator gives it");
            return Err(ManifestError::new("memory_mib", problem));
        }
        if self.examples.len() > MOST_EXAMPLES {
            return Err(ManifestError::new("examples", format!("there are over {MOST_EXAMPLES}")));
        }
        for (index, example) in self.examples.iter().enumerate() {
            self.check_example(index, example)?;
        }
        Ok(self)
    }

    fn check_example(&self, index: usize, example: &Example) -> Result<(), ManifestError> {
        let place = format!("example {}", index + 1);
        match example.hook {
            None if self.hooks.len() > 1 => {
                Err(ManifestError::new(place, "names no hook; the extension serves several, so add \"hook\""))
            }
            Some(hook) if !self.hooks.contains(&hook) => {
                Err(ManifestError::new(place, format!("is for {hook}, which the manifest does not list")))
            }
            _ => Ok(()),
        }
    }
}

impl ManifestError {
    fn new(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { place: place.into(), problem: problem.into() }
    }
}

/// Whether an extension can be called that.
pub(super) fn is_name(text: &str) -> bool {
    let letters = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(letters) && text.len() <= LONGEST_NAME
}

fn hook_words() -> String {
    Hook::ALL.iter().map(|hook| hook.as_str()).collect::<Vec<_>>().join(", ")
}

mod version_text {
    use semver::Version;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(version: &Version, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(version)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Version, D::Error> {
        let text = String::deserialize(deserializer)?;
        Version::parse(&text).map_err(|_| D::Error::custom(format!("{text:?} is no semantic version, such as 1.2.0")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = r#"//! name: acme-mail
//! version: 1.2.0
//! hooks: provider-adapter
//! description: Events of "Acme Mail",
//!   which signs what it posts.
//! licence: Apache-2.0
//! settings: signing_secret (required, secret), region
//! retry_status: 429
//! example: { "name": "nothing",
//!   "input": { "request": { "body": "[]" } },
//!   "expect": { "events": [] } }

fn ingest(request, settings) { #{ events: [] } }
"#;

    #[test]
    fn a_script_has_its_manifest_in_its_leading_lines() {
        let manifest = Manifest::from_script(SCRIPT).unwrap();
        assert_eq!((manifest.name.as_str(), manifest.version.to_string().as_str()), ("acme-mail", "1.2.0"));
        assert_eq!(manifest.description, "Events of \"Acme Mail\", which signs what it posts.");
        assert_eq!(manifest.hooks, [Hook::ProviderAdapter]);
        let secret = Setting { key: "signing_secret".to_owned(), required: true, secret: true };
        assert_eq!(manifest.settings[0], secret);
        assert_eq!((manifest.settings[1].key.as_str(), manifest.settings[1].required), ("region", false));
        assert_eq!((manifest.retry_status(), manifest.examples.len()), (429, 1));
    }

    #[test]
    fn the_json_form_holds_the_same() {
        let manifest = Manifest::from_script(SCRIPT).unwrap();
        assert_eq!(Manifest::from_json(manifest.to_json().to_string().as_bytes()), Ok(manifest));
    }

    #[track_caller]
    fn refused(old: &str, new: &str, expected: &str) {
        assert!(SCRIPT.contains(old));
        let error = Manifest::from_script(&SCRIPT.replace(old, new)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn an_error_names_the_line_and_the_mend() {
        refused("version: 1.2.0", "version: 1.2", "line 2: \"1.2\" is no semantic version, such as 1.2.0");
        refused("//! version: 1.2.0\n", "", "version: is missing");
        refused(
            "provider-adapter",
            "provider-adaptor",
            "line 3: \"provider-adaptor\" is no hook; expected some of reply-classifier",
        );
        refused("licence:", "licens:", "line 6: unknown key \"licens\"; the keys are name, version");
        refused(
            "(required, secret)",
            "(requird)",
            "line 7: \"requird\" says nothing of a setting; use required, secret",
        );
        refused("429", "200", "429 or a 5xx");
        refused("acme-mail", "Acme", "is no name");
        refused("\"expect\"", "\"expected\"", "line 9: the example can't be read");
        assert!(Manifest::from_script("fn classify(m) {}").unwrap_err().to_string().contains("//! name:"));
    }

    #[test]
    fn a_key_that_stands_there_twice_is_refused_with_both_lines() {
        refused(
            "//! retry_status",
            "//! name: two\n//! retry_status",
            "line 8: \"name\" stands in line 1 already; only example may be there again",
        );
        refused("//! licence", "//! license: MIT\n//! licence", "line 7: \"licence\" stands in line 6 already");
        let another = "//! example: { \"input\": {}, \"expect\": {} }\n//! example";
        assert_eq!(Manifest::from_script(&SCRIPT.replace("//! example", another)).unwrap().examples.len(), 2);
    }

    #[test]
    fn what_only_an_adapter_has_is_refused_of_others() {
        let alone = "means something for a provider-adapter alone; leave it out";
        refused("provider-adapter", "reply-classifier", &format!("settings: {alone}"));
        let filter = SCRIPT.replace("provider-adapter", "reply-classifier");
        let filter = filter.replace("//! settings: signing_secret (required, secret), region\n", "");
        let error = Manifest::from_script(&filter).unwrap_err().to_string();
        assert!(error.contains(&format!("retry_status: {alone}")), "{error}");
    }

    #[test]
    fn memory_is_asked_for_within_what_anybody_gets() {
        let asking = |mib: usize| {
            let limits = serde_json::json!({ "memory_mib": mib });
            let json = serde_json::json!({ "name": "x", "version": "1.0.0", "hooks": ["send-gate"], "limits": limits });
            Manifest::from_json(json.to_string().as_bytes()).map_err(|error| error.to_string())
        };
        assert_eq!(asking(1).unwrap().limits.memory_mib, Some(1));
        for mib in [0, 1025] {
            let error = asking(mib).unwrap_err();
            assert!(error.contains(&format!("memory_mib: {mib} is out of range; ask for 1 to 1024")), "{error}");
        }
    }

    #[test]
    fn plugin_toml_becomes_the_same_manifest_with_the_examples_of_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write(
            "plugin.toml",
            r#"
            name = "smtp2go"
            version = "0.1.0"
            hooks = ["provider-adapter"]
            license = "Apache-2.0"
            settings = [{ key = "signing_secret", secret = true }]
            examples_file = "more.json"
            [limits]
            memory_mib = 32
            [[examples]]
            input_file = "input.json"
            expect = { events = [] }
            "#,
        );
        write("input.json", r#"{ "request": { "body": "" } }"#);
        write("more.json", r#"[{ "input": {}, "expect": {} }]"#);
        let manifest = Manifest::from_json(embed::read_plugin_manifest(folder.path()).unwrap().as_bytes()).unwrap();
        assert_eq!((manifest.name.as_str(), manifest.licence.as_deref()), ("smtp2go", Some("Apache-2.0")));
        assert_eq!((manifest.limits.memory_mib, manifest.examples.len()), (Some(32), 2));
        assert_eq!(manifest.examples[0].input, serde_json::json!({ "request": { "body": "" } }));
        write("input.json", "{");
        assert!(embed::read_plugin_manifest(folder.path()).unwrap_err().contains("input.json"));
    }
}
