//! The only door to reqwest: one guarded HTTP client for webhooks and for extensions that may fetch. No redirects, no
//! proxies, no answer longer than asked for, and no address that the egress guard has not seen.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::Url;

use crate::egress::{EgressError, EgressGuard};
use crate::tls::{Plaintext, TlsClient};

const CONNECT_LIMIT: Duration = Duration::from_secs(10);
const IDLE_LIMIT: Duration = Duration::from_secs(30);
const IDLE_PER_HOST: usize = 8;

/// Makes requests. Cheap to clone; clones share connections.
#[derive(Debug, Clone)]
pub struct HttpClient {
    client: reqwest::Client,
    guard: EgressGuard,
    plaintext: Plaintext,
}

/// The methods that are ever needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are HTTP's own")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
}

/// One request. It is made once: neither redirects nor retries.
#[derive(Debug, Clone)]
pub struct Request {
    /// What to do.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// Names and values; `Host` and `Content-Length` are added.
    pub headers: Vec<(String, String)>,
    /// The body; empty for none.
    pub body: Bytes,
    /// For the whole: look-up, connection, answer.
    pub timeout: Duration,
    /// The longest body that is read of the answer, in bytes.
    pub max_answer_bytes: usize,
    /// What to do when the answer is longer.
    pub when_longer: WhenLonger,
}

/// What to do with an answer that is longer than asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenLonger {
    /// Keep the beginning.
    Truncate,
    /// Fail with [`HttpError::TooLong`].
    Refuse,
}

/// What came back, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Names in lower case and values, in order; a value that is not text is left out.
    pub headers: Vec<(String, String)>,
    /// The body, at most as long as asked for.
    pub body: Bytes,
}

/// Why there is no answer. None of the texts holds the URL: it may carry a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The client can't be built.
    #[error("the HTTP client can't be set up: {reason}")]
    Setup {
        /// What reqwest said.
        reason: String,
    },
    /// Not `https://`, and `http://` is not allowed.
    #[error("{scheme}:// is not allowed; use https://")]
    Scheme {
        /// The URL's.
        scheme: String,
    },
    /// The request can't be written: a header with a line break, no host.
    #[error("the request can't be made: {reason}")]
    BadRequest {
        /// What is wrong with it.
        reason: String,
    },
    /// The guard let no connection through, or the name has no address.
    #[error(transparent)]
    Egress(#[from] EgressError),
    /// No answer in time.
    #[error("no answer within {} s", .after.as_secs_f32())]
    TimedOut {
        /// How long was waited.
        after: Duration,
    },
    /// The answer is longer than asked for.
    #[error("the answer is longer than {limit} bytes")]
    TooLong {
        /// The most that is read.
        limit: usize,
    },
    /// No connection, no TLS, or it broke.
    #[error("the request failed: {reason}")]
    Failed {
        /// What went wrong, with its causes.
        reason: String,
    },
}

impl HttpClient {
    /// A client whose connections all pass `guard` and are secured by `tls`.
    #[expect(clippy::disallowed_methods, reason = "the one guarded client, and the only door to reqwest")]
    pub fn new(guard: EgressGuard, tls: &TlsClient, plaintext: Plaintext) -> Result<Self, HttpError> {
        let client = reqwest::Client::builder()
            .dns_resolver(GuardedDns(guard.clone()))
            .tls_backend_preconfigured(tls.config().as_ref().clone())
            .https_only(plaintext == Plaintext::Forbidden)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .http1_only()
            .connect_timeout(CONNECT_LIMIT)
            .pool_idle_timeout(IDLE_LIMIT)
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .tcp_nodelay(true)
            .build()
            .map_err(|e| HttpError::Setup { reason: with_causes(&e) })?;
        Ok(Self { client, guard, plaintext })
    }

    /// Makes one request. Any status is an answer.
    pub async fn request(&self, request: Request) -> Result<Answer, HttpError> {
        let limit = request.timeout;
        match tokio::time::timeout(limit, self.exchange(request)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(HttpError::TimedOut { after: limit }),
        }
    }

    async fn exchange(&self, request: Request) -> Result<Answer, HttpError> {
        self.check(&request.url).await?;
        let mut building = self.client.request(request.method.into(), request.url).body(request.body);
        for (name, value) in &request.headers {
            building = building.header(name, value);
        }
        let mut response = building.send().await.map_err(failure)?;
        let headers = response.headers().iter();
        let headers = headers.filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
        let (status, headers) = (response.status().as_u16(), headers.collect());
        let body = read_body(&mut response, request.max_answer_bytes, request.when_longer).await?;
        Ok(Answer { status, headers, body })
    }

    /// hyper connects to an address in the URL without asking the resolver, so it is checked here. Names are checked
    /// by [`GuardedDns`], in the moment of each connection.
    async fn check(&self, url: &Url) -> Result<(), HttpError> {
        match (url.scheme(), self.plaintext) {
            ("https", _) | ("http", Plaintext::Allowed) => {}
            (scheme, _) => return Err(HttpError::Scheme { scheme: scheme.to_owned() }),
        }
        let no_host = || HttpError::BadRequest { reason: "the URL has no host".to_owned() };
        if let url::Host::Ipv4(_) | url::Host::Ipv6(_) = url.host().ok_or_else(no_host)? {
            self.guard.resolve(url.host_str().unwrap_or_default(), 0).await?;
        }
        Ok(())
    }
}

impl From<Method> for reqwest::Method {
    fn from(method: Method) -> Self {
        match method {
            Method::Get => Self::GET,
            Method::Head => Self::HEAD,
            Method::Post => Self::POST,
            Method::Put => Self::PUT,
            Method::Patch => Self::PATCH,
            Method::Delete => Self::DELETE,
        }
    }
}

/// Gives reqwest checked addresses only.
struct GuardedDns(EgressGuard);

impl Resolve for GuardedDns {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.0.clone();
        Box::pin(async move {
            // Port 0 stands for the port of the URL.
            let addresses: Vec<SocketAddr> = guard.resolve(name.as_str(), 0).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

async fn read_body(
    response: &mut reqwest::Response,
    limit: usize,
    when_longer: WhenLonger,
) -> Result<Bytes, HttpError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(failure)? {
        let room = limit - body.len();
        if chunk.len() > room && when_longer == WhenLonger::Refuse {
            return Err(HttpError::TooLong { limit });
        }
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            break;
        }
    }
    Ok(body.freeze())
}

fn failure(error: reqwest::Error) -> HttpError {
    let error = error.without_url();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        if let Some(refused) = inner.downcast_ref::<EgressError>() {
            return HttpError::Egress(refused.clone());
        }
        cause = inner.source();
    }
    let reason = with_causes(&error);
    if error.is_timeout() {
        return HttpError::TimedOut { after: CONNECT_LIMIT };
    }
    if error.is_builder() {
        return HttpError::BadRequest { reason };
    }
    HttpError::Failed { reason }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests;
