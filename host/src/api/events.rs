//! `GET /events`: what happened, by cursor. Other lists are newest first; this one is the stream itself, oldest first, so that
//! whoever asks for what comes after the last event seen gets every event once, in order.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::auth::MayRead;
use super::error::{ApiError, Result};
use super::query::{PageParameters, Parameters};
use super::state::Api;
use crate::domain::Timestamp;
use crate::domain::event::EventType;
use crate::domain::ids::{AccountId, EventId};
use crate::events::KEPT_FOR;
use crate::store::Conn;
use crate::store::events::{self, Event, Place};

/// An event, as it is posted to webhooks.
#[derive(Serialize, ToSchema)]
struct Envelope {
    id: EventId,
    #[serde(rename = "type")]
    event_type: EventType,
    created_at: Timestamp,
    account_id: AccountId,
    /// Of an enrollment's event: `enrollment_id`, `contact_id`, `contact_email`, `campaign_id`, `status`, `sent_at`,
    /// `replied_at`, `bounce_reason`.
    #[schema(value_type = Object)]
    data: Value,
}

/// Which events.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the shape alone; `list` reads it")]
struct EventParameters {
    /// Events of this type alone.
    r#type: Option<EventType>,
}

/// Follow the events
///
/// The stream itself, oldest first, for 30 days: ask for what comes after the last event that you have seen, and you get every
/// event once, in order. Without `after` it begins with the oldest.
#[utoipa::path(get, path = "/events", operation_id = "list_events", tag = "Events",
    params(PageParameters, EventParameters), responses((status = OK, description = "Oldest first.", body = [Envelope])))]

pub(super) async fn list(
    State(api): State<Api>,
    MayRead(caller): MayRead,
    mut parameters: Parameters,
) -> Result<Response> {
    let asked = parameters.page();
    let words = EventType::ALL.iter().map(|event| event.as_str()).collect::<Vec<_>>().join(", ");
    let event_type = parameters.optional("type", EventType::parse, format!("one of {words}"));
    parameters.finish()?;
    let mut conn = api.app.store.read().await?;
    let rows = match begin(&api, &mut conn, caller.account, asked.after()).await? {
        Some(position) => events::after(&mut conn, caller.account, position, event_type, asked.page().limit).await?,
        None => Vec::new(),
    };
    Ok(asked.answer(rows, |event| event.id, envelope).into_response())
}

/// The position after which the answer begins; none while the cursor's event has no place itself, as nothing can follow it.
async fn begin(api: &Api, conn: &mut Conn, account: AccountId, after: Option<EventId>) -> Result<Option<i64>> {
    let Some(after) = after else { return Ok(Some(0)) };
    match events::place_of(conn, account, after).await? {
        Place::At(position) => Ok(Some(position)),
        Place::Coming => Ok(None),
        // It was swept, and so was all that stood before it: what is left follows it.
        Place::Unknown if after < EventId::first_of(api.now().minus(KEPT_FOR)) => Ok(Some(0)),
        Place::Unknown => {
            let details = serde_json::json!({ "after": ["is no event of this account"] });
            Err(ApiError { details, ..ApiError::bad_request("A query parameter is wrong; details names it.") })
        }
    }
}

fn envelope(event: Event) -> Envelope {
    let Event { id, account_id, event_type, data, created_at, .. } = event;
    Envelope { id, event_type, created_at, account_id, data }
}
