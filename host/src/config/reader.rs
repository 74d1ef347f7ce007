//! Reading settings: each from a text to its type, or told with its name, where it came from and the mend.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use figment::Figment;
use url::Url;

use super::sources::source_of;
use super::{Config, ConfigError, SECRETS};
use crate::store::DatabaseUrl;

const BARE: &str = "write https://host, without a path, a name or a query";
const IN_MEMORY: &str = "a database in memory is gone with each connection; name a file: sqlite:///path/ampout.db";
/// A lease that is shorter than a slow commit is lost by the living; of one that is longer than this, what a dead node held
/// waits for hours.
const LEASE_SECONDS: RangeInclusive<u64> = 5..=3600;
/// Some callers have two at a time.
const CONNECTIONS: RangeInclusive<u32> = 4..=1000;

/// Reads one setting after another; what can't be read is told with its name and where it came from.
pub(super) struct Reader<'a> {
    pub(super) figment: &'a Figment,
}

impl Reader<'_> {
    pub(super) fn bad(&self, name: &'static str, given: &str, problem: impl std::fmt::Display) -> ConfigError {
        let given = if SECRETS.contains(&name) { "(hidden)".to_owned() } else { given.to_owned() };
        ConfigError::BadValue { name, given, from: source_of(self.figment, name), problem: problem.to_string() }
    }

    pub(super) fn parsed<T: std::str::FromStr>(
        &self,
        name: &'static str,
        text: &str,
        form: &str,
    ) -> Result<T, ConfigError> {
        text.parse().map_err(|_| self.bad(name, text, form))
    }

    pub(super) fn optional<T: std::str::FromStr>(
        &self,
        name: &'static str,
        text: &str,
        form: &str,
    ) -> Result<Option<T>, ConfigError> {
        if text.is_empty() { Ok(None) } else { self.parsed(name, text, form).map(Some) }
    }

    pub(super) fn list<T: std::str::FromStr>(
        &self,
        name: &'static str,
        text: &str,
        form: &str,
    ) -> Result<Vec<T>, ConfigError> {
        pieces(text).map(|piece| self.parsed(name, piece, form)).collect()
    }

    /// A list of what tells by itself how it is written.
    pub(super) fn told<T>(&self, name: &'static str, text: &str) -> Result<Vec<T>, ConfigError>
    where
        T: std::str::FromStr,
        T::Err: std::fmt::Display,
    {
        pieces(text).map(|piece| piece.parse().map_err(|problem| self.bad(name, piece, problem))).collect()
    }

    pub(super) fn public_url(&self, text: &str) -> Result<Option<Url>, ConfigError> {
        let Some(url): Option<Url> = self.optional("public_url", text, BARE)? else { return Ok(None) };
        let is_address = matches!(url.scheme(), "http" | "https") && url.has_host();
        // Paths are put behind it, and it is sent to strangers.
        let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let names_nobody = url.username().is_empty() && url.password().is_none();
        if is_address && is_bare && names_nobody {
            return Ok(Some(url));
        }
        Err(self.bad("public_url", if names_nobody { text } else { "(hidden)" }, BARE))
    }

    pub(super) fn seconds(&self, name: &'static str, seconds: u64) -> Result<Duration, ConfigError> {
        self.positive(name, seconds).map(Duration::from_secs)
    }

    pub(super) fn positive<T: PartialEq + Default + std::fmt::Display>(
        &self,
        name: &'static str,
        value: T,
    ) -> Result<T, ConfigError> {
        if value == T::default() { Err(self.bad(name, "0", "must be at least 1")) } else { Ok(value) }
    }

    pub(super) fn database_url(&self, text: &str) -> Result<DatabaseUrl, ConfigError> {
        let url = DatabaseUrl::parse(text).map_err(|error| self.bad("database_url", text, error))?;
        if url.is_in_memory() { Err(self.bad("database_url", text, IN_MEMORY)) } else { Ok(url) }
    }

    /// None: as many as is usual for the database.
    pub(super) fn connections(&self, count: u32) -> Result<Option<u32>, ConfigError> {
        match count {
            0 => Ok(None),
            count if CONNECTIONS.contains(&count) => Ok(Some(count)),
            count => {
                let (least, most) = CONNECTIONS.into_inner();
                let problem = format!("must be 0 or from {least} to {most}");
                Err(self.bad("database_connections", &count.to_string(), problem))
            }
        }
    }

    /// What can be read, and is a mistake all the same where mail is sent.
    pub(super) fn check_for_operation(&self, config: &Config) -> Result<(), ConfigError> {
        let lease = config.lease.as_secs();
        if !LEASE_SECONDS.contains(&lease) {
            let (least, most) = LEASE_SECONDS.into_inner();
            return Err(self.bad("lease_seconds", &lease.to_string(), format!("must be from {least} to {most}")));
        }
        for (name, folder) in [("plugins_dir", &config.plugins_dir), ("scripts_dir", &config.scripts_dir)] {
            if let Some(folder) = folder.as_deref().filter(|folder| !folder.is_dir()) {
                let given = folder.display().to_string();
                return Err(self.bad(name, &given, "is no folder; make it, or leave the setting empty"));
            }
        }
        Ok(())
    }
}

pub(super) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|piece| !piece.is_empty())
}

pub(super) fn path(text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| PathBuf::from(text))
}
