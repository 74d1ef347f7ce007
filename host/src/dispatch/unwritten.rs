//! What became of sends and can't be written for now: it waits until the database takes it, each time longer, as each try is
//! one more write to a disk that is full, and all of it is told of as one failure. As soon as one of them is written, the others
//! are tried at once.

use std::error::Error;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::lasting::Lasting;
use crate::rounds;

/// After the first failure, and while the node stops: its patience ends soon.
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);
/// With a fifth for chance it comes to half a minute.
const LONGEST_PAUSE: Duration = Duration::from_secs(25);

/// All that a node has to write.
#[derive(Debug, Default)]
pub(super) struct Unwritten {
    state: Mutex<State>,
    one_was_written: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: usize,
    outcomes: Lasting,
    intents: Lasting,
}

/// One outcome that waits, until it is dropped.
#[derive(Debug)]
pub(super) struct Waiting<'a> {
    all: &'a Unwritten,
    is_written: bool,
}

impl Unwritten {
    /// An outcome could not be written.
    pub(super) fn one_more(&self) -> Waiting<'_> {
        self.lock().waiting += 1;
        Waiting { all: self, is_written: false }
    }

    /// An intent could not be written. Its send is given back, which waits here in its turn if it has to.
    pub(super) fn intent_failed(&self, error: &(dyn Error + 'static)) {
        let is_told = self.lock().intents.fails(Instant::now());
        if is_told {
            tracing::warn!(error, "Intents could not be written; what they were for was not sent");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting<'_> {
    /// It has failed once more.
    pub(super) fn failed(&self, error: &(dyn Error + 'static)) {
        let told = {
            let mut state = self.all.lock();
            state.outcomes.fails(Instant::now()).then_some(state.waiting)
        };
        if let Some(waiting) = told {
            tracing::warn!(
                sends = waiting,
                error,
                "How sends came out could not be written; it is kept and tried again until it can be"
            );
        }
    }

    /// Returns when it is to be tried again that has failed so often.
    pub(super) async fn again(&self, failures: u32, shutdown: &CancellationToken) {
        let stops = shutdown.is_cancelled();
        let pause = match stops {
            true => SHORTEST_PAUSE,
            false => rounds::jittered(rounds::pause(failures, SHORTEST_PAUSE, LONGEST_PAUSE), rand::random()),
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.all.one_was_written.notified() => {}
            () = shutdown.cancelled(), if !stops => {}
        }
    }

    /// It is written.
    pub(super) fn written(mut self) {
        self.is_written = true;
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let lasted = {
            let mut state = self.all.lock();
            state.waiting -= 1;
            if state.waiting == 0 { state.outcomes.works(Instant::now()) } else { None }
        };
        if !self.is_written {
            return;
        }
        if let Some(lasted) = lasted {
            let duration_ms = u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX);
            tracing::info!(duration_ms, "How sends came out can be written again; nothing waits any more");
        }
        self.all.one_was_written.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IN_TIME: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn what_waits_for_long_is_tried_as_soon_as_another_is_written() {
        let (unwritten, shutdown) = (Unwritten::default(), CancellationToken::new());
        let (first, second) = (unwritten.one_more(), unwritten.one_more());
        second.failed(&std::fmt::Error);
        let waits = second.again(20, &shutdown);
        // Polled in order: the second waits by then.
        let both = async { tokio::join!(waits, async { first.written() }) };
        assert!(tokio::time::timeout(IN_TIME, both).await.is_ok());
        assert_eq!(unwritten.lock().waiting, 1);
        second.written();
        assert_eq!(unwritten.lock().waiting, 0);
        assert!(unwritten.lock().outcomes.works(Instant::now()).is_none(), "it is over");
    }

    #[tokio::test]
    async fn a_stop_ends_a_long_wait_and_leaves_no_room_for_another() {
        let (unwritten, shutdown) = (Unwritten::default(), CancellationToken::new());
        let one = unwritten.one_more();
        let stop = async { shutdown.cancel() };
        let stopped = async { tokio::join!(one.again(20, &shutdown), stop) };
        assert!(tokio::time::timeout(IN_TIME, stopped).await.is_ok());
        assert!(tokio::time::timeout(IN_TIME, one.again(21, &shutdown)).await.is_ok());
    }
}
