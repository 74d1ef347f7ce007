//! What belongs to another account is not there: every route with an id answers a stranger as it answers for an id that
//! nobody has, byte for byte.
//!
//! The routes are taken from the router's own source and from the OpenAPI document, so that a new one is walked, too, or
//! fails here until this file says what has to be made for it ([`Things::of`]) and what is sent ([`body_of`]).

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::test_support::{Answer, Key, TestApi, campaign, credential, request};
use crate::domain::event::EventType;
use crate::store::events;

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];
/// Their tokens are no ids of an account's: who has one may use it.
const PUBLIC: [&str; 4] = ["/t/", "/u/", "/inbound/", "/docs"];

/// One of each kind, by the part of the path that stands before its id.
struct Things(BTreeMap<&'static str, String>);

impl Things {
    async fn of(api: &TestApi, key: &Key) -> Self {
        let id = |body: &Value| body["id"].as_str().unwrap_or_else(|| panic!("no id in {body}")).to_owned();
        let make = async |path: &str, body: Value| id(&api.post(key, path, body).await.expect(StatusCode::CREATED));
        let first = async |path: &str| id(&api.get(key, path).await.expect(StatusCode::OK)[0]);

        let outreach = make("/outreaches", json!({"outreach": {"name": "o"}})).await;
        let made = make("/campaigns", json!({"campaign": campaign(json!({"outreach_id": outreach}))})).await;
        let import = api.import(key, &["bo@there.test"]).await;
        let enroll = format!("/campaigns/{made}/enroll");
        api.post(key, &enroll, json!({"contact_import_id": import})).await.expect(StatusCode::OK);
        let webhook = make("/webhooks", json!({"webhook": {"url": "https://app.example/hooks"}})).await;
        let endpoint = api.post(key, "/inbound_endpoints", json!({"inbound_endpoint": {"provider": "smtp2go"}})).await;
        let endpoint = endpoint.expect(StatusCode::CREATED);
        let address = endpoint["url"].as_str().unwrap().trim_start_matches("http://ampout.example");
        // It can't be read, and is kept.
        api.send(request("POST", address, None, Some(json!(7)))).await;
        deliver(api, key).await;
        api.post(key, &format!("/campaigns/{made}/dispatch"), json!({})).await.expect(StatusCode::ACCEPTED);
        let enrollment = first(&format!("/campaigns/{made}/enrollments")).await;
        let timeline = api.get(key, &format!("/enrollments/{enrollment}/timeline")).await.expect(StatusCode::OK);
        let queued = timeline.as_array().unwrap().iter().find(|fact| fact["kind"] == "queued").unwrap();
        Self(BTreeMap::from([
            ("api_keys", first("/api_keys").await),
            ("contacts", first(&format!("/contact_imports/{import}/contacts")).await),
            ("contact_imports", import),
            ("deliveries", first(&format!("/webhooks/{webhook}/deliveries")).await),
            ("events", first("/events").await),
            ("enrollments", enrollment),
            ("extensions", id(&upload(api, key).await.expect(StatusCode::CREATED))),
            ("requests", first(&format!("/inbound_endpoints/{}/requests", id(&endpoint))).await),
            ("inbound_endpoints", id(&endpoint)),
            ("outreaches", outreach),
            ("smtp_credentials", first(&format!("/campaigns/{made}/smtp_credentials")).await),
            ("sends", queued["send_id"].as_str().unwrap().to_owned()),
            ("suppressions", make("/suppressions", json!({"suppression": {"domain": "there.test"}})).await),
            ("campaigns", made),
            ("webhooks", webhook),
        ]))
    }

    /// As many that nobody has.
    fn of_nobody(&self) -> Self {
        Self(self.0.keys().map(|kind| (*kind, Uuid::from_u128(rand::random()).to_string())).collect())
    }
}

/// What is sent, so that the id is what the call fails for; `own` are the caller's.
fn body_of(route: &str, own: &Things) -> Option<Value> {
    let body = match route {
        "PATCH /outreaches/{id}" => json!({"outreach": {"name": "mine"}}),
        "PATCH /campaigns/{id}" => json!({"campaign": {"name": "mine"}}),
        "PATCH /contacts/{id}" => json!({"contact": {"first_name": "Mine"}}),
        "PATCH /inbound_endpoints/{id}" => json!({"inbound_endpoint": {"signing_secret": "mine"}}),
        "PATCH /webhooks/{id}" => json!({"webhook": {"enabled": true}}),
        "POST /campaigns/{id}/smtp_credentials" => json!({"smtp_credential": credential()}),
        "PATCH /campaigns/{id}/smtp_credentials/{credential}" => json!({"smtp_credential": {"label": "mine"}}),
        "POST /campaigns/{id}/enroll" => json!({"contact_import_id": own.0["contact_imports"]}),
        "POST /campaigns/{id}/enroll_contact" => json!({"contact_id": own.0["contacts"]}),
        "POST /campaigns/{id}/test_send" => json!({"emails": ["bo@there.test"]}),
        "POST /sends/{id}/resolve" => json!({"as": "sent"}),
        "POST /extensions/{id}/test" => json!({"input": {"subject": "hello"}}),
        "POST /extensions/{id}/replay" => json!({"since": "7d", "limit": 10}),
        _ => return None,
    };
    Some(body)
}

#[tokio::test]
async fn what_is_anothers_is_not_there() {
    let api = TestApi::start().await;
    let (owner, stranger) = (api.key().await, api.key().await);
    let (owned, own) = (Things::of(&api, &owner).await, Things::of(&api, &stranger).await);
    let nobodys = owned.of_nobody();
    let routes = routes_with_ids(&api).await;
    assert!(routes.len() > 30, "{routes:?}");
    for route in &routes {
        let (method, template) = route.split_once(' ').unwrap();
        let body = body_of(route, &own);
        let ask = async |key: &Key, path: &str| api.call(method, key, path, body.clone()).await;
        // All ids are the owner's; where there are several, also the last alone, below what is the stranger's own.
        for kept in [0, ids_in(template).saturating_sub(1)] {
            let of_owner = ask(&stranger, &path(template, kept, &own, &owned)).await;
            let of_nobody = ask(&stranger, &path(template, kept, &own, &nobodys)).await;
            assert_eq!(of_owner.status, StatusCode::NOT_FOUND, "{route}: {}", of_owner.text);
            assert_eq!(without_id(&of_owner), without_id(&of_nobody), "{route}");
        }
        if method == "GET" {
            let seen = ask(&owner, &path(template, 0, &own, &owned)).await;
            assert_ne!(seen.status, StatusCode::NOT_FOUND, "{route}: the owner does not see it either: {}", seen.text);
        }
    }
}

#[tokio::test]
async fn what_is_anothers_is_not_there_in_bodies_and_parameters() {
    let api = TestApi::start().await;
    let (owner, stranger) = (api.key().await, api.key().await);
    let (owned, own) = (Things::of(&api, &owner).await, Things::of(&api, &stranger).await);
    let nobodys = owned.of_nobody();
    let campaigns = format!("/campaigns/{}", own.0["campaigns"]);
    let binding = |extension: &str| json!({"bindings": [{"scope": "account", "hook": "reply-classifier", "extension_id": extension}]});
    let asks = |of: &Things| {
        let id = |kind: &str| of.0[kind].clone();
        [
            ("POST", format!("{campaigns}/enroll"), Some(json!({"contact_import_id": id("contact_imports")}))),
            ("POST", format!("{campaigns}/enroll_contact"), Some(json!({"contact_id": id("contacts")}))),
            ("GET", format!("{campaigns}/preview?contact_id={}", id("contacts")), None),
            (
                "POST",
                "/campaigns".to_owned(),
                Some(json!({"campaign": campaign(json!({"outreach_id": id("outreaches")}))})),
            ),
            ("GET", format!("/decisions?extension_id={}", id("extensions")), None),
            ("GET", format!("/events?after={}", id("events")), None),
            ("GET", format!("/sends?state=in_doubt&campaign_id={}", id("campaigns")), None),
            ("GET", format!("/bindings?scope=campaign&scope_id={}", id("campaigns")), None),
            ("PUT", format!("/bindings?scope=campaign&scope_id={}", id("campaigns")), Some(json!({"bindings": []}))),
            (
                "PUT",
                format!("/bindings?scope=credential&scope_id={}", id("smtp_credentials")),
                Some(json!({"bindings": []})),
            ),
            ("PUT", "/bindings?scope=account".to_owned(), Some(binding(&id("extensions")))),
        ]
    };
    for ((method, of_owner, body), (_, of_nobody, nobodys_body)) in asks(&owned).into_iter().zip(asks(&nobodys)) {
        let given = api.call(method, &stranger, &of_owner, body).await;
        let expected = api.call(method, &stranger, &of_nobody, nobodys_body).await;
        assert_eq!((given.status, given.text), (expected.status, expected.text), "{method} {of_owner}");
    }
}

/// `METHOD /path/{id}` of every keyed route with an id.
async fn routes_with_ids(api: &TestApi) -> BTreeSet<String> {
    let document = api.send(request("GET", "/openapi.json", None, None)).await.expect(StatusCode::OK);
    let documented = document["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
        item.as_object().unwrap().keys().map(move |method| (method.clone(), path.clone())).collect::<Vec<_>>()
    });
    // Those that are not documented yet: `.route("/path/{id}", get(…).post(…))`.
    let source =
        include_str!("../mod.rs").lines().filter_map(|line| line.trim().strip_prefix(".route(\"")?.split_once('"'));
    let written = source.flat_map(|(path, handlers)| {
        let named: Vec<&str> = METHODS.into_iter().filter(|method| handlers.contains(&format!("{method}("))).collect();
        let named = if named.is_empty() { METHODS[..1].to_vec() } else { named };
        named.into_iter().map(move |method| (method.to_owned(), path.to_owned()))
    });
    let is_public = |path: &str| PUBLIC.iter().any(|public| path.starts_with(public));
    let all = documented.chain(written).filter(|(_, path)| path.contains('{') && !is_public(path));
    all.filter(|(method, _)| METHODS.contains(&method.as_str()))
        .map(|(method, path)| format!("{} {path}", method.to_uppercase()))
        .collect()
}

