//! Loading: from bytes to a program that was tried. Whatever is wrong is told in one line that says how to mend it.

use serde_json::Value;

use super::error::{CallError, LoadError};
use super::extension::{EngineKind, LoadedExtension, Program};
use super::hooks::HookInput;
use super::host::{ExtensionHost, Inner};
use super::manifest::{Example, Manifest};
use super::rhai::ScriptProgram;
use super::wasm::{ComponentProgram, read_manifest};
use crate::domain::Timestamp;

const MIB: usize = 1024 * 1024;
/// An example that runs out of time is tried this often.
const TRIES_IN_TIME: usize = 3;

/// Reads the manifest and compiles. Not for an asynchronous thread: a JavaScript component takes seconds.
pub(super) fn compile(
    host: &Inner,
    bytes: &[u8],
    engine: EngineKind,
    file: &str,
) -> Result<(Manifest, Program), LoadError> {
    let limit = match engine {
        EngineKind::Component => host.limits.component.file_bytes,
        EngineKind::Script => host.limits.script.source_bytes,
    };
    if bytes.len() > limit {
        return Err(LoadError::TooLarge { file: file.to_owned(), bytes: bytes.len(), limit });
    }
    match engine {
        EngineKind::Component => component(host, bytes, file),
        EngineKind::Script => script(host, bytes, file),
    }
}

/// Makes an instance and runs the examples.
pub(super) async fn try_out(host: &ExtensionHost, extension: &LoadedExtension) -> Result<(), LoadError> {
    if let Program::Component(program) = &extension.program {
        let trial = program.trial(&host.inner().components, Timestamp::from_millis(0)).await;
        trial.map_err(|error| LoadError::Component {
            file: extension.file.clone(),
            reason: format!("an instance can't be made: {error}"),
        })?;
    }
    for (index, example) in extension.manifest.examples.iter().enumerate() {
        run(host, extension, example).await.map_err(|reason| LoadError::Example {
            file: extension.file.clone(),
            example: example.name.clone().unwrap_or_else(|| (index + 1).to_string()),
            reason,
        })?;
    }
    Ok(())
}

fn component(host: &Inner, bytes: &[u8], file: &str) -> Result<(Manifest, Program), LoadError> {
    let refused = |reason: String| LoadError::Component { file: file.to_owned(), reason };
    let json = read_manifest(bytes).map_err(refused)?;
    let manifest = Manifest::from_json(json).map_err(|error| LoadError::Manifest { file: file.to_owned(), error })?;
    let limits = &host.limits.component;
    let memory_bytes = match manifest.limits.memory_mib {
        None => limits.memory_bytes,
        Some(mib) if mib.saturating_mul(MIB) <= limits.max_memory_bytes => mib * MIB,
        Some(mib) => {
            let most = limits.max_memory_bytes / MIB;
            return Err(refused(format!("asks for {mib} MiB of memory; the operator gives at most {most}")));
        }
    };
    let program = ComponentProgram::compile(&host.components, bytes, &manifest.hooks, memory_bytes).map_err(refused)?;
    Ok((manifest, Program::Component(program)))
}

fn script(host: &Inner, bytes: &[u8], file: &str) -> Result<(Manifest, Program), LoadError> {
    let source = std::str::from_utf8(bytes).map_err(|error| {
        let offset = error.valid_up_to();
        let line = 1 + bytes[..offset].iter().filter(|byte| **byte == b'\n').count();
        LoadError::NotUtf8 { file: file.to_owned(), line, offset }
    })?;
    let manifest =
        Manifest::from_script(source).map_err(|error| LoadError::Manifest { file: file.to_owned(), error })?;
    let program = ScriptProgram::compile(&host.scripts, source, &manifest.hooks, file)?;
    Ok((manifest, Program::Script(program)))
}

/// Runs one example at the time that its input tells of, so that it comes out the same on any day.
async fn run(host: &ExtensionHost, extension: &LoadedExtension, example: &Example) -> Result<(), String> {
    let hook = example.hook.or_else(|| extension.hooks().first().copied()).ok_or("there is no hook to ask")?;
    let input = HookInput::from_json(hook, example.input.clone()).map_err(|error| format!("bad input: {error}"))?;
    let now = match &input {
        HookInput::ReplyClassifier(message) => message.received_at,
        HookInput::ProviderAdapter(request, _) => request.received_at,
        HookInput::BouncePolicy(stats) => stats.now,
        HookInput::SendGate(send) => send.now,
    };
    let mut answer = host.call_at(extension, &input, now).await.answer;
    // A machine that is busy starting may keep a call from its processor; that says nothing of the extension.
    for _ in 1..TRIES_IN_TIME {
        if !matches!(answer, Err(CallError::OutOfTime { .. })) {
            break;
        }
        answer = host.call_at(extension, &input, now).await.answer;
    }
    let found = answer.map_err(|error| error.to_string())?.to_json();
    if agrees(&example.expect, &found) {
        return Ok(());
    }
    Err(format!("expected {}, found {found}", example.expect))
}

/// Whether `found` has all that `expected` states. Keys that it leaves out may be anything.
fn agrees(expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            expected.iter().all(|(key, value)| agrees(value, found.get(key).unwrap_or(&Value::Null)))
        }
        (Value::Array(expected), Value::Array(found)) => {
            expected.len() == found.len() && expected.iter().zip(found).all(|(expected, found)| agrees(expected, found))
        }
        _ => expected == found,
    }
}
