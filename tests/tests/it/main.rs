//! The end-to-end tests: one binary, one file for each story.

#[expect(clippy::unwrap_used, reason = "helpers of tests may fail where they stand")]
mod authors;
mod clients;
mod contract;
mod peers;
mod readme;
mod stories;
