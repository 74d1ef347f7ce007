//! Scripts that are well, and what their authors are told. Those that try what they should not are in `hostile`.

use serde_json::json;

use super::*;
use crate::extensions::Limits;

const PASS: &str = r#"fn classify(message) { #{ verdict: "pass" } }"#;

/// The script is asked: `expected` is in its error, and another script is answered right after.
pub(super) async fn check(body: &str, expected: &str) {
    check_on(host(), body, expected).await;
}

/// The same where operations are the limit, however slow the machine that runs the test.
pub(super) async fn check_patiently(body: &str, expected: &str) {
    let mut limits = Limits::default();
    limits.script.time = std::time::Duration::from_secs(10);
    let clock = Clock::manual(Timestamp::from_millis(NOW));
    check_on(ExtensionHost::start(HostOptions { limits, ..HostOptions::new(clock) }).unwrap(), body, expected).await;
}

async fn check_on(host: ExtensionHost, body: &str, expected: &str) {
    let hostile = load_script(&host, Hook::ReplyClassifier, body).await.unwrap();
    let error = answer(&host, &hostile, &message()).await.unwrap_err();
    assert!(error.contains(expected), "{error}");
    let good = load_script(&host, Hook::ReplyClassifier, PASS).await.unwrap();
    assert_eq!(answer(&host, &good, &message()).await, Ok(json!({ "verdict": "pass" })));
}

async fn refused(body: &str, expected: &str) {
    let error = load_script(&host(), Hook::ReplyClassifier, body).await.unwrap_err();
    assert!(error.contains(expected), "{error}");
}

pub(super) async fn decides(hook: Hook, body: &str, facts: Value, expected: Value) {
    let host = host();
    let script = load_script(&host, hook, body).await.unwrap();
    assert_eq!(answer(&host, &script, &input(hook, facts)).await, Ok(expected));
}

#[tokio::test]
async fn the_contracts_script_works_as_it_stands() {
    let source = r#"//! name: polite-declines
//! version: 1.2.0
//! hooks: reply-classifier
//! description: A short "no thanks" ends the sequence as an unsubscribe request.

fn classify(message) {
    if message.subject.contains("no thanks") || message.text.matches("(?i)^\\s*not interested") {
        return #{ verdict: "unsubscribe-request", reason: "declined" };
    }
    #{ verdict: "pass" }
}
"#;
    let host = host();
    let script = host.load(source, EngineKind::Script, "polite-declines.rhai").await.unwrap();
    let ask = async |facts| answer(&host, &script, &input(Hook::ReplyClassifier, facts)).await;
    let declined = json!({ "verdict": "unsubscribe-request", "reason": "declined" });
    assert_eq!(ask(json!({ "subject": "Re: no thanks" })).await, Ok(declined.clone()));
    assert_eq!(ask(json!({ "text": "  Not interested." })).await, Ok(declined));
    assert_eq!(ask(json!({ "text": "Very interested." })).await, Ok(json!({ "verdict": "pass" })));
}

#[tokio::test]
async fn a_classifier_sees_the_whole_message() {
    let body = r#"fn classify(message) {
        let enrollment = message.enrollment;
        if message.header("AUTO-SUBMITTED") == "auto-replied" && message.header("X-None") == "" && !message.has_header("X-None")
            && message.headers[0].name == "Auto-Submitted" && message.sender == "ada@example.org"
            && message.return_path == () && (message.return_path ?? "none") == "none"
            && "team@example.org" in message.recipients && message.parts[0].content_type == "message/delivery-status"
            && message.part("message/delivery-status").contains("Action") && enrollment.step == 2
            && enrollment.matched_by == "reply-header" && message.extra.spf == "pass"
            && message.received_at == "2026-11-23T08:00:00.000Z" && message.raw_headers.text().starts_with("Auto") {
            let back = message.text.find("(\\d{4}-\\d\\d-\\d\\d)")[1];
            log_info(`back on ${back}`);
            return #{ verdict: "auto-reply", kind: "out-of-office", return_date: back, extra: #{ next: add_days(back, 1) } };
        }
        #{ verdict: "pass" }
    }"#;
    let facts = json!({
        "headers": [{ "name": "Auto-Submitted", "value": "auto-replied" }], "raw_headers": "Auto-Submitted: auto-replied",
        "sender": "ada@example.org", "recipients": ["team@example.org"], "text": "I am back on 2026-12-01.",
        "parts": [{ "content_type": "message/delivery-status", "content": "Action: failed" }],
        "enrollment": { "enrollment_id": "e", "campaign_id": "c", "contact_email": "ada@example.org", "step": 2, "matched_by": "reply-header" },
        "received_at": "2026-11-23T08:00:00Z", "extra": { "spf": "pass" },
    });
    let expected = json!({ "verdict": "auto-reply", "kind": "out-of-office", "return_date": "2026-12-01", "extra": { "next": "2026-12-02" } });
    decides(Hook::ReplyClassifier, body, facts, expected).await;
}

