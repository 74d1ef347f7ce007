//! A provider's requests from the door to the facts, through an adapter that is a script.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::domain::ids::{AccountId, InboundEndpointId};
use crate::domain::status::{EnrollmentStatus, Hook, SendState};
use crate::extensions::{Binding, EngineKind, Scope};
use crate::secrets::SealedFor;
use crate::store::inbound::{InboundEndpoint, ProviderEvent};
use crate::store::page::Page;
use crate::store::{contacts, counters, decisions, enrollments, sends};
use crate::test_support::{START, TestApp};

/// One event, told as a form. `x-do` makes it fail in the ways that an adapter may.
const ADAPTER: &str = r#"//! name: test-provider
//! version: 1.0.0
//! hooks: provider-adapter
//! description: One event as a form.
//! retry_status: 429
//! settings: signing_secret (secret)

fn ingest(request, settings) {
    if request.header("x-secret") != settings["signing_secret"] {
        return #{ error: "unauthorized", reason: "wrong" };
    }
    let what = request.header("x-do");
    if what == "refuse" { return #{ error: "malformed", reason: "odd" }; }
    if what == "retry" && request.received_at == "2026-11-23T08:00:00.000Z" {
        return #{ error: "retry", reason: "later" };
    }
    if what == "respond" { return #{ respond: #{ status: 200, headers: #{}, body: request.query } }; }
    if what == "fail" { throw "no"; }
    let given = request.body.form();
    let event = #{};
    for key in ["kind", "recipient", "send_id", "message_id", "provider_message_id", "at", "reason", "dedupe_key"] {
        if given.contains(key) { event[key] = given[key]; }
    }
    #{ events: [event] }
}
"#;
const SECRET: &str = "s3cret";

pub(super) async fn start() -> (TestApp, AccountId) {
    let app = TestApp::start().await;
    let account = app.account().await;
    let adapter = app.extensions.load(ADAPTER.as_bytes(), EngineKind::Script, "test-provider.rhai").await.unwrap();
    let binding = Binding {
        scope: Scope::System,
        hook: Hook::ProviderAdapter,
        position: 0,
        mode: crate::extensions::Mode::Active,
        owner: None,
        extension: Arc::clone(&adapter),
    };
    app.extensions.set_bindings(&[binding]);
    let id = InboundEndpointId::new(START);
    let row = id.to_string();
    let endpoint = InboundEndpoint {
        id,
        account_id: account,
        provider: "test-provider".to_owned(),
        token: "t0ken".to_owned(),
        signing_secret: Some(app.sealer.seal(&SECRET.into(), SealedFor { column: inbound::SIGNING_SECRET, row: &row })),
        settings: None,
        created_at: START,
    };
    let mut tx = app.store.begin().await.unwrap();
    inbound::insert_endpoint(tx.conn(), &endpoint).await.unwrap();
    tx.commit().await.unwrap();
    (app, account)
}

fn request(what: &str, body: &str) -> Received {
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Received {
        method: "POST".to_owned(),
        path: "/inbound/test-provider/t0ken".to_owned(),
        query: "challenge=42".to_owned(),
        headers: vec![header("x-secret", SECRET), header("x-do", what)],
        body: body.as_bytes().to_vec(),
    }
}

/// As somebody has it who knows the address.
async fn receive(app: &TestApp, request: Received) -> Result<Answer> {
    let endpoint = endpoint(app, "test-provider", "t0ken").await?.unwrap();
    super::receive(app, endpoint, request).await
}

pub(super) async fn tell(app: &TestApp, body: &str) {
    assert_eq!(receive(app, request("", body)).await.unwrap().status, 200);
}

async fn timeline(app: &TestApp, send: &sends::Send) -> Vec<ProviderEvent> {
    inbound::of_enrollment(&mut app.store.read().await.unwrap(), send.enrollment_id).await.unwrap()
}

#[tokio::test]
async fn an_unknown_token_is_nobodys() {
    let (app, _) = start().await;
    for (provider, token) in [("test-provider", "other"), ("smtp2go", "t0ken"), ("test-provider", "\0")] {
        assert_eq!(endpoint(&app, provider, token).await.unwrap(), None);
    }
    assert_eq!(inbound::next_retry(&mut app.store.read().await.unwrap()).await.unwrap(), None);
}

#[tokio::test]
async fn a_hard_bounce_is_charged_once_however_often_and_by_whichever_id_it_is_told() {
    let (app, account) = start().await;
    let sender = app.sender(account, None).await;
    let send = app.sent(sender, "bob@example.com").await;
    let id = send.id;
    tell(&app, &format!("kind=hard_bounce&send_id={id}&provider_message_id=p-1&reason=550+no+such+user")).await;
    tell(&app, &format!("kind=hard_bounce&send_id={id}&provider_message_id=p-1&reason=550+no+such+user")).await;
    tell(&app, "kind=hard_bounce&provider_message_id=p-1&dedupe_key=a").await;
    tell(&app, &format!("kind=hard_bounce&message_id={id}%40sender.example&dedupe_key=b")).await;
    tell(&app, "kind=hard_bounce&recipient=Bob%40Example.com&dedupe_key=c").await;

    let by: Vec<_> = timeline(&app, &send).await.into_iter().map(|event| event.matched_by.unwrap()).collect();
    assert_eq!(by, ["send_id", "provider_message_id", "message_id", "recipient"]);
    let enrollment = app.enrollment(send.enrollment_id).await;
    assert_eq!(enrollment.status, EnrollmentStatus::Bounced);
    assert_eq!(enrollment.bounce_reason.as_deref(), Some("550 no such user"));
    let counted = counters::lifetime(&mut app.store.read().await.unwrap(), sender.credential).await.unwrap();
    assert_eq!((counted.hard_bounces, counted.transactions), (1, 1));
    assert_eq!(app.told(send.enrollment_id).await, ["enrollment.sent", "enrollment.bounced"]);
}

#[tokio::test]
async fn another_accounts_send_is_not_matched() {
    let (app, _) = start().await;
    let stranger = app.sender(app.account().await, None).await;
    let send = app.sent(stranger, "bob@example.com").await;
    tell(&app, &format!("kind=hard_bounce&send_id={}&recipient=bob%40example.com", send.id)).await;
    assert_eq!(app.enrollment(send.enrollment_id).await.status, EnrollmentStatus::Sent);
    assert_eq!(timeline(&app, &send).await, []);
}

#[tokio::test]
async fn a_delivery_settles_a_doubt_and_the_sequence_goes_on() {
    let (app, account) = start().await;
    let sender = app.sender(account, None).await;
    let send = app.in_doubt(sender, "bob@example.com").await;
    tell(&app, &format!("kind=delivered&send_id={}", send.id)).await;
    assert_eq!(app.send(send.id).await.state, SendState::Sent);
    let enrollment = app.enrollment(send.enrollment_id).await;
    assert_eq!((enrollment.status, enrollment.first_send_id), (EnrollmentStatus::Sent, Some(send.id)));
    let steps = sends::of_enrollment(&mut app.store.read().await.unwrap(), send.enrollment_id).await.unwrap();
    assert_eq!(steps.iter().map(|step| step.state).collect::<Vec<_>>(), [SendState::Sent, SendState::Due]);
    let counted = counters::lifetime(&mut app.store.read().await.unwrap(), sender.credential).await.unwrap();
    assert_eq!(counted.transactions, 1);
}

#[tokio::test]
async fn who_names_the_message_settles_a_doubt_and_who_names_its_address_does_not() {
    let (app, account) = start().await;
    let sender = app.sender(account, None).await;
    for kind in ["processed", "deferred", "delivered", "open", "open_machine", "click", "auto_reply", "complaint"] {
        let email = format!("{}@example.com", kind.replace('_', "-"));
        let send = app.in_doubt(sender, &email).await;
        tell(&app, &format!("kind={kind}&recipient={email}&dedupe_key=guess-{kind}")).await;
        assert_eq!(app.send(send.id).await.state, SendState::InDoubt, "{kind}");
        if kind != "complaint" {
            tell(&app, &format!("kind={kind}&send_id={}", send.id)).await;
            assert_eq!(app.send(send.id).await.state, SendState::Sent, "{kind}");
        }
    }
}

#[tokio::test]
async fn opens_opt_outs_and_complaints_become_the_facts_that_they_are() {
    let (app, account) = start().await;
    let sender = app.sender(account, None).await;
    let check = async |kind: &str, email: &str, events: &[&str]| {
        let send = app.sent(sender, email).await;
        tell(&app, &format!("kind={kind}&send_id={}", send.id)).await;
        assert_eq!(app.told(send.enrollment_id).await, events, "{kind}");
        app.enrollment(send.enrollment_id).await
    };
    let opened = check("open", "a@example.com", &["enrollment.sent", "enrollment.opened"]).await;
    assert_eq!(opened.status, EnrollmentStatus::Opened);
    let left = check("unsubscribe", "b@example.com", &["enrollment.sent", "enrollment.unsubscribed"]).await;
    assert_eq!(left.stop_reason.as_deref(), Some("unsubscribed"));
    let angry = check("complaint", "c@example.com", &["enrollment.sent", "enrollment.unsubscribed"]).await;
    assert_eq!(angry.stop_reason.as_deref(), Some("complaint"));
    for kind in ["open_machine", "click", "processed", "deferred", "resubscribe", "reject", "unknown"] {
        let same = check(kind, &format!("{}@example.com", kind.replace('_', "-")), &["enrollment.sent"]).await;
        assert!(same.stopped_at.is_none(), "{kind}");
    }
}

#[tokio::test]
async fn what_matches_no_send_still_keeps_its_address_from_being_mailed() {
    let (app, account) = start().await;
    let sender = app.sender(account, None).await;
    for (kind, email) in
        [("hard_bounce", "dead@example.com"), ("complaint", "angry@example.com"), ("unsubscribe", "left@example.com")]
    {
        let planned = app.planned(sender, email).await;
        tell(&app, &format!("kind={kind}&recipient={email}")).await;
        let mut conn = app.store.read().await.unwrap();
        let import = contacts::find(&mut conn, account, planned.contact_id).await.unwrap().unwrap();
        let campaign = crate::domain::ids::CampaignId::new(START);
        let candidate =
            enrollments::candidate(&mut conn, account, campaign, None, planned.contact_id).await.unwrap().unwrap();
        assert!(candidate.suppressed, "{kind}");
        assert_eq!(import.unsubscribed_at.is_some(), kind != "hard_bounce", "{kind}");
    }
}

#[tokio::test]
async fn a_bounce_of_somebody_who_was_deleted_keeps_the_address_from_being_mailed() {
    use crate::store::deletions::{Doomed, mark_contact};
    let (app, account) = start().await;
    let sender = app.sender(account, None).await;
    let send = app.sent(sender, "bob@example.com").await;
    tell(&app, &format!("kind=delivered&dedupe_key=d1&recipient=bob@example.com&send_id={}", send.id)).await;
    let mut tx = app.store.begin().await.unwrap();
    mark_contact(&mut tx, account, send.contact_id, START).await.unwrap();
    tx.commit().await.unwrap();
    assert!(crate::deletions::finish(&app, Doomed::Contact(send.contact_id)).await.unwrap());
    // The one that was told before is known still, though not whom it was about.
    tell(&app, &format!("kind=unsubscribe&dedupe_key=d1&recipient=bob@example.com&send_id={}", send.id)).await;
    tell(&app, &format!("kind=hard_bounce&recipient=bob@example.com&send_id={}", send.id)).await;
    let mut conn = app.store.read().await.unwrap();
    let kept = crate::store::suppressions::list(&mut conn, account, &Page::first(10)).await.unwrap();
    let kept: Vec<_> = kept.iter().map(|one| (one.value.as_str(), one.reason.as_str())).collect();
    assert_eq!(kept, [("bob@example.com", "hard bounce")]);
}

#[tokio::test]
async fn a_complaint_counts_months_later_and_what_was_not_tried_never_does() {
    let (app, account) = start().await;
    let sender = app.sender(account, None).await;
    let send = app.sent(sender, "bob@example.com").await;
    tell(&app, &format!("kind=reject&send_id={}", send.id)).await;
    app.clock.advance(Duration::from_secs(90 * 24 * 3600));
    tell(&app, "kind=complaint&recipient=bob%40example.com").await;
    let counted = counters::lifetime(&mut app.store.read().await.unwrap(), sender.credential).await.unwrap();
    assert_eq!((counted.complaints, counted.hard_bounces + counted.soft_bounces + counted.policy_bounces), (1, 0));
    assert_eq!(app.enrollment(send.enrollment_id).await.stop_reason.as_deref(), Some("complaint"));
    tell(&app, &format!("kind=resubscribe&send_id={}", send.id)).await;
    let mut conn = app.store.read().await.unwrap();
    let contact = contacts::find(&mut conn, account, send.contact_id).await.unwrap().unwrap();
    assert!(contact.unsubscribed_at.is_some(), "an opt-out was taken back");
}

#[tokio::test]
async fn each_refusal_has_its_status_and_each_request_is_kept() {
    let (app, account) = start().await;
    let unsigned = Received { headers: Vec::new(), ..request("", "kind=open") };
    assert_eq!(receive(&app, unsigned).await.unwrap().status, 401);
    assert_eq!(receive(&app, request("refuse", "")).await.unwrap().status, 422);
    assert_eq!(receive(&app, request("fail", "")).await.unwrap().status, 429);
    let answer = receive(&app, request("respond", "")).await.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"challenge=42".as_slice()));
    let mut conn = app.store.read().await.unwrap();
    let decided = decisions::list(&mut conn, account, Some(Hook::ProviderAdapter), &Page::first(10)).await.unwrap();
    assert_eq!(decided.len(), 4 + 1, "the failure is the host's word, too: {decided:?}");
    assert!(decided.iter().all(|row| !json!(row.decision).to_string().contains(SECRET)));
}

