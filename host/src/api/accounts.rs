//! API keys of the account.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::Answer;
use super::auth::MayAdmin;
use super::body::{self, Ids};
use super::error::{ApiError, Code, Result};
use super::input::{Fields, read};
use super::query::{Asked, Listed, PageParameters};
use super::state::Api;
use super::values::{line, word};
use crate::domain::Timestamp;
use crate::domain::api_key::{ClientKind, NewApiKey, Scope};
use crate::domain::ids::ApiKeyId;
use crate::secrets::random_bytes;
use crate::store::accounts::{self, ApiKey, Revocation};

/// A key without the key.
#[derive(Serialize, ToSchema)]
pub(super) struct KeyShown {
    id: ApiKeyId,
    /// Its first twelve characters.
    prefix: String,
    label: String,
    client_kind: ClientKind,
    scopes: Vec<Scope>,
    /// Written a few times a minute.
    last_used_at: Option<Timestamp>,
    created_at: Timestamp,
}

/// A new key, whole for this once.
#[derive(Serialize, ToSchema)]
pub(super) struct KeyMade {
    #[serde(flatten)]
    key: KeyShown,
    /// Shown here and never again.
    plaintext: String,
}

/// A key that works nowhere any more.
#[derive(Serialize, ToSchema)]
pub(super) struct Revoked {
    id: ApiKeyId,
    /// `revoked`
    status: &'static str,
}

/// A new key.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape alone; `create` reads it")]
struct NewKey {
    #[schema(min_length = 1, max_length = 200)]
    label: String,
    /// Through what it will be used; `direct` by default.
    client_kind: Option<ClientKind>,
    /// What it may do: no more than the key that makes it, and by default the same.
    scopes: Option<Vec<Scope>>,
}

/// List the keys
#[utoipa::path(get, path = "/api_keys", operation_id = "list_api_keys", tag = "Keys", params(PageParameters),
    responses((status = OK, description = "Those that are not revoked, newest first.", body = [KeyShown])))]

pub(super) async fn list(State(api): State<Api>, MayAdmin(caller): MayAdmin, asked: Asked) -> Result<Listed> {
    let mut conn = api.app.store.read().await?;
    let keys = accounts::list_keys(&mut conn, caller.account, &asked.page()).await?;
    Ok(asked.answer(keys, |key| key.id, shown))
}

/// Make a key
#[utoipa::path(post, path = "/api_keys", operation_id = "create_api_key", tag = "Keys", request_body = NewKey,
    responses((status = CREATED, description = "It is made, and shown this once.", body = KeyMade)))]
pub(super) async fn create(
    State(api): State<Api>,
    MayAdmin(caller): MayAdmin,
    body::Json(body): body::Json,
) -> Result<Answer> {
    let (label, kind, scopes) = read(body, |fields| new_key_fields(fields, &caller.scopes))?;
    let new = NewApiKey::from_random(random_bytes());
    let key = ApiKey::of(&new, caller.account, &label, kind, scopes, api.now());
    let mut tx = api.app.store.begin().await?;
    accounts::insert_key(tx.conn(), &key, &new.hash).await?;
    let made = KeyMade { key: shown(key), plaintext: new.reveal().to_owned() };
    caller.commit(tx, StatusCode::CREATED, &made).await
}

/// Revoke a key
///
/// It works nowhere from then on. The account's last key stays: `cannot_revoke_last_key`.
#[utoipa::path(delete, path = "/api_keys/{id}", operation_id = "revoke_api_key", tag = "Keys",
    responses((status = OK, description = "It is revoked.", body = Revoked)))]

pub(super) async fn revoke(
    State(api): State<Api>,
    MayAdmin(caller): MayAdmin,
    Ids(id): Ids<ApiKeyId>,
) -> Result<Answer> {
    let mut tx = api.app.store.begin().await?;
    if accounts::is_last_admin(&mut tx, caller.account, id).await? {
        // Nobody but the operator could make one then.
        let message = "This is the last of the account's keys that may admin keys; make another one first.";
        return Err(ApiError::new(Code::CannotRevokeLastKey, message));
    }
    match accounts::revoke_key(&mut tx, caller.account, id, api.now()).await? {
        Revocation::Revoked => caller.commit(tx, StatusCode::OK, &Revoked { id, status: "revoked" }).await,
        Revocation::Missing => Err(ApiError::missing(Code::ApiKeyNotFound)),
        Revocation::Last => {
            let message = "This is the account's last key; make another one first.";
            Err(ApiError::new(Code::CannotRevokeLastKey, message))
        }
    }
}

/// A key may have no scope that its maker lacks, and without a word it has what its maker has: a key that leaks can't be
/// used to make a stronger one.
fn new_key_fields(fields: &mut Fields<'_>, own: &[Scope]) -> Option<(String, ClientKind, Vec<Scope>)> {
    let label = fields.required("label", line(1, 200));
    let kind = fields.optional("client_kind", word(ClientKind::parse, ClientKind::ALL));
    let scopes = fields.optional_values("scopes", |value| {
        let scope = word(Scope::parse, Scope::ALL)(value)?;
        if own.contains(&scope) { Ok(scope) } else { Err("is a scope that your own key does not have".to_owned()) }
    });
    if scopes.as_ref().is_some_and(Vec::is_empty) {
        fields.note("scopes", "must not be empty; leave it out for all that your own key may do");
    }
    let mut scopes = scopes.unwrap_or_else(|| own.to_vec());
    scopes.sort_by_key(|scope| Scope::ALL.iter().position(|other| other == scope));
    scopes.dedup();
    Some((label?, kind.unwrap_or(ClientKind::Direct), scopes))
}

fn shown(key: ApiKey) -> KeyShown {
    let ApiKey { id, account_id: _, prefix, label, client_kind, scopes, last_used_at, created_at } = key;
    KeyShown { id, prefix, label, client_kind, scopes, last_used_at, created_at }
}
