//! The peers' process: a line `ROW CALLS` to it, a line of nanoseconds back.

use std::cell::RefCell;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::rc::Rc;

use anyhow::{Context as _, ensure};

use crate::ours::{Facts, NOTHING, REPLY, TEN_LINES};
use crate::{Asked, Row};

const ROWS: [(&str, &str, &str); 9] = [
    (REPLY, "Extism, a fresh instance a call", "extism-fresh"),
    (REPLY, "Extism, a fresh instance a call, with a pool", "extism-pooled"),
    (REPLY, "Extism, one instance for all calls", "extism-reused"),
    (NOTHING, "Extism, a fresh instance a call", "extism-nothing-fresh"),
    (NOTHING, "Extism, a fresh instance a call, with a pool", "extism-nothing-pooled"),
    (NOTHING, "Extism, one instance for all calls", "extism-nothing-reused"),
    (TEN_LINES, "mlua (LuaJIT), the message as userdata", "lua-userdata"),
    (TEN_LINES, "mlua (LuaJIT), the message as a table", "lua-table"),
    (TEN_LINES, "mlua (LuaJIT), a fresh state a call", "lua-fresh"),
];

struct Process {
    child: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
}

struct Peer(Rc<RefCell<Process>>, &'static str);

/// Starts the peers, whose program lies beside this one.
pub(crate) fn rows(facts: &Facts) -> anyhow::Result<Vec<Row>> {
    let beside = std::env::current_exe()?.with_file_name("extension-bench-peers");
    let guest = std::env::var_os("EXTISM_GUEST").context("EXTISM_GUEST names Extism's plugin; use ./run")?;
    let folder = tempfile::tempdir()?;
    let message = folder.path().join("message.json");
    std::fs::write(&message, serde_json::to_vec(&*facts.message)?)?;
    let mut command = Command::new(&beside);
    command.arg(&message).arg(guest).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().with_context(|| beside.display().to_string())?;
    let asks = child.stdin.take().context("no input")?;
    let mut answers = BufReader::new(child.stdout.take().context("no output")?);
    // It says that it has read the message.
    let mut ready = String::new();
    answers.read_line(&mut ready)?;
    ensure!(ready == "ready\n", "the peers did not start");
    let process = Rc::new(RefCell::new(Process { child, asks, answers }));
    let row = |(question, name, id): (&'static str, &str, &'static str)| Row {
        question,
        name: str::to_owned(name),
        is_yardstick: false,
        goal: None,
        asked: Box::new(Peer(Rc::clone(&process), id)),
        nanos: Vec::new(),
    };
    Ok(ROWS.map(row).into())
}

impl Asked for Peer {
    fn round(&mut self, calls: usize) -> anyhow::Result<Vec<u64>> {
        let mut process = self.0.borrow_mut();
        writeln!(process.asks, "{} {calls}", self.1)?;
        let mut line = String::new();
        process.answers.read_line(&mut line)?;
        let nanos: Vec<u64> = line.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        ensure!(nanos.len() == calls, "{} answered {} of {calls} calls", self.1, nanos.len());
        Ok(nanos)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
