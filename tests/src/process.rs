//! A real server as a child process in the foreground: its folder, its log, its readiness and its end. The end holds
//! whichever way the test ends, a panic or a kill among them. Knows no protocol.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use tempfile::TempDir;
use tokio::time::timeout;

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

/// How long one question for readiness may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
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
        let (process, guardian) = spawn(launch, directory.path())?;
        Ok(Self { name, directory: directory.keep(), process, guardian })
    }

    /// Starts a program that has ended once more, in the same folder.
    pub(crate) fn start_again(&mut self, launch: Launch<'_>) -> anyhow::Result<()> {
        self.process.wait()?;
        // The guardian of the one that has ended would take the folder with it.
        self.guardian.kill()?;
        self.guardian.wait()?;
        (self.process, self.guardian) = spawn(launch, &self.directory)?;
        Ok(())
    }

    /// Waits until `check` holds. A server that ends before that fails at once, with [`PortTaken`] when that was why.
    pub(crate) async fn ready(&mut self, mut check: impl AsyncFnMut() -> anyhow::Result<()>) -> anyhow::Result<()> {
        let what = format!("{} to answer", self.name);
        let outcome = eventually(&what, async || {
            // Another process may have taken our port and say nothing there.
            let answered = timeout(ANSWER_LIMIT, check()).await.unwrap_or_else(|_| Err(anyhow!("no answer yet")));
            // Asked after the check, since the answer may have been that process's.
            match self.ended() {
                Some(ended) => Ok(Err(ended)),
                None => answered.map(Ok).map_err(|error| format!("{error:#}")),
            }
        });
        let outcome = outcome.await;
        outcome.and_then(|alive| alive).map_err(|error| error.context(self.log_shown()))
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// How it ended, if it has.
    pub(crate) fn exit_status(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().ok().flatten()
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

    /// Why the server won't come up any more, if so.
    fn ended(&mut self) -> Option<anyhow::Error> {
        if self.log().to_lowercase().contains("address already in use") {
            return Some(PortTaken { server: self.name }.into());
        }
        Some(match self.process.try_wait().transpose()? {
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

/// The program, its log behind what is there, and its guardian.
fn spawn(launch: Launch<'_>, directory: &Path) -> anyhow::Result<(Child, Child)> {
    let name = launch.name;
    let log = File::options().create(true).append(true).open(directory.join("log"))?;
    // A process group of its own: Ctrl-C at the terminal goes to the tests, and the guardian ends the server.
    let command = launch.command.process_group(0).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let mut process = command.spawn().with_context(|| format!("{name} could not be started"))?;
    let guardian = Command::new("sh")
        .args(["-c", GUARDIAN, "guardian", &process.id().to_string(), launch.stop_signal])
        .arg(directory)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    match guardian {
        Ok(guardian) => Ok((process, guardian)),
        Err(error) => {
            process.kill()?;
            process.wait()?;
            Err(error).with_context(|| format!("{name} got no guardian"))
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Starts a shell script as a server whose port nobody answers.
    async fn outcome_of(script: &str) -> anyhow::Error {
        let mut command = Command::new("sh");
        let launch = Launch { name: "script", command: command.args(["-c", script]), stop_signal: "TERM" };
        let mut server = Server::start(launch, new_directory("script").unwrap()).unwrap();
        server.ready(async || Err(anyhow!("silence"))).await.unwrap_err()
    }

    #[tokio::test]
    async fn a_server_that_ends_is_told_at_once_with_its_log() {
        let failure = format!("{:#}", outcome_of("echo no such setting; exit 3").await);
        assert_eq!(failure, "the end of script's log:\nno such setting: script ended with exit status: 3");
    }

    #[tokio::test]
    async fn a_taken_port_is_known_from_the_log_even_while_the_server_lives() {
        assert!(outcome_of("echo bind: Address already in use; exec sleep 60").await.is::<PortTaken>());
    }

    #[tokio::test]
    async fn a_dropped_server_is_gone_with_its_folder_even_if_it_ignores_its_signal() {
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' TERM; echo ready; while :; do sleep 60; done"]);
        let launch = Launch { name: "script", command: &mut command, stop_signal: "TERM" };
        let mut server = Server::start(launch, new_directory("script").unwrap()).unwrap();
        let log = server.directory().join("log");
        let logged =
            async || fs::read_to_string(&log).ok().filter(|log| !log.is_empty()).context("no log yet").map(drop);
        server.ready(logged).await.unwrap();
        let (process, directory) = (format!("/proc/{}", server.process.id()), server.directory().to_owned());
        assert!(Path::new(&process).exists() && directory.exists());
        drop(server);
        assert!(!Path::new(&process).exists() && !directory.exists());
    }
}
