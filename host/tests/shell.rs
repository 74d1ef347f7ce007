//! The shell as a person meets it: its help, its errors and its exit codes. Because of these tests cargo builds the binary
//! before any test runs; the end-to-end stories start it, too.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may end a test")]

use std::path::Path;
use std::process::{Command, Output};

/// Runs the binary in an empty folder with nothing of the environment but what is given.
fn ampout(folder: &Path, args: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ampout"));
    command.args(args).env_clear().envs(variables.iter().copied()).current_dir(folder);
    command.output().unwrap()
}

#[track_caller]
fn check(args: &[&str], variables: &[(&str, &str)], code: i32, said: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("broken.rhai"), BROKEN_SCRIPT).unwrap();
    std::fs::write(folder.path().join("mistyped.rhai"), MISTYPED_SCRIPT).unwrap();
    let output = ampout(folder.path(), args, variables);
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{text}");
    for part in said {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

const BROKEN_SCRIPT: &str = "//! name: broken\n//! version: 1.0.0\n//! hooks: reply-classifier\n//! description: It has a mistake.\n//! licence: Apache-2.0\n\nfn classify(message) {\n    mesage.subject\n}\n";

const MISTYPED_SCRIPT: &str = "//! name: mistyped\n//! version: 1.0.0\n//! hooks: reply-classifier\nfn classify(message) {\n    message.body\n}\n";

#[test]
fn help_says_how_to_begin() {
    check(&["--help"], &[], 0, &["ampout demo", "ampout keys create", "ampout serve", "ampout config"]);
    check(&["no-such-command"], &[], 2, &["no-such-command"]);
}

#[test]
fn a_misspelt_variable_is_named_with_what_was_meant() {
    check(&["config"], &[("AMPOUT_LISSTEN", "127.0.0.1:1")], 1, &["AMPOUT_LISSTEN", "did you mean listen?"]);
    check(&["--set", "lease_seconds=0", "config"], &[], 1, &["lease_seconds", "--set lease_seconds", "at least 1"]);
}

#[test]
fn config_shows_where_values_come_from_and_hides_secrets() {
    let key = "ab".repeat(32);
    let variables = [("AMPOUT_SECRET_KEY", key.as_str()), ("AMPOUT_LISTEN", "127.0.0.1:9")];
    check(&["config"], &variables, 0, &["127.0.0.1:9", "# AMPOUT_LISTEN", "# the defaults", "(hidden)"]);
    let folder = tempfile::tempdir().unwrap();
    let output = ampout(folder.path(), &["config", "--json"], &variables);
    assert!(!String::from_utf8_lossy(&output.stdout).contains(&key));
}

#[test]
fn a_broken_script_is_told_with_its_line() {
    check(&["script", "check", "broken.rhai"], &[], 1, &["broken.rhai:8:5", "mesage.subject"]);
    check(&["script", "check", "mistyped.rhai"], &[], 0, &["is fine", "mistyped.rhai:5:12: message has no \"body\""]);
    check(&["plugin", "check", "notes.txt"], &[], 1, &["notes.txt", ".wasm", ".rhai"]);
}

#[test]
fn mails_are_classified_in_order_and_one_that_is_missing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("mails")).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join("mails").join(name), text).unwrap();
    for number in 0..40 {
        write(&format!("{number:02}.eml"), "From: bob@example.com\nSubject: Re: hello\n\nTell me more.\n");
    }
    write(
        "40.eml",
        "From: mailer-daemon@mx.test\nSubject: failure notice\n\n<bob@example.com>:\nNo such user. (#5.1.1)\n",
    );
    write(
        "41.eml",
        "From: bob@example.com\nDate: Mon, 22 Dec 2014 09:30:00 +0100\nSubject: Automatic reply: hello\n\nBack on 5 January.\n",
    );
    // What a fixture expects of its mail is none itself.
    write("expected.json", "{ \"verdict\": \"bounce\" }");
    let output = ampout(folder.path(), &["classify", "--json", "mails", "gone.eml"], &[]);
    let (told, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("gone.eml") && errors.contains("1 of 43 files could not be read"), "{errors}");
    let lines: Vec<serde_json::Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<String> = (0..42).map(|number| format!("mails/{number:02}.eml")).collect();
    assert_eq!(lines.iter().map(|line| line["file"].as_str().unwrap()).collect::<Vec<_>>(), names);
    assert!(lines[..40].iter().all(|line| line["verdict"] == "human-reply"));
    assert_eq!((&lines[40]["verdict"], &lines[40]["bounces"][0]["class"]), (&"bounce".into(), &"hard".into()));
    assert_eq!((&lines[41]["verdict"], &lines[41]["return_date"]), (&"auto-reply".into(), &"2015-01-05".into()));
    assert!(lines[41]["by"].as_str().unwrap().starts_with("reply-classifier@"));

    let output = ampout(folder.path(), &["classify", "mails/40.eml"], &[]);
    assert_eq!(output.status.code(), Some(0));
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    let output = ampout(folder.path(), &["classify", "empty"], &[]);
    assert_eq!(output.status.code(), Some(1));
}

