//! One mailbox: open it, store what is new, wait for more. The checkpoint moves in the transaction that stores the
//! messages, so that a crash at any moment costs a second fetch and never a message.

use std::convert::Infallible;
use std::time::Duration;

use super::start;
use super::turns::{Pace, Turns};
use crate::app::App;
use crate::domain::credential::Endpoint;
use crate::domain::ids::{AccountId, CredentialId, InboundMessageId};
use crate::imap::{Change, FetchBatch, FetchLimits, FetchedMessage, ImapError, ImapServer, Session};
use crate::rounds;
use crate::secrets::{SealedFor, SecretError};
use crate::store::inbox::InboundMessage;
use crate::store::mailboxes::{self, Hold, Mailbox};
use crate::store::{StoreError, credentials, inbox_many};

const SHORTEST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// A server is asked for news after so long even if it has told of none: some tell of nothing, and the routers of large
/// clouds forget a connection that was silent for four to six minutes, and tell neither side.
const LONGEST_IDLE: Duration = Duration::from_secs(225);

/// Which mailbox.
pub(super) struct Watched {
    pub(super) hold: Hold,
    pub(super) account_id: AccountId,
    pub(super) endpoint: Endpoint,
}

/// Why a mailbox is left alone, for a while or altogether.
#[derive(Debug, thiserror::Error)]
pub(super) enum WatchError {
    #[error(transparent)]
    Imap(#[from] ImapError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// It is not watched any more, or by another node: one that was out of reach for long has lost its lease. Or its
    /// credential was given another mailbox.
    #[error("the mailbox is no longer watched from here")]
    NotOurs,
}

/// Watches until it is aborted or the mailbox is no longer to be watched.
pub(super) async fn run(app: App, watched: Watched, turns: Turns) {
    let mut pace = Pace::default();
    loop {
        let error = match session(&app, &watched, &turns, &mut pace).await {
            Err(WatchError::NotOurs) => return,
            Err(error) => error,
            Ok(never) => match never {},
        };
        pace.failures += 1;
        if pace.failures == 1 {
            // Once, not at each try: a mailbox may be gone for days, and its last error stands in the API.
            tracing::warn!(credential.id = %watched.hold.credential_id, error = &error as &dyn std::error::Error,
                "A mailbox can't be read");
        }
        // The pause runs from the failure on: whoever reads of it knows when the next try is, however long it took to store.
        tokio::join!(app.clock.sleep(pause_after(&error, pace.failures)), note_failure(&app, &watched, &error));
    }
}

/// From the opening to the first error.
async fn session(app: &App, watched: &Watched, turns: &Turns, pace: &mut Pace) -> Result<Infallible, WatchError> {
    let mailbox = load(app, watched).await?;
    let server = server(app, watched.hold.credential_id, &watched.endpoint)?;
    let mut session = {
        let _place = turns.opening(pace).await;
        start::open(app, &server).await?
    };
    let mut last_uid = start::checkpoint(app, watched.hold, &mailbox, &mut session).await?;
    loop {
        last_uid = catch_up(app, watched, turns, pace, &mailbox, &mut session, last_uid).await?;
        load(app, watched).await?;
        note(app, watched, None).await?;
        if std::mem::take(&mut pace.failures) > 0 {
            tracing::info!(credential.id = %watched.hold.credential_id, "A mailbox can be read again");
        }
        if session.wait_for_change(LONGEST_IDLE).await? == Change::NotSupported {
            app.clock.sleep(rounds::jittered(app.config.imap_poll, rand::random())).await;
        }
    }
}

/// Fetches and stores until there is nothing new; gives the new checkpoint.
async fn catch_up(
    app: &App,
    watched: &Watched,
    turns: &Turns,
    pace: &mut Pace,
    mailbox: &Mailbox,
    session: &mut Session,
    mut last_uid: u32,
) -> Result<u32, WatchError> {
    pace.suspects.belong_to(session.state().uid_validity);
    loop {
        let turn = turns.fetching(pace, app.clock.now()).await;
        let limits = pace.suspects.limits(turn.limits);
        look_beyond(app, session, limits, pace).await?;
        let fetched = session.fetch_since(last_uid, limits).await;
        note_if_slow(app, pace, &fetched);
        let trouble = trouble(&fetched).map(|error| (at_fault(&fetched, session), error.clone()));
        match &trouble {
            None => pace.suspects.came(),
            Some((None, _)) => pace.suspects.unsettled(),
            Some((Some(uid), error)) if pace.suspects.failed(*uid, limits, error) => {
                // Which is a step ahead: the next one is soon.
                pace.failures = pace.failures.min(1);
                let passed_over = FetchBatch::passing_over(session.state().uid_validity, *uid);
                store(app, watched, mailbox, passed_over).await?;
                return Err(error.clone().into());
            }
            Some((Some(_), _)) => {}
        }
        let batch = fetched?;
        let (scanned_to, more) = (batch.scanned_to, batch.more);
        let is_refused = trouble.is_some() && batch.cut_short.is_none();
        if scanned_to > last_uid && !is_refused {
            store(app, watched, mailbox, batch).await?;
            last_uid = scanned_to;
            turns.stored.notify_one();
        }
        if let Some((_, error)) = trouble {
            return Err(error.into());
        }
        if !more {
            return Ok(last_uid);
        }
    }
}

/// Where a message can't be had: whether the server gives any beyond it. Those are read in their turn.
async fn look_beyond(app: &App, session: &mut Session, limits: FetchLimits, pace: &mut Pace) -> Result<(), ImapError> {
    let Some(uid) = pace.suspects.looks_beyond() else { return Ok(()) };
    let fetched = session.fetch_since(uid, limits).await;
    note_if_slow(app, pace, &fetched);
    if fetched.is_err() {
        pace.suspects.failed_beyond(at_fault(&fetched, session));
    }
    pace.suspects.looked_beyond(&fetched?)
}

/// What kept a fetch from bringing all that it could.
fn trouble(fetched: &Result<FetchBatch, ImapError>) -> Option<&ImapError> {
    let batch = match fetched {
        Ok(batch) => batch,
        Err(error) => return Some(error),
    };
    // A server that gives the one next to it does not have a message; one that gives none is out of order, and what it
    // refuses must not be passed over.
    batch.cut_short.as_ref().or(batch.refusal.as_ref().filter(|_| batch.messages.is_empty()))
}

/// The first message that may be to blame for it; none, where it was the connection.
fn at_fault(fetched: &Result<FetchBatch, ImapError>, session: &Session) -> Option<u32> {
    match fetched {
        Ok(FetchBatch { cut_short: None, unreadable, .. }) => unreadable.first().copied(),
        Ok(FetchBatch { cut_short: Some(ImapError::Protocol { .. }), .. }) | Err(ImapError::Protocol { .. }) => {
            session.next_in_line()
        }
        Ok(_) | Err(_) => None,
    }
}

fn note_if_slow(app: &App, pace: &mut Pace, fetched: &Result<FetchBatch, ImapError>) {
    if matches!(trouble(fetched), Some(ImapError::TimedOut { .. })) {
        pace.was_slow(app.clock.now());
    }
}

async fn store(app: &App, watched: &Watched, mailbox: &Mailbox, batch: FetchBatch) -> Result<(), WatchError> {
    let now = app.clock.now();
    let ours_from = start::oldest_of_ours(mailbox);
    if !batch.unreadable.is_empty() {
        tracing::warn!(credential.id = %watched.hold.credential_id, messages = batch.unreadable.len(),
            "A server does not give messages that it has; they are passed over");
    }
    let row_of = |message: FetchedMessage| InboundMessage {
        id: InboundMessageId::new(now),
        account_id: watched.account_id,
        credential_id: watched.hold.credential_id,
        generation: watched.hold.generation,
        uid_validity: batch.uid_validity,
        uid: message.uid,
        raw: message.raw,
        size: u64::from(message.size),
        truncated: message.truncated,
        received_at: message.internal_date.unwrap_or(now),
    };
    let rows: Vec<_> = batch.messages.into_iter().map(row_of).filter(|row| row.received_at >= ours_from).collect();
    let mut tx = app.store.begin().await?;
    inbox_many::insert(&mut tx, &rows, now).await?;
    if !mailboxes::checkpoint(tx.conn(), watched.hold, batch.uid_validity, batch.scanned_to).await? {
        // The messages go with the transaction: they are another node's, or a mailbox's that nobody reads any more.
        return Err(WatchError::NotOurs);
    }
    tx.commit().await?;
    Ok(())
}

async fn load(app: &App, watched: &Watched) -> Result<Mailbox, WatchError> {
    let mailbox = mailboxes::held(&mut *app.store.read().await?, watched.hold).await?;
    mailbox.ok_or(WatchError::NotOurs)
}

async fn note_failure(app: &App, watched: &Watched, failure: &WatchError) {
    if let Err(error) = note(app, watched, Some(&failure.to_string())).await {
        tracing::debug!(error = &error as &dyn std::error::Error, "A mailbox's error could not be stored");
    }
}

async fn note(app: &App, watched: &Watched, error: Option<&str>) -> Result<(), StoreError> {
    let mut tx = app.store.begin().await?;
    mailboxes::checked(tx.conn(), watched.hold, error, app.clock.now()).await?;
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
        WatchError::Store(_) | WatchError::NotOurs => false,
        WatchError::Secret(_) => true,
    };
    let pause = if needs_a_person { LONGEST_PAUSE } else { rounds::pause(failures, SHORTEST_PAUSE, LONGEST_PAUSE) };
    rounds::jittered(pause, rand::random())
}
