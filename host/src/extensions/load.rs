//! Loading: from bytes to a program that was tried. Whatever is wrong is told in one line that says how to mend it.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::error::{CallError, LoadError};
use super::extension::{EngineKind, LoadedExtension, Program};
use super::fetch::{Access, Reach};
use super::hooks::HookInput;
use super::host::{Called, ExtensionHost, Inner};
use super::manifest::{Example, Manifest};
use super::raised;
use super::rhai::{ScriptEngine, ScriptProgram};
use super::signature::{self, Vouched};
use super::wasm::{ComponentEngine, ComponentProgram, read_manifest};
use crate::domain::Timestamp;
use crate::domain::ids::AccountId;

const MIB: usize = 1024 * 1024;
/// An example that runs out of time is tried this often.
const TRIES_IN_TIME: usize = 3;
/// Of what an account uploads.
pub(super) const MOST_EXAMPLES_OF_AN_ACCOUNT: usize = 32;
pub(super) const MOST_OPERATIONS_OF_EXAMPLES: u64 = 500_000;

/// Looks at the signature, reads the manifest and compiles. Not for an asynchronous thread: a JavaScript component takes
/// seconds.
pub(super) fn compile(
    host: &Inner,
    components: &Arc<ComponentEngine>,
    bytes: Bytes,
    engine: EngineKind,
    file: &str,
    owner: Option<AccountId>,
) -> Result<LoadedExtension, LoadError> {
    let limit = host.largest_file(engine);
    if bytes.len() > limit {
        return Err(LoadError::TooLarge { file: file.to_owned(), bytes: bytes.len(), limit });
    }
    let vouched = signature::look(&bytes, engine, &host.options.trusted_signers);
    if let Vouched::Broken(signer) = &vouched {
        let reason = format!("was changed after {signer} signed it, or {signer} has another key now");
        return Err(LoadError::Signature { file: file.to_owned(), reason });
    }
    let (manifest, program) = match engine {
        EngineKind::Component => component(host, components, &bytes, file)?,
        EngineKind::Script => script(host, &bytes, file, owner)?,
    };
    let sha256 = hex::encode(Sha256::digest(&bytes));
    let breaker = Default::default();
    Ok(LoadedExtension { manifest, owner, sha256, file: file.to_owned(), vouched, program, breaker })
}

/// Makes an instance, and throws it away.
pub(super) async fn make_an_instance(extension: &LoadedExtension) -> Result<(), LoadError> {
    if let Program::Component(program) = &extension.program {
        let trial = program.trial(Timestamp::from_millis(0)).await;
        trial.map_err(|error| LoadError::Component {
            file: extension.file.clone(),
            reason: format!("an instance can't be made: {error}"),
        })?;
    }
    Ok(())
}

/// When whoever wrote an extension is told what its examples may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// It is new.
    Now,
    /// It was stored before.
    Before,
}

/// Runs the examples of the manifest; each must come out as it says.
pub(super) async fn run_examples(
    host: &ExtensionHost,
    extension: &LoadedExtension,
    limits: Told,
) -> Result<(), LoadError> {
    let mut operations = 0;
    for (index, example) in extension.manifest.examples.iter().enumerate() {
        let told =
            |reason| LoadError::Example { file: extension.file.clone(), example: name_of(example, index), reason };
        let called = run(host, extension, example).await.map_err(told)?;
        compare(example, &called).map_err(told)?;
        operations += called.record.operations.unwrap_or_default();
        if extension.owner.is_some()
            && let Err(reason) = within_reason(index, operations)
        {
            return match limits {
                Told::Now => Err(told(reason)),
                // It was taken, and never changes; the rest of its examples came out when it was.
                Told::Before => Ok(()),
            };
        }
    }
    Ok(())
}

/// What the examples of an account's script may take, as every node runs them when it starts. Counted in operations, which
/// are as many on any machine.
fn within_reason(index: usize, operations: u64) -> Result<(), String> {
    if index >= MOST_EXAMPLES_OF_AN_ACCOUNT {
        return Err(format!(
            "a script of an account has at most {MOST_EXAMPLES_OF_AN_ACCOUNT} examples; leave some out"
        ));
    }
    if operations > MOST_OPERATIONS_OF_EXAMPLES {
        return Err(format!(
            "the examples up to here took {operations} operations; those of an account's script may take \
             {MOST_OPERATIONS_OF_EXAMPLES} together: leave some out, or make them shorter"
        ));
    }
    Ok(())
}

/// How an example is called: by its name, or by its place.
pub(super) fn name_of(example: &Example, index: usize) -> String {
    example.name.clone().unwrap_or_else(|| (index + 1).to_string())
}

