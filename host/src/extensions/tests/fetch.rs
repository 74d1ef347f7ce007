//! `http.fetch`: what is granted is fetched, and each refusal has its twin. The server is a real one on this machine; the
//! egress guard lets it be reached where a test says so.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::guests::guest_with;
use super::*;
use crate::dns::{Resolver, ResolverOptions};
use crate::egress::EgressGuard;
use crate::http_client::HttpClient;
use crate::tls::{Plaintext, TlsClient};

/// The case of `fetch`'s answer becomes a verdict, its text the reason.
const OK: &str = "human-reply";
const DENIED: &str = "ignore";
const TIMEOUT: &str = "challenge";
const TOO_LARGE: &str = "unsubscribe-request";

/// A web server that counts its requests.
struct Web {
    port: u16,
    requests: Arc<AtomicUsize>,
}

/// What a guest is given, and what it does.
struct Setup<'a> {
    asked: &'a str,
    granted: &'a str,
    reachable: &'a str,
    method: &'a str,
    path: &'a str,
    times: u32,
}

const ALLOWED: Setup<'_> = Setup {
    asked: "127.0.0.1",
    granted: "127.0.0.1",
    reachable: "127.0.0.0/8",
    method: "GET",
    path: "/hello",
    times: 1,
};

impl Web {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let web = Self { port: listener.local_addr().unwrap().port(), requests: Arc::default() };
        let requests = Arc::clone(&web.requests);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer_on(stream, Arc::clone(&requests)));
            }
        });
        web
    }
}

async fn answer_on(mut stream: TcpStream, requests: Arc<AtomicUsize>) {
    let mut asked = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut asked).await {
        requests.fetch_add(1, Ordering::SeqCst);
        let asked = String::from_utf8_lossy(&asked[..length]);
        let (head, body) = match asked.split(' ').nth(1).unwrap_or_default() {
            "/slow" => return std::future::pending().await,
            "/redirect" => ("302 Found\r\nLocation: /hello", "moved".to_owned()),
            "/large" => ("200 OK", "x".repeat(1024 * 1024 + 1)),
            "/largest" => ("200 OK", "x".repeat(1024 * 1024)),
            _ => ("200 OK", "hello".to_owned()),
        };
        let answer = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// A guest that fetches `url` so many times and tells of the last.
fn fetching(url: &str, method: &str, times: u32, more: Value) -> Vec<u8> {
    let import = format!(
        r#"(import "ampout:extension/http@1.0.0" "fetch"
              (func $fetch (param i32 i32 i32 i32 i32 i32 i32 i32 i32)))
           (data (i32.const 4096) {method:?}) (data (i32.const 4128) {url:?})"#
    );
    let (method, url) = (method.len(), url.len());
    let body = format!(
        "(local $i i32)
         (loop $l
            (call $fetch (i32.const 4096) (i32.const {method}) (i32.const 4128) (i32.const {url})
                (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 512))
            (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const {times}))))
         (if (i32.eqz (i32.load8_u (i32.const 512)))
            (then (i32.store8 (i32.const 0) (i32.const 1))
                  (i32.store8 (i32.const 28) (i32.const 1))
                  (i32.store (i32.const 32) (i32.load (i32.const 528)))
                  (i32.store (i32.const 36) (i32.load (i32.const 532))))
            (else (i32.store8 (i32.const 0) (i32.sub (i32.const 7) (i32.load8_u (i32.const 516))))
                  (i32.store8 (i32.const 28) (i32.eqz (i32.and (i32.add (i32.load8_u (i32.const 516)) (i32.const 1)) (i32.const 2))))
                  (i32.store (i32.const 32) (i32.load (i32.const 520)))
                  (i32.store (i32.const 36) (i32.load (i32.const 524)))))
         (i32.const 0)"
    );
    guest_with(Hook::ReplyClassifier, 2, &import, &body, more)
}

