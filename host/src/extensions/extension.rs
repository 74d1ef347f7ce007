//! A loaded extension: a version whose bytes were checked, compiled and tried, and that can be asked.

use std::fmt;

use super::breaker::{Breaker, Failure};
use super::error::LoadError;
use super::later::Later;
use super::manifest::Manifest;
use super::rhai::ScriptProgram;
use super::signature::Vouched;
use super::wasm::ComponentProgram;
use crate::domain::ids::AccountId;
use crate::domain::status::{Hook, words};

words! {
    /// What runs an extension.
    pub EngineKind {
        /// A WebAssembly component.
        Component = "component",
        /// A Rhai script.
        Script = "script",
    }
}

/// A version of an extension, ready to be asked. It never changes; its breaker does.
pub struct LoadedExtension {
    pub(super) manifest: Manifest,
    /// None: the system.
    pub(super) owner: Option<AccountId>,
    pub(super) sha256: String,
    pub(super) file: String,
    pub(super) vouched: Vouched,
    pub(super) program: Program,
    pub(super) breaker: Breaker,
}

pub(super) enum Program {
    Component(ComponentProgram),
    Script(ScriptProgram),
    /// A shipped component that nobody has asked yet.
    Later(Later),
    /// A version that is bound and can't be loaded, and why. It keeps its place and fails there: without it a gate would be
    /// open, and a message would be classified by whoever comes next.
    Unloadable(EngineKind, String),
}

impl LoadedExtension {
    /// A version that is bound and can't be loaded for this reason; each call of it fails.
    pub fn unloadable(manifest: Manifest, engine: EngineKind, sha256: String, file: String, reason: String) -> Self {
        let program = Program::Unloadable(engine, reason);
        Self { manifest, owner: None, sha256, file, vouched: Vouched::default(), program, breaker: Breaker::default() }
    }

    /// Its name; an adapter's is its provider.
    pub fn name(&self) -> &str {
        &self.manifest.name
    }

    /// Its semantic version.
    pub fn version(&self) -> &semver::Version {
        &self.manifest.version
    }

    /// What runs it.
    pub fn engine(&self) -> EngineKind {
        match self.program {
            Program::Component(_) | Program::Later(_) => EngineKind::Component,
            Program::Script(_) => EngineKind::Script,
            Program::Unloadable(engine, _) => engine,
        }
    }

    /// The hooks it serves.
    pub fn hooks(&self) -> &[Hook] {
        &self.manifest.hooks
    }

    /// The SHA-256 of its bytes in hexadecimal: what it is addressed by.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// What it says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The name of the file it came from, for messages.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// How many of its examples came out as it says: all of them, or it would not be loaded.
    pub fn examples_passed(&self) -> usize {
        self.manifest.examples.len()
    }

    /// The trusted signer that vouches for it.
    pub fn signed_by(&self) -> Option<&str> {
        match &self.vouched {
            Vouched::By(signer) => Some(signer),
            _ => None,
        }
    }

    /// Fails unless a trusted signer vouches for it, with the mend.
    pub fn require_signature(&self) -> Result<(), LoadError> {
        let reason = match &self.vouched {
            Vouched::By(_) => return Ok(()),
            Vouched::Unknown(signer) => format!("is signed by {signer}, whose key is not among trusted_signers"),
            _ => "is not signed, and require_signatures is on; sign it with `ampout plugin sign`".to_owned(),
        };
        Err(LoadError::Signature { file: self.file.clone(), reason })
    }

    /// Whether a call may have to wait for the network.
    pub(super) fn may_fetch(&self) -> bool {
        match &self.program {
            Program::Component(program) => program.may_fetch(),
            Program::Script(_) | Program::Later(_) | Program::Unloadable(..) => false,
        }
    }

    /// Whether it failed so often that it rests, for one account at least.
    pub fn is_suspended(&self) -> bool {
        self.last_failure(None).is_some()
    }

    /// The failure for which it rests for an account, or for anybody.
    pub fn last_failure(&self, account: Option<AccountId>) -> Option<Failure> {
        match account {
            Some(_) => self.breaker.why_for(account),
            None => self.breaker.why(),
        }
    }
}

impl fmt::Debug for LoadedExtension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{} ({})", self.name(), self.version(), self.sha256)
    }
}
