//! One held send on its way: MX, message, gate, connection, intent, transaction. Every way out is an [`Outcome`] that the
//! ledger writes.

use std::sync::Arc;
use std::time::Duration;

use super::Dispatcher;
use super::claim::CampaignContext;
use super::compose::{Parts, compose};
use super::connect::connect;
use super::open_credential::OpenCredential;
use super::outcome::Outcome;
use super::render::CompiledStep;
use super::turns::{Turn, Turns};
use crate::app::App;
use crate::dns::MxAnswer;
use crate::domain::smtp_reply::{self, Reply, ReplyVerdict, Stage};
use crate::domain::{Timestamp, pacing, queue_id};
use crate::extensions::CallScope;
use crate::extensions::hooks::gate;
use crate::smtp::{Envelope, PooledConnection, TransactionOutcome, Unsuitable};
use crate::store::counters::SkipCounter;
use crate::store::decisions::Decision;
use crate::store::sends::{ClaimedSend, Ending, Intent, Obstacle};
use crate::telemetry::Metrics;

/// What the contract calls a domain that takes no mail.
const MX_CHECK_FAILED: &str = "MX check failed at dispatch";
/// Look-ups without an answer before the message is sent all the same.
const MX_TRIES: u32 = 3;
const MX_AGAIN: Duration = Duration::from_secs(60);
/// The least that a gate puts a message off.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
/// And where it puts it off to a time that is over.
const WAIT_FOR_THE_PAST: Duration = Duration::from_secs(60);
/// Replies are kept up to this length.
const MOST_REPLY_CHARS: usize = 1000;

/// Brings a held send to its server and writes how it came out.
pub(super) async fn bring(dispatcher: &Dispatcher, context: &Arc<CampaignContext>, held: ClaimedSend) {
    let (mut decisions, mut line) = (Vec::new(), None);
    let outcome = Box::pin(attempt(dispatcher, context, &held, &mut decisions, &mut line)).await;
    let Some(outcome) = outcome else { return };
    Metrics::count(&dispatcher.app.metrics.sends, outcome.word());
    report(&held, &outcome);
    dispatcher.ledger.outcome(held, outcome, decisions, line).await;
}

/// What a message leaves by. It is kept until its outcome stands in the ledger's line, so that what leaves by it next stands
/// behind: never more is on its way than there are connections.
pub(super) struct Line {
    connection: PooledConnection,
    _turn: Turn,
}

/// `None`: the send is no longer ours.
async fn attempt(
    dispatcher: &Dispatcher,
    context: &CampaignContext,
    held: &ClaimedSend,
    decisions: &mut Vec<Decision>,
    line: &mut Option<Line>,
) -> Option<Outcome> {
    let Dispatcher { app, ledger, turns, shutdown, .. } = dispatcher;
    let now = app.clock.now();
    let Some(step) = context.sequence.as_ref().and_then(|sequence| sequence.step(held.send.step_position)) else {
        return Some(Outcome::Failed {
            ending: because("the campaign no longer has this step, or its templates are broken"),
        });
    };
    let Some(credential) = context.credentials.get(&held.credential_id) else {
        return Some(given_back(now, "its credential is gone"));
    };
    let server = match &credential.server {
        Ok(server) => server,
        Err(error) => return Some(at_fault(app, credential, because(error))),
    };
    let exchangers = match mail_exchangers(dispatcher, context, held).await {
        Ok(exchangers) => exchangers,
        Err(outcome) => return Some(outcome),
    };
    if let Some(outcome) = ask_gate(app, context, credential, held, exchangers.as_deref(), decisions).await {
        return Some(outcome);
    }
    let turn = turns.take(held.send.account_id, held.credential_id).await;
    if shutdown.is_cancelled() {
        return Some(given_back(app.clock.now(), "the node that held it stops"));
    }
    if turns.was_refused_since(held.credential_id, context.claimed_at) {
        return Some(given_back(app.clock.now(), "its credential rests: the server has just refused it"));
    }
    let is_of_another_day = |day| day != app.clock.now().utc_day() && held.send.attempts == 0;
    if held.send.reserved_day.is_some_and(is_of_another_day) {
        let reason = "the day whose limit it had a place of ended while it waited for a connection";
        return Some(given_back(app.clock.now(), reason));
    }
    // Not before its turn: what is claimed together would be built together, and what waits for the database meanwhile
    // would wait for all of that.
    let (envelope, message) = match build(app, context, credential, step, held) {
        Ok(built) => built,
        Err(ending) => return Some(Outcome::Failed { ending }),
    };
    let line = match connect(dispatcher, context, credential, server, held).await {
        Ok(connection) => line.insert(Line { connection, _turn: turn }),
        Err(outcome) => return Some(rest(turns, held, outcome)),
    };
    match ledger.intent(Intent::of(held)).await {
        Ok(Ok(())) => {}
        Ok(Err(obstacle)) => return stopped_by(obstacle, app),
        // The ledger tells of it.
        Err(error) => return Some(given_back(app.clock.now(), error.to_string())),
    }
    let ended = line.connection.send(&envelope, &message).await;
    if let TransactionOutcome::Accepted(_) = ended {
        turns.worked(held.credential_id);
    }
    Some(rest(turns, held, judged(app, context, credential, held, ended)))
}

