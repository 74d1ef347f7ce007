//! Stored messages on their way to facts: parse, match, ask the classifier, write what it means. Messages are parsed and
//! classified on all cores, looked up together, and their facts share a transaction.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::StreamExt as _;

use super::look::{self, Known};
use super::matching::Matched;
use super::references::References;
use super::verdict;
use crate::app::App;
use crate::domain::Timestamp;
use crate::domain::ids::{AccountId, InboundMessageId};
use crate::domain::status::Hook;
use crate::extensions::hooks::Extra;
use crate::extensions::hooks::reply::{Classification, MatchedBy, Message, Verdict};
use crate::extensions::{CallScope, Decided, HostBusy};
use crate::store::decisions::{self, Decision};
use crate::store::facts::reply;
use crate::store::inbox::{self, InboundMessage, Reading};
use crate::store::inbox_many::{self, ReadOne};
use crate::store::sends::Send;
use crate::store::{Result, StoreError};
use crate::telemetry::Metrics;

/// Messages of one round, and about how many bytes of them.
const MOST_MESSAGES: i64 = 500;
const MOST_BYTES: i64 = 8 << 20;
/// Classifiers that are asked at a time.
const AT_A_TIME: usize = 16;

/// What one round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Messages that were read.
    pub read: usize,
}

/// A message and all that is known of it.
pub(super) struct Judged {
    /// Without its bytes.
    pub(super) message: InboundMessage,
    pub(super) facts: Arc<Message>,
    pub(super) references: References,
    /// Its own Message-ID.
    pub(super) message_id: Option<String>,
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
    let taken = unread.len();
    let known = look_or_put_aside(app, look::parse_all(unread).await).await?;
    let put_aside = taken - known.len();
    let asked = futures_util::stream::iter(known).map(|known| tokio::spawn(judge(app.clone(), known)));
    let mut answers = asked.buffered(AT_A_TIME).then(look::finished).boxed();
    let (mut judged, mut busy) = (Vec::new(), HashSet::new());
    while let Some(answer) = answers.next().await {
        match answer {
            // In order: what a person wrote later is applied later, and so nothing of an account behind what nobody could be
            // asked about yet.
            Ok(one) if !busy.contains(&one.message.account_id) => judged.push(one),
            Ok(_) => {}
            Err(account) => {
                busy.insert(account);
            }
        }
    }
    drop(answers);
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
    // Others may wait behind those that were put aside.
    Ok(Outcome { read: put_aside + judged.len() })
}

/// What a classifier is asked about a stored message, and for whom; `None` where it is not asked: we wrote it ourselves.
pub async fn question(app: &App, message: &InboundMessage) -> Result<Option<(CallScope, Message)>> {
    let parsed = look::parse_all(vec![message.clone()]).await;
    let known = look::up(app, parsed).await.map_err(|(error, _)| error)?.pop().filter(|known| !known.is_ours);
    Ok(known.map(|known| (scope_of(&known.message, known.origin.matched.as_ref()), known.parsed.message)))
}

/// Looks messages up; one that the database can't be asked about is put aside.
async fn look_or_put_aside(app: &App, parsed: Vec<look::Read>) -> Result<Vec<Known>> {
    let parsed = match look::up(app, parsed).await {
        Ok(known) => return Ok(known),
        Err((error, _)) if error.is_passing() => return Err(error),
        Err((_, parsed)) => parsed,
    };
    let mut known = Vec::with_capacity(parsed.len());
    for one in parsed {
        match look::up(app, vec![one]).await {
            Ok(one) => known.extend(one),
            Err((error, _)) if error.is_passing() => return Err(error),
            Err((error, refused)) => {
                for one in &refused {
                    put_aside(app, &one.message, None, &error).await?;
                }
            }
        }
    }
    Ok(known)
}

/// Asks. Nothing is written. The error is whose extensions the host is too busy for.
async fn judge(app: App, known: Known) -> std::result::Result<Judged, AccountId> {
    let Known { message, parsed, origin, is_ours } = known;
    let (facts, references, message_id) = (Arc::new(parsed.message), parsed.references, parsed.message_id);
    if is_ours {
        let reason = Some("we wrote it ourselves".to_owned());
        let decision = Classification::new(Verdict::Ignore, reason, Extra::default());
        let decided = Decided { decision, by: None, records: Vec::new() };
        let own_copy = origin.own_copy;
        return Ok(Judged { message, facts, references, message_id, matched: None, own_copy, decided });
    }
    let scope = scope_of(&message, origin.matched.as_ref());
    let asked = app.extensions.classify(&scope, Arc::clone(&facts)).await;
    let decided = asked.map_err(|HostBusy| message.account_id)?;
    let (matched, own_copy) = (origin.matched, origin.own_copy);
    Ok(Judged { message, facts, references, message_id, matched, own_copy, decided })
}

