//! A real server as a child process in the foreground: its folder, its log, its readiness and its end. The end holds
//! whichever way the test ends, a panic or a kill among them. Knows no protocol.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, anyhow, bail};
use tempfile::TempDir;

use crate::free_port::PortTaken;
use crate::wait::eventually;

/// Waits for the harness to close the pipe, which the kernel does when the test process dies, however it dies. A death
/// signal (`PR_SET_PDEATHSIG`) would not do: it is tied to the test's thread and lost when a server changes its user.
const GUARDIAN: &str = r#"
trap '' INT HUP TERM
server=$1 signal=$2 directory=$3
read -r _
kill -s "$signal" -- "-$server" 2>/dev/null
checks=0
# An ended process may stay listed as a zombie until its new parent asks for it, which some never do.
while [ -e "/proc/$server" ] && ! grep -qs '^State:.Z' "/proc/$server/status" && [ "$checks" -lt 100 ]; do
    sleep 0.05
    checks=$((checks + 1))
done
kill -s KILL -- "-$server" 2>/dev/null
[ -n "$AMPOUT_TESTS_KEEP" ] || rm -rf -- "$directory"
"#;

/// How many of the log's last lines a failure shows.
const LOG_LINES_SHOWN: usize = 40;

/// What to run. The program stays in the foreground and writes its log to standard error.
pub(crate) struct Launch<'a> {
    /// What people call the server.
    pub(crate) name: &'static str,
    /// The command and its arguments.
    pub(crate) command: &'a mut Command,
    /// The signal that ends it, without `SIG`.
    pub(crate) stop_signal: &'static str,
}

/// A running server. Dropping it ends it and removes its folder, which `AMPOUT_TESTS_KEEP=1` prevents.
#[derive(Debug)]
pub(crate) struct Server {
    name: &'static str,
    directory: PathBuf,
    process: Child,
    guardian: Child,
}

impl Server {
    /// Starts the program. It is not ready yet: see [`Server::ready`].
    pub(crate) fn start(launch: Launch<'_>, directory: TempDir) -> anyhow::Result<Self> {
        let name = launch.name;
        let log = File::create(directory.path().join("log"))?;
        // A process group of its own: Ctrl-C at the terminal goes to the tests, and the guardian ends the server.
        let command = launch.command.process_group(0).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut process = command.spawn().with_context(|| format!("{name} could not be started"))?;
        let guardian = Command::new("sh")
            .args(["-c", GUARDIAN, "guardian", &process.id().to_string(), launch.stop_signal])
            .arg(directory.path())
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match guardian {
            Ok(guardian) => Ok(Self { name, directory: directory.keep(), process, guardian }),
            Err(error) => {
                process.kill()?;
                process.wait()?;
                Err(error).with_context(|| format!("{name} got no guardian"))
            }
        }
    }

    /// Waits until `check` holds. A server that ends before that fails at once, with [`PortTaken`] when that was why.
    pub(crate) async fn ready(&mut self, mut check: impl AsyncFnMut() -> anyhow::Result<()>) -> anyhow::Result<()> {
        let what = format!("{} to answer", self.name);
        let outcome = eventually(&what, async || {
            let answered = check().await;
            // Asked after the check: an answer may have come from another process that took our port.
            match self.ended() {
                Some(ended) => Ok(Err(ended)),
                None => answered.map(Ok).map_err(|error| format!("{error:#}")),
            }
        });
        let outcome = outcome.await;
        outcome.and_then(|alive| alive).map_err(|error| error.context(self.log_shown()))
    }

    /// The server's folder: configuration, data and `log`.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// All that the server has logged so far.
    pub(crate) fn log(&self) -> String {
        let bytes = fs::read(self.directory.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The end of the log under a headline, for a failure's text.
    pub(crate) fn log_shown(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let shown = lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n");
        format!("the end of {}'s log:\n{shown}", self.name)
    }

    fn ended(&mut self) -> Option<anyhow::Error> {
        let status = self.process.try_wait().transpose()?;
        let log = self.log().to_lowercase();
        if log.contains("address already in use") || log.contains("address in use") {
            return Some(PortTaken { server: self.name }.into());
        }
        Some(match status {
            Ok(status) => anyhow!("{} ended with {status}", self.name),
            Err(error) => anyhow!("{} can't be watched: {error}", self.name),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Closing the pipe is the guardian's cue. Both waits are bounded: it kills what has not ended after five seconds.
        drop(self.guardian.stdin.take());
        let _ = self.process.wait();
        let _ = self.guardian.wait();
    }
}

/// A new folder under the system's temporary one that servers of other users may enter.
pub(crate) fn new_directory(name: &str) -> anyhow::Result<TempDir> {
    let directory = tempfile::Builder::new().prefix(&format!("ampout-{name}-")).tempdir()?;
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755))?;
    Ok(directory)
}

/// Where `program` is, looked for in `PATH`, the system's folders for servers and `elsewhere`.
pub(crate) fn find_program(program: &str, elsewhere: &[PathBuf]) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from);
    let mut places = std::env::split_paths(&path).chain(system).chain(elsewhere.iter().cloned());
    let found = places.find_map(|place| Some(place.join(program)).filter(|candidate| candidate.is_file()));
    found.ok_or_else(|| anyhow!("{program} is not installed; run `tests/setup`, which installs what the tests need"))
}

/// Whether the tests run as root, whom some servers refuse to serve.
pub(crate) fn running_as_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// What `command` prints, or its error output as the failure.
pub(crate) fn output_of(command: &mut Command) -> anyhow::Result<String> {
    let program = command.get_program().to_os_string();
    let output = command.stdin(Stdio::null()).output().with_context(|| shown(&program))?;
    if !output.status.success() {
        bail!("{} ended with {}: {}", shown(&program), output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn shown(program: &OsStr) -> String {
    program.to_string_lossy().into_owned()
}
