//! Counters, kept by deltas in the transaction of the fact: nothing that a page shows is counted when it is asked for.

mod campaign;
mod credential;
mod tallies;

pub use campaign::*;
pub use credential::*;
pub use tallies::Tallies;
