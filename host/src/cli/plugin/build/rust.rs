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

/// Where cargo builds, in the plugin's folder. A folder that plugins share, by `CARGO_TARGET_DIR` or `build.target-dir`, has
/// one file for all that call their library the same: the code of one would be packed with the manifest of another.
const TARGET_FOLDER: &str = "target";

/// Compiles, and gives the path of the module.
fn module(folder: &Path, target: &str) -> anyhow::Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(folder)
        .args(["build", "--release", "--lib", "--target", target, "--message-format", "json-render-diagnostics"])
        .args(["--target-dir", TARGET_FOLDER])
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
    let manifest = folder.join("Cargo.toml");
    module_of(&built.stdout, &manifest).with_context(|| {
        format!("{}: makes no module; add crate-type = [\"cdylib\", \"rlib\"] to [lib]", manifest.display())
    })
}

/// The module of the package with this manifest, among all that cargo tells it has made.
fn module_of(told: &[u8], manifest: &Path) -> Option<PathBuf> {
    let manifest = manifest.canonicalize().ok()?;
    let is_of_plugin = |message: &Value| {
        let path = message["manifest_path"].as_str().and_then(|path| Path::new(path).canonicalize().ok());
        message["reason"] == "compiler-artifact" && path.is_some_and(|path| path == manifest)
    };
    let messages = told.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let mut files = messages.filter(is_of_plugin).flat_map(|mut message| {
        serde_json::from_value::<Vec<PathBuf>>(message["filenames"].take()).unwrap_or_default()
    });
    files.find(|file| file.extension().is_some_and(|ending| ending == "wasm"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_is_the_plugins_own_whatever_its_dependencies_make() {
        let parent = tempfile::tempdir().unwrap();
        let manifest = |name: &str| {
            let folder = parent.path().join(name);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("Cargo.toml"), "").unwrap();
            folder.join("Cargo.toml")
        };
        let (mine, other) = (manifest("mine"), manifest("other"));
        let made = |manifest: &Path, file: &str| {
            serde_json::json!({ "reason": "compiler-artifact", "manifest_path": manifest, "filenames": ["lib.rlib", file] })
                .to_string()
        };
        let told = [made(&mine, "mine.wasm"), made(&other, "other.wasm"), r#"{"reason":"build-finished"}"#.to_owned()];
        let told = told.join("\n");
        assert_eq!(module_of(told.as_bytes(), &mine), Some("mine.wasm".into()));
        assert_eq!(module_of(told.as_bytes(), &other), Some("other.wasm".into()));
        assert_eq!(module_of(made(&mine, "mine.so").as_bytes(), &mine), None);
    }
}
