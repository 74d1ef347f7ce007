//! Reading an extension's answer: a map with known keys and known words, or an error that says what was expected. Both
//! engines end here, so that a script and a component are told the same.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::Extra;
use crate::domain::Timestamp;

/// The longest reason, diagnostic or other text for people that is kept, in characters. More is cut off.
const LONGEST_TEXT: usize = 1024;

/// An answer outside the vocabulary. The text names the place and what was expected there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadAnswer(String);

/// An RFC 3463 status, such as `5.1.1`: a class of 2, 4 or 5, then two numbers of at most three digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EnhancedStatus(Box<str>);

/// The fields of one map of an answer; what is not taken by the end is an unknown key.
pub(super) struct Fields {
    place: String,
    map: Map<String, Value>,
}

impl BadAnswer {
    /// An answer that is wrong because of `problem`, a whole clause.
    pub fn new(problem: impl Into<String>) -> Self {
        Self(problem.into())
    }
}

impl EnhancedStatus {
    /// Parses the text of an RFC 3463 status.
    pub fn parse(text: &str) -> Result<Self, BadAnswer> {
        let text = text.trim();
        let mut parts = text.split('.');
        let class = parts.next().is_some_and(|class| matches!(class, "2" | "4" | "5"));
        let mut number = || {
            parts.next().is_some_and(|part| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit()))
        };
        let numbers = number() && number();
        if !class || !numbers || parts.next().is_some() {
            return Err(BadAnswer(format!("{:?} is no RFC 3463 status; write it as 5.1.1", clip(text.to_owned()))));
        }
        Ok(Self(text.into()))
    }

    /// The text, such as `5.1.1`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EnhancedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for EnhancedStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl Fields {
    /// The fields of `value`, which stands at `place` (such as `bounces[0]`) and should look like `shape`.
    pub(super) fn of(value: Value, place: &str, shape: &str) -> Result<Self, BadAnswer> {
        match value {
            Value::Object(map) => Ok(Self { place: place.to_owned(), map }),
            other => Err(BadAnswer(format!("{place} is {}; expected a map such as {shape}", kind_of(&other)))),
        }
    }

    /// Whether there is such a key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    /// Takes whatever stands at `key`.
    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        self.map.remove(key).filter(|value| !value.is_null())
    }

    /// Takes a text that may be missing.
    pub(super) fn text(&mut self, key: &str) -> Result<Option<String>, BadAnswer> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(key, "a text", &other)),
        }
    }

    /// Takes a text that must be there.
    pub(super) fn needed_text(&mut self, key: &str) -> Result<String, BadAnswer> {
        self.text(key)?.ok_or_else(|| BadAnswer(format!("{} has no {key:?}, which it needs", self.place)))
    }

    /// Takes a whole number, at least zero, that must be there.
    pub(super) fn needed_number(&mut self, key: &str) -> Result<u64, BadAnswer> {
        self.number(key)?.ok_or_else(|| BadAnswer(format!("{} has no {key:?}, which it needs", self.place)))
    }

    /// Takes a whole number, at least zero, that may be missing.
    pub(super) fn number(&mut self, key: &str) -> Result<Option<u64>, BadAnswer> {
        match self.take(key) {
            None => Ok(None),
            Some(value) => match value.as_u64() {
                Some(number) => Ok(Some(number)),
                None => Err(self.wrong(key, "a whole number from 0", &value)),
            },
        }
    }

    /// Takes a list that may be missing.
    pub(super) fn list(&mut self, key: &str) -> Result<Option<Vec<Value>>, BadAnswer> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Array(list)) => Ok(Some(list)),
            Some(other) => Err(self.wrong(key, "a list", &other)),
        }
    }

    /// Takes `extra`, a map of texts.
    pub(super) fn extra(&mut self) -> Result<Extra, BadAnswer> {
        match self.take("extra") {
            None => Ok(Extra::default()),
            Some(value) => serde_json::from_value(value)
                .map_err(|_| BadAnswer(format!("{}.extra must be a map from text to text", self.place))),
        }
    }

    /// All keys must have been taken; `keys` are those that this place knows.
    pub(super) fn finish(self, keys: &[&str]) -> Result<(), BadAnswer> {
        match self.map.iter().find(|(key, value)| !(value.is_null() && keys.contains(&key.as_str()))) {
            None => Ok(()),
            Some((key, _)) => Err(BadAnswer(format!(
                "{} has the unknown key {:?}; the keys here are {}",
                self.place,
                clip(key.clone()),
                keys.join(", ")
            ))),
        }
    }

    /// Puts this place before the message of an error from inside it.
    pub(super) fn inside<T>(&self, result: Result<T, BadAnswer>) -> Result<T, BadAnswer> {
        result.map_err(|error| BadAnswer(format!("{}: {error}", self.place)))
    }

    fn wrong(&self, key: &str, expected: &str, found: &Value) -> BadAnswer {
        BadAnswer(format!("{}.{key} is {}; expected {expected}", self.place, kind_of(found)))
    }
}

/// The case of a word, or an error that lists the words there are.
pub(super) fn known<T: Copy + fmt::Display>(
    word: &str,
    what: &str,
    parse: fn(&str) -> Option<T>,
    all: &[T],
) -> Result<T, BadAnswer> {
    parse(word).ok_or_else(|| {
        let words: Vec<String> = all.iter().map(ToString::to_string).collect();
        unknown_word(word, what, &words.join(", "))
    })
}

/// The error of a word that is not among `words`.
pub(super) fn unknown_word(word: &str, what: &str, words: &str) -> BadAnswer {
    BadAnswer(format!("{:?} is no {what}; expected one of {words}", clip(word.to_owned())))
}

/// Parses a civil date, such as `2026-12-01`.
pub(super) fn civil_date(text: &str) -> Result<jiff::civil::Date, BadAnswer> {
    text.parse().map_err(|_| BadAnswer(format!("{:?} is no date; write it as 2026-12-01", clip(text.to_owned()))))
}

/// Parses an instant, such as `2026-11-23T08:00:00Z`.
pub(super) fn instant(text: &str) -> Result<Timestamp, BadAnswer> {
    text.parse()
        .map_err(|_| BadAnswer(format!("{:?} is no time; write it as 2026-11-23T08:00:00Z", clip(text.to_owned()))))
}

/// A text as a row can hold it: cut to a length, and without NULs, which PostgreSQL takes in no text.
pub(super) fn clip(mut text: String) -> String {
    text.retain(|c| c != '\0');
    match text.char_indices().nth(LONGEST_TEXT) {
        None => text,
        Some((end, _)) => text[..end].to_owned(),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_to_what_a_row_holds() {
        assert_eq!(clip("a\0b".to_owned()), "ab");
        assert_eq!(clip("é".repeat(2000)).chars().count(), LONGEST_TEXT);
    }

    #[test]
    fn a_status_has_the_shape_of_rfc_3463() {
        for good in ["5.1.1", "4.2.2", "2.0.0", "5.7.606"] {
            assert_eq!(EnhancedStatus::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "5", "5.1", "5.1.1.1", "3.1.1", "5.1.x", "5.1234.1", "5..1"] {
            assert!(EnhancedStatus::parse(bad).unwrap_err().to_string().contains("5.1.1"), "{bad}");
        }
    }
}
