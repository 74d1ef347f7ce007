//! Stored messages on their way to facts: parse, match, ask the classifier, write what it means. The reading and the
//! asking of many messages go side by side; their facts share a transaction, as a commit costs more than a fact.

use std::sync::Arc;

use futures_util::StreamExt as _;

use super::matching::{self, Matched};
use super::parse::{self, Parsed};
use super::verdict;
use crate::app::App;
use crate::domain::ids::InboundMessageId;
use crate::domain::status::Hook;
use crate::domain::{EmailAddress, Timestamp};
use crate::extensions::hooks::Extra;
use crate::extensions::hooks::reply::{Classification, MatchedBy, Message, Verdict};
use crate::extensions::{CallScope, Decided};
use crate::store::decisions::{self, Decision};
use crate::store::facts::reply;
use crate::store::inbox::{self, InboundMessage, Reading};
use crate::store::sends::Send;
use crate::store::{Conn, Result, StoreError, Tx, credentials};
use crate::telemetry::Metrics;

/// Messages of one round, and about how many bytes of them.
const MOST_MESSAGES: i64 = 128;
const MOST_BYTES: i64 = 16 << 20;
const AT_A_TIME: usize = 8;

/// What one round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Messages that were read.
    pub read: usize,
}

/// A message and all that is known of it.
pub(super) struct Judged {
    pub(super) message: InboundMessage,
    pub(super) parsed: Parsed,
    pub(super) matched: Option<Matched>,
    /// The send that it is a copy of, where we wrote it ourselves.
    pub(super) own_copy: Option<Send>,
    pub(super) decided: Decided<Classification>,
}

pub(super) async fn step(app: &App) -> Result<Outcome> {
    let unread = inbox::unread(&mut *app.store.read().await?, MOST_MESSAGES, MOST_BYTES).await?;
    if unread.is_empty() {
        return Ok(Outcome::default());
    }
    let read = unread.len();
    let judging = futures_util::stream::iter(unread).map(|message| judge_or_put_aside(app, message));
    // In order: what a person wrote later is applied later.
    let judged: Vec<_> = judging.buffered(AT_A_TIME).collect().await;
    let judged: Vec<_> = judged.into_iter().filter_map(Result::transpose).collect::<Result<_>>()?;
    if let Err(error) = write(app, &judged).await {
        if error.is_passing() {
            return Err(error);
        }
        // One message that the database does not take must not keep the others waiting for ever.
        for one in &judged {
            write_or_put_aside(app, one).await?;
        }
    }
    for one in &judged {
        Metrics::count(&app.metrics.inbound_messages, one.decided.decision.verdict.word());
    }
    Ok(Outcome { read })
}

/// Judges a message; one that the database can't be asked about is put aside, and is `None`.
async fn judge_or_put_aside(app: &App, message: InboundMessage) -> Result<Option<Judged>> {
    let id = message.id;
    match judge(app, message).await {
        Err(error) if !error.is_passing() => {
            put_aside(app, id, None, &error).await?;
            Ok(None)
        }
        judged => judged.map(Some),
    }
}

/// A message that was read and matched.
struct Known {
    parsed: Parsed,
    matched: Option<Matched>,
    own_copy: Option<Send>,
    /// We wrote it ourselves.
    is_ours: bool,
}

/// What a classifier is asked about a stored message, and for whom; `None` where it is not asked: we wrote it ourselves.
pub async fn question(app: &App, message: &InboundMessage) -> Result<Option<(CallScope, Message)>> {
    let known = look_at(app, message).await?;
    Ok((!known.is_ours).then(|| (scope_of(message, known.matched.as_ref()), known.parsed.message)))
}

/// Reads, matches and asks. Nothing is written.
async fn judge(app: &App, message: InboundMessage) -> Result<Judged> {
    let Known { parsed, matched, own_copy, is_ours } = look_at(app, &message).await?;
    if is_ours {
        let reason = Some("we wrote it ourselves".to_owned());
        let decision = Classification::new(Verdict::Ignore, reason, Extra::default());
        let decided = Decided { decision, by: None, records: Vec::new() };
        return Ok(Judged { message, parsed, matched: None, own_copy, decided });
    }
    let scope = scope_of(&message, matched.as_ref());
    let decided = app.extensions.classify(&scope, Arc::new(parsed.message.clone())).await;
    Ok(Judged { message, parsed, matched, own_copy, decided })
}

async fn look_at(app: &App, message: &InboundMessage) -> Result<Known> {
    let mut parsed = parse::parse(&message.raw, message.received_at);
    let mut conn = app.store.read().await?;
    let own_copy = matching::own_copy(&mut conn, message.account_id, &parsed).await?;
    let matched = matching::find(&mut conn, message.account_id, message.credential_id, &parsed).await?;
    let is_ours = own_copy.is_some() || is_from_ourselves(&mut conn, message, &parsed, matched.as_ref()).await?;
    parsed.message.enrollment = matched.as_ref().map(Matched::as_fact);
    Ok(Known { parsed, matched, own_copy, is_ours })
}

