//! What a run came to, as a row of a table.

use std::fmt;
use std::time::Duration;

use super::CrashPlan;
use super::seen::Seen;
use crate::engine::Database;

/// A run whose promises were kept.
#[derive(Debug)]
pub struct Report {
    plan: CrashPlan,
    took: Duration,
    seen: Seen,
}

impl Report {
    /// The headline above rows of reports. `by_a_kill`: the most in doubt that one left. `of_them_lost`: how many of those
    /// in doubt the server does not have.
    pub const HEAD: &str =
        "database   nodes kills messages at_server  sent in_doubt by_a_kill of_them_lost events webhooks seconds seed";

    pub(super) fn new(plan: CrashPlan, took: Duration, seen: Seen) -> Self {
        Self { plan, took, seen }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plan, took, seen } = self;
        let database = match plan.database {
            Database::Sqlite => "sqlite",
            Database::Postgres => "postgresql",
        };
        let figures = seen.figures();
        write!(
            f,
            "{database:10} {:5} {:5} {:8} {:9} {:5} {:8} {:9} {:12} {:6} {:8} {:7} {}",
            plan.nodes,
            plan.kills,
            plan.messages,
            figures.at_server,
            figures.sent,
            figures.in_doubt,
            figures.most_in_doubt_by_a_kill,
            figures.in_doubt_and_not_at_server,
            figures.events,
            figures.webhooks,
            took.as_secs(),
            plan.seed
        )
    }
}
