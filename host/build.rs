//! Puts the shipped extensions into the binary: builds the plugins for WebAssembly, makes components of them, embeds
//! their manifests, and writes the list that `src/extensions/shipped.rs` includes.
//!
//! A plugin is shipped when it is a folder of `plugins/` with a `plugin.toml`; a script when `scripts/shipped.toml` names
//! it. Both may be missing. The plugins have a target folder of their own beside the host's, as the host's is locked by
//! the cargo that runs this.

#[path = "src/extensions/manifest/embed.rs"]
#[expect(unreachable_pub, reason = "the host has the same file and shows it to its callers")]
mod embed;
#[path = "build/guest_heap.rs"]
mod guest_heap;
#[path = "build/vendored_sdk.rs"]
mod vendored_sdk;

use std::error::Error;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, io};

use wit_component::ComponentEncoder;

const WASM_TARGET: &str = "wasm32-unknown-unknown";
const PROFILE: &str = "plugin";

/// What the cargo that runs this says to its compilers, which is not meant for guests.
const NOT_FOR_GUESTS: [&str; 9] = [
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_TARGET_DIR",
    "CLIPPY_ARGS",
];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("The shipped extensions can't be built: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(variable("OUT_DIR")?);
    let workspace = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join("..").canonicalize()?;
    for path in ["plugins", "scripts", "wit", "Cargo.toml", "Cargo.lock"] {
        // A path that is missing would make every build run this again.
        if workspace.join(path).exists() {
            println!("cargo::rerun-if-changed={}", workspace.join(path).display());
        }
    }
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-changed=src/extensions/manifest/embed.rs");

    let mut list = String::from("&[\n");
    for script in shipped_scripts(&workspace)? {
        entry(&mut list, &script.0, "Script", &script.1)?;
    }
    let plugins = shipped_plugins(&workspace.join("plugins"))?;
    if !plugins.is_empty() {
        for (name, component) in build_plugins(&workspace, &out, &plugins)? {
            entry(&mut list, &format!("{name}.wasm"), "Component", &component)?;
        }
    }
    list.push_str("]\n");
    fs::write(out.join("shipped.rs"), list)?;
    vendored_sdk::write_list(&workspace, &out)
}

fn entry(list: &mut String, file: &str, engine: &str, path: &Path) -> Result<(), Box<dyn Error>> {
    writeln!(list, "    Shipped {{ file: {file:?}, engine: EngineKind::{engine}, bytes: include_bytes!({path:?}) }},")?;
    Ok(())
}

/// `scripts/shipped.toml` is `scripts = ["reply_filters/declines.rhai", …]`, in the order in which they are asked.
fn shipped_scripts(workspace: &Path) -> Result<Vec<(String, PathBuf)>, Box<dyn Error>> {
    let folder = workspace.join("scripts");
    let list = folder.join("shipped.toml");
    if !list.exists() {
        return Ok(Vec::new());
    }
    let table: toml::Table = toml::from_str(&fs::read_to_string(&list)?)?;
    let names =
        table.get("scripts").and_then(toml::Value::as_array).ok_or("scripts/shipped.toml has no list `scripts`")?;
    let mut scripts = Vec::new();
    for name in names {
        let name = name.as_str().ok_or("scripts/shipped.toml: `scripts` must be a list of paths")?;
        let path = folder.join(name);
        if !path.is_file() {
            return Err(format!("scripts/shipped.toml names {name}, which is not there").into());
        }
        let file = Path::new(name).file_name().and_then(|name| name.to_str()).unwrap_or(name);
        scripts.push((file.to_owned(), path));
    }
    Ok(scripts)
}

/// The folders with a `plugin.toml`, by name: each is the package of that name.
fn shipped_plugins(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.path().join("plugin.toml").is_file() && entry.path().join("Cargo.toml").is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn build_plugins(workspace: &Path, out: &Path, names: &[String]) -> Result<Vec<(String, PathBuf)>, Box<dyn Error>> {
    need_wasm_target()?;
    // <target>/<profile>/build/ampout-<hash>/out
    let target = out.ancestors().nth(4).ok_or("OUT_DIR is not where cargo puts it")?.join("plugins");
    fs::create_dir_all(&target)?;
    // Several work trees may share a target folder: what one has built must be read before another builds.
    let lock = File::create(target.join(".ampout-lock"))?;
    lock.lock()?;

    let mut cargo = Command::new(variable("CARGO")?);
    cargo
        .current_dir(workspace)
        .args(["build", "--profile", PROFILE, "--target", WASM_TARGET, "--target-dir"])
        .arg(&target)
        .args(guest_heap::CARGO_ARGUMENTS);
    for name in names {
        cargo.args(["--package", name]);
    }
    for name in NOT_FOR_GUESTS {
        cargo.env_remove(name);
    }
    let built = cargo.output()?;
    if !built.status.success() {
        return Err(format!("cargo could not build the plugins\n{}", String::from_utf8_lossy(&built.stderr)).into());
    }
    let modules = target.join(WASM_TARGET).join(PROFILE);
    names.iter().map(|name| Ok((name.clone(), componentize(workspace, out, &modules, name)?))).collect()
}

fn componentize(workspace: &Path, out: &Path, modules: &Path, name: &str) -> Result<PathBuf, Box<dyn Error>> {
    let manifest = embed::read_plugin_manifest(&workspace.join("plugins").join(name))?;
    let module = fs::read(modules.join(name.replace('-', "_")).with_extension("wasm"))?;
    let component = ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| format!("{name} is no component: {error:#}"))?;
    let path = out.join(name).with_extension("wasm");
    fs::write(&path, embed::with_manifest(component, &manifest))?;
    Ok(path)
}

/// Guests need the target's standard library. It is asked of rustup once; where that fails, a person must.
fn need_wasm_target() -> Result<(), Box<dyn Error>> {
    if has_wasm_target()? {
        return Ok(());
    }
    let added = Command::new("rustup").args(["target", "add", WASM_TARGET]).output();
    if added.is_ok_and(|output| output.status.success()) && has_wasm_target()? {
        return Ok(());
    }
    Err(format!(
        "the compiler has no target {WASM_TARGET}, which the shipped extensions are built for; add it with\n\n    \
         rustup target add {WASM_TARGET}\n"
    )
    .into())
}

fn has_wasm_target() -> Result<bool, Box<dyn Error>> {
    let output =
        Command::new(variable("RUSTC")?).args(["--print", "target-libdir", "--target", WASM_TARGET]).output()?;
    Ok(output.status.success() && Path::new(String::from_utf8(output.stdout)?.trim()).is_dir())
}

fn variable(name: &str) -> Result<OsString, String> {
    env::var_os(name).ok_or_else(|| format!("{name} is not set; this is run by cargo"))
}
