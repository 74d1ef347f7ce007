//! A guest's own time: that of the threads that it ran on, looked at with each tick. Ticks are the wall's, and a machine that
//! is busy with something else is not the guest's fault.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use cpu_time::ThreadTime;

/// How often the epoch moves: the guest's own time is looked at then, and other work has its turn.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// What one call has left. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct OwnTime(Arc<Mutex<Left>>);

#[derive(Debug)]
struct Left {
    left: Duration,
    since: Option<Reading>,
}

/// What a thread had spent at some moment.
#[derive(Debug)]
struct Reading {
    thread: ThreadId,
    spent: Duration,
}

impl OwnTime {
    /// A call gets one tick more than its time has: the one that runs may be almost over. What comes before the first is not
    /// measured: most calls end before it, and need not ask the system for the time.
    pub(super) fn new(limit: Duration) -> Self {
        Self(Arc::new(Mutex::new(Left { left: limit + TICK, since: None })))
    }

    /// At a tick: whether it has spent all of it.
    pub(super) fn is_over(&self) -> bool {
        self.stands_still();
        self.lock().left.is_zero()
    }

    /// The guest waits.
    pub(super) fn stands_still(&self) {
        let mut own = self.lock();
        let spent = Reading::spent_since(own.since.take());
        own.left = own.left.saturating_sub(spent);
    }

    /// The guest goes on here.
    pub(super) fn goes_on(&self) {
        self.lock().since = Reading::now();
    }

    fn lock(&self) -> MutexGuard<'_, Left> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reading {
    fn now() -> Option<Self> {
        let spent = ThreadTime::try_now().ok()?.as_duration();
        Some(Self { thread: thread::current().id(), spent })
    }

    /// A tick at most, which is what is looked at: a guest may be on another thread by now, of which nothing is known.
    fn spent_since(before: Option<Self>) -> Duration {
        match (before, Self::now()) {
            (Some(before), Some(now)) if before.thread == now.thread => {
                now.spent.saturating_sub(before.spent).min(TICK)
            }
            _ => TICK,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the thread is to spend no time")]
    fn a_thread_that_gets_no_processor_spends_nothing_of_a_guests_time_and_one_that_works_does() {
        let own_time = OwnTime::new(2 * TICK);
        assert!(!own_time.is_over(), "the first tick is not measured");
        for _ in 0..4 {
            own_time.goes_on();
            thread::sleep(TICK);
            assert!(!own_time.is_over());
        }
        let (began, mut ticks) = (ThreadTime::now(), 0);
        while !own_time.is_over() {
            own_time.goes_on();
            let tick = ThreadTime::now();
            while tick.elapsed() < TICK {}
            ticks += 1;
        }
        assert!(ticks <= 3 && began.elapsed() >= TICK, "{ticks}");
    }

    #[test]
    fn where_nothing_is_known_a_tick_counts_whole() {
        let own_time = OwnTime::new(2 * TICK);
        own_time.goes_on();
        let (here, there) = (own_time.clone(), own_time);
        assert!(!thread::spawn(move || there.is_over()).join().unwrap());
        assert!(!here.is_over());
        assert!(here.is_over());
    }
}
