//! What becomes of bindings: shadows, roll backs, versions that can't be loaded, and who is told of failures.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::tests::{account, app, script, verdict};
use super::*;
use crate::config::Config;
use crate::extensions::hooks::gate::{Admission, Send};
use crate::extensions::hooks::reply::Message;
use crate::extensions::{EngineKind, Mode};
use crate::store::extensions::{self, StoredBinding};

struct Room {
    app: App,
    catalog: Catalog,
    data: TempDir,
    scripts: TempDir,
}

impl Room {
    async fn open() -> Self {
        let (data, scripts) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let app = app(data.path(), scripts.path()).await;
        let catalog = Catalog::start(&app).await.unwrap();
        Self { app, catalog, data, scripts }
    }

    async fn upload(&self, owner: Option<AccountId>, source: String) -> StoredExtension {
        self.catalog.upload(owner, source.into_bytes().into(), EngineKind::Script).await.unwrap().extension
    }

    async fn bind_to(&self, account: AccountId, stored: &StoredExtension) {
        let list = [NewBinding { hook: stored.hooks[0], extension_id: stored.id, mode: Mode::Active }];
        self.catalog.replace_bindings(BindingScope::Account(account), &list, None).await.unwrap();
    }

    /// Name, version and mode of what is bound for the system, in order.
    async fn bound(&self) -> Vec<(String, String)> {
        let mut conn = self.app.store.read().await.unwrap();
        let mut bound = Vec::new();
        for binding in extensions::all_bindings(&mut conn).await.unwrap() {
            let stored = extensions::get(&mut conn, binding.extension_id).await.unwrap().unwrap();
            bound.push((stored.version, binding.mode));
        }
        bound
    }
}

fn as_bound(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(version, mode)| ((*version).to_owned(), (*mode).to_owned())).collect()
}

#[tokio::test]
async fn a_shadow_stands_beside_the_active_version_until_it_takes_its_place() {
    let room = Room::open().await;
    let first = room.upload(None, script("1.0.0", "ignore")).await;
    let second = room.upload(None, script("1.1.0", "challenge")).await;
    let third = room.upload(None, script("1.2.0", "complaint")).await;
    room.catalog.bind_for_system(&first, Mode::Active).await.unwrap();
    room.catalog.bind_for_system(&second, Mode::Shadow).await.unwrap();
    assert_eq!(room.bound().await, as_bound(&[("1.0.0", "active"), ("1.1.0", "shadow")]));
    let decided = room.app.extensions.classify(&CallScope::default(), Arc::new(Message::default())).await.unwrap();
    assert_eq!(
        (decided.decision.verdict.word(), decided.records.len()),
        ("ignore", 2),
        "both are asked, one is obeyed"
    );

    room.catalog.bind_for_system(&third, Mode::Shadow).await.unwrap();
    assert_eq!(
        room.bound().await,
        as_bound(&[("1.0.0", "active"), ("1.2.0", "shadow")]),
        "a shadow takes a shadow's place"
    );
    room.catalog.bind_for_system(&third, Mode::Active).await.unwrap();
    assert_eq!(room.bound().await, as_bound(&[("1.2.0", "active")]));
    assert_eq!(verdict(&room.app, CallScope::default()).await, "complaint");
}

#[tokio::test]
async fn a_roll_back_returns_to_what_was_obeyed_last() {
    let room = Room::open().await;
    let mut versions = Vec::new();
    for version in ["1.0.0", "1.1.0", "1.2.0", "1.3.0"] {
        versions.push(room.upload(None, script(version, "ignore")).await);
    }
    let bind = async |index: usize, mode| room.catalog.bind_for_system(&versions[index], mode).await.unwrap();
    bind(1, Mode::Active).await;
    bind(0, Mode::Active).await;
    bind(2, Mode::Shadow).await;
    bind(3, Mode::Active).await;
    let roll_back = async || room.catalog.roll_back("folder-filter").await.map(|rolled| rolled.to.version);
    // 1.2.0 was only a shadow, and 1.0.0 was obeyed after 1.1.0.
    assert_eq!(roll_back().await.unwrap(), "1.0.0");
    assert_eq!(roll_back().await.unwrap(), "1.1.0");
    assert!(matches!(roll_back().await, Err(MoveError::NoneBefore { .. })));
    assert_eq!(room.bound().await, as_bound(&[("1.1.0", "active")]));
}

