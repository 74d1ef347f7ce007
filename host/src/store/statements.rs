//! Statements that go to the database together. SQLite's driver hands each text to a thread of its own, and whoever waits
//! for the answer stands in line for a processor twice: that takes longer than most statements do. Those of a transaction
//! whose answers nobody needs before the next one are collected, as [`Reads`] or [`Writes`], and handed over as one text.
//! PostgreSQL takes one statement at a time.

use futures_util::TryStreamExt as _;
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Either, Executor as _};

use super::{Conn, Dialect, Result, Tx};

/// Queries that have not been asked yet, in their order.
#[derive(Debug)]
pub struct Reads {
    dialect: Dialect,
    statements: Vec<Statement>,
}

/// Writes that have not been made yet, in their order.
#[derive(Debug)]
pub struct Writes {
    dialect: Dialect,
    statements: Vec<Statement>,
}

/// One statement with its parameters, `$1` and so on.
#[derive(Debug)]
pub(super) struct Statement {
    sql: String,
    values: Vec<Value>,
}

/// A parameter.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(String),
    Number(i64),
}

/// Which of the statements it is.
#[derive(Debug, Clone, Copy)]
pub struct Nth(usize);

/// What came of one.
#[derive(Default)]
pub(super) struct Ran {
    rows: Vec<AnyRow>,
    touched: u64,
}

/// The rows that each query gave.
pub struct Answers(Vec<Ran>);

/// How many rows each write touched.
pub struct Written(Vec<Ran>);

impl Reads {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self { dialect, statements: Vec::new() }
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Adds one query.
    pub(super) fn add<const N: usize>(&mut self, sql: impl Into<String>, values: [Value; N]) -> Nth {
        push(&mut self.statements, sql.into(), values.into())
    }

    pub(super) fn into_statements(self) -> Vec<Statement> {
        self.statements
    }
}

impl Writes {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self { dialect, statements: Vec::new() }
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Adds one statement. It gives no rows back.
    pub(super) fn add<const N: usize>(&mut self, sql: impl Into<String>, values: [Value; N]) -> Nth {
        push(&mut self.statements, sql.into(), values.into())
    }

    /// Makes them.
    pub async fn run(self, tx: &mut Tx) -> Result<()> {
        self.counted(tx).await.map(|_| ())
    }

    /// Makes them, and tells how many rows each touched.
    pub async fn counted(self, tx: &mut Tx) -> Result<Written> {
        Ok(Written(run(tx.conn(), self.dialect, self.statements).await?))
    }

    pub(super) fn into_statements(self) -> Vec<Statement> {
        self.statements
    }
}

impl Statement {
    /// One without parameters.
    pub(super) fn plain(sql: &str) -> Self {
        Self { sql: sql.to_owned(), values: Vec::new() }
    }
}

impl Answers {
    pub(super) fn new(ran: Vec<Ran>) -> Self {
        Self(ran)
    }

    /// The rows of one of them.
    pub(super) fn rows(&self, nth: Nth) -> &[AnyRow] {
        self.0.get(nth.0).map_or(&[], |ran| &ran.rows)
    }
}

impl Written {
    pub(super) fn new(ran: Vec<Ran>) -> Self {
        Self(ran)
    }

    /// How many rows one of them touched; none, if it was not made.
    pub fn rows(&self, nth: Option<Nth>) -> usize {
        let touched = nth.and_then(|nth| self.0.get(nth.0)).map_or(0, |ran| ran.touched);
        usize::try_from(touched).unwrap_or(usize::MAX)
    }
}

fn push(statements: &mut Vec<Statement>, sql: String, values: Vec<Value>) -> Nth {
    statements.push(Statement { sql, values });
    Nth(statements.len() - 1)
}

/// Runs them in their order; what comes after one that fails is not run.
pub(super) async fn run(conn: &mut Conn, dialect: Dialect, statements: Vec<Statement>) -> Result<Vec<Ran>> {
    let mut all = Vec::with_capacity(statements.len());
    let texts = match dialect {
        Dialect::Sqlite => joined(statements).into_iter().collect(),
        Dialect::Postgres => statements,
    };
    for Statement { sql, values } in texts {
        let query = values.into_iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, value| match value {
            Value::Text(text) => query.bind(text),
            Value::Number(number) => query.bind(number),
        });
        let (mut results, mut ran) = (conn.fetch_many(query), Ran::default());
        while let Some(result) = results.try_next().await? {
            if dialect == Dialect::Sqlite {
                // The driver wakes who waits for each statement of a text anew: while others work, some gather.
                tokio::task::yield_now().await;
            }
            match result {
                Either::Right(row) => ran.rows.push(row),
                // The end of each statement of a text.
                Either::Left(done) => {
                    ran.touched = done.rows_affected();
                    all.push(std::mem::take(&mut ran));
                }
            }
        }
    }
    Ok(all)
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

/// All of them as one text. SQLite counts the parameters of a text through.
fn joined(statements: Vec<Statement>) -> Option<Statement> {
    statements.into_iter().reduce(|mut all, next| {
        all.sql.push_str(";\n");
        push_renumbered(&mut all.sql, &next.sql, all.values.len());
        all.values.extend(next.values);
        all
    })
}

/// `$1` becomes `$4` where three parameters stand before; `'$[1]'`, a path in JSON, is no parameter.
fn push_renumbered(all: &mut String, sql: &str, before: usize) {
    let mut rest = sql;
    while let Some(at) = rest.find('$') {
        let (text, parameter) = rest.split_at(at + 1);
        all.push_str(text);
        let digits = parameter.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = parameter.split_at(digits);
        if let Ok(number) = number.parse::<usize>() {
            all.push_str(&(number + before).to_string());
        }
        rest = after;
    }
    all.push_str(rest);
}

#[cfg(test)]
mod tests {
    use crate::store::meta;
    use crate::test_support::TestApp;

    #[tokio::test]
    async fn writes_are_made_in_their_order_with_their_own_parameters_and_tell_what_each_touched() {
        let app = TestApp::start().await;
        let mut tx = app.store.begin().await.unwrap();
        let mut writes = tx.writes();
        let insert = "INSERT INTO meta (name, value) SELECT c0, c1 FROM ";
        let rows = format!("{insert}{} AS given", writes.dialect().json_rows(2));
        let made = writes.add(rows, [r#"[["a","$1"],["b","2"]]"#.to_owned().into()]);
        let changed = writes.add(
            "UPDATE meta SET value = value || CAST($2 AS TEXT) WHERE name = $1",
            ["a".to_owned().into(), 7.into()],
        );
        let nothing = writes.add("DELETE FROM meta WHERE name = $1", ["c".to_owned().into()]);
        let written = writes.counted(&mut tx).await.unwrap();
        assert_eq!([made, changed, nothing].map(|nth| written.rows(Some(nth))), [2, 1, 0]);
        assert_eq!(meta::get(tx.conn(), "a").await.unwrap().as_deref(), Some("$17"));
        tx.writes().run(&mut tx).await.unwrap();
    }

    #[tokio::test]
    async fn a_write_that_fails_fails_them_all() {
        let app = TestApp::start().await;
        let mut tx = app.store.begin().await.unwrap();
        let mut writes = tx.writes();
        writes.add("INSERT INTO meta (name, value) VALUES ('a', 'b')", []);
        writes.add("INSERT INTO meta (name, value) VALUES ('a', 'c')", []);
        assert!(writes.run(&mut tx).await.is_err());
        drop(tx);
        assert_eq!(meta::get(&mut app.store.read().await.unwrap(), "a").await.unwrap(), None);
    }
}
