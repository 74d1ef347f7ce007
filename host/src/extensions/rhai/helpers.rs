//! Helpers that are no text: crypto, dates, the log, and the list that an adapter's events go into.

use rhai::{Dynamic, Engine, EvalAltResult, ImmutableString, Map};

use super::bytes::{ByteView, bytes_of};
use super::call;
use crate::domain::Timestamp;
use crate::extensions::crypto::{self, Digest};
use crate::extensions::record::LogLevel;

type Fallible<T> = Result<T, Box<EvalAltResult>>;

const MOST_EVENTS: usize = 4096;
const BYTES_OF_A_FIELD: usize = 64;

/// The events of an answer. It is opaque, so that a batch of events is not counted as one value of the script.
#[derive(Debug, Clone, Default)]
pub(super) struct EventList(pub(super) Vec<Map>);

pub(super) fn register(engine: &mut Engine) {
    register_log(engine);
    register_crypto(engine);
    register_dates(engine);
    engine
        .register_type_with_name::<EventList>("Events")
        .register_fn("events", EventList::default)
        .register_fn("add", EventList::add)
        .register_get("len", |events: &mut EventList| super::bytes::length(events.0.len()));
}

impl EventList {
    fn add(&mut self, event: Map) -> Fallible<()> {
        if self.0.len() >= MOST_EVENTS {
            return Err(format!("one answer has at most {MOST_EVENTS} events").into());
        }
        let text = |value: &Dynamic| value.read_lock::<ImmutableString>().map_or(0, |text| text.len());
        call::take_opaque_bytes(event.values().map(|value| BYTES_OF_A_FIELD + text(value)).sum())?;
        self.0.push(event);
        Ok(())
    }
}

fn register_log(engine: &mut Engine) {
    engine
        .register_fn("log_debug", |message: &str| call::log(LogLevel::Debug, message))
        .register_fn("log_info", |message: &str| call::log(LogLevel::Info, message))
        .register_fn("log_warn", |message: &str| call::log(LogLevel::Warn, message))
        .register_fn("log_error", |message: &str| call::log(LogLevel::Error, message));
}

fn register_crypto(engine: &mut Engine) {
    engine
        .register_fn("hash", |function: &str, data: Dynamic| -> Fallible<ByteView> {
            Ok(ByteView(crypto::hash(digest(function)?, &bytes_of(&data)?).into()))
        })
        .register_fn("hmac", |function: &str, key: Dynamic, data: Dynamic| -> Fallible<ByteView> {
            Ok(ByteView(crypto::hmac(digest(function)?, &bytes_of(&key)?, &bytes_of(&data)?).into()))
        })
        .register_fn("verify_ecdsa_p256", |key: Dynamic, message: Dynamic, signature: Dynamic| -> Fallible<bool> {
            let verified = crypto::verify_ecdsa_p256(&bytes_of(&key)?, &bytes_of(&message)?, &bytes_of(&signature)?);
            verified.map_err(Into::into)
        })
        .register_fn("verify_ed25519", |key: Dynamic, message: Dynamic, signature: Dynamic| -> Fallible<bool> {
            let verified = crypto::verify_ed25519(&bytes_of(&key)?, &bytes_of(&message)?, &bytes_of(&signature)?);
            verified.map_err(Into::into)
        })
        .register_fn(
            "verify_rsa_pkcs1",
            |key: Dynamic, function: &str, message: Dynamic, signature: Dynamic| -> Fallible<bool> {
                let (key, function) = (bytes_of(&key)?, digest(function)?);
                let verified = crypto::verify_rsa_pkcs1(&key, function, &bytes_of(&message)?, &bytes_of(&signature)?);
                verified.map_err(Into::into)
            },
        )
        .register_fn("certificate_public_key", |certificate: Dynamic| -> Fallible<ByteView> {
            Ok(ByteView(crypto::certificate_public_key(&bytes_of(&certificate)?)?.into()))
        })
        .register_fn("constant_time_equal", |left: Dynamic, right: Dynamic| -> Fallible<bool> {
            Ok(crypto::constant_time_equal(&bytes_of(&left)?, &bytes_of(&right)?))
        });
}

