//! What scripts do with texts, lists, maps and times, and how much of them.

use serde_json::json;

use super::script::{check, check_patiently, decides};
use super::*;

#[tokio::test]
async fn lists_are_sorted_as_their_function_says() {
    let body = r#"fn classify(message) {
        let words = ["ccc", "a", "bb", "dd"];
        words.sort(|a, b| b.len() - a.len());
        let by_truth = [3, 1, 2].order(|a, b| a <= b);
        let one_of_each = [1, 1, 2, 1, 1];
        one_of_each.dedup(|a, b| a == b);
        #{ verdict: "ignore", reason: `${words} ${by_truth} ${one_of_each} ${"abc".contains_any([(), 'x', 'b'])}` }
    }"#;
    let reason = r#"["ccc", "bb", "dd", "a"] [1, 2, 3] [1, 2, 1] true"#;
    decides(Hook::ReplyClassifier, body, json!({}), json!({ "verdict": "ignore", "reason": reason })).await;
}

#[tokio::test]
async fn texts_lists_and_maps_stay_small() {
    check_patiently("fn classify(message) { let a = []; a.pad(1000000000, 1); a }", "a list went over 4096 elements")
        .await;
    let replace = "fn classify(message) { let s = \"\"; s.pad(60000, 'a'); let b = s; s.replace(\"a\", b); s }";
    check_patiently(replace, "would grow over 65536 bytes").await;
    check_patiently(&replace.replace("\"a\", b", "'a', b"), "would grow over 65536 bytes").await;
    check_patiently("fn classify(message) { (0..1000000000).collect() }", "test.rhai:5:").await;
}

#[tokio::test]
async fn a_value_nested_as_deep_as_it_may_be_hurts_nobody() {
    let nest = "let a = []; for i in 0..4000 { a = [a]; }";
    for end in
        ["a", "a == a", "a.to_string()", "`${a}`", "let b = a; b.len()", "print(a)", "to_json(a)", "#{ verdict: a }"]
    {
        check(&format!("fn classify(message) {{ {nest} {end} }}"), "").await;
    }
    let nest = "let a = #{}; for i in 0..1000 { a = #{ a: a }; }";
    for end in ["a", "a == a", "a.to_string()", "a.to_json()"] {
        check(&format!("fn classify(message) {{ {nest} {end} }}"), "").await;
    }
}

#[tokio::test]
async fn parsed_json_is_counted() {
    let bomb = "fn classify(message) { let s = \"[\"; s.pad(60000, \"[],\"); s += \"0]\"; let a = []; loop { a.push(parse_json(s)); } }";
    check(bomb, "").await;
    check("fn classify(message) { let s = \"\"; s.pad(60000, '['); parse_json(s) }", "bad JSON: recursion limit").await;
}

#[tokio::test]
async fn a_function_between_bars_works_on_what_it_is_given() {
    let body = r#"
        const LEAST = 2;
        fn classify(message) {
            let found = [1, 2, 3].filter(|n| n >= global::LEAST).map(|n| n * 10);
            #{ verdict: "human-reply", reason: `${found[0]} ${found[1]}` }
        }"#;
    decides(Hook::ReplyClassifier, body, json!({}), json!({ "verdict": "human-reply", "reason": "20 30" })).await;
}

#[tokio::test]
async fn a_message_of_more_lines_than_a_list_holds_is_read_to_its_end() {
    let body = r#"fn classify(message) {
        let lines = message.text.lines();
        let is_whole = lines[4095].starts_with("4095") && lines[4095].ends_with("4999");
        #{ verdict: "human-reply", reason: `${lines.len()} ${lines[4094]} ${is_whole}` }
    }"#;
    let text: String = (0..5000).map(|n| format!("{n}\r\n")).collect();
    let told = json!({ "verdict": "human-reply", "reason": "4096 4094 true" });
    decides(Hook::ReplyClassifier, body, json!({ "text": text }), told).await;
    let body = r#"fn classify(message) {
        let lines = message.text.lines();
        #{ verdict: "human-reply", reason: `${lines.len()}:${lines[0]}:${lines[1]}:${lines[2]}` }
    }"#;
    let told = json!({ "verdict": "human-reply", "reason": "3:one::three" });
    decides(Hook::ReplyClassifier, body, json!({ "text": "one\r\n\nthree\n" }), told).await;
}

#[tokio::test]
async fn times_are_read_in_their_zones_and_no_other_is_made_of_what_is_none() {
    let body = r#"fn admit(send) {
        if weekday(send.local_time) == 6 && weekday("2026-11-28T01:00:00+13:00") == 6 && add_days(send.now, 1) == "2026-11-29" {
            return #{ decision: "admit" };
        }
        #{ decision: "refuse", reason: "another day" }
    }"#;
    let facts = json!({ "now": "2026-11-28T09:35:00.154Z", "local_time": "2026-11-28T09:35:00.154Z" });
    decides(Hook::SendGate, body, facts, json!({ "decision": "admit" })).await;
    check("fn classify(message) { from_unix(1795420800000) }", "divide milliseconds by 1000").await;
    check("fn classify(message) { from_unix(253402300799) }", "is no time in seconds").await;
    check(
        "fn classify(message) { \"abc\".contains_any([1]) }",
        "contains_any looks for texts, and one of these is i64",
    )
    .await;
    check("fn classify(message) { [2, 1].sort(|a, b| \"x\") }", "the function that sort asks gave string").await;
    check(r#"fn classify(message) { add_seconds("2026-11-28T09:35:00Z", 300000000000) }"#, "out of range").await;
}
