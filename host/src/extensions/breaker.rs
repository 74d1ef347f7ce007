//! Rests an extension that fails again and again: five failures in a row suspend it, one probe a minute may bring it
//! back. It rests for the account alone whose questions it failed at: what one account is sent must not take the
//! system's extensions from the others. Time comes from the caller.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::error::CallError;
use crate::domain::Timestamp;
use crate::domain::ids::AccountId;

const FAILURES_IN_A_ROW: u32 = 5;
const BETWEEN_PROBES: Duration = Duration::from_secs(60);
const LEFT_TO_OTHERS: Duration = Duration::from_secs(120);

/// Whose question it is; none where it is nobody's.
pub(super) type Asker = Option<AccountId>;

/// One extension's failures, of those for whom it has any. A lock is held for a few instructions, never across a call.
#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<HashMap<Asker, State>>);

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
    pub(super) fn permission(&self, asker: Asker, now: Timestamp) -> Permission {
        self.permission_after(asker, Duration::ZERO, now)
    }

    /// The same for a question that it failed at before, which leaves the probe to others: it would fail again, most likely.
    /// Where no others come, it is the probe.
    pub(super) fn permission_again(&self, asker: Asker, now: Timestamp) -> Permission {
        self.permission_after(asker, LEFT_TO_OTHERS, now)
    }

    fn permission_after(&self, asker: Asker, overdue: Duration, now: Timestamp) -> Permission {
        let mut states = self.states();
        let Some(next_probe) = states.get_mut(&asker).and_then(|state| state.next_probe.as_mut()) else {
            return Permission::Ask;
        };
        // Further away than ever planned: the clock was set back.
        if now < next_probe.plus(overdue) && *next_probe <= now.plus(BETWEEN_PROBES) {
            return Permission::Rest;
        }
        *next_probe = now.plus(BETWEEN_PROBES);
        Permission::Probe
    }

    /// Tells of an answer. Of a suspended extension only the probe's counts: others began before it was suspended.
    pub(super) fn answered(&self, asker: Asker, permission: Permission) -> Change {
        let mut states = self.states();
        let is_suspended = states.get(&asker).is_some_and(|state| state.next_probe.is_some());
        if is_suspended && permission != Permission::Probe {
            return Change::None;
        }
        states.remove(&asker);
        if is_suspended { Change::Resumed } else { Change::None }
    }

    /// Tells of a failure at `now`.
    pub(super) fn failed(&self, asker: Asker, now: Timestamp, why: &CallError) -> Change {
        let mut states = self.states();
        let state = states.entry(asker).or_default();
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

    /// The failure that suspended it for somebody; none while it is well for all.
    pub(super) fn why(&self) -> Option<Failure> {
        self.states().values().find_map(|state| state.why.clone())
    }

    /// The same for one account.
    pub(super) fn why_for(&self, asker: Asker) -> Option<Failure> {
        self.states().get(&asker).and_then(|state| state.why.clone())
    }

    fn states(&self) -> MutexGuard<'_, HashMap<Asker, State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
