//! `POST /signup`: an account and its first key, where the operator lets anybody have one.

use std::net::{IpAddr, SocketAddr};

use axum::Json;
use axum::extract::{ConnectInfo, FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::Serialize;

use super::accounts::new_key;
use super::body;
use super::error::{ApiError, Code, Result};
use super::input::read;
use super::state::Api;
use super::values::{email, line};
use crate::config::Signup;
use crate::domain::api_key::Scope;
use crate::domain::ids::{AccountId, ApiKeyId};
use crate::store::accounts;

/// Where the call came from; unknown where the server does not tell.
pub(super) struct Peer(Option<IpAddr>);

#[derive(Serialize)]
pub(super) struct SignedUp {
    account_id: AccountId,
    plan_slug: &'static str,
    api_key: FirstKey,
}

#[derive(Serialize)]
struct FirstKey {
    id: ApiKeyId,
    prefix: String,
    plaintext: String,
}

impl FromRequestParts<Api> for Peer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self> {
        Ok(Self(parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip())))
    }
}

pub(super) async fn create(
    State(api): State<Api>,
    Peer(peer): Peer,
    body::Json(body): body::Json,
) -> Result<(StatusCode, Json<SignedUp>)> {
    if api.app.config.signup == Signup::Closed {
        return Err(ApiError::new(Code::NotFound, "Signing up is closed here; ask the operator for a key."));
    }
    let now = api.now();
    api.signups.count(peer, now).map_err(|(error, _)| error)?;
    let (email, name) = read(body, |fields| {
        let email = fields.required("email", email);
        let name = fields.optional("name", line(1, 200));
        Some((email?, name))
    })?;

    let account_id = AccountId::new(now);
    let (key, new) = new_key(account_id, "First key", "direct", Scope::ALL.to_vec(), now);
    let mut tx = api.app.store.begin().await?;
    accounts::insert(tx.conn(), account_id, name.as_deref(), Some(&email.to_string()), now).await?;
    accounts::insert_key(tx.conn(), &key, &new.hash).await?;
    tx.commit().await?;
    let api_key = FirstKey { id: key.id, prefix: key.prefix, plaintext: new.reveal().to_owned() };
    Ok((StatusCode::CREATED, Json(SignedUp { account_id, plan_slug: "self_hosted", api_key })))
}
