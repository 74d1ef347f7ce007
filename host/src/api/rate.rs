//! Rate limits, in this node's memory: so many calls in a window that begins with a caller's first call.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::error::{ApiError, Code};
use crate::domain::Timestamp;

/// Callers who are kept in mind. A window takes about a hundred bytes.
const MOST_WINDOWS: usize = 100_000;

/// The windows of many callers.
pub(super) struct Windows<K> {
    limit: u32,
    length: Duration,
    most: usize,
    open: Mutex<HashMap<K, Window>>,
}

#[derive(Clone, Copy)]
struct Window {
    ends_at: Timestamp,
    calls: u32,
}

/// Where a caller stands after a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    limit: u32,
    length: Duration,
    calls: u32,
    /// Seconds until the window ends.
    reset: u64,
}

impl<K: Eq + Hash + Clone> Windows<K> {
    pub(super) fn new(limit: u32, length: Duration) -> Self {
        Self { limit, length, most: MOST_WINDOWS, open: Mutex::default() }
    }

    /// Counts a call.
    pub(super) fn count(&self, caller: K, now: Timestamp) -> Standing {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= self.most && !open.contains_key(&caller) {
            make_room(&mut open, self.most, now);
        }
        let fresh = Window { ends_at: now.plus(self.length), calls: 0 };
        let window = open.entry(caller).or_insert(fresh);
        if !self.is_open(*window, now) {
            *window = fresh;
        }
        window.calls = window.calls.saturating_add(1);
        self.standing(*window, now)
    }

    /// Where a caller stands who has a window now; it is not counted.
    pub(super) fn look<Q: Eq + Hash + ?Sized>(&self, caller: &Q, now: Timestamp) -> Option<Standing>
    where
        K: Borrow<Q>,
    {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(caller).filter(|window| self.is_open(**window, now)).map(|window| self.standing(*window, now))
    }

    /// One that ends later than a fresh one would was opened before the clock was set back.
    fn is_open(&self, window: Window, now: Timestamp) -> bool {
        window.ends_at > now && window.ends_at <= now.plus(self.length)
    }

    fn standing(&self, window: Window, now: Timestamp) -> Standing {
        let reset = now.until(window.ends_at).as_millis().div_ceil(1000);
        let reset = u64::try_from(reset).unwrap_or(u64::MAX);
        Standing { limit: self.limit, length: self.length, calls: window.calls, reset }
    }
}

/// Forgets the windows that are over, and of the others the half that ends first: who calls from ever new addresses can
/// end the windows of others early, but can't fill the memory.
fn make_room<K: Eq + Hash + Clone>(open: &mut HashMap<K, Window>, most: usize, now: Timestamp) {
    open.retain(|_, window| window.ends_at > now);
    if open.len() <= most / 2 {
        return;
    }
    let mut by_end: Vec<(Timestamp, K)> =
        open.iter().map(|(caller, window)| (window.ends_at, caller.clone())).collect();
    by_end.sort_unstable_by_key(|(ends_at, _)| *ends_at);
    for (_, caller) in by_end.into_iter().take(most / 2) {
        open.remove(&caller);
    }
}

impl Standing {
    /// Whether the call was one too many.
    pub(super) fn is_over(self) -> bool {
        self.calls > self.limit
    }

    /// Whether the next call will be one too many.
    pub(super) fn is_full(self) -> bool {
        self.calls >= self.limit
    }

    /// What a caller is told whose call was one too many.
    pub(super) fn refusal(self) -> ApiError {
        let message = format!("Too many calls: {} are allowed in {} s.", self.limit, self.length.as_secs());
        ApiError {
            retry_after: Some(self.reset),
            standing: Some(Box::new(self)),
            ..ApiError::new(Code::RateLimited, message)
        }
    }

    /// `RateLimit-Limit`, `RateLimit-Remaining` and `RateLimit-Reset`: the three headers that clients know, rather than
    /// the structured `RateLimit` and `RateLimit-Policy` of the later drafts.
    pub(super) fn write(self, headers: &mut HeaderMap) {
        let remaining = self.limit.saturating_sub(self.calls);
        headers.insert(HeaderName::from_static("ratelimit-limit"), HeaderValue::from(self.limit));
        headers.insert(HeaderName::from_static("ratelimit-remaining"), HeaderValue::from(remaining));
        headers.insert(HeaderName::from_static("ratelimit-reset"), HeaderValue::from(self.reset));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_window_ends_a_minute_after_its_first_call() {
        let windows = Windows::new(2, MINUTE);
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        let over = |seconds| windows.count("ada", at(seconds)).is_over();
        assert_eq!([0, 30, 59, 60, 61, 62].map(over), [false, false, true, false, false, true]);
        assert!(!windows.count("bo", at(62)).is_over());
        assert!(windows.look("ada", at(62)).is_some() && windows.look("ada", at(120)).is_none());
    }

    #[test]
    fn a_clock_that_is_set_back_makes_no_window_longer() {
        let windows = Windows::new(2, MINUTE);
        let hour = |seconds: i64| Timestamp::from_millis((3600 + seconds) * 1000);
        assert!((0..3).any(|_| windows.count("ada", hour(0)).is_over()));
        assert!(windows.look("ada", Timestamp::from_millis(0)).is_none());
        let later = windows.count("ada", Timestamp::from_millis(0));
        assert!(!later.is_over() && later.reset == 60, "{later:?}");
    }

    #[test]
    fn however_many_call_few_are_kept_and_the_latest_among_them() {
        let windows = Windows { most: 100, ..Windows::new(1, MINUTE) };
        let now = Timestamp::from_millis(0);
        for caller in 0..10_000_u32 {
            let now = now.plus(Duration::from_millis(caller.into()));
            windows.count(caller, now);
            assert!(windows.open.lock().unwrap().len() <= 100);
            assert!(windows.count(caller, now).is_over(), "{caller} was forgotten at once");
        }
        // Those whose windows are over are forgotten first, and nobody else is.
        let later = now.plus(Duration::from_secs(68));
        assert!(windows.look(&9_999, later).is_some());
        windows.count(1, later);
        assert!(windows.look(&9_999, later).is_some());
    }
}
