//! The JSON form of an import, read where it lies: a contact is made, handed on and forgotten before the next one is
//! looked at, so that a list of 32 MiB needs no tree of ten times its size. What is wrong is told as for any other body.

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::api::contacts::name;
use crate::api::error::Result;
use crate::api::input::{Fields, Problems, kind_of, object};
use crate::api::json::{NUL, TWICE, not_json, text};
use crate::api::values::{email, line};
use crate::domain::Timestamp;
use crate::domain::ids::ContactId;
use crate::store::contacts::NewContact;

const WRAPPER: &str = "contact_import";
const LIST: &str = "contacts";
/// Fields of one object that are kept until it is read: more than it may have, and enough to tell what is wrong.
const MOST_FIELDS: usize = 64;

/// What an import says of itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Heading {
    pub(super) name: String,
    pub(super) record_count: u64,
}

/// Whoever takes the contacts wants no more.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stopped;

/// Looks at the whole body; nothing is kept of its contacts. The error names every wrong field.
pub(super) fn check(body: &[u8]) -> Result<Heading> {
    let problems = Problems::default();
    let mut ignore = |_: NewContact| Ok(());
    let mut reading =
        Reading { problems: &problems, now: Timestamp::from_millis(0), take: &mut ignore, name: None, count: 0 };
    walk(text(body)?.as_bytes(), &mut reading).map_err(|error| not_json(&error))?;
    let heading = reading.name.take().map(|name| Heading { name, record_count: reading.count });
    problems.verdict(heading)
}

/// Hands on the contacts of a body that was checked.
pub(super) fn each(
    body: &[u8],
    now: Timestamp,
    take: &mut dyn FnMut(NewContact) -> std::result::Result<(), Stopped>,
) -> std::result::Result<(), Stopped> {
    let problems = Problems::default();
    let mut reading = Reading { problems: &problems, now, take, name: None, count: 0 };
    // It was checked, so that whoever takes is the only one who may end it early.
    walk(body, &mut reading).map_err(|_| Stopped)
}

fn walk(body: &[u8], reading: &mut Reading<'_, '_>) -> serde_json::Result<()> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    Node { reading, place: Place::Body }.deserialize(&mut deserializer)?;
    deserializer.end()
}

/// What is kept while the body is walked through.
struct Reading<'r, 't> {
    problems: &'r Problems,
    now: Timestamp,
    take: &'t mut dyn FnMut(NewContact) -> std::result::Result<(), Stopped>,
    name: Option<String>,
    count: u64,
}

/// Where in the body a value stands.
#[derive(Clone, Copy)]
enum Place {
    Body,
    Import,
    Contacts,
    Contact(u64),
}

/// A value of the body that is about to be read.
struct Node<'n, 'r, 't> {
    reading: &'n mut Reading<'r, 't>,
    place: Place,
}

impl Place {
    fn path(self) -> String {
        match self {
            Self::Body => String::new(),
            Self::Import => WRAPPER.to_owned(),
            Self::Contacts => format!("{WRAPPER}.{LIST}"),
            Self::Contact(index) => format!("{WRAPPER}.{LIST}.{index}"),
        }
    }

    /// The field of an object at this place that is walked through rather than kept.
    fn inner(self) -> Option<(&'static str, Self)> {
        match self {
            Self::Body => Some((WRAPPER, Self::Import)),
            Self::Import => Some((LIST, Self::Contacts)),
            Self::Contacts | Self::Contact(_) => None,
        }
    }
}

impl Node<'_, '_, '_> {
    /// A value of another kind than this place has.
    fn wrong(self, value: &Value) {
        let expected = if matches!(self.place, Place::Contacts) { "a list" } else { "an object" };
        let problem = match (value, self.place) {
            (Value::Null, Place::Import | Place::Contacts) => "is required".to_owned(),
            _ => format!("must be {expected}, not {}", kind_of(value)),
        };
        self.reading.problems.note(self.place.path(), problem);
    }

    /// Notes what is wrong about a name of the object at this place.
    fn note(&self, key: &str, problem: &str) {
        let key: String = key.chars().take(80).collect();
        let above = self.place.path();
        let path = if above.is_empty() { key } else { format!("{above}.{key}") };
        self.reading.problems.note(path, problem.to_owned());
    }

    /// An object whose inner field has been walked through; what is left of it is small.
    fn read(self, map: Map<String, Value>, has_inner: bool) -> std::result::Result<(), Stopped> {
        let Self { reading, place } = self;
        let (problems, value, now) = (reading.problems, Value::Object(map), reading.now);
        let needs = |fields: &mut Fields<'_>, key: &'static str| {
            fields.has(key);
            if !has_inner {
                fields.note(key, "is required");
            }
        };
        match place {
            Place::Body => {
                object(value, place.path(), problems, |fields| {
                    needs(fields, WRAPPER);
                    Some(())
                });
            }
            Place::Import => {
                reading.name = object(value, place.path(), problems, |fields| {
                    needs(fields, LIST);
                    fields.required("name", line(1, 200))
                });
            }
            Place::Contacts => {}
            Place::Contact(_) => {
                if let Some(contact) = object(value, place.path(), problems, |fields| contact(fields, now)) {
                    return (reading.take)(contact);
                }
            }
        }
        Ok(())
    }
}

