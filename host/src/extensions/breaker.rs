//! Rests an extension that fails again and again: five failures in a row suspend it, one probe a minute may bring it
//! back. Time comes from the caller.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::error::CallError;
use crate::domain::Timestamp;

const FAILURES_IN_A_ROW: u32 = 5;
const BETWEEN_PROBES: Duration = Duration::from_secs(60);
const LEFT_TO_OTHERS: Duration = Duration::from_secs(120);

/// One extension's failures. A lock is held for a few instructions, never across a call.
#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    next_probe: Option<Timestamp>,
    /// The failure that suspended it.
    why: Option<Failure>,
}

/// A failure that suspended an extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The whole text, which may quote what the extension was asked about.
    pub text: String,
    /// The kind, which quotes nothing.
    pub kind: &'static str,
}

impl Failure {
    pub(super) fn of(error: &CallError) -> Self {
        Self { text: error.to_string(), kind: error.kind() }
    }
}

/// Whether an extension may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Permission {
    /// It is well.
    Ask,
    /// It is suspended, and this call tries whether it is well again.
    Probe,
    /// It is suspended.
    Rest,
}

/// What a call's outcome changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing.
    None,
    /// It is suspended from now on.
    Suspended,
    /// It is back.
    Resumed,
}

impl Breaker {
    /// Asks for permission at `now`. A probe is given to one caller a minute.
    pub(super) fn permission(&self, now: Timestamp) -> Permission {
        self.permission_after(Duration::ZERO, now)
    }

    /// The same for a question that it failed at before, which leaves the probe to others: it would fail again, most likely.
    /// Where no others come, it is the probe.
    pub(super) fn permission_again(&self, now: Timestamp) -> Permission {
        self.permission_after(LEFT_TO_OTHERS, now)
    }

    fn permission_after(&self, overdue: Duration, now: Timestamp) -> Permission {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match state.next_probe {
            None => Permission::Ask,
            // Further away than ever planned: the clock was set back.
            Some(at) if now < at.plus(overdue) && at <= now.plus(BETWEEN_PROBES) => Permission::Rest,
            Some(_) => {
                state.next_probe = Some(now.plus(BETWEEN_PROBES));
                Permission::Probe
            }
        }
    }

    /// Tells of an answer. Of a suspended extension only the probe's counts: others began before it was suspended.
    pub(super) fn answered(&self, permission: Permission) -> Change {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (state.next_probe, permission) {
            (None, _) => {
                state.failures = 0;
                Change::None
            }
            (Some(_), Permission::Probe) => {
                *state = State::default();
                Change::Resumed
            }
            (Some(_), _) => Change::None,
        }
    }

    /// Tells of a failure at `now`.
    pub(super) fn failed(&self, now: Timestamp, why: &CallError) -> Change {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.next_probe.is_some() {
            return Change::None;
        }
        state.failures += 1;
        if state.failures < FAILURES_IN_A_ROW {
            return Change::None;
        }
        state.next_probe = Some(now.plus(BETWEEN_PROBES));
        state.why = Some(Failure::of(why));
        Change::Suspended
    }

    /// The failure that suspended it; none while it is well.
    pub(super) fn why(&self) -> Option<Failure> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).why.clone()
    }

    /// Whether it is suspended.
    pub(super) fn is_suspended(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next_probe.is_some()
    }
}
