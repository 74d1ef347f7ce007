//! Bindings: who is asked, what a failure means, swaps, shadows and the breaker.

use std::time::Duration;

use serde_json::json;

use super::guests::guest;
use super::*;
use crate::domain::ids::{AccountId, CampaignId};
use crate::extensions::hooks::{bounce, gate, ingest, reply};
use crate::extensions::{Binding, CallScope, Ingested, Mode, Scope, Time};

async fn named(host: &ExtensionHost, name: &str, hook: Hook, body: &str) -> Arc<LoadedExtension> {
    host.load(script_text(name, hook, body), EngineKind::Script, name).await.unwrap()
}

fn classifier(verdict: &str) -> String {
    format!("fn classify(message) {{ #{{ verdict: \"{verdict}\" }} }}")
}

fn bind(scope: Scope, extension: &Arc<LoadedExtension>) -> Binding {
    let hook = extension.hooks()[0];
    Binding { scope, hook, position: 0, mode: Mode::Active, owner: None, extension: Arc::clone(extension) }
}

async fn classify(host: &ExtensionHost, scope: &CallScope) -> (String, Option<String>, usize) {
    let decided = host.classify(scope, Arc::new(reply::Message::default())).await.unwrap();
    (decided.decision.verdict.word().to_owned(), decided.by.map(|by| by.extension), decided.records.len())
}

fn says(verdict: &str, by: &str, asked: usize) -> (String, Option<String>, usize) {
    (verdict.to_owned(), Some(by.to_owned()), asked)
}

const NOBODY: CallScope = CallScope { account: None, campaign: None, credential: None };

#[tokio::test]
async fn the_narrowest_is_asked_first_and_pass_falls_through_to_the_shipped_default() {
    let host = host();
    let now = Timestamp::from_millis(NOW);
    let (account, campaign) = (AccountId::new(now), CampaignId::new(now));
    let shipped = named(&host, "shipped", Hook::ReplyClassifier, &classifier("human-reply")).await;
    let passing = named(&host, "passing", Hook::ReplyClassifier, &classifier("pass")).await;
    let of_campaign = named(&host, "of-campaign", Hook::ReplyClassifier, &classifier("ignore")).await;
    host.set_shipped(&[shipped]);
    host.set_bindings(&[bind(Scope::Account(account), &passing), bind(Scope::Campaign(campaign), &of_campaign)]);
    let of_account = CallScope { account: Some(account), ..NOBODY };
    assert_eq!(classify(&host, &NOBODY).await, says("human-reply", "shipped", 1));
    assert_eq!(classify(&host, &of_account).await, says("human-reply", "shipped", 2));
    let scope = CallScope { campaign: Some(campaign), ..of_account };
    assert_eq!(classify(&host, &scope).await, says("ignore", "of-campaign", 1));
    let other = CallScope { account: Some(AccountId::new(now)), ..NOBODY };
    assert_eq!(classify(&host, &other).await, says("human-reply", "shipped", 1));
}

#[tokio::test]
async fn a_failure_means_what_the_contract_says_of_its_hook() {
    let clock = Clock::manual(Timestamp::from_millis(NOW));
    let host = host_at(&clock);
    let mut bindings = Vec::new();
    for (name, hook, function) in [
        ("classifier", Hook::ReplyClassifier, "classify(message)"),
        ("provider", Hook::ProviderAdapter, "ingest(request, settings)"),
        ("policy", Hook::BouncePolicy, "judge(stats)"),
        ("gate", Hook::SendGate, "admit(send)"),
    ] {
        let failing = named(&host, name, hook, &format!("fn {function} {{ throw \"broken\" }}")).await;
        bindings.push(bind(Scope::System, &failing));
    }
    // Not asked: a failure is no `pass`.
    host.set_shipped(&[named(&host, "shipped", Hook::ReplyClassifier, &classifier("human-reply")).await]);
    host.set_bindings(&bindings);

    let decided = host.classify(&NOBODY, Arc::new(reply::Message::default())).await.unwrap();
    assert_eq!(decided.decision.verdict, reply::Verdict::Unclassified);
    assert!(decided.records[0].error.as_deref().is_some_and(|error| error.contains("broken")));

    let (request, settings) = (Arc::new(ingest::Request::default()), Arc::new(ingest::Settings::default()));
    let decided = host.ingest(&NOBODY, "provider", Arc::clone(&request), Arc::clone(&settings), Time::First).await;
    assert!(matches!(decided.decision, Ingested::Unavailable { .. }), "{decided:?}");
    assert_eq!(
        host.ingest(&NOBODY, "nobody", request, settings, Time::First).await.decision,
        Ingested::UnknownProvider
    );

    let since_enabled = bounce::Counters { transactions: 20, hard_bounces: 2, ..Default::default() };
    let stats = bounce::Stats { threshold: 5.0, since_enabled, ..Default::default() };
    let decided = host.judge(&NOBODY, Arc::new(stats)).await;
    assert!(matches!(decided.decision, bounce::Judgement::Disable { .. }) && decided.by.is_none(), "{decided:?}");

    let decided = host.admit(&NOBODY, Arc::new(gate::Send::default())).await;
    let until = clock.now().plus(Duration::from_secs(300));
    assert!(matches!(decided.decision, gate::Admission::Defer { until: at, .. } if at == until), "{decided:?}");
}

