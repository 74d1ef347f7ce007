//! The rhythm that the engine's loops share: one bounded round, then a wait for a bell or for a time; after an error a
//! longer one. It knows nothing of what a round does. A round must be safe to drop half-way, as a transaction is.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::Timestamp;

const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// When the next round is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// At once: there is more to do.
    Now,
    /// Then, or when the bell rings.
    At(Timestamp),
}

/// Makes rounds until `shutdown`. An error is logged once, here, and the next round waits a second, then twice as long
/// each further time, up to a minute. `bell` is waited for anew after each round.
pub async fn keep<E, Round, Rounding, Bell, Ringing>(
    name: &'static str,
    clock: &Clock,
    shutdown: &CancellationToken,
    mut round: Round,
    mut bell: Bell,
) where
    E: std::error::Error + 'static,
    Round: FnMut() -> Rounding,
    Rounding: Future<Output = Result<Next, E>>,
    Bell: FnMut() -> Ringing,
    Ringing: Future<Output = ()>,
{
    let mut failures = 0;
    while let Some(made) = shutdown.run_until_cancelled(round()).await {
        let next = match made {
            Ok(next) => {
                failures = 0;
                next
            }
            Err(error) => {
                failures += 1;
                tracing::warn!(room = name, failures, error = &error as &dyn std::error::Error, "A round failed");
                // No bell shortens this: what rings it may be what fails.
                let until = clock.now().plus(pause(failures, SHORTEST_PAUSE, LONGEST_PAUSE));
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = clock.sleep_until(until) => continue,
                }
            }
        };
        match next {
            Next::Now => tokio::task::yield_now().await,
            Next::At(until) => tokio::select! {
                () = shutdown.cancelled() => return,
                () = bell() => {}
                () = clock.sleep_until(until) => {}
            },
        }
    }
}

/// How long to wait after the `failures`-th failure in a row: `shortest`, doubling up to `longest`.
pub fn pause(failures: u32, shortest: Duration, longest: Duration) -> Duration {
    let doublings = failures.saturating_sub(1).min(20);
    shortest.saturating_mul(1 << doublings).min(longest)
}

/// A wait, up to a fifth shorter or longer, for a draw in 0..1: what began together must not go on together.
pub fn jittered(wait: Duration, draw: f64) -> Duration {
    wait.mul_f64(0.8 + 0.4 * draw.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let seconds = |n| pause(n, Duration::from_secs(5), Duration::from_secs(600)).as_secs();
        assert_eq!([1, 2, 3, 7, 8, 90].map(seconds), [5, 10, 20, 320, 600, 600]);
    }

    #[tokio::test]
    async fn an_error_does_not_end_the_rounds_and_a_shutdown_does() {
        let clock = Clock::manual(Timestamp::from_millis(0));
        let shutdown = CancellationToken::new();
        let made = AtomicU32::new(0);
        let round = || {
            let nth = made.fetch_add(1, Ordering::SeqCst);
            if nth == 0 {
                clock.advance(Duration::ZERO);
            }
            if nth == 2 {
                shutdown.cancel();
            }
            async move { if nth == 0 { Err(std::fmt::Error) } else { Ok(Next::Now) } }
        };
        let rounds = keep("test", &clock, &shutdown, round, std::future::pending::<()>);
        let time = async {
            while !shutdown.is_cancelled() {
                clock.advance(Duration::from_secs(1));
                tokio::task::yield_now().await;
            }
        };
        tokio::join!(rounds, time);
        assert!(made.load(Ordering::SeqCst) >= 3);
    }
}
