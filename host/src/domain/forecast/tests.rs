//! Days as the dispatcher would fill them. `dispatch` has a test that compares a forecast with what then really leaves.

use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// Monday, 2026-11-23T08:00:00Z.
fn now() -> Timestamp {
    Timestamp::from_millis(1_795_420_800_000)
}

/// One batch of thirty with gaps of ten minutes, one step, one credential with room for a hundred a day.
fn outlook() -> Outlook {
    Outlook {
        now: now(),
        waits: Waits { min: 10 * MINUTE, max: 10 * MINUTE },
        delays: vec![Duration::ZERO],
        batches: vec![Batches { count: 1, each: 30, next_at: now(), gap: 10 * MINUTE }],
        planned: Vec::new(),
        credentials: vec![credential(100)],
        plan: None,
    }
}

fn credential(daily_limit: u64) -> CredentialOutlook {
    CredentialOutlook { is_disabled: false, resting_until: None, daily_limit, sent_today: 0 }
}

fn planned(step: usize, at: Timestamp, count: u64) -> PlannedSends {
    PlannedSends { step, at, count, credential: Some(0) }
}

/// `expected`: each day's date, first steps, follow-ups and limit; then what is left and what is held.
#[track_caller]
fn check(change: impl FnOnce(&mut Outlook), expected: &[(&str, u64, u64, &str)], after: (u64, u64), held: u64) {
    let mut outlook = outlook();
    change(&mut outlook);
    let made = forecast(&outlook);
    let days: Vec<(String, u64, u64, &str)> = made
        .days
        .iter()
        .map(|day| {
            let limit = day.limited_by.map_or("", Limit::as_str);
            (day.begins.utc_date(), day.sends.first_steps, day.sends.follow_ups, limit)
        })
        .collect();
    let days: Vec<_> = days.iter().map(|(date, first, later, limit)| (&date[5..], *first, *later, *limit)).collect();
    assert_eq!(days, expected, "{made:#?}");
    assert_eq!(((made.after.first_steps, made.after.follow_ups), made.held), (after, held));
}

#[test]
fn with_nothing_to_send_there_is_nothing_to_say() {
    check(|outlook| outlook.batches.clear(), &[], (0, 0), 0);
}

#[test]
fn gaps_spread_a_batch_over_the_hours_and_batches_run_side_by_side() {
    check(|_| {}, &[("11-23", 30, 0, "")], (0, 0), 0);
    // Sixteen hours are left of today: ninety-six gaps of ten minutes.
    check(|outlook| outlook.batches[0].each = 100, &[("11-23", 96, 0, "spacing"), ("11-24", 4, 0, "")], (0, 0), 0);
    let three = |outlook: &mut Outlook| {
        outlook.batches[0].count = 3;
        outlook.credentials[0].daily_limit = 1000;
    };
    check(three, &[("11-23", 90, 0, "")], (0, 0), 0);
    let later = |outlook: &mut Outlook| outlook.batches[0].next_at = now().plus(2 * DAY);
    check(later, &[("11-23", 0, 0, "spacing"), ("11-24", 0, 0, "spacing"), ("11-25", 30, 0, "")], (0, 0), 0);
}

#[test]
fn a_daily_limit_holds_first_steps_until_midnight_and_they_go_on_with_their_gaps() {
    let ten_a_day = |outlook: &mut Outlook| outlook.credentials[0].daily_limit = 10;
    let days = [("11-23", 10, 0, "daily_limit"), ("11-24", 10, 0, "daily_limit"), ("11-25", 10, 0, "")];
    check(ten_a_day, &days, (0, 0), 0);
    let some_sent = |outlook: &mut Outlook| {
        outlook.credentials = vec![CredentialOutlook { sent_today: 16, ..credential(20) }];
    };
    check(
        some_sent,
        &[("11-23", 4, 0, "daily_limit"), ("11-24", 20, 0, "daily_limit"), ("11-25", 6, 0, "")],
        (0, 0),
        0,
    );
    // Held up until midnight, then a gap of an hour each: the day is too short for its limit.
    let slow = |outlook: &mut Outlook| {
        outlook.batches[0] = Batches { count: 1, each: 40, next_at: now(), gap: 60 * MINUTE };
        outlook.credentials[0].daily_limit = 12;
        outlook.credentials.push(credential(18));
        outlook.credentials[0].sent_today = 12;
        outlook.credentials[1].sent_today = 10;
    };
    check(slow, &[("11-23", 8, 0, "daily_limit"), ("11-24", 24, 0, "spacing"), ("11-25", 8, 0, "")], (0, 0), 0);
}