fn contact(fields: &mut Fields<'_>, now: Timestamp) -> Option<NewContact> {
    let email = fields.required("email", email);
    let mut kept = |field| fields.optional(field, name).flatten().map(String::into_boxed_str);
    let (first_name, last_name, company) = (kept("first_name"), kept("last_name"), kept("company"));
    Some(NewContact { id: ContactId::new(now), email: email?, first_name, last_name, company })
}

impl<'de> DeserializeSeed<'de> for Node<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// What a visitor is told of a value that is no list and no object.
macro_rules! plain_values {
    ($take:expr) => {
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("any value")
        }

        fn visit_unit<E>(self) -> std::result::Result<Self::Value, E> {
            Ok($take(self, Value::Null))
        }

        fn visit_bool<E>(self, value: bool) -> std::result::Result<Self::Value, E> {
            Ok($take(self, Value::Bool(value)))
        }

        fn visit_i64<E>(self, value: i64) -> std::result::Result<Self::Value, E> {
            Ok($take(self, value.into()))
        }

        fn visit_u64<E>(self, value: u64) -> std::result::Result<Self::Value, E> {
            Ok($take(self, value.into()))
        }

        fn visit_f64<E>(self, value: f64) -> std::result::Result<Self::Value, E> {
            Ok($take(self, value.into()))
        }

        fn visit_str<E>(self, value: &str) -> std::result::Result<Self::Value, E> {
            Ok($take(self, value.into()))
        }
    };
}

