//! `ampout plugin bind` and `ampout plugin rollback`: which version of a name the system asks. A running server follows
//! within two seconds.

use clap::Args;
use serde_json::{Value, json};

use crate::cli::{extension_file, print};
use crate::config::Config;
use crate::extensions::Mode;
use crate::store::extensions::StoredExtension;

#[derive(Debug, Args)]
pub(in crate::cli) struct BindArgs {
    /// NAME, or NAME@VERSION; without a version the one that was stored last
    version: String,
    /// Ask it beside the active version and record what it says, without obeying it
    #[arg(long)]
    shadow: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RollbackArgs {
    /// The extension's name
    name: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn bind(config: Config, args: &BindArgs) -> anyhow::Result<()> {
    let (app, catalog) = extension_file::open(config).await?;
    let stored = extension_file::stored(&catalog, &args.version).await?;
    let mode = if args.shadow { Mode::Shadow } else { Mode::Active };
    let displaced = catalog.bind_for_system(&stored, mode).await?;
    app.store.close().await;
    if args.json {
        return print::json(&bound_as_json(&stored, mode, &displaced));
    }
    print::line(format_args!("{} is bound for the whole system", named(&stored)))?;
    tell_displaced(&displaced)
}

pub(super) async fn roll_back(config: Config, args: &RollbackArgs) -> anyhow::Result<()> {
    let (app, catalog) = extension_file::open(config).await?;
    let rolled = catalog.roll_back(&args.name).await?;
    app.store.close().await;
    if args.json {
        return print::json(&json!({ "name": args.name, "from": rolled.from.version, "to": rolled.to.version }));
    }
    print::line(format_args!("{} has the place of {} again", named(&rolled.to), named(&rolled.from)))
}

/// The JSON of a version that was bound.
pub(super) fn bound_as_json(stored: &StoredExtension, mode: Mode, displaced: &[(StoredExtension, Mode)]) -> Value {
    let displaced: Value =
        displaced.iter().map(|(version, mode)| json!({ "version": version.version, "mode": mode })).collect();
    json!({ "id": stored.id, "name": stored.name, "version": stored.version, "mode": mode, "bound_no_more": displaced })
}

/// A shadow ends unasked when the active version is bound once more: whoever watches it is told.
pub(super) fn tell_displaced(displaced: &[(StoredExtension, Mode)]) -> anyhow::Result<()> {
    let mut displaced = displaced.iter();
    displaced.try_for_each(|(version, mode)| print::line(format_args!("{} ({mode}) is bound no more", named(version))))
}

fn named(stored: &StoredExtension) -> String {
    format!("{}@{}", stored.name, stored.version)
}
