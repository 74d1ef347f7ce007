//! Between our own types and the bindings: borrow on the way in, check on the way out.

use bytes::Bytes;

use super::bindings as wit;
use crate::extensions::hooks::ingest::{self, RawEvent};
use crate::extensions::hooks::{BadAnswer, Extra, bounce, gate, reply};

/// The lists that a lowered message points into.
pub(super) struct MessageLists<'a> {
    headers: Vec<wit::Header<'a>>,
    parts: Vec<wit::Part<'a>>,
}

impl<'a> MessageLists<'a> {
    pub(super) fn of(message: &'a reply::Message) -> Self {
        let header = |header: &'a reply::Header| wit::Header { name: &header.name, value: &header.value };
        let part = |part: &'a reply::Part| wit::Part { content_type: &part.content_type, content: &part.content };
        Self { headers: message.headers.iter().map(header).collect(), parts: message.parts.iter().map(part).collect() }
    }
}

pub(super) fn message<'a>(message: &'a reply::Message, lists: &'a MessageLists<'a>) -> wit::Message<'a> {
    wit::Message {
        headers: &lists.headers,
        raw_headers: &message.raw_headers,
        sender: message.sender.as_deref(),
        return_path: message.return_path.as_deref(),
        recipients: &message.recipients,
        subject: &message.subject,
        text: &message.text,
        parts: &lists.parts,
        our_message_ids: &message.our_message_ids,
        enrollment: message.enrollment.as_ref().map(|found| wit::MatchedEnrollment {
            enrollment_id: &found.enrollment_id,
            campaign_id: &found.campaign_id,
            contact_email: &found.contact_email,
            step: found.step,
            matched_by: found.matched_by.as_str(),
            sent_at: found.sent_at.map(|at| at.to_string()),
            extra: &found.extra.0,
        }),
        received_at: message.received_at.to_string(),
        extra: &message.extra.0,
    }
}

pub(super) fn classification(answer: wit::Classification) -> Result<reply::Answer, BadAnswer> {
    let verdict = match answer.verdict {
        wit::Verdict::Pass => return Ok(reply::Answer::Pass),
        wit::Verdict::HumanReply => reply::Verdict::HumanReply,
        wit::Verdict::AutoReply(auto) => reply::Verdict::auto_reply(&auto.kind, auto.return_date.as_deref())?,
        wit::Verdict::Bounce(told) => {
            reply::Verdict::Bounce(told.into_iter().map(bounced).collect::<Result<Vec<_>, _>>()?)
        }
        wit::Verdict::Complaint(told) => reply::Verdict::complaint(told.recipient, told.feedback_type),
        wit::Verdict::UnsubscribeRequest => reply::Verdict::UnsubscribeRequest,
        wit::Verdict::Challenge => reply::Verdict::Challenge,
        wit::Verdict::Ignore => reply::Verdict::Ignore,
    };
    let classification = reply::Classification::new(verdict, answer.reason, Extra(answer.extra));
    Ok(reply::Answer::Classified(classification))
}

fn bounced(one: wit::BouncedRecipient) -> Result<reply::BouncedRecipient, BadAnswer> {
    reply::BouncedRecipient::checked(one.recipient, &one.action, one.status.as_deref(), &one.class, one.diagnostic)
}

pub(super) fn request(request: &ingest::Request) -> wit::Request<'_> {
    wit::Request {
        method: &request.method,
        path: &request.path,
        query: &request.query,
        url: &request.url,
        headers: &request.headers,
        body: &request.body,
        received_at: request.received_at.to_string(),
        extra: &request.extra.0,
    }
}