impl<'de> Visitor<'de> for Node<'_, '_, '_> {
    type Value = ();

    plain_values!(|node: Self, value: Value| node.wrong(&value));

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<(), A::Error> {
        if !matches!(self.place, Place::Contacts) {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            self.wrong(&Value::Array(Vec::new()));
            return Ok(());
        }
        loop {
            let place = Place::Contact(self.reading.count);
            if list.next_element_seed(Node { reading: &mut *self.reading, place })?.is_none() {
                return Ok(());
            }
            self.reading.count += 1;
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<(), A::Error> {
        if matches!(self.place, Place::Contacts) {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            self.wrong(&Value::Object(Map::new()));
            return Ok(());
        }
        let mut kept = Map::new();
        let mut has_inner = false;
        while let Some(key) = map.next_key::<String>()? {
            let is_inner = self.place.inner().is_some_and(|(inner, _)| inner == key);
            if kept.contains_key(&key) || (is_inner && has_inner) {
                self.note(&key, TWICE);
            }
            if key.contains('\0') {
                self.note(&key.replace('\0', ""), NUL);
            }
            match self.place.inner() {
                Some((inner, _)) if inner == key && has_inner => drop(map.next_value::<IgnoredAny>()?),
                Some((inner, place)) if inner == key => {
                    has_inner = true;
                    map.next_value_seed(Node { reading: &mut *self.reading, place })?;
                }
                _ if kept.len() < MOST_FIELDS => {
                    let value = map.next_value_seed(Shallow)?;
                    kept.insert(key, value);
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        self.read(kept, has_inner).map_err(|Stopped| serde::de::Error::custom("stopped"))
    }
}

/// A value as it is, but of a list or an object only that it is one.
struct Shallow;

impl<'de> DeserializeSeed<'de> for Shallow {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Shallow {
    type Value = Value;

    plain_values!(|_: Self, value: Value| value);

    fn visit_string<E>(self, value: String) -> std::result::Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Array(Vec::new()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Object(Map::new()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What is told of a body: its name, its count and its addresses, or what is wrong.
    fn told(body: &str) -> Value {
        match check(body.as_bytes()) {
            Err(error) => json!([error.code, error.details]),
            Ok(heading) => {
                let mut addresses = Vec::new();
                let taken = each(body.as_bytes(), Timestamp::from_millis(0), &mut |contact| {
                    addresses.push(contact.email.to_string());
                    Ok(())
                });
                assert_eq!(taken, Ok(()));
                json!([heading.name, heading.record_count, addresses])
            }
        }
    }

    #[test]
    fn a_list_is_read_in_whatever_order_its_fields_stand() {
        let list = r#"[{"email":"a@b.example","first_name":null},{"company":"C","email":"d@b.example"}]"#;
        for body in [
            format!(r#"{{"contact_import":{{"name":"l","contacts":{list}}}}}"#),
            format!(r#" {{"contact_import":{{"contacts":{list},"name":"l"}}}} "#),
        ] {
            assert_eq!(told(&body), json!(["l", 2, ["a@b.example", "d@b.example"]]));
        }
    }

    #[test]
    fn every_wrong_field_is_told_by_its_path() {
        let body = json!({ "contact_import": {
            "nmae": "l", "contacts": [7, { "email": ["x"] }, null, { "email": "a@b.example", "fax": { "deep": [1] } }],
        }, "dry_run": true });
        let fields = "company, email, first_name, last_name";
        assert_eq!(
            told(&body.to_string()),
            json!(["validation_failed", {
                "contact_import.contacts.0": ["must be an object, not a number"],
                "contact_import.contacts.1.email": ["must be a string, not a list"],
                "contact_import.contacts.2": ["must be an object, not null"],
                "contact_import.contacts.3.fax": [format!("is no known field; the fields are {fields}")],
                "contact_import.name": ["is required"],
                "contact_import.nmae": ["is no known field; the fields are contacts, name"],
                "dry_run": ["is no known field; the fields are contact_import"],
            }])
        );
    }

    #[test]
    fn a_body_of_another_shape_is_told_what_it_should_be() {
        let wrong = |path: &str, problem: &str| json!(["validation_failed", { path: [problem] }]);
        assert_eq!(told("[]"), wrong("", "must be an object, not a list"));
        assert_eq!(told("{}"), wrong("contact_import", "is required"));
        assert_eq!(told("\u{feff}{}"), told("{}"), "the mark of the encoding is none of it");
        assert_eq!(told(r#"{"contact_import":null}"#), wrong("contact_import", "is required"));
        assert_eq!(told(r#"{"contact_import":"x"}"#), wrong("contact_import", "must be an object, not a string"));
        let list = |list: &str| told(&format!(r#"{{"contact_import":{{"name":"l","contacts":{list}}}}}"#));
        assert_eq!(list("null"), wrong("contact_import.contacts", "is required"));
        assert_eq!(list("{}"), wrong("contact_import.contacts", "must be a list, not an object"));
        for broken in [r#"{"contact_import""#, r#"{"contact_import":{"contacts":[{]}}"#, "{} {}", ""] {
            assert_eq!(told(broken)[0], "bad_request", "{broken}");
        }
        let twice = r#"{"contact_import":{"name":"l","contacts":[{"email":"a@b.example","email":"c@b.example"}]}}"#;
        assert_eq!(told(twice), wrong("contact_import.contacts.0.email", TWICE));
        assert_eq!(
            told(r#"{"contact_import":{"name":"l","contacts":[],"contacts":[]}}"#),
            wrong("contact_import.contacts", TWICE)
        );
        let nul = r#"{"contact_import":{"name":"l","contacts":[{"email":"a@b.example","company":"\u0000"}]}}"#;
        assert_eq!(told(nul), wrong("contact_import.contacts.0.company", NUL));
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(told(&deep)[0].is_string());
    }

    #[test]
    fn as_many_wrong_fields_as_anybody_reads_are_told() {
        let contacts: Vec<_> = (0..5_000).map(|n| json!({ "email": n })).collect();
        let body = json!({ "contact_import": { "name": "l", "contacts": contacts } });
        let told = told(&body.to_string());
        assert_eq!(told[1].as_object().unwrap().len(), 1_000);
        let many: Map<String, Value> = (0..5_000).map(|n| (format!("f{n}"), Value::Null)).collect();
        let body = json!({ "contact_import": { "name": "l", "contacts": [many] } });
        assert!(self::told(&body.to_string())[1].as_object().unwrap().len() <= MOST_FIELDS + 1);
    }

    #[test]
    fn whoever_takes_may_stop() {
        let body = br#"{"contact_import":{"name":"l","contacts":[{"email":"a@b.example"},{"email":"c@b.example"}]}}"#;
        let mut taken = 0;
        let ended = each(body, Timestamp::from_millis(0), &mut |_| {
            taken += 1;
            Err(Stopped)
        });
        assert_eq!((ended, taken), (Err(Stopped), 1));
    }
}
