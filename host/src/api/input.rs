//! Reading request bodies: every field that is wrong is told, by its path, in one answer.
//!
//! A [`Fields`] is one JSON object under its path. Handlers take each field through a reader (see [`super::values`]); what
//! is not taken in the end is an unknown field. A field that is wrong is noted and reads as `None`, so that the rest is
//! looked at, too; [`read`] gives the value only when nothing was noted.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::error::{ApiError, Result};
use super::json::Given;

/// More problems than this are not told: nobody reads them, and an answer stays small.
const MOST_PROBLEMS: usize = 1000;

/// A reader's answer: the value, or what it should have been.
pub(super) type Reading<T> = std::result::Result<T, String>;

/// All that is wrong, by path.
#[derive(Debug, Default)]
pub(super) struct Problems(RefCell<BTreeMap<String, Vec<String>>>);

/// The fields of one object.
pub(super) struct Fields<'p> {
    path: String,
    map: Map<String, Value>,
    known: Vec<&'static str>,
    problems: &'p Problems,
}

/// Reads a body with `parse`; the error names every wrong field.
pub(super) fn read<T>(body: impl Into<Given>, parse: impl FnOnce(&mut Fields<'_>) -> Option<T>) -> Result<T> {
    let body = body.into();
    let problems = Problems(RefCell::new(body.problems));
    let value = object(body.value, String::new(), &problems, parse);
    problems.verdict(value)
}

/// Reads a body whose one field is the object `name`: `{"campaign": {…}}`.
pub(super) fn read_wrapped<T>(
    body: impl Into<Given>,
    name: &'static str,
    parse: impl FnOnce(&mut Fields<'_>) -> Option<T>,
) -> Result<T> {
    read(body, |fields| fields.object(name, parse))
}

impl Fields<'_> {
    /// A field that must be there.
    pub(super) fn required<T>(&mut self, key: &'static str, reader: impl Fn(&Value) -> Reading<T>) -> Option<T> {
        match self.take(key) {
            None | Some(Value::Null) => {
                self.note(key, "is required");
                None
            }
            Some(value) => self.reading(key, reader(&value)),
        }
    }

    /// A field that may be missing or null.
    pub(super) fn optional<T>(&mut self, key: &'static str, reader: impl Fn(&Value) -> Reading<T>) -> Option<T> {
        match self.take(key) {
            None | Some(Value::Null) => None,
            Some(value) => self.reading(key, reader(&value)),
        }
    }

    /// A field of a PATCH: written where it is given, and never null.
    pub(super) fn change<T>(&mut self, key: &'static str, place: &mut T, reader: impl Fn(&Value) -> Reading<T>) {
        match self.take(key) {
            None => {}
            Some(Value::Null) => self.note(key, "can't be null; leave it out to keep it"),
            Some(value) => {
                if let Some(value) = self.reading(key, reader(&value)) {
                    *place = value;
                }
            }
        }
    }

    /// A field of a PATCH that null empties, and whatever else the reader takes for nothing.
    pub(super) fn change_or_clear<T, R: Into<Option<T>>>(
        &mut self,
        key: &'static str,
        place: &mut Option<T>,
        reader: impl Fn(&Value) -> Reading<R>,
    ) {
        match self.take(key) {
            None => {}
            Some(Value::Null) => *place = None,
            Some(value) => {
                if let Some(value) = self.reading(key, reader(&value)) {
                    *place = value.into();
                }
            }
        }
    }

    /// Whether a field is given and not null; it counts as known.
    pub(super) fn has(&mut self, key: &'static str) -> bool {
        self.known.push(key);
        self.map.get(key).is_some_and(|value| !value.is_null())
    }

    /// Whether a field is given as null.
    pub(super) fn is_null(&mut self, key: &'static str) -> bool {
        self.known.push(key);
        self.map.get(key).is_some_and(Value::is_null)
    }

    /// Whether something was noted about a field: what would follow from its value is no problem of its own then.
    pub(super) fn is_wrong(&self, key: &str) -> bool {
        self.problems.0.borrow().contains_key(&self.path_of(key))
    }

    /// An object that must be there.
    pub(super) fn object<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&mut Fields<'_>) -> Option<T>,
    ) -> Option<T> {
        match self.take(key) {
            None | Some(Value::Null) => {
                self.note(key, "is required");
                None
            }
            Some(value) => object(value, self.path_of(key), self.problems, parse),
        }
    }

    /// A list of objects that must be there; each is read under the path `key.0`, `key.1`, ….
    pub(super) fn objects<T>(
        &mut self,
        key: &'static str,
        mut parse: impl FnMut(&mut Fields<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let items = self.items(key)?;
        let path = self.path_of(key);
        // Every item is read, and only then is one that is wrong the end: all are told.
        let read: Vec<Option<T>> = items
            .into_iter()
            .enumerate()
            .map(|(index, item)| object(item, format!("{path}.{index}"), self.problems, &mut parse))
            .collect();
        read.into_iter().collect()
    }

    /// A list of plain values that may be missing.
    pub(super) fn optional_values<T>(
        &mut self,
        key: &'static str,
        reader: impl Fn(&Value) -> Reading<T>,
    ) -> Option<Vec<T>> {
        if !self.has(key) {
            self.map.remove(key);
            return None;
        }
        let items = self.items(key)?;
        let path = self.path_of(key);
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match reader(item) {
                Ok(value) => values.push(value),
                Err(problem) => self.problems.note(format!("{path}.{index}"), problem),
            }
        }
        (values.len() == items.len()).then_some(values)
    }

    /// Notes what is wrong about a field (or about the object, where `key` is empty).
    pub(super) fn note(&self, key: &str, problem: impl Into<String>) {
        self.problems.note(self.path_of(key), problem.into());
    }

    fn items(&mut self, key: &'static str) -> Option<Vec<Value>> {
        match self.take(key) {
            None | Some(Value::Null) => self.note(key, "is required"),
            Some(Value::Array(items)) => return Some(items),
            Some(other) => self.note(key, format!("must be a list, not {}", kind_of(&other))),
        }
        None
    }

    fn take(&mut self, key: &'static str) -> Option<Value> {
        self.known.push(key);
        self.map.remove(key)
    }

    fn reading<T>(&self, key: &str, reading: Reading<T>) -> Option<T> {
        reading.map_err(|problem| self.note(key, problem)).ok()
    }

    fn path_of(&self, key: &str) -> String {
        match (self.path.is_empty(), key.is_empty()) {
            (true, _) => key.to_owned(),
            (_, true) => self.path.clone(),
            _ => format!("{}.{key}", self.path),
        }
    }

    /// What was not taken is unknown.
    fn finish(self) {
        let mut known = self.known.clone();
        known.sort_unstable();
        known.dedup();
        let fields = match known.as_slice() {
            [] => "there are none here".to_owned(),
            some => format!("the fields are {}", some.join(", ")),
        };
        for key in self.map.keys().filter(|key| !known.contains(&key.as_str())) {
            let shown: String = key.chars().take(80).collect();
            self.note(&shown, format!("is no known field; {fields}"));
        }
    }
}

