//! What an extension may fetch during one call, and how. The order of the questions: is the budget not spent, is the URL one,
//! is the host asked for and granted, may the headers be sent; then the guarded HTTP client, which looks at the address, takes
//! no redirect and stops at 1 MiB. An example has its answers with it, and is asked the same but for the grant and the address:
//! those are the operator's, and an example comes out alike wherever it is loaded.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
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
    #[serde(default = "ok", deserialize_with = "status")]
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

    fn check_asked(&self, url: &Url) -> Result<(), Refused> {
        if self.asked.iter().any(|pattern| pattern.covers(url)) {
            return Ok(());
        }
        Err(Refused::Denied(format!("the manifest does not ask for {}", url.host_str().unwrap_or_default())))
    }

    fn granted(&self, url: &Url) -> Result<&HttpClient, Refused> {
        let host = url.host_str().unwrap_or_default();
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
        self.reach.check_asked(&url)?;
        if let Access::Canned(answers) = &self.access {
            // In earnest the client says so, unless the operator allows plain connections.
            if url.scheme() != "https" {
                return Err(Refused::Denied(format!("{} is no https URL", url.scheme())));
            }
            check_headers(&headers)?;
            return canned(answers, &url, limits.answer_bytes);
        }
        let client = self.reach.granted(&url)?;
        if matches!(self.access, Access::Reading) && !matches!(method, Method::Get | Method::Head) {
            return Err(Refused::Denied("a trial or replay only reads: GET and HEAD".to_owned()));
        }
        check_headers(&headers)?;
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

/// What the client could not send is told here, in one way for all.
fn check_headers(headers: &[(String, String)]) -> Result<(), Refused> {
    for (name, value) in headers {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(Refused::Failed(format!("{name:?} is no name of a header")));
        }
        if OURS.contains(&name.to_ascii_lowercase().as_str()) {
            return Err(Refused::Failed(format!("the header {name} is the host's to write")));
        }
        if value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
            return Err(Refused::Failed(format!("the header {name} has a line break or another control character")));
        }
    }
    Ok(())
}

fn canned(answers: &[CannedAnswer], url: &Url, most_bytes: usize) -> Result<Answer, Refused> {
    let same = |answer: &&CannedAnswer| answer.url.parse::<Url>().is_ok_and(|given| given == *url);
    let answer = answers.iter().find(same);
    let answer = answer
        .ok_or_else(|| Refused::Denied(format!("an example has no network, and none of its answers is for {url}")))?;
    if answer.body.len() > most_bytes {
        return Err(Refused::TooLarge);
    }
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

/// A status that an answer can have: one below 200 is none yet.
fn status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let status = u16::deserialize(deserializer)?;
    if (200..=999).contains(&status) {
        return Ok(status);
    }
    Err(D::Error::custom(format!("{status} is no status of an answer; write one such as 200 or 404")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_could_not_be_sent_is_told_before_anything_is_fetched() {
        let check = |name: &str, value: &str| check_headers(&[(name.to_owned(), value.to_owned())]);
        assert_eq!(check("X-Key", "a value, with\ta tab and é"), Ok(()));
        for (name, value, told) in [
            ("Host", "api.example.com", "the header Host is the host's to write"),
            ("x key", "1", "\"x key\" is no name of a header"),
            ("", "1", "\"\" is no name of a header"),
            ("x-key", "1\r\nx-other: 2", "the header x-key has a line break"),
        ] {
            let Err(Refused::Failed(reason)) = check(name, value) else { panic!("{name:?} was taken") };
            assert!(reason.starts_with(told), "{reason}");
        }
    }
}
