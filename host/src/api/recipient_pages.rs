//! The pages that recipients see. They work without JavaScript, name nobody, load nothing, and are found by no search engine.

use std::sync::LazyLock;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest, Sha256};

const FRAME: &str = include_str!("pages/recipient.html");
/// The form goes to the address of the page itself, with the field of RFC 8058.
const ASK: &str = "<p>You will get no more messages from this sender.</p>
<form method=\"post\"><button type=\"submit\" name=\"List-Unsubscribe\" value=\"One-Click\">Unsubscribe</button></form>";
const DONE: &str = "<p>You will get no more messages from this sender. You can close this page.</p>";
const UNKNOWN: &str = "<p>It may have been cut off on its way, or what it belonged to was deleted. Please use the whole link \
of the message.</p>";

static PAGES: LazyLock<Pages> = LazyLock::new(Pages::new);

struct Pages {
    ask: String,
    done: String,
    unknown: String,
    policy: HeaderValue,
}

impl Pages {
    fn new() -> Self {
        let page = |title: &str, content: &str| FRAME.replace("{{title}}", title).replace("{{content}}", content);
        let after = FRAME.split_once("<style>").map_or("", |(_, after)| after);
        let style = after.split_once("</style>").map_or("", |(style, _)| style);
        let hash = BASE64.encode(Sha256::digest(style));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
        );
        Self {
            ask: page("Unsubscribe", ASK),
            done: page("Unsubscribed", DONE),
            unknown: page("This link does not work", UNKNOWN),
            // Letters, digits and quotes: always a header's value.
            policy: HeaderValue::try_from(policy).unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'")),
        }
    }
}

/// The question with its button.
pub(super) fn ask() -> Response {
    page(StatusCode::OK, &PAGES.ask)
}

/// The contact is unsubscribed.
pub(super) fn done() -> Response {
    page(StatusCode::OK, &PAGES.done)
}

/// The link is none of ours.
pub(super) fn unknown() -> Response {
    page(StatusCode::NOT_FOUND, &PAGES.unknown)
}

fn page(status: StatusCode, html: &'static str) -> Response {
    let headers = [
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::CONTENT_SECURITY_POLICY, PAGES.policy.clone()),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (HeaderName::from_static("x-robots-tag"), HeaderValue::from_static("noindex")),
    ];
    (status, headers, Html(html)).into_response()
}
