//! Components that are well, and what is refused before it runs. Those that try what they should not are in `hostile`.

use serde_json::json;

use super::guests::{component, guest, guest_with};
use super::*;

fn classifier(body: &str) -> Vec<u8> {
    guest(Hook::ReplyClassifier, 2, body)
}

#[tokio::test]
async fn every_hook_is_answered_by_a_fresh_instance() {
    let host = host();
    // A guest that counts its calls in memory would answer another case the second time.
    let counts = "(i32.store8 (i32.const 0) (i32.add (i32.load8_u (i32.const 0)) (i32.const 1))) (i32.const 0)";
    let classifier = load_guest(&host, classifier(counts)).await.unwrap();
    for _ in 0..3 {
        assert_eq!(answer(&host, &classifier, &message()).await, Ok(json!({ "verdict": "human-reply" })));
    }
    for (hook, facts, expected) in [
        (Hook::BouncePolicy, json!({ "threshold": 5.0 }), json!({ "decision": "keep" })),
        (Hook::SendGate, json!({ "contact": { "email": "ada@example.org" } }), json!({ "decision": "admit" })),
    ] {
        let guest = load_guest(&host, guest(hook, 2, "i32.const 0")).await.unwrap();
        assert_eq!(answer(&host, &guest, &input(hook, facts)).await, Ok(expected));
    }
}

#[tokio::test]
async fn the_facts_reach_the_guest() {
    // message.sender is an option<string> at 16: its length (at 24) is that of the address, or the guest traps.
    let body = "(if (i32.ne (i32.load (i32.add (local.get 0) (i32.const 24))) (i32.const 15)) (then (unreachable)))
                (i32.store8 (i32.const 0) (i32.const 1)) (i32.const 0)";
    let host = host();
    let extension = load_guest(&host, classifier(body)).await.unwrap();
    assert_eq!(answer(&host, &extension, &message()).await, Ok(json!({ "verdict": "human-reply" })));
}

#[tokio::test]
async fn a_log_flood_is_cut() {
    let import = r#"(import "ampout:extension/log@1.0.0" "write" (func $log (param i32 i32 i32)))"#;
    let body = "(local $i i32)
        (loop $l (call $log (i32.const 1) (i32.const 0) (i32.const 4096))
            (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000))))
        (i32.const 16)";
    let host = host();
    let flood = load_guest(&host, guest_with(Hook::ReplyClassifier, 2, import, body, json!({}))).await.unwrap();
    let called = host.call(&flood, &message()).await;
    assert!(called.answer.is_ok(), "{:?}", called.answer);
    assert_eq!(called.record.logs.len(), 65);
    assert!(called.record.logs.iter().all(|line| line.message.len() <= 1024));
    assert!(called.record.logs[64].message.contains("936 more lines were dropped"));
}

#[tokio::test]
async fn host_functions_answer() {
    // crypto.hash(sha1, "abc"), and its first byte becomes the case of the verdict: 0xa9 is no case, a trap.
    let import = r#"(import "ampout:extension/crypto@1.0.0" "hash" (func $hash (param i32 i32 i32 i32)))
                    (data (i32.const 4096) "abc")"#;
    let body = "(call $hash (i32.const 0) (i32.const 4096) (i32.const 3) (i32.const 512))
        (if (i32.ne (i32.load (i32.load (i32.const 512))) (i32.const 0x363e99a9)) (then (unreachable)))
        (i32.const 0)";
    let host = host();
    let hashes = load_guest(&host, guest_with(Hook::ReplyClassifier, 2, import, body, json!({}))).await.unwrap();
    assert_eq!(answer(&host, &hashes, &message()).await, Ok(json!({ "verdict": "pass" })));
}

#[tokio::test]
async fn what_is_no_extension_is_refused_with_the_mend() {
    let host = host();
    let hook = Hook::ReplyClassifier;
    let good = || component(hook, 2, "", "i32.const 0");
    let manifest =
        |json: serde_json::Value| crate::extensions::manifest::embed::with_manifest(good(), &json.to_string());
    for (guest, expected) in [
        (b"hello".to_vec(), "is no WebAssembly"),
        (wat::parse_str("(module)").unwrap(), "is a core module, not a component; build it with `ampout plugin build`"),
        (good(), "has no manifest"),
        (
            manifest(json!({ "name": "x", "version": "1.0.0", "hooks": ["send-gate"] })),
            "does not list reply-classifier",
        ),
        (
            manifest(json!({ "name": "x", "version": "1.0.0", "hooks": ["reply-classifier", "send-gate"] })),
            "lists send-gate, but it does not export ampout:extension/send-admission@1.x",
        ),
        (manifest(json!({ "name": "x", "version": "1", "hooks": ["reply-classifier"] })), "no semantic version"),
        (
            manifest(json!({ "name": "x", "version": "1.0.0", "hooks": ["reply-classifier"], "colour": 1 })),
            "unknown field `colour`",
        ),
        (
            guest_with(hook, 2, "", "i32.const 0", json!({ "limits": { "memory_mib": 1024 } })),
            "asks for 1024 MiB of memory; the operator gives at most 256, and more with extension_limits = \"test-guest.memory_mib=1024\"",
        ),
        (guest(hook, 300, "i32.const 0"), "an instance can't be made: it asked for more than its 16777216 bytes"),
        (
            guest_with(
                hook,
                2,
                "",
                "i32.const 0",
                json!({ "examples": [{ "name": "a person", "input": {}, "expect": { "verdict": "human-reply" } }] }),
            ),
            "test.wasm: example a person: expected",
        ),
        (
            guest_with(
                hook,
                2,
                "",
                "i32.const 0",
                json!({ "examples": [{ "input": { "subjct": "" }, "expect": {} }] }),
            ),
            "unknown field `subjct`",
        ),
        (importing("wasi:http/types@0.2.0"), "imports wasi:http/types@0.2.0; of WASI there is wasi:cli, wasi:clocks"),
        (importing("wasi:cli/environment@0.3.0"), "this host has WASI 0.2.x: build for wasm32-wasip2"),
        (importing("other:thing/x@1.0.0"), "imports other:thing/x@1.0.0, which this host does not have"),
    ] {
        let error = load_guest(&host, guest).await.unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    assert!(
        load_guest(&host, guest_with(hook, 300, "", "i32.const 0", json!({ "limits": { "memory_mib": 32 } })))
            .await
            .is_ok()
    );
}

/// A component that imports something. Its exports are never looked at.
fn importing(name: &str) -> Vec<u8> {
    let text = format!("(component (import {name:?} (instance)))");
    let manifest = json!({ "name": "x", "version": "1.0.0", "hooks": ["reply-classifier"] });
    crate::extensions::manifest::embed::with_manifest(wat::parse_str(&text).unwrap(), &manifest.to_string())
}

#[tokio::test]
async fn a_compiled_component_is_kept_in_a_private_folder() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("compiled");
    let options = HostOptions { cache_folder: Some(cache.clone()), ..HostOptions::new(Clock::system()) };
    let host = ExtensionHost::start(options).unwrap();
    load_guest(&host, classifier("i32.const 0")).await.unwrap();
    assert!(std::fs::read_dir(&cache).unwrap().next().is_some());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&cache).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
