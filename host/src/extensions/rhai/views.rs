//! The facts of a hook as read-only types of the script. A map would be built anew for each call and cost twice the
//! call. A fact that is missing reads as `()`, so that `message.sender ?? ""` says what then; a header that is missing
//! reads as an empty text, as most scripts ask what it contains.

use std::sync::{Arc, OnceLock};

use rhai::{Array, Dynamic, Engine, EvalAltResult, ImmutableString};

use super::bytes::ByteView;
use crate::extensions::hooks::{Extra, bounce, gate, ingest, reply};

/// What a script sees of a text and of a subject. A text of its own may have 64 KiB: one line more before the text must not
/// be an error that a sender causes at will by a long mail.
const MOST_TEXT_BYTES: usize = 48 * 1024;
const MOST_SUBJECT_BYTES: usize = 4 * 1024;

type Fallible<T> = Result<T, Box<EvalAltResult>>;

/// `message` of a reply classifier.
#[derive(Clone)]
pub(super) struct MessageView(Arc<MessageFacts>);

struct MessageFacts {
    message: Arc<reply::Message>,
    // A script asks for these many times; each is copied once.
    text: OnceLock<ImmutableString>,
    subject: OnceLock<ImmutableString>,
}

/// A header or a part: a name and a text.
#[derive(Clone)]
pub(super) struct PartView {
    facts: Arc<MessageFacts>,
    index: usize,
}

/// A header of `message.headers`.
#[derive(Clone)]
pub(super) struct HeaderView {
    facts: Arc<MessageFacts>,
    index: usize,
}

/// `message.enrollment`.
#[derive(Clone)]
pub(super) struct EnrollmentView(Arc<MessageFacts>);

/// `request` of a provider adapter.
#[derive(Clone)]
pub(super) struct RequestView(pub(super) Arc<ingest::Request>);

/// `settings` of a provider adapter; read by key.
#[derive(Clone)]
pub(super) struct SettingsView(pub(super) Arc<ingest::Settings>);

/// `stats` of a bounce policy.
#[derive(Clone)]
pub(super) struct StatsView(pub(super) Arc<bounce::Stats>);

/// `send` of a send gate.
#[derive(Clone)]
pub(super) struct SendView(pub(super) Arc<gate::Send>);

/// `send.contact`.
#[derive(Clone)]
pub(super) struct ContactView(Arc<gate::Send>);

/// `send.credential`.
#[derive(Clone)]
pub(super) struct CredentialView(Arc<gate::Send>);

/// `extra` of any facts; read by key.
#[derive(Clone)]
struct ExtraView(Arc<Extra>);

impl MessageView {
    pub(super) fn of(message: &Arc<reply::Message>) -> Self {
        let message = Arc::clone(message);
        Self(Arc::new(MessageFacts { message, text: OnceLock::new(), subject: OnceLock::new() }))
    }

    fn facts(&self) -> &reply::Message {
        &self.0.message
    }
}

pub(super) fn register(engine: &mut Engine) {
    register_message(engine);
    register_request(engine);
    register_stats(engine);
    register_send(engine);
    engine
        .register_type_with_name::<ExtraView>("Extra")
        .register_indexer_get(|view: &mut ExtraView, key: &str| -> Dynamic {
            view.0.get(key).map_or(Dynamic::UNIT, |value| value.to_owned().into())
        })
        .register_fn("contains", |view: &mut ExtraView, key: &str| view.0.get(key).is_some())
        .register_fn("keys", |view: &mut ExtraView| -> Array {
            view.0.0.iter().map(|(key, _)| key.clone().into()).collect()
        });
}

