//! What belongs to the one call that runs on this thread: its deadline, its time, its log. The interpreter's hooks have
//! no argument for it and one engine serves all threads, so it stands in a thread-local; an evaluation never leaves its
//! thread.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use cpu_time::ThreadTime;
use rhai::{Dynamic, EvalAltResult, Position};

use super::memory;
use crate::domain::Timestamp;
use crate::extensions::record::{LogBuffer, LogLevel};

/// The clock is read once in so many operations.
const OPERATIONS_PER_LOOK: u64 = 32;

/// A call that is younger has its time told by the wall clock, which costs a tenth of asking the system for the thread's own.
const SHORT: Duration = Duration::from_micros(100);

/// What one call may hold of the heap. Parsed JSON, forms and events are counted by themselves, too, before they are made;
/// those of a request of 1 MiB take about a fifth.
pub(super) const MOST_BYTES: usize = 32 << 20;

/// What one call may take beside its own time for compiling patterns. They are kept, and who comes first is not to blame for
/// what they take; who needs many more than a script has is.
const MOST_SPARED: Duration = Duration::from_millis(250);

thread_local! {
    static CALL: Call = const { Call::idle() };
}

struct Call {
    /// Since when this thread works on it, and for how long it may.
    began: Cell<Option<(Instant, Duration)>>,
    /// Once it is not short any more, the thread's own time: a machine that is busy with something else is not the script's
    /// fault. With it stands what was spent before.
    own: Cell<Option<(ThreadTime, Duration)>>,
    /// What is not counted of it.
    spared: Cell<Duration>,
    look_now: Cell<bool>,
    may_hand_over: Cell<bool>,
    stopped: Cell<Option<Stop>>,
    /// Of all functions together: the interpreter forgets those of a function that a list calls.
    operations: Cell<u64>,
    most_operations: Cell<u64>,
    /// What this thread held when it began.
    held_before: Cell<i64>,
    opaque_bytes: Cell<usize>,
    now: Cell<Timestamp>,
    logs: RefCell<Option<LogBuffer>>,
}

/// Why an evaluation was stopped from outside the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// Its time is over.
    Deadline,
    /// It holds too much.
    Memory,
    /// It took too many steps.
    Operations,
    /// It is about to do something long, which does not belong on an asynchronous thread.
    HandOver,
}

/// What an evaluation may take, and what it sees.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    pub(super) time: Duration,
    pub(super) now: Timestamp,
    pub(super) operations: u64,
    /// Whether [`before_long_work`] stops it.
    pub(super) may_hand_over: bool,
}

/// What an evaluation took.
pub(super) struct Spent {
    pub(super) stopped: Option<Stop>,
    pub(super) operations: u64,
    pub(super) logs: LogBuffer,
}

impl Call {
    const fn idle() -> Self {
        Self {
            began: Cell::new(None),
            own: Cell::new(None),
            spared: Cell::new(Duration::ZERO),
            look_now: Cell::new(false),
            may_hand_over: Cell::new(false),
            stopped: Cell::new(None),
            operations: Cell::new(0),
            most_operations: Cell::new(u64::MAX),
            held_before: Cell::new(0),
            opaque_bytes: Cell::new(0),
            now: Cell::new(Timestamp::from_millis(0)),
            logs: RefCell::new(None),
        }
    }

    fn is_over(&self) -> bool {
        let Some((began, limit)) = self.began.get() else { return false };
        let limit = limit + self.spared.get();
        if let Some((since, before)) = self.own.get() {
            return since.try_elapsed().is_ok_and(|spent| before + spent >= limit);
        }
        let elapsed = began.elapsed();
        if elapsed >= SHORT.min(limit) {
            // Some of it may have been the machine's. Where the system can't tell, the operations are the limit.
            self.own.set(ThreadTime::try_now().ok().map(|now| (now, elapsed.min(limit / 2))));
        }
        false
    }

    /// The same at its end, which a single long step may have brought about that nobody looked at the clock in. One that is
    /// not to have its whole time yet is begun again rather than asked what of it was its own.
    fn was_too_long(&self, budget: Budget) -> bool {
        match budget.may_hand_over && self.own.get().is_none() {
            true => self.began.get().is_some_and(|(began, limit)| began.elapsed() >= limit),
            false => self.is_over(),
        }
    }

    fn why_to_stop(&self, operations: u64) -> Option<Stop> {
        if operations > self.most_operations.get() {
            return Some(Stop::Operations);
        }
        if !operations.is_multiple_of(OPERATIONS_PER_LOOK) && !self.look_now.take() {
            return None;
        }
        match self.is_over() {
            true => Some(Stop::Deadline),
            false => self.holds_too_much().then_some(Stop::Memory),
        }
    }

