//! The database: SQLite or PostgreSQL behind the same SQL text, and the only place with SQL. One file a table (or a
//! few that live together); `facts/` holds what touches several tables in one transaction.
//!
//! Reads take a [`Conn`] from [`Store::read`] or from a transaction; writes happen in a [`Tx`] from [`Store::begin`].

pub mod account_months;
pub mod accounts;
pub mod campaigns;
pub mod charges;
mod connect;
pub mod contacts;
pub mod counters;
pub mod credential_days;
pub mod credentials;
pub mod decisions;
pub mod deleted_versions;
pub mod deletions;
pub mod deliveries;
mod dialect;
pub mod enrollments;
pub mod events;
pub mod extension_files;
pub mod extensions;
pub mod facts;
pub mod former_addresses;
mod group;
pub mod idempotent_answers;
pub mod inbound;
pub mod inbound_fates;
pub mod inbound_many;
pub mod inbox;
pub mod inbox_many;
pub mod mailboxes;
pub mod meta;
pub mod migrations;
pub mod notices;
pub mod outreaches;
mod packed;
pub mod page;
pub mod resolutions;
mod retry;
mod row;
pub mod sends;
mod sqlite_writer;
mod statements;
pub mod suppressions;
pub mod transactions;
mod tx;
pub mod usage;
pub mod webhooks;

pub use connect::{DatabaseUrl, Snapshot, Store, StoreOptions};
pub use dialect::Dialect;
pub use group::Writing;
pub use page::Page;
pub use statements::{Answers, Nth, Reads, Writes, Written};
pub use tx::Tx;

/// One connection, in a transaction or not.
pub type Conn = sqlx::AnyConnection;

/// What passes by itself, in the words of PostgreSQL: serialisation failure, deadlock, lock not available, shutdown and its kin,
/// too many connections, disk full, read-only (a standby, until it is the primary), idle in a transaction (we stood still).
const PASSING_STATES: [&str; 10] =
    ["40001", "40P01", "55P03", "57P01", "57P02", "57P03", "53300", "53100", "25006", "25P03"];
/// And in those of SQLite: busy, locked, an error of the disk, and full. The low byte of a code is the kind of error.
const PASSING_KINDS: [u32; 4] = [5, 6, 10, 13];

/// Why the store could not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The address is not one of a database that we know.
    #[error("{given:?} is not a database address; write sqlite:///path/ampout.db or postgres://user@host/name")]
    BadUrl {
        /// What was given, without its password.
        given: String,
    },
    /// The database can't be reached, or the pool is exhausted: try again.
    #[error("the database does not answer")]
    Unavailable(#[source] sqlx::Error),
    /// A statement failed.
    #[error("a database statement failed")]
    Statement(#[source] sqlx::Error),
    /// A row holds what the code can't read: the database is newer, or was altered by hand.
    #[error("column {column} holds {value:?}, which is not {expected}")]
    Unreadable {
        /// Which column.
        column: &'static str,
        /// What it holds, shortened.
        value: String,
        /// What was expected.
        expected: &'static str,
    },
    /// A new database can't hold all letters.
    #[error(
        "the database stores text in {encoding}; make another by CREATE DATABASE ampout ENCODING 'UTF8' TEMPLATE template0 \
         and name it in database_url"
    )]
    WrongEncoding {
        /// The server's name for it.
        encoding: String,
    },
    /// Numbered migrations could not be applied.
    #[error("the database could not be migrated")]
    Migration(#[source] sqlx::migrate::MigrateError),
}

impl StoreError {
    /// Whether the same call may succeed a little later.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    /// Whether another transaction was in the way and the database undid this one (SQLSTATE 40001, 40P01): the statement
    /// itself is fault of nobody, and the same call may succeed at once.
    pub fn is_conflict(&self) -> bool {
        let (Self::Statement(error) | Self::Unavailable(error)) = self else { return false };
        let code = error.as_database_error().and_then(|error| error.code());
        matches!(code.as_deref(), Some("40001" | "40P01"))
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
                Self::Unavailable(error)
            }
            sqlx::Error::Database(ref told) if told.code().is_some_and(|code| passes(&code)) => {
                Self::Unavailable(error)
            }
            other => Self::Statement(other),
        }
    }
}

/// An SQLSTATE has five characters, SQLite's codes have at most four.
fn passes(code: &str) -> bool {
    match code.len() {
        5 => PASSING_STATES.contains(&code),
        _ => sqlite_kind(code).is_some_and(|kind| PASSING_KINDS.contains(&kind)),
    }
}

/// What kind of error a code of SQLite's is, without what of that kind it is.
fn sqlite_kind(code: &str) -> Option<u32> {
    code.parse::<u32>().ok().map(|code| code & 0xff)
}

/// What the store gives back.
pub type Result<T> = std::result::Result<T, StoreError>;
