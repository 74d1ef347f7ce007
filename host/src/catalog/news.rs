//! Telling of extensions that failed so often that they were suspended: the owner's app, or everybody's for the system's.

use super::Catalog;
use crate::domain::event::EventType;
use crate::domain::ids::AccountId;
use crate::extensions::Suspension;
use crate::store::{Result, accounts, events, extensions};

impl Catalog {
    /// Writes `extension.suspended` for what was suspended since the last time; what was brought back is logged.
    pub(super) async fn tell_suspensions(&self) -> Result<()> {
        for news in self.0.app.extensions.drain_suspensions() {
            let (name, version) = (&news.author.extension, &news.author.version);
            match &news.error {
                None => tracing::info!(extension.name = name, extension.version = version, "An extension is back"),
                Some(error) => {
                    tracing::warn!(
                        extension.name = name,
                        extension.version = version,
                        error,
                        "An extension is suspended"
                    );
                    self.tell(&news).await?;
                }
            }
        }
        Ok(())
    }

    async fn tell(&self, news: &Suspension) -> Result<()> {
        let app = &self.0.app;
        let mut tx = app.store.begin().await?;
        let data = serde_json::to_value(news).unwrap_or_default();
        let owners = extensions::by_content(tx.conn(), &news.author.sha256).await?;
        let mut told: Vec<AccountId> = owners.iter().filter_map(|stored| stored.account_id).collect();
        // What no account owns is the system's, and everybody is asked by it.
        if told.len() < owners.len() || owners.is_empty() {
            told = accounts::list(tx.conn()).await?;
        }
        let subject = owners.first().map(|stored| stored.id.to_string()).unwrap_or_default();
        for account in told {
            events::insert(&mut tx, account, EventType::ExtensionSuspended, &subject, &data, app.clock.now()).await?;
        }
        tx.commit().await
    }
}
