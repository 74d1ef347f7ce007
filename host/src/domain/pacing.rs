//! Pacing: when each send is due. Randomness is a parameter, like time.

use std::time::Duration;

use super::campaign::Waits;
use super::time::Timestamp;

/// After how long a send that the server put off is tried again (RFC 5321 §4.5.4.1 asks for at least half an hour
/// between tries in general; senders of single messages meet greylisting sooner). After the last one it has failed.
const RETRY_AFTER: [Duration; 4] = [
    Duration::from_secs(5 * 60),
    Duration::from_secs(15 * 60),
    Duration::from_secs(60 * 60),
    Duration::from_secs(4 * 3600),
];

/// The same for one whose connection broke before the message left: the first time is mostly chance, and a server that always
/// breaks it off has judged nothing. It is asked ever more rarely, for the four to five days after which RFC 5321
/// §4.5.4.1 gives up.
const AFTER_A_LOSS: Duration = Duration::from_secs(30);
const LOST_AT_MOST: u32 = 33;

/// A credential whose server refuses it rests this long at first, twice as long each further time, up to the longest.
const SHORTEST_REST: Duration = Duration::from_secs(60);
const LONGEST_REST: Duration = Duration::from_secs(30 * 60);

/// When a follow-up is due: its delay after the step before was accepted, plus a gap.
pub fn follow_up(accepted_at: Timestamp, delay: Duration, waits: Waits, draw: f64) -> Timestamp {
    accepted_at.plus(delay).plus(waits.gap(draw))
}

/// When to try again after the `attempts`-th try was put off; `None` when that was the last.
pub fn retry(now: Timestamp, attempts: u32) -> Option<Timestamp> {
    let nth = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    RETRY_AFTER.get(nth).map(|wait| now.plus(*wait))
}

/// When to try again after a connection broke before the message left, with `attempts` tries before that one; `None` when
/// that was the last.
pub fn retry_lost(now: Timestamp, attempts: u32) -> Option<Timestamp> {
    let Some(nth) = attempts.checked_sub(1) else { return Some(now.plus(AFTER_A_LOSS)) };
    let nth = usize::try_from(nth).unwrap_or(usize::MAX);
    let wait = RETRY_AFTER.get(nth).or(RETRY_AFTER.last()).filter(|_| attempts < LOST_AT_MOST);
    wait.map(|wait| now.plus(*wait))
}

/// Until when a credential rests that has already rested `rests` times in a row.
pub fn rest(now: Timestamp, rests: u32) -> Timestamp {
    now.plus(SHORTEST_REST.saturating_mul(1 << rests.min(10)).min(LONGEST_REST))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(0);
    const WAITS: Waits = Waits { min: Duration::from_secs(120), max: Duration::from_secs(420) };

    #[test]
    fn a_follow_up_is_due_its_delay_and_a_gap_after_the_step_before() {
        let day = Duration::from_secs(86_400);
        let due = |draw| follow_up(START, day, WAITS, draw).as_millis() / 1000;
        assert_eq!([due(0.0), due(0.5), due(1.0)], [86_520, 86_670, 86_820]);
    }

    #[test]
    fn a_put_off_send_is_tried_four_more_times() {
        let waits: Vec<_> = (1..=5).map(|n| retry(START, n).map(|t| t.as_millis() / 60_000)).collect();
        assert_eq!(waits, [Some(5), Some(15), Some(60), Some(240), None]);
    }

    #[test]
    fn a_lost_connection_ends_no_send_for_four_days() {
        let wait = |n| retry_lost(START, n).map(|t| t.as_millis() / 1000);
        assert_eq!([0, 1, 2, 3, 4, 5, 32].map(wait), [30, 300, 900, 3600, 14_400, 14_400, 14_400].map(Some));
        assert_eq!(wait(33), None);
        let all: i64 = (0..33).filter_map(wait).sum();
        assert!((4 * 86_400..=5 * 86_400).contains(&all), "{all} s");
    }

    #[test]
    fn rests_grow_from_one_minute_to_thirty() {
        let minutes: Vec<_> = [0, 1, 4, 5, 40].map(|n| rest(START, n).as_millis() / 60_000).to_vec();
        assert_eq!(minutes, [1, 2, 16, 30, 30]);
    }
}
