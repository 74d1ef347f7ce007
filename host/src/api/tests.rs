//! The contract, as a caller would notice it, through the real router.

mod campaigns;
mod contacts;
mod conventions;
mod enrollments;
mod extensions;
mod faults;
mod forms;
mod hooks;
mod keys;
mod lists;
mod plan;
mod recipients;
mod strangers;
mod test_send;
mod usage;
