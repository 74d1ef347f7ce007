//! The program itself, as a shell starts it: run to its end, or kept serving with a port of its own.

use std::ffi::OsString;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use anyhow::Context;
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::engine::Database;
use crate::free_port::{free_port, retry_while_ports_are_taken};
use crate::process::{Launch, Server, new_directory, output_of};
use crate::wait::{eventually, eventually_within};

const RUN_LIMIT: Duration = Duration::from_secs(120);

/// An installation: a data folder, and the settings that every run of the program is given.
#[derive(Debug)]
pub struct Installation {
    /// The program, or what starts it: a program, its arguments and then ours.
    command_line: Vec<OsString>,
    settings: Vec<(String, String)>,
    folder: TempDir,
}

/// `ampout serve`, running. Dropping it ends it.
#[derive(Debug)]
pub struct Serving {
    server: Server,
    address: SocketAddr,
}

impl Installation {
    /// A new one, with these settings as `AMPOUT_*`.
    pub fn new(settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let folder = new_directory("installation")?;
        let mut all: Vec<_> = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        all.push(("AMPOUT_DATA_DIR".to_owned(), folder.path().join("data").display().to_string()));
        all.push(("AMPOUT_METRICS_LISTEN".to_owned(), String::new()));
        Ok(Self { command_line: vec![crate::binary::path()?.into()], settings: all, folder })
    }

    /// A new one on a database of its own that may send to 127.0.0.1 without TLS and lets anybody sign up, with these
    /// settings besides.
    pub async fn on(database: Database, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let url = match database {
            Database::Sqlite => String::new(),
            Database::Postgres => crate::postgres::fresh_database().await?,
        };
        Self::at(&url, settings)
    }

    /// The same on the database with this URL; empty: SQLite in its data folder.
    pub fn at(url: &str, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let usual = [
            ("AMPOUT_DATABASE_URL", url),
            ("AMPOUT_EGRESS_ALLOW", "127.0.0.0/8"),
            ("AMPOUT_ALLOW_PLAINTEXT", "true"),
            ("AMPOUT_RATE_LIMIT_PER_MINUTE", "1000000"),
            ("AMPOUT_SIGNUP", "open"),
        ];
        Self::new(&[&usual, settings].concat())
    }

    /// The same, started by this program with these arguments before its own.
    pub fn started_by(mut self, command_line: &[&str]) -> Self {
        self.command_line.splice(..0, command_line.iter().map(OsString::from));
        self
    }

    /// The database's URL; empty: SQLite in its data folder.
    pub fn database_url(&self) -> &str {
        self.settings.iter().find(|(name, _)| name == "AMPOUT_DATABASE_URL").map_or("", |(_, url)| url)
    }

    /// Runs the program to its end, for at most two minutes.
    pub async fn run(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        let folder = new_directory("run")?;
        let (stdout, stderr) = (folder.path().join("stdout"), folder.path().join("stderr"));
        let mut command = self.command(arguments);
        command.stdin(Stdio::null()).stdout(File::create(&stdout)?).stderr(File::create(&stderr)?);
        let mut process = command.spawn()?;
        let ended = eventually_within(RUN_LIMIT, "the program to end", async || match process.try_wait() {
            Ok(Some(status)) => Ok(status),
            Ok(None) => Err(fs::read_to_string(&stdout).unwrap_or_default()),
            Err(error) => Err(error.to_string()),
        })
        .await;
        if ended.is_err() {
            process.kill()?;
            process.wait()?;
        }
        Ok(Output { status: ended?, stdout: fs::read(stdout)?, stderr: fs::read(stderr)? })
    }

    /// Starts `ampout serve` and waits until it answers.
    pub async fn serve(&self) -> anyhow::Result<Serving> {
        retry_while_ports_are_taken(async || {
            let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
            let mut command = self.command(&["serve"]);
            command.env("AMPOUT_LISTEN", address.to_string());
            let launch = Launch { name: "ampout", command: &mut command, stop_signal: "TERM" };
            let mut server = Server::start(launch, new_directory("serve")?)?;
            server.ready(async || Ok(TcpStream::connect(address).await.map(drop)?)).await?;
            Ok(Serving { server, address })
        })
        .await
    }

    /// Where it keeps its data.
    pub fn data_folder(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.command_line[0]);
        command.args(&self.command_line[1..]);
        // No AMPOUT_* of whoever runs the tests, and no ampout.toml of theirs.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AMPOUT_")) {
            command.env_remove(name);
        }
        command.args(arguments).envs(self.settings.iter().cloned()).current_dir(self.folder.path());
        command
    }
}

impl Serving {
    /// The API's address.
    pub fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.server.id()
    }

    /// All that it has logged.
    pub fn log(&self) -> String {
        self.server.log()
    }

    /// Sends a signal, `TERM` or `KILL`, and waits for the end.
    pub async fn end_by(&mut self, signal: &str) -> anyhow::Result<ExitStatus> {
        output_of(Command::new("kill").args(["-s", signal, &self.server.id().to_string()]))?;
        let ended = eventually("the program to end", async || match self.server.exit_status() {
            Some(status) => Ok(status),
            None => Err("it runs"),
        });
        ended.await.with_context(|| self.server.log_shown())
    }
}
