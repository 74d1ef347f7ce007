//! The cases, in three parts: who speaks, what is said, and what no provider says.

use serde_json::{Value, json};

use super::Scheme;
use super::mutate::{Random, each_value_spoilt};
use super::subject::{Content, Proof, Shape, Subject, now};
use super::{Case, Expected};
use crate::Request;

/// Where the damage begins; a failure names its round.
const SEED: u64 = 20_261_123;
const ROUNDS: u64 = 300;

pub(super) fn of(subject: &Subject) -> Vec<Case> {
    let mut cases = Cases { subject, cases: Vec::new() };
    cases.who_speaks();
    cases.when_it_was_said();
    cases.what_is_said();
    cases.how_it_arrives();
    cases.what_no_provider_says();
    cases.damage();
    cases.cases
}

struct Cases<'a> {
    subject: &'a Subject,
    cases: Vec<Case>,
}

impl Cases<'_> {
    fn who_speaks(&mut self) {
        let genuine = self.genuine();
        self.add("a genuine request", genuine.clone(), Expected::Genuine(1));
        self.add("a genuine request, told again", genuine.clone(), Expected::Genuine(1));
        for proof in Proof::SPOILT {
            let request = self.subject.request(&self.one(), &now().to_string(), proof);
            self.add(&format!("the proof is {proof:?}"), request, Expected::Unauthorized);
        }
        let without = if self.subject.scheme.is_optional() { Expected::Genuine(1) } else { Expected::Unauthorized };
        let no_secrets = |value: &str| {
            let is_secret =
                |key: &str| matches!(key, "signing_secret" | "public_key" | "signing_certificate" | "topic_arns");
            let pairs = self.subject.settings.iter();
            pairs
                .map(|(key, old)| (key.clone(), if is_secret(key) { value } else { old }.to_owned()))
                .collect::<Vec<_>>()
        };
        let (empty, wrong) = (no_secrets(""), no_secrets("AAAA"));
        self.add_with("the endpoint's secret is empty", genuine.clone(), empty, without);
        self.add_with("the endpoint has no settings", genuine.clone(), Vec::new(), without);
        self.add_with("the endpoint's secret is another", genuine.clone(), wrong, Expected::Unauthorized);
        let covered = match self.subject.scheme {
            // What is no JSON any more has no signature in it.
            Scheme::Sns => Expected::NoEvent,
            _ if self.subject.scheme.covers_body() => Expected::Unauthorized,
            _ => Expected::Anything,
        };
        self.add_changed("a byte in the middle of the body is flipped", covered, |body| {
            let at = body.len() / 2;
            if let Some(byte) = body.get_mut(at) {
                *byte ^= 1;
            }
        });
        self.add_changed("the body is a byte shorter", covered, |body| body.truncate(body.len().saturating_sub(1)));
        self.add_changed("the body is cut in half", covered, |body| body.truncate(body.len() / 2));
        let is_form = matches!(self.subject.shape, Shape::Form | Shape::Query);
        let gone = if is_form { Expected::Anything } else { Expected::NoEvent };
        self.add_changed("the body is gone", gone, Vec::clear);
        // SNS signs fields and not bytes: what follows the JSON changes none of them.
        let longer = if self.subject.shape == Shape::Sns { Expected::Anything } else { covered };
        self.add_changed("the body has a line end more", longer, |body| body.extend_from_slice(b"\r\n"));
    }

    fn when_it_was_said(&mut self) {
        let Some(window) = self.subject.scheme.window() else { return };
        let at = |offset: i64| (now() + offset).to_string();
        for (name, stamp, expected) in [
            ("the stamp is almost too old", at(30 - window), Expected::Genuine(1)),
            ("the stamp is too old", at(-window - 30), Expected::Unauthorized),
            ("the stamp is a year old", at(-31_536_000), Expected::Unauthorized),
            ("the stamp is a little ahead", at(120), Expected::Genuine(1)),
            ("the stamp is a day ahead", at(86_400), Expected::Unauthorized),
            ("the stamp is far ahead", at(3_000_000_000), Expected::Unauthorized),
            ("the stamp is empty", String::new(), Expected::Unauthorized),
            ("the stamp is no number", "noon".to_owned(), Expected::Unauthorized),
            ("the stamp is negative", "-1".to_owned(), Expected::Unauthorized),
            ("the stamp is huge", "99999999999999999999".to_owned(), Expected::Unauthorized),
            ("the stamp is the smallest number", i64::MIN.to_string(), Expected::Unauthorized),
            ("the stamp is not a number at all", "NaN".to_owned(), Expected::Unauthorized),
        ] {
            let request = self.subject.request(&self.one(), &stamp, Proof::Good);
            self.add(name, request, expected);
        }
    }

    fn what_is_said(&mut self) {
        let takes_lists = matches!(self.subject.shape, Shape::List | Shape::Either | Shape::Mandrill);
        if takes_lists {
            for count in [2, 3, 400] {
                self.add_events(
                    &format!("a batch of {count}"),
                    vec![self.subject.event.clone(); count],
                    Expected::Genuine(count),
                );
            }
            self.add_events("an empty batch", Vec::new(), Expected::NoEvent);
            let mixed = vec![self.subject.event.clone(), json!(7), json!(null), self.subject.event.clone()];
            self.add_events("a batch with what is no event in it", mixed, Expected::Anything);
        } else {
            self.add_raw("a list where none is sent", b"[]", Expected::NoEvent);
        }
        if let Some(pointer) = &self.subject.type_at {
            let words = [
                ("something_new_2031", Expected::Unknown),
                ("", Expected::Anything),
                ("\u{1f4a9}\0", Expected::Unknown),
            ];
            for (word, expected) in words {
                let mut event = self.subject.event.clone();
                if let Some(place) = event.pointer_mut(pointer) {
                    *place = json!(word);
                }
                self.add_events(&format!("an event called {word:?}"), vec![event], expected);
            }
        }
        self.add_events("an event that is empty", vec![json!({})], Expected::Anything);
        let doubled = self.subject.event.to_string().replacen(
            '{',
            &format!("{{\"\":0,\"\":1,{}", members(&self.subject.event)),
            1,
        );
        let is_json = !matches!(self.subject.shape, Shape::Form | Shape::Query);
        if is_json {
            let text = if self.subject.shape == Shape::List || self.subject.shape == Shape::Mandrill {
                format!("[{doubled}]")
            } else {
                doubled
            };
            self.add_raw("every key is there twice", text.as_bytes(), Expected::Genuine(1));
        } else {
            let form = self.subject.request(&self.one(), &now().to_string(), Proof::Good);
            let bytes = if self.subject.shape == Shape::Query { form.query.into_bytes() } else { form.body };
            self.add_raw("every key is there twice", &[&bytes[..], b"&", &bytes].concat(), Expected::Anything);
        }
        for (name, event) in each_value_spoilt(&self.subject.event) {
            self.add_events(&name, vec![event], Expected::Anything);
        }
    }

    fn how_it_arrives(&mut self) {
        let genuine = self.genuine();
        let mut capitals = genuine.clone();
        for (name, _) in &mut capitals.headers {
            name.make_ascii_uppercase();
        }
        self.add("header names in capitals", capitals, Expected::Genuine(1));
        for (name, value) in [
            ("another content type", Some("image/png")),
            ("no content type", None),
            ("an odd content type", Some(";;=é")),
        ] {
            let mut request = genuine.clone();
            request.headers.retain(|(name, _)| name != "content-type");
            request.headers.extend(value.map(|value| ("content-type".to_owned(), value.to_owned())));
            self.add(name, request, Expected::Genuine(1));
        }
        for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "", "post"] {
            let is_theirs = self.subject.shape == Shape::Query && matches!(method, "GET" | "post");
            let expected = if is_theirs { Expected::Anything } else { Expected::NoEvent };
            let mut request = genuine.clone();
            request.method = method.to_owned();
            self.add(&format!("the method is {method:?}"), request, expected);
            let bare = Request {
                headers: Vec::new(),
                query: String::new(),
                body: Vec::new(),
                method: method.to_owned(),
                ..genuine.clone()
            };
            self.add(&format!("nothing but the method {method:?}"), bare, Expected::NoEvent);
        }
        let mut many = genuine.clone();
        many.headers.extend((0..2000).map(|i| (format!("x-{i}"), "v".repeat(30))));
        self.add("two thousand more headers", many, Expected::Genuine(1));
        let mut query = genuine;
        query.query = "&&==&%&%zz&secret&=".repeat(500);
        self.add("an odd query", query, Expected::Anything);
    }

    fn what_no_provider_says(&mut self) {
        let odd: [(&str, Vec<u8>); 17] = [
            ("nothing", Vec::new()),
            ("blanks", b" \r\n\t ".to_vec()),
            ("a NUL", b"\0".to_vec()),
            ("NULs", vec![0; 4096]),
            ("no UTF-8", b"{\"event\":\"\xff\xfe\xc3\x28\"}".to_vec()),
            ("bytes", (0..=255).collect()),
            ("a text", b"\"bounce\"".to_vec()),
            ("a number", b"-0.0e-400".to_vec()),
            ("null", b"null".to_vec()),
            ("half a map", b"{\"event\":".to_vec()),
            ("lists in lists", vec![b'['; 100_000]),
            ("maps in maps", b"{\"a\":".repeat(50_000)),
            ("closed maps in maps", [b"{\"a\":".repeat(100), b"1".to_vec(), b"}".repeat(100)].concat()),
            ("numbers without end", format!("{{\"event\":{}}}", "9".repeat(50_000)).into_bytes()),
            ("a hundred thousand values", format!("[{}{{}}]", "{},".repeat(120_000)).into_bytes()),
            ("a hundred thousand pairs", b"a=b&".repeat(100_000)),
            ("percent signs", b"%".repeat(10_000)),
        ];
        for (name, bytes) in odd {
            // A map of what nobody knows may be an unknown event; nothing else is one.
            let is_mended = name == "no UTF-8" && matches!(self.subject.shape, Shape::Mandrill | Shape::Sns);
            let is_map = is_mended
                || name.ends_with("maps in maps")
                || matches!(self.subject.shape, Shape::Form | Shape::Query | Shape::Either);
            let expected = if is_map { Expected::Anything } else { Expected::NoEvent };
            self.add_raw(&format!("in the place of an event: {name}"), &bytes, expected);
            let whole = self.subject.request(&Content::Whole(bytes), &now().to_string(), Proof::Good);
            self.add(&format!("in the place of the body: {name}"), whole, expected);
        }
        for megabytes in [1, 10] {
            let long = "a".repeat(megabytes << 20);
            let whole =
                self.subject.request(&Content::Whole(long.clone().into_bytes()), &now().to_string(), Proof::Good);
            self.add(&format!("{megabytes} MB of one letter"), whole, Expected::Anything);
            let mut event = self.subject.event.clone();
            event["padding"] = json!(&long[..long.len() - (256 << 10)]);
            if self.subject.shape != Shape::Query {
                self.add_events(&format!("an event with a field of {megabytes} MB"), vec![event], Expected::Anything);
            }
        }
    }

    fn damage(&mut self) {
        let inner = match self.subject.shape {
            Shape::Form | Shape::Query => {
                let request = self.genuine();
                if request.body.is_empty() { request.query.into_bytes() } else { request.body }
            }
            Shape::List | Shape::Mandrill => json!([self.subject.event]).to_string().into_bytes(),
            _ => self.subject.event.to_string().into_bytes(),
        };
        for end in (0..inner.len()).step_by(7) {
            self.add_raw(&format!("cut after {end} bytes"), &inner[..end], Expected::Anything);
        }
        for round in 0..ROUNDS {
            let damaged = Random::seeded(SEED + round).damaged(&inner);
            self.add_raw(&format!("damage with the seed {}", SEED + round), &damaged, Expected::Anything);
        }
        let whole = self.genuine().body;
        for round in 0..ROUNDS / 3 {
            let damaged = Random::seeded(SEED + ROUNDS + round).damaged(&whole);
            let request = self.subject.request(&Content::Whole(damaged), &now().to_string(), Proof::Good);
            self.add(
                &format!("damage to the body with the seed {}", SEED + ROUNDS + round),
                request,
                Expected::Anything,
            );
        }
    }

    fn one(&self) -> Content {
        Content::Events(vec![self.subject.event.clone()])
    }

    fn genuine(&self) -> Request {
        self.subject.request(&self.one(), &now().to_string(), Proof::Good)
    }

    /// A body that is changed after it was signed.
    fn add_changed(&mut self, name: &str, expected: Expected, change: impl FnOnce(&mut Vec<u8>)) {
        let mut request = self.genuine();
        change(&mut request.body);
        self.add(name, request, expected);
    }

    fn add_events(&mut self, name: &str, events: Vec<Value>, expected: Expected) {
        let request = self.subject.request(&Content::Events(events), &now().to_string(), Proof::Good);
        self.add(name, request, expected);
    }

    fn add_raw(&mut self, name: &str, bytes: &[u8], expected: Expected) {
        let request = self.subject.request(&Content::Raw(bytes.to_vec()), &now().to_string(), Proof::Good);
        self.add(name, request, expected);
    }

    fn add(&mut self, name: &str, request: Request, expected: Expected) {
        self.add_with(name, request, self.subject.settings.clone(), expected);
    }

    fn add_with(&mut self, name: &str, request: Request, settings: Vec<(String, String)>, expected: Expected) {
        let genuine = self.subject.expect.clone();
        self.cases.push(Case { name: name.to_owned(), request, settings, expected, genuine });
    }
}

/// The members of a map once more, to stand before themselves.
fn members(event: &Value) -> String {
    let text = event.to_string();
    let inside = text.trim_start_matches('{').trim_end_matches('}');
    // Only a flat map can be doubled like this; others double their first empty key.
    let is_flat = event.as_object().is_some_and(|map| map.values().all(|value| !value.is_object()));
    if is_flat && !inside.is_empty() { format!("{inside},") } else { String::new() }
}
