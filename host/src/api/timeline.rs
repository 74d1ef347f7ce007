//! The story of an enrollment: every fact that is kept of it, in order of time, with who decided.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::auth::MayRead;
use super::body::Ids;
use super::decisions::{ByShown, by_shown};
use super::error::{ApiError, Code, Result};
use super::state::Api;
use crate::domain::Timestamp;
use crate::domain::event::EventType;
use crate::domain::ids::{
    ApiKeyId, CredentialId, DeliveryId, EnrollmentId, EventId, InboundMessageId, ProviderEventId, SendId, WebhookId,
};
use crate::domain::status::{Hook, ResolvedAs, SendState};
use crate::store::decisions::Decision;
use crate::store::enrollments::Enrollment;
use crate::store::resolutions::{Resolution, ResolutionShown};
use crate::store::transactions::Transaction;
use crate::store::{
    Conn, decisions, deliveries, enrollments, events, inbound, inbox, resolutions, sends, transactions,
};

/// A fact of an enrollment.
#[derive(Serialize, ToSchema)]
#[schema(as = TimelineEntry)]
pub(super) struct Entry {
    at: Timestamp,
    #[serde(flatten)]
    fact: Fact,
}

/// What happened.
#[derive(Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[schema(as = TimelineFact)]
enum Fact {
    /// It came into the campaign.
    Enrolled { batch_number: i64 },
    /// A step was given its time; `state` is where it stands now.
    Queued { send_id: SendId, step: u32, state: SendState, due_at: Timestamp, reason: Option<String> },
    /// What a send gate said of a step.
    Gate {
        send_id: SendId,
        #[serde(flatten)]
        said: Said,
    },
    /// A step was told to a server, and what it said.
    Transaction {
        send_id: SendId,
        smtp_credential_id: CredentialId,
        outcome: String,
        smtp_code: Option<u16>,
        smtp_status: Option<String>,
        reply: String,
    },
    /// Somebody settled whether a step in doubt had left: whoever has the key, or nobody, and its copy lay in the Sent folder.
    Resolved {
        send_id: SendId,
        #[serde(rename = "as")]
        resolved_as: ResolvedAs,
        by: ResolvedBy,
        api_key_id: Option<ApiKeyId>,
        api_key_label: Option<String>,
    },
    /// A message came into the mailbox, and what it was taken for.
    InboundMessage {
        id: InboundMessageId,
        sender: Option<String>,
        subject: Option<String>,
        matched_by: Option<String>,
        verdict: Option<String>,
        by: Option<ByShown>,
        decisions: Vec<Said>,
    },
    /// A provider told of it.
    ProviderEvent {
        id: ProviderEventId,
        provider: String,
        event: String,
        send_id: Option<SendId>,
        matched_by: Option<String>,
        smtp_code: Option<u16>,
        smtp_status: Option<String>,
        reason: Option<String>,
        occurred_at: Option<Timestamp>,
    },
    /// It counted: sent, opened, replied, bounced, unsubscribed.
    Event {
        id: EventId,
        #[serde(rename = "type")]
        event_type: EventType,
    },
    /// An event was told to a webhook, or is to be; `state` is `pending`, `delivered` or `failed`.
    Webhook {
        id: DeliveryId,
        webhook_id: WebhookId,
        event_id: EventId,
        event_type: EventType,
        state: String,
        attempt: u32,
        status_code: Option<u16>,
        error: Option<String>,
        planned_at: Timestamp,
    },
    /// Nothing more is sent.
    Stopped { reason: Option<String> },
}

/// Who settled a doubt.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ResolvedBy {
    ApiKey,
    SentFolder,
}

/// What one extension said about a message.
#[derive(Serialize, ToSchema)]
struct Said {
    hook: Hook,
    by: Option<ByShown>,
    mode: String,
    #[schema(value_type = Option<Object>)]
    decision: Option<Value>,
    error: Option<String>,
    micros: u64,
}

/// Show an enrollment's timeline
///
/// Every fact in order, with who decided.
#[utoipa::path(get, path = "/enrollments/{id}/timeline", operation_id = "show_timeline", tag = "Enrollments",
    responses((status = OK, description = "Oldest first.", body = [Entry])))]
pub(super) async fn show(
    State(api): State<Api>,
    MayRead(caller): MayRead,
    Ids(id): Ids<EnrollmentId>,
) -> Result<Json<Vec<Entry>>> {
    let mut conn = api.app.store.read().await?;
    let enrollment = enrollments::find(&mut conn, caller.account, id).await?;
    let enrollment = enrollment.ok_or_else(|| ApiError::missing(Code::EnrollmentNotFound))?;
    let mut entries = gather(&mut conn, &enrollment).await?;
    // A stable sort: what happened in the same millisecond stays in the order of cause and effect.
    entries.sort_by_key(|entry| entry.at);
    Ok(Json(entries))
}

