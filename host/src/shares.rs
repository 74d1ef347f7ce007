//! A share of something for each of many: whoever wants more than its own waits for itself alone, and leaves the rest to the
//! others.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Idle ones are looked for when there are so many.
const MANY: usize = 1_024;

/// The shares of all. Cheap to clone; clones share them.
#[derive(Debug)]
pub(crate) struct Shares<K> {
    each: usize,
    taken: Arc<Mutex<HashMap<K, Arc<Semaphore>>>>,
}

impl<K> Clone for Shares<K> {
    fn clone(&self) -> Self {
        Self { each: self.each, taken: Arc::clone(&self.taken) }
    }
}

impl<K: Eq + Hash> Shares<K> {
    /// Of `each` places, at least one.
    pub(crate) fn new(each: usize) -> Self {
        Self { each: each.clamp(1, Semaphore::MAX_PERMITS), taken: Arc::default() }
    }

    /// Waits for a place of this one's share, which it has until it is dropped. None is never: the shares are not closed.
    pub(crate) async fn take(&self, of: K) -> Option<OwnedSemaphorePermit> {
        let share = {
            let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
            if taken.len() >= MANY {
                taken.retain(|_, share| Arc::strong_count(share) > 1);
            }
            Arc::clone(taken.entry(of).or_insert_with(|| Arc::new(Semaphore::new(self.each))))
        };
        share.acquire_owned().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn who_has_taken_all_of_its_own_waits_and_another_does_not() {
        let shares = Shares::new(2);
        let take = |of: usize| shares.take(of).now_or_never();
        let mut taken = vec![take(0), take(0)];
        assert!(taken.iter().all(Option::is_some));
        assert!(take(0).is_none());
        // However many come and go, none is forgotten that is taken.
        for other in 1..3 * MANY {
            assert!(take(other).is_some());
        }
        assert!(take(0).is_none());
        taken.pop();
        assert!(take(0).is_some());
        assert!(shares.taken.lock().unwrap().len() <= MANY);
    }
}
