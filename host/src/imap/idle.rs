//! Waiting for new mail by IDLE (RFC 2177).

use std::time::Duration;

use async_imap::imap_proto::Response;
use tokio::time::{Instant, timeout, timeout_at};

use super::session::SHORT_LITERALS;
use super::{ImapError, Session};

const STEP: &str = "IDLE";
/// RFC 2177 asks for less than 29 minutes; many a router forgets a silent connection sooner, which is the caller's care.
const LONGEST_IDLE: Duration = Duration::from_secs(28 * 60);
/// Enough for the notes of a busy mailbox, too little to be a nuisance.
const IDLE_BYTES: u64 = 1 << 20;

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// There are messages that [`Session::fetch_since`] has not looked at.
    NewMail,
    /// The time is over. Look nevertheless: some servers tell of nothing.
    Nothing,
    /// The server has no IDLE: poll by your own clock.
    NotSupported,
}

impl Session {
    /// Waits for a new message, for at most `longest`. Dropped before its end it leaves the session unusable.
    pub async fn wait_for_change(&mut self, longest: Duration) -> Result<Change, ImapError> {
        if !self.idle_offered {
            return Ok(Change::NotSupported);
        }
        if self.has_news() {
            return Ok(Change::NewMail);
        }
        let limit = self.timeouts.command;
        self.begin_command(STEP, IDLE_BYTES, SHORT_LITERALS)?;
        let timed_out = |_| ImapError::TimedOut { step: STEP, after: limit };
        let Some(tag) = timeout(limit, self.start_idle()).await.map_err(timed_out)?? else {
            // Offered and refused. The session is in order, and to come back and be refused again would be no better.
            self.end_command();
            self.idle_offered = false;
            return Ok(Change::NotSupported);
        };

        // What came between the last look and the start of IDLE is told in the start's own answer, so the count is
        // compared before anything is waited for.
        let deadline = Instant::now() + longest.min(LONGEST_IDLE);
        let change = loop {
            if self.has_news() {
                break Change::NewMail;
            }
            match timeout_at(deadline, self.read(STEP, is_done)).await {
                Ok(Ok(false)) => {}
                Ok(Ok(true)) => return Err(ImapError::protocol(STEP, "it ended by itself")),
                Ok(Err(error)) => return Err(error),
                Err(_) => break Change::Nothing,
            }
        };
        let stop = async {
            self.send_untagged(STEP, "DONE").await?;
            self.read_until_done(STEP, &tag, |_| {}).await
        };
        timeout(limit, stop).await.map_err(timed_out)??;
        self.end_command();
        Ok(if self.has_news() { Change::NewMail } else { change })
    }

    /// Whether the server told of messages that no search has covered.
    pub(super) fn has_news(&self) -> bool {
        self.state.exists > self.looked_at
    }

    /// Sends IDLE and waits for the server's go-ahead. Returns the command's tag; none where the server refuses.
    async fn start_idle(&mut self) -> Result<Option<String>, ImapError> {
        let tag = self.send(STEP, STEP).await?;
        loop {
            let (started, refused) =
                self.read(STEP, |response| (matches!(response, Response::Continue { .. }), is_done(response))).await?;
            if refused {
                return Ok(None);
            }
            if started {
                return Ok(Some(tag));
            }
        }
    }
}

fn is_done(response: &Response<'_>) -> bool {
    matches!(response, Response::Done { .. })
}