fn host_of(setup: &Setup<'_>, web: &Web) -> ExtensionHost {
    let options = ResolverOptions { servers: vec!["127.0.0.1:9".parse().unwrap()], ..ResolverOptions::default() };
    let allow = setup.reachable.split(',').filter(|range| !range.is_empty()).map(|range| range.parse().unwrap());
    let guard = EgressGuard::new(Resolver::new(options).unwrap(), allow.collect());
    let http = HttpClient::new(guard, &TlsClient::new(None).unwrap(), Plaintext::Allowed).unwrap();
    let grants = match setup.granted {
        "" => Vec::new(),
        host => vec![format!("test-guest={host}:{}", web.port).parse().unwrap()],
    };
    let clock = Clock::manual(Timestamp::from_millis(NOW));
    ExtensionHost::start(HostOptions { http: Some(http), grants, ..HostOptions::new(clock) }).unwrap()
}

async fn load(host: &ExtensionHost, setup: &Setup<'_>, web: &Web) -> (Arc<LoadedExtension>, Vec<u8>) {
    let url = format!("http://127.0.0.1:{}{}", web.port, setup.path);
    let hosts = match setup.asked {
        "" => json!([]),
        host => json!([format!("{host}:{}", web.port)]),
    };
    let guest = fetching(&url, setup.method, setup.times, json!({ "hosts": hosts }));
    (load_guest(host, guest.clone()).await.unwrap(), guest)
}

/// The verdict, a part of its reason, and how many requests the server saw.
async fn check(setup: Setup<'_>, verdict: &str, reason: &str, requests: usize) {
    let web = Web::start().await;
    let host = host_of(&setup, &web);
    let (extension, _) = load(&host, &setup, &web).await;
    let found = answer(&host, &extension, &message()).await.unwrap();
    let told = found["reason"].as_str().unwrap_or_default();
    assert!(
        found["verdict"] == verdict && told.contains(reason),
        "{}",
        &found.to_string()[..300.min(found.to_string().len())]
    );
    assert_eq!(web.requests.load(Ordering::SeqCst), requests);
}

#[tokio::test]
async fn what_is_asked_for_and_granted_is_fetched() {
    check(ALLOWED, OK, "hello", 1).await;
    check(Setup { method: "POST", times: 5, ..ALLOWED }, OK, "hello", 5).await;
    check(Setup { path: "/largest", ..ALLOWED }, OK, "xxx", 1).await;
}

#[tokio::test]
async fn what_is_not_asked_for_or_not_granted_is_not() {
    check(Setup { asked: "", ..ALLOWED }, DENIED, "the manifest does not ask for 127.0.0.1", 0).await;
    check(Setup { asked: "127.0.0.2", ..ALLOWED }, DENIED, "the manifest does not ask for 127.0.0.1", 0).await;
    check(Setup { granted: "", ..ALLOWED }, DENIED, "127.0.0.1 is not granted", 0).await;
    check(Setup { granted: "127.0.0.2", ..ALLOWED }, DENIED, "127.0.0.1 is not granted", 0).await;
}

#[tokio::test]
async fn a_private_address_is_out_of_reach_although_it_was_granted() {
    check(Setup { reachable: "", ..ALLOWED }, DENIED, "no public address", 0).await;
}

#[tokio::test]
async fn a_sixth_request_is_refused() {
    check(Setup { times: 6, ..ALLOWED }, DENIED, "at most 5 requests", 5).await;
}

#[tokio::test]
async fn an_answer_over_its_limit_is_not_handed_over() {
    check(Setup { path: "/large", ..ALLOWED }, TOO_LARGE, "", 1).await;
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    check(Setup { path: "/redirect", ..ALLOWED }, OK, "moved", 1).await;
}

