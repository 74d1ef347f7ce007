//! What is known of messages before anybody is asked: they are parsed on all cores, and what they answer is looked up for
//! all of them together.

use std::collections::{HashMap, HashSet};
use std::thread::available_parallelism;

use futures_util::future::join_all;
use tokio::task::{JoinError, spawn_blocking};

use super::matching::{self, Asked, Matched, Origin};
use super::parse::{self, Parsed};
use crate::app::App;
use crate::domain::EmailAddress;
use crate::domain::ids::CredentialId;
use crate::store::inbox::InboundMessage;
use crate::store::{Result, StoreError, credentials};

/// A message that was parsed; its bytes are let go.
pub(super) struct Read {
    pub(super) message: InboundMessage,
    parsed: Parsed,
}

/// A message that was looked up.
pub(super) struct Known {
    pub(super) message: InboundMessage,
    pub(super) parsed: Parsed,
    pub(super) origin: Origin,
    /// We wrote it ourselves.
    pub(super) is_ours: bool,
}

/// Parses messages, in their order.
pub(super) async fn parse_all(mut messages: Vec<InboundMessage>) -> Vec<Read> {
    let shares = available_parallelism().map_or(1, usize::from);
    let share = messages.len().div_ceil(shares).max(1);
    let mut parsing = Vec::with_capacity(shares);
    while !messages.is_empty() {
        let rest = messages.split_off(share.min(messages.len()));
        let mine = std::mem::replace(&mut messages, rest);
        parsing.push(spawn_blocking(move || mine.into_iter().map(read).collect::<Vec<_>>()));
    }
    let parsed = join_all(parsing).await;
    let mut all = Vec::new();
    for share in parsed {
        all.extend(finished(share).await);
    }
    all
}

/// What a task of ours came to; it panics where that one did.
pub(super) async fn finished<T>(joined: std::result::Result<T, JoinError>) -> T {
    match joined {
        Ok(value) => value,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // Nobody aborts it: the runtime is going, and this task with it.
        Err(_) => std::future::pending().await,
    }
}

/// Looks up what messages answer, and which of them we wrote ourselves. Where that fails, they are given back.
pub(super) async fn up(app: &App, read: Vec<Read>) -> std::result::Result<Vec<Known>, (StoreError, Vec<Read>)> {
    let (origins, addresses) = match origins(app, &read).await {
        Ok(found) => found,
        Err(error) => return Err((error, read)),
    };
    let known = |(Read { message, mut parsed }, origin): (Read, Origin)| {
        let ours = addresses.get(&message.credential_id);
        let is_ours = origin.own_copy.is_some() || is_from(ours, &parsed, origin.matched.as_ref());
        parsed.message.enrollment = origin.matched.as_ref().map(Matched::as_fact);
        Known { message, parsed, origin, is_ours }
    };
    Ok(read.into_iter().zip(origins).map(known).collect())
}

async fn origins(app: &App, read: &[Read]) -> Result<(Vec<Origin>, HashMap<CredentialId, String>)> {
    let mut conn = app.store.read().await?;
    let asked: Vec<_> = read
        .iter()
        .map(|Read { message, parsed }| Asked {
            account: message.account_id,
            credential: message.credential_id,
            parsed,
        })
        .collect();
    let origins = matching::find(&mut conn, app.store.dialect(), &asked).await?;
    let mailboxes: HashSet<_> = read.iter().map(|one| one.message.credential_id).collect();
    let mailboxes: Vec<_> = mailboxes.into_iter().collect();
    Ok((origins, credentials::from_emails(&mut conn, app.store.dialect(), &mailboxes).await?))
}

fn read(mut message: InboundMessage) -> Read {
    let raw = std::mem::take(&mut message.raw);
    Read { parsed: parse::parse(&raw, message.received_at), message }
}

/// Whether the mailbox's own address wrote it to somebody else: what a user sends from another program, with a copy to
/// himself. Who tries a campaign out on his own address is a contact like any other.
fn is_from(ours: Option<&String>, parsed: &Parsed, matched: Option<&Matched>) -> bool {
    let key = |text: &str| EmailAddress::parse(text).ok().map(|address| address.key());
    let Some(sender) = parsed.message.sender.as_deref().and_then(key) else { return false };
    if matched.is_some_and(|matched| key(&matched.contact_email).as_ref() == Some(&sender)) {
        return false;
    }
    ours.and_then(|address| key(address)) == Some(sender)
}