#[tokio::test]
async fn without_a_gate_a_message_leaves_unasked() {
    let host = host();
    assert!(!host.has_gate(&NOBODY));
    let decided = host.admit(&NOBODY, Arc::new(gate::Send::default())).await;
    assert_eq!((decided.decision, decided.records.len()), (gate::Admission::Admit, 0));
}

#[tokio::test]
async fn a_shadow_is_recorded_and_not_obeyed() {
    let host = host();
    let active = named(&host, "active", Hook::ReplyClassifier, &classifier("human-reply")).await;
    let shadow = named(&host, "shadow", Hook::ReplyClassifier, &classifier("ignore")).await;
    let shadow = Binding { mode: Mode::Shadow, ..bind(Scope::System, &shadow) };
    host.set_bindings(&[bind(Scope::System, &active), shadow]);
    let decided = host.classify(&NOBODY, Arc::new(reply::Message::default())).await.unwrap();
    assert_eq!(decided.decision.verdict, reply::Verdict::HumanReply);
    let said: Vec<_> = decided.records.iter().map(|record| (record.mode, record.decision.clone().unwrap())).collect();
    assert_eq!(
        said,
        [(Mode::Active, json!({ "verdict": "human-reply" })), (Mode::Shadow, json!({ "verdict": "ignore" })),]
    );
}

#[tokio::test]
async fn five_failures_in_a_row_suspend_and_a_probe_brings_back() {
    let clock = Clock::manual(Timestamp::from_millis(NOW));
    let host = host_at(&clock);
    let shipped = named(&host, "shipped", Hook::ReplyClassifier, &classifier("human-reply")).await;
    let body = r#"fn classify(message) { if message.subject == "bad" { throw "broken" } #{ verdict: "ignore" } }"#;
    let fragile = named(&host, "fragile", Hook::ReplyClassifier, body).await;
    host.set_shipped(&[shipped]);
    host.set_bindings(&[bind(Scope::System, &fragile)]);
    let ask = async |subject: &str| {
        let message = reply::Message { subject: subject.to_owned(), ..Default::default() };
        let decided = host.classify(&NOBODY, Arc::new(message)).await.unwrap();
        (decided.decision.verdict.word(), decided.records.len())
    };
    for _ in 0..4 {
        assert_eq!(ask("bad").await, ("unclassified", 1));
    }
    // An answer between failures begins the row anew.
    assert_eq!(ask("good").await, ("ignore", 1));
    for _ in 0..4 {
        assert_eq!(ask("bad").await, ("unclassified", 1));
    }
    assert!(all_suspensions(&host).is_empty());
    assert_eq!(ask("bad").await, ("human-reply", 2));
    let news = all_suspensions(&host);
    assert_eq!((news.len(), news[0].extension.name(), news[0].failure.is_some()), (1, "fragile", true));
    assert!(fragile.is_suspended());

    assert_eq!(ask("good").await, ("human-reply", 1));
    clock.advance(Duration::from_secs(59));
    assert_eq!(ask("good").await, ("human-reply", 1));
    clock.advance(Duration::from_secs(1));
    assert_eq!(ask("bad").await, ("human-reply", 2), "the probe fails");
    assert_eq!(ask("good").await, ("human-reply", 1), "one probe a minute");
    clock.advance(Duration::from_secs(60));
    assert_eq!(ask("good").await, ("ignore", 1), "the probe brings it back");
    assert_eq!(ask("good").await, ("ignore", 1));
    let news = all_suspensions(&host);
    assert_eq!((news.len(), news[0].failure.is_none()), (1, true));
}

/// Who stands in for one that is suspended may know nothing of its form.
#[tokio::test]
async fn what_the_next_adapter_refuses_while_one_is_suspended_is_kept() {
    let host = host();
    let next = r#"fn ingest(request, settings) { #{ error: "unauthorized", reason: "not mine" } }"#;
    let next = named(&host, "provider", Hook::ProviderAdapter, next).await;
    let fragile = r#"fn ingest(request, settings) { if request.query == "bad" { throw "broken" } #{ events: [] } }"#;
    let fragile = named(&host, "provider", Hook::ProviderAdapter, fragile).await;
    host.set_shipped(&[next]);
    host.set_bindings(&[bind(Scope::System, &fragile)]);
    let ask = async |query: &str, time: Time| {
        let request = ingest::Request { query: query.to_owned(), ..Default::default() };
        host.ingest(&NOBODY, "provider", Arc::new(request), Arc::default(), time).await.decision
    };
    // However often it fails at what it failed at before, it is as well as it was.
    for _ in 0..9 {
        assert!(matches!(ask("bad", Time::Again).await, Ingested::Unavailable { was_asked: true, .. }));
    }
    assert_eq!(ask("good", Time::First).await, Ingested::Outcome(ingest::Outcome::Events(Vec::new())));
    for _ in 0..5 {
        assert!(matches!(ask("bad", Time::First).await, Ingested::Unavailable { .. }));
    }
    assert!(fragile.is_suspended());
    for query in ["good", "bad"] {
        let kept = ask(query, Time::First).await;
        assert!(matches!(&kept, Ingested::Unavailable { was_asked: false, reason } if reason.contains("not mine")));
    }
}