#[test]
fn credentials_add_up_and_those_that_may_not_send_do_not() {
    let three = |outlook: &mut Outlook| {
        outlook.credentials =
            vec![credential(3), credential(7), CredentialOutlook { is_disabled: true, ..credential(90) }];
    };
    let days = [("11-23", 10, 0, "daily_limit"), ("11-24", 10, 0, "daily_limit"), ("11-25", 10, 0, "")];
    check(three, &days, (0, 0), 0);
    let none = |outlook: &mut Outlook| outlook.credentials[0].is_disabled = true;
    check(none, &[("11-23", 0, 0, "no_credential")], (30, 0), 0);
    let zero = |outlook: &mut Outlook| outlook.credentials[0].daily_limit = 0;
    check(zero, &[("11-23", 0, 0, "daily_limit")], (30, 0), 0);
    // At rest until six in the evening: the batch begins then, and all thirty-six gaps of the rest of the day are enough.
    let resting = |outlook: &mut Outlook| {
        outlook.batches[0].each = 40;
        outlook.credentials[0].resting_until = Some(now().plus(600 * MINUTE));
    };
    check(resting, &[("11-23", 36, 0, "no_credential"), ("11-24", 4, 0, "")], (0, 0), 0);
}

#[test]
fn a_rotation_uses_credentials_up_evenly() {
    let all = [credential(2), credential(10), CredentialOutlook { is_disabled: true, ..credential(9) }, credential(5)];
    let mut capacities = Capacities::new(&all);
    capacities.take(now(), 7);
    assert_eq!(capacities.left(now()), Some(10));
    capacities.take(now(), 10);
    assert_eq!(capacities.left(now()), Some(0));
    // The rest of the second is all that is left while the others are used up.
    capacities.begin_day();
    capacities.take(now(), 12);
    let rests: Vec<_> =
        all.iter().map(|one| CredentialOutlook { resting_until: Some(now().plus(DAY)), ..*one }).collect();
    assert_eq!(Capacities::new(&rests).left(now()), None);
    assert_eq!(capacities.left(now()), Some(5));
}

#[test]
fn follow_ups_come_after_their_delay_and_a_gap_and_count_for_no_daily_limit() {
    let three_steps = |outlook: &mut Outlook| {
        outlook.delays = vec![Duration::ZERO, DAY, 2 * DAY];
        outlook.credentials[0].daily_limit = 20;
    };
    let days = [
        ("11-23", 20, 0, "daily_limit"),
        ("11-24", 10, 20, ""),
        ("11-25", 0, 10, ""),
        ("11-26", 0, 20, ""),
        ("11-27", 0, 10, ""),
    ];
    check(three_steps, &days, (0, 0), 0);
    // Without delays and gaps all steps leave at once.
    let at_once = |outlook: &mut Outlook| {
        outlook.waits = Waits { min: Duration::ZERO, max: Duration::ZERO };
        outlook.delays = vec![Duration::ZERO; 3];
        outlook.batches[0].gap = Duration::ZERO;
    };
    check(at_once, &[("11-23", 30, 60, "")], (0, 0), 0);
}

#[test]
fn what_is_planned_already_leaves_at_its_time_and_brings_what_follows_it() {
    let under_way = |outlook: &mut Outlook| {
        outlook.batches.clear();
        outlook.delays = vec![Duration::ZERO, DAY, DAY];
        outlook.planned = vec![
            planned(0, now(), 2), // on their way
            planned(1, now().plus(60 * MINUTE), 5),
            planned(2, now().plus(DAY), 3),
        ];
    };
    check(under_way, &[("11-23", 2, 5, ""), ("11-24", 0, 3 + 2 + 5, ""), ("11-25", 0, 2, "")], (0, 0), 0);
}

