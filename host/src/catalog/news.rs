//! Telling of extensions that failed so often that they were suspended: the app of the account for whose questions they rest.
//!
//! The text of a failure goes to the operator's log and to the account whose extension it is; of the system's, whose source
//! it may quote, the account is told the kind of failure alone.

use serde_json::json;

use super::Catalog;
use crate::domain::event::EventType;
use crate::extensions::{Author, Failure, Suspension, shipped};
use crate::store::{Result, events, extensions};

impl Catalog {
    /// Writes `extension.suspended` for what was suspended since the last time; what was brought back is logged.
    pub(super) async fn tell_suspensions(&self) -> Result<()> {
        let extensions = &self.0.app.extensions;
        while let Some(news) = extensions.next_suspension() {
            let (name, version) = (news.extension.name(), news.extension.version().to_string());
            match &news.failure {
                None => tracing::info!(extension.name = name, extension.version = version, "An extension is back"),
                Some(failure) => {
                    if let Err(error) = self.tell(&news, failure).await {
                        if error.is_passing() {
                            extensions.tell_again(news);
                        }
                        return Err(error);
                    }
                    tracing::warn!(
                        extension.name = name,
                        extension.version = version,
                        error = failure.text,
                        "An extension is suspended"
                    );
                }
            }
        }
        Ok(())
    }

    async fn tell(&self, news: &Suspension, failure: &Failure) -> Result<()> {
        let app = &self.0.app;
        // A question that was nobody's is told to nobody.
        let Some(account) = news.account else { return Ok(()) };
        let mut tx = app.store.begin().await?;
        let stored = match self.row_of(&news.extension) {
            Some(id) => extensions::get(tx.conn(), id).await?,
            None => None,
        };
        if stored.is_none() && shipped::bytes_of(news.extension.sha256()).is_none() {
            // It is bound no more, and nobody is asked by it. A shipped one may have no row.
            return Ok(());
        }
        let error = match stored.as_ref().and_then(|row| row.account_id) {
            Some(_) => failure.text.clone(),
            None => told_of_the_systems(failure),
        };
        let subject = stored.map(|row| row.id.to_string()).unwrap_or_default();
        let Author { extension, version, sha256 } = Author::of(&news.extension);
        let data = json!({ "extension": extension, "version": version, "sha256": sha256, "hook": news.hook, "at": news.at, "error": error });
        events::insert(&mut tx, account, EventType::ExtensionSuspended, &subject, &data, app.clock.now()).await?;
        tx.commit().await
    }
}

/// What may be read of a failure of the system's.
pub(super) fn told_of_the_systems(failure: &Failure) -> String {
    format!("it failed five times in a row: {}", failure.kind)
}
