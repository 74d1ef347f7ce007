//! Helpers on texts. Some replace the interpreter's own: those that could make a text far over the limit before it is
//! looked at, and those that change a text in place, which a read-only fact can't be.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use regex::{Regex, RegexBuilder};
use regex_syntax::hir::{Class, Hir, HirKind};
use rhai::{Array, Engine, EvalAltResult, ImmutableString};

use super::call;
use crate::extensions::limits::ScriptLimits;

type Fallible<T> = Result<T, Box<EvalAltResult>>;

const LONGEST_PATTERN: usize = 1024;
/// What a compiled pattern may have. `\w` alone has 50 KiB, as Unicode has many letters, `\d` 5 and `\S` 2. One that has all of
/// this takes some 10 ms to compile.
const PATTERN_BYTES: usize = 1024 * 1024;
/// A range of letters in a class: a state for each byte but the last, at the very least. Of most classes it is twice this.
const BYTES_OF_A_RANGE: u64 = 32;
/// What is tried in turn, so that a pattern is known by about what it has.
const SIZES: [usize; 4] = [SMALL_PATTERN_BYTES, 64 * 1024, 256 * 1024, PATTERN_BYTES];
/// What the search may keep of the states that it has been in, of each pattern, direction and thread.
const STATES_BYTES: usize = 1024 * 1024;
/// Places of a pattern: the characters and classes that it has once its repetitions are written out. A match takes at most
/// this times the length of the text, and nobody can stop it: with so many places and the longest text, a second, or two where
/// the places are classes of Unicode.
const MOST_PLACES: u64 = 1024;
/// A pattern below this is thought to be quick, whatever the text, until it is not.
const SMALL_PATTERN_BYTES: usize = 16 * 1024;
/// A text below this is short: any pattern is matched on it at once.
const SHORT_TEXT_BYTES: usize = 1024;
/// A match on a long text that is over in this time was quick.
const QUICK: Duration = Duration::from_micros(200);
/// So many patterns are kept, and so much of them; then all are forgotten. What is kept besides of their states is bounded by
/// the number, and most patterns have none.
const PATTERNS_KEPT: usize = 256;
const PATTERN_BYTES_KEPT: usize = 32 * PATTERN_BYTES;
/// So many texts are looked for between two looks at the clock.
const WORDS_BETWEEN_LOOKS: usize = 16;

/// A pattern, and whether it was quick the last time that it met a long text. A match takes no more than the size of the
/// pattern times that of the text, which may be many milliseconds; nearly always it takes a few microseconds.
struct Pattern {
    regex: Regex,
    /// It has no more than this.
    bytes: usize,
    quick: AtomicBool,
}

/// The patterns of all scripts, in a map that never changes: one with another pattern takes its place, so that nobody who
/// matches waits for anybody.
#[derive(Default)]
struct Patterns(ArcSwap<Kept>);

#[derive(Default, Clone)]
struct Kept {
    patterns: HashMap<ImmutableString, Arc<Pattern>>,
    /// Of all of them.
    bytes: usize,
}

impl Kept {
    fn with(&self, text: &ImmutableString, pattern: &Arc<Pattern>) -> Self {
        let has_room = self.patterns.len() < PATTERNS_KEPT && self.bytes + pattern.bytes <= PATTERN_BYTES_KEPT;
        let mut kept = if has_room { self.clone() } else { Self::default() };
        let before = kept.patterns.insert(text.clone(), Arc::clone(pattern));
        // Two threads may compile the same.
        kept.bytes = (kept.bytes + pattern.bytes).saturating_sub(before.map_or(0, |before| before.bytes));
        kept
    }
}

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
        if let Some(known) = self.0.load().patterns.get(pattern) {
            return Ok(Arc::clone(known));
        }
        if pattern.len() > LONGEST_PATTERN {
            return Err(format!("the regular expression has over {LONGEST_PATTERN} bytes").into());
        }
        call::before_long_work()?;
        let compiled = call::sparing(|| compile(pattern));
        let compiled = Arc::new(compiled.map_err(|reason| format!("bad regular expression: {reason}"))?);
        self.0.rcu(|kept| kept.with(pattern, &compiled));
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
    let parsed = regex_syntax::parse(pattern).ok();
    let (places, least_bytes) = parsed.map_or((0, 0), |parsed| (places(&parsed), least_bytes(&parsed)));
    if places > MOST_PLACES {
        return Err(format!(
            "it has {places} places once its repetitions are written out; at most {MOST_PLACES} are taken"
        ));
    }
    for bytes in SIZES.into_iter().filter(|bytes| least_bytes <= *bytes as u64) {
        match RegexBuilder::new(pattern).size_limit(bytes).dfa_size_limit(STATES_BYTES).build() {
            Ok(regex) => {
                return Ok(Pattern { regex, bytes, quick: AtomicBool::new(bytes <= SMALL_PATTERN_BYTES) });
            }
            Err(regex::Error::CompiledTooBig(_)) => {}
            // The parser draws a picture over several lines; its last line is the message.
            Err(error) => return Err(error.to_string().lines().last().unwrap_or_default().trim().to_owned()),
        }
    }
    Err(format!(
        "it is over {PATTERN_BYTES} bytes when compiled; \\w has the letters of all alphabets, and [a-z0-9_] in its place is small"
    ))
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

