//! The catalog over a real store and real engines.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::Timestamp;
use crate::domain::ids::AccountId;
use crate::extensions::hooks::reply::Message;
use crate::extensions::{CallScope, EngineKind, Mode};
use crate::store::accounts;

pub(super) fn script(version: &str, verdict: &str) -> String {
    format!(
        "//! name: folder-filter\n//! version: {version}\n//! hooks: reply-classifier\n//! description: A test.\n\n\
         fn classify(message) {{\n    #{{ verdict: \"{verdict}\" }}\n}}\n"
    )
}

pub(super) async fn app(data: &Path, scripts: &Path) -> App {
    let settings = [("data_dir", data.display().to_string()), ("scripts_dir", scripts.display().to_string())];
    let config = Config::from_settings(&settings).unwrap();
    App::start(config, Clock::manual(Timestamp::from_millis(1_795_420_800_000)), "http://ampout.example").await.unwrap()
}

pub(super) async fn account(app: &App) -> AccountId {
    let now = app.clock.now();
    let id = AccountId::new(now);
    let mut tx = app.store.begin().await.unwrap();
    accounts::insert(tx.conn(), id, None, None, now).await.unwrap();
    tx.commit().await.unwrap();
    id
}

pub(super) async fn verdict(app: &App, scope: CallScope) -> String {
    let decided = app.extensions.classify(&scope, Arc::new(Message::default())).await.unwrap();
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

    // Broken, or changed under the same version: what was active stays, and it is told why.
    let active = catalog.system_version("folder-filter", None).await.unwrap().unwrap();
    for (content, why) in [
        ("//! name: x\n".to_owned(), "scripts/filter.rhai: manifest, version: is missing"),
        (script("1.1.0", "human-reply"), "a version never changes; raise the version"),
    ] {
        std::fs::write(&file, content).unwrap();
        catalog.look_for_changes().await;
        assert_eq!(verdict(&app, CallScope::default()).await, "unsubscribe-request");
        let told = catalog.last_error(&active, None).unwrap();
        assert!(told.contains(why), "{told}");
    }
    std::fs::write(&file, script("1.1.0", "unsubscribe-request")).unwrap();
    catalog.look_for_changes().await;
    assert_eq!(catalog.last_error(&active, None), None);

    std::fs::remove_file(&file).unwrap();
    catalog.look_for_changes().await;
    assert_ne!(verdict(&app, CallScope::default()).await, "unsubscribe-request");
}

#[tokio::test]
async fn half_a_file_is_never_loaded() {
    let (data, scripts) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let app = app(data.path(), scripts.path()).await;
    let catalog = Catalog::start(&app).await.unwrap();
    let file = scripts.path().join("filter.rhai");
    let whole = script("1.0.0", "ignore") + "\nfn more(message) { 1 }\n";
    // The first half is a script by itself.
    let half = whole.find("\nfn more").unwrap();
    std::fs::write(&file, &whole[..half]).unwrap();
    let write_the_rest = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        std::fs::write(&file, &whole).unwrap();
    };
    tokio::join!(catalog.look_for_changes(), write_the_rest);
    assert_ne!(verdict(&app, CallScope::default()).await, "ignore");
    catalog.look_for_changes().await;
    assert_eq!(verdict(&app, CallScope::default()).await, "ignore");
    let stored = catalog.system_version("folder-filter", None).await.unwrap().unwrap();
    assert_eq!(catalog.content_of(&stored).await.unwrap(), whole);
}

