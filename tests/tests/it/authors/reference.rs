//! `docs/extensions.md` against the code: what a script sees, what it may answer, what it may call, what it may cost.

use std::collections::BTreeSet;

use ampout::clock::Clock;
use ampout::domain::status::Hook;
use ampout::extensions::{EngineKind, ExtensionHost, HostOptions, Limits};
use serde_json::{Value, json};

use super::in_the_tree;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

fn page() -> String {
    std::fs::read_to_string(in_the_tree("docs/extensions.md")).unwrap()
}

fn host() -> ExtensionHost {
    ExtensionHost::start(HostOptions::new(Clock::system())).unwrap()
}

/// Loads a script with one function and one example, and gives what is said against it.
async fn objection(host: &ExtensionHost, hook: Hook, body: &str, input: Value, expect: Value) -> Option<String> {
    let function = match hook {
        Hook::ReplyClassifier => "classify(message)",
        Hook::ProviderAdapter => "ingest(request, settings)",
        Hook::BouncePolicy => "judge(stats)",
        Hook::SendGate => "admit(send)",
    };
    let example = json!({ "input": input, "expect": expect });
    let source = format!(
        "//! name: x\n//! version: 1.0.0\n//! hooks: {hook}\n//! example: {example}\nfn {function} {{\n{body}\n}}\n"
    );
    host.load(source, EngineKind::Script, "x.rhai").await.err().map(|error| error.to_string())
}

/// The rows of the table whose head begins with `head`, as their cells.
fn table(page: &str, head: &str) -> Vec<Vec<String>> {
    let start = page.find(&format!("\n| {head}")).unwrap_or_else(|| panic!("there is no table of {head:?}"));
    let rows = page[start + 1..].lines().skip(2).take_while(|line| line.starts_with('|'));
    let cell = |cell: &str| cell.trim().replace("\\|", "|");
    rows.map(|row| row.trim_matches('|').split(" | ").map(cell).collect()).collect()
}

fn code(cell: &str) -> &str {
    cell.trim().trim_matches('`')
}

#[tokio::test]
async fn a_view_has_what_the_page_says_and_no_more() {
    let (page, host) = (page(), host());
    let message = json!({ "headers": [{ "name": "A", "value": "b" }], "parts": [{ "content_type": "a/b", "content": "" }],
        "enrollment": { "enrollment_id": "", "campaign_id": "", "contact_email": "", "step": 1, "matched_by": "reply-header" } });
    for (view, hook, path) in [
        ("`message`", Hook::ReplyClassifier, "message"),
        ("`a header`", Hook::ReplyClassifier, "message.headers[0]"),
        ("`a part`", Hook::ReplyClassifier, "message.parts[0]"),
        ("`an enrollment`", Hook::ReplyClassifier, "message.enrollment"),
        ("`request`", Hook::ProviderAdapter, "request"),
        ("`stats`", Hook::BouncePolicy, "stats"),
        ("`a window of stats`", Hook::BouncePolicy, "stats.last_hour"),
        ("`send`", Hook::SendGate, "send"),
        ("`a contact`", Hook::SendGate, "send.contact"),
        ("`a credential`", Hook::SendGate, "send.credential"),
    ] {
        let input = match hook {
            Hook::ReplyClassifier => message.clone(),
            Hook::ProviderAdapter => json!({ "request": {} }),
            Hook::BouncePolicy | Hook::SendGate => json!({}),
        };
        let told = table(&page, &format!("{view} has"));
        let told: BTreeSet<&str> = told.iter().map(|row| code(&row[0])).collect();
        // The views list what they have when they are asked for something else.
        let error = objection(&host, hook, &format!("{path}.surprise"), input.clone(), json!({})).await.unwrap();
        let list = error.split("; it has ").nth(1).unwrap_or_else(|| panic!("{error}")).split(" | ").next().unwrap();
        let listed: BTreeSet<&str> = list.split(", ").collect();
        assert_eq!(told, listed, "{view}");
        for name in told.iter().filter(|name| !name.contains('(')) {
            let error = objection(&host, hook, &format!("let x = {path}.{name};"), input.clone(), json!({})).await;
            // What comes of it is no answer; that it can be read is what counts.
            assert!(error.is_some_and(|error| error.contains("bad answer")), "{view} has no {name}");
        }
    }
}

