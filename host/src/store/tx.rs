//! Writing transactions.

use std::sync::Arc;
use std::time::Instant;

use super::connect::Writers;
use super::sqlite_writer::Turn;
use super::statements::{self, Answers, Reads, Statement, Written};
use super::{Conn, Dialect, Result, Store, Writes, notices};
use crate::wake::{Wake, Wakeups};

/// A deferred transaction that turns into a writer half-way fails at once when another process has written.
const BEGIN: &str = "BEGIN IMMEDIATE";

/// A writing transaction. It is undone when it is dropped.
#[derive(Debug)]
pub struct Tx {
    inner: Inner,
    wakeups: Wakeups,
    sender: Arc<str>,
    wakes: Vec<Wake>,
    since: Instant,
}

#[derive(Debug)]
enum Inner {
    Sqlite(Turn),
    Postgres(sqlx::Transaction<'static, sqlx::Any>),
}

impl Store {
    /// A transaction to write in.
    pub async fn begin(&self) -> Result<Tx> {
        Ok(self.begin_with(self.reads()).await?.0)
    }

    /// A transaction, and the answers to what is asked first in it, all in one go where the database can do that.
    pub async fn begin_with(&self, reads: Reads) -> Result<(Tx, Answers)> {
        let since;
        let (inner, answers) = match &self.writers {
            Writers::Sqlite(writer) => {
                let mut turn = writer.turn().await?;
                since = Instant::now();
                turn.begins();
                let mut all = vec![Statement::plain(BEGIN)];
                all.extend(reads.into_statements());
                let ran = statements::run(turn.conn(), Dialect::Sqlite, all).await?;
                (Inner::Sqlite(turn), Answers::new(ran.into_iter().skip(1).collect()))
            }
            Writers::Postgres(pool) => {
                let mut inner = pool.begin().await?;
                since = Instant::now();
                let ran = statements::run(&mut inner, Dialect::Postgres, reads.into_statements()).await?;
                (Inner::Postgres(inner), Answers::new(ran))
            }
        };
        let (wakeups, sender) = (self.wakeups.clone(), Arc::clone(&self.sender));
        Ok((Tx { inner, wakeups, sender, wakes: Vec::new(), since }, answers))
    }

    /// Collects what is asked together.
    pub fn reads(&self) -> Reads {
        Reads::new(self.dialect())
    }
}

impl Tx {
    /// The connection, for the functions of the tables.
    pub fn conn(&mut self) -> &mut Conn {
        match &mut self.inner {
            Inner::Sqlite(turn) => turn.conn(),
            Inner::Postgres(inner) => inner,
        }
    }

    /// Which database answers.
    pub fn dialect(&self) -> Dialect {
        match self.inner {
            Inner::Sqlite(_) => Dialect::Sqlite,
            Inner::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Since when it has a connection, whatever it waited before.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// Collects what is asked together.
    pub fn reads(&self) -> Reads {
        Reads::new(self.dialect())
    }

    /// Collects writes that are made together.
    pub fn writes(&self) -> Writes {
        Writes::new(self.dialect())
    }

    /// Asks what was collected.
    pub async fn ask(&mut self, reads: Reads) -> Result<Answers> {
        let dialect = self.dialect();
        Ok(Answers::new(statements::run(self.conn(), dialect, reads.into_statements()).await?))
    }

    /// Makes what `collect` adds.
    pub async fn make(&mut self, collect: impl FnOnce(&mut Writes)) -> Result<()> {
        let mut writes = self.writes();
        collect(&mut writes);
        writes.run(self).await
    }

    /// Rings a loop's bell once this is committed, on every node where [`Wake`] says so.
    pub fn wake(&mut self, wake: Wake) {
        if !self.wakes.contains(&wake) {
            self.wakes.push(wake);
        }
    }

    /// Undoes it, and gives its locks back before it returns.
    pub async fn rollback(self) -> Result<()> {
        match self.inner {
            Inner::Sqlite(mut turn) => turn.undo().await,
            Inner::Postgres(inner) => Ok(inner.rollback().await?),
        }
    }

    /// Makes it lasting.
    pub async fn commit(self) -> Result<()> {
        let nothing = self.writes();
        self.commit_with(nothing).await.map(|_| ())
    }

    /// Makes the last writes and then all of it lasting, in one go where the database can do that.
    pub async fn commit_with(mut self, writes: Writes) -> Result<Written> {
        let written = match self.inner {
            Inner::Sqlite(mut turn) => {
                let mut all = writes.into_statements();
                all.push(Statement::plain("COMMIT"));
                let mut ran = statements::run(turn.conn(), Dialect::Sqlite, all).await?;
                turn.has_ended();
                ran.pop();
                Written::new(ran)
            }
            Inner::Postgres(mut inner) => {
                let ran = statements::run(&mut inner, Dialect::Postgres, writes.into_statements()).await?;
                notices::tell(&mut inner, &self.sender, &self.wakes).await?;
                inner.commit().await?;
                Written::new(ran)
            }
        };
        for wake in self.wakes.drain(..) {
            self.wakeups.ring(wake);
        }
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use crate::store::meta;
    use crate::store::row::RowExt;
    use crate::test_support::TestApp;

    #[tokio::test]
    async fn what_is_asked_and_written_at_the_ends_of_a_transaction_is_part_of_it() {
        let app = TestApp::start().await;
        let mut reads = app.store.reads();
        let two = reads.add("SELECT CAST($1 AS TEXT) AS word UNION ALL SELECT 'b'", ["a".to_owned().into()]);
        let none = reads.add("SELECT value FROM meta WHERE name = $1", ["missing".to_owned().into()]);
        let one = reads.add("SELECT CAST($1 AS TEXT) || CAST($2 AS TEXT) AS word", ["c".to_owned().into(), 1.into()]);
        let (tx, answers) = app.store.begin_with(reads).await.unwrap();
        let words = |nth| answers.rows(nth).iter().map(|row| row.text("word").unwrap()).collect::<Vec<_>>();
        assert_eq!((words(two), words(none), words(one)), (vec!["a".into(), "b".into()], vec![], vec!["c1".into()]));

        let mut writes = tx.writes();
        let set = writes.add("INSERT INTO meta (name, value) VALUES ($1, 'x')", ["last".to_owned().into()]);
        assert_eq!(tx.commit_with(writes).await.unwrap().rows(Some(set)), 1);
        assert_eq!(meta::get(&mut app.store.read().await.unwrap(), "last").await.unwrap().as_deref(), Some("x"));

        let tx = app.store.begin().await.unwrap();
        let mut writes = tx.writes();
        writes.add("INSERT INTO meta (name, value) VALUES ('first', 'x')", []);
        writes.add("INSERT INTO meta (name, value) VALUES ('last', 'twice')", []);
        assert!(tx.commit_with(writes).await.is_err());
        let mut tx = app.store.begin().await.unwrap();
        assert_eq!(meta::get(tx.conn(), "first").await.unwrap(), None, "nothing stands of what failed");
    }
}
