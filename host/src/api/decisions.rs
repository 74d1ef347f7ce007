//! `GET /decisions`: what extensions decided, newest first.

use axum::extract::State;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::auth::MayRead;
use super::error::Result;
use super::query::{Listed, Parameters};
use super::state::Api;
use crate::domain::Timestamp;
use crate::domain::ids::{DecisionId, EnrollmentId, ExtensionId};
use crate::domain::status::Hook;
use crate::store::decisions::{self, DecidedBy, Decision};

#[derive(Serialize)]
pub(super) struct DecisionShown {
    id: DecisionId,
    hook: Hook,
    subject_id: String,
    enrollment_id: Option<EnrollmentId>,
    by: Option<ByShown>,
    mode: String,
    decision: Option<Value>,
    error: Option<String>,
    logs: Vec<String>,
    micros: u64,
    at: Timestamp,
}

/// The version that decided.
#[derive(Serialize, ToSchema)]
pub(super) struct ByShown {
    name: String,
    version: String,
    sha256: String,
}

pub(super) async fn list(
    State(api): State<Api>,
    MayRead(caller): MayRead,
    mut parameters: Parameters,
) -> Result<Listed> {
    let asked = parameters.page();
    let hooks = Hook::ALL.iter().map(|hook| hook.as_str()).collect::<Vec<_>>().join(", ");
    let hook = parameters.optional("hook", Hook::parse, format!("one of {hooks}"));
    let extension = parameters.id::<ExtensionId>("extension_id");
    parameters.finish()?;
    let mut conn = api.app.store.read().await?;
    let sha256 = match extension {
        None => None,
        Some(id) => Some(super::extensions::visible(&mut conn, caller.account, id).await?.sha256),
    };
    let rows = decisions::list_of(&mut conn, caller.account, hook, sha256.as_deref(), &asked.page()).await?;
    Ok(asked.answer(rows, |decision| decision.id, shown))
}

/// Who decided, as the timeline shows it.
pub(super) fn by_shown(by: DecidedBy) -> ByShown {
    ByShown { name: by.name, version: by.version, sha256: by.sha256 }
}

fn shown(decision: Decision) -> DecisionShown {
    let Decision { id, account_id: _, hook, subject_id, enrollment_id, by, mode, decision, error, logs, micros, at } =
        decision;
    DecisionShown { id, hook, subject_id, enrollment_id, by: by.map(by_shown), mode, decision, error, logs, micros, at }
}
