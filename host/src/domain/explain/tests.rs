//! Each code, and which of several limits binds.

use std::time::Duration;

use super::*;
use crate::domain::campaign::Waits;
use crate::domain::credential::{Disabled, Endpoint};
use crate::domain::ids::{AccountId, CampaignId, CredentialId};
use crate::domain::status::TlsMode;

/// 2026-11-23T08:00:00Z.
const NOW: Timestamp = Timestamp::from_millis(1_795_420_800_000);
const MIDNIGHT: &str = "2026-11-24T00:00:00.000Z";
const NEXT_MONTH: &str = "2026-12-01T00:00:00.000Z";

fn minutes(count: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(count * 60))
}

fn planned(at: Timestamp) -> Option<Planned> {
    Some(Planned { at, put_off: None })
}

fn credential() -> CredentialFacts {
    let credential = Credential {
        id: CredentialId::new(NOW),
        account_id: AccountId::NOBODY,
        campaign_id: CampaignId::NOBODY,
        label: None,
        smtp: Endpoint {
            host: "smtp.example".to_owned(),
            port: 465,
            username: String::new(),
            sealed_password: String::new(),
            tls: TlsMode::Auto,
        },
        provider: None,
        imap: None,
        from_name: "Ada".to_owned(),
        from_email: "ada@example.com".to_owned(),
        message_id_domain: None,
        daily_limit: 50,
        throttled_limit: None,
        enabled_at: NOW,
        disabled: None,
        resting_until: None,
        rests: 0,
        last_error: None,
        created_at: NOW,
    };
    CredentialFacts { credential, sent_today: 0, held: 0, own: None }
}

/// An active campaign with one idle credential and a first step that is due.
fn facts() -> Facts {
    let campaign = Campaign {
        id: CampaignId::NOBODY,
        account_id: AccountId::NOBODY,
        outreach_id: None,
        name: "test".to_owned(),
        status: CampaignStatus::Active,
        paused_reason: None,
        waits: Waits { min: Duration::from_secs(120), max: Duration::from_secs(420) },
        verify_email_mx: false,
        bounce_rate_threshold: 8.0,
        track_opens: true,
        last_credential_id: None,
        created_at: NOW,
    };
    Facts {
        now: NOW,
        campaign,
        plan: Plan { slug: "self_hosted".to_owned(), monthly_limit: None, current_period_sends: 0 },
        has_enrollments: false,
        has_undispatched: false,
        in_doubt: 0,
        first_step: planned(NOW),
        credentials: vec![credential()],
        most_held: 16,
    }
}

/// `expected`: the state, and each reason's code with its end.
#[track_caller]
fn check(change: impl FnOnce(&mut Facts), state: &str, expected: &[(&str, &str)]) {
    let mut facts = facts();
    change(&mut facts);
    let told = explain(&facts);
    let reasons: Vec<_> = told
        .reasons
        .iter()
        .map(|reason| (reason.code.as_str(), reason.until.map_or(String::new(), |until| until.to_string())))
        .collect();
    let reasons: Vec<_> = reasons.iter().map(|(code, until)| (*code, until.as_str())).collect();
    assert_eq!((told.state.as_str(), reasons.as_slice()), (state, expected), "{told:#?}");
    assert!(told.reasons.iter().all(|reason| !reason.message.is_empty()));
}

fn disable(one: &mut CredentialFacts) {
    one.credential.disabled = Some(Disabled { at: NOW, reason: "too many bounces".to_owned() });
}

#[test]
fn a_campaign_that_is_not_active_says_what_it_waits_for() {
    let status = |status| move |facts: &mut Facts| facts.campaign.status = status;
    check(status(CampaignStatus::Pending), "idle", &[("nobody_enrolled", "")]);
    let all_stopped =
        |facts: &mut Facts| (facts.campaign.status, facts.has_enrollments) = (CampaignStatus::Pending, true);
    check(all_stopped, "idle", &[("nothing_to_send", "")]);
    check(status(CampaignStatus::Paused), "blocked", &[("campaign_paused", "")]);
    check(status(CampaignStatus::Finished), "idle", &[("finished", "")]);
    let more = |status| {
        move |facts: &mut Facts| {
            (facts.campaign.status, facts.has_undispatched, facts.in_doubt) = (status, true, 2);
        }
    };
    check(more(CampaignStatus::Pending), "idle", &[("never_dispatched", ""), ("in_doubt", "")]);
    check(more(CampaignStatus::Finished), "idle", &[("not_dispatched", ""), ("in_doubt", "")]);
}