    fn holds_too_much(&self) -> bool {
        let held = memory::held().wrapping_sub(self.held_before.get());
        usize::try_from(held).is_ok_and(|held| held > MOST_BYTES)
    }
}

/// Runs `evaluate` as the call of this thread.
pub(super) fn within<T>(budget: Budget, evaluate: impl FnOnce() -> T) -> (T, Spent) {
    CALL.with(|call| {
        call.began.set(Some((Instant::now(), budget.time)));
        // One that has its whole time is not short, and it may be a single step that nobody looks at the clock in.
        let own = if budget.may_hand_over { None } else { ThreadTime::try_now().ok() };
        call.own.set(own.map(|now| (now, Duration::ZERO)));
        call.spared.set(Duration::ZERO);
        call.look_now.set(false);
        call.may_hand_over.set(budget.may_hand_over);
        call.stopped.set(None);
        call.operations.set(0);
        call.most_operations.set(budget.operations);
        call.held_before.set(memory::held());
        call.opaque_bytes.set(0);
        call.now.set(budget.now);
        call.logs.replace(Some(LogBuffer::default()));
    });
    let result = evaluate();
    let spent = CALL.with(|call| {
        if call.stopped.get().is_none() && call.was_too_long(budget) {
            call.stopped.set(Some(Stop::Deadline));
        }
        call.began.set(None);
        Spent {
            stopped: call.stopped.take(),
            operations: call.operations.get(),
            logs: call.logs.take().unwrap_or_default(),
        }
    });
    (result, spent)
}

/// The interpreter's progress hook: a value ends the evaluation. Its own count is of the function alone that it is in.
pub(super) fn progress(_operations: u64) -> Option<Dynamic> {
    CALL.with(|call| {
        let operations = call.operations.get() + 1;
        call.operations.set(operations);
        // Whatever a script caught, and whatever swallowed it: what is stopped stays so.
        if call.stopped.get().is_none() {
            call.stopped.set(call.why_to_stop(operations));
        }
        call.stopped.get().map(|_| Dynamic::UNIT)
    })
}

/// Called by a helper whose work may take longer than a few microseconds: the clock is looked at right after it.
pub(super) fn after_some_work() {
    CALL.with(|call| call.look_now.set(true));
}

/// Called by a helper between the steps of work that may take milliseconds: once the time is over the evaluation ends here.
pub(super) fn amid_long_work() -> Result<(), Box<EvalAltResult>> {
    CALL.with(|call| {
        if !call.is_over() {
            return Ok(());
        }
        call.stopped.set(Some(Stop::Deadline));
        Err(EvalAltResult::ErrorTerminated(Dynamic::UNIT, Position::NONE).into())
    })
}

/// Called by a helper before work that may take milliseconds: on an asynchronous thread the evaluation ends here, and is
/// begun again elsewhere.
pub(super) fn before_long_work() -> Result<(), Box<EvalAltResult>> {
    CALL.with(|call| {
        call.look_now.set(true);
        if !call.may_hand_over.get() {
            return Ok(());
        }
        call.stopped.set(Some(Stop::HandOver));
        Err(EvalAltResult::ErrorTerminated(Dynamic::UNIT, Position::NONE).into())
    })
}

/// Does what is done once for all calls, and is not counted as this one's own time, up to a limit.
pub(super) fn sparing<T>(work: impl FnOnce() -> T) -> T {
    let began = ThreadTime::try_now().ok();
    let done = work();
    let took = began.and_then(|began| began.try_elapsed().ok()).unwrap_or_default();
    CALL.with(|call| call.spared.set((call.spared.get() + took).min(MOST_SPARED)));
    done
}

/// Counts memory that the interpreter's own limits don't see: values of the host's types.
pub(super) fn take_opaque_bytes(bytes: usize) -> Result<(), Box<EvalAltResult>> {
    CALL.with(|call| {
        call.look_now.set(true);
        let taken = call.opaque_bytes.get().saturating_add(bytes);
        call.opaque_bytes.set(taken);
        if taken > MOST_BYTES {
            return Err(format!("the call took over {MOST_BYTES} bytes for JSON, forms and events").into());
        }
        Ok(())
    })
}

/// The time that this call sees.
pub(super) fn now() -> Timestamp {
    CALL.with(|call| call.now.get())
}

/// Writes to the log of this call.
pub(super) fn log(level: LogLevel, message: &str) {
    CALL.with(|call| {
        if let Some(logs) = call.logs.borrow_mut().as_mut() {
            logs.write(level, message);
        }
    });
}
