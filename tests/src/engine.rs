//! The engine under test, started in this process as `ampout serve` starts it, on either database, with a clock that a
//! story moves. It is driven over HTTP alone; what a story asserts, a customer could have seen.

use std::fmt::Display;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use ampout::clock::Clock;
use ampout::config::Config;
use ampout::domain::Timestamp;
use ampout::server::Server;
use anyhow::Context;
use tempfile::TempDir;

use crate::api::Api;
use crate::wait::{PATIENCE, eventually};

/// Longer than any story's time, so that a clock that is moved by days takes no send from the node that holds it.
const LEASE_SECONDS: &str = "31536000";

/// Where the engine keeps its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    /// A file in a folder of its own.
    Sqlite,
    /// A database of its own in the cluster of all tests.
    Postgres,
}

/// A running engine. A story that is done calls [`Engine::stop`]; one that fails leaves it to the end of its runtime.
pub struct Engine {
    /// The engine's time.
    pub clock: Clock,
    /// The API with the key of the first account.
    pub api: Api,
    config: Config,
    server: Server,
    /// Where the database is, for the shell.
    settings: [(&'static str, String); 2],
    folder: TempDir,
}

/// What an engine is started with. The default: a clock that runs with the system's, 127.0.0.1 within bounds, no DNS
/// server, plain text allowed for webhooks.
pub struct EngineOptions {
    database: Database,
    clock: Clock,
    trusted: Vec<String>,
    settings: Vec<(&'static str, String)>,
}

impl Engine {
    /// The options to start one with.
    pub fn on(database: Database) -> EngineOptions {
        let set = |name, value: &str| (name, value.to_owned());
        let settings = vec![
            set("listen", "127.0.0.1:0"),
            set("metrics_listen", ""),
            set("egress_allow", "127.0.0.0/8"),
            set("allow_plaintext", "true"),
            set("rate_limit_per_minute", "1000000"),
            set("failed_authentications_per_minute", "1000000"),
            set("signup", "open"),
            set("lease_seconds", LEASE_SECONDS),
            // Nobody answers there: a story that needs names starts a server and says so.
            set("dns_servers", "127.0.0.1:9"),
        ];
        EngineOptions { database, clock: Clock::movable(), trusted: Vec::new(), settings }
    }

    /// The API with the key of another, new account.
    pub async fn another_account(&self) -> anyhow::Result<Api> {
        Api::sign_up(&self.base()).await
    }

    /// The API's address.
    pub fn base(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// Asks `check` until it holds, and moves the clock by `step` each time it does not.
    pub async fn as_time_passes<T, S: Display>(
        &self,
        step: Duration,
        what: &str,
        mut check: impl AsyncFnMut() -> Result<T, S>,
    ) -> anyhow::Result<T> {
        eventually(what, async || {
            let seen = check().await;
            if seen.is_err() {
                self.clock.advance(step);
            }
            seen
        })
        .await
    }

    /// Moves the clock to `time`, if that is still to come.
    pub fn move_to(&self, time: Timestamp) {
        self.clock.advance(self.clock.now().until(time));
    }

    /// What the program says when an operator runs it beside the engine, on the same database.
    pub async fn shell(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new("timeout");
        command.arg(PATIENCE.as_secs().to_string()).arg(crate::binary::path()?).args(arguments);
        command.current_dir(self.folder.path()).envs(self.settings.iter().cloned()).stdin(Stdio::null());
        let told = tokio::task::spawn_blocking(move || command.output()).await??;
        let (out, err) = (String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
        anyhow::ensure!(told.status.success(), "{arguments:?} ends with {}\n{out}\n{err}", told.status);
        Ok(out.into_owned())
    }

    /// The settings that it was started with: another node of it has the same.
    pub fn config(&self) -> Config {
        self.config.clone()
    }

    /// Stops it as SIGTERM does.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

impl EngineOptions {
    /// Another clock.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Trusts this certificate authority, given as PEM, too.
    pub fn trust(mut self, ca_pem: &str) -> Self {
        self.trusted.push(ca_pem.to_owned());
        self
    }

    /// The name server.
    pub fn dns(self, address: SocketAddr) -> Self {
        self.set("dns_servers", address)
    }

    /// Any setting, by its name in `ampout.toml`.
    pub fn set(mut self, name: &'static str, value: impl Display) -> Self {
        self.settings.retain(|(known, _)| *known != name);
        self.settings.push((name, value.to_string()));
        self
    }

    /// Starts it on a new database and makes the first account.
    pub async fn start(mut self) -> anyhow::Result<Engine> {
        let folder = crate::process::new_directory("engine")?;
        if !self.trusted.is_empty() {
            let file = folder.path().join("trusted.pem");
            std::fs::write(&file, self.trusted.join("\n"))?;
            self = self.set("extra_ca", file.display());
        }
        let url = match self.database {
            Database::Sqlite => String::new(),
            Database::Postgres => crate::postgres::fresh_database().await?,
        };
        let data = folder.path().join("data");
        let settings = [("AMPOUT_DATA_DIR", data.display().to_string()), ("AMPOUT_DATABASE_URL", url.clone())];
        let options = self.set("data_dir", data.display()).set("database_url", url);
        let config = Config::from_settings(&options.settings)?;
        let server = Server::start(config.clone(), options.clock.clone()).await.context("the engine did not start")?;
        let api = Api::sign_up(&format!("http://{}", server.address())).await?;
        Ok(Engine { clock: options.clock, api, config, server, settings, folder })
    }
}
