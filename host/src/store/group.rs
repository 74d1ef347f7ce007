//! Small writes of many callers in one transaction. A commit waits for the disk, whatever it holds: what comes while one
//! is under way waits for it together and shares the next. Who comes alone is written at once.

use std::any::{Any, TypeId};
use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use super::{Result, Store, StoreError, Tx};

/// Writes of one transaction.
const MOST_TOGETHER: usize = 128;
/// Who follows a group waits a moment for more, until there are so many: a transaction costs about the same for three writes
/// as for thirty. With one event a request that is a tenth more events a second (`tests/bench/ingest.py`).
const ENOUGH: usize = 48;
const MOMENT: Duration = Duration::from_millis(1);
/// Writes that wait. Who comes then is told that the database is too busy.
const MOST_WAITING: usize = 4_096;

/// A write under way.
pub type Writing<'a, T> = BoxFuture<'a, Result<T>>;

type Job = Box<dyn for<'a> Fn(&'a mut Tx) -> Writing<'a, ()> + Send + Sync>;
type Item = dyn Any + Send + Sync;
type WriteAlike = Box<dyn for<'a> Fn(&'a mut Tx, Vec<&'a Item>) -> Writing<'a, ()> + Send + Sync>;

/// The writes that wait.
#[derive(Default)]
pub(super) struct Group(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    entries: VecDeque<Entry>,
    /// Whether somebody is writing, who will take the next ones, too.
    has_writer: bool,
}

struct Entry {
    work: Work,
    done: oneshot::Sender<Result<()>>,
}

enum Work {
    Job(Job),
    /// Written together with all that are alike.
    Item(Box<Item>, WriteAlike),
}

impl Store {
    /// Runs `job` in a transaction that others may share, and returns when that is committed. Where the transaction
    /// fails, each of its jobs is run again in one of its own, so that nobody fails for another's sake: a job must be
    /// able to run twice. It is finished even if the caller no longer waits.
    pub async fn write_together<T, F>(&self, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'a> Fn(&'a mut Tx) -> Writing<'a, T> + Send + Sync + 'static,
    {
        let result = Arc::new(Mutex::new(None));
        let (slot, job) = (Arc::clone(&result), Arc::new(job));
        let job: Job = Box::new(move |tx| {
            let (slot, job) = (Arc::clone(&slot), Arc::clone(&job));
            Box::pin(async move {
                let value = job(tx).await?;
                *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
                Ok(())
            })
        });
        let (done, ended) = oneshot::channel();
        self.join_group(Entry { work: Work::Job(job), done })?;
        ended.await.unwrap_or_else(|_| Err(crashed()))?;
        let value = result.lock().unwrap_or_else(PoisonError::into_inner).take();
        value.ok_or_else(crashed)
    }

    /// The same for one of many items that are written by few statements: those of one type that wait together are given
    /// to `write` at once, in their order. There is one `write` for each type.
    pub async fn write_alike<T: Send + Sync + 'static>(
        &self,
        item: T,
        write: for<'a> fn(&'a mut Tx, Vec<&'a T>) -> Writing<'a, ()>,
    ) -> Result<()> {
        let write: WriteAlike =
            Box::new(move |tx, items| write(tx, items.into_iter().filter_map(|item| item.downcast_ref()).collect()));
        let (done, ended) = oneshot::channel();
        self.join_group(Entry { work: Work::Item(Box::new(item), write), done })?;
        ended.await.unwrap_or_else(|_| Err(crashed()))
    }

    fn join_group(&self, entry: Entry) -> Result<()> {
        let mut waiting = self.group.lock();
        if waiting.entries.len() >= MOST_WAITING {
            return Err(StoreError::Unavailable(sqlx::Error::PoolTimedOut));
        }
        waiting.entries.push_back(entry);
        if !std::mem::replace(&mut waiting.has_writer, true) {
            tokio::spawn(write_all(self.clone()));
        }
        Ok(())
    }
}

impl Group {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next ones to write; none, and the writer is relieved.
    fn next(&self) -> Vec<Entry> {
        let mut waiting = self.lock();
        let count = waiting.entries.len().min(MOST_TOGETHER);
        waiting.has_writer = count > 0;
        waiting.entries.drain(..count).collect()
    }
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group").field("waiting", &self.lock().entries.len()).finish()
    }
}

