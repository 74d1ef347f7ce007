//! The contract, as a caller would notice it, through the real router.

mod campaigns;
mod contacts;
mod conventions;
mod extensions;
mod hooks;
mod keys;
mod recipients;
