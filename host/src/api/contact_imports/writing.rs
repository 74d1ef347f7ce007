//! An import on its way into the database: chunk by chunk, each a transaction of its own, so that nobody else is held up
//! for long and a crash leaves whole chunks. Writing one again changes nothing, so that an import may be begun anew under
//! its id.

use super::gathering::Batches;
use super::on_a_thread;
use crate::api::auth::Caller;
use crate::api::error::{ApiError, Code, Result};
use crate::domain::Timestamp;
use crate::domain::ids::ContactImportId;
use crate::store::contacts::{self, ContactImport, NewContact};
use crate::store::{Store, StoreError, Tx};

/// Contacts of one transaction.
pub(super) const CHUNK: usize = 5000;
/// Two imports of the same addresses may be in each other's way; the database then undoes one.
const MOST_TRIES: u32 = 3;

/// An import under way.
pub(super) struct Import<'c> {
    pub(super) id: ContactImportId,
    caller: &'c Caller,
    name: String,
    begun_at: Timestamp,
}

impl<'c> Import<'c> {
    /// A new one; or, where an earlier try under the same key broke off, the one that it began.
    pub(super) fn begin(caller: &'c Caller, name: String, now: Timestamp) -> Self {
        let resumed = caller.resumed().and_then(|id| id.parse().ok());
        Self { id: resumed.unwrap_or_else(|| ContactImportId::new(now)), caller, name, begun_at: now }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Writes what comes until nobody sends any more; gives how many chunks it was.
    pub(super) async fn write(&self, store: &Store, mut batches: Batches) -> Result<u64> {
        let mut written = 0;
        while let Some(batch) = batches.next().await {
            let batch = on_a_thread(move || batch.sorted()).await?;
            for (contacts, records) in batch.into_chunks() {
                self.write_chunk(store, &contacts, records).await?;
                written += 1;
            }
        }
        Ok(written)
    }

    /// Its last write: what the whole list held. Gives how many contacts came of it, in all tries together.
    pub(super) async fn finish(&self, tx: &mut Tx, records: u64) -> Result<u64> {
        contacts::finish_import(tx.conn(), self.id, records).await?.ok_or_else(deleted)
    }

    async fn write_chunk(&self, store: &Store, contacts: &[NewContact], records: u64) -> Result<()> {
        for tried in 1.. {
            match self.try_chunk(store, contacts, records).await {
                Ok(Some(mut tx)) => {
                    self.caller.begun(&mut tx, &self.id.to_string()).await?;
                    return Ok(tx.commit().await?);
                }
                Ok(None) => return Err(deleted()),
                Err(error) if error.is_conflict() && tried < MOST_TRIES => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// A chunk that is written and not yet committed; none when somebody has deleted the import.
    async fn try_chunk(
        &self,
        store: &Store,
        contacts: &[NewContact],
        records: u64,
    ) -> std::result::Result<Option<Tx>, StoreError> {
        let mut tx = store.begin().await?;
        let (id, name, created_at) = (self.id, self.name.clone(), self.begun_at);
        let row = ContactImport { id, name, record_count: 0, contact_count: 0, created_at };
        contacts::insert_import(tx.conn(), self.caller.account, &row).await?;
        let is_there = contacts::grow_import(&mut tx, self.caller.account, id, records, contacts, created_at).await?;
        Ok(is_there.then_some(tx))
    }
}

fn deleted() -> ApiError {
    ApiError::new(Code::Unprocessable, "The import was deleted before it had ended.")
}
