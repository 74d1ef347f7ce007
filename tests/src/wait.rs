//! The one place of the tests that polls: a check is asked again every 20 ms until it holds or its deadline passes, and
//! the failure tells what was seen last. Where a peer can signal, wait for the signal instead.

use std::fmt::Display;
use std::time::Duration;

use anyhow::anyhow;
use tokio::time::{Instant, sleep, timeout_at};

/// How long [`eventually`] waits. Far above what any step takes on a loaded machine of two cores, so only a real
/// failure reaches it.
pub const PATIENCE: Duration = Duration::from_secs(30);

const BETWEEN_CHECKS: Duration = Duration::from_millis(20);

/// Asks `check` until it answers `Ok`, for at most [`PATIENCE`]. `what` completes the sentence "waited for …"; the `Err`
/// of a check describes the state it saw and stands in the failure.
///
/// ```no_run
/// # async fn story(sent: impl Fn() -> usize) -> anyhow::Result<()> {
/// let count = ampout_tests::eventually("three messages", async || match sent() {
///     3 => Ok(3),
///     other => Err(format!("{other} messages")),
/// })
/// .await?;
/// # Ok(())
/// # }
/// ```
pub async fn eventually<T, S: Display>(what: &str, check: impl AsyncFnMut() -> Result<T, S>) -> anyhow::Result<T> {
    eventually_within(PATIENCE, what, check).await
}

/// The same as [`eventually`] with a limit of its own.
pub async fn eventually_within<T, S: Display>(
    limit: Duration,
    what: &str,
    mut check: impl AsyncFnMut() -> Result<T, S>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + limit;
    let mut last = "nothing: the first check did not return".to_owned();
    loop {
        match timeout_at(deadline, check()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(state)) => last = state.to_string(),
            Err(_) => return Err(failure(what, limit, &last)),
        }
        if Instant::now() + BETWEEN_CHECKS >= deadline {
            return Err(failure(what, limit, &last));
        }
        sleep(BETWEEN_CHECKS).await;
    }
}

fn failure(what: &str, limit: Duration, last: &str) -> anyhow::Error {
    anyhow!("waited {limit:?} for {what}; seen last: {last}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_check_is_asked_until_it_holds() {
        let mut asked = 0;
        let held_at = eventually("the third check", async || {
            asked += 1;
            if asked == 3 { Ok(asked) } else { Err(format!("check {asked}")) }
        });
        assert_eq!(held_at.await.unwrap(), 3);
    }

    #[tokio::test]
    async fn the_failure_tells_what_was_waited_for_and_what_was_seen_last() {
        let limit = Duration::from_millis(50);
        let never = eventually_within(limit, "a reply", async || Err::<(), _>("an empty mailbox")).await;
        assert_eq!(never.unwrap_err().to_string(), "waited 50ms for a reply; seen last: an empty mailbox");
    }

    #[tokio::test]
    async fn a_check_that_hangs_is_ended_by_the_deadline() {
        let limit = Duration::from_millis(50);
        let hung =
            eventually_within(limit, "a reply", async || std::future::pending::<Result<(), String>>().await).await;
        assert!(hung.unwrap_err().to_string().contains("the first check did not return"));
    }
}
