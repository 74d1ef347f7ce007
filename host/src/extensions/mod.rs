//! Extensions decide, the host acts: this module is the only door to both engines, WebAssembly components and Rhai
//! scripts, and what leaves it are plain Rust types.
//!
//! [`ExtensionHost::load`] checks a file, [`ExtensionHost::set_bindings`] says who is asked, and
//! [`classify`](ExtensionHost::classify), [`ingest`](ExtensionHost::ingest), [`judge`](ExtensionHost::judge) and
//! [`admit`](ExtensionHost::admit) ask. An extension that fails never fails its caller: each hook says what a failure
//! means, and a [`Decided`] always has a decision and the records of who said what.
//!
//! Invariant: only `wasm/` names a wasmtime type and only `rhai/` a Rhai type.
//! Invariant: an extension holds nothing between two calls, and nothing of one call is seen by another.
//! Words: a *hook* is a point where we ask; an *extension* is what answers: a *component* or a *script*.

mod asking;
mod breaker;
mod chain;
mod crypto;
mod decision;
mod error;
mod extension;
mod fetch;
mod grants;
pub mod hooks;
mod host;
mod later;
mod limits;
mod load;
pub mod manifest;
mod raised;
mod record;
mod replay;
mod rhai;
pub mod shipped;
mod signature;
mod slots;
mod trial;
mod wasm;

#[cfg(test)]
mod tests;

pub use asking::{Ingested, Time};
pub use breaker::Failure;
pub use chain::{Binding, CallScope, Scope};
pub use decision::{Author, Decided, DecisionRecord, Mode, Suspension};
pub use error::{CallError, HostBusy, LoadError, ScriptError, StartError};
pub use extension::{EngineKind, LoadedExtension};
pub use fetch::CannedAnswer;
pub use grants::{BadGrant, BadHost, Grant, HostPattern};
pub use hooks::{HookDecision, HookInput};
pub use host::{Called, ExtensionHost, HostOptions};
pub use limits::{ComponentLimits, FetchLimits, Limits, ScriptLimits};
pub use manifest::{Manifest, ManifestError};
pub use raised::{BadRaisedLimit, Raised, RaisedLimit};
pub use record::{CallRecord, LogLevel, LogLine};
pub use signature::{BadKey, Signer, SigningKey};
pub use trial::{Trial, Tried};