/// Lets those who wait for a turn know before the ledger does.
fn rest(turns: &Turns, held: &ClaimedSend, outcome: Outcome) -> Outcome {
    if matches!(outcome, Outcome::CredentialAtFault { .. }) {
        turns.refused(held.credential_id);
    }
    outcome
}

/// The MX hosts of a first step's domain where they were asked for, or what follows from there being none.
async fn mail_exchangers(
    Dispatcher { app, turns, shutdown, .. }: &Dispatcher,
    context: &CampaignContext,
    held: &ClaimedSend,
) -> Result<Option<String>, Outcome> {
    if !context.campaign.verify_email_mx || held.first_send_id.is_some() {
        return Ok(None);
    }
    // Who waits for one when the node stops has nothing on its way.
    let Some(_turn) = shutdown.run_until_cancelled(turns.to_look_up(held.send.account_id)).await else {
        return Err(given_back(app.clock.now(), "the node that held it stops"));
    };
    match app.resolver.mail_exchangers(&held.contact.domain).await {
        MxAnswer::Exchangers(hosts) => Ok(hosts.into_iter().next().map(|best| best.host)),
        MxAnswer::NullMx | MxAnswer::NoMx => Err(Outcome::DomainTakesNoMail { reason: MX_CHECK_FAILED.to_owned() }),
        MxAnswer::NoAnswer { .. } if held.send.mx_attempts + 1 >= MX_TRIES => Ok(None),
        MxAnswer::NoAnswer { reason } => Err(Outcome::GivenBack {
            due_at: app.clock.now().plus(MX_AGAIN),
            reason: format!("the MX look-up gave no answer: {reason}"),
            counts_as_mx_attempt: true,
        }),
    }
}

/// Asks the send gate, where one is bound. `None`: it may leave.
async fn ask_gate(
    app: &App,
    context: &CampaignContext,
    credential: &OpenCredential,
    held: &ClaimedSend,
    mx_host: Option<&str>,
    decisions: &mut Vec<Decision>,
) -> Option<Outcome> {
    let scope = CallScope {
        account: Some(held.send.account_id),
        campaign: Some(held.send.campaign_id),
        credential: Some(held.credential_id),
    };
    if !app.extensions.has_gate(&scope) {
        return None;
    }
    let now = app.clock.now();
    let question = super::gate_question::of(app, credential, held, mx_host, now).await;
    let decided = app.extensions.admit(&scope, Arc::new(question)).await;
    let subject = held.send.id.to_string();
    decisions.extend(Decision::of_records(
        &decided.records,
        held.send.account_id,
        &subject,
        Some(held.send.enrollment_id),
        now,
    ));
    match decided.decision {
        gate::Admission::Admit => None,
        gate::Admission::Skip { reason } => Some(Outcome::Skipped { reason, next: next_step(app, context, held) }),
        gate::Admission::Defer { until, reason } => {
            // A gate that asks for the past would be asked again at once, and again.
            let due_at = if until > now { until.max(now.plus(SHORTEST_WAIT)) } else { now.plus(WAIT_FOR_THE_PAST) };
            Some(given_back(due_at, reason))
        }
    }
}

fn build(
    app: &App,
    context: &CampaignContext,
    credential: &OpenCredential,
    step: &CompiledStep,
    held: &ClaimedSend,
) -> Result<(Envelope, Vec<u8>), Ending> {
    let parts = Parts {
        credential: &credential.credential,
        step,
        contact: &held.contact,
        send_id: held.send.id,
        opener: held.first_send_id,
        pixel: context.campaign.track_opens.then(|| app.links.pixel(held.send.id)),
        unsubscribe: app.links.unsubscribe(held.send.enrollment_id),
        date: app.clock.now(),
    };
    compose(parts).map_err(because)
}

