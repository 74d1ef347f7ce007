//! Replay over messages and requests that a real room has read.

use serde_json::json;

use super::*;
use crate::domain::ids::InboundEndpointId;
use crate::extensions::{Binding, EngineKind, Mode, Scope};
use crate::inbound::Received;
use crate::store::inbound::InboundEndpoint;
use crate::store::inbox::InboundMessage;
use crate::test_support::{START, Sender, TestApp};

fn classifier(version: &str, body: &str) -> String {
    format!(
        "//! name: filter\n//! version: {version}\n//! hooks: reply-classifier\n\nfn classify(message) {{ {body} }}\n"
    )
}

async fn load(app: &TestApp, source: &str) -> Arc<LoadedExtension> {
    app.extensions.load(source.to_owned(), EngineKind::Script, "test.rhai").await.unwrap()
}

async fn bind(app: &TestApp, extension: &Arc<LoadedExtension>) {
    let hook = extension.hooks()[0];
    let (scope, mode) = (Scope::System, Mode::Active);
    let extension = Arc::clone(extension);
    app.extensions.set_bindings(&[Binding { scope, hook, position: 0, mode, owner: None, extension }]);
}

/// A message that was stored and read; its id.
async fn message(app: &TestApp, sender: Sender, uid: u32, subject: &str) -> InboundMessageId {
    let id = InboundMessageId::new(app.clock.now());
    let raw =
        format!("From: ada@example.org\r\nSubject: {subject}\r\nMessage-ID: <{uid}@example.org>\r\n\r\nHello.\r\n");
    let row = InboundMessage {
        id,
        account_id: sender.account,
        credential_id: sender.credential,
        generation: 1,
        uid_validity: 1,
        uid,
        size: raw.len() as u64,
        raw: raw.into_bytes(),
        truncated: false,
        received_at: app.clock.now(),
    };
    let mut tx = app.store.begin().await.unwrap();
    crate::store::inbox_many::insert(&mut tx, &[row], app.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
    inbox::step(app).await.unwrap();
    id
}

fn over(extension: &Arc<LoadedExtension>, account: AccountId) -> Replay {
    let (extension, hook) = (Arc::clone(extension), extension.hooks()[0]);
    Replay { extension, owner: None, hook, account: Some(account), since: START, limit: 100 }
}

#[tokio::test]
async fn only_decisions_that_would_be_others_are_told_and_nothing_is_changed() {
    let app = TestApp::start().await;
    let account = app.account().await;
    let sender = app.sender(account, None).await;
    let old = load(&app, &classifier("1.0.0", "#{ verdict: \"human-reply\", reason: \"old words\" }")).await;
    bind(&app, &old).await;
    let plain = message(&app, sender, 1, "Hello").await;
    let sale = message(&app, sender, 2, "Sale").await;
    let new = load(&app, &classifier("2.0.0", "if message.subject == \"Sale\" { return #{ verdict: \"ignore\" }; } #{ verdict: \"human-reply\", reason: \"new words\" }")).await;

    let before = rows(&app, &sale).await;
    let replayed = run(&app, &over(&new, account)).await.unwrap();
    let expected = Change {
        subject_id: sale.to_string(),
        before: Some(json!({ "verdict": "human-reply", "reason": "old words" })),
        after: json!({ "verdict": "ignore" }),
    };
    assert_eq!(replayed, Replayed { examined: 2, changed: vec![expected] });
    assert_eq!(run(&app, &over(&old, account)).await.unwrap(), Replayed { examined: 2, changed: Vec::new() });
    assert_eq!(rows(&app, &sale).await, before);
    assert_ne!(plain, sale);

    // Bounds, and the messages of others.
    let newest = Replay { limit: 1, ..over(&new, account) };
    assert_eq!(run(&app, &newest).await.unwrap().examined, 1);
    let later = Replay { since: START.plus(Duration::from_secs(1)), ..over(&new, account) };
    assert_eq!(run(&app, &later).await.unwrap().examined, 0);
    let stranger = app.account().await;
    assert_eq!(run(&app, &over(&new, stranger)).await.unwrap(), Replayed::default());
    let everybody = Replay { account: None, ..over(&new, account) };
    assert_eq!(run(&app, &everybody).await.unwrap().examined, 2);
}

async fn rows(app: &TestApp, message: &InboundMessageId) -> usize {
    decisions::of_subject(&mut app.store.read().await.unwrap(), &message.to_string()).await.unwrap().len()
}

#[tokio::test]
async fn a_version_that_passes_leaves_the_decision_to_the_others_of_its_line() {
    let app = TestApp::start().await;
    let account = app.account().await;
    let sender = app.sender(account, None).await;
    let old = load(&app, &classifier("1.0.0", "#{ verdict: \"ignore\" }")).await;
    bind(&app, &old).await;
    let shipped =
        load(&app, &classifier("1.0.0", "#{ verdict: \"human-reply\" }").replace("name: filter", "name: last")).await;
    app.extensions.set_shipped(&[shipped]);
    message(&app, sender, 1, "Hello").await;
    let passing = load(&app, &classifier("1.1.0", "#{ verdict: \"pass\" }")).await;
    let replayed = run(&app, &over(&passing, account)).await.unwrap();
    assert_eq!(replayed.changed[0].after, json!({ "verdict": "human-reply" }), "not the old version's");
    let failing = load(&app, &classifier("1.2.0", "throw \"no\"")).await;
    for _ in 0..6 {
        let replayed = run(&app, &over(&failing, account)).await.unwrap();
        assert_eq!(replayed.changed[0].after["verdict"], "unclassified");
    }
    assert!(!failing.is_suspended(), "a replay tells no breaker");
}

#[tokio::test]
async fn a_version_is_asked_where_it_would_stand_and_takes_nobody_elses_place() {
    let app = TestApp::start().await;
    let account = app.account().await;
    let sender = app.sender(account, None).await;
    let first =
        load(&app, &classifier("1.0.0", "#{ verdict: \"ignore\" }").replace("name: filter", "name: first")).await;
    let shipped = load(&app, &classifier("1.0.0", "#{ verdict: \"challenge\" }")).await;
    let (hook, mode) = (Hook::ReplyClassifier, Mode::Active);
    let binding = |position, extension: &Arc<LoadedExtension>| {
        let (scope, extension) = (Scope::System, Arc::clone(extension));
        Binding { scope, hook, position, mode, owner: None, extension }
    };
    app.extensions.set_shipped(&[Arc::clone(&shipped)]);
    app.extensions.set_bindings(&[binding(0, &first)]);
    message(&app, sender, 1, "Hello").await;
    let after = async |replay: &Replay| run(&app, replay).await.unwrap().changed.pop().map(|change| change.after);

    // An account's own of the same name stands before the system's, and passes on to the shipped one.
    let passing = load(&app, &classifier("2.0.0", "#{ verdict: \"pass\" }")).await;
    let of_account = Replay { owner: Some(account), ..over(&passing, account) };
    app.extensions.set_bindings(&[]);
    assert_eq!(after(&of_account).await, Some(json!({ "verdict": "challenge" })));
    app.extensions.set_bindings(&[binding(0, &first)]);
    assert_eq!(after(&of_account).await, None, "the first of the system's decides as before");

    // A version stands where its name is bound: behind the first, which decides all.
    let old = load(&app, &classifier("1.1.0", "#{ verdict: \"complaint\" }")).await;
    app.extensions.set_bindings(&[binding(0, &first), binding(1, &old)]);
    let new = load(&app, &classifier("1.2.0", "#{ verdict: \"human-reply\" }")).await;
    assert_eq!(after(&over(&new, account)).await, None);
    assert_eq!(after(&over(&shipped, account)).await, None);
}

const ADAPTER: &str = r#"//! name: test-provider
//! version: 1.0.0
//! hooks: provider-adapter

fn ingest(request, settings) {
    #{ events: [#{ kind: "KIND", recipient: request.body.text(), dedupe_key: "1" }] }
}
"#;

#[tokio::test]
async fn a_providers_requests_are_replayed_to_its_adapter() {
    let app = TestApp::start().await;
    let account = app.account().await;
    let old = load(&app, &ADAPTER.replace("KIND", "soft_bounce")).await;
    bind(&app, &old).await;
    let endpoint = InboundEndpoint {
        id: InboundEndpointId::new(START),
        account_id: account,
        provider: "test-provider".to_owned(),
        token: "token".to_owned(),
        signing_secret: None,
        settings: None,
        created_at: START,
    };
    let mut tx = app.store.begin().await.unwrap();
    stored_requests::insert_endpoint(tx.conn(), &endpoint).await.unwrap();
    tx.commit().await.unwrap();
    let received = Received {
        method: "POST".to_owned(),
        path: "/inbound/test-provider/token".to_owned(),
        query: String::new(),
        headers: Vec::new(),
        body: b"ada@example.org".to_vec(),
    };
    inbound::receive(&app, endpoint, received).await.unwrap();

    assert_eq!(run(&app, &over(&old, account)).await.unwrap(), Replayed { examined: 1, changed: Vec::new() });
    let new = load(&app, &ADAPTER.replace("KIND", "hard_bounce")).await;
    let replayed = run(&app, &over(&new, account)).await.unwrap();
    assert_eq!(replayed.examined, 1);
    let kind = |decision: &Value| decision["events"][0]["kind"].clone();
    let change = &replayed.changed[0];
    assert_eq!(
        (change.before.as_ref().map(kind), kind(&change.after)),
        (Some(json!("soft_bounce")), json!("hard_bounce"))
    );
    let other = load(&app, &ADAPTER.replace("test-provider", "another")).await;
    assert_eq!(run(&app, &over(&other, account)).await.unwrap().examined, 0);
}

#[tokio::test]
async fn what_is_not_stored_can_not_be_replayed() {
    let app = TestApp::start().await;
    let account = app.account().await;
    let gate =
        "//! name: gate\n//! version: 1.0.0\n//! hooks: send-gate\n\nfn admit(send) { #{ decision: \"admit\" } }\n";
    let gate = load(&app, gate).await;
    assert!(matches!(run(&app, &over(&gate, account)).await, Err(ReplayError::NotStored(Hook::SendGate))));
}

#[test]
fn a_replay_begins_at_a_time_or_so_long_ago() {
    let ago = |seconds| Some(START.minus(Duration::from_secs(seconds)));
    assert_eq!(since("2d", START), ago(2 * 86_400));
    assert_eq!((since("24h", START), since("30m", START)), (ago(86_400), ago(1800)));
    assert_eq!(since(&START.to_string(), START), Some(START));
    for text in ["", "d", "7", "-7d", "7 d", "7µ", "yesterday"] {
        assert_eq!(since(text, START), None, "{text}");
    }
}
