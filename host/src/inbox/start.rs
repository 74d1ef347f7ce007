//! Where to begin in a mailbox: at its checkpoint, or, where it was not read before under these UIDs, at the first message
//! that arrived since it is watched. The date of arrival rises with the UID, but for messages that somebody moved, so it
//! is looked for by halves from the end.

use std::time::Duration;

use tokio::time::timeout;

use super::watch::WatchError;
use crate::app::App;
use crate::domain::Timestamp;
use crate::imap::{ImapError, ImapServer, Session};
use crate::store::mailboxes::{self, Hold, Mailbox};

/// The clocks of servers are not ours, and what they took in a moment ago may show a little later.
const LEEWAY: Duration = Duration::from_secs(24 * 3600);

const FIRST_STRIDE: u32 = 64;

/// All that an opening may take, whatever each of its steps may: few go on at a time, and others wait for them.
const LONGEST_OPENING: Duration = Duration::from_secs(60);

/// Opens a mailbox.
pub(super) async fn open(app: &App, server: &ImapServer) -> Result<Session, ImapError> {
    let timed_out = |_| ImapError::TimedOut { step: "the opening of the mailbox", after: LONGEST_OPENING };
    timeout(LONGEST_OPENING, app.imap.open(server)).await.map_err(timed_out)?
}

/// The UID up to which everything was seen. Where UIDs count anew (or never counted), it is found by date.
pub(super) async fn checkpoint(
    app: &App,
    hold: Hold,
    mailbox: &Mailbox,
    session: &mut Session,
) -> Result<u32, WatchError> {
    let uid_validity = session.state().uid_validity;
    if mailbox.uid_validity == Some(uid_validity) {
        return Ok(mailbox.last_uid);
    }
    let last_uid = last_uid_before(session, since(mailbox)).await?;
    let mut tx = app.store.begin().await?;
    if !mailboxes::checkpoint(tx.conn(), hold, uid_validity, last_uid).await? {
        return Err(WatchError::NotOurs);
    }
    tx.commit().await?;
    Ok(last_uid)
}

/// What is dated before this is an old message that somebody moved here. It is no matter when the mailbox was last read:
/// whatever has a UID above the checkpoint is new, however long the mailbox was out of reach.
pub(super) fn oldest_of_ours(mailbox: &Mailbox) -> Timestamp {
    mailbox.created_at.minus(LEEWAY)
}

/// From when on messages are looked for: since the mailbox is watched; and where it was read before under other UIDs,
/// since a day before it was last read to its end, as the same message is applied once.
fn since(mailbox: &Mailbox) -> Timestamp {
    let read_before = mailbox.uid_validity.and(mailbox.last_read_at).map(|at| at.minus(LEEWAY));
    read_before.map_or(mailbox.created_at, |read| read.max(mailbox.created_at))
}

/// The UID of the last message from before `since`, such that all after it are newer; 0 where there is none.
async fn last_uid_before(session: &mut Session, since: Timestamp) -> Result<u32, ImapError> {
    let end = session.state().uid_next.saturating_sub(1);
    // An INTERNALDATE has whole seconds (RFC 3501 §2.3.3): what came in the second of `since` may have come after it.
    let since = Timestamp::from_millis(since.as_millis().div_euclid(1000) * 1000);
    // Strides that double, back from the end, until a message is old: a mailbox of a hundred thousand old messages is
    // left after one probe.
    let (mut newer_from, mut stride) = (end, FIRST_STRIDE);
    let mut older_to = loop {
        if newer_from == 0 {
            return Ok(0);
        }
        let at = newer_from.saturating_sub(stride);
        if !is_newer_after(session, at, end, since).await? {
            break at;
        }
        (newer_from, stride) = (at, stride.saturating_mul(2));
    };
    // Between the two lies the border: what follows `older_to` is old, what follows `newer_from` is not.
    while newer_from - older_to > 1 {
        let middle = older_to + (newer_from - older_to) / 2;
        if is_newer_after(session, middle, end, since).await? {
            newer_from = middle;
        } else {
            older_to = middle;
        }
    }
    Ok(newer_from)
}

/// Whether the first message above `uid` arrived since `since`; so it is where there is none up to `end`. A server that tells
/// no date is taken at its order: unknown is new.
async fn is_newer_after(session: &mut Session, uid: u32, end: u32, since: Timestamp) -> Result<bool, ImapError> {
    let arrival = session.first_arrival_after(uid).await?;
    Ok(arrival.is_none_or(|first| first.uid > end || first.at.is_none_or(|at| at >= since)))
}
