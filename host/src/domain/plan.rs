//! An account's plan: how many messages it may send in a calendar month (UTC), of every step. The operator sets it.

/// What an account may send, and what it has sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The plan's name.
    pub slug: String,
    /// Sends of a month; none: as many as it likes.
    pub monthly_limit: Option<u64>,
    /// Sends of this month, those on their way among them.
    pub current_period_sends: u64,
}

impl Plan {
    /// How many may still leave this month; none: as many as it likes.
    pub fn left(&self) -> Option<u64> {
        self.monthly_limit.map(|limit| limit.saturating_sub(self.current_period_sends))
    }

    /// Whether nothing more may leave this month.
    pub fn is_used_up(&self) -> bool {
        self.left() == Some(0)
    }
}
