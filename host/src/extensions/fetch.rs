//! What an extension may fetch during one call, and how. The order of the questions: is the URL one, is the host asked for
//! and granted, is the budget not spent; then the guarded HTTP client, which looks at the address, takes no redirect and
//! stops at 1 MiB.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use url::Url;

use super::grants::{Grant, HostPattern};
use super::limits::FetchLimits;
use super::manifest::Manifest;
use crate::http_client::{Answer, HttpClient, HttpError, Method, Request, WhenLonger};

/// What is left for the guest to say what it makes of a request that took too long.
const TIME_TO_ANSWER: Duration = Duration::from_millis(100);
/// Headers that belong to the connection, or would let a guest say something in our name.
const OURS: [&str; 9] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "proxy-authorization",
];

/// From where one extension may fetch.
#[derive(Debug, Clone, Default)]
pub(super) struct Reach {
    asked: Vec<HostPattern>,
    granted: Vec<HostPattern>,
    client: Option<HttpClient>,
    limits: FetchLimits,
}

/// How far a call reaches into the network.
#[derive(Debug, Clone, Default)]
pub(super) enum Access {
    /// As far as it was granted.
    #[default]
    Granted,
    /// As far, but only to read: a trial or a replay must change nothing anywhere.
    Reading,
    /// Not at all: an example has its answers with it.
    Canned(Arc<[CannedAnswer]>),
}

/// The answer that a URL gives while an example runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CannedAnswer {
    /// The whole URL.
    pub url: String,
    /// The HTTP status.
    #[serde(default = "ok")]
    pub status: u16,
    /// The body.
    #[serde(default)]
    pub body: String,
}

/// The requests of one call.
#[derive(Debug, Default)]
pub(super) struct Fetcher {
    reach: Arc<Reach>,
    access: Access,
    made: u32,
    deadline: Option<Instant>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refused {
    Denied(String),
    Timeout,
    TooLarge,
    Failed(String),
}

impl Reach {
    pub(super) fn of(manifest: &Manifest, grants: &[Grant], client: Option<HttpClient>, limits: FetchLimits) -> Self {
        let own = grants.iter().filter(|grant| grant.extension == manifest.name);
        Self { asked: manifest.hosts.clone(), granted: own.map(|grant| grant.host.clone()).collect(), client, limits }
    }

    /// Whether a call may have to wait for the network.
    pub(super) fn is_open(&self) -> bool {
        self.client.is_some() && !self.asked.is_empty() && !self.granted.is_empty()
    }

    fn check(&self, url: &Url) -> Result<&HttpClient, Refused> {
        let host = url.host_str().unwrap_or_default();
        if !self.asked.iter().any(|pattern| pattern.covers(url)) {
            return Err(Refused::Denied(format!("the manifest does not ask for {host}")));
        }
        if !self.granted.iter().any(|pattern| pattern.covers(url)) {
            return Err(Refused::Denied(format!("{host} is not granted; the operator does so in extension_hosts")));
        }
        self.client.as_ref().ok_or_else(|| Refused::Denied("there is no network here".to_owned()))
    }
}

impl Fetcher {
    /// For a call that is over in `wall_time` from now.
    pub(super) fn new(reach: &Arc<Reach>, access: Access, wall_time: Duration) -> Self {
        Self { reach: Arc::clone(reach), access, made: 0, deadline: Some(Instant::now() + wall_time) }
    }

    /// Makes one request. Any status is an answer, a redirect among them.
    pub(super) async fn fetch(
        &mut self,
        method: &str,
        url: &str,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    ) -> Result<Answer, Refused> {
        let limits = self.reach.limits;
        self.made += 1;
        if self.made > limits.requests {
            return Err(Refused::Denied(format!("one call makes at most {} requests", limits.requests)));
        }
        let method = method_of(method).ok_or_else(|| Refused::Failed(format!("{method:?} is no method here")))?;
        let url: Url = url.parse().map_err(|error| Refused::Failed(format!("the URL can't be read: {error}")))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::Denied("a URL with a name or password in it".to_owned()));
        }
        if let Access::Canned(answers) = &self.access {
            return canned(answers, &url);
        }
        let client = self.reach.check(&url)?;
        if matches!(self.access, Access::Reading) && !matches!(method, Method::Get | Method::Head) {
            return Err(Refused::Denied("a trial or replay only reads: GET and HEAD".to_owned()));
        }
        if let Some((name, _)) = headers.iter().find(|(name, _)| OURS.contains(&name.to_ascii_lowercase().as_str())) {
            return Err(Refused::Failed(format!("the header {name} is the host's to write")));
        }
        let left = self.deadline.map_or(Duration::ZERO, |deadline| deadline.saturating_duration_since(Instant::now()));
        let timeout = left.checked_sub(TIME_TO_ANSWER).filter(|left| !left.is_zero()).ok_or(Refused::Timeout)?;
        let request = Request {
            method,
            url,
            headers,
            body: Bytes::from(body),
            timeout,
            max_answer_bytes: limits.answer_bytes,
            when_longer: WhenLonger::Refuse,
        };
        client.request(request).await.map_err(refused)
    }
}

fn canned(answers: &[CannedAnswer], url: &Url) -> Result<Answer, Refused> {
    let same = |answer: &&CannedAnswer| answer.url.parse::<Url>().is_ok_and(|given| given == *url);
    let answer = answers.iter().find(same);
    let answer = answer
        .ok_or_else(|| Refused::Denied(format!("an example has no network, and none of its answers is for {url}")))?;
    Ok(Answer { status: answer.status, headers: Vec::new(), body: answer.body.clone().into() })
}

fn refused(error: HttpError) -> Refused {
    match error {
        HttpError::TimedOut { .. } => Refused::Timeout,
        HttpError::TooLong { .. } => Refused::TooLarge,
        HttpError::Scheme { .. } => Refused::Denied(error.to_string()),
        HttpError::Egress(ref egress) if !egress.is_temporary() => {
            // The guard's own words name an address of the operator's network and a setting; neither is the guest's.
            Refused::Denied("the host has no public address".to_owned())
        }
        other => Refused::Failed(other.to_string()),
    }
}

fn method_of(name: &str) -> Option<Method> {
    Some(match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "PATCH" => Method::Patch,
        "DELETE" => Method::Delete,
        _ => return None,
    })
}

const fn ok() -> u16 {
    200
}