async fn gather(conn: &mut Conn, enrollment: &Enrollment) -> Result<Vec<Entry>> {
    let id = enrollment.id;
    let batch_number = enrollment.batch_number;
    let mut entries = vec![Entry { at: enrollment.created_at, fact: Fact::Enrolled { batch_number } }];
    let mut transactions = transactions::of_enrollment(conn, id).await?;
    let mut resolutions = resolutions::of_enrollment(conn, id).await?;
    // The next step is queued by the transaction of the one before, in the same millisecond.
    for send in sends::of_enrollment(conn, id).await? {
        let (send_id, step, state, due_at, reason) =
            (send.id, send.step_position, send.state, send.due_at, send.reason);
        entries.push(Entry { at: send.created_at, fact: Fact::Queued { send_id, step, state, due_at, reason } });
        for decision in decisions::of_subject(conn, &send_id.to_string()).await? {
            entries.push(Entry { at: decision.at, fact: Fact::Gate { send_id, said: said(decision) } });
        }
        entries.extend(transactions.extract_if(.., |done| done.send_id == send_id).map(transaction));
        let of_send = resolutions.extract_if(.., |shown| shown.resolution.send_id == send_id);
        entries.extend(of_send.map(resolved));
    }
    entries.extend(transactions.into_iter().map(transaction));
    entries.extend(resolutions.into_iter().map(resolved));
    for message in inbox::of_enrollment(conn, id).await? {
        let decisions = decisions::of_subject(conn, &message.id.to_string()).await?;
        let by = decided_by(&decisions);
        let fact = Fact::InboundMessage {
            id: message.id,
            sender: message.sender,
            subject: message.subject,
            matched_by: message.matched_by,
            verdict: message.verdict,
            by,
            decisions: decisions.into_iter().map(said).collect(),
        };
        entries.push(Entry { at: message.received_at, fact });
    }
    for event in inbound::of_enrollment(conn, id).await? {
        let fact = Fact::ProviderEvent {
            id: event.id,
            provider: event.provider,
            event: event.kind,
            send_id: event.send_id,
            matched_by: event.matched_by,
            smtp_code: event.smtp_code,
            smtp_status: event.smtp_status,
            reason: event.reason,
            occurred_at: event.occurred_at,
        };
        entries.push(Entry { at: event.at, fact });
    }
    for event in events::of_subject(conn, &id.to_string()).await? {
        entries.push(Entry { at: event.created_at, fact: Fact::Event { id: event.id, event_type: event.event_type } });
    }
    for delivery in deliveries::about(conn, &id.to_string()).await? {
        let fact = Fact::Webhook {
            id: delivery.id,
            webhook_id: delivery.webhook_id,
            event_id: delivery.event_id,
            event_type: delivery.event_type,
            state: delivery.state,
            attempt: delivery.attempt,
            status_code: delivery.status_code,
            error: delivery.error,
            planned_at: delivery.created_at,
        };
        entries.push(Entry { at: delivery.delivered_at.unwrap_or(delivery.created_at), fact });
    }
    if let Some(at) = enrollment.stopped_at {
        entries.push(Entry { at, fact: Fact::Stopped { reason: enrollment.stop_reason.clone() } });
    }
    Ok(entries)
}

fn transaction(done: Transaction) -> Entry {
    let Transaction { send_id, credential_id, outcome, smtp_code, smtp_status, reply, at, .. } = done;
    let smtp_credential_id = credential_id;
    Entry { at, fact: Fact::Transaction { send_id, smtp_credential_id, outcome, smtp_code, smtp_status, reply } }
}

fn resolved(ResolutionShown { resolution, api_key_label }: ResolutionShown) -> Entry {
    let Resolution { send_id, resolved_as, api_key_id, at, .. } = resolution;
    let by = if api_key_id.is_some() { ResolvedBy::ApiKey } else { ResolvedBy::SentFolder };
    Entry { at, fact: Fact::Resolved { send_id, resolved_as, by, api_key_id, api_key_label } }
}

/// The author of the verdict in force: the last active one that answered without passing on.
fn decided_by(decisions: &[Decision]) -> Option<ByShown> {
    let passed = |decision: &Decision| {
        decision.decision.as_ref().is_none_or(|value| value.get("verdict").and_then(Value::as_str) == Some("pass"))
    };
    let in_force = decisions.iter().rfind(|decision| decision.mode == "active" && !passed(decision));
    in_force.and_then(|decision| decision.by.clone()).map(by_shown)
}

fn said(decision: Decision) -> Said {
    let Decision { hook, by, mode, decision, error, micros, .. } = decision;
    Said { hook, by: by.map(by_shown), mode, decision, error, micros }
}
