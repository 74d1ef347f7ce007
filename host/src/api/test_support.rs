//! The API as its callers meet it: a real router over a new database, a clock that stands until it is moved.

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;

use crate::app::App;
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::Timestamp;
use crate::domain::api_key::{ClientKind, NewApiKey, Scope};
use crate::domain::ids::AccountId;
use crate::secrets::random_bytes;
use crate::store::accounts::{self, ApiKey};

/// 2026-11-23T08:00:00Z.
const START: Timestamp = Timestamp::from_millis(1_795_420_800_000);

/// A server without a listener.
pub(super) struct TestApi {
    pub(super) app: App,
    router: Router,
    folder: Arc<TempDir>,
}

/// An account's key.
pub(super) struct Key {
    pub(super) account: AccountId,
    pub(super) plaintext: String,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl TestApi {
    pub(super) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// With settings beside those that a test needs.
    pub(super) async fn with(settings: &[(&'static str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        let mut all = vec![
            ("data_dir", folder.path().display().to_string()),
            ("dns_servers", "127.0.0.1:9".to_owned()),
            ("rate_limit_per_minute", "1000".to_owned()),
        ];
        all.extend(settings.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let config = Config::from_settings(&all).unwrap();
        let app = App::start(config, Clock::manual(START), "http://ampout.example").await.unwrap();
        let catalog = Catalog::start(&app).await.unwrap();
        Self { router: super::router(app.clone(), catalog), app, folder: Arc::new(folder) }
    }

    /// Another node that meets this one in the database.
    pub(super) async fn second_node(&self) -> Self {
        let catalog = Catalog::start(&self.app).await.unwrap();
        let router = super::router(self.app.clone(), catalog);
        Self { router, app: self.app.clone(), folder: Arc::clone(&self.folder) }
    }

    /// Where its files are.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A new account with a key that may do all.
    pub(super) async fn key(&self) -> Key {
        self.key_with(Scope::ALL).await
    }

    /// A new account with a key of these scopes.
    pub(super) async fn key_with(&self, scopes: &[Scope]) -> Key {
        let now = self.app.clock.now();
        let account = AccountId::new(now);
        let new = NewApiKey::from_random(random_bytes());
        let key = ApiKey::of(&new, account, "test", ClientKind::Direct, scopes.to_vec(), now);
        let mut tx = self.app.store.begin().await.unwrap();
        accounts::insert(tx.conn(), account, None, None, now).await.unwrap();
        accounts::insert_key(tx.conn(), &key, &new.hash).await.unwrap();
        tx.commit().await.unwrap();
        Key { account, plaintext: new.reveal().to_owned() }
    }

    pub(super) async fn get(&self, key: &Key, path: &str) -> Answer {
        self.send(request("GET", path, Some(key), None)).await
    }

    pub(super) async fn post(&self, key: &Key, path: &str, body: Value) -> Answer {
        self.send(request("POST", path, Some(key), Some(body))).await
    }

    pub(super) async fn call(&self, method: &str, key: &Key, path: &str, body: Option<Value>) -> Answer {
        self.send(request(method, path, Some(key), body)).await
    }

    /// Any request at all.
    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        send_to(&self.router, request).await
    }

    /// A campaign; its id.
    pub(super) async fn campaign(&self, key: &Key, more: Value) -> String {
        let answer = self.post(key, "/campaigns", json!({ "campaign": campaign(more) })).await;
        answer.expect(StatusCode::CREATED)["id"].as_str().unwrap().to_owned()
    }

    /// An import of these addresses; its id.
    pub(super) async fn import(&self, key: &Key, addresses: &[&str]) -> String {
        let contacts: Vec<Value> = addresses.iter().map(|email| json!({ "email": email })).collect();
        let body = json!({ "contact_import": { "name": "list", "contacts": contacts } });
        let answer = self.post(key, "/contact_imports", body).await;
        answer.expect(StatusCode::CREATED)["id"].as_str().unwrap().to_owned()
    }
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The body, which must have come with this status.
    #[track_caller]
    pub(super) fn expect(&self, status: StatusCode) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json()
    }

    /// An error of this status and code; its details.
    #[track_caller]
    pub(super) fn expect_error(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        let body = self.json();
        assert_eq!(body["code"], code, "{body}");
        assert_eq!(body["type"], format!("http://ampout.example/docs/errors/{code}"));
        assert!(!body["message"].as_str().unwrap().is_empty());
        assert!(self.headers.contains_key("x-request-id"));
        body["details"].clone()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// A request to a router of the test's own.
pub(super) async fn send_to(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    Answer { status, headers, text: String::from_utf8_lossy(&bytes).into_owned() }
}

/// A request with a JSON body.
pub(super) fn request(method: &str, path: &str, key: Option<&Key>, body: Option<Value>) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(key) = key {
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", key.plaintext));
    }
    match body {
        None => request.body(Body::empty()),
        Some(body) => request.header(header::CONTENT_TYPE, "application/json").body(Body::from(body.to_string())),
    }
    .unwrap()
}

/// The smallest campaign, with `more` written over it.
pub(super) fn campaign(more: Value) -> Value {
    let mut campaign = json!({
        "name": "Spring",
        "smtp_credentials": [credential()],
        "sequence_steps": [
            { "position": 1, "subject": "Hi {{first_name}}", "body_html": "<p>Hello {{company}}</p>" },
            { "position": 2, "subject": "Still there?", "body_html": "<p>Hm</p>", "delay_minutes": 60 },
        ],
    });
    for (name, value) in more.as_object().unwrap() {
        campaign[name] = value.clone();
    }
    campaign
}

/// The smallest credential.
pub(super) fn credential() -> Value {
    json!({
        "smtp_host": "smtp.example.com", "smtp_port": 587, "smtp_username": "ada", "smtp_password": "hunter2",
        "from_name": "Ada", "from_email": "ada@example.com", "daily_limit": 50,
    })
}
