//! Extensions over HTTP: upload, look, try, delete. Scripts are an account's own; components are the system's.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;

use super::auth::{Caller, MayExtend, MayRead};
use super::body::{self, Ids, Raw, media_type};
use super::deleted::Deleted;
use super::error::{ApiError, Code, Result};
use super::input::{Reading, read};
use super::query::{Listed, Parameters};
use super::state::Api;
use super::values::word;
use crate::catalog::{Catalog, CatalogError, UploadError, Uploaded};
use crate::domain::Timestamp;
use crate::domain::ids::{AccountId, ExtensionId};
use crate::domain::status::Hook;
use crate::extensions::{CallRecord, EngineKind, HookInput, LogLine, shipped};
use crate::inbox::parse::parse;
use crate::store::Conn;
use crate::store::extensions::{self, StoredExtension};

#[derive(Serialize)]
pub(super) struct ExtensionShown {
    id: ExtensionId,
    name: String,
    version: String,
    engine: String,
    hooks: Vec<Hook>,
    sha256: String,
    origin: String,
    /// Whose it is: `system` or `account`.
    owner: &'static str,
    status: String,
    created_at: Timestamp,
}

#[derive(Serialize)]
pub(super) struct ExtensionInFull {
    #[serde(flatten)]
    extension: ExtensionShown,
    manifest: Value,
}

#[derive(Serialize)]
pub(super) struct UploadAnswer {
    #[serde(flatten)]
    extension: ExtensionShown,
    examples: Examples,
}

#[derive(Serialize)]
struct Examples {
    passed: usize,
}

/// What a trial call gave.
#[derive(Serialize)]
pub(super) struct TestAnswer {
    decision: Option<Value>,
    error: Option<String>,
    logs: Vec<LogLine>,
    micros: u64,
    /// Of a script.
    operations: Option<u64>,
    /// Of a component; the same figure on every machine.
    instructions: Option<u64>,
    memory_bytes: Option<u64>,
}

pub(super) async fn list(
    State(api): State<Api>,
    MayRead(caller): MayRead,
    mut parameters: Parameters,
) -> Result<Listed> {
    let asked = parameters.page();
    parameters.finish()?;
    let mut conn = api.app.store.read().await?;
    let rows = extensions::list(&mut conn, caller.account, &asked.page()).await?;
    Ok(asked.answer(rows, |extension| extension.id, |extension| shown(&api.catalog, extension)))
}

/// A script becomes the account's own (`?scope=system` makes it the system's); a component is always the system's.
pub(super) async fn upload(
    State(api): State<Api>,
    MayExtend(caller): MayExtend,
    mut parameters: Parameters,
    request: Request,
) -> Result<(StatusCode, Json<UploadAnswer>)> {
    let is_scope = |text: &str| Some(text == "system").filter(|_| matches!(text, "system" | "account"));
    let for_system = parameters.optional("scope", is_scope, "system or account").unwrap_or(false);
    parameters.finish()?;
    let engine = engine_of(request.headers())?;
    let owner = match for_system || engine == EngineKind::Component {
        true => {
            caller.require_system(&api).await?;
            None
        }
        false => Some(caller.account),
    };
    let _permit = api.large_bodies.acquire().await.map_err(ApiError::internal)?;
    let Raw(bytes) = Raw::from_request(request, &api).await?;
    let Uploaded { extension, examples_passed } = api.catalog.upload(owner, bytes, engine).await.map_err(refused)?;
    let extension = shown(&api.catalog, extension);
    Ok((StatusCode::CREATED, Json(UploadAnswer { extension, examples: Examples { passed: examples_passed } })))
}

pub(super) async fn show(
    State(api): State<Api>,
    MayRead(caller): MayRead,
    Ids(id): Ids<ExtensionId>,
) -> Result<Json<ExtensionInFull>> {
    let mut conn = api.app.store.read().await?;
    let stored = visible(&mut conn, caller.account, id).await?;
    let manifest = stored.manifest.clone();
    Ok(Json(ExtensionInFull { extension: shown(&api.catalog, stored), manifest }))
}

pub(super) async fn source(
    State(api): State<Api>,
    MayRead(caller): MayRead,
    Ids(id): Ids<ExtensionId>,
) -> Result<Response> {
    let mut conn = api.app.store.read().await?;
    let stored = visible(&mut conn, caller.account, id).await?;
    if stored.engine != EngineKind::Script.as_str() {
        return Err(ApiError::unprocessable("Only scripts have a source here; this is a component."));
    }
    let content = match extensions::content(&mut conn, id).await? {
        Some(content) => content,
        None => shipped::bytes_of(&stored.sha256).ok_or_else(|| ApiError::missing(Code::ExtensionNotFound))?.to_vec(),
    };
    Ok(([(header::CONTENT_TYPE, "text/rhai; charset=utf-8")], content).into_response())
}

