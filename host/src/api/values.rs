//! Readers of single values: each gives the value in its own type, or says what it should have been.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde_json::Value;

use super::input::{Reading, kind_of};
use crate::domain::EmailAddress;
use crate::domain::merge_tags::Template;
use crate::secrets::SecretString;

/// A text of so many characters. NUL is refused: no database column can hold it.
pub(super) fn text(least: usize, most: usize) -> impl Fn(&Value) -> Reading<String> {
    move |value| {
        let Value::String(text) = value else { return Err(format!("must be a string, not {}", kind_of(value))) };
        check_text(text, least, most).map(|()| text.clone())
    }
}

/// A text on one line, without control characters, that is more than blanks where it may not be empty.
pub(super) fn line(least: usize, most: usize) -> impl Fn(&Value) -> Reading<String> {
    move |value| {
        let Value::String(text) = value else { return Err(format!("must be a string, not {}", kind_of(value))) };
        check_line(text, least, most).map(|()| text.clone())
    }
}

/// What [`line`] asks of a text.
pub(super) fn check_line(text: &str, least: usize, most: usize) -> Reading<()> {
    check_text(text, least, most)?;
    if text.chars().any(char::is_control) {
        return Err("must be one line without control characters".to_owned());
    }
    check_not_blank(text, least)
}

/// A whole number in a range.
pub(super) fn whole(least: u64, most: u64) -> impl Fn(&Value) -> Reading<u64> {
    // To JSON Schema `50.0` is a whole number, too.
    let of_decimal = |number: f64| (number.fract() == 0.0 && (0.0..1e15).contains(&number)).then_some(number as u64);
    move |value| match value.as_u64().or_else(|| value.as_f64().and_then(of_decimal)) {
        Some(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("must be a whole number from {least} to {most}")),
    }
}

/// A number in a range.
pub(super) fn decimal(range: RangeInclusive<f64>) -> impl Fn(&Value) -> Reading<f64> {
    move |value| match value.as_f64() {
        Some(number) if range.contains(&number) => Ok(number),
        _ => Err(format!("must be a number from {:.1} to {:.1}", range.start(), range.end())),
    }
}

/// True or false.
pub(super) fn flag(value: &Value) -> Reading<bool> {
    value.as_bool().ok_or_else(|| format!("must be true or false, not {}", kind_of(value)))
}

/// An id.
pub(super) fn id<T: FromStr>(value: &Value) -> Reading<T> {
    let parsed = value.as_str().and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| "must be an id, such as 019ab7c0-0000-7000-8000-000000000000".to_owned())
}

/// A TCP port.
pub(super) fn port(value: &Value) -> Reading<u16> {
    let port = whole(1, u64::from(u16::MAX))(value)?;
    u16::try_from(port).map_err(|error| error.to_string())
}

/// One word of a vocabulary.
pub(super) fn word<T: std::fmt::Display>(
    parse: fn(&str) -> Option<T>,
    all: &'static [T],
) -> impl Fn(&Value) -> Reading<T> {
    move |value| {
        value.as_str().and_then(parse).ok_or_else(|| {
            let words: Vec<String> = all.iter().map(ToString::to_string).collect();
            format!("must be one of {}", words.join(", "))
        })
    }
}

/// An email address.
pub(super) fn email(value: &Value) -> Reading<EmailAddress> {
    EmailAddress::parse(&text(1, 1000)(value)?).map_err(|error| error.to_string())
}

/// A text with merge tags that are all known, that is more than white space where it may not be empty.
pub(super) fn template(least: usize, most: usize) -> impl Fn(&Value) -> Reading<String> {
    move |value| {
        let text = text(least, most)(value)?;
        check_not_blank(&text, least)?;
        checked_template(text)
    }
}

/// The same on one line.
pub(super) fn template_line(least: usize, most: usize) -> impl Fn(&Value) -> Reading<String> {
    move |value| checked_template(line(least, most)(value)?)
}

/// A host name or an address, in the form that is dialled.
pub(super) fn host(value: &Value) -> Reading<String> {
    let text = line(1, 253)(value)?;
    let host = text.trim();
    if host.parse::<IpAddr>().is_ok() {
        return Ok(host.to_owned());
    }
    let named = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_');
    match host.chars().all(named) && !host.split('.').any(str::is_empty) {
        true => Ok(host.to_owned()),
        false => Err("must be a host name or an address, without a scheme, port or path".to_owned()),
    }
}

/// A secret; it never stands in a message.
pub(super) fn secret(value: &Value) -> Reading<SecretString> {
    text(1, 1024)(value).map(SecretString::from)
}

/// A few named texts, such as the settings of an adapter.
pub(super) fn texts(value: &Value) -> Reading<BTreeMap<String, String>> {
    const MOST: usize = 32;
    let Value::Object(map) = value else { return Err(format!("must be an object, not {}", kind_of(value))) };
    if map.len() > MOST {
        return Err(format!("must have at most {MOST} fields"));
    }
    let one = |(key, value): (&String, &Value)| match text(1, 8192)(value) {
        Ok(text) if key.len() <= 64 => Ok((key.clone(), text)),
        Ok(_) => Err("has a field whose name is too long".to_owned()),
        Err(problem) => Err(format!("{key:?} {problem}")),
    };
    map.iter().map(one).collect()
}

/// Where we may post: https, and http only where the operator allows it.
pub(super) fn web_address(plaintext_allowed: bool) -> impl Fn(&Value) -> Reading<String> {
    move |value| {
        let text = line(1, 2048)(value)?;
        let url = url::Url::parse(&text).map_err(|_| "must be a URL, such as https://app.example/hooks".to_owned())?;
        match url.scheme() {
            "https" => {}
            "http" if plaintext_allowed => {}
            "http" => return Err("must begin with https://; http is not allowed here".to_owned()),
            _ => return Err("must begin with https://".to_owned()),
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err("must name a host".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not hold a user name or password".to_owned());
        }
        Ok(text)
    }
}

fn checked_template(text: String) -> Reading<String> {
    Template::parse(&text).map(|_| ()).map_err(|error| error.to_string())?;
    Ok(text)
}

fn check_not_blank(text: &str, least: usize) -> Reading<()> {
    match least > 0 && text.trim().is_empty() {
        true => Err("must not be empty".to_owned()),
        false => Ok(()),
    }
}

fn check_text(text: &str, least: usize, most: usize) -> Reading<()> {
    if text.contains('\0') {
        return Err("must not contain the character U+0000".to_owned());
    }
    let length = text.chars().count();
    match (least..=most).contains(&length) {
        true => Ok(()),
        false if length == 0 => Err("must not be empty".to_owned()),
        false => Err(format!("must have {least} to {most} characters, not {length}")),
    }
}
