//! Rhai scripts: the only place that names the `rhai` crate. A [`ScriptProgram`] is a script compiled once; a call has a
//! scope of its own and takes no lock.
//!
//! Where a call runs. A typical one takes a few microseconds, a tenth of what handing it to another thread and back
//! costs, so it is begun on the asynchronous thread that asks. There it has 2 ms; one that needs more, or that is about
//! to do something long, is stopped and begun again with its whole time on a thread that may block. Scripts are pure, so
//! beginning again changes nothing. A script that once needed this goes there at once, until it is quick again.

mod bytes;
mod call;
mod decisions;
mod engine;
mod helpers;
mod lists;
mod memory;
mod text;
mod views;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rhai::{AST, CallFnOptions, Dynamic, Engine, EvalAltResult, ParseErrorType, Position, Scope};

use self::call::{Budget, Spent, Stop};
use super::error::{CallError, LoadError, ScriptError};
use super::hooks::{HookDecision, HookInput};
use super::limits::ScriptLimits;
use super::record::CallRecord;
use crate::domain::Timestamp;
use crate::domain::status::Hook;

const LONGEST_LINE_SHOWN: usize = 120;
const LONGEST_MESSAGE: usize = 400;
const OR_FROM_HERE: &str = ", here or in what is called from here";

/// An interpreter with its limits; nearly all scripts of a host share one. Cheap to clone.
#[derive(Clone)]
pub(super) struct ScriptEngine {
    engine: Arc<Engine>,
    limits: Arc<ScriptLimits>,
}

/// A script that compiled and has the functions of its hooks. Cheap to clone.
#[derive(Clone)]
pub(super) struct ScriptProgram(Arc<Compiled>);

struct Compiled {
    /// What it is asked with: the interpreter of all, or one with limits of its own.
    engine: ScriptEngine,
    ast: AST,
    name: String,
    source: String,
    /// It did not fit on an asynchronous thread the last time.
    slow: AtomicBool,
}

impl ScriptEngine {
    pub(super) fn start(limits: &ScriptLimits) -> Self {
        Self { engine: Arc::new(engine::build(limits)), limits: Arc::new(limits.clone()) }
    }
}

impl ScriptProgram {
    /// Compiles `source`. Not for an asynchronous thread.
    pub(super) fn compile(engine: &ScriptEngine, source: &str, hooks: &[Hook], name: &str) -> Result<Self, LoadError> {
        let compiled = catch_unwind(AssertUnwindSafe(|| engine.engine.compile(source)));
        let compiled = compiled.map_err(|_| LoadError::Script(fault(name, source, Position::NONE, PANICKED)))?;
        let ast = compiled.map_err(|error| {
            LoadError::Script(fault(
                name,
                source,
                error.position(),
                &syntax_message(error.err_type(), source, error.position()),
            ))
        })?;
        let program = Compiled {
            engine: engine.clone(),
            ast,
            name: name.to_owned(),
            source: source.to_owned(),
            slow: AtomicBool::new(false),
        };
        for hook in hooks {
            let (function, shape) = function_of(*hook);
            let wanted = |found: rhai::ScriptFnMetadata<'_>| {
                found.name == function && found.params.len() == shape.split(',').count()
            };
            if !program.ast.iter_functions().any(wanted) {
                let message = format!("has no function for {hook}; write fn {function}({shape}) {{ … }}");
                return Err(LoadError::Script(fault(name, source, Position::NONE, &message)));
            }
        }
        Ok(Self(Arc::new(program)))
    }

    /// Asks the script. The record is filled whatever the outcome.
    pub(super) async fn call(
        &self,
        input: &HookInput,
        now: Timestamp,
        record: &mut CallRecord,
    ) -> Result<HookDecision, CallError> {
        let ScriptEngine { engine, limits } = &self.0.engine;
        let operations = limits.operations;
        if !self.0.slow.load(Ordering::Relaxed) {
            let budget = Budget { time: limits.inline_time.min(limits.time), may_hand_over: true, now, operations };
            let (answer, spent) = self.0.evaluate(engine, input, budget, limits);
            let lacked_time = matches!(spent.stopped, Some(Stop::Deadline | Stop::HandOver));
            if !lacked_time || limits.time <= limits.inline_time {
                return finish(answer, spent, record);
            }
            self.0.slow.store(true, Ordering::Relaxed);
        }
        let (program, input) = (Arc::clone(&self.0), input.clone());
        let begun = tokio::task::spawn_blocking(move || {
            let ScriptEngine { engine, limits } = &program.engine;
            let began = std::time::Instant::now();
            let budget = Budget { time: limits.time, may_hand_over: false, now, operations };
            let ended = program.evaluate(engine, &input, budget, limits);
            program.slow.store(began.elapsed() > limits.inline_time / 2, Ordering::Relaxed);
            ended
        });
        match begun.await {
            Ok((answer, spent)) => finish(answer, spent, record),
            Err(error) => Err(CallError::Engine { reason: error.to_string() }),
        }
    }
}

