//! `POST /extensions/:id/replay`: which decisions would be others? Over the account's own messages and requests.

use axum::Json;
use axum::extract::State;
use serde_json::Value;
use utoipa::ToSchema;

use super::{not_loaded, visible};
use crate::api::auth::MayExtend;
use crate::api::body::{self, Ids};
use crate::api::error::{ApiError, Result};
use crate::api::input::{Reading, read};
use crate::api::state::Api;
use crate::api::values::{whole, word};
use crate::domain::Timestamp;
use crate::domain::ids::ExtensionId;
use crate::domain::status::Hook;
use crate::replay::{self, MOST_EXAMINED, Replay, ReplayError, Replayed};

const DEFAULT_SINCE: &str = "7d";
const DEFAULT_LIMIT: u64 = 1000;
/// What can be replayed at all.
const REPLAYED: [Hook; 2] = [Hook::ReplyClassifier, Hook::ProviderAdapter];

/// What is to be replayed.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape alone; `run` reads it")]
struct ReplayAsked {
    /// A time, or how long ago, such as `24h`; 7 days without it.
    since: Option<String>,
    /// How many messages or requests, the newest first; 1000 without it.
    #[schema(minimum = 1, maximum = 10000)]
    limit: Option<u64>,
    /// Where the extension serves both hooks that can be replayed.
    hook: Option<Hook>,
}

/// Replay an extension
///
/// Asks the version about the account's stored messages or provider requests, as if it were bound in the place of what is
/// bound of its name, and tells which decisions would be others. Nothing is recorded, applied or sent.
#[utoipa::path(post, path = "/extensions/{id}/replay", operation_id = "replay_extension", tag = "Extensions",
    request_body = ReplayAsked,
    responses((status = OK, description = "What would be decided otherwise.", body = Replayed)))]
pub(in crate::api) async fn run(
    State(api): State<Api>,
    MayExtend(caller): MayExtend,
    Ids(id): Ids<ExtensionId>,
    body::Json(body): body::Json,
) -> Result<Json<Replayed>> {
    let mut conn = api.app.store.read().await?;
    let stored = visible(&mut conn, caller.account, id).await?;
    drop(conn);
    let now = api.now();
    let since_of = |value: &Value| -> Reading<Timestamp> {
        let since = value.as_str().and_then(|text| replay::since(text, now));
        since.ok_or_else(|| "must be a time such as 2026-11-23T08:00:00Z, or how long ago, such as 7d".to_owned())
    };
    let (hook, since, limit) = read(body, |fields| {
        let hook = fields.optional("hook", word(Hook::parse, Hook::ALL));
        let since = fields.optional("since", since_of).or_else(|| replay::since(DEFAULT_SINCE, now));
        let limit = fields.optional("limit", whole(1, MOST_EXAMINED)).unwrap_or(DEFAULT_LIMIT);
        let hook = hook.or_else(|| REPLAYED.into_iter().find(|hook| stored.hooks.contains(hook)));
        // One that serves none of these is asked at what it serves, and told why that can't be replayed.
        let hook = hook.or_else(|| stored.hooks.first().copied());
        if hook.is_none_or(|hook| !stored.hooks.contains(&hook)) {
            fields.note("hook", format!("{} does not serve it", stored.name));
        }
        Some((hook?, since?, limit))
    })?;
    let extension = api.catalog.program(&stored).await.map_err(not_loaded)?;
    let asked = Replay { extension, owner: stored.account_id, hook, account: Some(caller.account), since, limit };
    match replay::run(&api.app, &asked).await {
        Ok(replayed) => Ok(Json(replayed)),
        Err(ReplayError::Store(error)) => Err(error.into()),
        Err(error @ ReplayError::NotStored(_)) => Err(ApiError::invalid_field("hook", error.to_string())),
    }
}
