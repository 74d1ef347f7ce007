//! The facts that each hook is given and the decisions that it may take, as plain Rust types. Their serde forms are the
//! words of the extension contract: what a script returns, what `POST /extensions/:id/test` takes and gives, what an
//! example in a manifest states and what a decision record keeps. Nothing here knows an engine.

pub mod answer;
pub mod bounce;
mod bytes_form;
pub mod extra;
pub mod gate;
pub mod ingest;
pub mod reply;

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::domain::Timestamp;
use crate::domain::status::Hook;

pub use answer::{BadAnswer, EnhancedStatus};
pub use extra::Extra;

/// A question to an extension, with the facts that belong to it. Cheap to clone.
#[derive(Debug, Clone)]
pub enum HookInput {
    /// What is this inbound message?
    ReplyClassifier(Arc<reply::Message>),
    /// What does this provider's request say?
    ProviderAdapter(Arc<ingest::Request>, Arc<ingest::Settings>),
    /// Are these bounces too many?
    BouncePolicy(Arc<bounce::Stats>),
    /// May this message leave now?
    SendGate(Arc<gate::Send>),
}

/// An extension's answer, checked: it is inside the vocabulary of its hook.
#[derive(Debug, Clone, PartialEq)]
pub enum HookDecision {
    /// Of the reply classifier.
    ReplyClassifier(reply::Answer),
    /// Of the provider adapter; a refusal is an answer, not a failure.
    ProviderAdapter(Result<ingest::Outcome, ingest::Refusal>),
    /// Of the bounce policy.
    BouncePolicy(bounce::Judgement),
    /// Of the send gate.
    SendGate(gate::Admission),
}

/// The facts of a provider's request in one JSON value: `{"request": {…}, "settings": {…}}`.
#[derive(serde::Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct IngestInput {
    request: ingest::Request,
    #[serde(default)]
    settings: ingest::Settings,
}

impl HookInput {
    /// Which hook is asked.
    pub fn hook(&self) -> Hook {
        match self {
            Self::ReplyClassifier(_) => Hook::ReplyClassifier,
            Self::ProviderAdapter(..) => Hook::ProviderAdapter,
            Self::BouncePolicy(_) => Hook::BouncePolicy,
            Self::SendGate(_) => Hook::SendGate,
        }
    }

    /// The time that the facts tell of.
    pub fn time(&self) -> Timestamp {
        match self {
            Self::ReplyClassifier(message) => message.received_at,
            Self::ProviderAdapter(request, _) => request.received_at,
            Self::BouncePolicy(stats) => stats.now,
            Self::SendGate(send) => send.now,
        }
    }

    /// Reads the JSON form. Every fact has an empty default, so that an example states what it is about and no more;
    /// an unknown key is an error. A provider adapter takes `{"request": {…}, "settings": {…}}`.
    pub fn from_json(hook: Hook, value: Value) -> Result<Self, BadInput> {
        Ok(match hook {
            Hook::ReplyClassifier => Self::ReplyClassifier(Arc::new(facts_of(value)?)),
            Hook::ProviderAdapter => {
                let input: IngestInput = facts_of(value)?;
                Self::ProviderAdapter(Arc::new(input.request), Arc::new(input.settings))
            }
            Hook::BouncePolicy => Self::BouncePolicy(Arc::new(facts_of(value)?)),
            Hook::SendGate => Self::SendGate(Arc::new(facts_of(value)?)),
        })
    }
}

impl HookDecision {
    /// Reads an answer in its JSON form; the error says what was expected.
    pub fn from_json(hook: Hook, value: Value) -> Result<Self, BadAnswer> {
        Ok(match hook {
            Hook::ReplyClassifier => Self::ReplyClassifier(reply::Answer::from_json(value)?),
            Hook::ProviderAdapter => Self::ProviderAdapter(ingest::answer_from_json(value)?),
            Hook::BouncePolicy => Self::BouncePolicy(bounce::Judgement::from_json(value)?),
            Hook::SendGate => Self::SendGate(gate::Admission::from_json(value)?),
        })
    }

    /// The JSON form, in the contract's words.
    pub fn to_json(&self) -> Value {
        match self {
            Self::ReplyClassifier(answer) => answer.to_json(),
            Self::ProviderAdapter(Ok(outcome)) => json_of(outcome),
            Self::ProviderAdapter(Err(refusal)) => refusal.to_json(),
            Self::BouncePolicy(judgement) => json_of(judgement),
            Self::SendGate(admission) => json_of(admission),
        }
    }
}

/// Facts that can't be read.
#[derive(Debug, thiserror::Error)]
#[error("{}{problem}", if path.is_empty() { String::new() } else { format!("{path}: ") })]
pub struct BadInput {
    /// Where it goes wrong, such as `enrollment.campaign_id`; empty where it is the whole.
    pub path: String,
    /// What.
    pub problem: String,
}

fn facts_of<T: DeserializeOwned>(value: Value) -> Result<T, BadInput> {
    if !value.is_object() {
        return Err(BadInput { path: String::new(), problem: "must be an object".to_owned() });
    }
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        BadInput { path: if path == "." { String::new() } else { path }, problem: error.into_inner().to_string() }
    })
}

/// Our own types always have a JSON form; a fault here would be a programming error and reads as `null`.
fn json_of(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}