fn scope_of(message: &InboundMessage, matched: Option<&Matched>) -> CallScope {
    CallScope {
        account: Some(message.account_id),
        campaign: matched.map(|matched| matched.send.campaign_id),
        credential: Some(message.credential_id),
    }
}

async fn write(app: &App, judged: &[Judged]) -> Result<()> {
    let now = app.clock.now();
    let readings: Vec<_> = judged.iter().map(reading_of).collect();
    let rows: Vec<_> = judged.iter().map(|one| (one.message.id, decisions_on(one, now))).collect();
    let mut tx = app.store.begin().await?;
    // What another node has read it has applied, too.
    let first = inbox_many::read(&mut tx, &readings).await?;
    let is_first = |id: &InboundMessageId| first.contains(id);
    let rows: Vec<_> = rows.into_iter().filter(|(id, _)| is_first(id)).flat_map(|(_, rows)| rows).collect();
    let mut writes = tx.writes();
    decisions::insert_many(&mut writes, &rows);
    let first_readings: Vec<_> = readings.into_iter().filter(|reading| is_first(&reading.id)).collect();
    let copies: HashSet<_> = inbox_many::set_copies_aside(&mut tx, &first_readings).await?;
    let news = judged.iter().filter(|one| is_first(&one.message.id) && !copies.contains(&one.message.id));
    verdict::apply(&mut tx, writes, &news.collect::<Vec<_>>(), now).await?;
    tx.commit().await
}

/// Writes one message by itself; where the database does not take its facts, the message is kept as nobody could tell.
async fn write_or_put_aside(app: &App, one: &Judged) -> Result<()> {
    let Err(error) = write(app, std::slice::from_ref(one)).await else { return Ok(()) };
    if error.is_passing() || error.is_conflict() {
        return Err(error);
    }
    match put_aside(app, &one.message, one.matched.as_ref(), &error).await {
        // Its match may be what the database does not take.
        Err(again) if one.matched.is_some() && !again.is_passing() && !again.is_conflict() => {
            put_aside(app, &one.message, None, &again).await
        }
        other => other,
    }
}

/// Keeps a message as one that nobody could tell, for `error`. Whoever it answers is not mailed on doubt.
async fn put_aside(app: &App, message: &InboundMessage, matched: Option<&Matched>, error: &StoreError) -> Result<()> {
    tracing::error!(inbound_message.id = %message.id, error = error as &dyn std::error::Error,
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
    let first =
        inbox_many::read(&mut tx, &[ReadOne { id: message.id, account_id: message.account_id, reading }]).await?;
    if let Some(send) = send.filter(|_| first.contains(&message.id)) {
        reply::unclassified(&mut tx, send.enrollment_id, app.clock.now()).await?;
    }
    tx.commit().await
}

fn reading_of(one: &Judged) -> ReadOne {
    let verdict = &one.decided.decision.verdict;
    let subject = &one.facts.subject;
    let send = one.matched.as_ref().map(|matched| &matched.send).or(one.own_copy.as_ref());
    let reading = Reading {
        sender: one.facts.sender.clone(),
        subject: (!subject.is_empty()).then(|| subject.clone()),
        message_id: one.message_id.clone(),
        state: if *verdict == Verdict::Unclassified { "unclassified" } else { "applied" },
        enrollment_id: send.map(|send| send.enrollment_id),
        send_id: send.map(|send| send.id),
        matched_by: one.matched.as_ref().map(|matched| MatchedBy::as_str(matched.by)),
        verdict: verdict.word().to_owned(),
    };
    ReadOne { id: one.message.id, account_id: one.message.account_id, reading }
}

/// What everybody said who was asked about a message.
fn decisions_on(one: &Judged, now: Timestamp) -> Vec<Decision> {
    let (account, subject) = (one.message.account_id, one.message.id.to_string());
    let enrollment = one.matched.as_ref().map(|matched| matched.send.enrollment_id);
    let mut rows = Decision::of_records(&one.decided.records, account, &subject, enrollment, now);
    if one.decided.by.is_none() {
        let decision = one.decided.decision.to_json();
        rows.push(Decision::of_host(Hook::ReplyClassifier, account, &subject, enrollment, decision, now));
    }
    rows
}
