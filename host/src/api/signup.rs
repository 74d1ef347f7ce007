//! `POST /signup`: an account and its first key, where the operator lets anybody have one.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::address::Address;
use super::body;
use super::error::{ApiError, Code, Result};
use super::input::read;
use super::openapi::Error;
use super::state::Api;
use super::values::{email, line};
use crate::config::Signup;
use crate::domain::api_key::{ClientKind, NewApiKey, Scope};
use crate::domain::ids::{AccountId, ApiKeyId};
use crate::secrets::random_bytes;
use crate::store::accounts::{self, ApiKey};

/// A new account.
#[derive(Serialize, ToSchema)]
pub(super) struct SignedUp {
    account_id: AccountId,
    plan_slug: &'static str,
    api_key: FirstKey,
}

/// Its first key, which may do everything.
#[derive(Serialize, ToSchema)]
struct FirstKey {
    id: ApiKeyId,
    prefix: String,
    /// Shown here and never again.
    plaintext: String,
}

/// Who signs up.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape alone; `create` reads it")]
struct NewAccount {
    #[schema(format = "email")]
    email: String,
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
}

/// Sign up
///
/// Where the operator lets anybody have an account; `not_found` elsewhere. Five an hour from one address.
#[utoipa::path(post, path = "/signup", operation_id = "sign_up", tag = "Keys", security(()), request_body = NewAccount,
    responses((status = CREATED, description = "The account and its first key.", body = SignedUp),
        (status = NOT_FOUND, description = "Sign-up is closed here.", body = Error),
        (status = TOO_MANY_REQUESTS, description = "Five an hour for each address.", body = Error)))]
pub(super) async fn create(
    State(api): State<Api>,
    address: Address,
    body::Json(body): body::Json,
) -> Result<(StatusCode, HeaderMap, Json<SignedUp>)> {
    if api.app.config.signup == Signup::Closed {
        return Err(ApiError::new(Code::NotFound, "Signing up is closed here; ask the operator for a key."));
    }
    let (email, name) = read(body, |fields| {
        let email = fields.required("email", email);
        let name = fields.optional("name", line(1, 200));
        Some((email?, name))
    })?;
    let now = api.now();
    let standing = api.signups.count(address, now);
    if standing.is_over() {
        return Err(standing.refusal());
    }

    let account_id = AccountId::new(now);
    let new = NewApiKey::from_random(random_bytes());
    let key = ApiKey::of(&new, account_id, "First key", ClientKind::Direct, Scope::ALL.to_vec(), now);
    let mut tx = api.app.store.begin().await?;
    accounts::insert(tx.conn(), account_id, name.as_deref(), Some(&email.to_string()), now).await?;
    accounts::insert_key(tx.conn(), &key, &new.hash).await?;
    tx.commit().await?;
    let api_key = FirstKey { id: key.id, prefix: key.prefix, plaintext: new.reveal().to_owned() };
    let mut headers = HeaderMap::new();
    standing.write(&mut headers);
    Ok((StatusCode::CREATED, headers, Json(SignedUp { account_id, plan_slug: "self_hosted", api_key })))
}