/// A request that an adapter failed at would fail as its probe, too, and keep it down.
#[tokio::test]
async fn what_an_adapter_failed_at_leaves_the_probe_to_others_and_is_it_where_none_come() {
    let clock = Clock::manual(Timestamp::from_millis(NOW));
    let host = host_at(&clock);
    let fragile = r#"fn ingest(request, settings) { if request.query == "bad" { throw "broken" } #{ events: [] } }"#;
    let fragile = named(&host, "provider", Hook::ProviderAdapter, fragile).await;
    host.set_bindings(&[bind(Scope::System, &fragile)]);
    let ask = async |query: &str, time: Time| {
        let request = ingest::Request { query: query.to_owned(), ..Default::default() };
        match host.ingest(&NOBODY, "provider", Arc::new(request), Arc::default(), time).await.decision {
            Ingested::Unavailable { was_asked, .. } => Some(was_asked),
            _ => None,
        }
    };
    for _ in 0..5 {
        assert_eq!(ask("bad", Time::First).await, Some(true), "the one that suspends it, too");
    }
    assert_eq!(ask("bad", Time::First).await, Some(false));
    clock.advance(Duration::from_secs(61));
    assert_eq!(ask("bad", Time::Again).await, Some(false));
    assert_eq!(ask("bad", Time::First).await, Some(true), "the probe");
    clock.advance(Duration::from_secs(179));
    assert_eq!(ask("good", Time::Again).await, Some(false));
    clock.advance(Duration::from_secs(1));
    assert_eq!((ask("good", Time::Again).await, fragile.is_suspended()), (None, false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_under_way_finishes_on_the_old_version_and_the_next_is_on_the_new() {
    let host = host();
    // Some milliseconds, then the verdict of its version; on a busy machine, too, well within its time.
    let slow = |verdict: u8| {
        format!("(local $i i32) (loop $l (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 4000000))))
            (i32.store8 (i32.const 0) (i32.const {verdict})) (i32.const 0)")
    };
    let old = load_guest(&host, guest(Hook::ReplyClassifier, 2, &slow(1))).await.unwrap();
    let new = load_guest(&host, guest(Hook::ReplyClassifier, 2, &slow(7))).await.unwrap();
    host.set_bindings(&[bind(Scope::System, &old)]);
    let called = tokio::spawn({
        let host = host.clone();
        async move { host.classify(&NOBODY, Arc::new(reply::Message::default())).await.unwrap().decision.verdict }
    });
    // The old version is held by the table, by us, and by the call once it runs.
    while Arc::strong_count(&old) < 3 && !called.is_finished() {
        tokio::task::yield_now().await;
    }
    host.set_bindings(&[bind(Scope::System, &new)]);
    let next = host.classify(&NOBODY, Arc::new(reply::Message::default())).await.unwrap().decision.verdict;
    assert_eq!((called.await.unwrap(), next), (reply::Verdict::HumanReply, reply::Verdict::Ignore));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_swaps_under_load_fail_no_call() {
    let host = host();
    let first =
        load_guest(&host, guest(Hook::ReplyClassifier, 2, "(i32.store8 (i32.const 0) (i32.const 1)) (i32.const 0)"));
    let first = first.await.unwrap();
    let second = named(&host, "second", Hook::ReplyClassifier, &classifier("ignore")).await;
    host.set_bindings(&[bind(Scope::System, &first)]);
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let host = host.clone();
            tokio::spawn(async move {
                for _ in 0..200 {
                    let said = host.classify(&NOBODY, Arc::new(reply::Message::default())).await.unwrap().decision;
                    assert!(matches!(said.verdict, reply::Verdict::HumanReply | reply::Verdict::Ignore), "{said:?}");
                }
            })
        })
        .collect();
    for swap in 0..200 {
        host.set_bindings(&[bind(Scope::System, if swap % 2 == 0 { &second } else { &first })]);
        tokio::task::yield_now().await;
    }
    for caller in callers {
        caller.await.unwrap();
    }
}

#[tokio::test]
async fn what_is_shipped_loads() {
    let host = host();
    let loaded = host.load_shipped().await.unwrap();
    assert_eq!(loaded.len(), crate::extensions::shipped::SHIPPED.len());
}
