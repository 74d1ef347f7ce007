//! The contract, as a caller would notice it, through the real router.

mod campaigns;
mod contacts;
mod conventions;
mod extensions;
mod faults;
mod forms;
mod hooks;
mod keys;
mod lists;
mod recipients;
mod strangers;
mod usage;