#[tokio::test]
async fn what_is_put_off_is_read_again_by_itself() {
    let (app, account) = start().await;
    let sender = app.sender(account, None).await;
    let send = app.sent(sender, "bob@example.com").await;
    // The adapter wants one that came at eight to wait; it is asked about the same request again and again.
    let answer = receive(&app, request("retry", &format!("kind=open&send_id={}", send.id))).await.unwrap();
    assert_eq!(answer.status, 429);
    assert_eq!(step(&app).await.unwrap(), Outcome::default());
    let mut tries = 1;
    while let Some(next) = inbound::next_retry(&mut app.store.read().await.unwrap()).await.unwrap() {
        app.clock.advance(app.clock.now().until(next));
        assert_eq!(step(&app).await.unwrap().read, 1);
        tries += 1;
    }
    assert_eq!(tries, 20);
    assert_eq!(states(&app, account).await, [RequestState::Failed]);
    assert!(START.until(app.clock.now()) > Duration::from_secs(8 * 3600));
}

#[tokio::test]
async fn of_what_is_refused_the_newest_hundred_are_kept() {
    let (app, account) = start().await;
    tell(&app, "kind=open").await;
    for _ in 0..105 {
        let unsigned = Received { headers: Vec::new(), ..request("", "kind=open") };
        assert_eq!(receive(&app, unsigned).await.unwrap().status, 401);
    }
    let kept = states(&app, account).await;
    let refused = kept.iter().filter(|state| **state == RequestState::Unauthorized).count();
    assert_eq!((refused, kept.len()), (100, 101), "what was believed is kept");
}