#[tokio::test]
async fn a_change_is_seen_at_once_and_a_file_that_is_only_touched_changes_nothing() {
    let (data, scripts) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let file = scripts.path().join("filter.rhai");
    std::fs::write(&file, script("1.0.0", "ignore")).unwrap();
    let app = app(data.path(), scripts.path()).await;
    let catalog = Catalog::start(&app).await.unwrap();
    // The clock stands: nobody looks by himself.
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(run(app.clone(), catalog.clone(), shutdown.clone()));
    let version = async || store::extensions::bindings_version(&mut app.store.read().await.unwrap()).await.unwrap();
    let before = version().await;
    std::fs::write(&file, script("1.0.0", "ignore")).unwrap();
    std::fs::write(scripts.path().join("second.rhai"), script("2.0.0", "ignore").replace("folder", "second")).unwrap();
    let seen = async {
        while version().await == before {
            tokio::task::yield_now().await
        }
    };
    tokio::time::timeout(Duration::from_secs(10), seen).await.unwrap();
    assert_eq!(version().await, before + 1);
    std::fs::write(&file, script("1.1.0", "unsubscribe-request")).unwrap();
    let seen = async {
        while verdict(&app, CallScope::default()).await == "ignore" {
            tokio::task::yield_now().await
        }
    };
    tokio::time::timeout(Duration::from_secs(10), seen).await.unwrap();
    shutdown.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn what_was_done_by_hand_stays_until_a_file_changes() {
    let (data, scripts) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let file = scripts.path().join("filter.rhai");
    std::fs::write(&file, script("1.0.0", "ignore")).unwrap();
    let started = app(data.path(), scripts.path()).await;
    let catalog = Catalog::start(&started).await.unwrap();
    assert!(matches!(catalog.roll_back("folder-filter").await, Err(MoveError::NoneBefore { .. })));
    std::fs::write(&file, script("1.1.0", "unsubscribe-request")).unwrap();
    catalog.look_for_changes().await;
    let rolled = catalog.roll_back("folder-filter").await.unwrap();
    assert_eq!((rolled.from.version.as_str(), rolled.to.version.as_str()), ("1.1.0", "1.0.0"));
    assert_eq!(verdict(&started, CallScope::default()).await, "ignore");
    assert!(matches!(catalog.roll_back("nobody").await, Err(MoveError::NotBound { .. })));

    let restarted = app(data.path(), scripts.path()).await;
    let catalog = Catalog::start(&restarted).await.unwrap();
    assert_eq!(verdict(&restarted, CallScope::default()).await, "ignore", "a restart is no change");
    std::fs::write(&file, script("1.2.0", "challenge")).unwrap();
    catalog.look_for_changes().await;
    assert_eq!(verdict(&restarted, CallScope::default()).await, "challenge");
    // A version that was only checked was never in force.
    let checked = script("1.3.0", "human-reply").into_bytes().into();
    let checked = catalog.upload(None, checked, EngineKind::Script).await.unwrap().extension;
    catalog.bind_for_system(&checked, Mode::Active).await.unwrap();
    assert_eq!(verdict(&restarted, CallScope::default()).await, "human-reply");
    assert_eq!(catalog.roll_back("folder-filter").await.unwrap().to.version, "1.2.0");
}

#[tokio::test]
async fn a_file_that_goes_while_nobody_runs_is_unbound_and_a_folder_that_goes_is_not_believed() {
    let (data, scripts) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (file, other) = (scripts.path().join("filter.rhai"), scripts.path().join("renamed.rhai"));
    std::fs::write(&file, script("1.0.0", "ignore")).unwrap();
    Catalog::start(&app(data.path(), scripts.path()).await).await.unwrap();
    std::fs::rename(&file, &other).unwrap();
    let started = app(data.path(), scripts.path()).await;
    let catalog = Catalog::start(&started).await.unwrap();
    assert_eq!(verdict(&started, CallScope::default()).await, "ignore", "the same in a file of another name");

    let aside = scripts.path().with_extension("aside");
    std::fs::rename(scripts.path(), &aside).unwrap();
    catalog.look_for_changes().await;
    assert_eq!(verdict(&started, CallScope::default()).await, "ignore", "nothing is known of a folder that is gone");
    std::fs::rename(&aside, scripts.path()).unwrap();
    std::fs::remove_file(&other).unwrap();
    let restarted = app(data.path(), scripts.path()).await;
    Catalog::start(&restarted).await.unwrap();
    assert_ne!(verdict(&restarted, CallScope::default()).await, "ignore");
}

#[tokio::test]
async fn when_the_file_of_the_version_in_force_goes_another_file_of_its_name_takes_its_place() {
    let (data, scripts) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (file, other) = (scripts.path().join("filter.rhai"), scripts.path().join("other.rhai"));
    std::fs::write(&file, script("1.0.2", "ignore")).unwrap();
    let app = app(data.path(), scripts.path()).await;
    let catalog = Catalog::start(&app).await.unwrap();
    let add_other = async || {
        std::fs::write(&other, script("1.0.9", "challenge")).unwrap();
        catalog.look_for_changes().await;
        assert_eq!(verdict(&app, CallScope::default()).await, "challenge");
    };
    let remove_other = async || {
        std::fs::remove_file(&other).unwrap();
        catalog.look_for_changes().await;
    };
    let status = async |version: &str| {
        let stored = catalog.system_version("folder-filter", Some(version)).await.unwrap().unwrap();
        stored.status
    };
    add_other().await;
    remove_other().await;
    assert_eq!(verdict(&app, CallScope::default()).await, "ignore");
    assert_eq!((status("1.0.2").await.as_str(), status("1.0.9").await.as_str()), ("active", "retired"));

    // A version that was bound by hand since then needs no file, and no file takes its place.
    add_other().await;
    let by_hand = script("1.1.0", "complaint").into_bytes().into();
    let by_hand = catalog.upload(None, by_hand, EngineKind::Script).await.unwrap().extension;
    catalog.bind_for_system(&by_hand, Mode::Active).await.unwrap();
    remove_other().await;
    assert_eq!(verdict(&app, CallScope::default()).await, "complaint");
}

#[tokio::test]
async fn a_shipped_extension_is_what_a_first_version_is_rolled_back_to() {
    let (data, scripts) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let app = app(data.path(), scripts.path()).await;
    let catalog = Catalog::start(&app).await.unwrap();
    let own = script("9.0.0", "ignore").replace("folder-filter", "polite-declines").into_bytes().into();
    let own = catalog.upload(None, own, EngineKind::Script).await.unwrap().extension;
    catalog.bind_for_system(&own, Mode::Active).await.unwrap();
    assert_eq!(verdict(&app, CallScope::default()).await, "ignore");
    assert_eq!(catalog.roll_back("polite-declines").await.unwrap().to.origin, "shipped");
    assert_ne!(verdict(&app, CallScope::default()).await, "ignore");
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
    let account = account(&app).await;
    assert!(catalog.providers(account).contains(&"smtp2go".to_owned()), "{:?}", catalog.providers(account));
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
    assert!(catalog.last_error(&stored, Some(account)).unwrap().contains("folder-filter.rhai:7:5: no"));
}

fn adapter(name: &str) -> bytes::Bytes {
    format!("//! name: {name}\n//! version: 1.0.0\n//! hooks: provider-adapter\n\nfn ingest(request, settings) {{ #{{ events: events() }} }}\n").into_bytes().into()
}

#[tokio::test]
async fn an_accounts_adapter_is_nobody_elses_provider() {
    let (data, scripts) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let app = app(data.path(), scripts.path()).await;
    let catalog = Catalog::start(&app).await.unwrap();
    let (ours, theirs) = (account(&app).await, account(&app).await);
    let stored = catalog.upload(Some(ours), adapter("our-mailer"), EngineKind::Script).await.unwrap().extension;
    let list = [NewBinding { hook: Hook::ProviderAdapter, extension_id: stored.id, mode: Mode::Active }];
    catalog.replace_bindings(BindingScope::Account(ours), &list, None).await.unwrap();
    assert!(catalog.providers(ours).contains(&"our-mailer".to_owned()));
    assert!(!catalog.providers(theirs).contains(&"our-mailer".to_owned()));
    let stolen = catalog.replace_bindings(BindingScope::Account(theirs), &list, None).await;
    assert!(matches!(stolen, Err(BindError::UnknownExtension { index: 0 })), "{stolen:?}");
}

/// What is told of swaps while they go on: the last that began and the last that is done.
#[derive(Default)]
struct Swaps {
    begun: AtomicU64,
    done: AtomicU64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_swaps_under_load_fail_no_call_and_none_is_answered_by_what_is_not_bound() {
    const SWAPS: u64 = 200;
    let (data, scripts) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let app = app(data.path(), scripts.path()).await;
    let catalog = Catalog::start(&app).await.unwrap();
    let mut versions = Vec::new();
    for n in 0..=SWAPS {
        let source = script(&format!("1.0.{n}"), "ignore").into_bytes().into();
        versions.push(catalog.upload(None, source, EngineKind::Script).await.unwrap().extension);
    }
    catalog.bind_for_system(&versions[0], Mode::Active).await.unwrap();
    let loaded = catalog.sizes().loaded;
    let swaps = Arc::new(Swaps::default());
    let callers: Vec<_> =
        (0..4).map(|_| tokio::spawn(call_while_swapping(app.clone(), Arc::clone(&swaps), SWAPS))).collect();
    for n in 1..=SWAPS {
        swaps.begun.store(n, Ordering::SeqCst);
        catalog.bind_for_system(&versions[n as usize], Mode::Active).await.unwrap();
        swaps.done.store(n, Ordering::SeqCst);
    }
    for caller in callers {
        let calls = caller.await.unwrap();
        assert!(calls > SWAPS / 10, "{calls}");
    }
    assert_eq!(catalog.sizes().loaded, loaded, "what is bound no more is dropped");
}

/// Calls until the last swap is done; each answer is of a version that was bound during the call.
async fn call_while_swapping(app: App, swaps: Arc<Swaps>, last: u64) -> u64 {
    let mut calls = 0;
    loop {
        let oldest = swaps.done.load(Ordering::SeqCst);
        let decided = app.extensions.classify(&CallScope::default(), Arc::new(Message::default())).await.unwrap();
        let newest = swaps.begun.load(Ordering::SeqCst);
        assert_eq!(decided.decision.verdict.word(), "ignore");
        let version: u64 = decided.by.unwrap().version.rsplit('.').next().unwrap().parse().unwrap();
        assert!((oldest..=newest).contains(&version), "{version} is none of {oldest}..={newest}");
        calls += 1;
        if oldest == last {
            return calls;
        }
        tokio::task::yield_now().await;
    }
}
