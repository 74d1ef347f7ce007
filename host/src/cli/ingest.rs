//! `ampout ingest`: what an adapter reads out of a request that was captured, one line of JSON an event. Nothing is stored,
//! and nothing is fetched.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::{extension_file, print};
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::Timestamp;
use crate::domain::status::Hook;
use crate::extensions::hooks::ingest::{Event, Outcome, Request, Settings};
use crate::extensions::shipped::{SHIPPED, Shipped};
use crate::extensions::{ExtensionHost, HookDecision, HookInput, LoadedExtension};

/// What the API takes.
const LARGEST_BODY: usize = 1 << 20;

#[derive(Debug, Args)]
pub(super) struct IngestArgs {
    /// The adapter, such as postmark
    provider: String,
    /// The body as it was captured; - is the standard input, and nothing is an empty body
    body: Option<PathBuf>,
    /// A setting of the endpoint, such as signing_secret=…; may be given several times
    #[arg(long = "setting", value_name = "KEY=VALUE", value_parser = pair_at('='))]
    settings: Vec<(String, String)>,
    /// A header of the request, such as 'Content-Type: application/json'; may be given several times
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = pair_at(':'))]
    headers: Vec<(String, String)>,
    /// The address that was called, with its query
    #[arg(long)]
    url: Option<String>,
    /// The method of the request
    #[arg(long, default_value = "POST")]
    method: String,
    /// When the request came, such as 2026-11-23T08:00:00Z: signatures grow old. Now, when left out
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// Ask this plugin or script instead of the shipped adapter
    #[arg(long = "with", value_name = "EXTENSION")]
    with: Option<PathBuf>,
    /// The lines are JSON with and without it
    #[arg(long)]
    json: bool,
}

/// One line of the output.
#[derive(Debug, Serialize)]
struct Line<'a> {
    kind: &'static str,
    recipient: Option<&'a str>,
    smtp_code: Option<u16>,
    status: Option<&'a str>,
    send_id: Option<&'a str>,
    message_id: Option<&'a str>,
    provider_message_id: Option<&'a str>,
    at: Option<Timestamp>,
    reason: Option<&'a str>,
    dedupe_key: Option<&'a str>,
}

/// An adapter of the operator's has the limits of its name, and must be signed where the settings say so.
pub(super) async fn run(config: &Config, args: IngestArgs) -> anyhow::Result<()> {
    let body = body(args.body.as_deref())?;
    if body.len() > LARGEST_BODY {
        // The engine answers 413 before any adapter sees it.
        return print::json(&json!({ "error": "malformed", "reason": "the body has more than 1 MiB" }));
    }
    let host = extension_file::bare_host(config)?;
    let adapter = match &args.with {
        Some(file) => extension_file::check_by(config, &host, file).await?,
        None => shipped(&host, &args.provider).await?,
    };
    if !adapter.hooks().contains(&Hook::ProviderAdapter) {
        bail!("{} is no provider adapter", adapter.name());
    }
    let settings = args.settings.iter().map(|(key, value)| (key.clone(), value.as_str().into()));
    let settings = Settings::new(settings);
    let request = request(&args, adapter.name(), body);
    let input = HookInput::ProviderAdapter(Arc::new(request), Arc::new(settings));
    match host.call(&adapter, &input).await.answer? {
        HookDecision::ProviderAdapter(Ok(Outcome::Events(events))) => {
            events.iter().try_for_each(|event| print::json(&line(event)))
        }
        answer => print::json(&answer.to_json()),
    }
}

fn request(args: &IngestArgs, provider: &str, body: Bytes) -> Request {
    let url = args.url.clone().unwrap_or_else(|| format!("https://ampout.example/inbound/{provider}/token"));
    let (before, query) = url.split_once('?').unwrap_or((&url, ""));
    let after_scheme = before.split_once("://").map_or(before, |(_, rest)| rest);
    let path = after_scheme.find('/').map_or("/", |at| &after_scheme[at..]);
    Request {
        method: args.method.to_uppercase(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: args.headers.iter().map(|(name, value)| (name.to_lowercase(), value.clone())).collect(),
        body,
        received_at: args.at.unwrap_or_else(|| Clock::system().now()),
        url,
        ..Request::default()
    }
}

fn body(file: Option<&Path>) -> anyhow::Result<Bytes> {
    // One byte more than is taken shows that there is more.
    let most = LARGEST_BODY as u64 + 1;
    let mut bytes = Vec::new();
    match file {
        None => {}
        Some(file) if file == Path::new("-") => drop(std::io::stdin().lock().take(most).read_to_end(&mut bytes)?),
        Some(file) => {
            let shown = || file.display().to_string();
            let opened = std::fs::File::open(file).with_context(shown)?;
            opened.take(most).read_to_end(&mut bytes).with_context(shown)?;
        }
    }
    Ok(bytes.into())
}

/// The shipped adapter of a name. People write `elasticemail` and `Elastic_Email` for `elastic-email`.
async fn shipped(host: &ExtensionHost, provider: &str) -> anyhow::Result<Arc<LoadedExtension>> {
    let wanted = match plain(provider).as_str() {
        "amazonses" | "awsses" | "sns" | "amazon" => "ses".to_owned(),
        "acs" | "azurecommunicationservices" | "azureemail" => "azure".to_owned(),
        "sendinblue" => "brevo".to_owned(),
        "bird" => "sparkpost".to_owned(),
        "mailchimptransactional" => "mandrill".to_owned(),
        "zoho" | "zohozeptomail" => "zeptomail".to_owned(),
        other => other.to_owned(),
    };
    let is_adapter =
        |shipped: &&Shipped| shipped.manifest().is_ok_and(|manifest| manifest.hooks.contains(&Hook::ProviderAdapter));
    let adapters = || SHIPPED.iter().filter(is_adapter);
    match adapters().find(|shipped| plain(shipped.name()) == wanted) {
        Some(shipped) => Ok(host.load(shipped.bytes, shipped.engine, shipped.file).await?),
        None => {
            let names: Vec<&str> = adapters().map(|shipped| shipped.name()).collect();
            bail!("there is no adapter {provider:?}; the adapters are {}", names.join(", "))
        }
    }
}

fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

fn line(event: &Event) -> Line<'_> {
    Line {
        kind: event.kind.as_str(),
        recipient: event.recipient.as_deref(),
        smtp_code: event.smtp_code,
        status: event.status.as_ref().map(|status| status.as_str()),
        send_id: event.send_id.as_deref(),
        message_id: event.message_id.as_deref(),
        provider_message_id: event.provider_message_id.as_deref(),
        at: event.at,
        reason: event.reason.as_deref(),
        dedupe_key: event.dedupe_key.as_deref(),
    }
}

fn pair_at(separator: char) -> impl Fn(&str) -> Result<(String, String), String> + Clone {
    move |text| {
        let (name, value) = text.split_once(separator).ok_or_else(|| format!("{text:?} has no {separator}"))?;
        Ok((name.trim().to_owned(), value.trim().to_owned()))
    }
}
