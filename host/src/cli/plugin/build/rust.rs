//! Plugins in Rust: cargo compiles, and the module becomes a component here, without another tool.

#[path = "../../../../build/guest_heap.rs"]
mod guest_heap;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, anyhow, bail};
use serde_json::Value;
use wit_component::ComponentEncoder;

/// What a plugin is compiled for; the first is the default and imports nothing but the host's own interfaces.
pub(super) const TARGETS: [&str; 2] = ["wasm32-unknown-unknown", "wasm32-wasip2"];

/// What the caller's shell says to compilers of native code.
const NOT_FOR_GUESTS: [&str; 4] =
    ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS", "CARGO_BUILD_TARGET"];

pub(super) fn component(folder: &Path, target: &str) -> anyhow::Result<Vec<u8>> {
    need_target(folder, target)?;
    let path = module(folder, target)?;
    let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
    // The linker of wasm32-wasip2 makes a component by itself; a module has 1 where a component has 13.
    if bytes.get(4) == Some(&13) {
        return Ok(bytes);
    }
    ComponentEncoder::default()
        .validate(true)
        .module(&bytes)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| anyhow!("{} is no plugin: {error:#}; does src/lib.rs call one of the SDK's macros, such as ampout_plugin::send_gate!(admit)?", path.display()))
}

/// Compiles, and gives the path of the module.
fn module(folder: &Path, target: &str) -> anyhow::Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(folder)
        .args(["build", "--release", "--lib", "--target", target, "--message-format", "json-render-diagnostics"])
        .args(guest_heap::CARGO_ARGUMENTS)
        // What cargo says goes to the author as it is said.
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    for name in NOT_FOR_GUESTS {
        cargo.env_remove(name);
    }
    let built = cargo.output().context("cargo can't be started; install Rust from https://rustup.rs")?;
    if !built.status.success() {
        bail!("{}: cargo could not build it; see above", folder.join("Cargo.toml").display());
    }
    // Dependencies come before what depends on them: the last module is the plugin, hence from the end.
    let messages =
        built.stdout.rsplit(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let mut files = messages.filter(|message| message["reason"] == "compiler-artifact").flat_map(|mut message| {
        serde_json::from_value::<Vec<PathBuf>>(message["filenames"].take()).unwrap_or_default()
    });
    let module = files.find(|file| file.extension().is_some_and(|ending| ending == "wasm"));
    module.with_context(|| {
        let file = folder.join("Cargo.toml");
        format!("{}: makes no module; add crate-type = [\"cdylib\", \"rlib\"] to [lib]", file.display())
    })
}

fn need_target(folder: &Path, target: &str) -> anyhow::Result<()> {
    let asked =
        Command::new("rustc").current_dir(folder).args(["--print", "target-libdir", "--target", target]).output();
    let asked = asked.context("rustc can't be started; install Rust from https://rustup.rs")?;
    let libraries = String::from_utf8_lossy(&asked.stdout).trim().to_owned();
    if !asked.status.success() || !Path::new(&libraries).is_dir() {
        bail!("the compiler has no target {target}; add it with\n\n    rustup target add {target}\n");
    }
    Ok(())
}
