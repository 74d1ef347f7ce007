//! Counters, kept by deltas in the transaction of the fact: nothing that a page shows is counted when it is asked for.

mod campaign;
mod credential;

pub use campaign::*;
pub use credential::*;
