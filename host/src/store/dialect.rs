//! The seam between the two databases: the few words that one SQL text can't hold for both.

/// Which database answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// The embedded default: one process, WAL.
    Sqlite,
    /// The meeting point of several nodes.
    Postgres,
}

impl Dialect {
    /// Appended to a SELECT that claims rows: another node's rows are passed over rather than waited for. SQLite has one
    /// writer at a time and needs nothing.
    pub(super) const fn skip_locked(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " FOR UPDATE SKIP LOCKED",
        }
    }

    /// Appended to a SELECT of a row that is decided on: other transactions that do so wait for this one. SQLite has one
    /// writer at a time and needs nothing.
    pub(super) const fn for_update(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " FOR UPDATE",
        }
    }

    /// A table of one JSON array of arrays of texts, given as `$1`: bulk writes go through one parameter, because
    /// thousands of placeholders are slow on both databases. Columns are named `c0`, `c1`, …
    pub(super) fn json_rows(self, columns: usize) -> String {
        let list = |one: &dyn Fn(usize) -> String| (0..columns).map(one).collect::<Vec<_>>().join(", ");
        match self {
            Self::Sqlite => {
                let columns = list(&|n| format!("json_extract(value, '$[{n}]') AS c{n}"));
                format!("(SELECT {columns} FROM json_each($1))")
            }
            Self::Postgres => {
                let columns = list(&|n| format!("value ->> {n} AS c{n}"));
                format!("(SELECT {columns} FROM jsonb_array_elements($1::jsonb) AS t (value))")
            }
        }
    }
}

/// The parameter of [`Dialect::json_rows`]: an array of arrays (or tuples) of texts.
pub(super) fn json_of<R: serde::Serialize>(rows: impl IntoIterator<Item = R>) -> String {
    let rows: Vec<R> = rows.into_iter().collect();
    // Texts and arrays of them are always JSON.
    serde_json::to_string(&rows).unwrap_or_default()
}
