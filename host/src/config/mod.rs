//! Configuration: the documented defaults inside the binary, then `ampout.toml`, then `AMPOUT_*`, then flags. Values are
//! parsed into types here, once; a misspelt name or a bad value is an error that names it and where it came from.

mod reader;
mod sources;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use figment::Figment;
use figment::providers::{Format, Toml};
use figment::value::{Dict, Value};
use ipnet::IpNet;
use serde::Deserialize;
use url::Url;

use crate::extensions::{Grant, RaisedLimit, Signer};
use crate::secrets::SecretString;
use crate::store::DatabaseUrl;

use reader::{Reader, path, pieces};
pub use sources::Sources;
use sources::{Given, GivenBy, figment, source_of, unreadable};

/// The defaults, which are the documentation of the settings, too.
pub const DEFAULTS: &str = include_str!("../../ampout.default.toml");

const SECRETS: [&str; 3] = ["secret_key", "old_secret_keys", "database_url"];

/// Everything that an operator can set.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the API listens.
    pub listen: SocketAddr,
    /// Where Prometheus reads.
    pub metrics_listen: Option<SocketAddr>,
    /// The address from outside; none: made from where the API listens.
    pub public_url: Option<Url>,
    /// The installation's folder.
    pub data_dir: PathBuf,
    /// The database, and how many connections to it.
    pub database_url: DatabaseUrl,
    /// The key of secrets; none: the key file.
    pub secret_key: Option<SecretString>,
    /// Keys that still open what they sealed.
    pub old_secret_keys: Vec<SecretString>,
    /// Ranges beyond the public ones.
    pub egress_allow: Vec<IpNet>,
    /// Whether connections without TLS may be configured.
    pub allow_plaintext: bool,
    /// Certificate authorities beside the public ones.
    pub extra_ca: Option<PathBuf>,
    /// Recursive servers; empty: the system's.
    pub dns_servers: Vec<SocketAddr>,
    /// The EHLO name; none: the host of the public address.
    pub ehlo_name: Option<String>,
    /// Between two looks into a mailbox without IDLE.
    pub imap_poll: Duration,
    /// Between two health ticks.
    pub health_interval: Duration,
    /// How long a node holds a send without a sign of life.
    pub lease: Duration,
    /// Loaded at start.
    pub plugins_dir: Option<PathBuf>,
    /// Loaded at start.
    pub scripts_dir: Option<PathBuf>,
    /// Who of the extensions may fetch from where.
    pub extension_hosts: Vec<Grant>,
    /// What some of the system's extensions may use beyond the limits of all.
    pub extension_limits: Vec<RaisedLimit>,
    /// Whose signatures of extensions count.
    pub trusted_signers: Vec<Signer>,
    /// Whether the system's extensions must be signed.
    pub require_signatures: bool,
    /// Of one API key.
    pub rate_limit_per_minute: u32,
    /// Of one address.
    pub failed_authentications_per_minute: u32,
    /// Whose X-Forwarded-For is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How long a request may take to arrive.
    pub request_timeout: Duration,
    /// Whether anybody may make an account.
    pub signup: Signup,
    /// Of one credential.
    pub smtp_connections_per_credential: usize,
    /// Of one account.
    pub smtp_connections_per_account: usize,
    /// Of this node.
    pub smtp_connections: usize,
    /// An `EnvFilter`.
    pub log: String,
    /// How lines look.
    pub log_format: LogFormat,
}

/// Whether anybody may make an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Signup {
    /// Accounts are made from the shell.
    Closed,
    /// `POST /signup` makes one.
    Open,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For a terminal.
    Human,
    /// One JSON object a line.
    Json,
}

/// One setting as it is in force, for `ampout config`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// Its value; hidden when it is a secret.
    pub value: String,
    /// The file, variable or flag that set it.
    pub source: String,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file can't be read, or a value has the wrong type.
    #[error("{0}")]
    Unreadable(Box<figment::Error>),
    /// A name is misspelt.
    #[error("{given} (in {from}) is no setting; did you mean {nearest}? `ampout config --defaults` prints them all")]
    UnknownName {
        /// What was given.
        given: String,
        /// Who gave it.
        from: String,
        /// The setting that looks most like it.
        nearest: &'static str,
    },
    /// A value is not what it has to be.
    #[error("{name} = {given:?} (from {from}): {problem}")]
    BadValue {
        /// Which setting.
        name: &'static str,
        /// What was given; hidden when it is a secret.
        given: String,
        /// Who gave it.
        from: String,
        /// What it has to be.
        problem: String,
    },
}

