//! `ampout replay`: which stored messages and requests would a version decide otherwise? Nothing is changed by it.

use std::path::Path;
use std::sync::Arc;

use anyhow::bail;
use clap::Args;

use super::{extension_file, print};
use crate::app::App;
use crate::catalog::Catalog;
use crate::config::Config;
use crate::domain::ids::AccountId;
use crate::domain::status::Hook;
use crate::extensions::LoadedExtension;
use crate::replay::{self, Replay};

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// A .wasm or .rhai file, or a stored version: NAME or NAME@VERSION
    extension: String,
    /// From when on: a time, or how long ago, such as 7d, 24h or 30m
    #[arg(long, default_value = "7d")]
    since: String,
    /// Look at so many, the newest first
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// Of this account alone
    #[arg(long, value_name = "ID")]
    account: Option<AccountId>,
    /// reply-classifier or provider-adapter, where the extension serves both
    #[arg(long, value_parser = hook)]
    hook: Option<Hook>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &ReplayArgs, config: Config) -> anyhow::Result<()> {
    let (app, catalog) = extension_file::open(config).await?;
    let extension = extension_of(&app, &catalog, &args.extension).await?;
    let Some(since) = replay::since(&args.since, app.clock.now()) else {
        bail!("--since {}: write a time such as 2026-11-23T08:00:00Z, or how long ago, such as 7d", args.since);
    };
    let replayed =
        [Hook::ReplyClassifier, Hook::ProviderAdapter].into_iter().find(|hook| extension.hooks().contains(hook));
    let Some(hook) = args.hook.or(replayed).filter(|hook| extension.hooks().contains(hook)) else {
        bail!("{} is asked about nothing that is stored; messages and provider requests are", extension.name());
    };
    let asked = Replay { extension, owner: None, hook, account: args.account, since, limit: args.limit };
    let replayed = replay::run(&app, &asked).await?;
    app.store.close().await;
    if args.json {
        return print::json(&replayed);
    }
    for change in &replayed.changed {
        let before = change.before.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
        print::line(format_args!("{}: {before} -> {}", change.subject_id, change.after))?;
    }
    print::line(format_args!("{} examined, {} would change", replayed.examined, replayed.changed.len()))
}

async fn extension_of(app: &App, catalog: &Catalog, text: &str) -> anyhow::Result<Arc<LoadedExtension>> {
    let path = Path::new(text);
    if path.extension().is_some_and(|ending| ending == "wasm" || ending == "rhai") {
        return extension_file::check(&app.extensions, path).await;
    }
    let stored = extension_file::stored(catalog, text).await?;
    Ok(catalog.program(&stored).await?)
}

fn hook(text: &str) -> Result<Hook, String> {
    Hook::parse(text).ok_or_else(|| format!("{text:?} is no hook"))
}