#[test]
fn a_paused_campaign_says_what_has_to_be_done_before_it_is_resumed() {
    let told = |change: fn(&mut Facts)| {
        let mut facts = facts();
        facts.campaign.status = CampaignStatus::Paused;
        change(&mut facts);
        explain(&facts).reasons[0].message.clone()
    };
    assert_eq!(told(|_| {}), "The campaign is paused: no reason was given. POST /campaigns/:id/resume lets it go on.");
    let all_disabled = told(|facts| disable(&mut facts.credentials[0]));
    assert!(all_disabled.contains("Reenable a credential first"), "{all_disabled}");
    let none_left = told(|facts| facts.credentials.clear());
    assert!(none_left.contains("Add a credential first"), "{none_left}");
    let nothing_left = told(|facts| (facts.first_step, facts.credentials) = (None, Vec::new()));
    assert!(nothing_left.contains("lets it finish"), "{nothing_left}");
    let one_left = told(|facts| {
        facts.credentials.push(credential());
        disable(&mut facts.credentials[0]);
    });
    assert!(!one_left.contains("first"), "{one_left}");
}

#[test]
fn a_first_message_is_said_to_wait_as_long_as_it_was_given_whatever_the_waits_are_now() {
    let mut facts = facts();
    facts.first_step = planned(minutes(7));
    let before = explain(&facts);
    facts.campaign.waits = Waits { min: Duration::ZERO, max: Duration::ZERO };
    assert_eq!(explain(&facts), before);
    assert!(!before.reasons[0].message.contains(" s "), "no figure that did not make its time: {before:?}");
}

#[test]
fn what_is_in_doubt_is_told_whatever_else_binds() {
    let in_doubt = ("in_doubt", "");
    check(|facts| facts.in_doubt = 1, "sending", &[in_doubt]);
    let paused = |facts: &mut Facts| (facts.campaign.status, facts.in_doubt) = (CampaignStatus::Paused, 1);
    check(paused, "blocked", &[("campaign_paused", ""), in_doubt]);
    let used_up = |facts: &mut Facts| (facts.credentials[0].sent_today, facts.in_doubt) = (50, 1);
    check(used_up, "blocked", &[("daily_limit_reached", MIDNIGHT), in_doubt]);
}

#[test]
fn with_nothing_planned_it_says_whether_something_could_be() {
    check(|facts| facts.first_step = None, "idle", &[("nothing_to_send", "")]);
    check(|facts| (facts.first_step, facts.has_undispatched) = (None, true), "idle", &[("not_dispatched", "")]);
    check(|facts| (facts.first_step, facts.in_doubt) = (None, 1), "idle", &[("in_doubt", "")]);
    let last_one_under_way = |facts: &mut Facts| {
        facts.first_step = None;
        facts.credentials[0].held = 1;
    };
    check(last_one_under_way, "sending", &[]);
}

#[test]
fn what_was_enrolled_since_is_told_beside_what_is_planned() {
    let waiting = |facts: &mut Facts| (facts.first_step, facts.has_undispatched) = (planned(minutes(7)), true);
    let due = ("waiting_for_due_time", "2026-11-23T08:07:00.000Z");
    check(waiting, "waiting", &[due, ("not_dispatched", "")]);
}

#[test]
fn what_is_due_is_being_sent() {
    check(|_| {}, "sending", &[]);
    check(|facts| facts.credentials[0].held = 16, "sending", &[("credential_busy", "")]);
    let with_another = |facts: &mut Facts| {
        facts.credentials.push(credential());
        facts.credentials[0].credential.resting_until = Some(minutes(5));
    };
    check(with_another, "sending", &[("credential_resting", "2026-11-23T08:05:00.000Z")]);
}

#[test]
fn what_is_not_due_says_when_it_is() {
    let first = |facts: &mut Facts| facts.first_step = planned(minutes(7));
    check(first, "waiting", &[("waiting_for_due_time", "2026-11-23T08:07:00.000Z")]);
    let follow_up = |facts: &mut Facts| {
        facts.first_step = None;
        facts.credentials[0].own = planned(minutes(60));
    };
    check(follow_up, "waiting", &[("waiting_for_due_time", "2026-11-23T09:00:00.000Z")]);
    let put_off = |facts: &mut Facts| {
        facts.first_step = None;
        facts.credentials[0].own = Some(Planned { at: minutes(5), put_off: Some("451 greylisted".to_owned()) });
    };
    check(put_off, "waiting", &[("put_off", "2026-11-23T08:05:00.000Z")]);
    let both = |facts: &mut Facts| {
        facts.first_step = planned(minutes(7));
        facts.credentials[0].own = planned(minutes(3));
    };
    check(both, "waiting", &[("waiting_for_due_time", "2026-11-23T08:03:00.000Z")]);
    let meanwhile = |facts: &mut Facts| {
        facts.first_step = planned(minutes(7));
        facts.credentials[0].held = 1;
    };
    check(meanwhile, "sending", &[("waiting_for_due_time", "2026-11-23T08:07:00.000Z")]);
}

