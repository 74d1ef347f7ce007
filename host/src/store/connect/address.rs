//! Where the database is, and what of that may be shown.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::store::{Dialect, Result, StoreError};

/// In the place of a password.
const HIDDEN: &str = "***";

/// Where the database is, and how many connections a process may have to it.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl {
    dialect: Dialect,
    url: String,
    connections: Option<u32>,
}

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("DatabaseUrl").field(&self.redacted()).finish()
    }
}

impl DatabaseUrl {
    /// Reads `sqlite:///path/to/file.db` or `postgres://…`.
    pub fn parse(text: &str) -> Result<Self> {
        let dialect = match text.split_once(':').map(|(scheme, _)| scheme) {
            Some("sqlite") => Dialect::Sqlite,
            Some("postgres" | "postgresql") => Dialect::Postgres,
            _ => return Err(StoreError::BadUrl { given: without_password(text) }),
        };
        Ok(Self { dialect, url: text.to_owned(), connections: None })
    }

    /// The SQLite file at `path`.
    pub fn sqlite_file(path: &Path) -> Self {
        Self { dialect: Dialect::Sqlite, url: format!("sqlite://{}", path.display()), connections: None }
    }

    /// The same with so many connections, instead of as many as [`super::StoreOptions`] says.
    pub fn with_connections(self, connections: Option<u32>) -> Self {
        Self { connections, ..self }
    }

    /// Which database it is.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The file, where the database is one.
    pub fn sqlite_path(&self) -> Option<PathBuf> {
        let rest = self.url.strip_prefix("sqlite:")?.trim_start_matches("//");
        Some(PathBuf::from(rest.split('?').next().unwrap_or(rest)))
    }

    /// Whether it is a SQLite database without a file: each connection would have one of its own.
    pub fn is_in_memory(&self) -> bool {
        let has_no_name = self.sqlite_path().is_some_and(|path| matches!(path.to_str(), Some("" | ":memory:")));
        has_no_name || (self.dialect == Dialect::Sqlite && self.url.contains("mode=memory"))
    }

    /// For people: without a password.
    pub fn redacted(&self) -> String {
        without_password(&self.url)
    }

    pub(in crate::store) fn for_driver(&self) -> String {
        match self.dialect {
            Dialect::Sqlite if self.url.contains('?') => format!("{}&mode=rwc", self.url),
            Dialect::Sqlite => format!("{}?mode=rwc", self.url),
            Dialect::Postgres => self.url.clone(),
        }
    }

    pub(super) fn connections(&self) -> Option<u32> {
        self.connections
    }

    /// Whether it is on another machine and nobody has said how it is spoken to: then it is encrypted if the server likes.
    pub(super) fn may_be_overheard(&self) -> bool {
        let Ok(options) = self.url.parse::<PgConnectOptions>() else { return false };
        let is_far = options.get_socket().is_none() && !is_this_machine(options.get_host());
        is_far && matches!(options.get_ssl_mode(), PgSslMode::Prefer)
    }
}

/// A path is a socket's folder.
fn is_this_machine(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host.starts_with('/')
        || host.eq_ignore_ascii_case("localhost")
        || address.is_ok_and(|address| address.is_loopback())
}

/// What can't be read as an address may be a password, for all we know.
fn without_password(url: &str) -> String {
    let Ok(mut parsed) = url::Url::parse(url) else { return HIDDEN.to_owned() };
    if parsed.password().is_some() {
        // Only an address that can't have a password refuses one.
        let _ = parsed.set_password(Some(HIDDEN));
    }
    let parameters: Vec<_> = parsed.query_pairs().into_owned().collect();
    if parameters.iter().any(|(name, _)| name == "password") {
        let shown = parameters.iter().map(|(name, value)| (name, if name == "password" { HIDDEN } else { value }));
        parsed.query_pairs_mut().clear().extend_pairs(shown);
    }
    parsed.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_shown_nowhere() {
        for address in [
            "postgres://ampout:hunter2@db/ampout",
            "postgres://db/ampout?user=u&password=hunter2&sslmode=require",
            "postgres//u:hunter2@db/x",
            "mysql://u:hunter2@db/x",
        ] {
            let told = match DatabaseUrl::parse(address) {
                Ok(url) => format!("{url:?} {}", url.redacted()),
                Err(error) => error.to_string(),
            };
            assert!(!told.contains("hunter2"), "{told}");
        }
        let file = DatabaseUrl::parse("sqlite:///var/lib/ampout.db").unwrap();
        assert_eq!(file.redacted(), "sqlite:///var/lib/ampout.db");
    }

    #[test]
    fn a_database_without_a_file_is_known() {
        for address in
            ["sqlite::memory:", "sqlite://:memory:", "sqlite:", "sqlite://?mode=memory", "sqlite:x?mode=memory"]
        {
            assert!(DatabaseUrl::parse(address).unwrap().is_in_memory(), "{address}");
        }
        for address in ["sqlite:ampout.db", "sqlite:///var/lib/ampout.db?cache=private", "postgres://db/memory"] {
            assert!(!DatabaseUrl::parse(address).unwrap().is_in_memory(), "{address}");
        }
    }

    #[test]
    fn only_what_goes_over_a_network_can_be_overheard_and_only_where_nobody_has_chosen() {
        for (address, may_be) in [
            ("postgres://u@db.company.test/x", true),
            ("postgres://u@10.1.2.3/x", true),
            ("postgres://u@localhost/x", false),
            ("postgres://u@127.0.0.1/x", false),
            ("postgres://u@[::1]/x", false),
            ("postgres:///x?host=/run/postgresql", false),
            ("postgres://u@db.company.test/x?sslmode=disable", false),
            ("postgres://u@db.company.test/x?sslmode=verify-full", false),
        ] {
            assert_eq!(DatabaseUrl::parse(address).unwrap().may_be_overheard(), may_be, "{address}");
        }
    }
}
