//! The memory of a host of extensions stays flat, whatever guests do and however often they are swapped. It is a process of
//! its own, so that what is measured is nobody else's.
#![expect(clippy::unwrap_used, reason = "the helpers of tests may end a test")]

use std::sync::Arc;

use ampout::clock::Clock;
use ampout::domain::status::Hook;
use ampout::extensions::hooks::reply::Message;
use ampout::extensions::{Binding, CallScope, EngineKind, ExtensionHost, HostOptions, LoadedExtension, Mode, Scope};

const GOOD: &[u8] = include_bytes!("guests/reply-classifier.wasm");
const BOMB: &[u8] = include_bytes!("guests/memory-bomb.wasm");
const WASI: &[u8] = include_bytes!("guests/wasi-classifier.wasm");
/// What may come and go in the allocator and in the threads of the runtime.
const NOISE_BYTES: u64 = 24 * 1024 * 1024;

fn script(version: usize) -> Vec<u8> {
    format!(
        "//! name: script\n//! version: 1.0.{version}\n//! hooks: reply-classifier\n\n\
         fn classify(message) {{ let s = \"x\"; loop {{ s += s; }} }}\n"
    )
    .into_bytes()
}

async fn load(host: &ExtensionHost, bytes: &[u8], engine: EngineKind) -> Arc<LoadedExtension> {
    host.load(bytes.to_vec(), engine, "test").await.unwrap()
}

async fn ask(host: &ExtensionHost, subject: &str) {
    let message = Message { subject: subject.to_owned(), ..Message::default() };
    host.classify(&CallScope::default(), Arc::new(message)).await.unwrap();
}

/// Loads, binds and asks each kind of guest, eight calls at a time.
async fn round(host: &ExtensionHost, number: usize) {
    let guests = [
        load(host, GOOD, EngineKind::Component).await,
        load(host, BOMB, EngineKind::Component).await,
        load(host, WASI, EngineKind::Component).await,
        load(host, &script(number), EngineKind::Script).await,
    ];
    for extension in guests {
        let (scope, hook, mode) = (Scope::System, Hook::ReplyClassifier, Mode::Active);
        host.set_bindings(&[Binding { scope, hook, position: 0, mode, owner: None, extension }]);
        let calls = (0..8).map(|_| {
            let host = host.clone();
            tokio::spawn(async move { ask(&host, "print").await })
        });
        for call in calls.collect::<Vec<_>>() {
            call.await.unwrap();
        }
    }
}

/// What the process has in memory, where the system tells it.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_memory_of_a_host_stays_flat() {
    let folder = tempfile::tempdir().unwrap();
    let options =
        HostOptions { cache_folder: Some(folder.path().join("compiled")), ..HostOptions::new(Clock::system()) };
    let host = ExtensionHost::start(options).unwrap();
    for number in 0..50 {
        round(&host, number).await;
    }
    let Some(warm) = resident_bytes() else { return };
    for number in 50..250 {
        round(&host, number).await;
    }
    let after = resident_bytes().unwrap();
    assert!(after < warm + NOISE_BYTES, "{} MiB became {} MiB", warm >> 20, after >> 20);
}
