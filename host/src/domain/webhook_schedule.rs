//! When the delivery of an event is tried again, and when a webhook is given up. Randomness is a parameter, like time.

use std::time::Duration;

use super::Timestamp;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// After how long a delivery is tried again. After the last one it has failed.
const RETRY_AFTER: [Duration; 8] = [
    Duration::from_secs(5),
    Duration::from_secs(MINUTE),
    Duration::from_secs(5 * MINUTE),
    Duration::from_secs(30 * MINUTE),
    Duration::from_secs(2 * HOUR),
    Duration::from_secs(6 * HOUR),
    Duration::from_secs(12 * HOUR),
    Duration::from_secs(24 * HOUR),
];
/// Each wait is up to this much shorter or longer, so that what failed together is not tried together.
const JITTER: f64 = 0.2;

const MOST_FAILURES: u32 = 50;
const LONGEST_FAILING: Duration = Duration::from_secs(24 * HOUR);

/// When to try again after the `attempts`-th attempt failed, for a draw in 0..1; `None` when that was the last.
pub fn retry(now: Timestamp, attempts: u32, draw: f64) -> Option<Timestamp> {
    let nth = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    let factor = 1.0 - JITTER + 2.0 * JITTER * draw.clamp(0.0, 1.0);
    RETRY_AFTER.get(nth).map(|wait| now.plus(wait.mul_f64(factor)))
}

/// Whether a webhook is given up that has failed `failures` times in a row since `failing_since`: one that is down for a
/// day is, one that refused a burst of events is not.
pub fn is_hopeless(failures: u32, failing_since: Option<Timestamp>, now: Timestamp) -> bool {
    let failing_for = failing_since.map_or(Duration::ZERO, |since| since.until(now));
    failures >= MOST_FAILURES && failing_for > LONGEST_FAILING
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(0);

    #[test]
    fn a_delivery_is_tried_eight_more_times() {
        let seconds = |draw| (1..=9).map(move |n| retry(START, n, draw).map(|at| at.as_millis() / 1000));
        let (minute, hour) = (60, 3600);
        let waits = [5, minute, 5 * minute, 30 * minute, 2 * hour, 6 * hour, 12 * hour, 24 * hour];
        let expected: Vec<_> = waits.into_iter().map(Some).chain([None]).collect();
        assert_eq!(seconds(0.5).collect::<Vec<_>>(), expected);
        assert_eq!(seconds(0.0).next(), Some(Some(4)));
        assert_eq!(seconds(1.0).next(), Some(Some(6)));
    }

    #[test]
    fn a_webhook_is_given_up_after_a_day_and_fifty_failures() {
        let day = START.plus(Duration::from_secs(24 * HOUR));
        let later = day.plus(Duration::from_millis(1));
        assert!(is_hopeless(50, Some(START), later));
        assert!(!is_hopeless(50, Some(START), day));
        assert!(!is_hopeless(49, Some(START), later));
        assert!(!is_hopeless(50, None, later));
    }
}
