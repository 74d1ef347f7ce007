//! Whose turn it is. Each webhook with something due has a task of its own for one turn, and few have one at a time. One that
//! was slow at its last turn shares places with the slow alone: however many hang, they take none from those that answer.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{LOOK_AGAIN, delivery};
use crate::app::App;
use crate::domain::Timestamp;
use crate::domain::ids::WebhookId;
use crate::rounds;
use crate::store::{StoreError, deliveries};

/// A turn that lasts longer than this was slow.
const SLOW: Duration = Duration::from_secs(1);
/// Slow webhooks that are remembered; past that all count as quick again, until their next turn.
const MOST_REMEMBERED: usize = 10_000;

/// How a webhook's last turn was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Pace {
    Quick,
    Slow,
}

impl Pace {
    /// How many of it are delivered to side by side.
    pub(super) const fn places(self) -> usize {
        match self {
            Self::Quick => 128,
            Self::Slow => 64,
        }
    }
}

/// A turn that ended.
struct Ended {
    webhook: WebhookId,
    took: Duration,
    result: Result<usize, StoreError>,
}

#[derive(Default)]
pub(super) struct Turns {
    tasks: JoinSet<Ended>,
    busy: HashMap<WebhookId, Pace>,
    pub(super) slow: HashSet<WebhookId>,
    last_started: HashMap<Pace, WebhookId>,
}

/// Delivers what is due until `shutdown`; `bell` rings when more may be.
pub(super) async fn run(app: App, shutdown: CancellationToken, bell: Arc<Notify>) {
    let mut turns = Turns::default();
    let mut failures = 0;
    while !shutdown.is_cancelled() {
        let next = match turns.start_due(&app).await {
            Ok(next) => next,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "Due deliveries could not be looked for");
                app.clock.now().plus(LOOK_AGAIN)
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = bell.notified() => {}
            () = app.clock.sleep_until(next) => {}
            Some(ended) = turns.tasks.join_next() => {
                let failed = turns.reap(ended);
                failures = if failed { failures + 1 } else { 0 };
                if failed {
                    // The same webhook would be started again at once, and fail at once.
                    let pause = rounds::pause(failures, Duration::from_secs(1), Duration::from_secs(60));
                    let _ = shutdown.run_until_cancelled(app.clock.sleep(pause)).await;
                }
            }
        }
    }
    // What is on its way is given up: its lease ends soon, and telling twice is allowed where telling never is not.
}

impl Turns {
    /// Starts a task for each webhook with something due that has none, as far as there are places. Gives the time to look
    /// again.
    async fn start_due(&mut self, app: &App) -> Result<Timestamp, StoreError> {
        let now = app.clock.now();
        let mut conn = app.store.read().await?;
        let due = deliveries::with_pending(&mut conn, now).await?;
        for (webhook, pace) in self.next_of(due) {
            self.busy.insert(webhook, pace);
            self.last_started.insert(pace, webhook);
            let app = app.clone();
            self.tasks.spawn(async move {
                let begun = Instant::now();
                let result = delivery::take_turn(&app, webhook).await;
                Ended { webhook, took: begun.elapsed(), result }
            });
        }
        let next = deliveries::next_try_after(&mut conn, now).await?;
        let look_again = now.plus(LOOK_AGAIN);
        Ok(next.map_or(look_again, |next| next.min(look_again)))
    }

    /// Those of the due that get a place now.
    pub(super) fn next_of(&self, due: Vec<WebhookId>) -> Vec<(WebhookId, Pace)> {
        let (slow, quick): (Vec<_>, Vec<_>) =
            due.into_iter().filter(|id| !self.busy.contains_key(id)).partition(|id| self.slow.contains(id));
        let mut next = Vec::new();
        for (pace, waiting) in [(Pace::Quick, quick), (Pace::Slow, slow)] {
            let taken = self.busy.values().filter(|busy| **busy == pace).count();
            let waiting = in_turn(waiting, self.last_started.get(&pace).copied());
            next.extend(waiting.into_iter().take(pace.places().saturating_sub(taken)).map(|id| (id, pace)));
        }
        next
    }

    /// Whether a task ended by an error.
    fn reap(&mut self, ended: Result<Ended, JoinError>) -> bool {
        match ended {
            Ok(Ended { webhook, took, result }) => {
                self.busy.remove(&webhook);
                self.remember(webhook, took);
                let Err(error) = result else { return false };
                tracing::warn!(webhook.id = %webhook, error = &error as &dyn std::error::Error, "Deliveries were interrupted");
            }
            Err(error) => {
                // Which one it was is not told: all may be started again, and the leases keep apart what is on its way.
                self.busy.clear();
                tracing::error!(%error, "A delivery ended by a panic");
            }
        }
        true
    }

    fn remember(&mut self, webhook: WebhookId, took: Duration) {
        if took <= SLOW {
            self.slow.remove(&webhook);
            return;
        }
        if self.slow.len() >= MOST_REMEMBERED {
            self.slow.clear();
        }
        self.slow.insert(webhook);
    }
}

/// In the order of their ids, beginning behind the one that was started last: whoever has had a turn waits until all
/// others have had theirs.
fn in_turn(mut due: Vec<WebhookId>, last_started: Option<WebhookId>) -> Vec<WebhookId> {
    due.sort_unstable();
    let next = due.partition_point(|id| Some(*id) <= last_started);
    due.rotate_left(next);
    due
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids<const N: usize>() -> [WebhookId; N] {
        std::array::from_fn(|_| WebhookId::new(Timestamp::from_millis(0)))
    }

    #[test]
    fn webhooks_take_turns() {
        let mut sorted = ids();
        sorted.sort_unstable();
        let [a, b, c, d] = sorted;
        assert_eq!(in_turn(vec![c, a, b], None), [a, b, c]);
        assert_eq!(in_turn(vec![c, a, b], Some(a)), [b, c, a]);
        assert_eq!(in_turn(vec![a, b, d], Some(c)), [d, a, b]);
        assert_eq!(in_turn(vec![a, b, c], Some(d)), [a, b, c]);
    }

    #[test]
    fn the_slow_take_no_place_from_the_quick() {
        let slow: [WebhookId; 200] = ids();
        let [quick] = ids();
        let mut turns = Turns::default();
        for id in slow {
            turns.remember(id, Duration::from_secs(10));
        }
        let next = turns.next_of([slow.as_slice(), &[quick]].concat());
        assert_eq!(next.len(), 1 + Pace::Slow.places());
        assert!(next.contains(&(quick, Pace::Quick)));
        // All places of the slow are taken, and the quick one's turn is over.
        turns.busy = next.into_iter().filter(|(id, _)| *id != quick).collect();
        assert_eq!(turns.next_of([slow.as_slice(), &[quick]].concat()), [(quick, Pace::Quick)]);
        turns.remember(slow[0], Duration::from_millis(20));
        turns.busy.remove(&slow[0]);
        assert!(turns.next_of(vec![slow[0]]).contains(&(slow[0], Pace::Quick)), "it has become quick");
    }
}
