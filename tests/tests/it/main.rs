//! The end-to-end tests: one binary, one file for each story.

mod authors;
mod clients;
mod contract;
mod peers;
mod readme;
mod stories;