#[tokio::test]
async fn a_gate_and_a_classifier_that_cant_be_loaded_fail_at_their_place() {
    let room = Room::open().await;
    let gate =
        "//! name: gate\n//! version: 1.0.0\n//! hooks: send-gate\n\nfn admit(send) { #{ decision: \"admit\" } }\n";
    let gate = room.upload(None, gate.to_owned()).await;
    let filter = room.upload(None, script("1.0.0", "ignore")).await;
    room.catalog.bind_for_system(&gate, Mode::Active).await.unwrap();
    room.catalog.bind_for_system(&filter, Mode::Active).await.unwrap();
    let admit = async |app: &App| app.extensions.admit(&CallScope::default(), Arc::new(Send::default())).await.decision;
    assert_eq!(admit(&room.app).await, Admission::Admit);

    // The next start requires signatures, and neither has one.
    let settings = [
        ("data_dir", room.data.path().display().to_string()),
        ("scripts_dir", room.scripts.path().display().to_string()),
        ("require_signatures", "true".to_owned()),
    ];
    let config = Config::from_settings(&settings).unwrap();
    let restarted = App::start(config, room.app.clock.clone(), "http://ampout.example").await.unwrap();
    let catalog = Catalog::start(&restarted).await.unwrap();
    assert!(restarted.extensions.has_gate(&CallScope::default()));
    let Admission::Defer { until, reason } = admit(&restarted).await else { panic!("the gate is open") };
    assert_eq!(until, restarted.clock.now().plus(Duration::from_secs(300)));
    assert!(reason.contains("can't be loaded") && reason.contains("require_signatures"), "{reason}");
    assert_eq!(verdict(&restarted, CallScope::default()).await, "unclassified");
    assert!(catalog.last_error(&gate, None).unwrap().contains("is not signed"));
}

#[tokio::test]
async fn what_could_not_be_loaded_is_tried_again() {
    let room = Room::open().await;
    let stored = room.upload(None, script("1.0.0", "ignore")).await;
    // A row whose content is neither stored nor in this binary.
    let lost = StoredExtension {
        id: ExtensionId::new(room.app.clock.now()),
        name: "lost".to_owned(),
        sha256: "00".repeat(32),
        origin: "shipped".to_owned(),
        ..stored
    };
    let mut tx = room.app.store.begin().await.unwrap();
    extensions::insert(tx.conn(), &lost, None).await.unwrap();
    let binding = StoredBinding {
        account_id: None,
        scope: "system".to_owned(),
        scope_id: String::new(),
        hook: Hook::ReplyClassifier,
        position: 1,
        extension_id: lost.id,
        mode: "active".to_owned(),
    };
    extensions::replace_bindings(&mut tx, "system", "", &[binding]).await.unwrap();
    tx.commit().await.unwrap();
    assert!(room.catalog.refresh_if_changed().await.unwrap());
    assert_eq!(verdict(&room.app, CallScope::default()).await, "unclassified");

    let known = room.catalog.system_version("polite-declines", None).await.unwrap().unwrap();
    let mut tx = room.app.store.begin().await.unwrap();
    extensions::replace_shipped(tx.conn(), lost.id, &StoredExtension { sha256: "11".repeat(32), ..known.clone() })
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert!(!room.catalog.refresh_if_changed().await.unwrap(), "it waits before it tries again");
    room.app.clock.advance(Duration::from_secs(2));
    assert!(!room.catalog.refresh_if_changed().await.unwrap(), "it is lost as before");
    let mut tx = room.app.store.begin().await.unwrap();
    extensions::delete(tx.conn(), known.id).await.unwrap();
    extensions::replace_shipped(tx.conn(), lost.id, &known).await.unwrap();
    tx.commit().await.unwrap();
    room.app.clock.advance(Duration::from_secs(3));
    assert!(!room.catalog.refresh_if_changed().await.unwrap(), "the next wait is twice as long");
    room.app.clock.advance(Duration::from_secs(1));
    assert!(room.catalog.refresh_if_changed().await.unwrap());
    assert_ne!(verdict(&room.app, CallScope::default()).await, "unclassified");
    assert!(!room.catalog.refresh_if_changed().await.unwrap());
}

