//! Extensions.

mod crypto;
pub mod error;
pub mod hooks;
pub mod limits;
pub mod manifest;
pub mod record;
mod wasm;
pub use error::CallError;
