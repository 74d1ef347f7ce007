//! The harness of the end-to-end tests: real servers as peers of the engine, each with its own ports of 127.0.0.1 and its
//! own folder, ended with the test whichever way it ends. The stories are in `tests/it`, one file each; `tests/setup`
//! installs what the peers need.
//!
//! | peer | what it is | started |
//! |---|---|---|
//! | [`Dovecot`] | IMAP with STARTTLS, IMAPS, IDLE; mail put in by LMTP | once for each test |
//! | [`DnsServers`] | NSD behind unbound: every answer a sender may meet | once for each test |
//! | [`postgres`] | an empty PostgreSQL database for each test | once for all tests |
//! | [`SmtpSink`] | Postfix's `smtp-sink` | once for each test |
//! | [`WebhookReceiver`] | the other end of a webhook | once for each test |
//! | [`Browser`] | headless Chromium, told what to do by chromedriver | once for each test |
//!
//! [`Engine`] (or [`Installation`], the program itself) is what they are peers of: the whole of `ampout serve` in this process, on either database, with a clock to
//! move; [`Api`], [`CampaignPlan`] and [`Letter`] are its customer, the customer's campaign, and what recipients get.
//!
//! [`crash`] kills the program at random moments and compares what everybody has in the end.
//!
//! A failure shows the end of the server's log. `AMPOUT_TESTS_KEEP=1` keeps the servers' folders (`/tmp/ampout-*`).
#![forbid(unsafe_code)]

mod api;
pub mod binary;
mod browser;
mod campaign;
mod certificates;
pub mod crash;
pub mod dns;
mod dovecot;
mod engine;
mod free_port;
mod installation;
mod letter;
mod mailing;
pub mod postgres;
mod process;
mod provider;
mod smtp_sink;
mod tools;
mod wait;
mod webhook_receiver;

pub use api::{Api, ApiAnswer, Visit, text};
pub use browser::{Browser, Key, Scripts};
pub use campaign::{Campaign, CampaignPlan, PASSWORD, altered, credential, with_mailbox};
pub use certificates::{CertificateAuthority, ServerCertificate};
pub use dns::DnsServers;
pub use dovecot::{Dovecot, StoredMessage};
pub use engine::{Database, Engine, EngineOptions};
pub use free_port::free_port;
pub use installation::{Installation, Serving};
pub use letter::Letter;
pub use mailing::Mailing;
pub use provider::{letters, provider, times_written_to};
pub use smtp_sink::{SinkBehaviour, SmtpSink};
pub use tools::{node_folder, python_tool};
pub use wait::{PATIENCE, eventually, eventually_within};
pub use webhook_receiver::{Answer, ReceivedRequest, WebhookReceiver};
