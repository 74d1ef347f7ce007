//! What recipients reach: the open pixel, and the page and the click that unsubscribe (RFC 8058).

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, Method, header};
use axum::response::{IntoResponse, Response};

use super::body::Ids;
use super::error::{ApiError, Code, Result};
use super::recipient_pages as pages;
use super::state::Api;
use crate::domain::ids::{EnrollmentId, SendId};
use crate::domain::open::{Look, reason_against};
use crate::domain::status::SendState;
use crate::domain::{EmailAddress, Timestamp};
use crate::store::sends::{self, Send};
use crate::store::{StoreError, Tx, deletions, enrollments, facts};

/// One transparent pixel (GIF89a).
const PIXEL: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\
\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";
/// By these a program says that it loads ahead: the standard's, and those before it.
const PURPOSES: [&str; 4] = ["sec-purpose", "purpose", "x-purpose", "x-moz"];

/// Load an open pixel
///
/// Whatever becomes of the look: a pixel of ours is always shown, so that no mail program shows a broken image.
#[utoipa::path(get, path = "/t/{file}", operation_id = "load_pixel", tag = "Recipients", security(()),
    params(("file" = String, Path, description = "The token and `.gif`.")),
    responses((status = OK, description = "A transparent pixel.", body = super::openapi::Bytes, content_type = "image/gif")))]
pub(super) async fn pixel(
    State(api): State<Api>,
    method: Method,
    headers: HeaderMap,
    file: Result<Ids<String>>,
) -> Result<Response> {
    let token = file.ok().and_then(|Ids(file)| Some(file.strip_suffix(".gif")?.to_owned()));
    let send = token.and_then(|token| api.app.links.read_pixel(&token)).ok_or_else(unknown)?;
    // A HEAD request shows nothing to anybody.
    if method == Method::GET
        && let Err(error) = looked_at(&api, send, &headers).await
    {
        tracing::error!(send.id = %send, error = &error as &dyn std::error::Error, "A look at a message could not be noted");
    }
    let headers = [
        (header::CONTENT_TYPE, "image/gif"),
        // Each look is asked for; the elder words are for proxies that know no others.
        (header::CACHE_CONTROL, "private, no-store, no-cache, max-age=0, must-revalidate"),
        (header::PRAGMA, "no-cache"),
        (header::EXPIRES, "0"),
        (HeaderName::from_static("cross-origin-resource-policy"), "cross-origin"),
    ];
    Ok((headers, PIXEL).into_response())
}

/// Notes that somebody looks at a message, if that is news.
async fn looked_at(api: &Api, id: SendId, headers: &HeaderMap) -> std::result::Result<(), StoreError> {
    let mut conn = api.app.store.read().await?;
    let Some(send) = sends::get(&mut conn, id).await? else { return Ok(()) };
    let Some(enrollment) = enrollments::get(&mut conn, send.enrollment_id).await? else { return Ok(()) };
    drop(conn);
    let now = api.now();
    let is_open = match reason_against(&look(api, &send, headers, now)) {
        None => true,
        Some(reason) => {
            tracing::debug!(send.id = %id, reason, "A look that is no open");
            false
        }
    };
    // The pixel is in this very message: whoever has it, the message has left.
    let settles = send.state == SendState::InDoubt;
    let opens = is_open && enrollment.opened_at.is_none();
    if !settles && !opens {
        return Ok(());
    }
    let draw = rand::random();
    let write = api.app.store.write(move |tx| {
        let send = send.clone();
        Box::pin(async move {
            if opens {
                facts::reply::opened(tx, enrollment.id, Some(&send), draw, now).await
            } else {
                facts::delivery::settled(tx, &send, draw, now).await
            }
        })
    });
    write.await.map(drop)
}

