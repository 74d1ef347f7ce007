//! Why nothing is being sent right now: the one limit that binds, and when it ends.
//!
//! Whatever is planned could leave in several ways: a first step through any credential, a follow-up through its own. For
//! each way the latest of its obstacles is what it waits for; the way that opens first is the next message, and what it
//! waits for is the answer. What else stands in the way of the other credentials is told after it.

mod words;

#[cfg(test)]
mod tests;

use super::campaign::Campaign;
use super::credential::Credential;
use super::plan::Plan;
use super::status::CampaignStatus;
use super::time::Timestamp;

pub use words::{ExplainState, ReasonCode};

/// What there is to know.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The time.
    pub now: Timestamp,
    /// The campaign.
    pub campaign: Campaign,
    /// The account's plan.
    pub plan: Plan,
    /// Whether anybody is enrolled.
    pub has_enrollments: bool,
    /// Whether enrollments wait for a dispatch.
    pub has_undispatched: bool,
    /// Sends whose server may have them.
    pub in_doubt: u64,
    /// The next first step that is planned.
    pub first_step: Option<Planned>,
    /// The campaign's credentials.
    pub credentials: Vec<CredentialFacts>,
    /// Sends of one credential that a node holds at once.
    pub most_held: u64,
}

/// A send that is planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// For when.
    pub at: Timestamp,
    /// Why it was put off, if it was.
    pub put_off: Option<String>,
}

/// A credential and what is planned for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialFacts {
    /// The credential.
    pub credential: Credential,
    /// First steps of today.
    pub sent_today: u64,
    /// Sends on their way.
    pub held: u64,
    /// The next send that only this one may make: a follow-up, or a first step that is tried again.
    pub own: Option<Planned>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// In one word.
    pub state: ExplainState,
    /// The limit that binds comes first.
    pub reasons: Vec<Reason>,
}

/// One thing that stands in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// For programs.
    pub code: ReasonCode,
    /// For people.
    pub message: String,
    /// When it ends by itself; none: somebody has to do something, or nothing is wrong.
    pub until: Option<Timestamp>,
    /// What it is about: a credential or an account.
    pub subject_id: Option<String>,
}

/// A way in which something planned may leave.
struct Way {
    /// None: not by itself.
    opens: Option<Timestamp>,
    reason: Reason,
}

/// Explains.
pub fn explain(facts: &Facts) -> Explanation {
    let mut explanation = explain_status(facts);
    // Whatever else binds: nothing follows these by itself.
    let is_active = facts.campaign.status == CampaignStatus::Active;
    for reason in not_dispatched(facts).filter(|_| is_active).into_iter().chain(in_doubt(facts)) {
        if explanation.reasons.iter().all(|told| told.code != reason.code) {
            explanation.reasons.push(reason);
        }
    }
    explanation
}

fn explain_status(facts: &Facts) -> Explanation {
    match facts.campaign.status {
        CampaignStatus::Active => explain_active(facts),
        CampaignStatus::Paused => told(ExplainState::Blocked, vec![paused(facts)]),
        CampaignStatus::Pending if facts.has_undispatched => {
            let message = "The campaign was never dispatched: POST /campaigns/:id/dispatch.";
            told(ExplainState::Idle, vec![reason(ReasonCode::NeverDispatched, message)])
        }
        CampaignStatus::Pending if facts.has_enrollments => {
            let message = "Everybody who is enrolled has been stopped: suppressed, unsubscribed or deleted.";
            told(ExplainState::Idle, vec![reason(ReasonCode::NothingToSend, message)])
        }
        CampaignStatus::Pending => {
            let message = "Nobody is enrolled yet: POST /campaigns/:id/enroll.";
            told(ExplainState::Idle, vec![reason(ReasonCode::NobodyEnrolled, message)])
        }
        CampaignStatus::Finished => {
            let finished = (!facts.has_undispatched).then(|| reason(ReasonCode::Finished, "Nothing is left to send."));
            told(ExplainState::Idle, idle_reasons(facts).chain(finished).collect())
        }
    }
}

