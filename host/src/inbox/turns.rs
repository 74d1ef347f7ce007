//! Whose turn it is to open and to fetch. A server may take its time, byte by byte, so a turn has an end, and mailboxes that
//! needed longer share places with each other alone: however many drip, they take none from those that answer.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use super::suspects::Suspects;
use crate::domain::Timestamp;
use crate::imap::FetchLimits;

/// Watchers that fetch at a time, quick and slow ones: each may have a batch of messages in memory.
const MOST_QUICK: usize = 6;
const MOST_SLOW: usize = 2;
/// Connections that are opened at a time, so that a start of a thousand watchers is no burst of handshakes; and those of
/// mailboxes that could not be read the last times. A connection that was lost is no more than one failure.
const MOST_OPENING: usize = 20;
const MOST_REOPENING: usize = 12;
const FAILURES_OF_ANY: u32 = 1;
/// A mailbox is slow for so long after a turn in which it did not get done.
const SLOW_FOR: Duration = Duration::from_secs(3600);

/// Messages over a megabyte are kept as their beginning: text and reports come before attachments.
const QUICK: FetchLimits = FetchLimits {
    messages: 500,
    message_bytes: 1 << 20,
    stub_bytes: 256 << 10,
    batch_bytes: 8 << 20,
    time: Duration::from_secs(15),
};
/// As much as a bad line brings in the time: six kilobytes a second.
const SLOW: FetchLimits = FetchLimits { messages: 50, batch_bytes: 1 << 20, time: Duration::from_secs(180), ..QUICK };

/// What all watchers share.
#[derive(Clone)]
pub(super) struct Turns {
    quick: Arc<Semaphore>,
    slow: Arc<Semaphore>,
    opening: Arc<Semaphore>,
    reopening: Arc<Semaphore>,
    /// Rung when messages were stored.
    pub(super) stored: Arc<Notify>,
}

/// How a mailbox fared so far, over all its sessions.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// How often in a row it could not be read.
    pub(super) failures: u32,
    slow_until: Option<Timestamp>,
    /// Whether one of its messages keeps the others from being read.
    pub(super) suspects: Suspects,
}

/// A place, given back when it is dropped, and what may be fetched with it.
pub(super) struct Turn<'a> {
    pub(super) limits: FetchLimits,
    // None is never: the semaphores are not closed.
    _place: Option<SemaphorePermit<'a>>,
}

impl Turns {
    pub(super) fn new(stored: Arc<Notify>) -> Self {
        let places = |count| Arc::new(Semaphore::new(count));
        Self {
            quick: places(MOST_QUICK),
            slow: places(MOST_SLOW),
            opening: places(MOST_OPENING),
            reopening: places(MOST_REOPENING),
            stored,
        }
    }

    /// Waits for a place to open a mailbox.
    pub(super) async fn opening(&self, pace: &Pace) -> Option<SemaphorePermit<'_>> {
        let places = if pace.failures <= FAILURES_OF_ANY { &self.opening } else { &self.reopening };
        places.acquire().await.ok()
    }

    /// Waits for a turn of fetching: at the end of the line, each time.
    pub(super) async fn fetching(&self, pace: &Pace, now: Timestamp) -> Turn<'_> {
        let (places, limits) = if pace.is_slow(now) { (&self.slow, SLOW) } else { (&self.quick, QUICK) };
        Turn { limits, _place: places.acquire().await.ok() }
    }
}

impl Pace {
    /// A turn ended before all had come that it asked for.
    pub(super) fn was_slow(&mut self, now: Timestamp) {
        self.slow_until = Some(now.plus(SLOW_FOR));
    }

    fn is_slow(&self, now: Timestamp) -> bool {
        // Further away than it was ever to be: the clock was set back.
        self.slow_until.is_some_and(|until| now < until && until <= now.plus(SLOW_FOR))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn mailboxes_that_drip_wait_for_each_other_and_nobody_waits_for_them() {
        let turns = Turns::new(Arc::default());
        let now = Timestamp::from_millis(0);
        let (quick, mut slow) = (Pace::default(), Pace::default());
        slow.was_slow(now);
        let mut held = Vec::new();
        while let Some(turn) = turns.fetching(&slow, now).now_or_never() {
            held.push(turn);
        }
        assert_eq!((held.len(), held[0].limits.time), (MOST_SLOW, SLOW.time));
        let turn = turns.fetching(&quick, now).now_or_never().expect("the slow ones are in the way");
        assert!(turn.limits.time < SLOW.time);
        // After an hour it is tried as any other.
        assert!(turns.fetching(&slow, now.plus(SLOW_FOR)).now_or_never().is_some());
        // Nor is it slow for longer because the clock was set back.
        assert!(!slow.is_slow(now.minus(SLOW_FOR)));
        held.pop();
        assert!(turns.fetching(&slow, now).now_or_never().is_some());
    }

    #[tokio::test]
    async fn servers_that_can_t_be_reached_do_not_keep_a_lost_connection_from_being_opened_again() {
        let turns = Turns::new(Arc::default());
        let gone = Pace { failures: 3, ..Pace::default() };
        let mut held = Vec::new();
        while let Some(place) = turns.opening(&gone).now_or_never() {
            held.push(place);
        }
        assert_eq!(held.len(), MOST_REOPENING);
        let lost = Pace { failures: 1, ..Pace::default() };
        assert!(turns.opening(&lost).now_or_never().is_some());
    }
}