fn register_message(engine: &mut Engine) {
    engine
        .register_type_with_name::<MessageView>("Message")
        .register_get("headers", |view: &mut MessageView| -> Array {
            let header = |index| Dynamic::from(HeaderView { facts: Arc::clone(&view.0), index });
            (0..view.facts().headers.len()).map(header).collect()
        })
        .register_get("raw_headers", |view: &mut MessageView| ByteView(view.facts().raw_headers.clone()))
        .register_get("sender", |view: &mut MessageView| optional(&view.facts().sender))
        .register_get("return_path", |view: &mut MessageView| optional(&view.facts().return_path))
        .register_get("recipients", |view: &mut MessageView| list(&view.facts().recipients))
        .register_get("subject", |view: &mut MessageView| {
            view.0.subject.get_or_init(|| beginning(&view.facts().subject, MOST_SUBJECT_BYTES).into()).clone()
        })
        .register_get("text", |view: &mut MessageView| {
            view.0.text.get_or_init(|| beginning(&view.facts().text, MOST_TEXT_BYTES).into()).clone()
        })
        .register_get("parts", |view: &mut MessageView| -> Array {
            let part = |index| Dynamic::from(PartView { facts: Arc::clone(&view.0), index });
            (0..view.facts().parts.len()).map(part).collect()
        })
        .register_get("our_message_ids", |view: &mut MessageView| list(&view.facts().our_message_ids))
        .register_get("enrollment", |view: &mut MessageView| match view.facts().enrollment {
            Some(_) => Dynamic::from(EnrollmentView(Arc::clone(&view.0))),
            None => Dynamic::UNIT,
        })
        .register_get("received_at", |view: &mut MessageView| view.facts().received_at.to_string())
        .register_get("extra", |view: &mut MessageView| extra(&view.facts().extra))
        .register_fn("header", |view: &mut MessageView, name: &str| -> ImmutableString {
            headers_named(view, name).next().unwrap_or_default().into()
        })
        .register_fn("has_header", |view: &mut MessageView, name: &str| headers_named(view, name).next().is_some())
        .register_fn("header_values", |view: &mut MessageView, name: &str| -> Array {
            headers_named(view, name).map(|value| value.to_owned().into()).collect()
        })
        .register_fn("part", |view: &mut MessageView, content_type: &str| -> ImmutableString {
            let part = view.facts().parts.iter().find(|part| part.content_type == content_type);
            part.map(|part| part.content.as_str()).unwrap_or_default().into()
        })
        .register_indexer_get(|_: &mut MessageView, key: &str| {
            unknown("message", key, "headers, raw_headers, sender, return_path, recipients, subject, text, parts, our_message_ids, enrollment, received_at, extra, header(name), has_header(name), header_values(name), part(type)")
        });
    engine
        .register_type_with_name::<HeaderView>("Header")
        .register_get("name", |view: &mut HeaderView| header(view).map(|header| header.name.clone()))
        .register_get("value", |view: &mut HeaderView| header(view).map(|header| header.value.clone()))
        .register_indexer_get(|_: &mut HeaderView, key: &str| unknown("a header", key, "name, value"));
    engine
        .register_type_with_name::<PartView>("Part")
        .register_get("content_type", |view: &mut PartView| part(view).map(|part| part.content_type.clone()))
        .register_get("content", |view: &mut PartView| part(view).map(|part| part.content.clone()))
        .register_indexer_get(|_: &mut PartView, key: &str| unknown("a part", key, "content_type, content"));
    engine
        .register_type_with_name::<EnrollmentView>("Enrollment")
        .register_get("enrollment_id", |view: &mut EnrollmentView| matched(view).map(|m| m.enrollment_id.clone()))
        .register_get("campaign_id", |view: &mut EnrollmentView| matched(view).map(|m| m.campaign_id.clone()))
        .register_get("contact_email", |view: &mut EnrollmentView| matched(view).map(|m| m.contact_email.clone()))
        .register_get("step", |view: &mut EnrollmentView| matched(view).map(|m| i64::from(m.step)))
        .register_get("matched_by", |view: &mut EnrollmentView| matched(view).map(|m| m.matched_by.as_str().to_owned()))
        .register_get("sent_at", |view: &mut EnrollmentView| {
            matched(view).map(|m| m.sent_at.map_or(Dynamic::UNIT, |at| at.to_string().into()))
        })
        .register_get("extra", |view: &mut EnrollmentView| matched(view).map(|m| extra(&m.extra)))
        .register_indexer_get(|_: &mut EnrollmentView, key: &str| {
            unknown("an enrollment", key, "enrollment_id, campaign_id, contact_email, step, matched_by, sent_at, extra")
        });
}

