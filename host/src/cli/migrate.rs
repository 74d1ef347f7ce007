//! `ampout migrate`: for those who bring the database up to date by hand.

use super::print;
use crate::config::Config;
use crate::store::{Store, StoreOptions};
use crate::wake::Wakeups;

pub(super) async fn run(config: &Config) -> anyhow::Result<()> {
    crate::data_folder::make(&config.data_dir)?;
    let store = Store::open(&config.database_url, &StoreOptions::default(), Wakeups::default()).await?;
    let applied = store.migrate().await?;
    store.close().await;
    match applied.as_slice() {
        [] => print::line(format_args!("{} is up to date", config.database_url.redacted())),
        some => print::line(format_args!("{}: applied {some:?}", config.database_url.redacted())),
    }
}
