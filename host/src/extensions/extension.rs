//! A loaded extension: a version whose bytes were checked, compiled and tried, and that can be asked.

use std::fmt;

use super::breaker::Breaker;
use super::manifest::Manifest;
use super::rhai::ScriptProgram;
use super::wasm::ComponentProgram;
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
    pub(super) sha256: String,
    pub(super) file: String,
    pub(super) program: Program,
    pub(super) breaker: Breaker,
}

pub(super) enum Program {
    Component(ComponentProgram),
    Script(ScriptProgram),
}

impl LoadedExtension {
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
            Program::Component(_) => EngineKind::Component,
            Program::Script(_) => EngineKind::Script,
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

    /// Whether it failed so often that it rests.
    pub fn is_suspended(&self) -> bool {
        self.breaker.is_suspended()
    }
}

impl fmt::Debug for LoadedExtension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{} ({})", self.name(), self.version(), self.sha256)
    }
}
