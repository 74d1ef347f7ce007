//! A server can say what makes the library panic. That is an error like any other of an answer that is no IMAP, so that
//! the mailbox is left alone for a while, its error stands in the API, and nothing else stops.

use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;

use super::ImapError;

/// What `asking` gives, or an error where it panics. What it borrowed may be in the middle of something then: it must not be
/// used again.
pub(super) async fn caught<T>(
    step: &'static str,
    asking: impl Future<Output = Result<T, ImapError>>,
) -> Result<T, ImapError> {
    let asked = AssertUnwindSafe(asking).catch_unwind().await;
    asked.unwrap_or_else(|_| {
        Err(ImapError::protocol(step, "reading it failed, which is a fault of ours or of its form"))
    })
}