#[tokio::test]
async fn an_adapter_checks_a_signature_and_reads_json() {
    let body = r#"fn ingest(request, settings) {
        let mac = hmac("sha256", settings.signing_secret, request.body).to_hex();
        if !constant_time_equal(mac, request.header("X-Signature")) {
            return #{ error: "unauthorized", reason: "the signature is wrong" };
        }
        let out = events();
        for event in request.body.json().events {
            if event.type != "bounce" { continue; }
            out.add(#{ kind: if event.hard { "hard_bounce" } else { "soft_bounce" }, recipient: event.email,
                smtp_code: event.code, at: from_unix(event.ts), reason: event.reason });
        }
        #{ events: out }
    }"#;
    let host = host();
    let script = load_script(&host, Hook::ProviderAdapter, body).await.unwrap();
    let many: Vec<Value> = (0..200)
        .map(|n| json!({ "type": "bounce", "hard": true, "email": format!("{n}@example.org"), "code": 550, "ts": 1_795_420_800 }))
        .collect();
    let body = json!({ "events": many }).to_string();
    let mac = hex::encode(crate::extensions::crypto::hmac(
        crate::extensions::crypto::Digest::Sha256,
        b"key",
        body.as_bytes(),
    ));
    let ask = async |mac: &str| {
        let facts = json!({ "request": { "headers": [["x-signature", mac]], "body": body }, "settings": { "signing_secret": "key" } });
        answer(&host, &script, &input(Hook::ProviderAdapter, facts)).await.unwrap()
    };
    let events = ask(&mac).await;
    assert_eq!(events["events"].as_array().map(Vec::len), Some(200));
    assert_eq!(events["events"][199]["at"], json!("2026-11-23T08:00:00.000Z"));
    assert_eq!(ask("00").await, json!({ "error": "unauthorized", "reason": "the signature is wrong" }));
}

#[tokio::test]
async fn a_policy_and_a_gate_decide() {
    let policy = r#"
        const FEWEST = 20;
        fn judge(stats) {
            let window = stats.since_enabled;
            if window.transactions >= global::FEWEST && window.bounce_rate > stats.threshold {
                return #{ decision: "disable", reason: `${window.bounces} of ${window.transactions} bounced` };
            }
            #{ decision: "keep" }
        }"#;
    let facts = json!({ "threshold": 5.0, "since_enabled": { "transactions": 40, "hard_bounces": 3 } });
    decides(Hook::BouncePolicy, policy, facts, json!({ "decision": "disable", "reason": "3 of 40 bounced" })).await;
    let gate = r#"fn admit(send) {
        if send.mx_provider == "google.com" && send.credential.sent_today * 2 > send.credential.daily_limit {
            return #{ decision: "defer", "until": add_seconds(send.now, 3600), reason: "spare the other half" };
        }
        if send.contact.domain == "competitor.example" { return #{ decision: "skip", reason: "competitor" }; }
        #{ decision: "admit" }
    }"#;
    let facts = json!({ "mx_provider": "google.com", "credential": { "sent_today": 6, "daily_limit": 10 }, "now": "2026-11-23T08:00:00Z" });
    let expected =
        json!({ "decision": "defer", "until": "2026-11-23T09:00:00.000Z", "reason": "spare the other half" });
    decides(Hook::SendGate, gate, facts, expected).await;
}

