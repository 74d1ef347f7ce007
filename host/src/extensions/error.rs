//! What can go wrong with an extension, as enums that a caller can act on. Each prints as one line that a person can mend
//! the extension by.

use std::fmt;
use std::time::Duration;

use super::hooks::BadAnswer;
use super::manifest::ManifestError;
use crate::domain::status::Hook;

/// Why a call gave no decision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Too many calls at once; not the extension's fault.
    #[error("no call slot was free in time")]
    Busy,
    /// The extension has no such hook; not its fault.
    #[error("the extension does not serve {hook}")]
    NotServed {
        /// What was asked.
        hook: Hook,
    },
    /// The engine could not make an instance; not the extension's fault.
    #[error("the engine could not start the call: {reason}")]
    Engine {
        /// The engine's words.
        reason: String,
    },
    /// It is bound and can't be loaded; not the fault of a call.
    #[error("it can't be loaded: {reason}")]
    NotLoaded {
        /// Why, with the mend.
        reason: String,
    },
    /// It used up its time.
    #[error("it ran past its limit of {limit:?}")]
    OutOfTime {
        /// The limit that was passed.
        limit: Duration,
    },
    /// It asked for more memory than it may have.
    #[error("it asked for more than its {limit_bytes} bytes of memory")]
    OutOfMemory {
        /// The limit.
        limit_bytes: usize,
    },
    /// It gave more than the host copies in one piece.
    #[error("it passed more than {limit_bytes} bytes to the host at once")]
    TooLarge {
        /// The limit.
        limit_bytes: usize,
    },
    /// The component stopped itself or was stopped.
    #[error("it trapped: {reason}")]
    Trapped {
        /// What the engine says of it.
        reason: String,
    },
    /// The script failed.
    #[error("{0}")]
    Script(ScriptError),
    /// The answer is outside the vocabulary.
    #[error("bad answer: {0}")]
    BadAnswer(#[from] BadAnswer),
}

/// Too many calls at once: nobody was asked, and the same question may be answered later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no call slot was free in time; ask again")]
pub struct HostBusy;

impl CallError {
    /// Whether the breaker counts it.
    pub fn is_the_extensions_fault(&self) -> bool {
        !matches!(self, Self::Busy | Self::NotServed { .. } | Self::Engine { .. } | Self::NotLoaded { .. })
    }

    /// What kind of failure it is, in words that quote nothing: the text of an error may have some of the mail in it that the
    /// extension was asked about, which belongs to one account alone.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Busy => "no slot was free",
            Self::NotServed { .. } => "it does not serve the hook",
            Self::Engine { .. } => "the engine could not start it",
            Self::NotLoaded { .. } => "it could not be loaded",
            Self::OutOfTime { .. } => "the limit of time",
            Self::OutOfMemory { .. } => "the limit of memory",
            Self::TooLarge { .. } => "the limit of what is copied at once",
            Self::Trapped { .. } => "it trapped",
            Self::Script(error) if error.is_limit => "a limit of time or size",
            Self::Script(_) => "it raised an error",
            Self::BadAnswer(_) => "its answer was wrong",
        }
    }
}

/// A fault in a script, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptError {
    /// The file's name.
    pub script: String,
    /// From 1; 0 where the place is unknown.
    pub line: usize,
    /// From 1; 0 where the place is unknown.
    pub column: usize,
    /// The offending line of text, trimmed.
    pub text: String,
    /// What is wrong.
    pub message: String,
    /// One of the limits of a call ended it.
    pub is_limit: bool,
}

impl std::error::Error for ScriptError {}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            return write!(f, "{}: {}", self.script, self.message);
        }
        write!(f, "{}:{}:{}: {}", self.script, self.line, self.column, self.message)?;
        if self.text.is_empty() { Ok(()) } else { write!(f, " | {}", self.text) }
    }
}

/// Why an extension was not loaded. What was active stays active.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The file is over its limit.
    #[error("{file}: {bytes} bytes; at most {limit} are taken")]
    TooLarge {
        /// The file's name.
        file: String,
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A script that is not UTF-8.
    #[error("{file}:{line}: byte {offset} is not UTF-8; save the script as UTF-8")]
    NotUtf8 {
        /// The file's name.
        file: String,
        /// The line of the byte, from 1.
        line: usize,
        /// Where the byte is, from 0.
        offset: usize,
    },
    /// The manifest can't be read.
    #[error("{file}: {error}")]
    Manifest {
        /// The file's name.
        file: String,
        /// What is wrong, with its line or field.
        error: ManifestError,
    },
    /// The script does not compile, or lacks a function.
    #[error("{0}")]
    Script(ScriptError),
    /// The file is no component that this host can run.
    #[error("{file}: {reason}")]
    Component {
        /// The file's name.
        file: String,
        /// What is wrong and how to mend it.
        reason: String,
    },
    /// One of its own examples did not come out as it says.
    #[error("{file}: example {example}: {reason}")]
    Example {
        /// The file's name.
        file: String,
        /// The example's name or number.
        example: String,
        /// What came out.
        reason: String,
    },
    /// Its signature is wrong, or there is none where one is required.
    #[error("{file}: {reason}")]
    Signature {
        /// The file's name.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The host could not do its part; not the extension's fault.
    #[error("{file}: not loaded: {reason}")]
    Engine {
        /// The file's name.
        file: String,
        /// The engine's words.
        reason: String,
    },
}

/// Why the host could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The machine does not give what wasmtime needs, such as executable memory.
    #[error("the WebAssembly engine does not start: {0}")]
    Engine(String),
    /// The folder of the compile cache can't be used.
    #[error("the compile cache in {folder} can't be used: {reason}")]
    Cache {
        /// The folder.
        folder: String,
        /// What is wrong.
        reason: String,
    },
    /// A thread could not be started.
    #[error("the clock thread of the WebAssembly engine does not start")]
    Thread(#[source] std::io::Error),
}
