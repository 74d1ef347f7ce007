//! Plain types and rules. No I/O, nothing async, and no clock: time is always a parameter, so that a day can be tested
//! in a millisecond.

pub mod address;
pub mod api_key;
pub mod campaign;
pub mod contact;
pub mod credential;
pub mod event;
pub mod explain;
pub mod forecast;
pub mod ids;
pub mod merge_tags;
pub mod message_id;
pub mod open;
pub mod pacing;
pub mod plan;
pub mod provider;
pub mod queue_id;
pub mod rates;
pub mod rotation;
pub mod smtp_reply;
pub mod status;
pub mod time;
pub mod webhook_schedule;

pub use address::EmailAddress;
pub use time::Timestamp;
