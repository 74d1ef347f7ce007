//! `ampout migrate`: for those who bring the database up to date by hand.

use clap::Args;
use serde_json::json;

use super::print;
use crate::config::Config;
use crate::store::{Store, StoreOptions};
use crate::wake::Wakeups;

#[derive(Debug, Args)]
pub(super) struct MigrateArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &MigrateArgs, config: &Config) -> anyhow::Result<()> {
    crate::data_folder::make(&config.data_dir)?;
    let store = Store::open(&config.database_url, &StoreOptions::default(), Wakeups::default()).await?;
    let applied = store.migrate().await?;
    store.close().await;
    let database = config.database_url.redacted();
    if args.json {
        return print::json(&json!({ "database": database, "applied": applied }));
    }
    match applied.as_slice() {
        [] => print::line(format_args!("{database} is up to date")),
        some => print::line(format_args!("{database}: applied {some:?}")),
    }
}
