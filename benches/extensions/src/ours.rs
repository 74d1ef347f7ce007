//! The rows of this host, asked through its own door as the engine asks it, and the same decisions as plain Rust.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use ampout::clock::Clock;
use ampout::domain::Timestamp;
use ampout::domain::status::Hook;
use ampout::extensions::hooks::ingest::{Request, Settings};
use ampout::extensions::hooks::reply::{Message, Verdict};
use ampout::extensions::shipped::SHIPPED;
use ampout::extensions::{
    Binding, CallScope, EngineKind, ExtensionHost, HostOptions, Ingested, LoadedExtension, Mode, Scope,
};
use ampout::inbox::parse::parse;
use anyhow::{Context as _, ensure};
use regex::Regex;
use serde_json::Value;
use tokio::runtime::{Handle, Runtime};

use crate::table::quantile;
use crate::{Asked, Row};

pub(crate) const REPLY: &str = "a reply, classified";
pub(crate) const NOTHING: &str = "a reply, answered without a look";
pub(crate) const TEN_LINES: &str = "a reply, filtered by ten lines";
const DECLINES: &str = "a reply, filtered by polite-declines";
const WEBHOOK: &str = "a bounce of SMTP2GO, read";

/// What a call of the shipped classifier and one of a filter may take, in microseconds.
const COMPONENT_GOAL: f64 = 25.0;
const SCRIPT_GOAL: f64 = 8.0;

/// The contract's example of a filter.
const FILTER: &str = r#"//! name: ten-lines
//! version: 1.0.0
//! hooks: reply-classifier

fn classify(message) {
    if message.subject.contains("no thanks") || message.text.matches("(?i)^\\s*not interested") {
        return #{ verdict: "unsubscribe-request", reason: "declined" };
    }
    #{ verdict: "human-reply" }
}
"#;

/// What the rows are asked about.
pub(crate) struct Facts {
    pub(crate) message: Arc<Message>,
    request: Arc<Request>,
}

impl Facts {
    pub(crate) fn read() -> anyhow::Result<Self> {
        let mail = std::fs::read(in_the_tree("benches/extensions/messages/reply.eml"))?;
        let examples = std::fs::read_to_string(in_the_tree("plugins/smtp2go/fixtures/examples.json"))?;
        let examples: Value = serde_json::from_str(&examples)?;
        let request = examples[0]["input"]["request"].clone();
        let message = parse(&mail, Timestamp::from_millis(1_795_420_802_000)).message;
        Ok(Self { message: Arc::new(message), request: Arc::new(serde_json::from_value(request)?) })
    }
}

