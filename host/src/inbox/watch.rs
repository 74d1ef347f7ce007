//! One mailbox: open it, store what is new, wait for more. The checkpoint moves in the transaction that stores the
//! messages, so that a crash at any moment costs a second fetch and never a message.

use std::time::Duration;

use super::start;
use super::supervise::Turns;
use crate::app::App;
use crate::domain::Timestamp;
use crate::domain::credential::Endpoint;
use crate::domain::ids::{AccountId, CredentialId, InboundMessageId};
use crate::imap::{Change, FetchBatch, FetchLimits, FetchedMessage, ImapError, ImapServer, Session};
use crate::rounds;
use crate::secrets::{SealedFor, SecretError};
use crate::store::inbox::{self, InboundMessage, Mailbox};
use crate::store::{StoreError, credentials, inbox_many};

const SHORTEST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// A server is asked for news after so long even if it has told of none: some tell of nothing.
const LONGEST_IDLE: Duration = Duration::from_secs(25 * 60);
/// What is dated longer before the mailbox was watched is an old message that somebody moved here. A day, because the
/// clocks of servers are not ours.
const MOVED_HERE: Duration = Duration::from_secs(24 * 3600);
/// Messages over a megabyte are kept as their beginning: text and reports come before attachments.
const LIMITS: FetchLimits =
    FetchLimits { messages: 500, message_bytes: 1 << 20, stub_bytes: 256 << 10, batch_bytes: 8 << 20 };

/// Which mailbox.
pub(super) struct Watched {
    pub(super) credential_id: CredentialId,
    pub(super) account_id: AccountId,
    pub(super) endpoint: Endpoint,
}

/// Why a mailbox is left alone for a while.
#[derive(Debug, thiserror::Error)]
pub(super) enum WatchError {
    #[error(transparent)]
    Imap(#[from] ImapError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Secret(#[from] SecretError),
}

/// How a session ended without an error.
enum Ended {
    /// The mailbox is no longer watched.
    Unwatched,
}

/// Watches until it is aborted or the mailbox is no longer to be watched.
pub(super) async fn run(app: App, watched: Watched, turns: Turns) {
    let mut failures = 0;
    loop {
        let error = match session(&app, &watched, &turns, &mut failures).await {
            Ok(Ended::Unwatched) => return,
            Err(error) => error,
        };
        failures += 1;
        if failures == 1 {
            // Once, not at each try: a mailbox may be gone for days, and its last error stands in the API.
            tracing::warn!(credential.id = %watched.credential_id, error = &error as &dyn std::error::Error,
                "A mailbox can't be read");
        }
        if let Err(error) = note(&app, &watched, Some(&error.to_string())).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "A mailbox's error could not be stored");
        }
        app.clock.sleep(pause_after(&error, failures)).await;
    }
}

/// From the opening to the first error.
async fn session(app: &App, watched: &Watched, turns: &Turns, failures: &mut u32) -> Result<Ended, WatchError> {
    let Some(mailbox) = load(app, watched).await? else { return Ok(Ended::Unwatched) };
    let server = server(app, watched.credential_id, &watched.endpoint)?;
    let mut session = {
        // The semaphores are never closed.
        let _turn = turns.opening.acquire().await;
        app.imap.open(&server).await?
    };
    let mut last_uid = checkpoint(app, &mailbox, &mut session).await?;
    loop {
        last_uid = catch_up(app, watched, turns, &mailbox, &mut session, last_uid).await?;
        if load(app, watched).await?.is_none() {
            return Ok(Ended::Unwatched);
        }
        note(app, watched, None).await?;
        if std::mem::take(failures) > 0 {
            tracing::info!(credential.id = %watched.credential_id, "A mailbox can be read again");
        }
        if session.wait_for_change(LONGEST_IDLE).await? == Change::NotSupported {
            app.clock.sleep(rounds::jittered(app.config.imap_poll, rand::random())).await;
        }
    }
}

/// The UID up to which everything was seen. Where UIDs count anew (or never counted), it is found by date.
async fn checkpoint(app: &App, mailbox: &Mailbox, session: &mut Session) -> Result<u32, WatchError> {
    let uid_validity = session.state().uid_validity;
    if mailbox.uid_validity == Some(uid_validity) {
        return Ok(mailbox.last_uid);
    }
    let last_uid = start::last_uid_before(session, since(mailbox)).await?;
    let mut tx = app.store.begin().await?;
    inbox::checkpoint(tx.conn(), mailbox.credential_id, uid_validity, last_uid).await?;
    tx.commit().await?;
    Ok(last_uid)
}

