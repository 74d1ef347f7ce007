//! The harness's own stories: each proves that a peer behaves as its documentation says, before the engine meets it.

mod browser;
mod dns;
mod dovecot;
mod postgres;
mod smtp_sink;
mod webhook_receiver;