pub(crate) fn in_the_tree(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// A call of the host's door.
enum Question {
    Classify(Arc<Message>),
    Ingest(Arc<Request>, Arc<Settings>),
}

/// One extension, bound alone.
struct Door {
    host: ExtensionHost,
    runtime: Handle,
    binding: Binding,
    question: Question,
}

impl Door {
    async fn ask(&self) -> bool {
        let scope = CallScope::default();
        match &self.question {
            Question::Classify(message) => {
                self.host.classify(&scope, Arc::clone(message)).await.decision.verdict != Verdict::Unclassified
            }
            Question::Ingest(request, settings) => {
                let name = self.binding.extension.name();
                let decided = self.host.ingest(&scope, name, Arc::clone(request), Arc::clone(settings)).await;
                matches!(decided.decision, Ingested::Outcome(_))
            }
        }
    }
}

impl Asked for Door {
    fn round(&mut self, calls: usize) -> anyhow::Result<Vec<u64>> {
        self.host.set_bindings(std::slice::from_ref(&self.binding));
        self.runtime.block_on(async {
            let mut nanos = Vec::with_capacity(calls);
            for _ in 0..calls {
                let began = Instant::now();
                let answered = self.ask().await;
                nanos.push(elapsed(began));
                ensure!(answered, "{:?} gave no decision", self.binding.extension);
            }
            Ok(nanos)
        })
    }
}

/// A function, given its argument ready made.
struct Native<T: Clone, R>(T, fn(T) -> R);

impl<T: Clone, R> Asked for Native<T, R> {
    fn round(&mut self, calls: usize) -> anyhow::Result<Vec<u64>> {
        let mut nanos = Vec::with_capacity(calls);
        for _ in 0..calls {
            let argument = self.0.clone();
            let began = Instant::now();
            let answer = std::hint::black_box((self.1)(std::hint::black_box(argument)));
            nanos.push(elapsed(began));
            drop(answer);
        }
        Ok(nanos)
    }
}

fn elapsed(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Those that are always there, and reply classifiers in files beside the shipped one.
pub(crate) fn rows(runtime: &Runtime, facts: &Facts, with: &[String]) -> anyhow::Result<Vec<Row>> {
    let host = host()?;
    ensure!(host.is_pooled(), "the address space is too small for a pool, which is what is measured");
    let load = |bytes: Vec<u8>, engine, file: &str| runtime.block_on(host.load(bytes, engine, file));
    let empty = std::fs::read(in_the_tree("host/tests/guests/reply-classifier.wasm"))?;
    let declines = std::fs::read(in_the_tree("scripts/reply_filters/polite-declines.rhai"))?;
    let door = |extension: Arc<LoadedExtension>, question| -> Box<dyn Asked> {
        let binding = binding(extension);
        Box::new(Door { host: host.clone(), runtime: runtime.handle().clone(), binding, question })
    };
    let classify = || Question::Classify(Arc::clone(&facts.message));
    let ingest = Question::Ingest(Arc::clone(&facts.request), Arc::default());
    let classifier = load(shipped("reply-classifier.wasm")?, EngineKind::Component, "reply-classifier.wasm")?;
    let adapter = load(shipped("smtp2go.wasm")?, EngineKind::Component, "smtp2go.wasm")?;
    let row = |question, name: &str, asked, is_yardstick| {
        let goal = match question {
            REPLY => Some(COMPONENT_GOAL),
            TEN_LINES | DECLINES => Some(SCRIPT_GOAL),
            _ => None,
        };
        Row { question, name: name.to_owned(), is_yardstick, goal, asked, nanos: Vec::new() }
    };
    let (ours, script) = ("ampout, component, a fresh instance a call", "ampout, Rhai");
    let mut rows = vec![
        row(REPLY, "native Rust", Box::new(Native(guests_message(&facts.message), reply_classifier::classify)), false),
        row(REPLY, ours, door(classifier, classify()), true),
        row(NOTHING, ours, door(load(empty, EngineKind::Component, "empty.wasm")?, classify()), true),
        row(WEBHOOK, "native Rust", Box::new(Native(guests_request(&facts.request), read_webhook)), false),
        row(WEBHOOK, ours, door(adapter, ingest), true),
        row(TEN_LINES, "native Rust", Box::new(Native(Arc::clone(&facts.message), filter)), false),
        row(TEN_LINES, script, door(load(FILTER.into(), EngineKind::Script, "ten-lines.rhai")?, classify()), true),
        row(DECLINES, script, door(load(declining(declines)?, EngineKind::Script, "declines.rhai")?, classify()), true),
    ];
    for file in with {
        let component = load(std::fs::read(file).with_context(|| file.clone())?, EngineKind::Component, file)?;
        rows.push(row(REPLY, file, door(component, classify()), false));
    }
    Ok(rows)
}

/// Two callers at once, which is what two processors are for.
pub(crate) fn at_once(runtime: &Runtime, facts: &Facts) -> anyhow::Result<()> {
    const CALLS: usize = 20_000;
    let host = host()?;
    let bytes = shipped("reply-classifier.wasm")?;
    let extension = runtime.block_on(host.load(bytes, EngineKind::Component, "reply-classifier.wasm"))?;
    host.set_bindings(&[binding(extension)]);
    let began = Instant::now();
    let callers: Vec<_> = (0..2)
        .map(|_| {
            let (host, message) = (host.clone(), Arc::clone(&facts.message));
            runtime.spawn(async move {
                let mut nanos = Vec::with_capacity(CALLS);
                for _ in 0..CALLS {
                    let began = Instant::now();
                    host.classify(&CallScope::default(), Arc::clone(&message)).await;
                    nanos.push(elapsed(began));
                }
                nanos
            })
        })
        .collect();
    let mut nanos = Vec::new();
    for caller in callers {
        nanos.extend(runtime.block_on(caller)?);
    }
    let each_second = nanos.len() as f64 / began.elapsed().as_secs_f64();
    nanos.sort_unstable();
    let (median, late) = (quantile(&nanos, 0.5), quantile(&nanos, 0.99));
    println!(
        "\nTwo callers at once, {REPLY}: median {median:.2} µs, p99 {late:.2} µs, {each_second:.0} calls a second"
    );
    Ok(())
}

fn host() -> anyhow::Result<ExtensionHost> {
    Ok(ExtensionHost::start(HostOptions::new(Clock::system()))?)
}

fn binding(extension: Arc<LoadedExtension>) -> Binding {
    let hook = extension.hooks().first().copied().unwrap_or(Hook::ReplyClassifier);
    Binding { scope: Scope::System, hook, position: 0, mode: Mode::Active, owner: None, extension }
}

fn shipped(file: &str) -> anyhow::Result<Vec<u8>> {
    let found = SHIPPED.iter().find(|shipped| shipped.file == file);
    Ok(found.with_context(|| format!("{file} is not shipped"))?.bytes.to_vec())
}

/// The script with a decision where it would pass, so that every row ends with one; without its examples, which say `pass`.
fn declining(source: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    let source = String::from_utf8(source)?;
    let (manifest, code) = source.split_once("\n\n").context("the script has no code")?;
    let head: Vec<&str> = manifest.lines().take(4).collect();
    Ok(format!("{}\n\n{}", head.join("\n"), code.replace(r#"verdict: "pass""#, r#"verdict: "human-reply""#)).into())
}

fn guests_message(message: &Message) -> ampout_plugin::Message {
    let header = |one: &ampout::extensions::hooks::reply::Header| ampout_plugin::Header {
        name: one.name.clone(),
        value: one.value.clone(),
    };
    ampout_plugin::Message {
        headers: message.headers.iter().map(header).collect(),
        raw_headers: message.raw_headers.to_vec(),
        sender: message.sender.clone(),
        return_path: message.return_path.clone(),
        recipients: message.recipients.clone(),
        subject: message.subject.clone(),
        text: message.text.clone(),
        our_message_ids: message.our_message_ids.clone(),
        received_at: message.received_at.to_string(),
        ..ampout_plugin::Message::default()
    }
}

fn guests_request(request: &Request) -> ampout_plugin::Request {
    ampout_plugin::Request {
        method: request.method.clone(),
        body: request.body.to_vec(),
        received_at: request.received_at.to_string(),
        ..ampout_plugin::Request::default()
    }
}

fn read_webhook(request: ampout_plugin::Request) -> Result<ampout_plugin::Outcome, ampout_plugin::Refusal> {
    smtp2go::ingest(request, ampout_plugin::Settings(Vec::new()))
}

fn filter(message: Arc<Message>) -> &'static str {
    static DECLINED: std::sync::LazyLock<Option<Regex>> =
        std::sync::LazyLock::new(|| Regex::new(r"(?i)^\s*not interested").ok());
    let declined = DECLINED.as_ref().is_some_and(|declined| declined.is_match(&message.text));
    if message.subject.contains("no thanks") || declined { "unsubscribe-request" } else { "human-reply" }
}
