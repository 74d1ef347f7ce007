//! Helpers on texts. Some replace the interpreter's own: those that could make a text far over the limit before it is
//! looked at, and those that change a text in place, which a read-only fact can't be.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use regex::{Regex, RegexBuilder};
use regex_syntax::hir::{Hir, HirKind};
use rhai::{Array, Engine, EvalAltResult, ImmutableString};

use super::call;
use crate::extensions::limits::ScriptLimits;

type Fallible<T> = Result<T, Box<EvalAltResult>>;

const LONGEST_PATTERN: usize = 1024;
/// A compiled pattern; `\w` alone has 50 KiB, as Unicode has many letters.
const PATTERN_BYTES: usize = 256 * 1024;
/// Places of a pattern: the characters and classes that it has once its repetitions are written out. A match takes at most
/// this times the length of the text, and nobody can stop it: with so many places and the longest text, half a second.
const MOST_PLACES: u64 = 1024;
/// A pattern below this is thought to be quick, whatever the text, until it is not.
const SMALL_PATTERN_BYTES: usize = 16 * 1024;
/// A text below this is short: any pattern is matched on it at once.
const SHORT_TEXT_BYTES: usize = 1024;
/// A match on a long text that is over in this time was quick.
const QUICK: Duration = Duration::from_micros(200);
const PATTERNS_KEPT: usize = 256;
/// So many texts are looked for between two looks at the clock.
const WORDS_BETWEEN_LOOKS: usize = 16;

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

pub(super) fn register(engine: &mut Engine, limits: &ScriptLimits) {
    let (string_bytes, array_items) = (limits.string_bytes, limits.array_items);
    let patterns = Arc::new(Patterns::default());
    let (matching, finding) = (Arc::clone(&patterns), patterns);
    engine
        .register_fn("lower", move |text: &str| cut(text.to_lowercase(), string_bytes))
        .register_fn("upper", move |text: &str| cut(text.to_uppercase(), string_bytes))
        .register_fn("trim", |text: &str| text.trim().to_owned())
        .register_fn("contains_any", |text: &str, words: Array| contains_any(text, &words))
        .register_fn("lines", move |text: &str| lines(text, array_items))
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
    let places = regex_syntax::parse(pattern).map_or(0, |parsed| places(&parsed));
    if places > MOST_PLACES {
        return Err(format!(
            "it has {places} places once its repetitions are written out; at most {MOST_PLACES} are taken"
        ));
    }
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

/// How many places of a pattern a match may stand at together.
fn places(pattern: &Hir) -> u64 {
    match pattern.kind() {
        HirKind::Empty | HirKind::Look(_) => 0,
        HirKind::Literal(text) => text.0.len() as u64,
        HirKind::Class(_) => 1,
        HirKind::Capture(group) => places(&group.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().map(places).fold(0, u64::saturating_add),
        HirKind::Repetition(repeated) => {
            let times = repeated.max.unwrap_or(repeated.min.max(1));
            places(&repeated.sub).saturating_mul(u64::from(times))
        }
    }
}

fn contains_any(text: &str, words: &Array) -> Fallible<bool> {
    call::after_some_work();
    for words in words.chunks(WORDS_BETWEEN_LOOKS) {
        let is_there = |word: &ImmutableString| text.contains(word.as_str());
        if words.iter().any(|word| word.read_lock::<ImmutableString>().is_some_and(|word| is_there(&word))) {
            return Ok(true);
        }
        call::amid_long_work()?;
    }
    Ok(false)
}

/// A letter may have more bytes in the other case. Its end is left out, as of [`lines`]: whoever writes a mail must not be
/// able to make a script fail.
fn cut(mut text: String, most: usize) -> String {
    text.truncate(text.floor_char_boundary(most));
    text
}

/// The lines of a text. Where it has more than a list may hold, the last one is all the rest: a long mail is read as far as
/// can be, in the place of an error that its sender could cause at will.
fn lines(text: &str, most: usize) -> Array {
    call::after_some_work();
    let mut lines = Array::new();
    let mut rest = text;
    while lines.len() + 1 < most {
        let Some((line, after)) = rest.split_once('\n') else { break };
        lines.push(line.strip_suffix('\r').unwrap_or(line).to_owned().into());
        rest = after;
    }
    if !rest.is_empty() {
        let ended = rest.strip_suffix('\n').map(|rest| rest.strip_suffix('\r').unwrap_or(rest));
        lines.push(ended.unwrap_or(rest).to_owned().into());
    }
    lines
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
