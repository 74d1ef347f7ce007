//! What recipients reach: the open pixel, and the page and the click that unsubscribe (RFC 8058).

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::response::{Html, IntoResponse, Response};

use super::body::Ids;
use super::error::{ApiError, Code, Result};
use super::state::Api;
use crate::domain::EmailAddress;
use crate::domain::ids::EnrollmentId;
use crate::domain::status::SendState;
use crate::store::{deletions, enrollments, facts, sends};

/// One transparent pixel (GIF89a).
const PIXEL: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\
\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";

const ASK: &str = include_str!("pages/unsubscribe.html");
const DONE: &str = include_str!("pages/unsubscribed.html");

pub(super) async fn pixel(State(api): State<Api>, method: Method, Ids(file): Ids<String>) -> Result<Response> {
    let token = file.strip_suffix(".gif").ok_or_else(unknown)?;
    let send = api.app.links.read_pixel(token).ok_or_else(unknown)?;
    let mut conn = api.app.store.read().await?;
    let send = sends::get(&mut conn, send).await?.ok_or_else(unknown)?;
    let enrollment = enrollments::get(&mut conn, send.enrollment_id).await?.ok_or_else(unknown)?;
    drop(conn);
    // A HEAD request shows nothing to anybody, and what was opened once needs no writing, unless its sending is in doubt:
    // the pixel is in this very message.
    let is_news = enrollment.opened_at.is_none() || send.state == SendState::InDoubt;
    if method == Method::GET && is_news {
        let mut tx = api.app.store.begin().await?;
        facts::reply::opened(&mut tx, enrollment.id, Some(&send), rand::random(), api.now()).await?;
        tx.commit().await?;
    }
    let headers = [(header::CONTENT_TYPE, "image/gif"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, PIXEL).into_response())
}

/// Changes nothing: link checkers open every link of a message.
pub(super) async fn ask_to_unsubscribe(State(api): State<Api>, Ids(token): Ids<String>) -> Result<Response> {
    let enrollment = enrollment_of(&api, &token)?;
    let mut conn = api.app.store.read().await?;
    let is_known = enrollments::get(&mut conn, enrollment).await?.is_some()
        || deletions::departed(&mut conn, enrollment).await?.is_some();
    if is_known { Ok(page(ASK)) } else { Err(unknown()) }
}

pub(super) async fn unsubscribe(State(api): State<Api>, Ids(token): Ids<String>) -> Result<Response> {
    let id = enrollment_of(&api, &token)?;
    let now = api.now();
    let mut tx = api.app.store.begin().await?;
    if let Some(enrollment) = enrollments::get(tx.conn(), id).await? {
        let (account, contact) = (enrollment.account_id, enrollment.contact_id);
        facts::unsubscribe::unsubscribed(&mut tx, account, contact, Some(id), "unsubscribed", now).await?;
    } else {
        // Deleted since the mail was sent: whoever has it may opt out nevertheless.
        let (account, address) = deletions::departed(tx.conn(), id).await?.ok_or_else(unknown)?;
        let address = EmailAddress::parse(&address).map_err(ApiError::internal)?;
        facts::unsubscribe::address_unsubscribed(&mut tx, account, &address, "unsubscribed", now).await?;
    }
    tx.commit().await?;
    Ok(page(DONE))
}

fn enrollment_of(api: &Api, token: &str) -> Result<EnrollmentId> {
    api.app.links.read_unsubscribe(token).ok_or_else(unknown)
}

fn unknown() -> ApiError {
    ApiError::new(Code::NotFound, "This link is not one of ours, or was altered.")
}

fn page(html: &'static str) -> Response {
    let policy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'";
    let headers = [
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy)),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (HeaderName::from_static("x-robots-tag"), HeaderValue::from_static("noindex")),
    ];
    (headers, Html(html)).into_response()
}
