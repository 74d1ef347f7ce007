//! Limits that the operator raises for one extension.

use std::time::Duration;

use serde_json::json;

use super::guests::guest_with;
use super::*;
use crate::domain::ids::AccountId;

fn host_with(raised: &[&str]) -> ExtensionHost {
    let raised = raised.iter().map(|text| text.parse().unwrap()).collect();
    let clock = Clock::manual(Timestamp::from_millis(NOW));
    ExtensionHost::start(HostOptions { raised, ..HostOptions::new(clock) }).unwrap()
}

#[tokio::test]
async fn a_component_gets_the_memory_that_the_operator_gives_its_name() {
    let growing = |more| {
        let body = "(if (i32.eq (memory.grow (i32.const 4800)) (i32.const -1)) (then (unreachable))) (i32.const 0)";
        guest_with(Hook::ReplyClassifier, 2, "", body, more)
    };
    let asking = growing(json!({ "limits": { "memory_mib": 320 } }));
    let error = load_guest(&host(), asking.clone()).await.unwrap_err();
    assert!(error.contains("at most 256, and more with extension_limits = \"test-guest.memory_mib=320\""), "{error}");
    let host = host_with(&["test-guest.memory_mib=320"]);
    for guest in [asking, growing(json!({}))] {
        let loaded = load_guest(&host, guest).await.unwrap();
        assert_eq!(answer(&host, &loaded, &message()).await, Ok(json!({ "verdict": "pass" })));
    }
    let other = growing(json!({ "name": "other" }));
    let error = answer(&host, &load_guest(&host, other).await.unwrap(), &message()).await.unwrap_err();
    assert!(error.contains("more than its 16777216 bytes"), "{error}");
}

#[tokio::test]
async fn a_script_of_the_systems_gets_more_operations_and_an_accounts_of_its_name_does_not() {
    let host = host_with(&["long.operations=1000000", "long.time_ms=10000"]);
    let source = script_text(
        "long",
        Hook::ReplyClassifier,
        "fn classify(message) { let n = 0; while n < 100000 { n += 1; } #{ verdict: \"pass\" } }",
    );
    let loaded = host.load(source.clone(), EngineKind::Script, "long.rhai").await.unwrap();
    assert_eq!(answer(&host, &loaded, &message()).await, Ok(json!({ "verdict": "pass" })));
    let loaded = host.load_for(Some(AccountId::NOBODY), source, EngineKind::Script, "long.rhai").await.unwrap();
    let error = answer(&host, &loaded, &message()).await.unwrap_err();
    assert!(error.contains("took over 200000 operations") || error.contains("limit of 50ms"), "{error}");
}

#[tokio::test]
async fn a_component_that_runs_past_its_raised_time_is_told_that_time() {
    let host = host_with(&["test-guest.time_ms=60"]);
    let endless = guest_with(Hook::ReplyClassifier, 2, "", "(loop $l (br $l)) (unreachable)", json!({}));
    let error = answer(&host, &load_guest(&host, endless).await.unwrap(), &message()).await.unwrap_err();
    assert!(error.contains(&format!("limit of {:?}", Duration::from_millis(60))) || error.contains("300ms"), "{error}");
}