fn digest(name: &str) -> Fallible<Digest> {
    match name {
        "sha1" => Ok(Digest::Sha1),
        "sha256" => Ok(Digest::Sha256),
        other => Err(format!("{other:?} is no hash function; expected sha1 or sha256").into()),
    }
}

/// Times are texts, as in the facts: RFC 3339 in UTC. What can't be read gives `()`, so that a script may ask `?? …`.
fn register_dates(engine: &mut Engine) {
    engine
        .register_fn("now", || call::now().to_string())
        .register_fn("parse_time", |text: &str| text_or_unit(parse_time(text).map(|time| time.to_string())))
        .register_fn("from_unix", |seconds: i64| -> Fallible<String> {
            at(seconds.saturating_mul(1000)).ok_or_else(|| {
                format!("{seconds} is no time in seconds since 1970; divide milliseconds by 1000").into()
            })
        })
        .register_fn("unix", |time: &str| -> Fallible<i64> { Ok(read(time)?.as_millis().div_euclid(1000)) })
        .register_fn("add_seconds", |time: &str, seconds: i64| -> Fallible<String> {
            let millis = read(time)?.as_millis().saturating_add(seconds.saturating_mul(1000));
            at(millis).ok_or_else(|| "the time is out of range".into())
        })
        .register_fn("seconds_between", |from: &str, to: &str| -> Fallible<i64> {
            Ok(read(to)?.as_millis().saturating_sub(read(from)?.as_millis()).div_euclid(1000))
        })
        .register_fn("date", |time: &str| -> Fallible<ImmutableString> { Ok(civil(time)?.to_string().into()) })
        .register_fn("add_days", |date: &str, days: i64| -> Fallible<String> {
            let date = civil(date)?;
            let days = jiff::Span::new().try_days(days).map_err(|_| "too many days")?;
            let moved = date.checked_add(days).ok().filter(|moved| moved.year() >= 0);
            Ok(moved.ok_or("the date is out of range")?.to_string())
        })
        .register_fn("weekday", |date: &str| -> Fallible<i64> {
            Ok(i64::from(civil(date)?.weekday().to_monday_one_offset()))
        });
}

fn read(time: &str) -> Fallible<Timestamp> {
    time.parse().map_err(|error: crate::domain::time::BadTimestamp| error.to_string().into())
}

/// The years 0 to 9999, which is what RFC 3339 can write, but for the last hours, in which it is another year somewhere.
fn at(millis: i64) -> Option<String> {
    const YEAR_0: i64 = -62_167_219_200_000;
    let last = jiff::Timestamp::MAX.as_millisecond();
    (YEAR_0..=last).contains(&millis).then(|| Timestamp::from_millis(millis).to_string())
}

/// A date, or the date of a time in the zone that it is written in.
fn civil(text: &str) -> Fallible<jiff::civil::Date> {
    // The parser refuses a date with Z, which could be meant for any zone; here it is the date in UTC.
    let in_its_zone = text.strip_suffix(['Z', 'z']).filter(|rest| rest.contains(['T', 't', ' ']));
    let date = in_its_zone.unwrap_or(text).parse();
    date.map_err(|_| format!("{text:?} is no date; write it as 2026-12-01").into())
}

/// RFC 3339, or RFC 2822 as in a Date header.
fn parse_time(text: &str) -> Option<Timestamp> {
    if let Ok(time) = text.parse() {
        return Some(time);
    }
    let zoned = jiff::fmt::rfc2822::parse(text.trim()).ok()?;
    Some(Timestamp::from_millis(zoned.timestamp().as_millisecond()))
}

fn text_or_unit(text: Option<String>) -> Dynamic {
    text.map_or(Dynamic::UNIT, Dynamic::from)
}