fn failing_on(subject: &str) -> String {
    let body = format!("if message.subject == \"{subject}\" {{ throw message.text; }} #{{ verdict: \"ignore\" }}");
    script("1.0.0", "ignore").replace("#{ verdict: \"ignore\" }", &body)
}

async fn fail_five_times(room: &Room, account: AccountId) {
    let scope = CallScope { account: Some(account), ..CallScope::default() };
    let (subject, text) = ("bad".to_owned(), "what Ada wrote in confidence".to_owned());
    let message = Arc::new(Message { subject, text, ..Message::default() });
    for _ in 0..5 {
        room.app.extensions.classify(&scope, Arc::clone(&message)).await.unwrap();
    }
    room.catalog.tell_suspensions().await.unwrap();
}

#[tokio::test]
async fn one_of_the_systems_rests_for_the_account_alone_that_it_failed_for() {
    let room = Room::open().await;
    let (ours, theirs) = (account(&room.app).await, account(&room.app).await);
    let stored = room.upload(None, failing_on("bad")).await;
    room.catalog.bind_for_system(&stored, Mode::Active).await.unwrap();
    fail_five_times(&room, ours).await;
    let mut conn = room.app.store.read().await.unwrap();
    let told = store::events::of_subject(&mut conn, &stored.id.to_string()).await.unwrap();
    assert_eq!((told.len(), told[0].account_id), (1, ours));
    let kind = "it failed five times in a row: it raised an error";
    assert_eq!(told[0].data["error"], kind);
    assert_eq!((&told[0].data["extension"], &told[0].data["version"]), (&"folder-filter".into(), &"1.0.0".into()));
    assert_eq!(room.catalog.last_error(&stored, Some(ours)).as_deref(), Some(kind));
    assert_eq!(room.catalog.last_error(&stored, Some(theirs)), None);
    assert_eq!(room.catalog.sizes().suspended, 1);
    let scope = CallScope { account: Some(theirs), ..CallScope::default() };
    assert_eq!(verdict(&room.app, scope).await, "ignore");
}

#[tokio::test]
async fn an_account_is_told_of_its_own_script_and_not_of_anothers_with_the_same_content() {
    let room = Room::open().await;
    let (ours, theirs) = (account(&room.app).await, account(&room.app).await);
    let (failing, healthy) =
        (room.upload(Some(ours), failing_on("bad")).await, room.upload(Some(theirs), failing_on("bad")).await);
    room.bind_to(ours, &failing).await;
    room.bind_to(theirs, &healthy).await;
    fail_five_times(&room, ours).await;
    let mut conn = room.app.store.read().await.unwrap();
    let told = store::events::of_subject(&mut conn, &failing.id.to_string()).await.unwrap();
    assert_eq!((told.len(), told[0].account_id), (1, ours));
    assert!(told[0].data["error"].as_str().unwrap().contains("what Ada wrote"), "it is the account's own mail");
    assert!(store::events::of_subject(&mut conn, &healthy.id.to_string()).await.unwrap().is_empty());
    assert!(room.catalog.last_error(&failing, Some(ours)).unwrap().contains("what Ada wrote"));
    assert_eq!(room.catalog.last_error(&healthy, Some(theirs)), None);
}

#[tokio::test]
async fn of_two_changes_that_know_the_same_version_the_second_is_refused() {
    let room = Room::open().await;
    let stored = room.upload(None, script("1.0.0", "ignore")).await;
    let list = [NewBinding { hook: Hook::ReplyClassifier, extension_id: stored.id, mode: Mode::Active }];
    let version = extensions::bindings_version(&mut room.app.store.read().await.unwrap()).await.unwrap();
    let change = |list: Vec<NewBinding>| {
        let catalog = room.catalog.clone();
        async move { catalog.replace_bindings(BindingScope::System, &list, Some(version)).await }
    };
    let (one, other) = tokio::join!(change(list.to_vec()), change(Vec::new()));
    let outcomes = [one, other].map(|outcome| match outcome {
        Ok(version) => Some(version),
        Err(BindError::Changed { .. }) => None,
        Err(error) => panic!("{error}"),
    });
    assert_eq!(outcomes.iter().flatten().collect::<Vec<_>>(), [&(version + 1)], "{outcomes:?}");
}
