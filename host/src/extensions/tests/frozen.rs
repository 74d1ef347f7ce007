//! `wit/v1` is frozen: what is there now takes every component that was built against what was released, told by types and
//! by components that were built then.

use std::path::{Path, PathBuf};

use serde_json::json;
use wit_component::semver_check;
use wit_parser::Resolve;

use super::*;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const WORLDS: [&str; 4] = ["reply-classifier", "provider-adapter", "bounce-policy", "send-gate"];

/// Whether a component for `old` runs where the interfaces are those in `new`.
fn check(old: &Path, new: &Path) -> Result<(), String> {
    for world in WORLDS {
        let mut resolve = Resolve::default();
        // Two packages of one name and version can't be in one set; versions are not compared.
        let (old, _) =
            resolve.push_dir(renumbered(old, "1.0.0", "0.0.1").path()).map_err(|error| format!("{error:#}"))?;
        let (new, _) = resolve.push_dir(new).map_err(|error| format!("{error:#}"))?;
        let old = resolve.select_world(&[old], Some(world)).map_err(|error| error.to_string())?;
        let new = resolve.select_world(&[new], Some(world)).map_err(|error| error.to_string())?;
        semver_check(resolve, old, new).map_err(|error| format!("{world}: {error:#}"))?;
    }
    Ok(())
}

fn renumbered(folder: &Path, from: &str, to: &str) -> tempfile::TempDir {
    copied(folder, |text| {
        text.replace(&format!("package ampout:extension@{from};"), &format!("package ampout:extension@{to};"))
    })
}

fn copied(folder: &Path, change: impl Fn(String) -> String) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap();
        let text = change(std::fs::read_to_string(file.path()).unwrap());
        std::fs::write(copy.path().join(file.file_name()), text).unwrap();
    }
    copy
}

fn released() -> PathBuf {
    Path::new(ROOT).join("wit/released/1.0.0")
}

#[test]
fn what_was_built_for_the_released_interfaces_fits_those_of_today() {
    check(&released(), &Path::new(ROOT).join("wit/v1")).unwrap();
}

#[test]
fn a_change_that_breaks_a_component_is_found() {
    let changes: [(&str, &str, bool); 5] = [
        // A function that the host offers is welcome; a field, a case or another type is not.
        ("    now: func() -> timestamp;", "    now: func() -> timestamp;\n    zone: func() -> string;", true),
        (
            "        daily-limit: u64,\n        reason: string,",
            "        daily-limit: u64,\n        reason: string,\n        more: string,",
            false,
        ),
        ("        keep,", "        keep,\n        pause,", false),
        ("threshold: f64", "threshold: f32", false),
        (
            "judge: func(stats: stats) -> judgement;",
            "judge: func(stats: stats) -> judgement;\n    again: func();",
            false,
        ),
    ];
    for (old, new, fits) in changes {
        let changed = copied(&released(), |text| text.replace(old, new));
        let outcome = check(&released(), changed.path());
        assert_eq!(outcome.is_ok(), fits, "{new}: {outcome:?}");
    }
}

#[tokio::test]
async fn components_that_were_built_then_answer_today() {
    let stats = json!({ "threshold": 5.0 });
    let send = json!({ "contact": { "email": "ada@example.org" } });
    for (file, hook, facts, expected) in [
        ("reply-classifier", Hook::ReplyClassifier, json!({ "subject": "hello" }), json!({ "verdict": "human-reply" })),
        (
            "wasi-classifier",
            Hook::ReplyClassifier,
            json!({ "subject": "hello" }),
            json!({ "verdict": "human-reply", "reason": "hello" }),
        ),
        ("provider-adapter", Hook::ProviderAdapter, json!({ "request": { "body": "" } }), json!({ "events": [] })),
        ("bounce-policy", Hook::BouncePolicy, stats, json!({ "decision": "keep" })),
        ("send-gate", Hook::SendGate, send, json!({ "decision": "admit" })),
    ] {
        let path = Path::new(ROOT).join("host/tests/guests").join(file).with_extension("wasm");
        let host = host();
        let guest = load_guest(&host, std::fs::read(path).unwrap()).await.unwrap();
        assert_eq!(answer(&host, &guest, &input(hook, facts)).await, Ok(expected), "{file}");
    }
}
