//! The HTTP API: axum, one file a resource. A handler reads its input into types, calls the store, the catalog or a loop's
//! own function, and shows what came of it; no rule of sending lives here.
//!
//! `input` and `values` read bodies, `query` reads parameters and makes pages, `auth` knows the caller, `error` and
//! `finish` shape what is told when a call fails. Calls that write end in `Caller::commit`, which gives the `answer` and
//! stores it under the call's `idempotency` key. Every handler says in its `#[utoipa::path]` what `openapi` shows of it;
//! `docs` serves that.

mod accounts;
mod address;
mod answer;
mod as_documented;
mod auth;
mod bindings;
mod body;
mod campaigns;
mod contact_imports;
mod contacts;
mod credentials;
mod decisions;
mod deleted;
mod docs;
mod enrollments;
mod error;
mod events;
mod extensions;
mod finish;
mod idempotency;
mod inbound;
mod inbound_endpoints;
mod input;
mod json;
mod openapi;
mod outreaches;
mod patience;
mod query;
mod rate;
mod recipient_pages;
mod recipients;
mod schemas;
mod sends;
mod signup;
mod state;
mod status;
mod suppressions;
mod timeline;
mod usage;
mod values;
mod webhooks;

#[cfg(test)]
mod test_support;
#[cfg(test)]
mod tests;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::any;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt as _};
use utoipa_axum::routes;

use crate::app::App;
use crate::catalog::Catalog;
pub use error::Code;
use state::Api;

const LARGEST_BODY: usize = 1024 * 1024;
/// Contacts and components come in larger pieces.
const LARGEST_UPLOAD: usize = 32 * 1024 * 1024;

/// All routes.
pub fn router(app: App, catalog: Catalog) -> Router {
    let api = Api::new(app, catalog);
    let (keyed, keyed_document) = keyed().split_for_parts();
    let (public, mut document) = public().split_for_parts();
    document.merge(keyed_document);
    let document = openapi::finished(&document, api.app.links.public_url());
    let operations = as_documented::Operations::of(&document);
    around(behind_a_key(keyed, operations, &api).merge(public).merge(docs::routes(&document)), api)
}

/// What stands before every route that needs a key. A panic is caught here already, so that its answer tells of the key's
/// limits, too, and is not taken for one that may be given again.
fn behind_a_key(routes: Router<Api>, operations: as_documented::Operations, api: &Api) -> Router<Api> {
    routes
        .route_layer(from_fn_with_state(operations, as_documented::check))
        .route_layer(CatchPanicLayer::custom(finish::panicked))
        .route_layer(from_fn_with_state(api.clone(), idempotency::once))
        .route_layer(from_fn_with_state(api.clone(), auth::authenticate))
}

/// What stands around every route.
fn around(routes: Router<Api>, api: Api) -> Router {
    routes
        .fallback(finish::no_route)
        .method_not_allowed_fallback(finish::no_method)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(CatchPanicLayer::custom(finish::panicked))
        .layer(from_fn_with_state(api.clone(), finish::finish))
        .with_state(api)
}

/// The routes whose bodies may be large, and are read while they come.
fn is_upload(route: &str) -> bool {
    matches!(route, "/contact_imports" | "/extensions")
}

/// What anybody may call.
fn public() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(openapi::frame())
        .routes(routes!(status::show))
        .routes(routes!(signup::create))
        .routes(routes!(recipients::pixel))
        .routes(routes!(recipients::ask_to_unsubscribe, recipients::unsubscribe))
        .routes(routes!(inbound::receive))
        // Handshakes come by any method; the document tells of the one for events.
        .route("/inbound/{provider}/{token}", any(inbound::receive))
}

/// What needs a key.
fn keyed() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(accounts::list, accounts::create))
        .routes(routes!(accounts::revoke))
        .routes(routes!(usage::show))
        .routes(routes!(outreaches::list, outreaches::create))
        .routes(routes!(outreaches::show, outreaches::update))
        .routes(routes!(contact_imports::list))
        .routes(routes!(contact_imports::create).layer(DefaultBodyLimit::max(LARGEST_UPLOAD)))
        .routes(routes!(contact_imports::show, contact_imports::delete))
        .routes(routes!(contact_imports::contacts))
        .routes(routes!(contacts::show, contacts::update, contacts::delete))
        .routes(routes!(suppressions::list, suppressions::create))
        .routes(routes!(suppressions::delete))
        .routes(routes!(webhooks::list, webhooks::create))
        .routes(routes!(webhooks::show, webhooks::update, webhooks::delete))
        .routes(routes!(webhooks::rotate_secret))
        .routes(routes!(webhooks::deliveries))
        .routes(routes!(webhooks::redeliver))
        .routes(routes!(inbound_endpoints::list, inbound_endpoints::create))
        .routes(routes!(inbound_endpoints::show, inbound_endpoints::update, inbound_endpoints::delete))
        .routes(routes!(inbound_endpoints::requests))
        .routes(routes!(inbound_endpoints::retry))
        .routes(routes!(events::list))
        .routes(routes!(extensions::list))
        .routes(routes!(extensions::upload).layer(DefaultBodyLimit::max(LARGEST_UPLOAD)))
        .routes(routes!(extensions::show, extensions::delete))
        .routes(routes!(extensions::source))
        .routes(routes!(extensions::test))
        .routes(routes!(extensions::replay::run))
        .routes(routes!(bindings::list, bindings::replace))
        .routes(routes!(decisions::list))
        .merge(of_campaigns())
}

fn of_campaigns() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(campaigns::list, campaigns::create))
        .routes(routes!(campaigns::show, campaigns::update, campaigns::delete::delete))
        .routes(routes!(campaigns::going::dispatch))
        .routes(routes!(campaigns::going::pause))
        .routes(routes!(campaigns::going::resume))
        .routes(routes!(campaigns::test_send::send))
        .routes(routes!(campaigns::preview::show))
        .routes(routes!(campaigns::explain::show))
        .routes(routes!(campaigns::send_forecast::show))
        .routes(routes!(credentials::list, credentials::create))
        .routes(routes!(credentials::show, credentials::update, credentials::delete))
        .routes(routes!(credentials::reenable))
        .routes(routes!(credentials::test))
        .routes(routes!(enrollments::enroll))
        .routes(routes!(enrollments::enroll_contact))
        .routes(routes!(enrollments::list))
        .routes(routes!(timeline::show))
        .routes(routes!(sends::list))
        .routes(routes!(sends::resolve))
}