/// What the transaction's end means.
fn judged(
    app: &App,
    context: &CampaignContext,
    credential: &OpenCredential,
    held: &ClaimedSend,
    ended: TransactionOutcome,
) -> Outcome {
    let now = app.clock.now();
    match ended {
        TransactionOutcome::Accepted(reply) => {
            let ending = Ending { provider_message_id: queue_id::of_reply(&reply.text), ..said(&reply) };
            Outcome::Accepted { ending, next: next_step(app, context, held) }
        }
        TransactionOutcome::Refused { stage, reply } => refused(app, credential, held, stage, &reply),
        TransactionOutcome::Unsuitable { why: why @ Unsuitable::Recipient } => {
            Outcome::Unsuitable { reason: why.to_string() }
        }
        // Nothing that the credential sends could leave: what others can send is not to fail for it.
        TransactionOutcome::Unsuitable { why: why @ Unsuitable::Sender } => {
            at_fault(app, credential, because(why.to_string()))
        }
        TransactionOutcome::LostBeforeData { error } => Outcome::Lost {
            ending: because(format!("the connection broke before the message left: {error}")),
            retry_at: pacing::retry_lost(now, held.send.attempts),
        },
        TransactionOutcome::LostAfterData { error } => Outcome::InDoubt {
            ending: because(format!("the connection broke when the server may have had it: {error}")),
        },
    }
}

fn refused(app: &App, credential: &OpenCredential, held: &ClaimedSend, stage: Stage, reply: &Reply) -> Outcome {
    let now = app.clock.now();
    match smtp_reply::judge(stage, reply) {
        // The attempt that is being written is not yet counted in the row.
        ReplyVerdict::TryLater => {
            Outcome::Deferred { ending: said(reply), retry_at: pacing::retry(now, held.send.attempts + 1) }
        }
        ReplyVerdict::RecipientRefused { class } => Outcome::Bounced { ending: said(reply), class },
        ReplyVerdict::MessageTooLarge => Outcome::TooLarge { ending: said(reply) },
        ReplyVerdict::CredentialAtFault { why } => {
            let ending = Ending { reason: Some(shortened(&format!("{why}: {reply}"))), ..said(reply) };
            at_fault(app, credential, ending)
        }
        // A refusal is never an acceptance; if the server contradicts itself, nobody knows.
        ReplyVerdict::Accepted => Outcome::InDoubt { ending: said(reply) },
    }
}

/// Nothing has left; again at `due_at`.
pub(super) fn given_back(due_at: Timestamp, reason: impl Into<String>) -> Outcome {
    Outcome::GivenBack { due_at, reason: reason.into(), counts_as_mx_attempt: false }
}

pub(super) fn at_fault(app: &App, credential: &OpenCredential, ending: Ending) -> Outcome {
    let rest_until = pacing::rest(app.clock.now(), credential.credential.rests);
    Outcome::CredentialAtFault { ending, rest_until }
}

fn stopped_by(obstacle: Obstacle, app: &App) -> Option<Outcome> {
    let now = app.clock.now();
    match obstacle {
        Obstacle::Lost => None,
        Obstacle::Stopped(reason) => Some(Outcome::Stopped { reason }),
        Obstacle::Unsubscribed => {
            Some(Outcome::PassedOver { why: SkipCounter::Unsubscribed, reason: "unsubscribed".to_owned() })
        }
        Obstacle::Suppressed => {
            Some(Outcome::PassedOver { why: SkipCounter::Suppressed, reason: "suppressed".to_owned() })
        }
        Obstacle::OtherAddress => Some(given_back(now, "its contact has another address by now")),
        Obstacle::Gone => Some(given_back(now, "what stood in its way a moment ago is gone")),
        Obstacle::CampaignNotActive => Some(given_back(now, "the campaign was paused")),
        Obstacle::CredentialOff => Some(given_back(now, "the credential was disabled")),
    }
}

fn next_step(app: &App, context: &CampaignContext, held: &ClaimedSend) -> Option<crate::store::sends::NewSend> {
    context.sequence.as_ref()?.after(&context.campaign, held, app.clock.now())
}

/// A reply as the row keeps it.
fn said(reply: &Reply) -> Ending {
    let text = shortened(&reply.to_string());
    Ending {
        smtp_code: Some(reply.code),
        smtp_status: reply.enhanced.clone(),
        smtp_reply: Some(text.clone()),
        reason: (!reply.is_positive()).then_some(text),
        provider_message_id: None,
    }
}

pub(super) fn because(reason: impl Into<String>) -> Ending {
    Ending { reason: Some(shortened(&reason.into())), ..Ending::default() }
}

fn shortened(text: &str) -> String {
    text.chars().take(MOST_REPLY_CHARS).collect()
}

/// One line a send at debug, and one an operator should see where a credential is at fault. No addresses.
fn report(held: &ClaimedSend, outcome: &Outcome) {
    match outcome {
        Outcome::CredentialAtFault { ending, .. } => {
            tracing::warn!(credential.id = %held.credential_id, reason = ending.reason.as_deref(),
                "A credential rests: its server refuses it or can't be reached");
        }
        Outcome::InDoubt { ending } => {
            tracing::warn!(send.id = %held.send.id, reason = ending.reason.as_deref(), "A send is in doubt");
        }
        other => tracing::debug!(send.id = %held.send.id, outcome = other.word(), "A send came out"),
    }
}
