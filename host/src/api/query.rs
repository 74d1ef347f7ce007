//! Query parameters and pages: typed, bounded, and one that is unknown, wrong or given twice is told.
//!
//! A list without parameters of its own takes [`Asked`] as an argument; one with filters takes [`Parameters`], and
//! [`Parameters::page`] beside them. Both end in [`Asked::answer`].

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::error::ApiError;
use super::state::Api;
use crate::store::Page;

const DEFAULT_LIMIT: i64 = 100;
const LARGEST_LIMIT: i64 = 1000;

/// `limit` and `after`, for the reference page; [`Parameters::page`] reads them.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the shape alone")]
pub(super) struct PageParameters {
    /// How many rows, at most.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<i64>,
    /// The `id` of the last row that was seen: the page begins after it.
    #[param(value_type = Option<String>, format = "uuid")]
    after: Option<Uuid>,
}

/// The parameters of a request. Each is taken once; [`Parameters::finish`] refuses what is left.
pub(super) struct Parameters {
    path: String,
    given: Vec<(String, String)>,
    left: BTreeMap<String, String>,
    known: Vec<&'static str>,
    problems: BTreeMap<String, Vec<String>>,
}

/// A page that was asked for, and what its successor's address is made of.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    limit: i64,
    after: Option<String>,
    path: String,
    others: Vec<(String, String)>,
}

/// A page of a list as JSON, with the address of the next one.
pub(super) struct Listed {
    body: Vec<u8>,
    next: Option<String>,
}

impl FromRequestParts<Api> for Parameters {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let query = parts.uri.query().unwrap_or_default();
        let given: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let path = format!("{}{}", api.app.links.public_url(), parts.uri.path());
        let (mut left, mut problems) = (BTreeMap::new(), BTreeMap::<String, Vec<String>>::new());
        for (name, value) in &given {
            let mut problem = |text: &str| problems.entry(shortened(name)).or_default().push(text.to_owned());
            if value.contains('\0') {
                problem("must not contain the character U+0000");
            }
            if left.insert(name.clone(), value.clone()).is_some() {
                problem("is given more than once");
            }
        }
        Ok(Self { path, given, left, known: Vec::new(), problems })
    }
}

impl FromRequestParts<Api> for Asked {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let mut parameters = Parameters::from_request_parts(parts, api).await?;
        let asked = parameters.page();
        parameters.finish()?;
        Ok(asked)
    }
}

impl Parameters {
    /// A parameter that may be missing; `expected` says what it has to be.
    pub(super) fn optional<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Option<T>,
        expected: impl Display,
    ) -> Option<T> {
        self.known.push(name);
        let text = self.left.remove(name)?;
        let parsed = parse(&text);
        if parsed.is_none() {
            self.problems.entry(name.to_owned()).or_default().push(format!("must be {expected}"));
        }
        parsed
    }

    /// A parameter that must be there.
    pub(super) fn required<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Option<T>,
        expected: impl Display,
    ) -> Option<T> {
        if !self.left.contains_key(name) {
            self.problems.entry(name.to_owned()).or_default().push(format!("is required: {expected}"));
        }
        self.optional(name, parse, expected)
    }

    /// An id that may be missing.
    pub(super) fn id<T: FromStr>(&mut self, name: &'static str) -> Option<T> {
        self.optional(name, |text| text.parse().ok(), "an id")
    }

    /// `limit` and `after`.
    pub(super) fn page(&mut self) -> Asked {
        let limit = |text: &str| text.parse().ok().filter(|limit| (1..=LARGEST_LIMIT).contains(limit));
        let limit = self.optional("limit", limit, format!("a whole number from 1 to {LARGEST_LIMIT}"));
        let after = self.id::<Uuid>("after").map(|id| id.to_string());
        let others = self.given.iter().filter(|(name, _)| name != "after").cloned().collect();
        Asked { limit: limit.unwrap_or(DEFAULT_LIMIT), after, path: self.path.clone(), others }
    }

    /// Whether the caller gave it.
    pub(super) fn is_given(&self, name: &str) -> bool {
        self.given.iter().any(|(given, _)| given == name)
    }

    /// Tells of a parameter that is wrong beside the others.
    pub(super) fn note(&mut self, name: &str, problem: impl Into<String>) {
        self.problems.entry(name.to_owned()).or_default().push(problem.into());
    }

    /// Tells of wrong and unknown parameters.
    pub(super) fn finish(mut self) -> Result<(), ApiError> {
        for name in self.left.keys() {
            self.problems.entry(shortened(name)).or_default().push(unknown(&self.known));
        }
        verdict(&self.problems)
    }
}

impl Asked {
    /// What to ask the store for: one row more than the page has, to know whether there is a next page.
    pub(super) fn page(&self) -> Page {
        Page { limit: self.limit + 1, after: self.after.clone() }
    }

    /// The row after which the page begins.
    pub(super) fn after<T: FromStr>(&self) -> Option<T> {
        self.after.as_deref().and_then(|id| id.parse().ok())
    }

    /// The answer: each row as `show` gives it; the next page begins after the last row's `id`.
    pub(super) fn answer<R, V: Serialize, I: Display>(
        &self,
        rows: Vec<R>,
        id: impl Fn(&R) -> I,
        show: impl Fn(R) -> V,
    ) -> Listed {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let has_next = rows.len() > limit;
        let last = if has_next { limit.checked_sub(1).and_then(|last| rows.get(last)).map(id) } else { None };
        let next = last.map(|id| {
            let id = id.to_string();
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(&self.others).append_pair("after", &id);
            format!("{}?{}", self.path, query.finish())
        });
        let items: Vec<V> = rows.into_iter().take(limit).map(show).collect();
        // Our own types always have a JSON form.
        Listed { body: serde_json::to_vec(&items).unwrap_or_default(), next }
    }
}

impl IntoResponse for Listed {
    fn into_response(self) -> Response {
        let mut response = ([(header::CONTENT_TYPE, "application/json")], self.body).into_response();
        let link = self.next.and_then(|next| HeaderValue::from_str(&format!("<{next}>; rel=\"next\"")).ok());
        if let Some(link) = link {
            response.headers_mut().insert(header::LINK, link);
        }
        response
    }
}

/// Tells of each parameter where there are none.
pub(super) fn refuse_any(query: &str) -> Result<(), ApiError> {
    let names = form_urlencoded::parse(query.as_bytes()).map(|(name, _)| shortened(&name));
    verdict(&names.map(|name| (name, vec![unknown(&[])])).collect())
}

fn unknown(known: &[&str]) -> String {
    let known = if known.is_empty() { "there are none here".to_owned() } else { known.join(", ") };
    format!("is no known parameter; known: {known}")
}

fn verdict(problems: &BTreeMap<String, Vec<String>>) -> Result<(), ApiError> {
    if problems.is_empty() {
        return Ok(());
    }
    let message = "A query parameter is wrong; details names it.";
    Err(ApiError { details: json!(problems), ..ApiError::bad_request(message) })
}

/// A name that a caller made up, for an answer that stays small.
fn shortened(name: &str) -> String {
    name.chars().take(80).collect()
}
