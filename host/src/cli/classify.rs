//! `ampout classify`: what the classifiers say of mails in files, one line of JSON each, in the order of the files. All
//! processors work on it. Nothing is stored.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::available_parallelism;

use anyhow::{Context as _, bail};
use clap::Args;
use futures_util::{StreamExt as _, stream};
use serde::Serialize;

use super::{extension_file, print};
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::status::{BounceClass, Hook};
use crate::extensions::hooks::reply::{BouncedRecipient, Classification, Verdict};
use crate::extensions::{Author, Binding, CallScope, Decided, ExtensionHost, Mode, Scope};
use crate::inbox::parse::parse;

/// Mails that one task takes at once: handing a task over costs about as much as a mail.
const MAILS_A_TASK: usize = 16;
/// What is read of a mail; servers take no larger ones.
const MAX_MAIL_BYTES: u64 = 64 << 20;

#[derive(Debug, Args)]
pub(super) struct ClassifyArgs {
    /// Mails, or folders of them; JSON files in a folder are no mails
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Ask this plugin or script before the shipped ones; may be given several times
    #[arg(long = "with", value_name = "EXTENSION")]
    with: Vec<PathBuf>,
    /// The lines are JSON with and without it
    #[arg(long)]
    json: bool,
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
    /// What the classifiers took, fresh instances included.
    micros: u64,
}

#[derive(Debug, Serialize)]
struct Bounced<'a> {
    recipient: &'a str,
    action: String,
    status: Option<&'a str>,
    class: BounceClass,
}

pub(super) async fn run(config: &Config, args: ClassifyArgs) -> anyhow::Result<()> {
    let mut files = Vec::new();
    for path in &args.files {
        files.extend(mails(path)?);
    }
    if files.is_empty() {
        bail!("no file in {}; name mails, or folders with some", args.files[0].display());
    }
    let host = host(config, &args.with).await?;
    let tasks = files.chunks(MAILS_A_TASK).map(|files| {
        let (host, files) = (host.clone(), files.to_vec());
        tokio::spawn(async move { classify_all(&host, &files).await })
    });
    let mut done = stream::iter(tasks).buffered(2 * available_parallelism().map_or(1, usize::from));
    let mut unread = 0;
    while let Some(told) = done.next().await {
        let Told { lines, errors } = told?;
        if !lines.is_empty() {
            print::line(lines.join("\n"))?;
        }
        unread += errors.len();
        for error in errors {
            print::failed(&error);
        }
    }
    if unread > 0 {
        bail!("{unread} of {} files could not be read", files.len());
    }
    Ok(())
}

/// A host that has what classifies, and nothing else to compile.
async fn host(config: &Config, with: &[PathBuf]) -> anyhow::Result<ExtensionHost> {
    let host = extension_file::bare_host(config)?;
    host.load_shipped_for(Hook::ReplyClassifier).await?;
    let mut bindings = Vec::new();
    for (position, file) in (0..).zip(with) {
        let extension = extension_file::check_by(config, &host, file).await?;
        bindings.push(Binding {
            scope: Scope::System,
            hook: Hook::ReplyClassifier,
            position,
            mode: Mode::Active,
            owner: None,
            extension,
        });
    }
    host.set_bindings(&bindings);
    Ok(host)
}

/// What became of some files.
#[derive(Default)]
struct Told {
    lines: Vec<String>,
    errors: Vec<anyhow::Error>,
}

async fn classify_all(host: &ExtensionHost, files: &[PathBuf]) -> Told {
    let mut told = Told::default();
    for file in files {
        match classify(host, file).await {
            Ok(line) => told.lines.push(line),
            Err(error) => told.errors.push(error),
        }
    }
    told
}

async fn classify(host: &ExtensionHost, file: &Path) -> anyhow::Result<String> {
    let shown = || file.display().to_string();
    let mut raw = Vec::new();
    File::open(file).and_then(|opened| opened.take(MAX_MAIL_BYTES).read_to_end(&mut raw)).with_context(shown)?;
    let parsed = parse(&raw, Clock::system().now());
    let decided = host.classify(&CallScope::default(), Arc::new(parsed.message)).await.with_context(shown)?;
    Ok(serde_json::to_string(&line(shown(), &decided))?)
}

fn line(file: String, decided: &Decided<Classification>) -> Line<'_> {
    let classification = &decided.decision;
    Line {
        file,
        verdict: classification.verdict.word(),
        bounces: bounces(classification),
        return_date: return_date(classification),
        by: decided.by.as_ref().map(name),
        reason: classification.reason.as_deref(),
        micros: decided.records.iter().map(|record| record.micros).sum(),
    }
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

/// The file, or all files of a folder and its folders, in order of their names. Mails have any name (those of a Maildir end
/// in flags); what a folder of fixtures has beside its mails is JSON.
fn mails(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if path.is_dir() {
        gather(path, &mut found)?;
    } else {
        found.push(path.to_owned());
    }
    Ok(found)
}

fn gather(folder: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let shown = || folder.display().to_string();
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(shown)? {
        let entry = entry.with_context(shown)?;
        let kind = entry.file_type().with_context(shown)?;
        let name = entry.file_name();
        let is_json = !kind.is_dir() && Path::new(&name).extension().is_some_and(|ending| ending == "json");
        // A link to a folder could lead back here.
        if !kind.is_symlink() && !is_json {
            entries.push((name, kind.is_dir()));
        }
    }
    // Names alone: paths are compared part by part, which for thousands of mails is time.
    entries.sort_unstable();
    for (name, is_folder) in entries {
        let path = folder.join(name);
        if is_folder {
            gather(&path, found)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
}