fn scope_of(message: &InboundMessage, matched: Option<&Matched>) -> CallScope {
    CallScope {
        account: Some(message.account_id),
        campaign: matched.map(|matched| matched.send.campaign_id),
        credential: Some(message.credential_id),
    }
}

/// Whether the mailbox's own address wrote it to somebody else: what a user sends from another program, with a copy to
/// himself. Who tries a campaign out on his own address is a contact like any other.
async fn is_from_ourselves(
    conn: &mut Conn,
    message: &InboundMessage,
    parsed: &Parsed,
    matched: Option<&Matched>,
) -> Result<bool> {
    let key = |text: &str| EmailAddress::parse(text).ok().map(|address| address.key());
    let Some(sender) = parsed.message.sender.as_deref().and_then(key) else { return Ok(false) };
    if matched.is_some_and(|matched| key(&matched.contact_email).as_ref() == Some(&sender)) {
        return Ok(false);
    }
    let credential = credentials::get(conn, message.credential_id).await?;
    Ok(credential.and_then(|credential| key(&credential.from_email)) == Some(sender))
}

async fn write(app: &App, judged: &[Judged]) -> Result<()> {
    let now = app.clock.now();
    let mut tx = app.store.begin().await?;
    for one in judged {
        write_one(&mut tx, one, now).await?;
    }
    tx.commit().await
}

/// Writes one message by itself; where the database does not take its facts, the message is kept as nobody could tell.
async fn write_or_put_aside(app: &App, one: &Judged) -> Result<()> {
    let Err(error) = write(app, std::slice::from_ref(one)).await else { return Ok(()) };
    if error.is_passing() || error.is_conflict() {
        return Err(error);
    }
    match put_aside(app, one.message.id, one.matched.as_ref(), &error).await {
        // Its match may be what the database does not take.
        Err(again) if one.matched.is_some() && !again.is_passing() && !again.is_conflict() => {
            put_aside(app, one.message.id, None, &again).await
        }
        other => other,
    }
}

/// Keeps a message as one that nobody could tell, for `error`. Whoever it answers is not mailed on doubt.
async fn put_aside(app: &App, id: InboundMessageId, matched: Option<&Matched>, error: &StoreError) -> Result<()> {
    tracing::error!(inbound_message.id = %id, error = error as &dyn std::error::Error,
        "An inbound message could not be applied; it is kept as unclassified");
    let send = matched.map(|matched| &matched.send);
    let reading = Reading {
        sender: None,
        subject: None,
        message_id: None,
        state: "unclassified",
        enrollment_id: send.map(|send| send.enrollment_id),
        send_id: send.map(|send| send.id),
        matched_by: matched.map(|matched| MatchedBy::as_str(matched.by)),
        verdict: Verdict::Unclassified.word().to_owned(),
    };
    let mut tx = app.store.begin().await?;
    let is_first = inbox::read(tx.conn(), id, &reading).await?;
    if let Some(send) = send.filter(|_| is_first) {
        reply::unclassified(&mut tx, send.enrollment_id, app.clock.now()).await?;
    }
    tx.commit().await
}

async fn write_one(tx: &mut Tx, one: &Judged, now: Timestamp) -> Result<()> {
    let reading = reading_of(one);
    if !inbox::read(tx.conn(), one.message.id, &reading).await? {
        // Another node has read and applied it.
        return Ok(());
    }
    record(tx, one, now).await?;
    if inbox::has_copy(tx.conn(), one.message.account_id, one.message.id, &reading).await? {
        return Ok(());
    }
    verdict::apply(tx, one, now).await
}

fn reading_of(one: &Judged) -> Reading {
    let verdict = &one.decided.decision.verdict;
    let subject = &one.parsed.message.subject;
    let send = one.matched.as_ref().map(|matched| &matched.send).or(one.own_copy.as_ref());
    Reading {
        sender: one.parsed.message.sender.clone(),
        subject: (!subject.is_empty()).then(|| subject.clone()),
        message_id: one.parsed.message_id.clone(),
        state: if *verdict == Verdict::Unclassified { "unclassified" } else { "applied" },
        enrollment_id: send.map(|send| send.enrollment_id),
        send_id: send.map(|send| send.id),
        matched_by: one.matched.as_ref().map(|matched| MatchedBy::as_str(matched.by)),
        verdict: verdict.word().to_owned(),
    }
}

async fn record(tx: &mut Tx, one: &Judged, now: Timestamp) -> Result<()> {
    let (account, subject) = (one.message.account_id, one.message.id.to_string());
    let enrollment = one.matched.as_ref().map(|matched| matched.send.enrollment_id);
    let mut rows = Decision::of_records(&one.decided.records, account, &subject, enrollment, now);
    if one.decided.by.is_none() {
        let decision = one.decided.decision.to_json();
        rows.push(Decision::of_host(Hook::ReplyClassifier, account, &subject, enrollment, decision, now));
    }
    for row in &rows {
        decisions::insert(tx.conn(), row).await?;
    }
    Ok(())
}
