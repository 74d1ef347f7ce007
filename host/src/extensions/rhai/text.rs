//! Helpers on texts. Some replace the interpreter's own: those that could make a text far over the limit before it is
//! looked at, and those that change a text in place, which a read-only fact can't be.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use regex::{Regex, RegexBuilder};
use rhai::{Array, Engine, EvalAltResult, ImmutableString};

use super::call;

type Fallible<T> = Result<T, Box<EvalAltResult>>;

const LONGEST_PATTERN: usize = 1024;
/// A compiled pattern; `\w` alone has 10 KiB, as Unicode has many letters.
const PATTERN_BYTES: usize = 256 * 1024;
/// A pattern below this is thought to be quick, whatever the text, until it is not.
const SMALL_PATTERN_BYTES: usize = 16 * 1024;
/// A text below this is short: any pattern is matched on it at once.
const SHORT_TEXT_BYTES: usize = 1024;
/// A match on a long text that is over in this time was quick.
const QUICK: Duration = Duration::from_micros(200);
const PATTERNS_KEPT: usize = 256;

/// A pattern, and whether it was quick the last time that it met a long text. A match takes no more than the size of the
/// pattern times that of the text, which may be many milliseconds; nearly always it takes a few microseconds.
struct Pattern {
    regex: Regex,
    quick: AtomicBool,
}

/// The patterns of all scripts, in a map that never changes: one with another pattern takes its place, so that nobody who
/// matches waits for anybody.
#[derive(Default)]
struct Patterns(ArcSwap<HashMap<ImmutableString, Arc<Pattern>>>);

pub(super) fn register(engine: &mut Engine, string_bytes: usize) {
    let patterns = Arc::new(Patterns::default());
    let (matching, finding) = (Arc::clone(&patterns), patterns);
    engine
        .register_fn("lower", |text: &str| text.to_lowercase())
        .register_fn("upper", |text: &str| text.to_uppercase())
        .register_fn("trim", |text: &str| text.trim().to_owned())
        .register_fn("contains_any", |text: &str, words: Array| contains_any(text, &words))
        .register_fn("lines", |text: &str| -> Array { text.lines().map(|line| line.to_owned().into()).collect() })
        .register_fn("matches", move |text: &str, pattern: ImmutableString| matching.matches(text, &pattern))
        .register_fn("find", move |text: &str, pattern: ImmutableString| finding.find(text, &pattern))
        .register_fn("replace", move |text: &mut ImmutableString, from: &str, to: &str| -> Fallible<()> {
            *text = replaced(text, from, to, string_bytes)?.into();
            Ok(())
        })
        .register_fn("replaced", move |text: &str, from: &str, to: &str| replaced(text, from, to, string_bytes))
        .register_fn("replace", move |text: &mut ImmutableString, from: char, to: &str| -> Fallible<()> {
            *text = replaced(text, from.encode_utf8(&mut [0; 4]), to, string_bytes)?.into();
            Ok(())
        })
        .register_fn("sleep", |_: i64| no_sleep())
        .register_fn("sleep", |_: f64| no_sleep());
}

impl Patterns {
    fn matches(&self, text: &str, pattern: &ImmutableString) -> Fallible<bool> {
        Ok(self.prepared(text, pattern)?.run(text, |regex| regex.is_match(text)))
    }

    /// The first match and its groups, an empty list where there is none.
    fn find(&self, text: &str, pattern: &ImmutableString) -> Fallible<Array> {
        let found = self.prepared(text, pattern)?.run(text, |regex| regex.captures(text));
        let group = |group: Option<regex::Match<'_>>| group.map_or("", |group| group.as_str()).to_owned().into();
        Ok(found.map(|groups| groups.iter().map(group).collect()).unwrap_or_default())
    }

    fn prepared(&self, text: &str, pattern: &ImmutableString) -> Fallible<Arc<Pattern>> {
        let pattern = self.compiled(pattern)?;
        if !pattern.quick.load(Ordering::Relaxed) && text.len() > SHORT_TEXT_BYTES {
            call::before_long_work()?;
        }
        Ok(pattern)
    }

    fn compiled(&self, pattern: &ImmutableString) -> Fallible<Arc<Pattern>> {
        if let Some(known) = self.0.load().get(pattern) {
            return Ok(Arc::clone(known));
        }
        if pattern.len() > LONGEST_PATTERN {
            return Err(format!("the regular expression has over {LONGEST_PATTERN} bytes").into());
        }
        call::before_long_work()?;
        let compiled = Arc::new(compile(pattern).map_err(|reason| format!("bad regular expression: {reason}"))?);
        self.0.rcu(|known| {
            let mut kept = if known.len() < PATTERNS_KEPT { HashMap::clone(known) } else { HashMap::new() };
            kept.insert(pattern.clone(), Arc::clone(&compiled));
            kept
        });
        Ok(compiled)
    }
}

impl Pattern {
    fn run<T>(&self, text: &str, search: impl FnOnce(&Regex) -> T) -> T {
        if text.len() <= SHORT_TEXT_BYTES {
            return search(&self.regex);
        }
        let began = Instant::now();
        let found = search(&self.regex);
        self.quick.store(began.elapsed() < QUICK, Ordering::Relaxed);
        call::after_some_work();
        found
    }
}

fn compile(pattern: &str) -> Result<Pattern, String> {
    let sized = |bytes: usize| RegexBuilder::new(pattern).size_limit(bytes).dfa_size_limit(4 * PATTERN_BYTES).build();
    if let Ok(regex) = sized(SMALL_PATTERN_BYTES) {
        return Ok(Pattern { regex, quick: AtomicBool::new(true) });
    }
    match sized(PATTERN_BYTES) {
        Ok(regex) => Ok(Pattern { regex, quick: AtomicBool::new(false) }),
        Err(regex::Error::CompiledTooBig(_)) => Err(format!("it is over {PATTERN_BYTES} bytes when compiled")),
        // The parser draws a picture over several lines; its last line is the message.
        Err(error) => Err(error.to_string().lines().last().unwrap_or_default().trim().to_owned()),
    }
}

fn contains_any(text: &str, words: &Array) -> bool {
    call::after_some_work();
    words.iter().any(|word| word.read_lock::<ImmutableString>().is_some_and(|word| text.contains(word.as_str())))
}

fn replaced(text: &str, from: &str, to: &str, limit: usize) -> Fallible<String> {
    call::after_some_work();
    let growth = to.len().saturating_sub(from.len());
    if growth > 0 && text.matches(from).count().saturating_mul(growth).saturating_add(text.len()) > limit {
        return Err(format!("the text would grow over {limit} bytes").into());
    }
    Ok(text.replace(from, to))
}

fn no_sleep() -> Fallible<()> {
    Err("a script can't sleep: it decides at once".into())
}
