//! The catalog over a real store and real engines.

use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;

use super::*;
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::Timestamp;
use crate::domain::ids::AccountId;
use crate::extensions::hooks::reply::Message;
use crate::extensions::{CallScope, EngineKind, Mode};
use crate::store::accounts;

fn script(version: &str, verdict: &str) -> String {
    format!(
        "//! name: folder-filter\n//! version: {version}\n//! hooks: reply-classifier\n//! description: A test.\n\n\
         fn classify(message) {{\n    #{{ verdict: \"{verdict}\" }}\n}}\n"
    )
}

async fn app(data: &Path, scripts: &Path) -> App {
    let settings = [("data_dir", data.display().to_string()), ("scripts_dir", scripts.display().to_string())];
    let config = Config::from_settings(&settings).unwrap();
    App::start(config, Clock::manual(Timestamp::from_millis(1_795_420_800_000)), "http://ampout.example").await.unwrap()
}

async fn account(app: &App) -> AccountId {
    let now = app.clock.now();
    let id = AccountId::new(now);
    let mut tx = app.store.begin().await.unwrap();
    accounts::insert(tx.conn(), id, None, None, now).await.unwrap();
    tx.commit().await.unwrap();
    id
}

async fn verdict(app: &App, scope: CallScope) -> String {
    let decided = app.extensions.classify(&scope, Arc::new(Message::default())).await;
    decided.decision.verdict.word().to_owned()
}

#[tokio::test]
async fn a_file_is_bound_swapped_when_it_changes_and_unbound_when_it_goes() {
    let (data, scripts) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let file = scripts.path().join("filter.rhai");
    std::fs::write(&file, script("1.0.0", "ignore")).unwrap();
    let app = app(data.path(), scripts.path()).await;
    let catalog = Catalog::start(&app).await.unwrap();
    assert_eq!(verdict(&app, CallScope::default()).await, "ignore");

    std::fs::write(&file, script("1.1.0", "unsubscribe-request")).unwrap();
    catalog.look_for_changes().await;
    assert_eq!(verdict(&app, CallScope::default()).await, "unsubscribe-request");

    // Broken, or changed under the same version: what was active stays.
    std::fs::write(&file, "fn classify(").unwrap();
    catalog.look_for_changes().await;
    assert_eq!(verdict(&app, CallScope::default()).await, "unsubscribe-request");
    std::fs::write(&file, script("1.1.0", "human-reply")).unwrap();
    catalog.look_for_changes().await;
    assert_eq!(verdict(&app, CallScope::default()).await, "unsubscribe-request");

    std::fs::remove_file(&file).unwrap();
    catalog.look_for_changes().await;
    assert_ne!(verdict(&app, CallScope::default()).await, "unsubscribe-request");
}

#[tokio::test]
async fn another_node_follows_a_change_and_a_restart_keeps_it() {
    let (data, scripts) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (here, there) = (app(data.path(), scripts.path()).await, app(data.path(), scripts.path()).await);
    let catalog = Catalog::start(&here).await.unwrap();
    let other = Catalog::start(&there).await.unwrap();
    let account = account(&here).await;

    let bytes = script("1.0.0", "unsubscribe-request").into_bytes().into();
    let stored = catalog.upload(Some(account), bytes, EngineKind::Script).await.unwrap().extension;
    let list = [NewBinding { hook: Hook::ReplyClassifier, extension_id: stored.id, mode: Mode::Active }];
    catalog.replace_bindings(BindingScope::Account(account), &list, None).await.unwrap();
    let scope = CallScope { account: Some(account), ..CallScope::default() };
    assert_eq!(verdict(&here, scope).await, "unsubscribe-request");
    assert_ne!(verdict(&here, CallScope::default()).await, "unsubscribe-request");

    assert_ne!(verdict(&there, scope).await, "unsubscribe-request");
    assert!(other.refresh_if_changed().await.unwrap());
    assert_eq!(verdict(&there, scope).await, "unsubscribe-request");
    assert!(!other.refresh_if_changed().await.unwrap());

    let restarted = app(data.path(), scripts.path()).await;
    Catalog::start(&restarted).await.unwrap();
    assert_eq!(verdict(&restarted, scope).await, "unsubscribe-request");
}

#[tokio::test]
async fn the_shipped_adapters_are_providers() {
    let (data, scripts) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let app = app(data.path(), scripts.path()).await;
    let catalog = Catalog::start(&app).await.unwrap();
    assert!(catalog.providers().contains(&"smtp2go".to_owned()), "{:?}", catalog.providers());
    // Starting again writes no second row.
    let before = catalog.sizes();
    assert_eq!(Catalog::start(&app).await.unwrap().sizes(), before);
}

#[tokio::test]
async fn an_extension_that_keeps_failing_is_told_of_to_its_owner() {
    let (data, scripts) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let app = app(data.path(), scripts.path()).await;
    let catalog = Catalog::start(&app).await.unwrap();
    let account = account(&app).await;
    let failing = script("1.0.0", "ignore").replace("#{ verdict: \"ignore\" }", "throw \"no\"");
    let stored =
        catalog.upload(Some(account), failing.into_bytes().into(), EngineKind::Script).await.unwrap().extension;
    let list = [NewBinding { hook: Hook::ReplyClassifier, extension_id: stored.id, mode: Mode::Active }];
    catalog.replace_bindings(BindingScope::Account(account), &list, None).await.unwrap();
    let scope = CallScope { account: Some(account), ..CallScope::default() };
    for _ in 0..5 {
        verdict(&app, scope).await;
    }
    catalog.tell_suspensions().await.unwrap();
    let mut conn = app.store.read().await.unwrap();
    let told = store::events::of_subject(&mut conn, &stored.id.to_string()).await.unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].account_id, told[0].data["extension"].as_str()), (account, Some("folder-filter")));
    assert_eq!(catalog.sizes().suspended, 1);
}
