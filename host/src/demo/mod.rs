//! Local mailboxes for `ampout demo` and for tests: an SMTP receiver and an IMAP server that keep their mail in memory
//! and listen on 127.0.0.1 alone. They are real peers on real sockets, but no mail servers: nothing is relayed or kept.

pub mod certificates;
pub mod imap_server;
pub mod smtp_receiver;

mod stream;

/// Why a demo server can't be started.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The address can't be listened on.
    #[error("the demo server can't listen on 127.0.0.1")]
    Listen(#[from] std::io::Error),
    /// The throw-away certificate can't be made.
    #[error("the demo certificate can't be made")]
    Certificate(#[from] rcgen::Error),
    /// The throw-away certificate is not one that the TLS library takes.
    #[error("the demo certificate can't be used")]
    Tls(#[from] rustls::Error),
}