fn look<'h>(api: &Api, send: &Send, headers: &'h HeaderMap, now: Timestamp) -> Look<'h> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_ours = |referer: &str| referer.starts_with(api.app.links.public_url());
    let age = match (send.sent_at, send.state) {
        (Some(sent), _) => Some(sent.until(now)),
        // Its server has not answered yet, and reads it already.
        (None, SendState::Claimed | SendState::Sending) => Some(std::time::Duration::ZERO),
        (None, _) => None,
    };
    Look {
        user_agent: text("user-agent"),
        accept: text("accept"),
        purpose: PURPOSES.iter().find_map(|name| text(name)),
        destination: text("sec-fetch-dest"),
        is_preview: text("referer").is_some_and(is_ours),
        age,
    }
}

/// Ask whether to unsubscribe
///
/// A page with one button. It changes nothing: link checkers open every link of a message.
#[utoipa::path(get, path = "/u/{token}", operation_id = "ask_to_unsubscribe", tag = "Recipients", security(()),
    params(("token" = String, Path)),
    responses((status = OK, description = "The page.", body = String, content_type = "text/html")))]
pub(super) async fn ask_to_unsubscribe(
    State(api): State<Api>,
    headers: HeaderMap,
    token: Result<Ids<String>>,
) -> Result<Response> {
    let Some(id) = enrollment_of(&api, token) else { return missing(&headers) };
    let mut conn = api.app.store.read().await?;
    let is_known = id == EnrollmentId::NOBODY
        || enrollments::get(&mut conn, id).await?.is_some()
        || !deletions::departed(&mut conn, id).await?.is_empty();
    if is_known { Ok(pages::ask()) } else { missing(&headers) }
}

/// Unsubscribe
///
/// One click (RFC 8058), or the page's button. Whatever the body says: the method does.
#[utoipa::path(post, path = "/u/{token}", operation_id = "unsubscribe", tag = "Recipients", security(()),
    params(("token" = String, Path)),
    responses((status = OK, description = "A page that says so.", body = String, content_type = "text/html")))]
pub(super) async fn unsubscribe(
    State(api): State<Api>,
    headers: HeaderMap,
    token: Result<Ids<String>>,
) -> Result<Response> {
    let Some(id) = enrollment_of(&api, token) else { return missing(&headers) };
    let now = api.now();
    let is_known = api.app.store.write(move |tx| Box::pin(opt_out(tx, id, now))).await?;
    if is_known { Ok(pages::done()) } else { missing(&headers) }
}

/// False where nobody was ever written to under this id.
async fn opt_out(tx: &mut Tx, id: EnrollmentId, now: Timestamp) -> std::result::Result<bool, StoreError> {
    if let Some(enrollment) = enrollments::get(tx.conn(), id).await? {
        let (account, contact) = (enrollment.account_id, enrollment.contact_id);
        facts::unsubscribe::unsubscribed(tx, account, contact, Some(id), "unsubscribed", now).await?;
        facts::doubt::opener_arrived(tx, &enrollment, now).await?;
        return Ok(true);
    }
    if id == EnrollmentId::NOBODY {
        // The link of a test message: its page is shown, and nobody is unsubscribed.
        return Ok(true);
    }
    // Deleted since the mail was sent: whoever has it may opt out nevertheless.
    let departed = deletions::departed(tx.conn(), id).await?;
    for (account, address) in &departed {
        if let Ok(address) = EmailAddress::parse(address) {
            facts::unsubscribe::address_unsubscribed(tx, *account, &address, "unsubscribed", now).await?;
        }
    }
    Ok(!departed.is_empty())
}

/// The enrollment of a token, which may be gone; none for a token that is not ours.
fn enrollment_of(api: &Api, token: Result<Ids<String>>) -> Option<EnrollmentId> {
    token.ok().and_then(|Ids(token)| api.app.links.read_unsubscribe(&token))
}

/// People are shown a page, programs the error.
fn missing(headers: &HeaderMap) -> Result<Response> {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.contains("text/html") { Ok(pages::unknown()) } else { Err(unknown()) }
}

fn unknown() -> ApiError {
    ApiError::new(Code::NotFound, "This link is not one of ours, or was altered.")
}
