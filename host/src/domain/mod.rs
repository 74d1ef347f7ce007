//! Plain types and rules. No I/O, nothing async, and no clock: time is always a parameter, so that a day can be tested
//! in a millisecond.

pub mod address;
pub mod ids;
pub mod message_id;
pub mod smtp_reply;
pub mod status;
pub mod time;

pub use address::EmailAddress;
pub use time::Timestamp;
