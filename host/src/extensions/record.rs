//! What is kept of a call: its time, its log lines and what it used.

use serde::{Deserialize, Serialize};

const MOST_LINES: usize = 64;
const LONGEST_LINE: usize = 1024;

/// How serious a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// For the author.
    Debug,
    /// Worth a note.
    Info,
    /// Worth a look.
    Warn,
    /// Wrong.
    Error,
}

impl std::fmt::Display for LogLevel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        })
    }
}

/// A line that an extension logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// How serious it is.
    pub level: LogLevel,
    /// The text, at most 1 KiB of it.
    pub message: String,
}

/// The log lines of one call: at most 64 of 1 KiB; the rest is dropped and counted.
#[derive(Debug, Default)]
pub(super) struct LogBuffer {
    lines: Vec<LogLine>,
    dropped: u64,
}

/// What one call took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallRecord {
    /// From the permit to the checked answer, in microseconds.
    pub micros: u64,
    /// What it logged.
    pub logs: Vec<LogLine>,
    /// Operations of the interpreter, of a script.
    pub operations: Option<u64>,
    /// Instructions, of a component that was measured: the same on every machine.
    pub instructions: Option<u64>,
    /// The most linear memory it had, in bytes, of a component.
    pub memory_bytes: Option<u64>,
}

impl LogBuffer {
    /// Keeps a line, or counts it when there are too many.
    pub(super) fn write(&mut self, level: LogLevel, message: &str) {
        if self.lines.len() >= MOST_LINES {
            self.dropped = self.dropped.saturating_add(1);
            return;
        }
        let mut end = message.len().min(LONGEST_LINE);
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        self.lines.push(LogLine { level, message: message[..end].to_owned() });
    }

    /// The lines, the last of which tells how many were dropped.
    pub(super) fn finish(mut self) -> Vec<LogLine> {
        if self.dropped > 0 {
            let message = format!("{} more lines were dropped; a call keeps {MOST_LINES}", self.dropped);
            self.lines.push(LogLine { level: LogLevel::Warn, message });
        }
        self.lines
    }
}
