//! A decision with the record of who was asked and what each said. The caller stores the records in its own transaction.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::breaker::Failure;
use super::error::CallError;
use super::extension::LoadedExtension;
use super::hooks::HookDecision;
use super::record::{CallRecord, LogLine};
use crate::domain::Timestamp;
use crate::domain::ids::AccountId;
use crate::domain::status::{Hook, words};

words! {
    /// Whether an extension is obeyed.
    pub Mode {
        /// It decides.
        Active = "active",
        /// It is asked and recorded, and not obeyed.
        Shadow = "shadow",
    }
}

/// What was decided, by whom, and what everybody said who was asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Decided<T> {
    /// The decision, in force.
    pub decision: T,
    /// Who decided; none where the host's own rule did.
    pub by: Option<Author>,
    /// One for each extension that was asked, shadows last.
    pub records: Vec<DecisionRecord>,
}

/// A version of an extension, as it is named in the timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Author {
    /// Its name.
    pub extension: String,
    /// Its version.
    pub version: String,
    /// The SHA-256 of its bytes.
    pub sha256: String,
}

impl std::fmt::Display for Author {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.extension, self.version)
    }
}

/// What one extension said.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DecisionRecord {
    /// Where it was asked.
    pub hook: Hook,
    /// Who was asked.
    #[serde(flatten)]
    pub author: Author,
    /// Whether it is obeyed.
    pub mode: Mode,
    /// Its answer in the contract's words; none where it failed.
    pub decision: Option<Value>,
    /// Why it gave none.
    pub error: Option<String>,
    /// The time taken, in microseconds.
    pub micros: u64,
    /// What it logged.
    pub logs: Vec<LogLine>,
}

/// An extension was suspended by its breaker, or brought back by a probe.
#[derive(Debug, Clone)]
pub struct Suspension {
    /// Which: the very one that is bound, as another account may have a script of the same content.
    pub extension: Arc<LoadedExtension>,
    /// For whom it rests; none where it was asked for nobody.
    pub account: Option<AccountId>,
    /// Where it was asked.
    pub hook: Hook,
    /// When.
    pub at: Timestamp,
    /// The last failure; none where it was brought back.
    pub failure: Option<Failure>,
}

impl Author {
    /// Of a version that is loaded.
    pub fn of(extension: &LoadedExtension) -> Self {
        Self {
            extension: extension.name().to_owned(),
            version: extension.version().to_string(),
            sha256: extension.sha256().to_owned(),
        }
    }
}

impl DecisionRecord {
    pub(super) fn of(
        extension: &LoadedExtension,
        hook: Hook,
        mode: Mode,
        answer: &Result<HookDecision, CallError>,
        call: CallRecord,
    ) -> Self {
        let (decision, error) = match answer {
            Ok(decision) => (Some(decision.to_json()), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let (micros, logs) = (call.micros, call.logs);
        // At debug: an account's script may write as much as it likes, and of whom it likes.
        for line in &logs {
            tracing::debug!(extension.name = extension.name(), extension.level = %line.level, extension.line = line.message,
                "An extension says");
        }
        Self { hook, author: Author::of(extension), mode, decision, error, micros, logs }
    }
}