#[test]
fn a_credential_that_may_not_send_holds_its_share_back() {
    check(|facts| disable(&mut facts.credentials[0]), "blocked", &[("credential_disabled", "")]);
    check(|facts| facts.credentials.clear(), "blocked", &[("no_credential", "")]);
    let resting = |facts: &mut Facts| facts.credentials[0].credential.resting_until = Some(minutes(16));
    check(resting, "blocked", &[("credential_resting", "2026-11-23T08:16:00.000Z")]);
    let rested = |facts: &mut Facts| facts.credentials[0].credential.resting_until = Some(NOW);
    check(rested, "sending", &[]);
}

#[test]
fn a_daily_limit_holds_first_steps_back_until_midnight() {
    check(|facts| facts.credentials[0].sent_today = 50, "blocked", &[("daily_limit_reached", MIDNIGHT)]);
    let throttled = |facts: &mut Facts| {
        facts.credentials[0].sent_today = 10;
        facts.credentials[0].credential.throttled_limit = Some(10);
    };
    check(throttled, "blocked", &[("daily_limit_reached", MIDNIGHT)]);
    let zero = |facts: &mut Facts| facts.credentials[0].credential.daily_limit = 0;
    check(zero, "blocked", &[("daily_limit_is_zero", "")]);
    let follow_up = |facts: &mut Facts| {
        facts.credentials[0].sent_today = 50;
        facts.credentials[0].own = planned(NOW);
    };
    check(follow_up, "sending", &[("daily_limit_reached", MIDNIGHT)]);
    let both_used_up = |facts: &mut Facts| {
        facts.credentials.push(credential());
        facts.credentials.iter_mut().for_each(|one| one.sent_today = 50);
    };
    check(both_used_up, "blocked", &[("daily_limit_reached", MIDNIGHT), ("daily_limit_reached", MIDNIGHT)]);
}

#[test]
fn a_months_plan_holds_everything_back() {
    let used_up = |facts: &mut Facts| {
        facts.plan.monthly_limit = Some(1000);
        facts.plan.current_period_sends = 1000;
        facts.credentials[0].own = planned(NOW);
    };
    check(used_up, "blocked", &[("plan_limit_reached", NEXT_MONTH)]);
    check(|facts| facts.plan.monthly_limit = Some(0), "blocked", &[("plan_limit_reached", "")]);
    check(|facts| facts.plan.monthly_limit = Some(1), "sending", &[]);
}

#[test]
fn of_several_limits_the_last_to_end_binds_a_way_and_the_first_way_to_open_is_next() {
    // Due in ten minutes, but at rest for sixteen.
    let rest_after_due = |facts: &mut Facts| {
        facts.first_step = planned(minutes(10));
        facts.credentials[0].credential.resting_until = Some(minutes(16));
    };
    check(rest_after_due, "blocked", &[("credential_resting", "2026-11-23T08:16:00.000Z")]);
    // At rest and used up: midnight comes later.
    let rest_and_limit = |facts: &mut Facts| {
        facts.credentials[0].credential.resting_until = Some(minutes(16));
        facts.credentials[0].sent_today = 50;
    };
    check(
        rest_and_limit,
        "blocked",
        &[("daily_limit_reached", MIDNIGHT), ("credential_resting", "2026-11-23T08:16:00.000Z")],
    );
    // One is disabled for good, the other rests: the rest ends first.
    let disabled_and_rest = |facts: &mut Facts| {
        facts.credentials.push(credential());
        disable(&mut facts.credentials[0]);
        facts.credentials[1].credential.resting_until = Some(minutes(2));
    };
    check(
        disabled_and_rest,
        "blocked",
        &[("credential_resting", "2026-11-23T08:02:00.000Z"), ("credential_disabled", "")],
    );
    // The limit of the day is used up, and a follow-up is due before midnight.
    let follow_up_before_midnight = |facts: &mut Facts| {
        facts.credentials[0].sent_today = 50;
        facts.credentials[0].own = planned(minutes(30));
    };
    check(
        follow_up_before_midnight,
        "waiting",
        &[("waiting_for_due_time", "2026-11-23T08:30:00.000Z"), ("daily_limit_reached", MIDNIGHT)],
    );
    // The month's plan ends after the day.
    let day_and_month = |facts: &mut Facts| {
        facts.credentials[0].sent_today = 50;
        (facts.plan.monthly_limit, facts.plan.current_period_sends) = (Some(50), 50);
    };
    check(day_and_month, "blocked", &[("plan_limit_reached", NEXT_MONTH), ("daily_limit_reached", MIDNIGHT)]);
}
