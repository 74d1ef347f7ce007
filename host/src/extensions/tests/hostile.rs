//! Hostile guests, one of each kind, and one check for all: the call ends with one clear line, others are hardly delayed,
//! five such calls in a row suspend the guest, and what it held is free again.

use std::time::{Duration, Instant};

use serde_json::json;

use super::guests::{guest, guest_with, with_second_memory};
use super::*;
use crate::extensions::hooks::reply;
use crate::extensions::{Binding, CallScope, Limits, Mode, Scope};

/// A tick is 10 ms, and the machine that runs the tests may be busy.
const A_TICK_OR_SO: Duration = Duration::from_millis(45);
/// As many as there are slots, and as the pool has places.
const SLOTS: usize = 64;

enum Guest {
    /// A component's function, behind these declarations, with so many pages of memory.
    Component(&'static str, u32, &'static str),
    /// A script.
    Script(&'static str),
    /// The WASI guest, given this subject.
    Wasi(&'static str),
}

struct Hostile {
    guest: Guest,
    /// A part of the one line.
    told: &'static str,
}

async fn load(host: &ExtensionHost, guest: &Guest) -> Arc<LoadedExtension> {
    match guest {
        Guest::Component(declarations, pages, body) => {
            let guest = guest_with(Hook::ReplyClassifier, *pages, declarations, body, json!({}));
            load_guest(host, guest).await.unwrap()
        }
        Guest::Script(body) => load_script(host, Hook::ReplyClassifier, body).await.unwrap(),
        Guest::Wasi(_) => load_guest(host, super::wasi::GUEST.to_vec()).await.unwrap(),
    }
}

fn question(guest: &Guest) -> HookInput {
    match guest {
        Guest::Wasi(subject) => input(Hook::ReplyClassifier, json!({ "subject": subject })),
        _ => message(),
    }
}

/// A host in which operations stop a script rather than its time: the test is to come out the same on a slow machine.
fn patient_host() -> ExtensionHost {
    let mut limits = Limits::default();
    limits.script.time = Duration::from_secs(10);
    let clock = Clock::manual(Timestamp::from_millis(NOW));
    ExtensionHost::start(HostOptions { limits, ..HostOptions::new(clock) }).unwrap()
}

async fn check(hostile: Hostile) {
    let host = patient_host();
    let guest = load(&host, &hostile.guest).await;
    let good = load_guest(&host, self::guest(Hook::ReplyClassifier, 2, "i32.const 0")).await.unwrap();
    let facts = question(&hostile.guest);
    answer(&host, &good, &facts).await.unwrap();

    // It ends with one clear line, while another is asked all the time.
    let (ended, slowest) = tokio::join!(answer(&host, &guest, &facts), async {
        let mut slowest = Duration::ZERO;
        for _ in 0..20 {
            let began = Instant::now();
            answer(&host, &good, &facts).await.unwrap();
            slowest = slowest.max(began.elapsed());
            tokio::task::yield_now().await;
        }
        slowest
    });
    let told = ended.unwrap_err();
    assert!(told.contains(hostile.told), "{told}");
    assert!(slowest < A_TICK_OR_SO, "{told} delayed another by {slowest:?}");

    // Five in a row suspend it; the next in line is asked from then on.
    let bind = |extension, position| {
        let (scope, hook, mode) = (Scope::System, Hook::ReplyClassifier, Mode::Active);
        Binding { scope, hook, position, mode, owner: None, extension }
    };
    host.set_bindings(&[bind(Arc::clone(&guest), 0), bind(Arc::clone(&good), 1)]);
    let HookInput::ReplyClassifier(facts) = facts else { panic!("a classifier is asked") };
    for _ in 0..5 {
        let decided = host.classify(&CallScope::default(), Arc::clone(&facts)).await.unwrap();
        assert_eq!(decided.decision.verdict, reply::Verdict::Unclassified);
    }
    assert!(guest.is_suspended() && all_suspensions(&host).len() == 1, "{told}");
    let decided = host.classify(&CallScope::default(), Arc::clone(&facts)).await.unwrap();
    assert_eq!(decided.records.len(), 1, "only the good one is asked");

    // Every slot, and every place in the pool, is free.
    let facts = HookInput::ReplyClassifier(facts);
    let all = futures_util::future::join_all((0..SLOTS).map(|_| answer(&host, &good, &facts))).await;
    assert!(all.iter().all(Result::is_ok), "{told}");
}

macro_rules! hostile {
    ($($name:ident: $guest:expr, $told:literal;)+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
        async fn $name() {
            check(Hostile { guest: $guest, told: $told }).await;
        }
    )+};
}

use Guest::{Component, Script, Wasi};

hostile! {
    an_endless_loop: Component("", 2, "(loop $l (br $l)) (unreachable)"), "ran past its limit of 50ms";
    a_memory_bomb: Component("", 2, "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (unreachable)"),
        "more than its 16777216 bytes of memory";
    a_full_stack: Component("", 2, "(call $answer (local.get 0))"), "call stack exhausted";
    a_growing_table: Component("(table $t 1 funcref)", 2,
        "(if (i32.eq (table.grow $t (ref.null func) (i32.const 300000)) (i32.const -1)) (then (unreachable))) (i32.const 0)"),
        "unreachable";
    // `reason` is at 28: its case, its address and its length, 3 MiB.
    a_huge_answer: Component("", 64,
        "(i32.store (i32.const 28) (i32.const 1)) (i32.store (i32.const 36) (i32.const 3145728)) (i32.const 0)"),
        "more than 2097152 bytes";
    a_flood_of_the_log_that_never_ends: Component(
        r#"(import "ampout:extension/log@1.0.0" "write" (func $log (param i32 i32 i32)))"#, 2,
        "(loop $l (call $log (i32.const 1) (i32.const 0) (i32.const 4096)) (br $l)) (unreachable)"),
        "ran past its limit";
    a_trap: Component("", 2, "unreachable"), "trapped";
    // auto-reply(kind at 4 and 8 = "vacation").
    a_word_outside_the_vocabulary: Component(r#"(data (i32.const 4096) "vacation")"#, 2,
        "(i32.store8 (i32.const 0) (i32.const 2)) (i32.store (i32.const 4) (i32.const 4096))
         (i32.store (i32.const 8) (i32.const 8)) (i32.const 0)"),
        "\"vacation\" is no kind of auto-reply; expected one of out-of-office, receipt, other";
    an_unknown_case_of_a_variant: Component("", 2, "(i32.store8 (i32.const 0) (i32.const 77)) (i32.const 0)"), "trapped";
    an_answer_outside_its_memory: Component("", 2, "i32.const -4"), "trapped";
    a_text_that_is_not_utf_8: Component(r#"(data (i32.const 4096) "\ff\fe")"#, 2,
        "(i32.store8 (i32.const 0) (i32.const 1)) (i32.store8 (i32.const 28) (i32.const 1))
         (i32.store (i32.const 32) (i32.const 4096)) (i32.store (i32.const 36) (i32.const 2)) (i32.const 0)"),
        "trapped";
    a_wait_in_a_host_call: Wasi("sleep"), "ran past its limit of 250ms";
    an_exit: Wasi("exit"), "it exited with status";
    a_panic: Wasi("panic"), "unreachable";

    a_loop_in_a_script: Script("fn classify(message) { loop { } }"), "test.rhai:5:1: took over 200000 operations, here or in what is called from here | fn classify";
    a_long_loop_in_a_script: Script("fn classify(message) { for i in 0..1000000000000 { let x = i; } }"), "took over 200000 operations";
    recursion_in_a_script: Script("fn f(n) { f(n + 1) } fn classify(message) { f(0) }"), "calls went over 16 deep";
    doubling_texts: Script("fn classify(message) { let s = \"x\"; loop { s += s; } }"), "the texts of one value went over 65536 bytes together";
    doubling_texts_in_texts: Script("fn classify(message) { let s = \"x\"; loop { s = `${s}${s}`; } }"), "the texts of one value went over 65536 bytes together";
    a_map_of_large_texts: Script("fn classify(message) { let x = #{}; let t = \"\"; t.pad(60000, 'x'); let n = 0; loop { n += 1; x[\"k\" + n] = t + n; } }"), "took over 32 MiB of memory";
    a_list_bomb: Script("fn classify(message) { let a = []; loop { a.push(1); } }"), "a list went over 4096 elements";
    a_map_of_small_things: Script("fn classify(message) { let m = #{}; let i = 0; loop { i += 1; m[`k${i}`] = 1; } }"), "test.rhai:5:";
    a_bomb_of_parsed_json: Script("fn classify(message) { let s = \"[\"; s.pad(60000, \"[],\"); s += \"0]\"; let a = []; loop { a.push(parse_json(s)); } }"), "test.rhai:5:";
    // Each of these a thousandth, or less, of what lists within lists would take if nobody counted.
    a_loop_of_functions: Script("fn classify(message) { let b = []; b.pad(4096, 0); for i in 0..4096 { b.some(|x| false); } }"), "took over 200000 operations";
    functions_within_functions: Script("fn b() { let b = []; b.pad(4096, 0); b } fn classify(message) { b().some(|x| { b().some(|y| false); false }); #{ verdict: \"pass\" } }"), "took over 200000 operations";
    functions_that_fill_a_list: Script("fn classify(message) { let b = []; b.pad(4096, 0); b.map(|x| { let s = \"a\"; s.pad(60000, \"x\"); s }); }"), "took over 32 MiB of memory";
    a_sort_that_never_ends: Script("fn classify(message) { [2, 1].sort(|x, y| { loop { } }); #{ verdict: \"pass\" } }"), "took over 200000 operations";
    a_sort_that_throws: Script("fn classify(message) { [2, 1].sort(|x, y| { throw \"no order\" }); }"), "no order";
    a_dedup_that_throws: Script("fn classify(message) { [2, 1].dedup(|x, y| x.nothing()); }"), "nothing";
    constants_of_constants: Script("const A = [1,2,3,4,5,6,7,8]; const B = [A,A,A,A]; const C = [B,B,B,B]; const D = [C,C,C,C]; const E = [D,D,D,D]; const F = [E,E,E,E]; fn classify(message) { #{ verdict: \"pass\" } }"), "a list went over 4096 elements";
    texts_of_constants: Script("const A = \"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"; const B = `${A}${A}${A}${A}`; const C = `${B}${B}${B}${B}`; const D = `${C}${C}${C}${C}`; const E = `${D}${D}${D}${D}`; const F = `${E}${E}${E}${E}`; const G = `${F}${F}${F}${F}`; fn classify(message) { #{ verdict: \"pass\" } }"), "the texts of one value went over 65536 bytes";
    a_pattern_bomb: Script("fn classify(message) { message.text.matches(\"((a{1,100}){1,100}){1,100}\") }"), "it has 1000000 places once its repetitions are written out; at most 1024 are taken";
    a_pattern_of_many_letters: Script("fn classify(message) { message.text.matches(\"\\\\w{100}\") }"), "over 1048576 bytes when compiled";
    a_word_outside_a_scripts_vocabulary: Script("fn classify(message) { #{ verdict: \"spam\" } }"), "expected one of pass, human-reply";
}

/// Several memories are one: each of these alone is under the limit.
#[tokio::test]
async fn memories_are_counted_together() {
    let guest = |pages: u32, body: &str| with_second_memory(self::guest(Hook::ReplyClassifier, pages, body), pages);
    let error = load_guest(&host(), guest(144, "i32.const 0")).await.unwrap_err();
    assert!(error.contains("more than its 16777216 bytes of memory"), "{error}");
    let host = host();
    let called = host.call(&load_guest(&host, guest(100, "i32.const 0")).await.unwrap(), &message()).await;
    assert_eq!(called.record.memory_bytes, Some(200 * 65536));
    let growing = "(if (i32.eq (memory.grow (i32.const 100)) (i32.const -1)) (then (unreachable))) (i32.const 0)";
    let error = answer(&host, &load_guest(&host, guest(100, growing)).await.unwrap(), &message()).await.unwrap_err();
    assert!(error.contains("more than its 16777216 bytes of memory"), "{error}");
}

/// Linear, but wide: no lazy automaton can hold its states. Here time is the limit, and it is the thread's own.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_pattern_that_is_wide_is_stopped_by_time() {
    let wide = "fn classify(message) { let s = \"\"; s.pad(60000, 'a'); for i in 0..1000 { s.matches(\"[ab]*a[ab]{400}c\"); } }";
    let host = host();
    let script = load_script(&host, Hook::ReplyClassifier, wide).await.unwrap();
    assert!(answer(&host, &script, &message()).await.unwrap_err().contains("limit of 50ms"));
}

/// One match can't be stopped, and nothing follows it; what it took counts nevertheless.
#[tokio::test]
async fn a_last_step_that_takes_too_long_is_over_the_limit() {
    let wide = "fn classify(message) { message.text.matches(\"[ab]*a[ab]{900}c\"); #{ verdict: \"ignore\" } }";
    let host = host();
    let script = load_script(&host, Hook::ReplyClassifier, wide).await.unwrap();
    // No two places of it look alike to the pattern.
    let letter = |n: u32| if n.wrapping_mul(n).wrapping_mul(2_654_435_761) >> 31 == 0 { 'a' } else { 'b' };
    let text: String = (0..40_000).map(letter).collect();
    let message = input(Hook::ReplyClassifier, json!({ "text": text, "received_at": "2026-11-23T08:00:00Z" }));
    assert!(answer(&host, &script, &message).await.unwrap_err().contains("limit of 50ms"));
}

/// One match can't be stopped: on the longest text this one would take seconds.
#[tokio::test]
async fn a_pattern_that_is_wider_than_time_could_bound_is_refused() {
    let body = "fn classify(message) { message.text.matches(\"([ab]*a){1100}c\") }";
    let script = load_script(&host(), Hook::ReplyClassifier, body).await.unwrap();
    let error = answer(&host(), &script, &message()).await.unwrap_err();
    assert!(error.contains("it has 2201 places once its repetitions are written out"), "{error}");
}

/// Many words in a long text are stopped between two of them.
#[tokio::test]
async fn many_words_in_a_long_text_are_stopped_by_time() {
    let body = "fn classify(message) { let s = \"\"; s.pad(60000, 'a'); let words = []; words.pad(4000, \"aaaaaaaab\");
        loop { s.contains_any(words); } }";
    let host = host();
    let script = load_script(&host, Hook::ReplyClassifier, body).await.unwrap();
    assert!(answer(&host, &script, &message()).await.unwrap_err().contains("limit of 50ms"));
}

/// Nothing is worked out while a script compiles: this would have some million elements.
#[tokio::test]
async fn constants_are_not_folded_when_a_script_is_loaded() {
    let mut script = "const A0 = [1, 2, 3, 4, 5, 6, 7, 8];".to_owned();
    (1..10).for_each(|n| script += &format!(" const A{n} = [A{0}, A{0}, A{0}, A{0}];", n - 1));
    script += " fn classify(message) { #{ verdict: \"pass\" } }";
    let host = host();
    let loaded = load_script(&host, Hook::ReplyClassifier, &script).await.unwrap();
    assert!(answer(&host, &loaded, &message()).await.unwrap_err().contains("a list went over 4096 elements"));
}

/// What a function holds is seen by no limit: chains of them end in a full stack, cycles are never free again, and what two
/// share is waited for.
#[tokio::test]
async fn a_function_that_would_hold_values_is_refused_with_the_mend() {
    for body in [
        "let f = || 0; loop { let g = [[[[[[f]]]]]]; f = || g; }",
        "let a = [1]; loop { try { a.map(|x| a) } catch { } }",
        "let m = message; let f = 0; f = || [f, m];",
    ] {
        let body = format!("fn classify(message) {{ {body} }}");
        let error = load_script(&host(), Hook::ReplyClassifier, &body).await.unwrap_err();
        let mend = "a function between bars sees its arguments alone: write a loop in its place";
        assert!(error.starts_with("test.rhai:5:") && error.contains(mend), "{error}");
    }
    // A name that is misspelt is told as that.
    for body in ["let lines = 1; lines || line", "let text = \"(a|b)\"; text2", "let f = |x| x; f.call(nothing)"] {
        let error = load_script(&host(), Hook::ReplyClassifier, &format!("fn classify(message) {{ {body} }}")).await;
        assert!(!error.unwrap_err().contains("between bars"), "{body}");
    }
    for body in ["Fn(\"g\").curry(1)", "curry(Fn(\"g\"), 1)"] {
        let body = format!("fn g(x) {{ x }} fn classify(message) {{ {body} }}");
        let error = load_script(&host(), Hook::ReplyClassifier, &body).await.unwrap_err();
        assert!(error.contains("curry"), "{error}");
    }
}

/// What a source is refused for before it ever runs.
#[tokio::test]
async fn hostile_sources_are_refused_at_their_line() {
    let mut latin =
        script_text("x", Hook::ReplyClassifier, "fn classify(message) { #{ verdict: \"pass\" } }").into_bytes();
    latin.extend(b"// caf\xe9\n");
    let error = host().load(latin, EngineKind::Script, "latin.rhai").await.unwrap_err().to_string();
    assert_eq!(error, "latin.rhai:6: byte 112 is not UTF-8; save the script as UTF-8");
    for body in ["eval(\"1\")", "import \"x\" as y; 1", "(".repeat(5000).as_str()] {
        let error = load_script(&host(), Hook::ReplyClassifier, &format!("fn classify(message) {{ {body} }}")).await;
        assert!(error.unwrap_err().starts_with("test.rhai:5:"), "{body:.20}");
    }
}
