//! The other end of an outbound webhook: keeps every request, answers as told, and checks the signature as the Standard
//! Webhooks specification has it. Waiting for a request needs no polling: each arrival is signalled.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, anyhow, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::hmac;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::wait::PATIENCE;

/// What the receiver answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// This HTTP status and no body.
    Status(u16),
    /// This redirect (302), which a sender must not follow, to another path of the same receiver.
    Redirect,
    /// Nothing, for as long as the sender keeps the connection.
    Hang,
}

/// One request as it came.
#[derive(Debug, Clone)]
pub struct ReceivedRequest {
    /// Its method.
    pub method: Method,
    /// Its path and query.
    pub path: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, byte for byte: what the signature is over.
    pub body: Bytes,
}

/// A running receiver. Dropping it closes its port and its connections.
#[derive(Debug)]
pub struct WebhookReceiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    requests: Mutex<Vec<ReceivedRequest>>,
    count: watch::Sender<usize>,
    answers: Mutex<Answers>,
}

#[derive(Debug)]
struct Answers {
    next: VecDeque<Answer>,
    otherwise: Answer,
}

impl WebhookReceiver {
    /// Starts one that answers `200`.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let answers = Mutex::new(Answers { next: VecDeque::new(), otherwise: Answer::Status(200) });
        let shared = Arc::new(Shared { requests: Mutex::default(), count: watch::Sender::new(0), answers });
        let router = Router::new().fallback(receive).with_state(Arc::clone(&shared));
        let serving = tokio::spawn(async move {
            // It serves until the task is dropped; axum's accept loop has no error of its own.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, shared, serving })
    }

    /// The URL to give to the engine.
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// From now on every request is answered so, those of [`WebhookReceiver::answer_next`] excepted.
    pub fn answer(&self, answer: Answer) {
        lock(&self.shared.answers).otherwise = answer;
    }

    /// The next requests are answered so, in this order; later ones as before.
    pub fn answer_next(&self, answers: impl IntoIterator<Item = Answer>) {
        lock(&self.shared.answers).next.extend(answers);
    }

    /// All requests so far, in the order of arrival.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        lock(&self.shared.requests).clone()
    }

    /// The `n`-th request, counted from 1, as soon as it is there.
    pub async fn nth(&self, n: usize) -> anyhow::Result<ReceivedRequest> {
        let mut count = self.shared.count.subscribe();
        let arrived = timeout(PATIENCE, count.wait_for(|count| *count >= n)).await;
        if arrived.is_err() {
            return Err(anyhow!("waited {PATIENCE:?} for webhook {n}; received so far: {}", self.summary()));
        }
        let requests = lock(&self.shared.requests);
        n.checked_sub(1).and_then(|index| requests.get(index)).cloned().context("webhooks are counted from 1")
    }

    /// The first request whose event has this `type`, as soon as it is there.
    pub async fn event(&self, event_type: &str) -> anyhow::Result<ReceivedRequest> {
        let mut count = self.shared.count.subscribe();
        let search = async {
            loop {
                count.borrow_and_update();
                let is_it = |request: &&ReceivedRequest| request.json().is_ok_and(|event| event["type"] == event_type);
                if let Some(found) = lock(&self.shared.requests).iter().find(is_it) {
                    return Ok(found.clone());
                }
                count.changed().await?;
            }
        };
        match timeout(PATIENCE, search).await {
            Ok(found) => found,
            Err(_) => Err(anyhow!("waited {PATIENCE:?} for {event_type}; received so far: {}", self.summary())),
        }
    }

    fn summary(&self) -> String {
        let bodies: Vec<String> =
            self.requests().iter().map(|request| String::from_utf8_lossy(&request.body).into_owned()).collect();
        if bodies.is_empty() { "nothing".to_owned() } else { bodies.join("\n") }
    }
}

impl Drop for WebhookReceiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl ReceivedRequest {
    /// The body as JSON.
    pub fn json(&self) -> anyhow::Result<serde_json::Value> {
        serde_json::from_slice(&self.body).context("the webhook's body is not JSON")
    }

    /// A header's value as text.
    pub fn header(&self, name: &str) -> anyhow::Result<&str> {
        let value = self.headers.get(name).with_context(|| format!("the webhook has no header {name}"))?;
        Ok(value.to_str()?)
    }

    /// Checks the signature with `secret` (`whsec_…`): HMAC-SHA256 over `id.timestamp.body`, of which the header may
    /// hold several, `v1,<base64>` each, while secrets are exchanged. How old the timestamp is, is left to the test,
    /// which may have moved the clock.
    pub fn verify(&self, secret: &str) -> anyhow::Result<()> {
        let key = BASE64.decode(secret.strip_prefix("whsec_").context("a secret begins with whsec_")?)?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let head = format!("{}.{}.", self.header("webhook-id")?, self.header("webhook-timestamp")?);
        let signed = [head.as_bytes(), &self.body].concat();
        let signatures = self.header("webhook-signature")?;
        let given = signatures.split(' ').filter_map(|signature| BASE64.decode(signature.strip_prefix("v1,")?).ok());
        let genuine = given.into_iter().any(|signature| hmac::verify(&key, &signed, &signature).is_ok());
        ensure!(genuine, "no signature of {signatures:?} is by this secret");
        Ok(())
    }
}

async fn receive(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, HeaderMap) {
    let path = uri.to_string();
    let answer = {
        let mut answers = lock(&shared.answers);
        answers.next.pop_front().unwrap_or(answers.otherwise)
    };
    let count = {
        let mut requests = lock(&shared.requests);
        requests.push(ReceivedRequest { method, path, headers, body });
        requests.len()
    };
    // Two requests may come here in either order; the count must never step back.
    shared.count.send_modify(|told| *told = count.max(*told));
    let mut headers = HeaderMap::new();
    match answer {
        Answer::Status(status) => (StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), headers),
        Answer::Redirect => {
            headers.insert("location", axum::http::HeaderValue::from_static("/redirected"));
            (StatusCode::FOUND, headers)
        }
        Answer::Hang => std::future::pending().await,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own test suite: id, timestamp, body, secret and signature.
    fn example(signature: &'static str) -> ReceivedRequest {
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek".parse().unwrap());
        headers.insert("webhook-timestamp", "1614265330".parse().unwrap());
        headers.insert("webhook-signature", signature.parse().unwrap());
        let body = Bytes::from_static(br#"{"test": 2432232314}"#);
        ReceivedRequest { method: Method::POST, path: "/hook".to_owned(), headers, body }
    }

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn a_signature_by_the_secret_is_genuine_wherever_it_stands() {
        let genuine = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        example(genuine).verify(SECRET).unwrap();
        example("v1a,AAAA v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=").verify(SECRET).unwrap();
        assert!(example(genuine).verify("whsec_AAAA").is_err());
        let mut altered = example(genuine);
        altered.body = Bytes::from_static(b"{}");
        assert!(altered.verify(SECRET).is_err());
    }
}