impl Problems {
    /// The value, if nothing was noted.
    pub(super) fn verdict<T>(self, value: Option<T>) -> Result<T> {
        let problems = self.0.into_inner();
        match value {
            Some(value) if problems.is_empty() => Ok(value),
            None if problems.is_empty() => Err(ApiError::invalid_field("", "can't be read")),
            _ => Err(ApiError::invalid(problems)),
        }
    }

    pub(super) fn note(&self, path: String, problem: String) {
        let mut problems = self.0.borrow_mut();
        if problems.len() < MOST_PROBLEMS || problems.contains_key(&path) {
            let known = problems.entry(path).or_default();
            // The whole body was looked at before its fields were: some is found twice.
            if !known.contains(&problem) {
                known.push(problem);
            }
        }
    }
}

/// The JSON type of a value, in words.
pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Reads an object that stands at `path`.
pub(super) fn object<T>(
    value: Value,
    path: String,
    problems: &Problems,
    parse: impl FnOnce(&mut Fields<'_>) -> Option<T>,
) -> Option<T> {
    let Value::Object(map) = value else {
        problems.note(path, format!("must be an object, not {}", kind_of(&value)));
        return None;
    };
    let mut fields = Fields { path, map, known: Vec::new(), problems };
    let value = parse(&mut fields);
    fields.finish();
    value
}

#[cfg(test)]
mod tests {
    use super::super::values::{flag, text, whole};
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(body: Value, expected: Value) {
        let read = read_wrapped(body, "thing", |thing| {
            let name = thing.required("name", text(1, 5));
            let parts = thing.objects("parts", |part| part.required("size", whole(1, 9)));
            let on = thing.optional("on", flag).unwrap_or(true);
            Some((name?, parts?, on))
        });
        match read {
            Ok(value) => assert_eq!(json!(value), expected),
            Err(error) => assert_eq!(error.details, expected),
        }
    }

    #[test]
    fn all_that_is_wrong_is_told_by_its_path() {
        check(json!({"thing": {"name": "ok", "parts": [{"size": 1}]}}), json!(["ok", [1], true]));
        check(
            json!({"thing": {"name": "too long", "nmae": 1, "parts": [{"size": 1}, {"size": 10}, {}], "on": "yes"}}),
            json!({
                "thing.name": ["must have 1 to 5 characters, not 8"],
                "thing.nmae": ["is no known field; the fields are name, on, parts"],
                "thing.parts.1.size": ["must be a whole number from 1 to 9"],
                "thing.parts.2.size": ["is required"],
                "thing.on": ["must be true or false, not a string"],
            }),
        );
    }

    #[test]
    fn where_there_are_no_fields_that_is_said() {
        let error = read(json!({"reason": 1}), |_| Some(())).unwrap_err();
        assert_eq!(error.details, json!({"reason": ["is no known field; there are none here"]}));
    }

    #[test]
    fn the_wrapper_is_asked_for_by_its_name() {
        check(json!({}), json!({"thing": ["is required"]}));
        check(json!({"thing": []}), json!({"thing": ["must be an object, not a list"]}));
        check(json!([]), json!({"": ["must be an object, not a list"]}));
    }
}
