//! Facts that arrive in another order than they happened, as a campaign's page and the customer's app see them.

use std::time::Duration;

use super::bounce::{Bounce, Source};
use super::*;
use crate::domain::address::key_of;
use crate::domain::ids::{ContactId, NodeId};
use crate::domain::status::{BounceClass, CampaignStatus, EnrollmentStatus, SendState};
use crate::store::counters::CampaignCounters;
use crate::store::sends::{ClaimedSend, Ending, Lease, Places};
use crate::store::{Page, campaigns, contacts, counters, credentials, former_addresses, suppressions};
use crate::test_support::{self, Sender, TestApp};

async fn start() -> (TestApp, Sender) {
    let app = TestApp::start().await;
    let account = app.account().await;
    let sender = app.sender(account, None).await;
    (app, sender)
}

async fn page(app: &TestApp, sender: Sender) -> CampaignCounters {
    counters::of_campaign(&mut app.store.read().await.unwrap(), sender.campaign).await.unwrap()
}

async fn accept(app: &TestApp, held: &ClaimedSend) {
    let mut tx = app.store.begin().await.unwrap();
    test_support::accept(&mut tx, held, &Ending::default(), None, app.clock.now()).await;
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn an_answer_before_the_acceptance_leaves_the_reply_rate_at_most_whole() {
    let (app, sender) = start().await;
    let held = app.sending(sender, "bob@example.com").await;
    let mut tx = app.store.begin().await.unwrap();
    reply::replied(&mut tx, held.send.enrollment_id, Some(&held.send), app.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
    accept(&app, &held).await;
    let page = page(&app, sender).await;
    assert_eq!((page.sent_ever, page.replied_ever, page.totals.replied), (1, 1, 1));
    assert_eq!(app.enrollment(held.send.enrollment_id).await.status, EnrollmentStatus::Replied);
}

#[tokio::test]
async fn a_look_before_the_acceptance_counts_as_opened() {
    let (app, sender) = start().await;
    let held = app.sending(sender, "bob@example.com").await;
    let mut tx = app.store.begin().await.unwrap();
    reply::opened(&mut tx, held.send.enrollment_id, Some(&held.send), 0.0, app.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
    accept(&app, &held).await;
    let page = page(&app, sender).await;
    assert_eq!((page.sent_ever, page.opened_ever, page.totals.opened, page.totals.pending), (1, 1, 1, 0));
    assert_eq!(app.enrollment(held.send.enrollment_id).await.status, EnrollmentStatus::Opened);
}

#[tokio::test]
async fn a_bounce_that_is_told_while_it_is_sent_counts_one_transaction() {
    let (app, sender) = start().await;
    let held = app.sending(sender, "bob@example.com").await;
    let fact = Bounce { class: BounceClass::Hard, source: Source::Provider, reason: "550 no".to_owned() };
    let mut tx = app.store.begin().await.unwrap();
    let send = sends::get(tx.conn(), held.send.id).await.unwrap().unwrap();
    assert!(bounce::bounced(&mut tx, &send, &fact, app.clock.now()).await.unwrap());
    tx.commit().await.unwrap();
    accept(&app, &held).await;
    let counted = counters::lifetime(&mut app.store.read().await.unwrap(), sender.credential).await.unwrap();
    assert_eq!((counted.transactions, counted.hard_bounces), (1, 1));
    assert_eq!(app.send(send.id).await.state, SendState::Bounced);

    // One that was accepted after the bounce's sender was looked up was counted by its acceptance.
    let held = app.sending(sender, "eve@example.com").await;
    let send = app.send(held.send.id).await;
    accept(&app, &held).await;
    let mut tx = app.store.begin().await.unwrap();
    assert!(bounce::bounced(&mut tx, &send, &fact, app.clock.now()).await.unwrap());
    tx.commit().await.unwrap();
    let counted = counters::lifetime(&mut app.store.read().await.unwrap(), sender.credential).await.unwrap();
    assert_eq!((counted.transactions, counted.hard_bounces), (2, 2));
}

#[tokio::test]
async fn a_bounce_told_by_all_sources_is_charged_once_and_a_dead_address_is_learnt_from_any() {
    let (app, sender) = start().await;
    let send = app.sent(sender, "bob@example.com").await;
    let told = [
        (Source::Smtp, BounceClass::Policy, false),
        (Source::Provider, BounceClass::Soft, false),
        (Source::Dsn, BounceClass::Hard, true),
        (Source::Dsn, BounceClass::Soft, true),
    ];
    for (at, (source, class, is_suppressed)) in told.into_iter().enumerate() {
        let fact = Bounce { class, source, reason: format!("told by {source:?}") };
        let mut tx = app.store.begin().await.unwrap();
        assert_eq!(bounce::bounced(&mut tx, &send, &fact, app.clock.now()).await.unwrap(), at == 0);
        tx.commit().await.unwrap();
        let page = Page::first(10);
        let kept = suppressions::list(&mut app.store.read().await.unwrap(), sender.account, &page).await.unwrap();
        assert_eq!(kept.iter().any(|kept| kept.value == "bob@example.com"), is_suppressed, "after {source:?}");
    }
    let counted = counters::lifetime(&mut app.store.read().await.unwrap(), sender.credential).await.unwrap();
    // One bounce, of the gravest class that was told.
    assert_eq!((counted.bounces(), counted.hard_bounces), (1, 1));
}

#[tokio::test]
async fn the_opt_out_of_somebody_who_had_replied_is_told() {
    let (app, sender) = start().await;
    let send = app.sent(sender, "bob@example.com").await;
    let (now, about) = (app.clock.now(), Some(send.enrollment_id));
    let mut tx = app.store.begin().await.unwrap();
    reply::replied(&mut tx, send.enrollment_id, Some(&send), now).await.unwrap();
    for is_news in [true, false] {
        let told =
            unsubscribe::unsubscribed(&mut tx, sender.account, send.contact_id, about, "unsubscribed", now).await;
        assert_eq!(told.unwrap(), is_news);
    }
    tx.commit().await.unwrap();
    let told = ["enrollment.sent", "enrollment.replied", "enrollment.unsubscribed"];
    assert_eq!(app.told(send.enrollment_id).await, told);
}

/// All orders of the numbers below `count`.
fn orders(count: usize) -> Vec<Vec<usize>> {
    let Some(last) = count.checked_sub(1) else { return vec![Vec::new()] };
    let put = |order: &Vec<usize>, at: usize| [&order[..at], &[last], &order[at..]].concat();
    orders(last).iter().flat_map(|order| (0..count).map(move |at| put(order, at))).collect()
}

#[tokio::test]
async fn the_words_and_the_class_of_a_bounce_do_not_depend_on_who_told_first() {
    let (app, sender) = start().await;
    let told = [
        (Source::Dsn, BounceClass::Policy, "550 5.7.1 refused"),
        (Source::Provider, BounceClass::Policy, "Blocked"),
        (Source::Dsn, BounceClass::Soft, "451 4.7.1 try later"),
        (Source::Dsn, BounceClass::Policy, "550 5.7.1 not wanted"),
    ];
    for (number, order) in orders(told.len()).into_iter().enumerate() {
        let email = format!("{number}@example.com");
        let send = app.sent(sender, &email).await;
        let mut tx = app.store.begin().await.unwrap();
        for (source, class, reason) in order.iter().map(|at| told[*at]) {
            let fact = Bounce { class, source, reason: reason.to_owned() };
            bounce::bounced(&mut tx, &send, &fact, app.clock.now()).await.unwrap();
        }
        let charged = crate::store::charges::get_for_update(&mut tx, send.id, "bounce").await.unwrap().unwrap();
        tx.commit().await.unwrap();
        let expected = ("policy", "dsn", "550 5.7.1 not wanted");
        assert_eq!((&*charged.class, &*charged.source, &*charged.reason), expected, "in the order {order:?}");
        assert_eq!(app.enrollment(send.enrollment_id).await.bounce_reason.as_deref(), Some(expected.2));
        assert_eq!(app.send(send.id).await.reason.as_deref(), Some(expected.2));
    }
    let counted = counters::lifetime(&mut app.store.read().await.unwrap(), sender.credential).await.unwrap();
    assert_eq!((counted.bounces(), counted.policy_bounces), (24, 24));
}

#[tokio::test]
async fn why_an_address_is_suppressed_does_not_depend_on_what_was_learnt_first() {
    let (app, sender) = start().await;
    let reasons = ["hard bounce", "unsubscribed", "complaint"];
    for (number, order) in orders(reasons.len()).into_iter().enumerate() {
        let email = format!("{number}@example.com");
        let mut tx = app.store.begin().await.unwrap();
        for at in &order {
            let now = app.clock.now();
            suppressions::add_address(tx.conn(), sender.account, &email, reasons[*at], now).await.unwrap();
        }
        tx.commit().await.unwrap();
        let page = Page::first(10);
        let kept = suppressions::list(&mut app.store.read().await.unwrap(), sender.account, &page).await.unwrap();
        let kept = kept.into_iter().find(|kept| kept.value == email).unwrap();
        assert_eq!(kept.reason, "complaint", "in the order {order:?}");
    }
}

#[tokio::test]
async fn what_a_node_learns_after_its_lease_changes_nothing_of_a_send_that_was_claimed_anew() {
    let (app, sender) = start().await;
    let planned = app.planned(sender, "bob@example.com").await;
    let now = app.clock.now();
    let lease = Lease { owner: app.node, until: now.plus(Duration::from_secs(30)) };
    let (claims, month) = ([(planned.id, sender.credential)], now.utc_month());
    let mut tx = app.store.begin().await.unwrap();
    let dialect = tx.dialect();
    tx.make(|writes| sends::claim(writes, &claims, Places { day: Some(now.utc_day()), month }, lease)).await.unwrap();
    let late = sends::claimed(tx.conn(), dialect, &[planned.id], app.node).await.unwrap().remove(0);
    let (freed, in_doubt) =
        sends::recover_expired(&mut tx, lease.until.plus(Duration::from_secs(1)), 10).await.unwrap();
    assert_eq!((freed.len(), in_doubt.len()), (1, 0));
    // By another node, for the same day and credential.
    let other = Lease { owner: NodeId::new(now), ..lease };
    let today = Places { day: Some(now.utc_day()), month };
    tx.make(|writes| sends::claim(writes, &claims, today, other)).await.unwrap();
    let held = sends::claimed(tx.conn(), dialect, &[planned.id], other.owner).await.unwrap().remove(0);
    assert_eq!(test_support::begin_sending(&mut tx, &[&held]).await, [Ok(())]);
    let ending = Ending { smtp_code: Some(451), ..Ending::default() };
    delivery::skipped(&mut tx, &late, "the gate said no", None, now).await.unwrap();
    delivery::deferred(&mut tx, &late, &ending, Some(now), now).await.unwrap();
    delivery::credential_at_fault(&mut tx, &late, &ending, now, now).await.unwrap();
    test_support::accept(&mut tx, &late, &Ending::default(), None, now).await;
    tx.commit().await.unwrap();
    let send = app.send(planned.id).await;
    assert_eq!((send.state, send.reserved_day, send.attempts), (SendState::Sending, today.day, 1));
}

/// Tries whose connection broke are counted with those that a server put off, which alone may end a send.
#[tokio::test]
async fn a_server_puts_off_four_times_whatever_was_lost_before() {
    let (app, sender) = start().await;
    let held = app.sending(sender, "bob@example.com").await;
    let now = app.clock.now();
    let ending = Ending { smtp_code: Some(451), ..Ending::default() };
    for tries in 1..=5 {
        let mut tx = app.store.begin().await.unwrap();
        delivery::deferred(&mut tx, &held, &ending, None, now).await.unwrap();
        tx.commit().await.unwrap();
        let send = app.send(held.send.id).await;
        let expected = if tries <= 4 { SendState::Due } else { SendState::Failed };
        assert_eq!(send.state, expected, "after {tries}");
        if tries <= 4 {
            let wait = now.until(send.due_at).as_secs() / 60;
            assert_eq!(wait, [5, 15, 60, 240][tries - 1]);
            let sql = "UPDATE sends SET state = 'sending', lease_owner = $2 WHERE id = $1";
            let mut tx = app.store.begin().await.unwrap();
            let query = sqlx::query(sql).bind(held.send.id.to_string()).bind(app.node.to_string());
            query.execute(tx.conn()).await.unwrap();
            tx.commit().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_doubt_of_a_sender_that_lives_is_settled_by_what_it_has_seen() {
    let (app, sender) = start().await;
    let held = app.sending(sender, "bob@example.com").await;
    let now = app.clock.now();
    let mut tx = app.store.begin().await.unwrap();
    let (_, in_doubt) = sends::recover_expired(&mut tx, now.plus(Duration::from_secs(60)), 10).await.unwrap();
    assert_eq!(in_doubt.len(), 1);
    // Nothing else is left to be sent.
    let (active, finished) = (CampaignStatus::Active, CampaignStatus::Finished);
    assert!(campaigns::move_status(tx.conn(), sender.campaign, &[active], finished, None).await.unwrap());
    let again_at = now.plus(Duration::from_secs(300));
    let ending = Ending { smtp_code: Some(451), ..Ending::default() };
    delivery::deferred(&mut tx, &held, &ending, Some(again_at), now).await.unwrap();
    tx.commit().await.unwrap();
    let send = app.send(held.send.id).await;
    assert_eq!((send.state, send.due_at, send.smtp_code), (SendState::Due, again_at, Some(451)));
    let campaign = campaigns::get(&mut app.store.read().await.unwrap(), sender.campaign).await.unwrap();
    assert_eq!(campaign.unwrap().status, active, "it would never leave");
}

#[tokio::test]
async fn what_comes_of_mail_is_about_the_address_that_it_went_to() {
    for is_told_before in [false, true] {
        let (app, sender) = start().await;
        let send = app.sent(sender, "jon@example.com").await;
        let mut tx = app.store.begin().await.unwrap();
        let fact = |class| Bounce { class, source: Source::Dsn, reason: "no such user".to_owned() };
        if is_told_before {
            bounce::bounced(&mut tx, &send, &fact(BounceClass::Soft), app.clock.now()).await.unwrap();
        }
        app.clock.advance(Duration::from_secs(60));
        change_address(&mut tx, &app, send.contact_id, "john@example.com").await;
        bounce::bounced(&mut tx, &send, &fact(BounceClass::Hard), app.clock.now()).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(suppressed(&app, sender).await, ["jon@example.com"], "{is_told_before}");
    }
}

#[tokio::test]
async fn who_opts_out_may_be_any_that_mail_went_to() {
    let (app, sender) = start().await;
    let send = app.sent(sender, "jon@example.com").await;
    let mut tx = app.store.begin().await.unwrap();
    change_address(&mut tx, &app, send.contact_id, "john@example.com").await;
    unsubscribe::unsubscribed(&mut tx, sender.account, send.contact_id, None, "unsubscribed", app.clock.now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(suppressed(&app, sender).await, ["john@example.com", "jon@example.com"]);
}

#[tokio::test]
async fn an_acceptance_ends_a_rest_that_is_over_and_no_other() {
    let (app, sender) = start().await;
    let until = app.clock.now().plus(Duration::from_secs(60));
    let mut tx = app.store.begin().await.unwrap();
    credentials::rest(tx.conn(), sender.credential, until, "535 no", app.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
    let rests = async || {
        let credential =
            credentials::get(&mut app.store.read().await.unwrap(), sender.credential).await.unwrap().unwrap();
        (credential.resting_until, credential.rests, credential.last_error)
    };
    accept(&app, &app.sending(sender, "a@example.com").await).await;
    assert_eq!(rests().await, (Some(until), 0, Some("535 no".to_owned())), "the next one is as short");
    app.clock.advance(Duration::from_secs(60));
    accept(&app, &app.sending(sender, "b@example.com").await).await;
    assert_eq!(rests().await, (None, 0, None));
}

async fn change_address(tx: &mut Tx, app: &TestApp, id: ContactId, email: &str) {
    let mut contact = contacts::get(tx.conn(), id).await.unwrap().unwrap();
    former_addresses::give_up(tx.conn(), id, &key_of(&contact.email), app.clock.now()).await.unwrap();
    contact.email = email.to_owned();
    assert!(contacts::update(tx.conn(), &contact).await.unwrap());
}

async fn suppressed(app: &TestApp, sender: Sender) -> Vec<String> {
    let page = Page::first(10);
    let kept = suppressions::list(&mut app.store.read().await.unwrap(), sender.account, &page).await.unwrap();
    let mut kept: Vec<_> = kept.into_iter().map(|kept| kept.value).collect();
    kept.sort_unstable();
    kept
}
