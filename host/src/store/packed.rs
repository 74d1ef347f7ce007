//! Many rows as one value. The driver hands each row over from a thread to another, and each column by several allocations:
//! for the ledger, which reads thousands of rows a second, that costs more than the database does. These travel as one JSON
//! array of arrays, as bulk writes do the other way round (`Dialect::json_rows`).

use serde_json::Value;
use sqlx::any::AnyRow;

use super::row::{RowExt, unreadable};
use super::{Dialect, Result};

/// The names of a packed query's columns, in their order: some that go together, and some more. Texts, whole numbers and
/// NULL can be packed, bytes can't.
pub(super) type Columns = &'static [&'static [&'static str]];

/// The statement that gives the rows of `query`, which has these columns, as one text.
pub(super) fn select(dialect: Dialect, columns: Columns, query: &str) -> String {
    let (all, one) = match dialect {
        Dialect::Sqlite => ("json_group_array", "json_array"),
        Dialect::Postgres => ("json_agg", "json_build_array"),
    };
    let columns = columns.concat().join(", ");
    format!("SELECT CAST({all}({one}({columns})) AS TEXT) AS packed FROM ({query}) AS single")
}

/// A row that came packed.
pub(super) struct PackedRow {
    columns: Columns,
    values: Vec<Value>,
}

/// The rows in what a statement of [`select`] gave.
pub(super) fn rows(packed: &AnyRow, columns: Columns) -> Result<Vec<PackedRow>> {
    // PostgreSQL's array of no rows is NULL.
    let Some(text) = packed.opt_text("packed")? else { return Ok(Vec::new()) };
    let rows: Vec<Vec<Value>> = serde_json::from_str(&text).map_err(|_| unreadable("packed", &text, "rows as JSON"))?;
    Ok(rows.into_iter().map(|values| PackedRow { columns, values }).collect())
}

impl PackedRow {
    fn value(&self, column: &'static str) -> Result<&Value> {
        let place = self.columns.iter().copied().flatten().position(|name| *name == column);
        let value = place.and_then(|place| self.values.get(place));
        value.ok_or_else(|| unreadable(column, "nothing", "one of the row's columns"))
    }
}

impl RowExt for PackedRow {
    fn text(&self, column: &'static str) -> Result<String> {
        self.opt_text(column)?.ok_or_else(|| unreadable(column, "NULL", "a text"))
    }

    fn opt_text(&self, column: &'static str) -> Result<Option<String>> {
        match self.value(column)? {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text.clone())),
            other => Err(unreadable(column, &other.to_string(), "a text")),
        }
    }

    fn int(&self, column: &'static str) -> Result<i64> {
        self.opt_int(column)?.ok_or_else(|| unreadable(column, "NULL", "a whole number"))
    }

    fn opt_int(&self, column: &'static str) -> Result<Option<i64>> {
        match self.value(column)? {
            Value::Null => Ok(None),
            value => value.as_i64().map(Some).ok_or_else(|| unreadable(column, &value.to_string(), "a whole number")),
        }
    }

    fn float(&self, column: &'static str) -> Result<f64> {
        let value = self.value(column)?;
        value.as_f64().ok_or_else(|| unreadable(column, &value.to_string(), "a number"))
    }

    fn bytes(&self, column: &'static str) -> Result<Vec<u8>> {
        Err(unreadable(column, "bytes", "something that can be packed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreError;
    use crate::test_support::TestApp;

    const COLUMNS: Columns = &[&["word"], &["number", "missing"]];

    #[tokio::test]
    async fn rows_come_back_as_they_were_and_none_as_none() {
        let app = TestApp::start().await;
        let mut conn = app.store.read().await.unwrap();
        let mut fetch = async |query: &str| {
            let sql = select(app.store.dialect(), COLUMNS, query);
            let all = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_one(&mut *conn).await.unwrap();
            rows(&all, COLUMNS).unwrap()
        };
        assert!(fetch("SELECT 'x' AS word, 1 AS number, NULL AS missing WHERE 1 = 0").await.is_empty());
        let all = "SELECT '\"ü\\' AS word, 9007199254740993 AS number, NULL AS missing
                   UNION ALL SELECT 'second', -1, NULL";
        let found = fetch(all).await;
        let read = |row: &PackedRow| (row.text("word").unwrap(), row.int("number").unwrap());
        assert_eq!(
            found.iter().map(read).collect::<Vec<_>>(),
            [("\"ü\\".to_owned(), 9_007_199_254_740_993), ("second".to_owned(), -1)]
        );
        assert_eq!((found[0].opt_text("missing").unwrap(), found[0].opt_int("missing").unwrap()), (None, None));
        let refused =
            [found[0].int("word").map(drop), found[0].text("number").map(drop), found[0].text("other").map(drop)];
        assert!(refused.iter().all(|one| matches!(one, Err(StoreError::Unreadable { .. }))), "{refused:?}");
    }
}
