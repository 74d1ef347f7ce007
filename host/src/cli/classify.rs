//! `ampout classify`: what the classifiers say of mails in files, one line of JSON each. Nothing is stored.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use std::time::Instant;

use super::{extension_file, print};
use crate::clock::Clock;
use crate::domain::status::{BounceClass, Hook};
use crate::extensions::hooks::reply::{BouncedRecipient, Classification, Verdict};
use crate::extensions::{Author, Binding, CallScope, ExtensionHost, Mode, Scope};
use crate::inbox::parse::parse;

#[derive(Debug, Args)]
pub(super) struct ClassifyArgs {
    /// Mails, or folders of them
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Ask this plugin or script before the shipped ones; may be given several times
    #[arg(long = "with", value_name = "EXTENSION")]
    with: Vec<PathBuf>,
}

/// One line of the output.
#[derive(Debug, Serialize)]
struct Line<'a> {
    file: String,
    verdict: &'static str,
    bounces: Vec<Bounced<'a>>,
    return_date: Option<String>,
    by: Option<String>,
    reason: Option<&'a str>,
    micros: u64,
}

#[derive(Debug, Serialize)]
struct Bounced<'a> {
    recipient: &'a str,
    action: String,
    status: Option<&'a str>,
    class: BounceClass,
}

pub(super) async fn run(args: ClassifyArgs) -> anyhow::Result<()> {
    let host = extension_file::host().await?;
    let mut bindings = Vec::new();
    for (position, file) in (0..).zip(&args.with) {
        let extension = extension_file::check(&host, file).await?;
        bindings.push(Binding {
            scope: Scope::System,
            hook: Hook::ReplyClassifier,
            position,
            mode: Mode::Active,
            extension,
        });
    }
    host.set_bindings(&bindings);
    for path in &args.files {
        for file in mails(path)? {
            classify(&host, &file).await?;
        }
    }
    Ok(())
}

async fn classify(host: &ExtensionHost, file: &Path) -> anyhow::Result<()> {
    let raw = std::fs::read(file).with_context(|| file.display().to_string())?;
    let began = Instant::now();
    let parsed = parse(&raw, Clock::system().now());
    let decided = host.classify(&CallScope::default(), Arc::new(parsed.message)).await;
    let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    let classification = &decided.decision;
    print::json(&Line {
        file: file.display().to_string(),
        verdict: classification.verdict.word(),
        bounces: bounces(classification),
        return_date: return_date(classification),
        by: decided.by.as_ref().map(name),
        reason: classification.reason.as_deref(),
        micros,
    })
}

fn bounces<'a>(classification: &'a Classification) -> Vec<Bounced<'a>> {
    let Verdict::Bounce(told) = &classification.verdict else { return Vec::new() };
    let bounced = |one: &'a BouncedRecipient| Bounced {
        recipient: &one.recipient,
        action: one.action.to_string(),
        status: one.status.as_ref().map(|status| status.as_str()),
        class: one.class,
    };
    told.iter().map(bounced).collect()
}

fn return_date(classification: &Classification) -> Option<String> {
    match &classification.verdict {
        Verdict::AutoReply { return_date, .. } => return_date.map(|date| date.to_string()),
        _ => None,
    }
}

fn name(author: &Author) -> String {
    format!("{}@{}", author.extension, author.version)
}

/// The file, or all files of a folder and its folders, in order of their names.
fn mails(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let shown = || path.display().to_string();
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).with_context(shown)? {
        let entry = entry.with_context(shown)?;
        // A link to a folder could lead back here.
        if entry.file_type().with_context(shown)?.is_symlink() {
            continue;
        }
        found.extend(mails(&entry.path())?);
    }
    found.sort();
    Ok(found)
}
