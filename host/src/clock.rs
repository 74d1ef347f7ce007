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
    /// Stands until it is moved.
    Manual(Arc<Hand>),
    /// Runs with the system's clock, as far ahead of it as it was moved.
    Movable(Arc<Hand>),
}

/// What moves a clock: the time itself, or how far it is ahead.
#[derive(Debug)]
struct Hand {
    millis: AtomicI64,
    moved: watch::Sender<()>,
}

impl Hand {
    fn new(millis: i64) -> Arc<Self> {
        Arc::new(Self { millis: AtomicI64::new(millis), moved: watch::Sender::new(()) })
    }
}

/// The longest wait without another look at the system's clock, which may be set meanwhile.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands at `start` until it is moved by [`Clock::advance`].
    pub fn manual(start: Timestamp) -> Self {
        Self(Source::Manual(Hand::new(start.as_millis())))
    }

    /// A clock that runs with the system's and can be moved ahead of it by [`Clock::advance`].
    pub fn movable() -> Self {
        Self(Source::Movable(Hand::new(0)))
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => system_now(),
            Source::Manual(hand) => Timestamp::from_millis(hand.millis.load(Ordering::SeqCst)),
            Source::Movable(hand) => {
                Timestamp::from_millis(system_now().as_millis().saturating_add(hand.millis.load(Ordering::SeqCst)))
            }
        }
    }

    /// Moves the clock forward and wakes all who wait for a time that has come. The system's own clock stays.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(hand) | Source::Movable(hand) = &self.0 {
            let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
            hand.millis.fetch_add(millis, Ordering::SeqCst);
            hand.moved.send_replace(());
        }
    }

    /// Sets the clock back, as a correction of the machine's own would. The system's own clock stays.
    pub fn set_back(&self, by: Duration) {
        if let Source::Manual(hand) | Source::Movable(hand) = &self.0 {
            let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
            hand.millis.fetch_sub(millis, Ordering::SeqCst);
            hand.moved.send_replace(());
        }
    }

    /// Waits until this clock shows `until`, and no longer than that was away when the wait began: a clock that is set back
    /// by an hour must not let a loop that looks again in five seconds stand still for an hour. Whoever waits looks at the
    /// time again anyway.
    pub async fn sleep_until(&self, until: Timestamp) {
        match &self.0 {
            Source::Manual(_) => self.shows(until).await,
            Source::System | Source::Movable(_) => {
                // Which of the two ends came first makes no difference.
                let _ = tokio::time::timeout(self.now().until(until), self.shows(until)).await;
            }
        }
    }

    async fn shows(&self, until: Timestamp) {
        match &self.0 {
            Source::System => {
                while self.now() < until {
                    tokio::time::sleep(self.now().until(until).min(LOOK_AGAIN)).await;
                }
            }
            Source::Manual(hand) => {
                let mut moved = hand.moved.subscribe();
                while self.now() < until {
                    if moved.changed().await.is_err() {
                        return;
                    }
                }
            }
            Source::Movable(hand) => {
                let mut moved = hand.moved.subscribe();
                while self.now() < until {
                    tokio::select! {
                        _ = moved.changed() => {}
                        () = tokio::time::sleep(self.now().until(until).min(LOOK_AGAIN)) => {}
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

#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
fn system_now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
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

    #[tokio::test]
    async fn a_movable_clock_runs_and_can_be_moved() {
        let clock = Clock::movable();
        let day = Duration::from_secs(86_400);
        let began = clock.now();
        tokio::join!(clock.sleep(day), async { clock.advance(day) });
        assert_eq!(clock.now().utc_day(), began.utc_day() + 1);
        clock.sleep(Duration::from_millis(1)).await;
        assert!(clock.now() > began.plus(day));
    }

    #[tokio::test]
    async fn a_clock_that_is_set_back_makes_no_wait_longer() {
        let clock = Clock::movable();
        let began = std::time::Instant::now();
        let wait = Duration::from_millis(50);
        tokio::join!(clock.sleep(wait), async { clock.set_back(Duration::from_secs(3600)) });
        assert!((wait..Duration::from_secs(60)).contains(&began.elapsed()));
    }
}