pub(super) async fn delete(
    State(api): State<Api>,
    MayExtend(caller): MayExtend,
    Ids(id): Ids<ExtensionId>,
) -> Result<Json<Deleted<ExtensionId>>> {
    let mut tx = api.app.store.begin().await?;
    let stored = visible(tx.conn(), caller.account, id).await?;
    require_owner(&api, &caller, &stored).await?;
    if stored.origin == "shipped" {
        return Err(ApiError::unprocessable("A shipped extension is part of the program; bind another before it."));
    }
    if extensions::is_bound(tx.conn(), id).await? {
        return Err(ApiError::unprocessable("The extension is bound; take it out of the bindings first."));
    }
    extensions::delete(tx.conn(), id).await?;
    tx.commit().await?;
    Ok(Json(Deleted::new(id)))
}

/// Asks the version once, whatever is bound; nothing is recorded. The body is `{"hook", "input"}`, or a raw message
/// (`message/rfc822`) for a reply classifier.
pub(super) async fn test(
    State(api): State<Api>,
    MayExtend(caller): MayExtend,
    Ids(id): Ids<ExtensionId>,
    request: Request,
) -> Result<Json<TestAnswer>> {
    let mut conn = api.app.store.read().await?;
    let stored = visible(&mut conn, caller.account, id).await?;
    drop(conn);
    let input = match media_type(request.headers()).as_str() {
        "message/rfc822" => {
            let Raw(bytes) = Raw::from_request(request, &api).await?;
            HookInput::ReplyClassifier(Arc::new(parse(&bytes, api.now()).message))
        }
        _ => {
            let body::Json(body) = body::Json::from_request(request, &api).await?;
            input_of(body, &stored)?
        }
    };
    if !stored.hooks.contains(&input.hook()) {
        return Err(ApiError::invalid_field("hook", format!("{} does not serve {}", stored.name, input.hook())));
    }
    let called = api.catalog.test(&stored, &input).await.map_err(not_loaded)?;
    let (decision, error) = match called.answer {
        Ok(decision) => (Some(decision.to_json()), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let CallRecord { logs, micros, operations, instructions, memory_bytes } = called.record;
    Ok(Json(TestAnswer { decision, error, logs, micros, operations, instructions, memory_bytes }))
}

/// `{"hook", "input"}`; the hook may be left out where the extension serves one.
fn input_of(body: Value, stored: &StoredExtension) -> Result<HookInput> {
    let anything = |value: &Value| -> Reading<Value> { Ok(value.clone()) };
    let (hook, input) = read(body, |fields| {
        let hook = fields.optional("hook", word(Hook::parse, Hook::ALL));
        let input = fields.required("input", anything);
        let hook = hook.or_else(|| stored.hooks.first().copied().filter(|_| stored.hooks.len() == 1));
        if hook.is_none() {
            fields.note("hook", "is required: the extension serves several");
        }
        Some((hook?, input?))
    })?;
    HookInput::from_json(hook, input).map_err(|error| ApiError::invalid_field("input", error.to_string()))
}

/// An extension that the account may see: the system's or its own.
pub(super) async fn visible(conn: &mut Conn, account: AccountId, id: ExtensionId) -> Result<StoredExtension> {
    let stored = extensions::get(conn, id).await?;
    let visible = stored.filter(|stored| stored.account_id.is_none_or(|owner| owner == account));
    visible.ok_or_else(|| ApiError::missing(Code::ExtensionNotFound))
}

async fn require_owner(api: &Api, caller: &Caller, stored: &StoredExtension) -> Result<()> {
    match stored.account_id {
        Some(_) => Ok(()),
        None => caller.require_system(api).await,
    }
}

fn engine_of(headers: &HeaderMap) -> Result<EngineKind> {
    match media_type(headers).as_str() {
        "application/wasm" => Ok(EngineKind::Component),
        "text/rhai" => Ok(EngineKind::Script),
        _ => Err(ApiError::bad_request("Send the file with Content-Type: application/wasm or text/rhai.")),
    }
}

fn refused(error: UploadError) -> ApiError {
    match error {
        UploadError::Refused(error) => ApiError::unprocessable(error.to_string()),
        UploadError::Store(error) => error.into(),
        rule => ApiError::unprocessable(rule.to_string()),
    }
}

fn not_loaded(error: CatalogError) -> ApiError {
    match error {
        CatalogError::Store(error) => error.into(),
        rule => ApiError::unprocessable(rule.to_string()),
    }
}

/// The status is the store's, but for a breaker that is open on this node.
fn shown(catalog: &Catalog, stored: StoredExtension) -> ExtensionShown {
    let is_suspended = catalog.loaded_by_id(stored.id).is_some_and(|extension| extension.is_suspended());
    let owner = if stored.account_id.is_some() { "account" } else { "system" };
    let StoredExtension { id, name, version, engine, hooks, sha256, origin, status, created_at, .. } = stored;
    let status = if is_suspended { "suspended".to_owned() } else { status };
    ExtensionShown { id, name, version, engine, hooks, sha256, origin, owner, status, created_at }
}
