//! Credentials that bounce too much, judged by the shipped policy or the host's own rule.

use super::*;
use crate::domain::ids::CredentialId;
use crate::domain::status::{BounceClass, CampaignStatus};
use crate::store::counters::CredentialCounter;
use crate::store::page::Page;
use crate::test_support::{START, Sender, TestApp};

/// A credential with these figures, to be judged now.
async fn with(app: &TestApp, transactions: u64, bounces: u64) -> Sender {
    let sender = app.sender(app.account().await, None).await;
    add(app, sender.credential, transactions, bounces).await;
    sender
}

async fn add(app: &TestApp, credential: CredentialId, transactions: u64, bounces: u64) {
    let now = app.clock.now();
    let mut tx = app.store.begin().await.unwrap();
    for _ in 0..transactions {
        counters::credential(&mut tx, credential, CredentialCounter::Transaction, now).await.unwrap();
    }
    for _ in 0..bounces {
        let bounce = CredentialCounter::Bounce(BounceClass::Hard);
        counters::credential(&mut tx, credential, bounce, now).await.unwrap();
    }
    credentials::judge_by(tx.conn(), credential, now).await.unwrap();
    tx.commit().await.unwrap();
}

async fn status(app: &TestApp, sender: Sender) -> (bool, CampaignStatus) {
    let mut conn = app.store.read().await.unwrap();
    let credential = credentials::get(&mut conn, sender.credential).await.unwrap().unwrap();
    let campaign = campaigns::get(&mut conn, sender.campaign).await.unwrap().unwrap();
    (credential.disabled.is_some(), campaign.status)
}

#[tokio::test]
async fn a_rate_over_the_threshold_disables_and_with_the_last_credential_the_campaign_pauses() {
    let app = TestApp::start().await;
    let sender = with(&app, 20, 2).await;
    assert_eq!(step(&app).await.unwrap(), Outcome { judged: 1, disabled: 1, throttled: 0 });
    assert_eq!(status(&app, sender).await, (true, CampaignStatus::Paused));
    assert_eq!(app.told(sender.credential).await, ["credential.disabled"]);
    assert_eq!(app.told(sender.campaign).await, ["campaign.paused"]);

    let mut conn = app.store.read().await.unwrap();
    let hook = Some(Hook::BouncePolicy);
    let decided = decisions::list(&mut conn, sender.account, hook, &Page::first(10)).await.unwrap();
    assert_eq!(decided.len(), 1);
    assert_eq!(decided[0].subject_id, sender.credential.to_string());
    assert_eq!(decided[0].decision.as_ref().unwrap()["decision"], "disable");
}

#[tokio::test]
async fn a_rate_at_the_threshold_or_of_few_transactions_is_kept() {
    let app = TestApp::start().await;
    for (transactions, bounces) in [(20, 1), (19, 19), (1, 0)] {
        let sender = with(&app, transactions, bounces).await;
        assert_eq!(step(&app).await.unwrap(), Outcome { judged: 1, ..Outcome::default() });
        assert_eq!(status(&app, sender).await, (false, CampaignStatus::Active));
    }
}

#[tokio::test]
async fn it_is_asked_again_with_each_tick_for_as_long_as_there_was_something_to_count() {
    let app = TestApp::start().await;
    let sender = with(&app, 5, 0).await;
    step(&app).await.unwrap();
    assert_eq!(step(&app).await.unwrap(), Outcome::default());
    let next = || async { credentials::next_judgement(&mut app.store.read().await.unwrap()).await.unwrap() };
    assert_eq!(next().await, Some(START.plus(app.config.health_interval)));

    app.clock.advance(Duration::from_secs(2 * 3600));
    assert_eq!(step(&app).await.unwrap().judged, 1);
    assert_eq!(next().await, None);

    // A bounce after all brings it back.
    add(&app, sender.credential, 20, 5).await;
    assert_eq!(step(&app).await.unwrap().disabled, 1);
}

#[tokio::test]
async fn a_bounce_that_comes_while_the_policy_thinks_is_judged_too() {
    let app = TestApp::start().await;
    let sender = with(&app, 0, 0).await;
    let (now, planned) = (app.clock.now(), app.clock.now().plus(app.config.health_interval));
    let mut tx = app.store.begin().await.unwrap();
    let taken = credentials::take_to_judge(&mut tx, now, planned, 10).await.unwrap();
    tx.commit().await.unwrap();
    add(&app, sender.credential, 5, 1).await;
    judge(&app, &taken[0], planned).await.unwrap();
    assert_eq!(credentials::next_judgement(&mut app.store.read().await.unwrap()).await.unwrap(), Some(now));
}

#[tokio::test]
async fn it_runs_and_stops() {
    let app = TestApp::start().await;
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(run(app.app.clone(), shutdown.clone()));
    let sender = with(&app, 20, 20).await;
    app.store.wakeups().ring(Wake::Health);
    let disabled = async {
        while !status(&app, sender).await.0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), disabled).await.expect("the bell is not heard");
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(60), running).await.expect("it does not stop").unwrap();
}

#[tokio::test]
async fn decisions_go_after_a_month_but_for_those_about_replies() {
    let app = TestApp::start().await;
    let account = app.account().await;
    let write = async |subject: &'static str| {
        let now = app.clock.now();
        let of = |hook: &Hook| Decision::of_host(*hook, account, subject, None, serde_json::json!({}), now);
        let decided: Vec<_> = Hook::ALL.iter().map(of).collect();
        let mut tx = app.store.begin().await.unwrap();
        tx.make(|writes| decisions::insert_many(writes, &decided)).await.unwrap();
        tx.commit().await.unwrap();
    };
    write("old").await;
    app.clock.advance(DECISIONS_KEPT_FOR);
    write("new").await;
    app.clock.advance(Duration::from_secs(1));
    assert!(!sweep(&app).await.unwrap());
    let kept = decisions::list(&mut app.store.read().await.unwrap(), account, None, &Page::first(20)).await.unwrap();
    let old: Vec<_> = kept.iter().filter(|decision| decision.subject_id == "old").map(|old| old.hook).collect();
    assert_eq!((old, kept.len()), (vec![Hook::ReplyClassifier], Hook::ALL.len() + 1));
}
