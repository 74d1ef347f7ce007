//! API keys of the account.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;

use super::auth::MayAdmin;
use super::body::{self, Ids};
use super::error::{ApiError, Code, Result};
use super::input::{Fields, read};
use super::query::{Asked, Listed};
use super::state::Api;
use super::values::{line, word};
use crate::domain::Timestamp;
use crate::domain::api_key::{ClientKind, NewApiKey, Scope};
use crate::domain::ids::ApiKeyId;
use crate::secrets::random_bytes;
use crate::store::accounts::{self, ApiKey, Revocation};

#[derive(Serialize)]
pub(super) struct KeyShown {
    id: ApiKeyId,
    prefix: String,
    label: String,
    client_kind: ClientKind,
    scopes: Vec<Scope>,
    last_used_at: Option<Timestamp>,
    created_at: Timestamp,
}

#[derive(Serialize)]
pub(super) struct KeyMade {
    #[serde(flatten)]
    key: KeyShown,
    plaintext: String,
}

#[derive(Serialize)]
pub(super) struct Revoked {
    id: ApiKeyId,
    status: &'static str,
}

pub(super) async fn list(State(api): State<Api>, MayAdmin(caller): MayAdmin, asked: Asked) -> Result<Listed> {
    let mut conn = api.app.store.read().await?;
    let keys = accounts::list_keys(&mut conn, caller.account, &asked.page()).await?;
    Ok(asked.answer(keys, |key| key.id, shown))
}

pub(super) async fn create(
    State(api): State<Api>,
    MayAdmin(caller): MayAdmin,
    body::Json(body): body::Json,
) -> Result<(StatusCode, Json<KeyMade>)> {
    let (label, kind, scopes) = read(body, |fields| new_key_fields(fields, &caller.scopes))?;
    let new = NewApiKey::from_random(random_bytes());
    let key = ApiKey::of(&new, caller.account, &label, kind, scopes, api.now());
    let mut tx = api.app.store.begin().await?;
    accounts::insert_key(tx.conn(), &key, &new.hash).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(KeyMade { key: shown(key), plaintext: new.reveal().to_owned() })))
}

pub(super) async fn revoke(
    State(api): State<Api>,
    MayAdmin(caller): MayAdmin,
    Ids(id): Ids<ApiKeyId>,
) -> Result<Json<Revoked>> {
    let mut tx = api.app.store.begin().await?;
    match accounts::revoke_key(&mut tx, caller.account, id, api.now()).await? {
        Revocation::Revoked => tx.commit().await?,
        Revocation::Missing => return Err(ApiError::missing(Code::ApiKeyNotFound)),
        Revocation::Last => {
            let message = "This is the account's last key; make another one first.";
            return Err(ApiError::new(Code::CannotRevokeLastKey, message));
        }
    }
    Ok(Json(Revoked { id, status: "revoked" }))
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
    let mut scopes = scopes.unwrap_or_else(|| own.to_vec());
    scopes.sort_by_key(|scope| Scope::ALL.iter().position(|other| other == scope));
    scopes.dedup();
    Some((label?, kind.unwrap_or(ClientKind::Direct), scopes))
}

fn shown(key: ApiKey) -> KeyShown {
    let ApiKey { id, account_id: _, prefix, label, client_kind, scopes, last_used_at, created_at } = key;
    KeyShown { id, prefix, label, client_kind, scopes, last_used_at, created_at }
}