/// Of all requests, newest first.
async fn states(app: &TestApp, account: AccountId) -> Vec<RequestState> {
    let mut conn = app.store.read().await.unwrap();
    let endpoint = inbound::list_endpoints(&mut conn, account, &Page::first(1)).await.unwrap().remove(0);
    let fates = crate::store::inbound_fates::list(&mut conn, endpoint.id, None, &Page::first(1000)).await.unwrap();
    fates.into_iter().map(|fate| fate.state).collect()
}

#[tokio::test]
async fn a_request_whose_node_died_is_read_by_another() {
    let (app, account) = start().await;
    let send = app.sent(app.sender(account, None).await, "bob@example.com").await;
    let mut conn = app.store.read().await.unwrap();
    let endpoint = inbound::endpoint_by_token(&mut conn, "test-provider", "t0ken").await.unwrap().unwrap();
    drop(conn);
    let given = request("", &format!("kind=open&send_id={}", send.id));
    let stored = InboundRequest {
        id: InboundRequestId::new(START),
        account_id: account,
        endpoint_id: endpoint.id,
        method: given.method,
        path: given.path,
        query: given.query,
        headers: given.headers,
        body: given.body,
        attempts: 0,
        failures: 0,
        received_at: START,
    };
    let mut tx = app.store.begin().await.unwrap();
    inbound_many::insert_requests(&mut tx, &[&stored]).await.unwrap();
    tx.commit().await.unwrap();

    let shutdown = CancellationToken::new();
    let running = tokio::spawn(run(app.app.clone(), shutdown.clone()));
    app.clock.advance(LEASE);
    let opened = async {
        while app.enrollment(send.enrollment_id).await.status != EnrollmentStatus::Opened {
            app.clock.advance(Duration::from_secs(1));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), opened).await.expect("nobody reads it");
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(60), running).await.expect("it does not stop").unwrap();
}

#[test]
fn a_request_prints_without_its_token() {
    let printed = format!("{:?}", request("", "kind=open"));
    assert!(!printed.contains("t0ken") && !printed.contains(SECRET), "{printed}");
}
