//! The same checks for every provider adapter: forged, flipped, cut, replayed and aged requests, batches, unknown events,
//! and bodies that no provider ever sent. A package describes in `fixtures/conformance.json` what a genuine request looks
//! like and how it is signed; the kit makes the cases from it.
//!
//! ```json
//! {
//!   "settings": { "signing_secret": "a secret" },
//!   "signing": { "scheme": "hmac-hex", "header": "x-webhook-signature" },
//!   "shape": "object",
//!   "event": { "type": "bounced", "email": "nobody@example.net" },
//!   "type_at": "/type",
//!   "expect": { "kind": "hard_bounce", "recipient": "nobody@example.net" }
//! }
//! ```
//!
//! - `settings`: of the endpoint. `@public_key` and `@certificate` stand for those of the kit's keys.
//! - `signing`: how the provider proves itself, see [`Scheme`].
//! - `shape`: how events become a request, see [`Shape`].
//! - `event`: one genuine event. `type_at` is the JSON pointer to the word that says what happened, where there is one.
//! - `expect`: what becomes of it, as in the examples of `plugin.toml`.
//! - `headers`, `query`: what else every request has.
//!
//! ```no_run
//! # use ampout_plugin::{Outcome, Refusal, Request, Settings};
//! # fn ingest(_: Request, _: Settings) -> Result<Outcome, Refusal> { Ok(Outcome::Events(Vec::new())) }
//! #[test]
//! fn it_conforms() {
//!     ampout_plugin::testkit::conformance::check(env!("CARGO_MANIFEST_DIR"), ingest);
//! }
//! ```
//!
//! The engine's own tests put the same cases to the built components.

mod cases;
mod mutate;
mod sign;
mod subject;
mod vocabulary;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use serde_json::Value;

use crate::decision_json::DecisionJson;
use crate::{Outcome, Refusal, Request, Settings};

pub use mutate::Random;
pub use sign::Scheme;
pub use subject::Shape;

use subject::{Content, Proof, Subject};

/// One request and what may be answered.
#[derive(Debug, Clone)]
pub struct Case {
    /// What it tries.
    pub name: String,
    /// The request.
    pub request: Request,
    /// The endpoint's settings.
    pub settings: Vec<(String, String)>,
    expected: Expected,
    genuine: Value,
}

/// What an answer has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// So many genuine events.
    Genuine(usize),
    /// One event of the kind `unknown`.
    Unknown,
    /// `unauthorized`.
    Unauthorized,
    /// Anything but an event.
    NoEvent,
    /// No more than that it is an answer.
    Anything,
}

/// A provider as the kit plays it, for whoever makes up the content: a fuzzer gets past the signature with it.
pub struct Provider(Subject);

impl Provider {
    /// The provider of the package in `directory`.
    ///
    /// # Panics
    /// When `fixtures/conformance.json` can't be read.
    #[must_use]
    pub fn read(directory: impl AsRef<Path>) -> Self {
        Self(Subject::read(directory.as_ref()))
    }

    /// What is wrong with the answer to a genuine request that holds `content` in the place of its events; nothing when
    /// it will do.
    #[must_use]
    pub fn complaint(
        &self,
        content: &[u8],
        ingest: fn(Request, Settings) -> Result<Outcome, Refusal>,
    ) -> Option<String> {
        let content = Content::Raw(content.to_vec());
        let request = self.0.request(&content, &subject::now().to_string(), Proof::Good);
        let answer = ingest(request, Settings(self.0.settings.clone())).to_json();
        vocabulary::check(&answer).err().map(|reason| format!("{reason}: {}", cut(&answer)))
    }
}

/// The cases for the package in `directory`.
///
/// # Panics
/// When `fixtures/conformance.json` can't be read.
#[must_use]
pub fn cases(directory: impl AsRef<Path>) -> Vec<Case> {
    cases::of(&Subject::read(directory.as_ref()))
}

/// Puts all cases for the package in `directory` to its function, natively.
///
/// # Panics
/// When one is not answered as it has to be, with the list of those.
pub fn check(directory: impl AsRef<Path>, ingest: fn(Request, Settings) -> Result<Outcome, Refusal>) {
    let cases = cases(directory);
    let count = cases.len();
    let wrong: Vec<String> = cases.into_iter().filter_map(|case| try_one(case, ingest)).collect();
    let shown: Vec<&str> = wrong.iter().map(String::as_str).take(20).collect();
    assert!(wrong.is_empty(), "{} of {count} cases failed:\n{}", wrong.len(), shown.join("\n"));
}

fn try_one(case: Case, ingest: fn(Request, Settings) -> Result<Outcome, Refusal>) -> Option<String> {
    let (request, settings) = (case.request.clone(), Settings(case.settings.clone()));
    match catch_unwind(AssertUnwindSafe(|| ingest(request, settings).to_json())) {
        Ok(answer) => case.complaint(&answer),
        Err(_) => Some(format!("{}: it panicked at {}", case.name, case.shown())),
    }
}

impl Case {
    /// What is wrong with an answer, given in the JSON of the contract's words; nothing when it will do.
    #[must_use]
    pub fn complaint(&self, answer: &Value) -> Option<String> {
        let fits = match vocabulary::check(answer) {
            Err(reason) => Err(reason),
            Ok(()) => self.judge(answer),
        };
        fits.err()
            .map(|reason| format!("{}: {reason}\n  asked    {}\n  answered {}", self.name, self.shown(), cut(answer)))
    }

    fn judge(&self, answer: &Value) -> Result<(), String> {
        let events = answer.get("events").and_then(Value::as_array);
        let count = events.map_or(0, Vec::len);
        match self.expected {
            Expected::Anything => Ok(()),
            Expected::NoEvent if count == 0 => Ok(()),
            Expected::NoEvent => Err(format!("{count} events were read from what tells of none")),
            Expected::Unauthorized if answer.get("error").is_some_and(|error| error == "unauthorized") => Ok(()),
            Expected::Unauthorized => Err("it had to be refused as unauthorized".to_owned()),
            Expected::Unknown => match events.map(Vec::as_slice) {
                Some([event]) if event["kind"] == "unknown" => Ok(()),
                _ => Err("an event that nobody knows has to be kept as one of the kind unknown".to_owned()),
            },
            Expected::Genuine(expected) if count != expected => Err(format!("{count} events instead of {expected}")),
            Expected::Genuine(_) => {
                match events.into_iter().flatten().find(|event| !super::holds(&self.genuine, event)) {
                    Some(event) => Err(format!("expected {}, found {event}", self.genuine)),
                    None => Ok(()),
                }
            }
        }
    }

    fn shown(&self) -> String {
        let Request { method, query, headers, body, .. } = &self.request;
        let text = format!("{method} ?{query} {headers:?} {}", String::from_utf8_lossy(body));
        text.chars().take(600).collect()
    }
}

fn cut(answer: &Value) -> String {
    answer.to_string().chars().take(600).collect()
}