/// With what has to be done before a resume is taken.
fn paused(facts: &Facts) -> Reason {
    let why = facts.campaign.paused_reason.as_deref().unwrap_or("no reason was given");
    let is_anything_left = facts.has_undispatched || is_planned(facts);
    let mend = if !is_anything_left {
        "Nothing is left to send; POST /campaigns/:id/resume lets it finish."
    } else if facts.credentials.is_empty() {
        "Add a credential first (POST /campaigns/:id/smtp_credentials); then POST /campaigns/:id/resume lets it go on."
    } else if facts.credentials.iter().all(|one| one.credential.disabled.is_some()) {
        "Reenable a credential first (POST /campaigns/:id/smtp_credentials/:cid/reenable), or add one; then \
         POST /campaigns/:id/resume lets it go on."
    } else {
        "POST /campaigns/:id/resume lets it go on."
    };
    reason(ReasonCode::CampaignPaused, format!("The campaign is paused: {why}. {mend}"))
}

fn explain_active(facts: &Facts) -> Explanation {
    let held: u64 = facts.credentials.iter().map(|one| one.held).sum();
    if !is_planned(facts) && held > 0 {
        return told(ExplainState::Sending, Vec::new());
    }
    if !is_planned(facts) {
        let nothing = reason(ReasonCode::NothingToSend, "Every enrollment was sent to, or has ended.");
        let mut reasons: Vec<Reason> = idle_reasons(facts).collect();
        if reasons.is_empty() {
            reasons.push(nothing);
        }
        return told(ExplainState::Idle, reasons);
    }
    let Some(next) = ways(facts).into_iter().min_by_key(|way| (way.opens.is_none(), way.opens)) else {
        let message = "The campaign has no credential; add one: POST /campaigns/:id/smtp_credentials.";
        return told(ExplainState::Blocked, vec![reason(ReasonCode::NoCredential, message)]);
    };
    if next.opens.is_some_and(|opens| opens <= facts.now) {
        let busy = facts.credentials.iter().filter_map(|one| busy(facts, one));
        return told(ExplainState::Sending, busy.chain(obstacles(facts)).collect());
    }
    let state = match next.reason.code {
        _ if held > 0 => ExplainState::Sending,
        ReasonCode::WaitingForDueTime | ReasonCode::PutOff => ExplainState::Waiting,
        _ => ExplainState::Blocked,
    };
    let others = obstacles(facts).filter(|other| *other != next.reason).collect::<Vec<_>>();
    told(state, std::iter::once(next.reason).chain(others).collect())
}

fn is_planned(facts: &Facts) -> bool {
    facts.first_step.is_some() || facts.credentials.iter().any(|one| one.own.is_some())
}

/// What keeps a campaign idle that has nothing planned.
fn idle_reasons(facts: &Facts) -> impl Iterator<Item = Reason> {
    not_dispatched(facts).into_iter().chain(in_doubt(facts))
}

fn not_dispatched(facts: &Facts) -> Option<Reason> {
    let message = "Enrollments wait for a dispatch of their own: POST /campaigns/:id/dispatch.";
    facts.has_undispatched.then(|| reason(ReasonCode::NotDispatched, message))
}

/// What waits for evidence or for a person.
fn in_doubt(facts: &Facts) -> Option<Reason> {
    (facts.in_doubt > 0).then(|| {
        let (count, campaign) = (facts.in_doubt, facts.campaign.id);
        let message = format!(
            "{count} of its messages may or may not have left; nothing follows them until that is known. Evidence \
             settles it, or a person: GET /sends?state=in_doubt&campaign_id={campaign}, POST /sends/:id/resolve."
        );
        reason(ReasonCode::InDoubt, message)
    })
}

fn ways(facts: &Facts) -> Vec<Way> {
    let mut ways = Vec::new();
    for one in &facts.credentials {
        if let Some(planned) = &facts.first_step {
            let holds = [held_back(facts, one), used_up(facts, one)];
            ways.push(way(facts, planned, true, holds));
        }
        if let Some(planned) = &one.own {
            ways.push(way(facts, planned, false, [held_back(facts, one), None]));
        }
    }
    ways
}

