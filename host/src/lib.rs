//! `ampout`: a self-hosted cold-outreach email engine whose decisions are extensions.
//!
//! ARCHITECTURE.md tells how a message lives; the modules below stand in the order of its arrows: each may name those
//! below it and none above.
#![forbid(unsafe_code)]

pub mod clock;
pub mod demo;
pub mod dns;
pub mod domain;
pub mod egress;
pub mod http_client;
pub mod imap;
pub mod inbox;
pub mod secrets;
pub mod tls;
