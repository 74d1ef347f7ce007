//! Replay: a version of an extension over messages and provider requests that are stored, and the decisions that would
//! come out otherwise. It reads; it never writes, applies or sends anything.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use serde::Serialize;
use serde_json::Value;

use crate::app::App;
use crate::domain::Timestamp;
use crate::domain::ids::{AccountId, InboundMessageId, InboundRequestId};
use crate::domain::status::Hook;
use crate::extensions::{CallScope, HookInput, LoadedExtension};
use crate::store::{Result, StoreError, decisions, inbound as stored_requests, inbox as stored_messages};
use crate::{inbound, inbox};

/// Subjects that one replay looks at, at most.
pub const MOST_EXAMINED: u64 = 10_000;
/// Messages and requests are fetched in pages of this size; one has a few MiB at most.
const PAGE: i64 = 32;
const AT_A_TIME: usize = 8;

/// What is to be replayed.
#[derive(Debug, Clone)]
pub struct Replay {
    /// The version.
    pub extension: Arc<LoadedExtension>,
    /// Whose it is; none: the system's.
    pub owner: Option<AccountId>,
    /// The hook it is asked at: reply classification or provider ingestion.
    pub hook: Hook,
    /// Whose messages or requests; none for everybody's.
    pub account: Option<AccountId>,
    /// What came before is left out.
    pub since: Timestamp,
    /// Look at so many, the newest first.
    pub limit: u64,
}

/// What came of it.
#[derive(Debug, Default, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Replayed {
    /// How many were looked at.
    pub examined: u64,
    /// What would be decided otherwise, newest first.
    pub changed: Vec<Change>,
}

/// One decision that would be another.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Change {
    /// The message or request.
    pub subject_id: String,
    /// What was decided; null where nothing is recorded.
    #[schema(value_type = Option<Object>)]
    pub before: Option<Value>,
    /// What would be.
    #[schema(value_type = Object)]
    pub after: Value,
}

/// Why nothing was replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// Nothing is stored of what this hook is asked about.
    #[error("{0} can't be replayed: only messages and provider requests are stored")]
    NotStored(Hook),
    /// The store.
    #[error("the store did not answer")]
    Store(#[from] StoreError),
}

/// Reads where a replay begins: a time, or how long ago, such as `7d`, `24h` or `30m`.
pub fn since(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Ok(time) = text.parse() {
        return Some(time);
    }
    let (count, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "d" => 24 * 3600,
        "h" => 3600,
        "m" => 60,
        _ => return None,
    };
    let ago = count.parse::<u32>().ok()?;
    Some(now.minus(Duration::from_secs(u64::from(ago) * seconds)))
}

/// A stored thing and the question that was asked about it.
struct Subject {
    id: String,
    scope: CallScope,
    input: HookInput,
}

/// Asks the version about what is stored.
pub async fn run(app: &App, replay: &Replay) -> std::result::Result<Replayed, ReplayError> {
    match replay.hook {
        Hook::ReplyClassifier => Ok(over_messages(app, replay).await?),
        Hook::ProviderAdapter => Ok(over_requests(app, replay).await?),
        other => Err(ReplayError::NotStored(other)),
    }
}

async fn over_messages(app: &App, replay: &Replay) -> Result<Replayed> {
    let mut replayed = Replayed::default();
    let mut before: Option<InboundMessageId> = None;
    while replayed.examined < replay.limit {
        let mut conn = app.store.read().await?;
        let page = stored_messages::newest(&mut conn, replay.account, replay.since, before, PAGE).await?;
        drop(conn);
        let Some(last) = page.last() else { break };
        before = Some(last.id);
        let mut subjects = Vec::with_capacity(page.len());
        for message in &page {
            // What the mailbox's owner wrote himself is nobody's to classify.
            if let Some((scope, facts)) = inbox::question(app, message).await? {
                let input = HookInput::ReplyClassifier(Arc::new(facts));
                subjects.push(Subject { id: message.id.to_string(), scope, input });
            }
        }
        compare(app, replay, subjects, &mut replayed).await?;
    }
    Ok(replayed)
}

async fn over_requests(app: &App, replay: &Replay) -> Result<Replayed> {
    let mut replayed = Replayed::default();
    let mut before: Option<InboundRequestId> = None;
    let provider = replay.extension.name();
    while replayed.examined < replay.limit {
        let mut conn = app.store.read().await?;
        let page = stored_requests::newest(&mut conn, replay.account, provider, replay.since, before, PAGE).await?;
        let Some(last) = page.last() else { break };
        before = Some(last.id);
        let mut subjects = Vec::with_capacity(page.len());
        for request in &page {
            let Some(endpoint) = stored_requests::get_endpoint(&mut conn, request.endpoint_id).await? else { continue };
            // An endpoint whose secret can't be opened has no question that could be asked.
            if let Ok((scope, facts, settings)) = inbound::question(app, &endpoint, request) {
                let input = HookInput::ProviderAdapter(Arc::new(facts), Arc::new(settings));
                subjects.push(Subject { id: request.id.to_string(), scope, input });
            }
        }
        drop(conn);
        compare(app, replay, subjects, &mut replayed).await?;
    }
    Ok(replayed)
}

async fn compare(app: &App, replay: &Replay, mut subjects: Vec<Subject>, replayed: &mut Replayed) -> Result<()> {
    let room = usize::try_from(replay.limit - replayed.examined).unwrap_or(usize::MAX);
    subjects.truncate(room);
    replayed.examined += subjects.len() as u64;
    let asking = futures_util::stream::iter(subjects).map(|subject| async move {
        let after = app.extensions.would_decide(&subject.scope, replay.owner, &replay.extension, &subject.input).await;
        (subject.id, after)
    });
    let answers: Vec<_> = asking.buffered(AT_A_TIME).collect().await;
    let mut conn = app.store.read().await?;
    for (subject_id, after) in answers {
        let before = decisions::in_force(&mut conn, replay.hook, &subject_id).await?;
        if before.as_ref().map(essence) != Some(essence(&after)) {
            replayed.changed.push(Change { subject_id, before, after });
        }
    }
    Ok(())
}

/// A decision without what is said about it: another wording of the reason is no other decision.
fn essence(decision: &Value) -> Value {
    let mut essence = decision.clone();
    if let Some(map) = essence.as_object_mut() {
        map.remove("reason");
        map.remove("extra");
    }
    essence
}

#[cfg(test)]
mod tests;
