//! Pages of a list, newest first, by the id of the last row seen: page 1 000 costs what page 1 costs.

/// Which part of a list is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// At most this many rows, 1 to 1000.
    pub limit: i64,
    /// Rows older than this id; from the newest when absent.
    pub after: Option<String>,
}

impl Page {
    /// The first page of `limit` rows.
    pub fn first(limit: i64) -> Self {
        Self { limit, after: None }
    }

    /// What ids must be smaller than: above every id (hexadecimal) when there is no cursor.
    pub(super) fn before(&self) -> &str {
        self.after.as_deref().unwrap_or("g")
    }
}
