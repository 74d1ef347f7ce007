//! A real PostgreSQL: one cluster for all tests of the process, started by the first that asks, and an empty database
//! for each test. The cluster ends with the process.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::free_port::{free_port, retry_while_ports_are_taken};
use crate::process::{Launch, Server, find_program, new_directory, output_of, running_as_root};

/// The cluster's own folder within the server's.
const DATA: &str = "data";
/// Debian keeps each version's programs in a folder of its own, outside `PATH`.
const DEBIAN_VERSIONS: &str = "/usr/lib/postgresql";

/// Settings for a server whose data nobody needs tomorrow. Without fsync a test is several times faster, and what is
/// tested here is the engine's crash, not the machine's: the kernel keeps what PostgreSQL wrote.
const SETTINGS: &[&str] = &[
    "fsync=off",
    "full_page_writes=off",
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=300",
    "shared_buffers=64MB",
    // A test that hangs on a lock shall say so rather than wait for ever.
    "lock_timeout=20s",
];

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();

/// A new empty database, as a URL for `AMPOUT_DATABASE_URL`. It is gone with the cluster.
pub async fn fresh_database() -> anyhow::Result<String> {
    static NUMBER: AtomicUsize = AtomicUsize::new(1);
    let cluster = CLUSTER.get_or_try_init(Cluster::start).await?;
    let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let mut admin = cluster.connect().await?;
    // The name is ours: letters, an underscore, digits.
    sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut admin).await?;
    admin.close().await?;
    Ok(cluster.url(&name))
}

/// A server and its databases. The one of all tests is never dropped, since statics are not: its guardian ends it when the
/// process is gone.
#[derive(Debug)]
pub struct Cluster {
    server: Server,
    postgres: PathBuf,
    port: u16,
}

impl Cluster {
    /// One for a test that stops it. Dropping it ends it.
    pub async fn start() -> anyhow::Result<Self> {
        let initdb = find_program("initdb", &debian_folders())?;
        let programs = initdb.parent().context("initdb has no folder")?;
        retry_while_ports_are_taken(async || Self::start_once(programs).await).await
    }

    async fn start_once(programs: &Path) -> anyhow::Result<Self> {
        let port = free_port()?;
        let directory = new_directory("postgres")?;
        make_cluster(programs, &directory)?;
        let postgres = programs.join("postgres");
        let mut command = serve(&postgres, directory.path(), port);
        let server = Server::start(launch(&mut command), directory)?;
        let mut cluster = Self { server, postgres, port };
        cluster.ready().await?;
        Ok(cluster)
    }

    /// Starts it again after it was ended by [`Cluster::signal`], with the data that it had.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        let mut command = serve(&self.postgres, self.server.directory(), self.port);
        self.server.start_again(launch(&mut command))?;
        self.ready().await
    }

    async fn ready(&mut self) -> anyhow::Result<()> {
        let url = url(self.port, "postgres");
        self.server.ready(async || Ok(PgConnection::connect(&url).await?.close().await?)).await
    }

    /// The URL of a database that is there from the beginning.
    pub fn first_database(&self) -> String {
        self.url("postgres")
    }

    /// Lets all its processes stand still (`STOP`), go on (`CONT`) or end at once (`QUIT`).
    pub fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let server = self.server.id();
        // Each connection is served by a child in a process group of its own.
        let children = fs::read_to_string(format!("/proc/{server}/task/{server}/children"))?;
        output_of(Command::new("kill").args(["-s", signal, &server.to_string()]))?;
        for child in children.split_whitespace() {
            // One that has ended meanwhile needs no signal.
            let _ = output_of(Command::new("kill").args(["-s", signal, child]));
        }
        Ok(())
    }

    async fn connect(&self) -> anyhow::Result<PgConnection> {
        Ok(PgConnection::connect(&self.url("postgres")).await?)
    }

    fn url(&self, database: &str) -> String {
        url(self.port, database)
    }
}

/// SIGQUIT is its immediate end, which leaves connections no say.
fn launch(command: &mut Command) -> Launch<'_> {
    Launch { name: "postgres", command, stop_signal: "QUIT" }
}

fn serve(postgres: &Path, directory: &Path, port: u16) -> Command {
    let mut command = unprivileged(postgres);
    command.arg("-D").arg(directory.join(DATA)).arg("-p").arg(port.to_string());
    for setting in SETTINGS {
        command.args(["-c", setting]);
    }
    command
}

fn url(port: u16, database: &str) -> String {
    format!("postgres://ampout@127.0.0.1:{port}/{database}")
}

fn make_cluster(programs: &Path, directory: &TempDir) -> anyhow::Result<()> {
    if running_as_root() {
        let number = |flag| -> anyhow::Result<u32> {
            Ok(output_of(Command::new("id").args([flag, "postgres"]))?.trim().parse()?)
        };
        chown(directory.path(), Some(number("-u")?), Some(number("-g")?))?;
    }
    let data = directory.path().join(DATA);
    let mut initdb = unprivileged(&programs.join("initdb"));
    initdb.arg("-D").arg(&data).args(["-U", "ampout", "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]);
    output_of(&mut initdb)?;
    Ok(())
}

/// A command that runs as `postgres` where we are root, because PostgreSQL refuses to serve root.
fn unprivileged(program: &Path) -> Command {
    // A folder that the other user may stand in.
    const ANYWHERE: &str = "/";
    let mut command = match running_as_root() {
        true => Command::new("setpriv"),
        false => Command::new(program),
    };
    if running_as_root() {
        command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--"]).arg(program);
    }
    command.current_dir(ANYWHERE);
    command
}

/// The program folders of Debian's PostgreSQL packages, the newest version first.
fn debian_folders() -> Vec<PathBuf> {
    let versions = fs::read_dir(DEBIAN_VERSIONS).into_iter().flatten().flatten();
    let mut numbers: Vec<u32> = versions.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    numbers.iter().map(|number| Path::new(DEBIAN_VERSIONS).join(number.to_string()).join("bin")).collect()
}
