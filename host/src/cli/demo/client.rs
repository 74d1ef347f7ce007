//! The demo calls the API as any customer would: over HTTP, with a key.

use anyhow::{Context as _, bail};
use serde_json::Value;
use std::time::Duration;
use url::Url;

use crate::http_client::{HttpClient, Method, Request, WhenLonger};

const PATIENCE: Duration = Duration::from_secs(10);
const MOST_ANSWER_BYTES: usize = 4 << 20;

/// A customer of the demo's API.
pub(super) struct Client {
    http: HttpClient,
    base: String,
    key: String,
}

impl Client {
    pub(super) fn new(http: HttpClient, base: String, key: String) -> Self {
        Self { http, base, key }
    }

    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.call(Method::Get, path, "application/json", Vec::new()).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.call(Method::Post, path, "application/json", body.to_string().into_bytes()).await
    }

    pub(super) async fn put(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.call(Method::Put, path, "application/json", body.to_string().into_bytes()).await
    }

    pub(super) async fn upload(&self, path: &str, content_type: &str, body: &[u8]) -> anyhow::Result<Value> {
        self.call(Method::Post, path, content_type, body.to_vec()).await
    }

    /// A request to a whole address, as a provider posts it.
    pub(super) async fn post_to(&self, url: &str, body: &Value) -> anyhow::Result<()> {
        let path = url.strip_prefix(&self.base).context("the inbound address is not below the public address")?;
        self.call(Method::Post, path, "application/json", body.to_string().into_bytes()).await.map(drop)
    }

    async fn call(&self, method: Method, path: &str, content_type: &str, body: Vec<u8>) -> anyhow::Result<Value> {
        let headers = vec![
            ("authorization".to_owned(), format!("Bearer {}", self.key)),
            ("content-type".to_owned(), content_type.to_owned()),
        ];
        let request = Request {
            method,
            url: Url::parse(&format!("{}{path}", self.base))?,
            headers,
            body: body.into(),
            timeout: PATIENCE,
            max_answer_bytes: MOST_ANSWER_BYTES,
            when_longer: WhenLonger::Refuse,
        };
        let answer = self.http.request(request).await.with_context(|| format!("{method:?} {path}"))?;
        let text = String::from_utf8_lossy(&answer.body);
        if !(200..300).contains(&answer.status) {
            bail!("{method:?} {path} was answered {}: {text}", answer.status);
        }
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }
}
