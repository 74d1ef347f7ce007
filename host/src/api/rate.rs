//! Rate limits, in this node's memory: so many calls in a window that begins with a caller's first call.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::error::{ApiError, Code};
use crate::domain::Timestamp;

/// Windows that are over are forgotten once there are so many.
const SWEEP_AT: usize = 10_000;

/// The windows of many callers.
pub(super) struct Windows<K> {
    limit: u32,
    length: Duration,
    open: Mutex<HashMap<K, Window>>,
}

struct Window {
    ends_at: Timestamp,
    calls: u32,
}

/// Where a caller stands after a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) limit: u32,
    pub(super) remaining: u32,
    /// Seconds until the window ends.
    pub(super) reset: u64,
}

impl<K: Eq + Hash> Windows<K> {
    pub(super) fn new(limit: u32, length: Duration) -> Self {
        Self { limit, length, open: Mutex::default() }
    }

    /// Counts a call; an error when it is one too many.
    pub(super) fn count(&self, caller: K, now: Timestamp) -> Result<Standing, (ApiError, Standing)> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= SWEEP_AT {
            open.retain(|_, window| window.ends_at > now);
        }
        let fresh = || Window { ends_at: now.plus(self.length), calls: 0 };
        let window = open.entry(caller).or_insert_with(fresh);
        if window.ends_at <= now {
            *window = fresh();
        }
        window.calls = window.calls.saturating_add(1);
        let reset = now.until(window.ends_at).as_millis().div_ceil(1000);
        let reset = u64::try_from(reset).unwrap_or(u64::MAX);
        let standing = Standing { limit: self.limit, remaining: self.limit.saturating_sub(window.calls), reset };
        if window.calls <= self.limit {
            return Ok(standing);
        }
        let message = format!("Too many calls: {} are allowed in {} s.", self.limit, self.length.as_secs());
        Err((ApiError { retry_after: Some(reset), ..ApiError::new(Code::RateLimited, message) }, standing))
    }
}

impl Standing {
    /// `RateLimit-Limit`, `RateLimit-Remaining` and `RateLimit-Reset`.
    pub(super) fn write(self, headers: &mut HeaderMap) {
        headers.insert(HeaderName::from_static("ratelimit-limit"), HeaderValue::from(self.limit));
        headers.insert(HeaderName::from_static("ratelimit-remaining"), HeaderValue::from(self.remaining));
        headers.insert(HeaderName::from_static("ratelimit-reset"), HeaderValue::from(self.reset));
    }
}
