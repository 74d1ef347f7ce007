//! `GET /decisions`: what extensions decided, newest first.

use axum::extract::State;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::auth::MayRead;
use super::error::Result;
use super::openapi::Error;
use super::query::{Listed, PageParameters, Parameters};
use super::state::Api;
use crate::domain::Timestamp;
use crate::domain::ids::{DecisionId, EnrollmentId, ExtensionId};
use crate::domain::status::Hook;
use crate::store::decisions::{self, DecidedBy, Decision};

/// One decision of an extension, or of the engine's own rule.
#[derive(Serialize, ToSchema)]
pub(super) struct DecisionShown {
    id: DecisionId,
    hook: Hook,
    /// The inbound message, provider request, credential or send that was judged.
    subject_id: String,
    enrollment_id: Option<EnrollmentId>,
    /// Null: the engine's own rule.
    by: Option<ByShown>,
    /// `active`, or `shadow`: asked and not obeyed.
    mode: String,
    /// Null when the call failed.
    #[schema(value_type = Option<Object>)]
    decision: Option<Value>,
    error: Option<String>,
    logs: Vec<String>,
    /// How long it took.
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

/// The filters, for the reference page.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the shape alone; `list` reads them")]
pub(super) struct DecisionFilters {
    hook: Option<Hook>,
    /// Of this version alone.
    extension_id: Option<ExtensionId>,
}

/// List the decisions
#[utoipa::path(get, path = "/decisions", operation_id = "list_decisions", tag = "Extensions",
    params(PageParameters, DecisionFilters),
    responses((status = OK, description = "Newest first.", body = [DecisionShown]),
        (status = NOT_FOUND, description = "There is no such extension.", body = Error)))]
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