#[tokio::test]
async fn a_script_that_does_not_compile_is_refused_at_its_line() {
    refused("fn classify(message) {\n    let x = ;\n}", "test.rhai:6:13: ").await;
    refused("fn classify(message) { undefined_name }", "undefined_name").await;
    refused("fn classify(message) { eval(\"1\") }", "eval").await;
    refused("import \"x\" as x; fn classify(message) { 1 }", "import").await;
    refused("fn clasify(message) { 1 }", "has no function for reply-classifier; write fn classify(message) { … }")
        .await;
    refused("fn classify() { 1 }", "write fn classify(message)").await;
    refused(&format!("fn classify(m) {{ {}1{} }}", "(".repeat(500), ")".repeat(500)), "test.rhai:5:").await;
    refused(&format!("fn classify(m) {{ {}1 }}", "-".repeat(5000)), "test.rhai:5:").await;
    refused(&format!("fn classify(m) {{ {}1{} }}", "[".repeat(5000), "]".repeat(5000)), "test.rhai:5:").await;
    refused(&format!("fn classify(m) {{ {} }}", "{".repeat(5000)), "test.rhai:5:").await;
    refused(&format!("fn classify(m) {{ 1{} }}", "+1".repeat(20_000)), "test.rhai:5:").await;
}

#[tokio::test]
async fn an_example_that_comes_out_otherwise_refuses_the_load() {
    let source = script_text("x", Hook::ReplyClassifier, PASS).replace(
        "\n\n",
        "\n//! example: { \"input\": { \"subject\": \"no thanks\" }, \"expect\": { \"verdict\": \"ignore\" } }\n\n",
    );
    let error = host().load(source, EngineKind::Script, "x.rhai").await.unwrap_err().to_string();
    assert_eq!(error, r#"x.rhai: example 1: expected {"verdict":"ignore"}, found {"verdict":"pass"}"#);
}

#[tokio::test]
async fn an_unknown_property_says_which_there_are() {
    check("fn classify(message) { message.subjct }", "test.rhai:5:31: message has no \"subjct\"; it has headers,")
        .await;
}

#[tokio::test]
async fn an_answer_outside_the_vocabulary_says_what_was_expected() {
    check("fn classify(message) { 42 }", "expected a map such as #{ verdict: \"pass\" }").await;
    check("fn classify(message) { #{ verdict: \"spam\" } }", "expected one of pass, human-reply").await;
    check("fn classify(message) { #{ verdict: \"pass\", why: 1 } }", "unknown key \"why\"").await;
    check("fn classify(message) { #{ verdict: message } }", "the answer has `message` itself, which no answer has")
        .await;
    check("fn classify(message) { #{ verdict: parse_json(\"[]\") } }", "has a map or list of parsed JSON, which").await;
    check("fn classify(message) { hash(\"sha1\", message) }", "expected a text or bytes, found `message` itself").await;
    check("fn classify(message) { let a = []; for i in 0..20 { a = [a]; } #{ verdict: a } }", "nested over 8 deep")
        .await;
}

/// Editors on Windows write one; it is no part of the script.
#[tokio::test]
async fn a_byte_order_mark_before_the_manifest_is_passed_over() {
    let source = format!("\u{feff}{}", script_text("x", Hook::ReplyClassifier, PASS));
    assert!(host().load(source, EngineKind::Script, "x.rhai").await.is_ok());
    let source = format!("\u{feff}{}", script_text("x", Hook::ReplyClassifier, "fn classify(message) { 1 + }"));
    let error = host().load(source, EngineKind::Script, "x.rhai").await.unwrap_err().to_string();
    assert!(error.starts_with("x.rhai:5:2"), "{error}");
}

#[tokio::test]
async fn a_key_that_is_a_word_of_the_language_is_told_to_be_quoted() {
    refused("fn classify(message) { #{ until: 1 } }", "such as \"until\", must be quoted").await;
}

#[tokio::test]
async fn nobody_sleeps() {
    check("fn classify(message) { sleep(10); }", "a script can't sleep").await;
    check("fn classify(message) { sleep(10.0); }", "a script can't sleep").await;
}

#[tokio::test]
async fn a_pattern_that_is_wrong_is_told() {
    check("fn classify(message) { message.text.matches(\"(unclosed\") }", "unclosed group").await;
}

#[tokio::test]
async fn a_large_pattern_on_a_long_text_is_answered_wherever_it_runs() {
    let host = host();
    let body = "fn classify(message) { if message.text.matches(\"(?i)\\\\w+\\\\s+\\\\w+ unsubscribe\") { return #{ verdict: \"ignore\" }; } #{ verdict: \"pass\" } }";
    let script = load_script(&host, Hook::ReplyClassifier, body).await.unwrap();
    let long = input(Hook::ReplyClassifier, json!({ "text": "nothing of that kind\n".repeat(500) }));
    for _ in 0..3 {
        assert_eq!(answer(&host, &script, &long).await, Ok(json!({ "verdict": "pass" })));
    }
    let long = input(Hook::ReplyClassifier, json!({ "text": format!("{} please do Unsubscribe", "x ".repeat(2000)) }));
    assert_eq!(answer(&host, &script, &long).await, Ok(json!({ "verdict": "ignore" })));
}

#[tokio::test]
async fn a_thrown_error_is_told_with_its_place() {
    check("fn classify(message) {\n  throw \"oh no\";\n}", "test.rhai:6:3: oh no | throw \"oh no\";").await;
    check("fn classify(message) { 1 / 0 }", "Division by zero").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_long_script_leaves_the_asynchronous_thread() {
    let host = host();
    let long = load_script(
        &host,
        Hook::ReplyClassifier,
        "fn classify(message) { let t = message.text; t.pad(60000, 'x'); while true { t.to_upper(); } }",
    );
    let long = long.await.unwrap();
    let facts = message();
    let mut ticks = 0;
    let (error, ()) = tokio::join!(answer(&host, &long, &facts), async {
        for _ in 0..20 {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            ticks += 1;
        }
    });
    assert!(error.unwrap_err().contains("ran past its limit of 50ms"));
    assert_eq!(ticks, 20);
}

#[tokio::test]
async fn nothing_of_one_call_is_left_for_the_next() {
    let body = r#"
        const KEPT = [];
        fn classify(message) {
            let seen = if is_def_var("seen") { "a variable" } else { "" };
            let kept = global::KEPT;
            kept.push(message.subject);
            log_info(message.subject);
            #{ verdict: "human-reply", reason: `${kept.len()} ${seen}`.trim() }
        }"#;
    let host = host();
    let script = load_script(&host, Hook::ReplyClassifier, body).await;
    let script = script.unwrap();
    for subject in ["of one account", "of another"] {
        let called = host.call(&script, &input(Hook::ReplyClassifier, json!({ "subject": subject }))).await;
        let decision = called.answer.map(|answer| answer.to_json());
        assert_eq!(decision, Ok(json!({ "verdict": "human-reply", "reason": "1" })));
        let logged: Vec<_> = called.record.logs.iter().map(|line| line.message.as_str()).collect();
        assert_eq!(logged, [subject]);
    }
}

#[tokio::test]
async fn whoever_writes_a_long_mail_makes_no_filter_fail() {
    let pass = json!({ "verdict": "pass" });
    for text in ["Ⱥ".repeat(32 << 10), "İ".repeat(32 << 10), "x".repeat(64 << 10)] {
        let facts = json!({ "subject": "s".repeat(64 << 10), "text": text });
        for look in ["message.text.lower()", "message.text.upper()", r#"message.subject + "\n" + message.text"#] {
            let body = format!("fn classify(message) {{ let seen = {look}; #{{ verdict: \"pass\" }} }}");
            decides(Hook::ReplyClassifier, &body, facts.clone(), pass.clone()).await;
        }
    }
}

#[tokio::test]
async fn a_constant_may_be_made_by_a_function() {
    let body = r#"
        const WORDS = "stop,no".split(",");
        fn classify(message) {
            #{ verdict: if message.text.contains_any(global::WORDS) { "ignore" } else { "pass" } }
        }"#;
    decides(Hook::ReplyClassifier, body, json!({ "text": "please stop" }), json!({ "verdict": "ignore" })).await;
}

#[tokio::test]
async fn what_stands_in_no_extra_is_no_error() {
    let body = r#"fn judge(stats) {
        let limit = parse_int(stats.extra.throttled_limit ?? "7") + if stats.extra.contains("odd") { 1 } else { 0 };
        #{ decision: "throttle", daily_limit: limit, reason: stats.extra.keys().len().to_string() }
    }"#;
    for (extra, limit, keys) in [(json!({}), 7, "0"), (json!({ "throttled_limit": "25", "odd": "" }), 26, "2")] {
        let expected = json!({ "decision": "throttle", "daily_limit": limit, "reason": keys });
        decides(Hook::BouncePolicy, body, json!({ "extra": extra }), expected).await;
    }
}