const PANICKED: &str = "the interpreter failed on it; please report the script";

fn finish(
    answer: Result<HookDecision, CallError>,
    spent: Spent,
    record: &mut CallRecord,
) -> Result<HookDecision, CallError> {
    record.logs = spent.logs.finish();
    record.operations = Some(spent.operations);
    answer
}

impl Compiled {
    fn evaluate(
        &self,
        engine: &Engine,
        input: &HookInput,
        budget: Budget,
        limits: &ScriptLimits,
    ) -> (Result<HookDecision, CallError>, Spent) {
        let (answer, spent) = call::within(budget, || {
            // The interpreter has internal assertions; none of them may end the thread that asks.
            catch_unwind(AssertUnwindSafe(|| self.ask(engine, input)))
        });
        let answer = match answer {
            // Its last step took too long, which nobody could end, or something swallowed that it was stopped.
            Ok(Ok(_)) if spent.stopped.is_some() => {
                let stopped = EvalAltResult::ErrorTerminated(Dynamic::UNIT, Position::NONE);
                Err(CallError::Script(self.fault_of(&stopped, input.hook(), spent.stopped, limits)))
            }
            Ok(Ok(answer)) => decisions::to_json(&answer)
                .and_then(|answer| HookDecision::from_json(input.hook(), answer))
                .map_err(CallError::BadAnswer),
            Ok(Err(error)) => Err(CallError::Script(self.fault_of(&error, input.hook(), spent.stopped, limits))),
            Err(_) => Err(CallError::Script(fault(&self.name, &self.source, Position::NONE, PANICKED))),
        };
        (answer, spent)
    }

    fn ask(&self, engine: &Engine, input: &HookInput) -> Result<Dynamic, Box<EvalAltResult>> {
        let (function, _) = function_of(input.hook());
        // The constants at its top level are evaluated before each call; most scripts have none.
        let options = CallFnOptions::new().eval_ast(true);
        let scope = &mut Scope::new();
        match input {
            HookInput::ReplyClassifier(message) => {
                engine.call_fn_with_options(options, scope, &self.ast, function, (views::MessageView::of(message),))
            }
            HookInput::ProviderAdapter(request, settings) => {
                let facts = (views::RequestView(Arc::clone(request)), views::SettingsView(Arc::clone(settings)));
                engine.call_fn_with_options(options, scope, &self.ast, function, facts)
            }
            HookInput::BouncePolicy(stats) => {
                let facts = (views::StatsView(Arc::clone(stats)),);
                engine.call_fn_with_options(options, scope, &self.ast, function, facts)
            }
            HookInput::SendGate(send) => {
                let facts = (views::SendView(Arc::clone(send)),);
                engine.call_fn_with_options(options, scope, &self.ast, function, facts)
            }
        }
    }

    fn place_of(&self, hook: Hook) -> Position {
        beginning(&self.source, function_of(hook).0).unwrap_or(Position::NONE)
    }

    fn fault_of(&self, error: &EvalAltResult, hook: Hook, stopped: Option<Stop>, limits: &ScriptLimits) -> ScriptError {
        let inner = error.unwrap_inner();
        let position = if inner.position().is_none() { error.position() } else { inner.position() };
        let position = if position.is_none() { self.place_of(hook) } else { position };
        if stopped.is_some() {
            let message = match stopped {
                Some(Stop::Memory) => format!("took over {} MiB of memory", call::MOST_BYTES >> 20),
                // The interpreter tells no place of it, but that of the function that it was asked for.
                Some(Stop::Operations) => format!("took over {} operations{OR_FROM_HERE}", limits.operations),
                _ => format!("ran past its limit of {:?}", limits.time),
            };
            return ScriptError { is_limit: true, ..fault(&self.name, &self.source, position, &message) };
        }
        if let Some(limit) = passed_limit(inner, limits) {
            // The interpreter tells no place of these, but that of the function that it was asked for.
            let message = format!("{limit}{OR_FROM_HERE}");
            return ScriptError { is_limit: true, ..fault(&self.name, &self.source, position, &message) };
        }
        let message = match inner {
            // Thrown by the script, or by a helper.
            EvalAltResult::ErrorRuntime(thrown, _) => thrown.to_string(),
            other => {
                let text = other.to_string();
                // The place is told apart from the message.
                text.rsplit_once(" (line ").map_or(text.clone(), |(message, _)| message.to_owned())
            }
        };
        fault(&self.name, &self.source, position, &message)
    }
}