fn register_request(engine: &mut Engine) {
    engine
        .register_type_with_name::<RequestView>("Request")
        .register_get("method", |view: &mut RequestView| view.0.method.clone())
        .register_get("path", |view: &mut RequestView| view.0.path.clone())
        .register_get("query", |view: &mut RequestView| view.0.query.clone())
        .register_get("url", |view: &mut RequestView| view.0.url.clone())
        .register_get("headers", |view: &mut RequestView| -> Array {
            let pair = |(name, value): &(String, String)| Array::from([name.clone().into(), value.clone().into()]).into();
            view.0.headers.iter().map(pair).collect()
        })
        .register_get("body", |view: &mut RequestView| ByteView(view.0.body.clone()))
        .register_get("received_at", |view: &mut RequestView| view.0.received_at.to_string())
        .register_get("extra", |view: &mut RequestView| extra(&view.0.extra))
        .register_fn("header", |view: &mut RequestView, name: &str| -> ImmutableString {
            let found = view.0.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.as_str()).unwrap_or_default().into()
        })
        .register_fn("has_header", |view: &mut RequestView, name: &str| {
            view.0.headers.iter().any(|(key, _)| key.eq_ignore_ascii_case(name))
        })
        .register_fn("query_value", |view: &mut RequestView, name: &str| -> Dynamic {
            let found = form_urlencoded::parse(view.0.query.as_bytes()).find(|(key, _)| key == name);
            found.map_or(Dynamic::UNIT, |(_, value)| value.into_owned().into())
        })
        .register_indexer_get(|_: &mut RequestView, key: &str| {
            unknown("request", key, "method, path, query, url, headers, body, received_at, extra, header(name), has_header(name), query_value(name)")
        });
    engine
        .register_type_with_name::<SettingsView>("Settings")
        .register_indexer_get(|view: &mut SettingsView, key: &str| -> Dynamic {
            let found = view.0.exposed().find(|(name, _)| *name == key);
            found.map_or(Dynamic::UNIT, |(_, value)| value.to_owned().into())
        })
        .register_fn("contains", |view: &mut SettingsView, key: &str| view.0.get(key).is_some());
}

fn register_stats(engine: &mut Engine) {
    engine
        .register_type_with_name::<StatsView>("Stats")
        .register_get("credential_id", |view: &mut StatsView| view.0.credential_id.clone())
        .register_get("campaign_id", |view: &mut StatsView| view.0.campaign_id.clone())
        .register_get("from_email", |view: &mut StatsView| view.0.from_email.clone())
        .register_get("threshold", |view: &mut StatsView| view.0.threshold)
        .register_get("daily_limit", |view: &mut StatsView| count(view.0.daily_limit))
        .register_get("since_enabled", |view: &mut StatsView| view.0.since_enabled)
        .register_get("last_hour", |view: &mut StatsView| view.0.last_hour)
        .register_get("last_day", |view: &mut StatsView| view.0.last_day)
        .register_get("last_week", |view: &mut StatsView| view.0.last_week)
        .register_get("lifetime", |view: &mut StatsView| view.0.lifetime)
        .register_get("campaign", |view: &mut StatsView| view.0.campaign)
        .register_get("recent_reasons", |view: &mut StatsView| list(&view.0.recent_reasons))
        .register_get("now", |view: &mut StatsView| view.0.now.to_string())
        .register_get("extra", |view: &mut StatsView| extra(&view.0.extra))
        .register_indexer_get(|_: &mut StatsView, key: &str| {
            unknown("stats", key, "credential_id, campaign_id, from_email, threshold, daily_limit, since_enabled, last_hour, last_day, last_week, lifetime, campaign, recent_reasons, now, extra")
        });
    engine
        .register_type_with_name::<bounce::Counters>("Counters")
        .register_get("transactions", |counters: &mut bounce::Counters| count(counters.transactions))
        .register_get("hard_bounces", |counters: &mut bounce::Counters| count(counters.hard_bounces))
        .register_get("soft_bounces", |counters: &mut bounce::Counters| count(counters.soft_bounces))
        .register_get("policy_bounces", |counters: &mut bounce::Counters| count(counters.policy_bounces))
        .register_get("complaints", |counters: &mut bounce::Counters| count(counters.complaints))
        .register_get("deferrals", |counters: &mut bounce::Counters| count(counters.deferrals))
        .register_get("bounces", |counters: &mut bounce::Counters| count(counters.bounces()))
        .register_get("bounce_rate", |counters: &mut bounce::Counters| counters.bounce_rate())
        .register_indexer_get(|_: &mut bounce::Counters, key: &str| {
            unknown(
                "a window of stats",
                key,
                "transactions, hard_bounces, soft_bounces, policy_bounces, complaints, deferrals, bounces, bounce_rate",
            )
        });
}

