//! A trial: what a call takes, and a signature that is required.

use serde_json::json;

use super::guests::{guest, guest_with};
use super::*;
use crate::extensions::{HostOptions, SigningKey};

/// Some work, a line in the log, and a hundred KiB.
fn working() -> Vec<u8> {
    let import = r#"(import "ampout:extension/log@1.0.0" "write" (func $log (param i32 i32 i32)))
                    (data (i32.const 4096) "here")"#;
    let body = "(local $i i32)
        (call $log (i32.const 1) (i32.const 4096) (i32.const 4))
        (loop $l (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000))))
        (i32.const 16)";
    guest_with(Hook::ReplyClassifier, 3, import, body, json!({}))
}

#[tokio::test]
async fn a_trial_counts_instructions_and_comes_to_the_same_figure_each_time() {
    let mut counted = Vec::new();
    for _ in 0..2 {
        let host = host();
        let trial = host.trial_of_file(working().into(), EngineKind::Component, "test.wasm").await.unwrap();
        let called = trial.ask(&host, &message()).await;
        assert_eq!(called.answer.unwrap().to_json(), json!({ "verdict": "pass" }));
        assert_eq!(called.record.logs.len(), 1);
        assert_eq!(called.record.memory_bytes, Some(3 * 65536));
        counted.push(called.record.instructions.unwrap());
    }
    assert_eq!(counted[0], counted[1]);
    // Seven instructions a turn of the loop, and a few hundred around it.
    assert!((7000..9000).contains(&counted[0]), "{}", counted[0]);
    let called = host().call(&load_guest(&host(), working()).await.unwrap(), &message()).await;
    assert_eq!(called.record.instructions, None, "nobody counts in earnest");
}

#[tokio::test]
async fn a_trial_tells_of_every_example_that_is_wrong() {
    let example = |verdict: &str| json!({ "input": {}, "expect": { "verdict": verdict } });
    let bad = json!({ "name": "misspelt", "input": { "subjct": "" }, "expect": {} });
    let more = json!({ "examples": [example("pass"), example("ignore"), bad] });
    let host = host();
    let guest = guest_with(Hook::ReplyClassifier, 2, "", "i32.const 0", more);
    let trial = host.trial_of_file(guest.into(), EngineKind::Component, "test.wasm").await.unwrap();
    let tried = trial.examples(&host, &trial.extension.manifest().examples).await;
    let wrong: Vec<_> = tried.iter().map(|one| (one.name.as_str(), one.wrong.as_deref().unwrap_or("fine"))).collect();
    assert_eq!(wrong[..2], [("1", "fine"), ("2", r#"expected {"verdict":"ignore"}, found {"verdict":"pass"}"#)]);
    assert!(wrong[2].0 == "misspelt" && wrong[2].1.contains("unknown field `subjct`"), "{wrong:?}");
}

#[tokio::test]
async fn a_signature_is_told_and_a_broken_one_is_refused() {
    let ada = SigningKey::make("ada").unwrap();
    let options = HostOptions { trusted_signers: vec![ada.signer()], ..HostOptions::new(Clock::system()) };
    let host = ExtensionHost::start(options).unwrap();
    let unsigned = guest(Hook::ReplyClassifier, 2, "i32.const 0");
    let loaded = load_guest(&host, unsigned.clone()).await.unwrap();
    assert_eq!(loaded.signed_by(), None);
    assert!(loaded.require_signature().unwrap_err().to_string().contains("sign it with `ampout plugin sign`"));

    let signed = ada.sign(&unsigned, EngineKind::Component);
    let loaded = load_guest(&host, signed).await.unwrap();
    assert_eq!((loaded.signed_by(), loaded.require_signature()), (Some("ada"), Ok(())));

    let script = script_text("x", Hook::ReplyClassifier, "fn classify(message) { #{ verdict: \"pass\" } }");
    let mut signed = ada.sign(script.as_bytes(), EngineKind::Script);
    assert_eq!(host.load(signed.clone(), EngineKind::Script, "x.rhai").await.unwrap().signed_by(), Some("ada"));
    let place = signed.windows(4).position(|word| word == b"pass").unwrap();
    signed[place] = b'P';
    let error = host.load(signed, EngineKind::Script, "x.rhai").await.unwrap_err().to_string();
    assert!(error.starts_with("x.rhai: was changed after ada signed it"), "{error}");

    let eve = SigningKey::make("eve").unwrap().sign(script.as_bytes(), EngineKind::Script);
    let loaded = host.load(eve, EngineKind::Script, "x.rhai").await.unwrap();
    assert!(
        loaded.require_signature().unwrap_err().to_string().contains("eve, whose key is not among trusted_signers")
    );
}