#[tokio::test]
async fn every_answer_on_the_page_is_one() {
    let (page, host) = (page(), host());
    for hook in Hook::ALL {
        let block = page.split(&format!("```rhai answers of {hook}\n")).nth(1).unwrap().split("\n```").next().unwrap();
        assert!(block.lines().count() >= 3);
        let input = if *hook == Hook::ProviderAdapter { json!({ "request": {} }) } else { json!({}) };
        for answer in block.lines() {
            assert_eq!(objection(&host, *hook, answer, input.clone(), json!({})).await, None, "{answer}");
        }
    }
}

#[tokio::test]
async fn every_expression_on_the_page_gives_what_it_says() {
    let (page, host) = (page(), host());
    let mut wrong = Vec::new();
    let mut count = 0;
    for table in page.split("\n| expression | gives |\n").skip(1) {
        let rows = table.lines().skip(1).take_while(|line| line.starts_with('|'));
        for row in rows.map(|row| row.trim_start_matches("| `").trim_end_matches("` |")) {
            let (expression, gives) = row.split_once("` | `").unwrap_or_else(|| panic!("{row}"));
            // The last statement of a row is what it gives.
            let (before, last) = expression.rsplit_once("; ").unwrap_or(("", expression));
            let semicolon = if before.is_empty() { "" } else { ";" };
            let body =
                format!("{before}{semicolon} let found = {last}; #{{ decision: \"skip\", reason: `${{found}}` }}");
            let expected = json!({ "decision": "skip", "reason": gives });
            wrong.extend(objection(&host, Hook::SendGate, &body, json!({}), expected).await);
            count += 1;
        }
    }
    assert!(wrong.is_empty() && count > 30, "of {count}: {wrong:#?}");
}

/// Each name that the host gives to scripts stands on the page.
#[test]
fn every_function_is_on_the_page() {
    let page = page();
    let sources = ["text", "bytes", "helpers", "views"]
        .map(|file| std::fs::read_to_string(in_the_tree(&format!("host/src/extensions/rhai/{file}.rs"))).unwrap());
    let mut names = BTreeSet::new();
    for source in &sources {
        for rest in source.split("register_fn(").skip(1) {
            names.insert(rest.trim_start().trim_start_matches('"').split('"').next().unwrap_or_default());
        }
    }
    assert!(names.len() > 40, "{names:?}");
    // It only says that scripts can't.
    names.remove("sleep");
    let missing: Vec<_> = names.iter().filter(|name| !page.contains(&format!("{name}("))).collect();
    assert!(missing.is_empty(), "not on the page: {missing:?}");
}

#[test]
fn the_limits_are_those_of_the_code() {
    let page = page();
    let Limits { concurrent_calls, queue_wait, component, script, fetch, .. } = Limits::default();
    let row = |table_head: &str, what: &str| {
        let rows = table(&page, table_head);
        rows.iter().find(|row| code(&row[0]) == what).unwrap_or_else(|| panic!("no row of {what}"))[1].clone()
    };
    let check = |table_head: &str, what: &str, says: String| {
        let found = row(table_head, what);
        assert!(found.starts_with(&says), "{what}: the page says {found:?}, the code {says:?}");
    };
    check("a script |", "source", format!("{} KiB", script.source_bytes / KIB));
    check("a script |", "operations", script.operations.to_string());
    check("a script |", "time", format!("{} ms", script.time.as_millis()));
    check("a script |", "calls inside calls", script.call_depth.to_string());
    check("a script |", "a text", format!("{} KiB", script.string_bytes / KIB));
    check("a script |", "a list", script.array_items.to_string());
    check("a script |", "a map", script.map_entries.to_string());
    check("a component |", "file", format!("{} MiB", component.file_bytes / MIB));
    let (memory, most) = (component.memory_bytes / MIB, component.max_memory_bytes / MIB);
    check("a component |", "memory", format!("{memory} MiB, or what the manifest asks for, up to {most} MiB"));
    let (own, wall, fetching) =
        (component.own_time.as_millis(), component.wall_time.as_millis(), fetch.wall_time.as_millis());
    check(
        "a component |",
        "time",
        format!("{own} ms of its own and {wall} ms in all; {fetching} ms in all where it may fetch"),
    );
    check("a component |", "one copy to the host", format!("{} MiB", component.copied_bytes / MIB));
    check("a component |", "handles", component.handles.to_string());
    check(
        "a component |",
        "http.fetch",
        format!("{} requests, {} MiB an answer", fetch.requests, fetch.answer_bytes / MIB),
    );
    let calls = format!(
        "At most {concurrent_calls} calls run at once; one that gets no place within {} ms",
        queue_wait.as_millis()
    );
    assert!(page.contains(&calls), "{calls}");
}