pub(super) fn outcome(
    answer: Result<wit::Outcome, wit::Refusal>,
) -> Result<Result<ingest::Outcome, ingest::Refusal>, BadAnswer> {
    match answer {
        Ok(wit::Outcome::Events(events)) => {
            ingest::bounded(events.len())?;
            let events = events.into_iter().enumerate().map(|(index, one)| event(index, one));
            Ok(Ok(ingest::Outcome::Events(events.collect::<Result<_, _>>()?)))
        }
        Ok(wit::Outcome::Respond(response)) => {
            let (status, body) = (u64::from(response.status), Bytes::from(response.body));
            Ok(Ok(ingest::Outcome::Respond(ingest::Response::checked(status, response.headers, body)?)))
        }
        Err(wit::Refusal::Unauthorized(reason)) => ingest::Refusal::checked("unauthorized", reason).map(Err),
        Err(wit::Refusal::Malformed(reason)) => ingest::Refusal::checked("malformed", reason).map(Err),
        Err(wit::Refusal::Retry(reason)) => ingest::Refusal::checked("retry", reason).map(Err),
    }
}

fn event(index: usize, event: wit::Event) -> Result<ingest::Event, BadAnswer> {
    ingest::Event::checked(RawEvent {
        kind: event.kind,
        recipient: event.recipient,
        send_id: event.send_id,
        message_id: event.message_id,
        provider_message_id: event.provider_message_id,
        at: event.at,
        smtp_code: event.smtp_code.map(u64::from),
        status: event.status,
        reason: event.reason,
        dedupe_key: event.dedupe_key,
        extra: Extra(event.extra),
    })
    .map_err(|error| BadAnswer::new(format!("events[{index}]: {error}")))
}

pub(super) fn stats(stats: &bounce::Stats) -> wit::Stats<'_> {
    wit::Stats {
        credential_id: &stats.credential_id,
        campaign_id: &stats.campaign_id,
        from_email: &stats.from_email,
        threshold: stats.threshold,
        daily_limit: stats.daily_limit,
        since_enabled: counters(&stats.since_enabled),
        last_hour: counters(&stats.last_hour),
        last_day: counters(&stats.last_day),
        last_week: counters(&stats.last_week),
        lifetime: counters(&stats.lifetime),
        campaign: counters(&stats.campaign),
        recent_reasons: &stats.recent_reasons,
        now: stats.now.to_string(),
        extra: &stats.extra.0,
    }
}

fn counters(counters: &bounce::Counters) -> wit::Counters {
    wit::Counters {
        transactions: counters.transactions,
        hard_bounces: counters.hard_bounces,
        soft_bounces: counters.soft_bounces,
        policy_bounces: counters.policy_bounces,
        complaints: counters.complaints,
        deferrals: counters.deferrals,
    }
}

pub(super) fn judgement(answer: wit::Judgement) -> bounce::Judgement {
    match answer {
        wit::Judgement::Keep => bounce::Judgement::Keep,
        wit::Judgement::Disable(reason) => bounce::Judgement::disable(reason),
        wit::Judgement::Throttle(throttle) => bounce::Judgement::throttle(throttle.daily_limit, throttle.reason),
    }
}

pub(super) fn send(send: &gate::Send) -> wit::SendFacts<'_> {
    wit::SendFacts {
        send_id: &send.send_id,
        enrollment_id: &send.enrollment_id,
        campaign_id: &send.campaign_id,
        contact: wit::Contact {
            id: &send.contact.id,
            email: &send.contact.email,
            domain: &send.contact.domain,
            first_name: send.contact.first_name.as_deref(),
            last_name: send.contact.last_name.as_deref(),
            company: send.contact.company.as_deref(),
        },
        step: send.step,
        credential: wit::Credential {
            id: &send.credential.id,
            from_email: &send.credential.from_email,
            smtp_host: &send.credential.smtp_host,
            sent_today: send.credential.sent_today,
            daily_limit: send.credential.daily_limit,
        },
        mx_host: send.mx_host.as_deref(),
        mx_provider: send.mx_provider.as_deref(),
        now: send.now.to_string(),
        local_time: &send.local_time,
        time_zone: &send.time_zone,
        extra: &send.extra.0,
    }
}

pub(super) fn admission(answer: wit::Admission) -> Result<gate::Admission, BadAnswer> {
    match answer {
        wit::Admission::Admit => Ok(gate::Admission::Admit),
        wit::Admission::Skip(reason) => Ok(gate::Admission::skip(reason)),
        wit::Admission::Defer(deferral) => gate::Admission::defer(&deferral.until, deferral.reason),
    }
}