fn ids_in(template: &str) -> usize {
    template.matches('{').count()
}

/// The path with ids: the first `kept` of `own`, the others of `others`.
fn path(template: &str, kept: usize, own: &Things, others: &Things) -> String {
    let (mut kind, mut filled, mut seen) = ("", Vec::new(), 0);
    for part in template.split('/') {
        if part.starts_with('{') {
            let things = if seen < kept { own } else { others };
            seen += 1;
            let id = things.0.get(kind).unwrap_or_else(|| panic!("{template}: make one of the {kind} in Things::of"));
            filled.push(id.as_str());
        } else {
            kind = part;
            filled.push(part);
        }
    }
    filled.join("/")
}

/// All that is told but the request's id and the key's limits, which count on.
fn without_id(answer: &Answer) -> (StatusCode, BTreeMap<String, String>, &str) {
    let is_same = |name: &str| name != "x-request-id" && !name.starts_with("ratelimit-");
    let headers = answer.headers.iter().filter(|(name, _)| is_same(name.as_str()));
    let headers = headers.map(|(name, value)| (name.to_string(), format!("{value:?}"))).collect();
    (answer.status, headers, &answer.text)
}

/// A delivery of an event to each of the account's webhooks.
async fn deliver(api: &TestApi, key: &Key) {
    let now = api.app.clock.now();
    let mut tx = api.app.store.begin().await.unwrap();
    events::insert(&mut tx, key.account, EventType::CampaignPaused, "it", &json!({}), now).await.unwrap();
    tx.commit().await.unwrap();
}

async fn upload(api: &TestApi, key: &Key) -> Answer {
    let script = "//! name: mine\n//! version: 1.0.0\n//! hooks: reply-classifier\n//! description: A test.\n\n\
                  fn classify(message) {\n    #{ verdict: \"pass\" }\n}\n";
    let request = Request::post("/extensions").header(header::AUTHORIZATION, format!("Bearer {}", key.plaintext));
    api.send(request.header(header::CONTENT_TYPE, "text/rhai").body(Body::from(script)).unwrap()).await
}
