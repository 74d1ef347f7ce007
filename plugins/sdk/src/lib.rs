//! Write an ampout plugin in Rust: a function and a macro.
//!
//! ```
//! use ampout_plugin::{AutoReplyKind, Classification, Message};
//!
//! fn classify(message: Message) -> Classification {
//!     if message.header("X-Our-Robot").is_some() {
//!         return Classification::auto_reply(AutoReplyKind::Receipt, None).because("our own robot");
//!     }
//!     Classification::pass()
//! }
//!
//! ampout_plugin::reply_classifier!(classify);
//! ```
//!
//! Build it as a `cdylib` for `wasm32-unknown-unknown`; `ampout plugin build` makes the component and embeds `plugin.toml`.
//! A plugin is pure: data in, a decision out. It has no memory between calls, and of the world it sees [`host`] alone.
//!
//! - hooks: [`reply_classifier!`], [`provider_adapter!`], [`bounce_policy!`], [`send_gate!`]
//! - mail: [`delivery_status`], [`feedback_report`], [`smtp_reply`], [`BounceClass`], [`address`], [`text`], [`phrases`]
//! - webhooks: [`fields`], [`form`], [`signature`], [`base64`], [`hex`], [`time`], [`EventKind`], [`dedupe_key`]
//! - tests: [`testkit`], which runs the examples of `plugin.toml` natively, and the conformance kit of provider adapters

pub mod address;
#[cfg(all(feature = "allocator", target_arch = "wasm32", target_os = "unknown"))]
mod allocator;
pub mod base64;
#[doc(hidden)]
pub mod bindings;
mod bounce_class;
mod bounce_phrases;
#[cfg(not(target_arch = "wasm32"))]
mod decision_json;
pub mod delivery_status;
mod event;
pub mod feedback_report;
pub mod fields;
pub mod form;
pub mod hex;
mod hooks;
pub mod host;
#[cfg(not(target_arch = "wasm32"))]
mod input_json;
mod message;
#[doc(hidden)]
pub mod panics;
pub mod phrases;
mod report_fields;
pub mod signature;
pub mod smtp_reply;
#[cfg(not(target_arch = "wasm32"))]
pub mod testkit;
pub mod text;
pub mod time;
mod webhook;

pub use bindings::bounce_policy::exports::ampout::extension::bounce_judgement::{Counters, Judgement, Stats, Throttle};
pub use bindings::provider_adapter::exports::ampout::extension::provider_ingestion::{
    Event, Outcome, Refusal, Request, Response,
};
pub use bindings::reply_classifier::exports::ampout::extension::reply_classification::{
    AutoReply, BouncedRecipient, Classification, Complaint, Header, MatchedEnrollment, Message, Part, Verdict,
};
pub use bindings::send_gate::exports::ampout::extension::send_admission::{
    Admission, Contact, Credential, Deferral, Send,
};
pub use bounce_class::{BounceClass, BounceWords};
#[cfg(not(target_arch = "wasm32"))]
pub use decision_json::DecisionJson;
pub use event::{Claim, EventKind};
pub use message::AutoReplyKind;
pub use webhook::{Settings, dedupe_key};