#[tokio::test]
async fn a_pattern_may_be_as_large_as_the_page_says() {
    // How long it takes to compile is another matter.
    let raised = vec!["x.time_ms=10000".parse().unwrap()];
    let host = ExtensionHost::start(HostOptions { raised, ..HostOptions::new(Clock::system()) }).unwrap();
    let page = page();
    let rows = table(&page, "a script |");
    let row = rows.iter().find(|row| row[0] == "a pattern").unwrap();
    let says = "1024 bytes; 1024 characters and classes once its repetitions are written out; 1024 KiB when compiled";
    assert_eq!(row[1], says);
    let tried = async |pattern: &str| {
        let body = format!("if message.text.matches({pattern:?}) {{ }} #{{ verdict: \"pass\" }}");
        objection(&host, Hook::ReplyClassifier, &body, json!({}), json!({})).await
    };
    for fine in ["x{1024}", &"x".repeat(1024), r"\w{1,16}", r"\d{120}", r"\S{1,64}@\S{1,253}", "[a-z0-9_]{1,64}"] {
        assert_eq!(tried(fine).await, None, "{fine}");
    }
    for (pattern, told) in [
        ("x{1025}", "at most 1024 are taken"),
        (&*"x".repeat(1025), "over 1024 bytes"),
        (r"\w{1,64}", "over 1048576 bytes when compiled"),
    ] {
        let error = tried(pattern).await.unwrap();
        assert!(error.contains(told), "{error}");
    }
}

/// What the interpreter counts in its own way is tried: as much as the page says is taken, and no more.
#[tokio::test]
async fn a_script_may_be_as_large_as_the_page_says() {
    let (page, host) = (page(), host());
    let rows = table(&page, "a script |");
    let most_of = |what: &str| -> usize {
        let row = rows.iter().find(|row| row[0].starts_with(what)).unwrap_or_else(|| panic!("no row of {what}"));
        let digits: String = row[1].chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap()
    };
    type Body = fn(usize) -> String;
    let bodies: [(&str, Body); 5] = [
        ("`s.contains", |count| {
            let asked: Vec<String> = (0..count).map(|n| format!("s.contains(\"{n}\")")).collect();
            format!("let s = message.text; if {} {{ return #{{ verdict: \"ignore\" }}; }}", asked.join(" || "))
        }),
        ("conditions", |count| {
            let asked: Vec<String> =
                (0..count).map(|n| format!("if s == \"{n}\" {{ return #{{ verdict: \"ignore\" }}; }}")).collect();
            format!("let s = message.text; {}", asked.join(" else "))
        }),
        ("blocks", |count| format!("let n = 1; {} n = 2; {}", "if n == 1 {".repeat(count), "}".repeat(count))),
        // The message is one of them.
        ("variables", |count| (1..count).map(|n| format!("let v{n} = {n};")).collect()),
        // The first is the hook's, which is ended here; the last one is ended for us.
        ("functions", |count| (1..count).map(|n| format!("#{{ verdict: \"pass\" }} }} fn f{n}(x) {{ ")).collect()),
    ];
    for (what, body) in bodies {
        let most = most_of(what);
        let tried = async |count: usize| {
            let body = format!("{}\n#{{ verdict: \"pass\" }}", body(count));
            objection(&host, Hook::ReplyClassifier, &body, json!({}), json!({})).await
        };
        assert_eq!(tried(most).await, None, "{what}: {most}");
        assert!(tried(most + 1).await.is_some(), "{what}: more than {most}");
    }
}
