//! What a component must be before it is compiled, linked or run, told in one line when it isn't.

use wasmparser::{BinaryReaderError, Encoding, Parser, Payload};
use wasmtime::Engine;
use wasmtime::component::{Component, ComponentExportIndex};

use crate::domain::status::Hook;
use crate::extensions::manifest::embed::MANIFEST_SECTION;

const PACKAGE: &str = "ampout:extension/";
const IMPORTS: [&str; 5] = ["types", "log", "clock", "crypto", "http"];
const MAJOR: &str = "1.";
const WASI: &str = "wasi:";
const WASI_VERSION: &str = "0.2.";
const WASI_PACKAGES: [&str; 6] =
    ["wasi:cli", "wasi:clocks", "wasi:filesystem", "wasi:io", "wasi:random", "wasi:sockets"];
const LONGEST_LINE: usize = 400;
/// What every module and component begins with.
const MAGIC: &[u8] = b"\0asm";

/// The JSON of the custom section `ampout:manifest`.
pub(in crate::extensions) fn read_manifest(bytes: &[u8]) -> Result<&[u8], String> {
    if !bytes.starts_with(MAGIC) {
        return Err("is no WebAssembly: it does not begin with \\0asm".to_owned());
    }
    let (mut depth, mut manifests) = (0_usize, Vec::new());
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = match payload {
            // What is wrong behind its manifest is told by whoever reads it whole.
            Err(_) if !manifests.is_empty() => break,
            payload => payload.map_err(no_webassembly)?,
        };
        match payload {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                return Err("is a core module, not a component; build it with `ampout plugin build`".to_owned());
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CustomSection(section) if depth == 0 && section.name() == MANIFEST_SECTION => {
                manifests.push(section.data());
            }
            _ => {}
        }
    }
    match manifests[..] {
        [manifest] => Ok(manifest),
        [] => Err(format!("has no manifest (custom section {MANIFEST_SECTION}); build it with `ampout plugin build`")),
        _ => Err(format!("has {} manifests (custom sections {MANIFEST_SECTION}); leave one", manifests.len())),
    }
}

/// The parser draws pictures over several lines.
fn no_webassembly(error: BinaryReaderError) -> String {
    format!("is no WebAssembly: {}", in_one_line(&error.to_string()))
}

/// The interface that a hook is exported as, and its function.
fn interface_of(hook: Hook) -> (&'static str, &'static str) {
    match hook {
        Hook::ReplyClassifier => ("reply-classification", "classify"),
        Hook::ProviderAdapter => ("provider-ingestion", "ingest"),
        Hook::BouncePolicy => ("bounce-judgement", "judge"),
        Hook::SendGate => ("send-admission", "admit"),
    }
}

/// Every import must be one of ours, of a version that we have.
pub(super) fn imports(engine: &Engine, component: &Component) -> Result<(), String> {
    for (name, _) in component.component_type().imports(engine) {
        match split(name) {
            Some((interface, version)) if IMPORTS.contains(&interface) => of_major(name, version)?,
            _ if name.starts_with(WASI) => wasi(name)?,
            _ => return Err(format!("imports {name}, which this host does not have; it has {}", IMPORTS.join(", "))),
        }
    }
    Ok(())
}

/// Whether it imports anything of WASI.
pub(super) fn wants_wasi(engine: &Engine, component: &Component) -> bool {
    component.component_type().imports(engine).any(|(name, _)| name.starts_with(WASI))
}

/// WASI 0.2 without HTTP: what compilers put into a guest whether it needs it or not.
fn wasi(name: &str) -> Result<(), String> {
    let (package, version) = name.split_once('/').unwrap_or((name, ""));
    let version = version.split_once('@').map_or("", |(_, version)| version);
    if !WASI_PACKAGES.contains(&package) {
        return Err(format!("imports {name}; of WASI there is {} here", WASI_PACKAGES.join(", ")));
    }
    if !version.starts_with(WASI_VERSION) {
        return Err(format!("imports {name}; this host has WASI {WASI_VERSION}x: build for wasm32-wasip2"));
    }
    Ok(())
}

/// The functions of the hooks that the manifest lists; it must list all that are there.
pub(super) fn exports(
    engine: &Engine,
    component: &Component,
    hooks: &[Hook],
) -> Result<Vec<(Hook, ComponentExportIndex)>, String> {
    let mut found = Vec::new();
    let component_type = component.component_type();
    for hook in Hook::ALL {
        let (interface, function) = interface_of(*hook);
        let name = component_type
            .exports(engine)
            .map(|(name, _)| name)
            .find(|name| split(name).is_some_and(|(exported, _)| exported == interface));
        match (name, hooks.contains(hook)) {
            (None, false) => {}
            (Some(name), false) => return Err(format!("exports {name}, but its manifest does not list {hook}")),
            (None, true) => {
                return Err(format!("its manifest lists {hook}, but it does not export {PACKAGE}{interface}@{MAJOR}x"));
            }
            (Some(name), true) => {
                of_major(name, split(name).map_or("", |(_, version)| version))?;
                let index = component
                    .get_export_index(None, name)
                    .and_then(|interface| component.get_export_index(Some(&interface), function))
                    .ok_or_else(|| format!("{name} has no function {function}"))?;
                found.push((*hook, index));
            }
        }
    }
    Ok(found)
}

/// Wasmtime has no type for this error; the words are in `Store::set_hostcall_fuel`'s documentation and tests.
pub(super) fn copies_too_much(error: &wasmtime::Error) -> bool {
    error.chain().any(|cause| cause.to_string().contains("too much data is being copied"))
}

/// The causes of an error in one line of bounded length.
pub(super) fn one_line(error: &wasmtime::Error) -> String {
    in_one_line(&format!("{error:#}"))
}

fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(LONGEST_LINE).collect()
}

/// `ampout:extension/log@1.0.0` is `log` of version `1.0.0`.
fn split(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix(PACKAGE)?.split_once('@')
}

fn of_major(name: &str, version: &str) -> Result<(), String> {
    if version.starts_with(MAJOR) {
        return Ok(());
    }
    Err(format!("uses {name}; this host has version {MAJOR}x of {PACKAGE}*"))
}
