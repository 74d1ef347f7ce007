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

    /// The same for a row that others may go on to refer to meanwhile. Without it a claim, which holds its campaign's row
    /// for its whole transaction, would keep the ledger waiting: PostgreSQL looks a reference up again when a row is
    /// written twice in a transaction, as counters are.
    pub(super) const fn skip_locked_but_refer(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " FOR NO KEY UPDATE SKIP LOCKED",
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
                // Of the binary form: a row needs not become a text and be read once more for each of its columns.
                format!("(SELECT {columns} FROM jsonb_each($1))")
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

/// Bytes of many rows as one parameter, as JSON can't carry them: each row takes its own by `substr`.
#[derive(Debug, Default)]
pub(super) struct BytesOfRows(Vec<u8>);

impl BytesOfRows {
    /// Adds a row's; gives where they begin (both databases count from 1) and how many they are.
    pub(super) fn add(&mut self, bytes: &[u8]) -> (String, String) {
        let begin = self.0.len() + 1;
        self.0.extend_from_slice(bytes);
        (begin.to_string(), bytes.len().to_string())
    }

    /// The parameter. It is never empty, which SQLite would take for NULL.
    pub(super) fn parameter(mut self) -> Vec<u8> {
        self.0.push(0);
        self.0
    }
}