fn component(
    host: &Inner,
    components: &Arc<ComponentEngine>,
    bytes: &[u8],
    file: &str,
) -> Result<(Manifest, Program), LoadError> {
    let refused = |reason: String| LoadError::Component { file: file.to_owned(), reason };
    let manifest = manifest_of(bytes, EngineKind::Component, file)?;
    let mut limits = raised::of_component(&host.options.limits.component, &host.options.raised, &manifest.name);
    if let Some(mib) = manifest.limits.memory_mib {
        let most = limits.max_memory_bytes / MIB;
        if mib > most {
            let asked = format!("asks for {mib} MiB of memory; the operator gives at most {most}");
            return Err(refused(match mib <= raised::MOST_MEMORY_MIB {
                true => format!("{asked}, and more with {} = \"{}.memory_mib={mib}\"", raised::SETTING, manifest.name),
                false => format!("{asked}, and {} may raise it to {}", raised::SETTING, raised::MOST_MEMORY_MIB),
            }));
        }
        // What the operator gives by name is not less than what it asks for.
        let is_raised = limits.memory_bytes > host.options.limits.component.memory_bytes;
        limits.memory_bytes = if is_raised { limits.memory_bytes.max(mib * MIB) } else { mib * MIB };
    }
    let reach = Reach::of(&manifest, &host.options.grants, host.options.http.clone(), host.options.limits.fetch);
    let program = ComponentProgram::compile(components, bytes, &manifest.hooks, limits, reach).map_err(refused)?;
    Ok((manifest, Program::Component(program)))
}

/// What a file says of itself; it is neither compiled nor believed by this.
pub(super) fn manifest_of(bytes: &[u8], engine: EngineKind, file: &str) -> Result<Manifest, LoadError> {
    let read = match engine {
        EngineKind::Component => {
            let refused = |reason: String| LoadError::Component { file: file.to_owned(), reason };
            Manifest::from_json(read_manifest(bytes).map_err(refused)?)
        }
        EngineKind::Script => Manifest::from_script(source_of(bytes, file)?),
    };
    read.map_err(|error| LoadError::Manifest { file: file.to_owned(), error })
}

/// The text of a script, without the byte order mark that some editors put before it.
fn source_of<'a>(bytes: &'a [u8], file: &str) -> Result<&'a str, LoadError> {
    let source = std::str::from_utf8(bytes).map(|source| source.strip_prefix('\u{feff}').unwrap_or(source));
    source.map_err(|error| {
        let offset = error.valid_up_to();
        let line = 1 + bytes[..offset].iter().filter(|byte| **byte == b'\n').count();
        LoadError::NotUtf8 { file: file.to_owned(), line, offset }
    })
}

fn script(host: &Inner, bytes: &[u8], file: &str, owner: Option<AccountId>) -> Result<(Manifest, Program), LoadError> {
    let manifest = manifest_of(bytes, EngineKind::Script, file)?;
    let source = source_of(bytes, file)?;
    let raised = raised::of_script(&host.options.limits.script, &host.options.raised, &manifest.name);
    let raised = raised.filter(|_| owner.is_none());
    // An interpreter of its own: the number of operations is the interpreter's.
    let engine = raised.map_or_else(|| host.scripts.clone(), |limits| ScriptEngine::start(&limits));
    let program = ScriptProgram::compile(&engine, source, &manifest.hooks, file)?;
    Ok((manifest, Program::Script(program)))
}

/// Runs one example at the time that its input tells of and with the answers that it brings, so that it comes out the
/// same on any day. The error is an example that can't be read.
pub(super) async fn run(
    host: &ExtensionHost,
    extension: &LoadedExtension,
    example: &Example,
) -> Result<Called, String> {
    let hook = example.hook.or_else(|| extension.hooks().first().copied()).ok_or("there is no hook to ask")?;
    let input = HookInput::from_json(hook, example.input.clone()).map_err(|error| format!("bad input: {error}"))?;
    let answers: Arc<[_]> = example.fetches.clone().into();
    let mut called = host.call_at(extension, &input, input.time(), Access::Canned(Arc::clone(&answers))).await;
    // A machine that is busy starting may keep a call from its processor; that says nothing of the extension.
    for _ in 1..TRIES_IN_TIME {
        if !is_late(&called) {
            break;
        }
        called = host.call_at(extension, &input, input.time(), Access::Canned(Arc::clone(&answers))).await;
    }
    Ok(called)
}

fn is_late(called: &Called) -> bool {
    match &called.answer {
        Err(CallError::OutOfTime { .. }) => true,
        Err(CallError::Script(error)) => error.is_limit,
        _ => false,
    }
}

/// Whether an example came out as it says.
pub(super) fn compare(example: &Example, called: &Called) -> Result<(), String> {
    let found = called.answer.as_ref().map_err(ToString::to_string)?.to_json();
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