#[test]
fn follow_ups_of_a_disabled_credential_are_held_with_all_that_follows_them() {
    let held = |outlook: &mut Outlook| {
        outlook.batches.clear();
        outlook.delays = vec![Duration::ZERO, DAY, DAY];
        outlook.credentials = vec![CredentialOutlook { is_disabled: true, ..credential(9) }, credential(9)];
        outlook.planned = vec![planned(1, now(), 4), PlannedSends { credential: Some(1), ..planned(1, now(), 1) }];
    };
    check(held, &[("11-23", 0, 1, ""), ("11-24", 0, 1, "")], (0, 0), 8);
    let resting = |outlook: &mut Outlook| {
        outlook.batches.clear();
        outlook.credentials[0].resting_until = Some(now().plus(DAY));
        outlook.planned = vec![planned(1, now(), 4)];
    };
    check(resting, &[("11-23", 0, 0, ""), ("11-24", 0, 4, "")], (0, 0), 0);
}

#[test]
fn a_plan_that_is_used_up_holds_everything_until_the_next_month() {
    let fifty = |outlook: &mut Outlook| {
        outlook.delays = vec![Duration::ZERO, DAY];
        outlook.plan = Some(PlanOutlook { monthly_limit: 100, left: 35 });
    };
    let mut days = vec![("11-23", 30, 0, ""), ("11-24", 0, 5, "plan_limit")];
    days.extend(["11-25", "11-26", "11-27", "11-28", "11-29", "11-30"].map(|day| (day, 0, 0, "plan_limit")));
    days.push(("12-01", 0, 25, ""));
    check(fifty, &days, (0, 0), 0);
    let nothing = |outlook: &mut Outlook| outlook.plan = Some(PlanOutlook { monthly_limit: 0, left: 0 });
    check(nothing, &[("11-23", 0, 0, "plan_limit")], (30, 0), 0);
}

#[test]
fn what_is_left_after_ninety_days_is_told() {
    let mut outlook = outlook();
    outlook.batches[0] = Batches { count: 20_000, each: 50, next_at: now(), gap: 5 * MINUTE };
    outlook.credentials[0].daily_limit = 1000;
    outlook.delays = vec![Duration::ZERO, DAY, 30 * DAY];
    let made = forecast(&outlook);
    assert_eq!(made.days.len(), DAYS);
    assert!(made.days.iter().all(|day| day.sends.first_steps == 1000 && day.limited_by == Some(Limit::DailyLimit)));
    let sent: u64 = made.days.iter().map(|day| day.sends.total()).sum();
    assert_eq!(made.after.first_steps, 1_000_000 - 90_000);
    assert_eq!(sent + made.after.total(), 3_000_000, "every message is in a day or in the rest");
}

#[test]
fn a_million_in_many_kinds_of_batches_is_no_work() {
    let mut outlook = outlook();
    outlook.credentials[0].daily_limit = 7919;
    outlook.delays = vec![Duration::ZERO, 3 * DAY, 4 * DAY];
    let alike = |n: u64| {
        let next_at = now().plus(Duration::from_secs(n * 7));
        Batches { count: 1 + n % 11, each: 1 + n % 50, next_at, gap: Duration::from_secs(120 + n % 300) }
    };
    outlook.batches = (0..2000).map(alike).collect();
    let all: u64 = outlook.batches.iter().map(|one| one.count * one.each).sum();
    let begun = std::time::Instant::now();
    let made = forecast(&outlook);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let first_steps: u64 = made.days.iter().map(|day| day.sends.first_steps).sum();
    assert_eq!(first_steps + made.after.first_steps, all);
    assert!(made.days.iter().all(|day| day.sends.first_steps <= 7919));
}