/// The latest of what a send waits for: its time, its credential, the plan.
fn way(facts: &Facts, planned: &Planned, is_first: bool, holds: [Option<Reason>; 2]) -> Way {
    let due = Way { opens: Some(planned.at), reason: waiting(planned, is_first) };
    let holds = holds.into_iter().flatten().chain(plan_used_up(facts));
    holds.map(|reason| Way { opens: reason.until, reason }).fold(due, |latest, way| {
        let is_later = way.opens.is_none_or(|opens| latest.opens.is_some_and(|latest| opens > latest));
        if latest.opens.is_some() && is_later { way } else { latest }
    })
}

fn waiting(planned: &Planned, is_first: bool) -> Reason {
    let (code, message) = match &planned.put_off {
        Some(why) => (ReasonCode::PutOff, format!("The next message was put off: {why}")),
        None if is_first => {
            // The waits may have been others when it was dispatched, so that no figure is told.
            let gap = "The next first message keeps the distance from the one before it that it was given when it was \
                       dispatched.";
            (ReasonCode::WaitingForDueTime, gap.to_owned())
        }
        None => (ReasonCode::WaitingForDueTime, "The next follow-up waits for the delay of its step.".to_owned()),
    };
    Reason { code, message, until: Some(planned.at), subject_id: None }
}

/// What stands in the way of single credentials.
fn obstacles(facts: &Facts) -> impl Iterator<Item = Reason> {
    facts.credentials.iter().filter_map(move |one| {
        let is_asked_for = facts.first_step.is_some() || one.own.is_some();
        let off = held_back(facts, one).filter(|_| is_asked_for);
        off.or_else(|| used_up(facts, one).filter(|_| facts.first_step.is_some()))
    })
}

/// What keeps a credential from sending anything.
fn held_back(facts: &Facts, one: &CredentialFacts) -> Option<Reason> {
    let CredentialFacts { credential, .. } = one;
    let from = &credential.from_email;
    if let Some(disabled) = &credential.disabled {
        let message = format!("{from} is disabled: {}. Reenabling it ends this.", disabled.reason);
        return Some(about(one, ReasonCode::CredentialDisabled, message, None));
    }
    let until = credential.resting_until.filter(|until| *until > facts.now)?;
    let why = credential.last_error.as_deref().unwrap_or("its server refused it");
    Some(about(one, ReasonCode::CredentialResting, format!("{from} rests: {why}"), Some(until)))
}

/// What keeps a credential from sending first steps.
fn used_up(facts: &Facts, one: &CredentialFacts) -> Option<Reason> {
    let limit = one.credential.effective_limit();
    if one.sent_today < limit {
        return None;
    }
    let from = &one.credential.from_email;
    if limit == 0 {
        let message = format!("{from} may not send first messages: its daily limit is 0.");
        return Some(about(one, ReasonCode::DailyLimitIsZero, message, None));
    }
    let throttled = if limit < one.credential.daily_limit { ", to which it was throttled," } else { "" };
    let message = format!("{from} has used its daily limit of {limit}{throttled} for this UTC day.");
    Some(about(one, ReasonCode::DailyLimitReached, message, Some(facts.now.next_utc_day())))
}

fn plan_used_up(facts: &Facts) -> Option<Reason> {
    let limit = facts.plan.monthly_limit.filter(|_| facts.plan.is_used_up())?;
    let message = format!("The account has sent the {limit} messages that its plan allows in a month.");
    let until = (limit > 0).then(|| facts.now.next_utc_month());
    let subject_id = Some(facts.campaign.account_id.to_string());
    Some(Reason { code: ReasonCode::PlanLimitReached, message, until, subject_id })
}

fn busy(facts: &Facts, one: &CredentialFacts) -> Option<Reason> {
    (one.held >= facts.most_held).then(|| {
        let (from, held) = (&one.credential.from_email, one.held);
        let message = format!("{from} has {held} messages on their way, as many as its connections carry at once.");
        about(one, ReasonCode::CredentialBusy, message, None)
    })
}

fn about(one: &CredentialFacts, code: ReasonCode, message: String, until: Option<Timestamp>) -> Reason {
    Reason { code, message, until, subject_id: Some(one.credential.id.to_string()) }
}

fn reason(code: ReasonCode, message: impl Into<String>) -> Reason {
    Reason { code, message: message.into(), until: None, subject_id: None }
}

fn told(state: ExplainState, reasons: Vec<Reason>) -> Explanation {
    Explanation { state, reasons }
}