/// The settings as they are written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    listen: String,
    metrics_listen: String,
    public_url: String,
    data_dir: PathBuf,
    database_url: String,
    database_connections: u32,
    secret_key: String,
    old_secret_keys: String,
    egress_allow: String,
    allow_plaintext: bool,
    extra_ca: String,
    dns_servers: String,
    ehlo_name: String,
    imap_poll_seconds: u64,
    health_seconds: u64,
    lease_seconds: u64,
    plugins_dir: String,
    scripts_dir: String,
    extension_hosts: String,
    extension_limits: String,
    trusted_signers: String,
    require_signatures: bool,
    rate_limit_per_minute: u32,
    failed_authentications_per_minute: u32,
    trusted_proxies: String,
    request_timeout_seconds: u64,
    signup: Signup,
    smtp_connections_per_credential: usize,
    smtp_connections_per_account: usize,
    smtp_connections: usize,
    log: String,
    log_format: LogFormat,
}

impl Config {
    /// Reads all sources, `AMPOUT_*` of the process environment among them.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        Self::from_figment(&figment(sources))
    }

    /// The same for the engine itself: what can be read and is a mistake where mail is sent is refused, too.
    pub fn load_for_operation(sources: &Sources) -> Result<Self, ConfigError> {
        Self::of_operator(&figment(sources))
    }

    /// What is read and makes sense in operation.
    fn of_operator(figment: &Figment) -> Result<Self, ConfigError> {
        let config = Self::from_figment(figment)?;
        Reader { figment }.check_for_operation(&config)?;
        Ok(config)
    }

    /// The defaults and `settings` alone: for tests and the demo, whatever the environment says. What only makes no sense in
    /// operation is taken: tests hold leases for a year, as they move the clock.
    pub fn from_settings(settings: &[(&'static str, String)]) -> Result<Self, ConfigError> {
        let given = settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Self::from_figment(&Figment::from(Toml::string(DEFAULTS)).merge(Given { by: GivenBy::Flags, values: given }))
    }

    fn from_figment(figment: &Figment) -> Result<Self, ConfigError> {
        let written: Written = figment.extract().map_err(unreadable)?;
        let read = Reader { figment };
        let database_url = match written.database_url.as_str() {
            "" => DatabaseUrl::sqlite_file(&written.data_dir.join("ampout.db")),
            text => read.database_url(text)?,
        };
        let connections = read.connections(written.database_connections)?;
        let secret = |text: &str| SecretString::from(text.to_owned());
        let config = Self {
            listen: read.parsed("listen", &written.listen, "write address:port")?,
            metrics_listen: read.optional("metrics_listen", &written.metrics_listen, "write address:port")?,
            public_url: read.public_url(&written.public_url)?,
            database_url: database_url.with_connections(connections),
            secret_key: (!written.secret_key.is_empty()).then(|| secret(&written.secret_key)),
            old_secret_keys: pieces(&written.old_secret_keys).map(secret).collect(),
            egress_allow: read.list("egress_allow", &written.egress_allow, "write CIDRs such as 10.1.0.0/16")?,
            allow_plaintext: written.allow_plaintext,
            extra_ca: path(&written.extra_ca),
            dns_servers: read.list("dns_servers", &written.dns_servers, "write address:port")?,
            ehlo_name: (!written.ehlo_name.is_empty()).then_some(written.ehlo_name),
            imap_poll: read.seconds("imap_poll_seconds", written.imap_poll_seconds)?,
            health_interval: read.seconds("health_seconds", written.health_seconds)?,
            lease: read.seconds("lease_seconds", written.lease_seconds)?,
            plugins_dir: path(&written.plugins_dir),
            scripts_dir: path(&written.scripts_dir),
            extension_hosts: read.told("extension_hosts", &written.extension_hosts)?,
            extension_limits: read.told("extension_limits", &written.extension_limits)?,
            trusted_signers: read.told("trusted_signers", &written.trusted_signers)?,
            require_signatures: written.require_signatures,
            rate_limit_per_minute: read.positive("rate_limit_per_minute", written.rate_limit_per_minute)?,
            failed_authentications_per_minute: read
                .positive("failed_authentications_per_minute", written.failed_authentications_per_minute)?,
            trusted_proxies: read.list(
                "trusted_proxies",
                &written.trusted_proxies,
                "write CIDRs such as 10.1.0.0/16 or 10.1.0.7/32",
            )?,
            request_timeout: read.seconds("request_timeout_seconds", written.request_timeout_seconds)?,
            signup: written.signup,
            smtp_connections_per_credential: read
                .positive("smtp_connections_per_credential", written.smtp_connections_per_credential)?,
            smtp_connections_per_account: read
                .positive("smtp_connections_per_account", written.smtp_connections_per_account)?,
            smtp_connections: read.positive("smtp_connections", written.smtp_connections)?,
            log: written.log,
            log_format: written.log_format,
            data_dir: written.data_dir,
        };
        Ok(config)
    }
}

/// Every setting with its value and its source, secrets hidden.
pub fn settings(sources: &Sources) -> Result<Vec<Setting>, ConfigError> {
    let figment = figment(sources);
    // Told first, so that a broken configuration is not printed as if it were in force.
    Config::of_operator(&figment)?;
    let dict: Dict = figment.extract().map_err(unreadable)?;
    let settings = dict.iter().map(|(name, value)| {
        let value = match value {
            Value::String(_, text) => text.clone(),
            other => serde_json::to_string(other).unwrap_or_default(),
        };
        let value = match (SECRETS.contains(&name.as_str()), value.is_empty()) {
            (true, false) if name == "database_url" => {
                DatabaseUrl::parse(&value).map(|url| url.redacted()).unwrap_or_else(|_| "(hidden)".to_owned())
            }
            (true, false) => "(hidden)".to_owned(),
            _ => value,
        };
        Setting { name: name.clone(), value, source: source_of(&figment, name) }
    });
    Ok(settings.collect())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_defaults_are_complete_and_in_force() {
        let config = Config::from_settings(&[]).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8025");
        assert_eq!(config.lease, Duration::from_secs(15));
        assert_eq!(config.database_url.sqlite_path().unwrap(), Path::new("./ampout-data/ampout.db"));
    }

    #[test]
    fn a_misspelt_name_is_an_error_that_names_it() {
        let error = Config::from_settings(&[("lissten", "127.0.0.1:1".to_owned())]).unwrap_err().to_string();
        assert!(error.starts_with("lissten (in the flags) is no setting; did you mean listen?"), "{error}");
    }

    #[test]
    fn a_bad_value_is_named_with_its_mend() {
        let error = Config::from_settings(&[("egress_allow", "10.0.0.0/8, nonsense".to_owned())]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "egress_allow = \"nonsense\" (from --set egress_allow): write CIDRs such as 10.1.0.0/16"
        );
        let error = Config::from_settings(&[("extension_limits", "heavy.time_ms=1".to_owned())]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "extension_limits = \"heavy.time_ms=1\" (from --set extension_limits): time_ms must be a whole number from 50 to 10000"
        );
        let error = Config::from_settings(&[("lease_seconds", "0".to_owned())]).unwrap_err();
        assert!(error.to_string().ends_with("must be at least 1"), "{error}");
    }

    /// Refused at start, with the setting, what was given and the mend.
    fn check_refused(name: &'static str, given: &str, told: &str) {
        let figment = Figment::from(Toml::string(DEFAULTS));
        let values = vec![(name.to_owned(), given.to_owned())];
        let error = Config::of_operator(&figment.merge(Given { by: GivenBy::Flags, values })).unwrap_err().to_string();
        assert_eq!(error, format!("{name} = {told}"));
    }

    #[test]
    fn what_makes_no_sense_in_operation_is_refused_at_start() {
        let mend = "must be from 5 to 3600";
        check_refused("lease_seconds", "86400", &format!("\"86400\" (from --set lease_seconds): {mend}"));
        check_refused("lease_seconds", "4", &format!("\"4\" (from --set lease_seconds): {mend}"));
        for (given, shown) in [
            ("https://ampout.test/mail", "https://ampout.test/mail"),
            ("https://ampout.test/?a=b", "https://ampout.test/?a=b"),
            ("ampout.test", "ampout.test"),
            ("https://me:secret@ampout.test", "(hidden)"),
        ] {
            let told =
                format!("{shown:?} (from --set public_url): write https://host, without a path, a name or a query");
            check_refused("public_url", given, &told);
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        for given in [folder.path().join("missing"), file] {
            let given = given.display().to_string();
            for name in ["plugins_dir", "scripts_dir"] {
                check_refused(
                    name,
                    &given,
                    &format!("{given:?} (from --set {name}): is no folder; make it, or leave the setting empty"),
                );
            }
        }
        check_refused(
            "database_url",
            "sqlite::memory:",
            "\"(hidden)\" (from --set database_url): a database in memory is gone with each connection; name a file: sqlite:///path/ampout.db",
        );
        check_refused(
            "database_connections",
            "2",
            "\"2\" (from --set database_connections): must be 0 or from 4 to 1000",
        );
    }

    #[test]
    fn what_an_operator_may_set_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let settings = [
            ("lease_seconds", "3600".to_owned()),
            ("public_url", "https://ampout.test/".to_owned()),
            ("scripts_dir", folder.path().display().to_string()),
            ("database_connections", "40".to_owned()),
        ];
        let values = settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let figment = Figment::from(Toml::string(DEFAULTS)).merge(Given { by: GivenBy::Flags, values });
        let config = Config::of_operator(&figment).unwrap();
        assert_eq!(config.public_url.unwrap().as_str(), "https://ampout.test/");
    }
}