fn register_send(engine: &mut Engine) {
    engine
        .register_type_with_name::<SendView>("Send")
        .register_get("send_id", |view: &mut SendView| view.0.send_id.clone())
        .register_get("enrollment_id", |view: &mut SendView| view.0.enrollment_id.clone())
        .register_get("campaign_id", |view: &mut SendView| view.0.campaign_id.clone())
        .register_get("contact", |view: &mut SendView| ContactView(Arc::clone(&view.0)))
        .register_get("step", |view: &mut SendView| i64::from(view.0.step))
        .register_get("credential", |view: &mut SendView| CredentialView(Arc::clone(&view.0)))
        .register_get("mx_host", |view: &mut SendView| optional(&view.0.mx_host))
        .register_get("mx_provider", |view: &mut SendView| optional(&view.0.mx_provider))
        .register_get("now", |view: &mut SendView| view.0.now.to_string())
        .register_get("local_time", |view: &mut SendView| view.0.local_time.clone())
        .register_get("time_zone", |view: &mut SendView| view.0.time_zone.clone())
        .register_get("extra", |view: &mut SendView| extra(&view.0.extra))
        .register_indexer_get(|_: &mut SendView, key: &str| {
            unknown("send", key, "send_id, enrollment_id, campaign_id, contact, step, credential, mx_host, mx_provider, now, local_time, time_zone, extra")
        });
    engine
        .register_type_with_name::<ContactView>("Contact")
        .register_get("id", |view: &mut ContactView| view.0.contact.id.clone())
        .register_get("email", |view: &mut ContactView| view.0.contact.email.clone())
        .register_get("domain", |view: &mut ContactView| view.0.contact.domain.clone())
        .register_get("first_name", |view: &mut ContactView| optional(&view.0.contact.first_name))
        .register_get("last_name", |view: &mut ContactView| optional(&view.0.contact.last_name))
        .register_get("company", |view: &mut ContactView| optional(&view.0.contact.company))
        .register_indexer_get(|_: &mut ContactView, key: &str| {
            unknown("a contact", key, "id, email, domain, first_name, last_name, company")
        });
    engine
        .register_type_with_name::<CredentialView>("Credential")
        .register_get("id", |view: &mut CredentialView| view.0.credential.id.clone())
        .register_get("from_email", |view: &mut CredentialView| view.0.credential.from_email.clone())
        .register_get("smtp_host", |view: &mut CredentialView| view.0.credential.smtp_host.clone())
        .register_get("sent_today", |view: &mut CredentialView| count(view.0.credential.sent_today))
        .register_get("daily_limit", |view: &mut CredentialView| count(view.0.credential.daily_limit))
        .register_indexer_get(|_: &mut CredentialView, key: &str| {
            unknown("a credential", key, "id, from_email, smtp_host, sent_today, daily_limit")
        });
}

fn headers_named<'a>(view: &'a MessageView, name: &'a str) -> impl Iterator<Item = &'a str> {
    let headers = view.facts().headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
    headers.map(|header| header.value.as_str())
}

fn header(view: &HeaderView) -> Fallible<&reply::Header> {
    view.facts.message.headers.get(view.index).ok_or_else(|| "there is no such header".into())
}

fn part(view: &PartView) -> Fallible<&reply::Part> {
    view.facts.message.parts.get(view.index).ok_or_else(|| "there is no such part".into())
}

fn matched(view: &EnrollmentView) -> Fallible<&reply::MatchedEnrollment> {
    view.0.message.enrollment.as_ref().ok_or_else(|| "the message matched no enrollment".into())
}

fn beginning(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

fn optional(text: &Option<String>) -> Dynamic {
    text.clone().map_or(Dynamic::UNIT, Dynamic::from)
}

fn list(texts: &[String]) -> Array {
    texts.iter().map(|text| text.clone().into()).collect()
}

fn extra(extra: &Extra) -> ExtraView {
    ExtraView(Arc::new(extra.clone()))
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unknown(what: &str, key: &str, known: &str) -> Fallible<Dynamic> {
    Err(format!("{what} has no {key:?}; it has {known}").into())
}
