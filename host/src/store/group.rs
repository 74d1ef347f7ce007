//! Small writes of many callers in one transaction. A commit waits for the disk, whatever it holds: what comes while one
//! is under way waits for it together and shares the next. Who comes alone is written at once.

use std::any::Any;
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
    item: Box<Item>,
    /// Writes it together with all that are alike.
    write: WriteAlike,
    done: oneshot::Sender<Result<()>>,
}

impl Store {
    /// Writes `item` in a transaction that others may share, and returns when that is committed: those of one type that wait
    /// together are given to `write` at once, in their order. There is one `write` for each type. Where the transaction
    /// fails, each item is written again in one of its own, so that nobody fails for another's sake. It is finished even if
    /// the caller no longer waits.
    pub async fn write_alike<T: Send + Sync + 'static>(
        &self,
        item: T,
        write: for<'a> fn(&'a mut Tx, Vec<&'a T>) -> Writing<'a, ()>,
    ) -> Result<()> {
        let write: WriteAlike =
            Box::new(move |tx, items| write(tx, items.into_iter().filter_map(|item| item.downcast_ref()).collect()));
        let (done, ended) = oneshot::channel();
        self.join_group(Entry { item: Box::new(item), write, done })?;
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
        match write_again(&store, &entries).await {
            Ok(()) => entries.into_iter().for_each(|entry| entry.tell(Ok(()))),
            Err(error) if entries.len() == 1 || (error.is_passing() && !error.is_conflict()) => refuse(entries, error),
            Err(_) => {
                for entry in entries {
                    let written = write_again(&store, std::slice::from_ref(&entry)).await;
                    entry.tell(written);
                }
            }
        }
    }
}

/// Another node's transaction may be in the way: that is no fault of any entry, and they are written once more.
async fn write_again(store: &Store, entries: &[Entry]) -> Result<()> {
    match write(store, entries).await {
        Err(error) if error.is_conflict() => write(store, entries).await,
        written => written,
    }
}

async fn write(store: &Store, entries: &[Entry]) -> Result<()> {
    let mut tx = store.begin().await?;
    match write_in(&mut tx, entries).await {
        Ok(()) => tx.commit().await,
        Err(error) => {
            // Its locks are given back before anybody tries again. What failed is told, whatever comes of that.
            let _ = tx.rollback().await;
            Err(error)
        }
    }
}

async fn write_in(tx: &mut Tx, entries: &[Entry]) -> Result<()> {
    let mut written = HashSet::new();
    for entry in entries {
        let kind = (*entry.item).type_id();
        if written.insert(kind) {
            let alike = entries.iter().map(|entry| &*entry.item).filter(|item| (**item).type_id() == kind);
            (entry.write)(tx, alike.collect()).await?;
        }
    }
    Ok(())
}

/// Only a panic of a write drops the sender.
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
