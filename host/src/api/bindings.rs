//! Who is asked where: the bindings of a scope are read and replaced as a whole list. The installation's version of the
//! bindings is the ETag.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::Answer;
use super::auth::{Caller, MayExtend, MayRead};
use super::body;
use super::error::{ApiError, Code, Result};
use super::input::{Fields, read};
use super::openapi::Error;
use super::query::Parameters;
use super::state::Api;
use super::values::{id, line, word};
use crate::catalog::{BindError, BindingScope, NewBinding, ScopeKind, check_scope};
use crate::domain::ids::{AccountId, ExtensionId};
use crate::domain::status::Hook;
use crate::extensions::Mode;
use crate::store::extensions::{self, StoredBinding};

const SCOPES: &str = "system, account, campaign or credential";
const MOST_BINDINGS: usize = 100;

/// Who is asked where.
#[derive(Serialize, ToSchema)]
struct Bindings {
    bindings: Vec<BindingShown>,
}

/// One version at one hook.
#[derive(Serialize, ToSchema)]
struct BindingShown {
    /// `system`, `account`, `campaign` or `credential`
    scope: String,
    /// Of the account, campaign or credential.
    scope_id: Option<String>,
    hook: Hook,
    /// Its place among those of the scope and hook: the first is asked first.
    position: i64,
    extension_id: ExtensionId,
    /// `active`, or `shadow`: asked and not obeyed.
    mode: String,
}

/// The whole list of one scope.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape alone; `replace` reads it")]
struct NewBindings {
    /// In the order in which they are asked.
    #[schema(max_items = 100)]
    bindings: Vec<NewBindingFields>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape alone; `replace` reads it")]
struct NewBindingFields {
    /// `system`, `account` (the default), `campaign` or `credential`; the same in the whole list.
    scope: Option<String>,
    scope_id: Option<String>,
    hook: Hook,
    /// As GET gives it; the order of the list is what counts.
    position: Option<i64>,
    extension_id: ExtensionId,
    /// `active` (the default) or `shadow`
    mode: Option<String>,
}

/// The scope, for the reference page.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the shape alone; the handlers read it")]
pub(super) struct ScopeParameters {
    /// `system`, `account`, `campaign` or `credential`
    scope: Option<String>,
    /// Of the campaign or credential.
    scope_id: Option<String>,
}

/// The scope that one binding of a body names.
struct Named {
    scope: Option<ScopeKind>,
    scope_id: Option<String>,
    binding: NewBinding,
}

/// List the bindings
///
/// Without `scope`: the system's and all of the account's. The header `ETag` has the version of all bindings.
#[utoipa::path(get, path = "/bindings", operation_id = "list_bindings", tag = "Extensions", params(ScopeParameters),
    responses((status = OK, description = "In the order in which they are asked.", body = Bindings),
        (status = NOT_FOUND, description = "`campaign_not_found`, `smtp_credential_not_found`: the scope is not yours.",
            body = Error)))]
pub(super) async fn list(
    State(api): State<Api>,
    MayRead(caller): MayRead,
    mut parameters: Parameters,
) -> Result<Answer> {
    let asked = asked_scope(&mut parameters, &caller);
    parameters.finish()?;
    let mut conn = api.app.store.read().await?;
    if let Some(scope) = asked {
        check_scope(&mut conn, scope).await.map_err(not_bound)?;
    }
    let version = extensions::bindings_version(&mut conn).await?;
    let mut bindings = extensions::all_bindings(&mut conn).await?;
    bindings.retain(|binding| is_seen(binding, caller.account, asked));
    Ok(answer(version, bindings))
}

/// Replace the bindings of a scope
///
/// `?scope=&scope_id=` names the scope; without it the list does, or it is the account's. With `If-Match` only when
/// nobody has changed any bindings since.
#[utoipa::path(put, path = "/bindings", operation_id = "replace_bindings", tag = "Extensions",
    params(ScopeParameters, ("If-Match" = Option<String>, Header, description = "The `ETag` that GET gave.")),
    request_body = NewBindings,
    responses((status = OK, description = "As they are now.", body = Bindings),
        (status = NOT_FOUND, description = "`campaign_not_found`, `smtp_credential_not_found`: the scope is not yours.",
            body = Error),
        (status = PRECONDITION_FAILED, description = "Somebody changed them since.", body = Error)))]
pub(super) async fn replace(
    State(api): State<Api>,
    MayExtend(caller): MayExtend,
    mut parameters: Parameters,
    headers: HeaderMap,
    body::Json(body): body::Json,
) -> Result<Answer> {
    let asked = asked_scope(&mut parameters, &caller);
    parameters.finish()?;
    let if_match = if_match(&headers)?;
    let named = read(body, |fields| {
        let named = fields.objects("bindings", named_binding)?;
        if named.len() > MOST_BINDINGS {
            fields.note("bindings", format!("must have at most {MOST_BINDINGS}"));
        }
        Some(named)
    })?;
    let scope = match (asked, named.first()) {
        (Some(scope), _) => scope,
        (None, Some(first)) => named_scope(&caller, 0, first.scope.unwrap_or(ScopeKind::Account), first)?,
        (None, None) => BindingScope::Account(caller.account),
    };
    check_same_scope(&caller, &named, scope)?;
    if scope == BindingScope::System {
        caller.require_system(&api).await?;
    }
    let list: Vec<NewBinding> = named.into_iter().map(|named| named.binding).collect();
    let (mut tx, version) = api.catalog.begin_replacing(scope, &list, if_match).await.map_err(not_bound)?;
    let mut bindings = extensions::all_bindings(tx.conn()).await?;
    bindings.retain(|binding| is_seen(binding, caller.account, Some(scope)));
    let answer = caller.commit_answer(tx, answer(version, bindings)).await?;
    api.catalog.refresh_if_changed().await?;
    Ok(answer)
}