/// What the compiled pattern has at the very least: what is too large is told without compiling it, which takes long.
fn least_bytes(pattern: &Hir) -> u64 {
    match pattern.kind() {
        HirKind::Empty | HirKind::Look(_) | HirKind::Literal(_) | HirKind::Class(Class::Bytes(_)) => 0,
        HirKind::Class(Class::Unicode(class)) => {
            let beyond_ascii = class.ranges().iter().filter(|range| !range.end().is_ascii());
            BYTES_OF_A_RANGE.saturating_mul(beyond_ascii.count() as u64)
        }
        HirKind::Capture(group) => least_bytes(&group.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().map(least_bytes).fold(0, u64::saturating_add)
        }
        HirKind::Repetition(repeated) => {
            let times = repeated.max.unwrap_or(repeated.min.max(1));
            least_bytes(&repeated.sub).saturating_mul(u64::from(times))
        }
    }
}

fn contains_any(text: &str, words: &Array) -> Fallible<bool> {
    call::after_some_work();
    for words in words.chunks(WORDS_BETWEEN_LOOKS) {
        for word in words {
            let is_there = match (word.read_lock::<ImmutableString>(), word.as_char()) {
                (Some(word), _) => text.contains(word.as_str()),
                (None, Ok(letter)) => text.contains(letter),
                // A fact that this mail lacks: whoever writes it must not be able to make a script fail.
                _ if word.is_unit() => false,
                (None, Err(kind)) => {
                    return Err(format!("contains_any looks for texts, and one of these is {kind}").into());
                }
            };
            if is_there {
                return Ok(true);
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_ordinary_classes_are_taken_and_those_of_whole_alphabets_only_so_often() {
        for pattern in [
            r"\w{1,16}",
            r"\d{120}",
            r"\S{1,64}@\S{1,253}",
            r"[\w.+-]+@[\w-]+\.[\w.-]+",
            "x{1024}",
            "[a-z0-9_]{1024}",
            ".{1000}",
        ] {
            assert!(compile(pattern).is_ok(), "{pattern}");
        }
        let told = compile(r"\w{1,64}").map(drop).unwrap_err();
        assert_eq!(
            told,
            r"it is over 1048576 bytes when compiled; \w has the letters of all alphabets, and [a-z0-9_] in its place is small"
        );
        assert!(compile("x{1025}").map(drop).unwrap_err().contains("at most 1024 are taken"));
    }

    #[test]
    fn what_is_kept_of_patterns_is_bounded_however_large_they_are() {
        let large = Arc::new(compile(r"\w{1,16}").unwrap());
        assert_eq!(large.bytes, PATTERN_BYTES);
        let mut kept = Kept::default();
        for number in 0..200 {
            kept = kept.with(&format!("pattern {number}").into(), &large);
            assert_eq!(kept.bytes, kept.patterns.len() * PATTERN_BYTES);
            assert!(
                kept.bytes <= PATTERN_BYTES_KEPT && kept.patterns.contains_key(format!("pattern {number}").as_str())
            );
            // Once more is no more.
            kept = kept.with(&format!("pattern {number}").into(), &large);
            assert_eq!(kept.bytes, kept.patterns.len() * PATTERN_BYTES);
        }
        let small = Arc::new(compile("small").unwrap());
        assert_eq!(small.bytes, SMALL_PATTERN_BYTES);
        for number in 0..300 {
            kept = kept.with(&format!("small {number}").into(), &small);
            assert!(kept.patterns.len() <= PATTERNS_KEPT);
        }
    }
}
