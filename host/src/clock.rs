//! The only place that reads the wall clock. A test holds the same clock and moves it: everything that waits for a time
//! waits here, so a day passes in a millisecond.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use crate::domain::Timestamp;

/// What time it is, and how to wait for another. Cheap to clone; clones tell the same time.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    System,
    Manual(Arc<Manual>),
}

#[derive(Debug)]
struct Manual {
    millis: AtomicI64,
    moved: watch::Sender<()>,
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands at `start` until it is moved by [`Clock::advance`].
    pub fn manual(start: Timestamp) -> Self {
        let (moved, _) = watch::channel(());
        Self(Source::Manual(Arc::new(Manual { millis: AtomicI64::new(start.as_millis()), moved })))
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => {
                #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
            }
            Source::Manual(manual) => Timestamp::from_millis(manual.millis.load(Ordering::SeqCst)),
        }
    }

    /// Moves a manual clock forward and wakes all who wait for a time that has come. The system's clock stays.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(manual) = &self.0 {
            let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
            manual.millis.fetch_add(millis, Ordering::SeqCst);
            manual.moved.send_replace(());
        }
    }

    /// Waits until this clock shows `until`.
    pub async fn sleep_until(&self, until: Timestamp) {
        match &self.0 {
            Source::System => {
                // Asked again after at most an hour: the wall clock may be set while we wait.
                loop {
                    let left = self.now().until(until);
                    if left.is_zero() {
                        return;
                    }
                    tokio::time::sleep(left.min(Duration::from_secs(3600))).await;
                }
            }
            Source::Manual(manual) => {
                let mut moved = manual.moved.subscribe();
                while self.now() < until {
                    if moved.changed().await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Waits until `by` has passed on this clock.
    pub async fn sleep(&self, by: Duration) {
        self.sleep_until(self.now().plus(by)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_day_passes_when_the_clock_is_moved() {
        let clock = Clock::manual(Timestamp::from_millis(0));
        let day = Duration::from_secs(86_400);
        // join! polls in order: the sleeper has its deadline before the clock moves.
        tokio::join!(clock.sleep(day), async { clock.advance(day) });
        assert_eq!(clock.now().utc_day(), 1);
    }
}
