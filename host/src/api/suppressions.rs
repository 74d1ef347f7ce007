//! Suppressions: addresses and domains that the account never mails. A domain stands for the addresses at it and not for
//! those at its subdomains, which have domains of their own.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::Value;

use super::auth::{MayRead, MayWrite};
use super::body::{self, Ids};
use super::deleted::Deleted;
use super::error::{ApiError, Code, Result};
use super::input::{Reading, read_wrapped};
use super::query::{Listed, Parameters};
use super::state::Api;
use super::values::{email, line};
use crate::domain::EmailAddress;
use crate::domain::ids::SuppressionId;
use crate::store::facts::suppressed::suppressed;
use crate::store::suppressions::{self, Suppression};

pub(super) async fn list(
    State(api): State<Api>,
    MayRead(caller): MayRead,
    mut parameters: Parameters,
) -> Result<Listed> {
    let asked = parameters.page();
    parameters.finish()?;
    let mut conn = api.app.store.read().await?;
    let rows = suppressions::list(&mut conn, caller.account, &asked.page()).await?;
    Ok(asked.answer(rows, |suppression| suppression.id, |suppression| suppression))
}

/// Takes `{"suppression": {"email": …}}` or `{"suppression": {"domain": …}}`; 200 and the standing one where there is one.
pub(super) async fn create(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    body::Json(body): body::Json,
) -> Result<(StatusCode, Json<Suppression>)> {
    let now = api.now();
    let suppression = read_wrapped(body, "suppression", |fields| {
        let (has_email, has_domain) = (fields.has("email"), fields.has("domain"));
        let email = fields.optional("email", email).map(|address| ("address", address.key()));
        let domain = fields.optional("domain", domain).map(|domain| ("domain", domain));
        let reason = fields.optional("reason", line(1, 200)).unwrap_or_else(|| "manual".to_owned());
        if has_email == has_domain {
            fields.note("", "must have either email or domain");
            return None;
        }
        let (kind, value) = email.or(domain)?;
        Some(Suppression { id: SuppressionId::new(now), kind: kind.to_owned(), value, reason, created_at: now })
    })?;
    let (standing, is_new) = suppressed(&api.app.store, caller.account, &suppression, now).await?;
    Ok((if is_new { StatusCode::CREATED } else { StatusCode::OK }, Json(standing)))
}

pub(super) async fn delete(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    Ids(id): Ids<SuppressionId>,
) -> Result<Json<Deleted<SuppressionId>>> {
    let mut tx = api.app.store.begin().await?;
    if !suppressions::delete(tx.conn(), caller.account, id).await? {
        return Err(ApiError::missing(Code::SuppressionNotFound));
    }
    tx.commit().await?;
    Ok(Json(Deleted::new(id)))
}

/// A domain in the form that addresses have it: lower-case ASCII.
fn domain(value: &Value) -> Reading<String> {
    let text = line(1, 253)(value)?;
    // A domain is one when an address can have it.
    EmailAddress::parse(&format!("a@{}", text.trim().trim_start_matches('@')))
        .map(|address| address.domain().to_owned())
        .map_err(|_| "must be a domain, such as example.org".to_owned())
}
