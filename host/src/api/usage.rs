//! `GET /usage`: how often the account's keys called what.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::{MatchedPath, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::MayRead;
use super::error::Result;
use super::query::Parameters;
use super::state::Api;
use crate::domain::Timestamp;
use crate::domain::api_key::ClientKind;
use crate::store::usage::{self, CallsOfRoute};
use crate::usage::DAYS_KEPT;

const DAY: Duration = Duration::from_secs(24 * 3600);
const DEFAULT_SPAN: Duration = Duration::from_secs(7 * 24 * 3600);
const ROUTES_SHOWN: i64 = 50;

/// How many calls, by what they were made through; kinds without a call are there, too.
type ByKind = BTreeMap<&'static str, u64>;

/// How often the account's keys called.
#[derive(Serialize, ToSchema)]
pub(super) struct UsageShown {
    /// Where the counts begin: the first instant of a UTC day, because they are kept by day.
    since: Timestamp,
    total: u64,
    /// By client kind.
    #[schema(value_type = BTreeMap<String, u64>)]
    by_kind: ByKind,
    /// By UTC date, and of each by client kind; days without a call are left out.
    #[schema(value_type = BTreeMap<String, BTreeMap<String, u64>>)]
    by_kind_per_day: BTreeMap<String, ByKind>,
    /// The fifty that were called most.
    top_paths: Vec<TopPath>,
}

/// One route's calls.
#[derive(Serialize, ToSchema)]
struct TopPath {
    client_kind: ClientKind,
    method: String,
    /// With `:id` where an id stands.
    path: String,
    count: u64,
}

/// The parameter, for the reference page.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the shape alone; `show` reads it")]
pub(super) struct UsageParameters {
    /// `7d` (the default), `24h`, or a time or date. The counts begin with the UTC day that holds it.
    since: Option<String>,
}

/// Show the usage
#[utoipa::path(get, path = "/usage", operation_id = "show_usage", tag = "Keys", params(UsageParameters),
    responses((status = OK, description = "Calls that were let through, this one among them.", body = UsageShown)))]
pub(super) async fn show(
    State(api): State<Api>,
    MayRead(caller): MayRead,
    mut parameters: Parameters,
) -> Result<Json<UsageShown>> {
    let now = api.now();
    let expected = "7d, 24h or a past time such as 2026-11-23T08:00:00Z";
    let since = parameters.optional("since", |text| since(text, now), expected);
    parameters.finish()?;
    let since = since.unwrap_or(now.minus(DEFAULT_SPAN));
    let first_day = since.utc_day().max(now.utc_day() - DAYS_KEPT);
    // What this node has counted and not yet written is the caller's, too: this very call is among it.
    api.app.usage.write().await?;
    let mut conn = api.app.store.read().await?;
    let counted = usage::by_kind_and_day(&mut conn, caller.account, first_day).await?;
    let most_called = usage::most_called(&mut conn, caller.account, first_day, ROUTES_SHOWN).await?;

    let (mut by_kind, mut by_kind_per_day) = (no_calls(), BTreeMap::new());
    for part in &counted {
        let date = Timestamp::of_utc_day(part.day).utc_date();
        let of_day = by_kind_per_day.entry(date).or_insert_with(no_calls);
        *of_day.entry(part.client_kind.as_str()).or_default() += part.calls;
        *by_kind.entry(part.client_kind.as_str()).or_default() += part.calls;
    }
    Ok(Json(UsageShown {
        since: Timestamp::of_utc_day(first_day),
        total: by_kind.values().sum(),
        by_kind,
        by_kind_per_day,
        top_paths: most_called.into_iter().map(shown).collect(),
    }))
}

/// The route as it is shown, with `:id` where an id stands.
pub(super) fn path_shown(route: &MatchedPath) -> String {
    let segments = route.as_str().split('/').map(|segment| if segment.starts_with('{') { ":id" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

/// `7d`, `24h`, a time or a date.
fn since(text: &str, now: Timestamp) -> Option<Timestamp> {
    let span = |number: &str, unit: Duration| {
        let number = number.parse::<u32>().ok().filter(|number| *number > 0)?;
        Some(now.minus(unit.checked_mul(number)?))
    };
    if let Some(days) = text.strip_suffix('d') {
        return span(days, DAY);
    }
    if let Some(hours) = text.strip_suffix('h') {
        return span(hours, Duration::from_secs(3600));
    }
    let time = text.parse().or_else(|_| format!("{text}T00:00:00Z").parse::<Timestamp>()).ok()?;
    Some(time).filter(|time| *time <= now)
}

fn no_calls() -> ByKind {
    ClientKind::ALL.iter().map(|kind| (kind.as_str(), 0)).collect()
}

fn shown(called: CallsOfRoute) -> TopPath {
    let CallsOfRoute { client_kind, method, route, calls } = called;
    TopPath { client_kind, method, path: route, count: calls }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let now = "2026-11-23T08:00:00Z".parse().unwrap();
        assert_eq!(since(text, now).map(|time| time.to_string()).as_deref(), expected);
    }

    #[test]
    fn a_span_a_time_and_a_date_are_read() {
        check("7d", Some("2026-11-16T08:00:00.000Z"));
        check("24h", Some("2026-11-22T08:00:00.000Z"));
        check("2026-11-20T10:00:00+02:00", Some("2026-11-20T08:00:00.000Z"));
        check("2026-11-20", Some("2026-11-20T00:00:00.000Z"));
    }

    #[test]
    fn what_is_none_of_them_is_not() {
        for text in ["", "d", "0d", "-1d", "7", "7w", "1.5d", "yesterday", "99999999999d", "2026-11-23T08:00:01Z"] {
            check(text, None);
        }
    }
}
