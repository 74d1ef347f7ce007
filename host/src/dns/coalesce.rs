//! One question at a time for each name: whoever asks for a name that is being looked up waits for that look-up. It
//! keeps nothing once the last waiter is gone; caching is hickory's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

/// Look-ups on their way, by name.
pub(super) struct Coalescer<Answer> {
    on_their_way: Mutex<HashMap<String, Arc<OnceCell<Answer>>>>,
}

impl<Answer> Default for Coalescer<Answer> {
    fn default() -> Self {
        Self { on_their_way: Mutex::default() }
    }
}

impl<Answer: Clone> Coalescer<Answer> {
    /// The answer of `look_up`, or of an equal one that is already on its way. When the caller that runs it is
    /// cancelled, the next waiter runs its own.
    pub(super) async fn run(&self, name: &str, look_up: impl Future<Output = Answer>) -> Answer {
        let waiter = self.join(name);
        waiter.cell.get_or_init(|| look_up).await.clone()
    }

    fn join<'a>(&'a self, name: &'a str) -> Waiter<'a, Answer> {
        let mut cells = self.on_their_way.lock().unwrap_or_else(PoisonError::into_inner);
        let cell = cells.entry(name.to_owned()).or_default().clone();
        Waiter { coalescer: self, name, cell }
    }
}

/// One caller's interest in a name; the last to leave clears the entry.
struct Waiter<'a, Answer> {
    coalescer: &'a Coalescer<Answer>,
    name: &'a str,
    cell: Arc<OnceCell<Answer>>,
}

impl<Answer> Drop for Waiter<'_, Answer> {
    fn drop(&mut self) {
        let mut cells = self.coalescer.on_their_way.lock().unwrap_or_else(PoisonError::into_inner);
        let ours = cells.get(self.name).is_some_and(|cell| Arc::ptr_eq(cell, &self.cell));
        // An answered cell is left at once, so that the next question goes to the cache with its TTL.
        // Two owners are the map and this waiter.
        if ours && (self.cell.initialized() || Arc::strong_count(&self.cell) <= 2) {
            cells.remove(self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_thousand_waiters_cost_one_look_up_and_leave_nothing() {
        let coalescer = Coalescer::default();
        let asked = AtomicUsize::new(0);
        let look_up = || async {
            asked.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            7
        };
        let waiters = (0..1000).map(|_| coalescer.run("example.org", look_up()));
        let answers = futures_util::future::join_all(waiters).await;
        assert!(answers.iter().all(|answer| *answer == 7));
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        assert!(coalescer.on_their_way.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_cancelled_look_up_is_taken_over_by_the_next_waiter() {
        let coalescer = Coalescer::default();
        let mut first = Box::pin(coalescer.run("example.org", std::future::pending()));
        assert!(futures_util::poll!(first.as_mut()).is_pending());
        drop(first);
        assert_eq!(coalescer.run("example.org", async { 9 }).await, 9);
        assert!(coalescer.on_their_way.lock().unwrap().is_empty());
    }
}
