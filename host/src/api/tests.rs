//! The contract, as a caller would notice it, through the real router.

mod campaigns;
mod contact_imports;
mod contacts;
mod conventions;
mod deletions;
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
mod suppressions;
mod test_send;
mod usage;