/// The pool of guests' memory reserves over a TiB of addresses; where there are fewer, each call gets its own.
#[cfg(unix)]
#[test]
fn where_addresses_are_few_components_are_asked_all_the_same() {
    const ADDRESSES_KIB: u32 = 2 * 1024 * 1024;
    let folder = tempfile::tempdir().unwrap();
    let mail = "From: Kim <kim@example.net>\nSubject: Re: Hello\n\nYes, call me on Friday.\n";
    std::fs::write(folder.path().join("a.eml"), mail).unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit -v {ADDRESSES_KIB}; exec \"$0\" classify a.eml"), env!("CARGO_BIN_EXE_ampout")]);
    let output = shell.env_clear().current_dir(folder.path()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains(r#""verdict":"human-reply""#) && told.contains(r#""by":"reply-classifier@"#), "{told}");
}

#[test]
fn a_captured_request_is_read_by_its_provider_s_adapter() {
    let folder = tempfile::tempdir().unwrap();
    let body = r#"[{"email":"nobody@example.net","event":"hard_bounce","ts_epoch":1785499200000,"reason":"550 5.1.1 no"},
                   {"event":"levitated","email":"ada@example.net"}]"#;
    std::fs::write(folder.path().join("body.json"), body).unwrap();
    let ingest = |args: &[&str]| {
        let output = ampout(folder.path(), &[&["ingest"], args].concat(), &[]);
        (
            output.status.code(),
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)),
        )
    };
    let (code, text) =
        ingest(&["brevo", "body.json", "--setting", "signing_secret=a=b", "--header", "Authorization: Bearer a=b"]);
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((code, lines.len()), (Some(0), 2), "{text}");
    assert_eq!((&lines[0]["kind"], &lines[0]["smtp_code"]), (&"hard_bounce".into(), &550.into()));
    assert_eq!((&lines[0]["status"], &lines[0]["at"]), (&"5.1.1".into(), &"2026-07-31T12:00:00.000Z".into()));
    assert_eq!((&lines[1]["kind"], &lines[1]["send_id"]), (&"unknown".into(), &serde_json::Value::Null));
    let (code, text) = ingest(&["brevo", "body.json", "--json", "--setting", "signing_secret=c"]);
    assert!(code == Some(0) && text.contains(r#"{"error":"unauthorized""#), "{text}");
    let (code, text) = ingest(&["ElasticEmail", "--method", "GET", "--url", "https://a.example/x/y"]);
    assert!(code == Some(0) && text.contains(r#"{"respond":"#), "{text}");
    let (code, text) = ingest(&["nobody", "body.json"]);
    assert!(code == Some(1) && text.contains("the adapters are azure, brevo"), "{text}");
    let (code, text) = ingest(&["brevo", "missing.json"]);
    assert!(code == Some(1) && text.contains("missing.json"), "{text}");
}

#[test]
fn the_first_key_makes_the_first_account() {
    let folder = tempfile::tempdir().unwrap();
    let made = ampout(folder.path(), &["keys", "create", "--json"], &[]);
    let made: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
    assert!(made["plaintext"].as_str().unwrap().starts_with("ak_live_"));
    let again = ampout(folder.path(), &["keys", "create", "--json"], &[]);
    let again: serde_json::Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(again["account_id"], made["account_id"]);
    let listed = ampout(folder.path(), &["keys", "list"], &[]);
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert_eq!(listed.lines().count(), 2, "{listed}");
    assert!(!listed.contains(made["plaintext"].as_str().unwrap()));
}

const SCRIPT_WITH_EXAMPLES: &str = "//! name: declines\n//! version: 1.0.0\n//! hooks: reply-classifier\n//! example: { \"name\": \"no\", \"input\": { \"subject\": \"no\" }, \"expect\": { \"verdict\": \"ignore\" } }\n\nfn classify(message) {\n    log_info(\"asked\");\n    if message.subject == \"no\" { return #{ verdict: \"ignore\" }; }\n    #{ verdict: \"pass\" }\n}\n";

#[test]
fn a_trial_tells_what_each_example_takes_and_fails_with_the_first_that_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("declines.rhai"), SCRIPT_WITH_EXAMPLES).unwrap();
    let output = ampout(folder.path(), &["script", "test", "declines.rhai"], &[]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for part in ["ok     no (", " operations): {\"verdict\":\"ignore\"}", "info: asked", "1 examples passed"] {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
    let more = r#"[{ "name": "yes", "input": { "subject": "yes" }, "expect": { "verdict": "ignore" } }]"#;
    std::fs::write(folder.path().join("more.json"), more).unwrap();
    let output = ampout(folder.path(), &["script", "test", "declines.rhai", "more.json", "--json"], &[]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.lines().count() == 2 && text.contains(r#""example":"yes","instructions":null"#), "{text}");
    assert!(text.contains(r#""wrong":"expected {\"verdict\":\"ignore\"}, found {\"verdict\":\"pass\"}""#), "{text}");
}

#[test]
fn a_signed_file_loads_where_signatures_are_required_and_no_other_does() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("declines.rhai"), SCRIPT_WITH_EXAMPLES).unwrap();
    let made = ampout(folder.path(), &["plugin", "keygen", "ada", "--json"], &[]);
    let made: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
    let variables =
        [("AMPOUT_TRUSTED_SIGNERS", made["trusted_signers"].as_str().unwrap()), ("AMPOUT_REQUIRE_SIGNATURES", "true")];
    let install = || ampout(folder.path(), &["script", "install", "declines.rhai"], &variables);
    let refused = install();
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && text.contains("sign it with `ampout plugin sign`"), "{text}");
    assert!(ampout(folder.path(), &["script", "sign", "declines.rhai"], &[]).status.success());
    assert!(install().status.success());
    // A second key does not take the first one's place.
    assert_eq!(ampout(folder.path(), &["plugin", "keygen", "ada"], &[]).status.code(), Some(1));
}

#[test]
fn what_is_done_to_the_database_is_told_in_json_too() {
    let folder = tempfile::tempdir().unwrap();
    let json = |args: &[&str]| -> serde_json::Value {
        let output = ampout(folder.path(), args, &[]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let migrated = json(&["migrate", "--json"]);
    assert!(migrated["database"].is_string() && migrated["applied"][0] == 1, "{migrated}");
    assert_eq!(json(&["migrate", "--json"])["applied"], serde_json::json!([]));
    let made = json(&["keys", "create", "--json"]);
    let account = made["account_id"].as_str().unwrap();
    let limited = json(&["accounts", "limit", account, "500", "--plan", "small", "--json"]);
    let expected = serde_json::json!({ "account_id": account, "plan_slug": "small", "monthly_limit": 500,
                                       "current_period_sends": 0 });
    assert_eq!(limited, expected);
    assert_eq!(json(&["accounts", "list", "--json"]), expected);
}

#[test]
fn keys_are_made_listed_and_revoked_but_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| ampout(folder.path(), args, &[]);
    let json = |args: &[&str]| -> Vec<serde_json::Value> {
        let output = run(args);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let refused = |args: &[&str], code: i32, said: &str| {
        let output = run(args);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), text.contains(said)), (Some(code), true), "{said:?}, {code}: {text}");
    };
    let first = json(&["keys", "create", "--json"]).remove(0);
    let narrow = ["keys", "create", "--label", "tools", "--client-kind", "mcp", "--scopes", "send,read", "--json"];
    let second = json(&narrow).remove(0);
    assert_eq!(second["scopes"], serde_json::json!(["read", "send"]));
    assert_eq!((&second["client_kind"], &second["account_id"]), (&"mcp".into(), &first["account_id"]));
    let listed = json(&["keys", "list", "--json"]);
    assert_eq!((listed.len(), &listed[0]["label"]), (2, &"tools".into()));
    assert!(listed.iter().all(|key| key.get("plaintext").is_none()));

    let (first, second) = (first["id"].as_str().unwrap(), second["id"].as_str().unwrap());
    assert_eq!(json(&["keys", "revoke", first, "--json"])[0]["status"], "revoked");
    refused(&["keys", "revoke", first], 1, "there is no active key");
    refused(&["keys", "revoke", second], 1, "its account's last key");
    refused(&["keys", "create", "--scopes", "fly"], 2, "must be one of read, write, send, extensions, admin");
    refused(&["keys", "create", "--account", "nobody"], 1, "is not an id");
    assert_eq!(json(&["keys", "list", "--json"]).len(), 1);
}

#[test]
fn a_version_is_replayed_bound_and_rolled_back() {
    let folder = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        let output = ampout(folder.path(), args, &[]);
        (
            output.status.success(),
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)),
        )
    };
    std::fs::write(folder.path().join("declines.rhai"), SCRIPT_WITH_EXAMPLES).unwrap();
    assert!(run(&["script", "install", "declines.rhai"]).0);
    let (rolled, told) = run(&["plugin", "rollback", "declines"]);
    assert!(!rolled && told.contains("there is no version of declines before 1.0.0"), "{told}");
    std::fs::write(folder.path().join("declines.rhai"), SCRIPT_WITH_EXAMPLES.replace("1.0.0", "1.1.0")).unwrap();
    let (replayed, told) = run(&["replay", "declines.rhai", "--since", "24h"]);
    assert!(replayed && told.contains("0 examined, 0 would change"), "{told}");
    let (installed, told) = run(&["script", "install", "declines.rhai"]);
    assert!(installed && told.contains("declines@1.0.0 (active) is bound no more"), "{told}");
    let (_, listed) = run(&["plugin", "list"]);
    let one = listed.lines().find(|line| line.starts_with("declines@1.0.0")).unwrap();
    assert!(one.contains("retired"), "the new version has its place: {listed}");
    let (_, told) = run(&["plugin", "rollback", "declines"]);
    assert!(told.contains("declines@1.0.0 has the place of declines@1.1.0 again"), "{told}");
    let (_, told) = run(&["plugin", "bind", "declines@1.1.0", "--shadow", "--json"]);
    assert!(told.contains(r#""version":"1.1.0""#) && told.contains(r#""mode":"shadow""#), "{told}");
    let (_, told) = run(&["plugin", "bind", "declines@1.0.0", "--json"]);
    assert!(told.contains(r#""bound_no_more":[{"mode":"shadow","version":"1.1.0"}]"#), "the shadow ends: {told}");
    let (replayed, told) = run(&["replay", "nobody"]);
    assert!(!replayed && told.contains("no version nobody is stored; `ampout plugin list` shows them"), "{told}");
}
