//! `ampout`: a self-hosted cold-outreach email engine whose decisions are extensions.
//!
//! ARCHITECTURE.md tells how a message lives; the modules below stand in the order of its arrows: each may name those
//! below it and none above.
#![forbid(unsafe_code)]

pub mod api;
pub mod app;
pub mod catalog;
pub mod cli;
pub mod clock;
pub mod config;
pub mod data_folder;
pub mod deletions;
pub mod demo;
pub mod dispatch;
pub mod dns;
pub mod domain;
pub mod egress;
pub mod events;
pub mod extensions;
pub mod health;
pub mod html_text;
pub mod http_client;
pub mod imap;
pub mod inbound;
pub mod inbox;
pub mod key_file;
pub mod links;
pub mod replay;
pub mod rounds;
pub mod secrets;
pub mod server;
mod shares;
pub mod smtp;
pub mod store;
pub mod telemetry;
#[cfg(test)]
mod test_support;
pub mod tls;
pub mod usage;
pub mod wake;