fn named_binding(fields: &mut Fields<'_>) -> Option<Named> {
    let scope = fields.optional("scope", word(ScopeKind::parse, ScopeKind::ALL));
    let scope_id = fields.optional("scope_id", line(0, 64)).filter(|id| !id.is_empty());
    // Given back by GET; the order of the list is what counts.
    fields.optional("position", |_| Ok(()));
    let hook = fields.required("hook", word(Hook::parse, Hook::ALL));
    let extension_id = fields.required("extension_id", id::<ExtensionId>);
    let mode = fields.optional("mode", word(Mode::parse, Mode::ALL)).unwrap_or(Mode::Active);
    Some(Named { scope, scope_id, binding: NewBinding { hook: hook?, extension_id: extension_id?, mode } })
}

/// The scope that the query names, if it does; what is wrong with it is noted.
fn asked_scope(parameters: &mut Parameters, caller: &Caller) -> Option<BindingScope> {
    let scope = parameters.optional("scope", ScopeKind::parse, SCOPES);
    let scope_id = parameters.optional("scope_id", |text| Some(text.to_owned()), "an id");
    let Some(scope) = scope else {
        if scope_id.is_some() && !parameters.is_given("scope") {
            parameters
                .note("scope_id", "needs scope beside it, which says what it is the id of: campaign or credential");
        }
        return None;
    };
    scope_of(caller, scope, scope_id.as_deref()).map_err(|problem| parameters.note("scope_id", problem)).ok()
}

/// The scope that one binding of the body names.
fn named_scope(caller: &Caller, index: usize, scope: ScopeKind, named: &Named) -> Result<BindingScope> {
    let told = |problem| ApiError::invalid_field(format!("bindings.{index}.scope_id"), problem);
    scope_of(caller, scope, named.scope_id.as_deref()).map_err(told)
}

/// The error says what is wrong with the id.
fn scope_of(
    caller: &Caller,
    scope: ScopeKind,
    scope_id: Option<&str>,
) -> std::result::Result<BindingScope, &'static str> {
    match scope {
        ScopeKind::System if scope_id.is_some() => Err("must be left out: there is one system"),
        ScopeKind::System => Ok(BindingScope::System),
        ScopeKind::Account => match scope_id.map(str::parse::<AccountId>) {
            None => Ok(BindingScope::Account(caller.account)),
            Some(Ok(id)) if id == caller.account => Ok(BindingScope::Account(id)),
            Some(_) => Err("is not your account's id"),
        },
        ScopeKind::Campaign => {
            let id = scope_id.and_then(|id| id.parse().ok()).ok_or("must be the id of a campaign")?;
            Ok(BindingScope::Campaign(caller.account, id))
        }
        ScopeKind::Credential => {
            let id = scope_id.and_then(|id| id.parse().ok()).ok_or("must be the id of a credential")?;
            Ok(BindingScope::Credential(caller.account, id))
        }
    }
}

fn check_same_scope(caller: &Caller, named: &[Named], scope: BindingScope) -> Result<()> {
    for (index, one) in named.iter().enumerate() {
        let Some(word) = one.scope else { continue };
        if named_scope(caller, index, word, one)? != scope {
            let problem = "is another scope than the list's; a list is replaced for one scope at a time";
            return Err(ApiError::invalid_field(format!("bindings.{index}.scope"), problem));
        }
    }
    Ok(())
}

/// `If-Match: "7"`; `*` and absence match any version.
fn if_match(headers: &HeaderMap) -> Result<Option<i64>> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let version = text.strip_prefix("W/").unwrap_or(text).trim_matches('"').parse();
    version.map(Some).map_err(|_| ApiError::bad_request("If-Match must be an ETag that GET /bindings gave."))
}

fn is_seen(binding: &StoredBinding, account: AccountId, asked: Option<BindingScope>) -> bool {
    match asked {
        Some(scope) => {
            binding.scope == scope.kind().as_str()
                && binding.scope_id == scope.id()
                && binding.account_id == scope.owner()
        }
        None => binding.account_id.is_none_or(|owner| owner == account),
    }
}

fn answer(version: i64, bindings: Vec<StoredBinding>) -> Answer {
    let shown = |binding: StoredBinding| {
        let StoredBinding { account_id: _, scope, scope_id, hook, position, extension_id, mode } = binding;
        let scope_id = Some(scope_id).filter(|id| !id.is_empty());
        BindingShown { scope, scope_id, hook, position, extension_id, mode }
    };
    let bindings = Bindings { bindings: bindings.into_iter().map(shown).collect() };
    Answer::json(StatusCode::OK, &bindings).with_etag(format!("\"{version}\""))
}

fn not_bound(error: BindError) -> ApiError {
    let problem = error.to_string();
    match error {
        BindError::Store(error) => error.into(),
        BindError::Changed { .. } => ApiError::new(Code::PreconditionFailed, problem),
        BindError::UnknownScope { scope: ScopeKind::Campaign } => ApiError::missing(Code::CampaignNotFound),
        BindError::UnknownScope { .. } => ApiError::missing(Code::SmtpCredentialNotFound),
        BindError::UnknownExtension { index } | BindError::NotLoadable { index, .. } => {
            ApiError::invalid_field(format!("bindings.{index}.extension_id"), problem)
        }
        BindError::NotServed { index, .. } | BindError::NeverAsked { index, .. } => {
            ApiError::invalid_field(format!("bindings.{index}.hook"), problem)
        }
    }
}
