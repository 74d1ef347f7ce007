//! Extensions over HTTP: upload, look, try, delete. Scripts are an account's own; components are the system's.

pub(super) mod replay;

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::answer::Answer;
use super::auth::{Caller, MayExtend, MayRead};
use super::body::{self, Ids, Raw, check_charset, media_type};
use super::deleted::Deleted;
use super::error::{ApiError, Code, Result};
use super::input::{Reading, read};
use super::json::Given;
use super::openapi::{Bytes, Error};
use super::query::{Asked, Listed, PageParameters, Parameters};
use super::state::Api;
use super::values::word;
use crate::catalog::{Catalog, CatalogError, UploadError, Uploaded};
use crate::domain::Timestamp;
use crate::domain::ids::{AccountId, ExtensionId};
use crate::domain::status::Hook;
use crate::extensions::hooks::BadInput;
use crate::extensions::{CallRecord, EngineKind, HookInput, LogLine, shipped};
use crate::inbox::parse::parse;
use crate::store::extensions::{self, StoredExtension};
use crate::store::{Conn, deleted_versions};

/// A version of an extension.
#[derive(Serialize, ToSchema)]
pub(super) struct ExtensionShown {
    id: ExtensionId,
    name: String,
    version: String,
    /// `component` or `script`
    engine: String,
    hooks: Vec<Hook>,
    /// Of its content.
    sha256: String,
    /// `shipped`, `folder` or `upload`
    origin: String,
    /// Whose it is: `system` or `account`.
    owner: &'static str,
    /// `checked`, `active`, `shadow`, `suspended` or `retired`
    status: String,
    /// Why it is not loaded or rests, or why newer content of its file is not taken. Of one of the system's that rests it
    /// is the kind of its failure; the operator's log has the text.
    last_error: Option<String>,
    created_at: Timestamp,
}

/// A version with its manifest.
#[derive(Serialize, ToSchema)]
pub(super) struct ExtensionInFull {
    #[serde(flatten)]
    extension: ExtensionShown,
    #[schema(value_type = Object)]
    manifest: Value,
}

/// A version that was taken in.
#[derive(Serialize, ToSchema)]
pub(super) struct UploadAnswer {
    #[serde(flatten)]
    extension: ExtensionShown,
    examples: Examples,
}

/// The examples of its manifest, which came out as it says.
#[derive(Serialize, ToSchema)]
struct Examples {
    passed: usize,
}

/// What a trial call gave.
#[derive(Serialize, ToSchema)]
pub(super) struct TestAnswer {
    /// Null when the call failed.
    #[schema(value_type = Option<Object>)]
    decision: Option<Value>,
    error: Option<String>,
    /// `{"level", "message"}`
    #[schema(value_type = Vec<Object>)]
    logs: Vec<LogLine>,
    micros: u64,
    /// Of a script.
    operations: Option<u64>,
    /// Of a component; the same figure on every machine.
    instructions: Option<u64>,
    memory_bytes: Option<u64>,
}

/// What an extension is asked on trial.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape alone; `test` reads it")]
struct Trial {
    /// May be left out where the extension serves one.
    hook: Option<Hook>,
    /// What the hook is given.
    #[schema(value_type = Object)]
    input: Value,
}

/// The parameter, for the reference page.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the shape alone; `upload` reads it")]
pub(super) struct UploadParameters {
    /// `account` (the default for scripts) or `system`, which is what a component always is
    scope: Option<String>,
}

/// List the extensions
#[utoipa::path(get, path = "/extensions", operation_id = "list_extensions", tag = "Extensions", params(PageParameters),
    responses((status = OK, description = "The account's and the system's, newest first.", body = [ExtensionShown])))]
pub(super) async fn list(State(api): State<Api>, MayRead(caller): MayRead, asked: Asked) -> Result<Listed> {
    let mut conn = api.app.store.read().await?;
    let rows = extensions::list(&mut conn, caller.account, &asked.page()).await?;
    drop(conn);
    let account = asker_of(&api, &caller).await;
    Ok(asked.answer(rows, |extension| extension.id, |extension| shown(&api.catalog, account, extension)))
}

/// Upload an extension
///
/// A script becomes the account's own (`?scope=system` makes it the system's); a component is always the system's. It is
/// checked and its examples are run; nothing is bound by it. The same content again gives the version that stands.
#[utoipa::path(post, path = "/extensions", operation_id = "upload_extension", tag = "Extensions",
    params(UploadParameters), request_body(content((Bytes = "application/wasm"), (String = "text/rhai"))),
    responses((status = CREATED, description = "It is stored.", body = UploadAnswer)))]
