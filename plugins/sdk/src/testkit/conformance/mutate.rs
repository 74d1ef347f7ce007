//! Damage, the same at every run: a generator that is seeded, changes to single values of JSON, changes to bytes.

use serde_json::{Value, json};

/// A generator of numbers (SplitMix64): small, and the same on every machine.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Begins at a seed. A test that fails should say which it was.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number below `limit`; 0 where that is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(limit.max(1)).unwrap_or(1)).unwrap_or(0)
    }

    /// `text` after one to eight changes: bytes flipped, taken out, doubled, put in from a list of those that parsers
    /// stumble over, or the end cut off.
    #[must_use]
    pub fn damaged(&mut self, text: &[u8]) -> Vec<u8> {
        const ODD: [&[u8]; 16] = [
            b"\0",
            b"\xff",
            b"\xc3",
            b"\r\n",
            b"\"",
            b"\\",
            b"\\u0000",
            b"\\ud800",
            b"{",
            b"}",
            b"[",
            b"=",
            b"&",
            b"%",
            b"-1e400",
            "\u{202e}é\u{1f4a9}".as_bytes(),
        ];
        let mut bytes = text.to_vec();
        for _ in 0..=self.below(8) {
            let at = self.below(bytes.len());
            match self.below(6) {
                0 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                1 if !bytes.is_empty() => drop(bytes.remove(at)),
                2 => {
                    let end = (at + self.below(40)).min(bytes.len());
                    let piece = bytes[at.min(end)..end].to_vec();
                    bytes.splice(at.min(end)..at.min(end), piece);
                }
                3 if self.below(4) == 0 => bytes.truncate(at),
                _ => {
                    let at = at.min(bytes.len());
                    bytes.splice(at..at, ODD[self.below(ODD.len())].iter().copied());
                }
            }
        }
        bytes
    }
}

/// The event with each of its values in turn replaced by things that it should not be, or taken out.
pub(super) fn each_value_spoilt(event: &Value) -> Vec<(String, Value)> {
    let long = "x".repeat(100_000);
    let spoilt: [(&str, Value); 12] = [
        ("null", Value::Null),
        ("true", json!(true)),
        ("a huge number", json!(1e308)),
        ("the largest integer", json!(u64::MAX)),
        ("a negative number", json!(-1)),
        ("empty text", json!("")),
        ("long text", json!(long)),
        ("text with NULs and controls", json!("\0a\u{1}@\u{202e}b.c\r\n550 5.1.1")),
        ("a list", json!([[], {}, null, 7])),
        ("a map", json!({ "a": { "b": [] } })),
        ("numbers as text", json!("1e400")),
        ("codes beyond range", json!("999 9.9.9 5.1234.1 2.1")),
    ];
    let mut cases = Vec::new();
    for pointer in pointers(event) {
        for (what, value) in &spoilt {
            let mut changed = event.clone();
            if let Some(place) = changed.pointer_mut(&pointer) {
                *place = value.clone();
                cases.push((format!("{pointer} is {what}"), changed));
            }
        }
        let mut changed = event.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap_or(("", ""));
        if let Some(Value::Object(map)) = changed.pointer_mut(parent) {
            map.remove(name);
            cases.push((format!("{pointer} is missing"), changed));
        }
    }
    cases
}

/// The JSON pointers of all values inside.
fn pointers(value: &Value) -> Vec<String> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) => {
            map.iter().map(|(key, value)| (key.replace('~', "~0").replace('/', "~1"), value)).collect()
        }
        Value::Array(list) => list.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    let below = |(key, value): (String, &Value)| {
        let inner: Vec<String> = pointers(value).into_iter().map(|rest| format!("/{key}{rest}")).collect();
        std::iter::once(format!("/{key}")).chain(inner)
    };
    children.into_iter().flat_map(below).collect()
}
