//! Suppressions: addresses and domains that the account never mails. A domain stands for the addresses at it and not for
//! those at its subdomains, which have domains of their own.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::answer::Answer;
use super::auth::{MayRead, MayWrite};
use super::body::{self, Ids};
use super::deleted::Deleted;
use super::error::{ApiError, Code, Result};
use super::input::{Reading, read_wrapped};
use super::query::{Listed, PageParameters, Parameters};
use super::state::Api;
use super::values::{email, line};
use crate::domain::ids::SuppressionId;
use crate::domain::{EmailAddress, Timestamp};
use crate::store::facts::suppressed::stop_planned;
use crate::store::suppressions::{self, Suppression};

/// An address or a domain that is never mailed.
#[derive(Serialize, ToSchema)]
pub(super) struct SuppressionShown {
    id: SuppressionId,
    /// A domain stands for the addresses at it, and not for those at its subdomains.
    kind: Kind,
    /// In lower case; a domain in ASCII.
    value: String,
    /// Why: `manual`, `hard bounce`, `complaint`, `unsubscribed`, or what it was made with.
    reason: String,
    created_at: Timestamp,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Address,
    Domain,
}

/// What is never to be mailed: either an address or a domain.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape alone; `create` reads it")]
struct NewSuppression {
    suppression: SuppressionFields,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape alone; `create` reads it")]
struct SuppressionFields {
    /// An address, in any case and script.
    email: Option<String>,
    /// A domain, in any case and script; a leading `@` is passed over.
    #[schema(min_length = 1, max_length = 253)]
    domain: Option<String>,
    #[schema(min_length = 1, max_length = 200, default = "manual")]
    reason: Option<String>,
}

/// List what is never mailed
#[utoipa::path(get, path = "/suppressions", operation_id = "list_suppressions", tag = "Contacts",
    params(PageParameters), responses((status = OK, description = "Newest first.", body = [SuppressionShown])))]
pub(super) async fn list(
    State(api): State<Api>,
    MayRead(caller): MayRead,
    mut parameters: Parameters,
) -> Result<Listed> {
    let asked = parameters.page();
    parameters.finish()?;
    let mut conn = api.app.store.read().await?;
    let rows = suppressions::list(&mut conn, caller.account, &asked.page()).await?;
    Ok(asked.answer(rows, |suppression| suppression.id, shown))
}

/// Suppress an address or a domain
///
/// What is planned for it is stopped, for good: lifting the suppression later lets it be enrolled anew, and no more.
#[utoipa::path(post, path = "/suppressions", operation_id = "create_suppression", tag = "Contacts",
    request_body = NewSuppression, responses(
        (status = CREATED, description = "It is suppressed.", body = SuppressionShown),
        (status = OK, description = "It was suppressed already; this is since when.", body = SuppressionShown)))]
pub(super) async fn create(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    body::Json(body): body::Json,
) -> Result<Answer> {
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
    // A call that was cut off has made this one.
    let begun = caller.resumed().and_then(|id| id.parse().ok());
    let suppression = Suppression { id: begun.unwrap_or(suppression.id), ..suppression };
    let mut tx = api.app.store.begin().await?;
    let standing = suppressions::add(tx.conn(), caller.account, &suppression).await?;
    caller.begun(&mut tx, &suppression.id.to_string()).await?;
    // From here on nothing leaves for it, whatever is planned.
    tx.commit().await?;
    let status = if standing.id == suppression.id { StatusCode::CREATED } else { StatusCode::OK };
    stop_planned(&api.app.store, caller.account, &standing, now).await?;
    let tx = api.app.store.begin().await?;
    caller.commit(tx, status, &shown(standing)).await
}

/// Lift a suppression
#[utoipa::path(delete, path = "/suppressions/{id}", operation_id = "delete_suppression", tag = "Contacts",
    responses((status = OK, description = "It may be mailed again.", body = Deleted<SuppressionId>)))]
pub(super) async fn delete(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    Ids(id): Ids<SuppressionId>,
) -> Result<Answer> {
    let mut tx = api.app.store.begin().await?;
    if !suppressions::delete(tx.conn(), caller.account, id).await? {
        return Err(ApiError::missing(Code::SuppressionNotFound));
    }
    caller.commit(tx, StatusCode::OK, &Deleted::new(id)).await
}

fn shown(suppression: Suppression) -> SuppressionShown {
    let Suppression { id, kind, value, reason, created_at } = suppression;
    let kind = if kind == "domain" { Kind::Domain } else { Kind::Address };
    SuppressionShown { id, kind, value, reason, created_at }
}

/// A domain in the form that addresses have it: lower-case ASCII.
fn domain(value: &Value) -> Reading<String> {
    let text = line(1, 253)(value)?;
    // A domain is one when an address can have it.
    EmailAddress::parse(&format!("a@{}", text.trim().trim_start_matches('@')))
        .map(|address| address.domain().to_owned())
        .map_err(|_| "must be a domain, such as example.org".to_owned())
}