pub(super) async fn upload(
    State(api): State<Api>,
    MayExtend(caller): MayExtend,
    mut parameters: Parameters,
    request: Request,
) -> Result<(StatusCode, Json<UploadAnswer>)> {
    let is_system = |text: &str| Some(text == "system").filter(|_| matches!(text, "system" | "account"));
    let for_system = parameters.optional("scope", is_system, "system or account");
    parameters.finish()?;
    let engine = engine_of(request.headers())?;
    if engine == EngineKind::Component && for_system == Some(false) {
        // What is asked of everybody's mail must not be stored by who meant their own.
        let mend = "must be system, or be left out: a component is the system's; a script can be an account's own";
        return Err(ApiError::invalid_field("scope", mend));
    }
    let owner = match for_system.unwrap_or(engine == EngineKind::Component) {
        true => {
            caller.require_system(&api).await?;
            None
        }
        false => Some(caller.account),
    };
    let _place = api.place_for_large_body().await?;
    let Raw(bytes) = Raw::from_request(request, &api).await?;
    let Uploaded { extension, examples_passed } = api.catalog.upload(owner, bytes, engine).await.map_err(refused)?;
    let extension = shown(&api.catalog, asker_of(&api, &caller).await, extension);
    Ok((StatusCode::CREATED, Json(UploadAnswer { extension, examples: Examples { passed: examples_passed } })))
}

/// Show an extension
#[utoipa::path(get, path = "/extensions/{id}", operation_id = "show_extension", tag = "Extensions",
    responses((status = OK, description = "With its manifest.", body = ExtensionInFull)))]
pub(super) async fn show(
    State(api): State<Api>,
    MayRead(caller): MayRead,
    Ids(id): Ids<ExtensionId>,
) -> Result<Json<ExtensionInFull>> {
    let mut conn = api.app.store.read().await?;
    let stored = visible(&mut conn, caller.account, id).await?;
    drop(conn);
    let manifest = stored.manifest.clone();
    let extension = shown(&api.catalog, asker_of(&api, &caller).await, stored);
    Ok(Json(ExtensionInFull { extension, manifest }))
}

/// Read a script
#[utoipa::path(get, path = "/extensions/{id}/source", operation_id = "show_extension_source", tag = "Extensions",
    responses((status = OK, description = "Its text.", body = String, content_type = "text/rhai"),
        (status = UNPROCESSABLE_ENTITY, description = "It is a component.", body = Error)))]
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

/// Delete an extension
///
/// Only one that is bound nowhere.
#[utoipa::path(delete, path = "/extensions/{id}", operation_id = "delete_extension", tag = "Extensions",
    responses((status = OK, description = "It is deleted.", body = Deleted<ExtensionId>)))]
pub(super) async fn delete(
    State(api): State<Api>,
    MayExtend(caller): MayExtend,
    Ids(id): Ids<ExtensionId>,
) -> Result<Answer> {
    let mut tx = api.app.store.begin().await?;
    let stored = visible(tx.conn(), caller.account, id).await?;
    require_owner(&api, &caller, &stored).await?;
    if stored.origin == "shipped" {
        return Err(ApiError::unprocessable("A shipped extension is part of the program; bind another before it."));
    }
    if extensions::is_bound(tx.conn(), id).await? {
        return Err(ApiError::unprocessable("The extension is bound; take it out of the bindings first."));
    }
    deleted_versions::remember(tx.conn(), id).await?;
    extensions::delete(tx.conn(), id).await?;
    caller.commit(tx, StatusCode::OK, &Deleted::new(id)).await
}

/// Try an extension
///
/// Asks the version once, whatever is bound; nothing is recorded. The body is `{"hook", "input"}`, or a raw message
/// (`message/rfc822`) for a reply classifier.
#[utoipa::path(post, path = "/extensions/{id}/test", operation_id = "test_extension", tag = "Extensions",
    request_body(content((Trial = "application/json"), (String = "message/rfc822"))),
    responses((status = OK, description = "What it decided, or why it failed.", body = TestAnswer)))]
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
fn input_of(body: Given, stored: &StoredExtension) -> Result<HookInput> {
    let anything = |value: &Value| -> Reading<Value> { Ok(value.clone()) };
    let (hook, input) = read(body, |fields| {
        let hook = fields.optional("hook", word(Hook::parse, Hook::ALL));
        let input = fields.required("input", anything);
        let hook = hook.or_else(|| stored.hooks.first().copied().filter(|_| stored.hooks.len() == 1));
        if hook.is_none() && !fields.is_wrong("hook") {
            fields.note("hook", "is required: the extension serves several");
        }
        Some((hook?, input?))
    })?;
    HookInput::from_json(hook, input).map_err(|BadInput { path, problem }| {
        let field = if path.is_empty() { "input".to_owned() } else { format!("input.{path}") };
        ApiError::invalid_field(field, problem)
    })
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
        "text/rhai" => check_charset(headers).map(|()| EngineKind::Script),
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

/// For whose questions a breaker matters to the caller: everybody's to the operator.
async fn asker_of(api: &Api, caller: &Caller) -> Option<AccountId> {
    caller.require_system(api).await.is_err().then_some(caller.account)
}

/// The status is the store's, but for a breaker that is open on this node, for this account or for anybody.
fn shown(catalog: &Catalog, account: Option<AccountId>, stored: StoredExtension) -> ExtensionShown {
    let is_suspended = catalog.loaded_by_id(stored.id).is_some_and(|it| it.last_failure(account).is_some());
    let owner = if stored.account_id.is_some() { "account" } else { "system" };
    let last_error = catalog.last_error(&stored, account);
    let StoredExtension { id, name, version, engine, hooks, sha256, origin, status, created_at, .. } = stored;
    let status = if is_suspended { "suspended".to_owned() } else { status };
    ExtensionShown { id, name, version, engine, hooks, sha256, origin, owner, status, last_error, created_at }
}