/// Which limit an evaluation went over, and what there is to do; none where it failed otherwise.
fn passed_limit(error: &EvalAltResult, limits: &ScriptLimits) -> Option<String> {
    let ScriptLimits { call_depth, string_bytes, array_items, map_entries, .. } = limits;
    Some(match error {
        EvalAltResult::ErrorStackOverflow(_) => format!("calls went over {call_depth} deep"),
        EvalAltResult::ErrorTooManyVariables(_) => format!("had over {} variables at a time", engine::MOST_VARIABLES),
        EvalAltResult::ErrorDataTooLarge(what, _) if what.contains("string") => {
            format!("the texts of one value went over {string_bytes} bytes together; take a part with sub_string")
        }
        EvalAltResult::ErrorDataTooLarge(what, _) if what.contains("map") => {
            format!("a map, or a list of maps, went over {map_entries} entries; a list of events is made with events()")
        }
        EvalAltResult::ErrorDataTooLarge(..) => {
            format!("a list went over {array_items} elements, with those inside it")
        }
        _ => return None,
    })
}

/// Where the function of a hook begins. The interpreter knows no place of an empty loop, nor of an index.
fn beginning(source: &str, function: &str) -> Option<Position> {
    let line = source.lines().position(|line| {
        let rest = line.trim_start().strip_prefix("fn ").map(str::trim_start);
        rest.and_then(|rest| rest.strip_prefix(function)).is_some_and(|rest| rest.trim_start().starts_with('('))
    })?;
    Some(Position::new(u16::try_from(line + 1).ok()?, 1))
}

fn syntax_message(error: &ParseErrorType, source: &str, position: Position) -> String {
    let message = error.to_string();
    if matches!(error, ParseErrorType::VariableUndefined(name) if is_captured(name, source, position)) {
        return format!("{message}; a function between bars sees its arguments alone: write a loop in its place");
    }
    if matches!(error, ParseErrorType::PropertyExpected) && source.contains(".curry") {
        return format!("{message}; there is no curry: a function is given what it needs as arguments");
    }
    if matches!(error, ParseErrorType::ExprTooDeep) {
        return format!("{message}; ask contains_any([…]) in the place of many ||, switch in that of many else if");
    }
    // The answer of a gate has the key `until`, which is a word of the language.
    if matches!(error, ParseErrorType::PropertyExpected) || message.contains("object map literal") {
        return format!("{message}; a key that is a word of the language, such as \"until\", must be quoted");
    }
    message
}

/// Whether a variable that is not found here is one that a function between bars does not see: the script has the name
/// elsewhere, and such a function began before this place. A bar that begins one stands where no operand is before it.
fn is_captured(name: &str, source: &str, position: Position) -> bool {
    let mut words = source.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
    let is_elsewhere = words.by_ref().filter(|word| *word == name).nth(1).is_some();
    let (Some(line), column) = (position.line(), position.position().unwrap_or(1)) else { return false };
    let mut before: String = source.split_inclusive('\n').take(line - 1).collect();
    before.extend(source.lines().nth(line - 1).unwrap_or_default().chars().take(column.saturating_sub(1)));
    let function = &before[before.rfind("fn ").unwrap_or(0)..];
    let mut last = ' ';
    let begins = |letter: char| {
        let begins = letter == '|' && "(,=[{:;".contains(last);
        last = if letter.is_whitespace() { last } else { letter };
        begins
    };
    is_elsewhere && function.chars().any(begins)
}

/// The function of a hook and its parameters.
fn function_of(hook: Hook) -> (&'static str, &'static str) {
    match hook {
        Hook::ReplyClassifier => ("classify", "message"),
        Hook::ProviderAdapter => ("ingest", "request, settings"),
        Hook::BouncePolicy => ("judge", "stats"),
        Hook::SendGate => ("admit", "send"),
    }
}

fn fault(script: &str, source: &str, position: Position, message: &str) -> ScriptError {
    let line = position.line().unwrap_or(0);
    let text = line.checked_sub(1).and_then(|index| source.lines().nth(index)).unwrap_or_default().trim();
    ScriptError {
        script: script.to_owned(),
        line,
        column: position.position().unwrap_or(if line == 0 { 0 } else { 1 }),
        text: text.chars().take(LONGEST_LINE_SHOWN).collect(),
        is_limit: false,
        message: message.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(LONGEST_MESSAGE).collect(),
    }
}
