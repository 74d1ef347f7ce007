//! A customer of the API: JSON over HTTP with a key, and nothing else.

use ampout::tls::TlsClient;
use anyhow::{Context, ensure};
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

/// The API as one account sees it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Api {
    http: Client,
    base: String,
    key: String,
    idempotency: Option<String>,
}

/// What somebody without a key was given.
#[derive(Debug, Clone)]
pub struct Visit {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct ApiAnswer {
    /// The status.
    pub status: StatusCode,
    /// The body; null when it is not JSON.
    pub body: Value,
    /// The body as it came.
    pub text: String,
    /// Whether it is the stored answer to an earlier call.
    pub replayed: bool,
    asked: String,
}

impl Api {
    /// With a key that was made elsewhere.
    pub fn new(base: &str, key: &str) -> anyhow::Result<Self> {
        // reqwest wants a TLS provider even for http://, which is all that is spoken here.
        let tls = TlsClient::with_extra_ca_file(None)?;
        let http = Client::builder().tls_backend_preconfigured(tls.config().as_ref().clone()).no_proxy().build()?;
        Ok(Self { http, base: base.to_owned(), key: key.to_owned(), idempotency: None })
    }

    /// The key that every call carries.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The same, whose calls carry this `Idempotency-Key`.
    pub fn once(&self, idempotency: &str) -> Self {
        Self { idempotency: Some(idempotency.to_owned()), ..self.clone() }
    }

    /// Makes an account, and is its first key's.
    pub async fn sign_up(base: &str) -> anyhow::Result<Self> {
        let visitor = Self::new(base, "")?;
        let signed_up = visitor.post("/signup", json!({ "email": "owner@company.test" })).await?;
        Self::new(base, text(&signed_up["api_key"]["plaintext"])?)
    }

    /// GET; anything but a 2xx is an error that shows the answer.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.call(Method::GET, path, None).await?.succeeded()
    }

    /// POST, likewise.
    pub async fn post(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        self.call(Method::POST, path, Some(body)).await?.succeeded()
    }

    /// PUT, likewise.
    pub async fn put(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        self.call(Method::PUT, path, Some(body)).await?.succeeded()
    }

    /// PATCH, likewise.
    pub async fn patch(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        self.call(Method::PATCH, path, Some(body)).await?.succeeded()
    }

    /// Any call with a JSON body or none, whatever the answer.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<ApiAnswer> {
        let content = body.map(|body| ("application/json", body.to_string().into_bytes()));
        self.send(method, path, content).await
    }

    /// POST of a body of another kind, whatever the answer.
    pub async fn upload(&self, path: &str, content_type: &str, body: &[u8]) -> anyhow::Result<ApiAnswer> {
        self.send(Method::POST, path, Some((content_type, body.to_vec()))).await
    }

    /// POST by somebody without a key to a whole address of ours: a provider, a mail client.
    pub async fn post_publicly(&self, url: &str, content_type: &str, body: &str) -> anyhow::Result<StatusCode> {
        let request = self.http.post(url).header("content-type", content_type).body(body.to_owned());
        Ok(request.send().await?.status())
    }

    /// Any request by somebody without a key to a whole address of ours.
    pub async fn visit(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> anyhow::Result<Visit> {
        let mut request = self.http.request(method, url).body(body.to_owned());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Visit { status, headers, body: response.bytes().await?.to_vec() })
    }

    async fn send(&self, method: Method, path: &str, content: Option<(&str, Vec<u8>)>) -> anyhow::Result<ApiAnswer> {
        let asked = format!("{method} {path}");
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if !self.key.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.key));
        }
        if let Some(idempotency) = &self.idempotency {
            request = request.header("idempotency-key", idempotency);
        }
        if let Some((content_type, bytes)) = content {
            request = request.header("content-type", content_type).body(bytes);
        }
        let response = request.send().await.with_context(|| asked.clone())?;
        let status = response.status();
        let replayed = response.headers().contains_key("idempotency-replayed");
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(ApiAnswer { status, body, text, replayed, asked })
    }
}

impl ApiAnswer {
    /// The body of a 2xx.
    pub fn succeeded(self) -> anyhow::Result<Value> {
        ensure!(self.status.is_success(), "{} was answered {}: {}", self.asked, self.status, self.text);
        Ok(self.body)
    }

    /// The body of an error with this status and code.
    pub fn refused(self, status: u16, code: &str) -> anyhow::Result<Value> {
        let as_told = self.status.as_u16() == status && self.body["code"] == code;
        ensure!(as_told, "{} was answered {}, not {status} {code}: {}", self.asked, self.status, self.text);
        Ok(self.body)
    }
}

/// A value that has to be a text.
pub fn text(value: &Value) -> anyhow::Result<&str> {
    value.as_str().with_context(|| format!("{value} is no text"))
}