#[tokio::test]
async fn a_server_that_never_answers_leaves_the_guest_time_to_say_so() {
    let began = Instant::now();
    check(Setup { path: "/slow", ..ALLOWED }, TIMEOUT, "", 1).await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_trial_reads_and_does_not_write() {
    for (method, verdict, requests) in [("GET", OK, 2), ("POST", DENIED, 0)] {
        let web = Web::start().await;
        let setup = Setup { method, ..ALLOWED };
        let host = host_of(&setup, &web);
        let (extension, bytes) = load(&host, &setup, &web).await;
        let trial = host.trial(extension, bytes.into()).await.unwrap();
        let called = trial.ask(&host, &message()).await;
        assert_eq!(called.answer.unwrap().to_json()["verdict"], verdict);
        // Once in earnest and once where instructions are counted.
        assert_eq!(web.requests.load(Ordering::SeqCst), requests);
    }
}

#[tokio::test]
async fn an_example_brings_its_own_answers() {
    let url = "https://sns.eu-west-1.amazonaws.com/cert.pem";
    let example = |fetches: Value| {
        json!({ "hosts": ["sns.*.amazonaws.com"], "examples": [
            { "input": {}, "expect": { "verdict": OK, "reason": "a certificate" }, "fetches": fetches } ] })
    };
    let host = host();
    let canned = example(json!([{ "url": url, "body": "a certificate" }]));
    assert!(load_guest(&host, fetching(url, "GET", 1, canned)).await.is_ok());
    let error = load_guest(&host, fetching(url, "GET", 1, example(json!([])))).await.unwrap_err();
    assert!(error.contains("an example has no network, and none of its answers is for https://sns.eu"), "{error}");
}

/// The twins of what the network refuses: an example that came out otherwise than in earnest would show nothing.
#[tokio::test]
async fn an_example_is_refused_what_is_refused_in_earnest() {
    let host = host();
    let check = async |hosts: Value, url: &str, body: &str, told: &str| {
        let example = json!({ "input": {}, "expect": { "verdict": OK }, "fetches": [{ "url": url, "body": body }] });
        let more = json!({ "hosts": hosts, "examples": [example] });
        let error = load_guest(&host, fetching(url, "GET", 1, more)).await.unwrap_err();
        assert!(error.contains(told), "{}", error.chars().take(400).collect::<String>());
    };
    let asked = json!(["api.example.com"]);
    let unasked = "the manifest does not ask for other.example.com";
    check(asked.clone(), "https://other.example.com/", "hello", unasked).await;
    check(json!([]), "https://api.example.com/", "hello", "the manifest does not ask for api.example.com").await;
    check(asked.clone(), "http://api.example.com/", "hello", "http is no https URL").await;
    check(asked, "https://api.example.com/", &"x".repeat(1024 * 1024 + 1), TOO_LARGE).await;
}

#[tokio::test]
async fn an_answer_with_a_status_that_no_server_gives_is_refused_with_its_example() {
    let fetches = json!([{ "url": "https://api.example.com/", "status": 42 }]);
    let example = json!({ "input": {}, "expect": {}, "fetches": fetches });
    let more = json!({ "hosts": ["api.example.com"], "examples": [example] });
    let error = load_guest(&host(), fetching("https://api.example.com/", "GET", 1, more)).await.unwrap_err();
    assert!(error.contains("42 is no status of an answer; write one such as 200 or 404"), "{error}");
}

#[tokio::test]
async fn hosts_that_cover_too_much_are_refused_at_load() {
    let host = host();
    let error = load_guest(&host, fetching("https://x/", "GET", 1, json!({ "hosts": ["*.com"] }))).await.unwrap_err();
    assert!(error.contains("\"*.com\" is no host"), "{error}");
    let script = script_text("x", Hook::ReplyClassifier, "").replace("\n\n", "\n//! hosts: api.example.com\n\n");
    let error = host.load(script, EngineKind::Script, "x.rhai").await.unwrap_err().to_string();
    assert!(error.contains("line 4: a script has no network"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_that_wait_for_the_network_hold_up_nobody_else() {
    let web = Web::start().await;
    let setup = Setup { path: "/slow", ..ALLOWED };
    let host = host_of(&setup, &web);
    let (waiting, _) = load(&host, &setup, &web).await;
    let good =
        load_script(&host, Hook::ReplyClassifier, r#"fn classify(message) { #{ verdict: "pass" } }"#).await.unwrap();
    // More than there are slots.
    let callers: Vec<_> = (0..100)
        .map(|_| {
            let (host, waiting) = (host.clone(), Arc::clone(&waiting));
            tokio::spawn(async move { host.call(&waiting, &message()).await.answer.is_ok() })
        })
        .collect();
    while web.requests.load(Ordering::SeqCst) < 16 {
        tokio::task::yield_now().await;
    }
    let began = Instant::now();
    for _ in 0..20 {
        answer(&host, &good, &message()).await.unwrap();
    }
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
    for caller in callers {
        caller.abort();
    }
}