/// Relieves the writer on every way out, a panic among them: the next who comes begins a new one.
struct Relief(Arc<Group>);

impl Drop for Relief {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().has_writer = false;
        }
    }
}

async fn write_all(store: Store) {
    let _relief = Relief(Arc::clone(&store.group));
    let mut company = 0;
    loop {
        if company > 1 && store.group.lock().entries.len() < ENOUGH {
            tokio::time::sleep(MOMENT).await;
        }
        let entries = store.group.next();
        company = entries.len();
        if entries.is_empty() {
            return;
        }
        match write(&store, &entries).await {
            Ok(()) => entries.into_iter().for_each(|entry| entry.tell(Ok(()))),
            Err(error) if entries.len() == 1 || error.is_passing() => refuse(entries, error),
            Err(_) => {
                for entry in entries {
                    let written = write(&store, std::slice::from_ref(&entry)).await;
                    entry.tell(written);
                }
            }
        }
    }
}

async fn write(store: &Store, entries: &[Entry]) -> Result<()> {
    let mut tx = store.begin().await?;
    let mut written = HashSet::new();
    for entry in entries {
        match &entry.work {
            Work::Job(job) => job(&mut tx).await?,
            Work::Item(item, write) => {
                let kind = (**item).type_id();
                if written.insert(kind) {
                    write(&mut tx, entries.iter().filter_map(|entry| entry.item_of(kind)).collect()).await?;
                }
            }
        }
    }
    tx.commit().await
}

/// Only a panic of a job drops the sender.
fn crashed() -> StoreError {
    StoreError::Unavailable(sqlx::Error::WorkerCrashed)
}

/// The first is told the error itself, which can't be copied; the others that the database was not to be had.
fn refuse(entries: Vec<Entry>, error: StoreError) {
    let mut error = Some(error);
    for entry in entries {
        entry.tell(Err(error.take().unwrap_or(StoreError::Unavailable(sqlx::Error::PoolTimedOut))));
    }
}

impl Entry {
    fn item_of(&self, kind: TypeId) -> Option<&Item> {
        match &self.work {
            Work::Item(item, _) if (**item).type_id() == kind => Some(&**item),
            _ => None,
        }
    }

    /// Who no longer waits need not be told.
    fn tell(self, result: Result<()>) {
        let _ = self.done.send(result);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;

    use crate::store::meta;
    use crate::test_support::TestApp;

    #[tokio::test]
    async fn writes_share_a_transaction_and_none_fails_for_anothers_sake() {
        let app = TestApp::start().await;
        let write = |n: usize| {
            app.store.write_together(move |tx| {
                Box::pin(async move {
                    meta::set(tx.conn(), &n.to_string(), "x").await?;
                    if n == 7 {
                        sqlx::query("no SQL").execute(tx.conn()).await?;
                    }
                    Ok(n)
                })
            })
        };
        let written = join_all((0..300).map(write)).await;
        for (n, result) in written.into_iter().enumerate() {
            let stands = meta::get(&mut app.store.read().await.unwrap(), &n.to_string()).await.unwrap().is_some();
            assert_eq!((result.ok(), stands), ((n != 7).then_some(n), n != 7));
        }
    }

    #[tokio::test]
    async fn alike_items_are_written_at_once_and_none_fails_for_anothers_sake() {
        struct Numbered(usize);
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        let app = TestApp::start().await;
        let write = |n: usize| {
            app.store.write_alike(Numbered(n), |tx, items| {
                Box::pin(async move {
                    CALLS.fetch_add(1, Ordering::SeqCst);
                    for Numbered(n) in items {
                        meta::set(tx.conn(), &n.to_string(), "x").await?;
                        if *n == 7 {
                            sqlx::query("no SQL").execute(tx.conn()).await?;
                        }
                    }
                    Ok(())
                })
            })
        };
        let written = join_all((0..1000).map(write)).await;
        for (n, result) in written.into_iter().enumerate() {
            let stands = meta::get(&mut app.store.read().await.unwrap(), &n.to_string()).await.unwrap().is_some();
            assert_eq!((result.is_ok(), stands), (n != 7, n != 7));
        }
        // Of the group that one of them spoils each is written by itself.
        assert!(CALLS.load(Ordering::SeqCst) < 300, "{CALLS:?} calls for a thousand items");
    }
}
