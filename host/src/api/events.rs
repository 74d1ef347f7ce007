//! `GET /events`: what happened, by cursor, oldest first.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;

use super::auth::MayRead;
use super::error::Result;
use super::query::Parameters;
use super::state::Api;
use crate::domain::Timestamp;
use crate::domain::event::EventType;
use crate::domain::ids::{AccountId, EventId};
use crate::store::events::{self, Event};

#[derive(Serialize)]
struct Envelope {
    id: EventId,
    #[serde(rename = "type")]
    event_type: EventType,
    created_at: Timestamp,
    account_id: AccountId,
    data: Value,
}

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
    let after = asked.after();
    let rows = events::after(&mut conn, caller.account, after, event_type, asked.page().limit).await?;
    Ok(asked.answer(rows, |event| event.id, envelope).into_response())
}

fn envelope(event: Event) -> Envelope {
    let Event { id, account_id, event_type, subject_id: _, data, created_at } = event;
    Envelope { id, event_type, created_at, account_id, data }
}