/// From when on messages are ours: since the mailbox is watched; and where it was read before under other UIDs, since a
/// day before that, as the same message is applied once.
fn since(mailbox: &Mailbox) -> Timestamp {
    let read_before = mailbox.uid_validity.and(mailbox.last_checked_at).map(|at| at.minus(MOVED_HERE));
    // INTERNALDATE counts whole seconds.
    let created = Timestamp::from_millis(mailbox.created_at.as_millis().div_euclid(1000) * 1000);
    read_before.map_or(created, |read| read.max(created))
}

/// Fetches and stores until there is nothing new; gives the new checkpoint.
async fn catch_up(
    app: &App,
    watched: &Watched,
    turns: &Turns,
    mailbox: &Mailbox,
    session: &mut Session,
    mut last_uid: u32,
) -> Result<u32, WatchError> {
    loop {
        let _turn = turns.fetching.acquire().await;
        let batch = session.fetch_since(last_uid, LIMITS).await?;
        let (scanned_to, more) = (batch.scanned_to, batch.more);
        if scanned_to > last_uid {
            store(app, watched, mailbox, batch).await?;
            last_uid = scanned_to;
            turns.stored.notify_one();
        }
        if !more {
            return Ok(last_uid);
        }
    }
}

async fn store(app: &App, watched: &Watched, mailbox: &Mailbox, batch: FetchBatch) -> Result<(), WatchError> {
    let now = app.clock.now();
    let old = since(mailbox).minus(MOVED_HERE);
    if !batch.unreadable.is_empty() {
        tracing::warn!(credential.id = %watched.credential_id, messages = batch.unreadable.len(),
            "A server does not give messages that it has; they are passed over");
    }
    let row_of = |message: FetchedMessage| InboundMessage {
        id: InboundMessageId::new(now),
        account_id: watched.account_id,
        credential_id: watched.credential_id,
        uid_validity: batch.uid_validity,
        uid: message.uid,
        raw: message.raw,
        size: u64::from(message.size),
        truncated: message.truncated,
        received_at: message.internal_date.unwrap_or(now),
    };
    let rows: Vec<_> = batch.messages.into_iter().map(row_of).filter(|row| row.received_at >= old).collect();
    let mut tx = app.store.begin().await?;
    inbox_many::insert(&mut tx, &rows, now).await?;
    inbox::checkpoint(tx.conn(), watched.credential_id, batch.uid_validity, batch.scanned_to).await?;
    tx.commit().await?;
    Ok(())
}

/// None: it is no longer watched, or another node's: one that was out of reach for long has lost its lease.
async fn load(app: &App, watched: &Watched) -> Result<Option<Mailbox>, StoreError> {
    inbox::mailbox_held_by(&mut *app.store.read().await?, watched.credential_id, app.node).await
}

async fn note(app: &App, watched: &Watched, error: Option<&str>) -> Result<(), StoreError> {
    let mut tx = app.store.begin().await?;
    inbox::checked(tx.conn(), watched.credential_id, error, app.clock.now()).await?;
    tx.commit().await
}

pub(super) fn server(app: &App, credential: CredentialId, endpoint: &Endpoint) -> Result<ImapServer, SecretError> {
    let row = credential.to_string();
    let place = SealedFor { column: credentials::IMAP_PASSWORD, row: &row };
    Ok(ImapServer {
        host: endpoint.host.clone(),
        port: endpoint.port,
        tls: endpoint.tls,
        username: endpoint.username.clone(),
        password: app.sealer.open(&endpoint.sealed_password, place)?,
    })
}

/// What somebody has to mend is tried seldom: servers lock out who comes with a wrong password every few seconds. New
/// settings start a new watcher, which tries at once.
fn pause_after(error: &WatchError, failures: u32) -> Duration {
    let needs_a_person = match error {
        WatchError::Imap(error) => !error.is_temporary(),
        WatchError::Store(_) => false,
        WatchError::Secret(_) => true,
    };
    let pause = if needs_a_person { LONGEST_PAUSE } else { rounds::pause(failures, SHORTEST_PAUSE, LONGEST_PAUSE) };
    rounds::jittered(pause, rand::random())
}
