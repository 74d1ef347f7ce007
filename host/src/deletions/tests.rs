//! What is deleted while mail is planned, on its way, or sent.

use super::*;
use crate::domain::EmailAddress;
use crate::domain::ids::EnrollmentId;
use crate::domain::status::{BounceClass, SendState};
use crate::store::deletions::{Busy, Marked, mark_campaign, mark_contact, mark_import};
use crate::store::facts::bounce::{self, Bounce, Source};
use crate::store::facts::{delivery, unsubscribe};
use crate::store::sends::{self, Ending, NewSend, Obstacle, Send};
use crate::store::{Page, campaigns, contacts, counters, credential_days, credentials, former_addresses, suppressions};
use crate::test_support::{self, Sender, TestApp, accept};

async fn start() -> (TestApp, Sender) {
    let app = TestApp::start().await;
    let account = app.account().await;
    let sender = app.sender(account, None).await;
    (app, sender)
}

/// Marks the contact of a send, or its import; gives what is then to be swept.
async fn mark(app: &TestApp, send: &Send, with_import: bool) -> Doomed {
    let mut tx = app.store.begin().await.unwrap();
    let contact = contacts::get(tx.conn(), send.contact_id).await.unwrap().unwrap();
    let (account, now) = (send.account_id, app.clock.now());
    let (marked, doomed) = if with_import {
        let id = contact.contact_import_id;
        (mark_import(tx.conn(), account, id, now).await.unwrap(), Doomed::Import(id))
    } else {
        (mark_contact(&mut tx, account, contact.id, now).await.unwrap(), Doomed::Contact(contact.id))
    };
    assert_eq!(marked, Marked::Now);
    tx.commit().await.unwrap();
    doomed
}

async fn is_gone(app: &TestApp, send: &Send) -> bool {
    let mut conn = app.store.read().await.unwrap();
    sends::get(&mut conn, send.id).await.unwrap().is_none()
        && contacts::get(&mut conn, send.contact_id).await.unwrap().is_none()
        && crate::store::enrollments::get(&mut conn, send.enrollment_id).await.unwrap().is_none()
}

async fn suppressed(app: &TestApp, sender: Sender) -> Vec<String> {
    let mut conn = app.store.read().await.unwrap();
    let rows = suppressions::list(&mut conn, sender.account, &Page::first(10)).await.unwrap();
    rows.into_iter().map(|row| row.value).collect()
}

#[tokio::test]
async fn the_figures_follow_and_the_rates_stay() {
    let (app, sender) = start().await;
    let (bob, eve) = (app.sent(sender, "bob@example.com").await, app.planned(sender, "eve@example.com").await);
    let other = app.sent(sender, "other@example.com").await;
    for (send, with_import) in [(&bob, true), (&eve, false)] {
        let doomed = mark(&app, send, with_import).await;
        assert!(finish(&app, doomed).await.unwrap());
        assert!(is_gone(&app, send).await);
    }
    let mut conn = app.store.read().await.unwrap();
    let counted = counters::of_campaign(&mut conn, sender.campaign).await.unwrap();
    assert_eq!((counted.totals.sent, counted.totals.pending, counted.sent_ever), (1, 0, 2));
    let batches = counters::per_batch(&mut conn, sender.campaign, None, 10).await.unwrap();
    assert_eq!((batches[0].1.sent, batches[0].1.pending), (1, 0));
    assert_eq!(counters::lifetime(&mut conn, sender.credential).await.unwrap().transactions, 2);
    assert_eq!(app.send(other.id).await.state, SendState::Sent);
}

#[tokio::test]
async fn what_was_claimed_before_the_deletion_does_not_leave_after_it() {
    for with_import in [true, false] {
        let (app, sender) = start().await;
        let held = app.claimed(sender, "bob@example.com").await;
        let now = app.clock.now();
        let mut tx = app.store.begin().await.unwrap();
        credential_days::reserve(&mut tx, sender.credential, now.utc_day(), 1).await.unwrap();
        tx.commit().await.unwrap();
        let doomed = mark(&app, &held.send, with_import).await;
        assert!(!finish(&app, doomed).await.unwrap(), "somebody holds it");
        let mut tx = app.store.begin().await.unwrap();
        let begun = test_support::begin_sending(&mut tx, &[&held]).await;
        assert_eq!(begun, [Err(Obstacle::Stopped("deleted".to_owned()))]);
        delivery::skipped(&mut tx, &held, "deleted", None, now).await.unwrap();
        tx.commit().await.unwrap();
        assert!(finish(&app, doomed).await.unwrap());
        assert!(is_gone(&app, &held.send).await);
        let mut conn = app.store.read().await.unwrap();
        assert_eq!(credential_days::reserved(&mut conn, sender.credential, now.utc_day()).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn what_is_on_its_way_is_recorded_and_nothing_follows_it() {
    for with_import in [true, false] {
        let (app, sender) = start().await;
        let held = app.sending(sender, "bob@example.com").await;
        let doomed = mark(&app, &held.send, with_import).await;
        assert!(!finish(&app, doomed).await.unwrap());
        let now = app.clock.now();
        let next = NewSend {
            id: crate::domain::ids::SendId::new(now),
            enrollment_id: held.send.enrollment_id,
            contact_id: held.send.contact_id,
            step_position: 2,
            smtp_credential_id: Some(sender.credential),
            due_at: now,
            priority: false,
        };
        let mut tx = app.store.begin().await.unwrap();
        accept(&mut tx, &held, &Ending::default(), Some(&next), now).await;
        tx.commit().await.unwrap();
        assert_eq!(app.send(held.send.id).await.state, SendState::Sent);
        let due = async || {
            let mut conn = app.store.read().await.unwrap();
            sends::next(&mut conn, sender.campaign, Some(sender.credential)).await.unwrap().map(|next| next.at)
        };
        // Of an import too many may be under way to be stopped at once; the intent stops them until the sweep comes by.
        assert_eq!(due().await.is_some(), with_import);
        assert!(finish(&app, doomed).await.unwrap());
        assert_eq!(due().await, None);
        assert!(is_gone(&app, &held.send).await);
    }
}

#[tokio::test]
async fn an_opt_out_outlives_its_contact() {
    let (app, sender) = start().await;
    let emails = ["import@example.com", "contact@example.com", "late@example.com", "wants@example.com"];
    let mut sent = Vec::new();
    for email in emails {
        sent.push(app.sent(sender, email).await);
    }
    let opt_out = async |send: &Send| {
        let mut tx = app.store.begin().await.unwrap();
        let now = app.clock.now();
        unsubscribe::unsubscribed(&mut tx, sender.account, send.contact_id, None, "unsubscribed", now).await.unwrap();
        tx.commit().await.unwrap();
    };
    opt_out(&sent[0]).await;
    opt_out(&sent[1]).await;
    for (send, with_import) in sent.iter().zip([true, false, false, true]) {
        let doomed = mark(&app, send, with_import).await;
        if send.id == sent[2].id {
            opt_out(send).await;
        }
        assert!(finish(&app, doomed).await.unwrap());
    }
    let mut kept = suppressed(&app, sender).await;
    kept.sort();
    assert_eq!(kept, ["contact@example.com", "import@example.com", "late@example.com"]);
}

#[tokio::test]
async fn a_link_in_mail_to_any_address_of_a_contact_that_is_gone_still_says_whose_it_is() {
    let (app, sender) = start().await;
    let send = app.sent(sender, "jon@example.com").await;
    let mut tx = app.store.begin().await.unwrap();
    former_addresses::give_up(tx.conn(), send.contact_id, "john@example.com", app.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
    let doomed = mark(&app, &send, false).await;
    assert!(finish(&app, doomed).await.unwrap());
    let mut conn = app.store.read().await.unwrap();
    let departed = deletions::departed(&mut conn, send.enrollment_id).await.unwrap();
    let whose = |address: &str| (sender.account, address.to_owned());
    assert_eq!(departed, [whose("john@example.com"), whose("jon@example.com")]);
}

#[tokio::test]
async fn a_bounce_that_is_told_after_the_deletion_harms_nobody() {
    let (app, sender) = start().await;
    let send = app.sent(sender, "bob@example.com").await;
    let doomed = mark(&app, &send, true).await;
    let fact = Bounce { class: BounceClass::Hard, source: Source::Provider, reason: "550 no".to_owned() };
    // Marked, but not swept: the send is known.
    let mut tx = app.store.begin().await.unwrap();
    assert!(bounce::bounced(&mut tx, &send, &fact, app.clock.now()).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(suppressed(&app, sender).await, ["bob@example.com"]);
    assert!(finish(&app, doomed).await.unwrap());
    // Read before it was swept, written after.
    let mut tx = app.store.begin().await.unwrap();
    bounce::complained(&mut tx, &send, Source::Provider, "spam", app.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
    let mut conn = app.store.read().await.unwrap();
    let counted = counters::lifetime(&mut conn, sender.credential).await.unwrap();
    assert_eq!((counted.hard_bounces, counted.complaints), (1, 1));
}

#[tokio::test]
async fn a_deletion_that_broke_off_is_finished_by_another_call() {
    let (app, sender) = start().await;
    let send = app.sent(sender, "bob@example.com").await;
    let (account, now) = (sender.account, app.clock.now());
    let doomed = mark(&app, &send, true).await;
    let Doomed::Import(import) = doomed else { panic!("{doomed:?}") };
    let mut tx = app.store.begin().await.unwrap();
    assert_eq!(mark_import(tx.conn(), account, import, now).await.unwrap(), Marked::Before);
    let email = EmailAddress::parse("new@example.com").unwrap();
    let id = ContactId::new(now);
    let late = contacts::NewContact { id, email, first_name: None, last_name: None, company: None };
    assert!(!contacts::grow_import(&mut tx, account, import, 2, &[late], now).await.unwrap(), "nothing comes any more");
    tx.rollback().await.unwrap();
    let mut conn = app.store.read().await.unwrap();
    assert_eq!(deletions::doomed(&mut conn, None, 10).await.unwrap(), [doomed]);
    assert_eq!(contacts::find(&mut conn, account, send.contact_id).await.unwrap(), None);
    drop(conn);
    finish_of(&app, account).await.unwrap();
    assert!(is_gone(&app, &send).await);
    assert!(finish(&app, doomed).await.unwrap(), "once more does no harm");
    let mut tx = app.store.begin().await.unwrap();
    assert_eq!(mark_import(tx.conn(), account, import, now).await.unwrap(), Marked::NotThere);
    assert_eq!(mark_contact(&mut tx, account, send.contact_id, now).await.unwrap(), Marked::NotThere);
}

#[tokio::test]
async fn an_import_of_more_than_a_chunk_goes_whole() {
    let (app, sender) = start().await;
    let first = app.planned(sender, "first@example.com").await;
    let now = app.clock.now();
    let mut conn = app.store.read().await.unwrap();
    let import = contacts::get(&mut conn, first.contact_id).await.unwrap().unwrap().contact_import_id;
    drop(conn);
    let contact = |n: usize| contacts::NewContact {
        id: ContactId::new(now),
        email: EmailAddress::parse(&format!("a{n}@example.com")).unwrap(),
        first_name: None,
        last_name: None,
        company: None,
    };
    let many: Vec<_> = (0..2 * CHUNK).map(contact).collect();
    let enrolled = many.iter().map(|contact| crate::store::enrollments::NewEnrollment {
        id: EnrollmentId::new(now),
        contact_id: contact.id,
        batch_number: 1,
        priority: false,
    });
    let enrolled: Vec<_> = enrolled.collect();
    let mut tx = app.store.begin().await.unwrap();
    contacts::insert_many(&mut tx, sender.account, import, &many, now).await.unwrap();
    crate::store::enrollments::insert_many(&mut tx, sender.account, sender.campaign, &enrolled, now).await.unwrap();
    counters::enrolled(tx.conn(), sender.campaign, 1, i64::try_from(enrolled.len()).unwrap()).await.unwrap();
    tx.commit().await.unwrap();
    let doomed = mark(&app, &first, true).await;
    assert!(finish(&app, doomed).await.unwrap());
    let mut conn = app.store.read().await.unwrap();
    assert_eq!(deletions::contacts_of_import(&mut conn, import, None, 10).await.unwrap(), []);
    assert_eq!(counters::of_campaign(&mut conn, sender.campaign).await.unwrap().totals.pending, 0);
}

#[tokio::test]
async fn a_campaign_goes_while_nothing_of_it_is_sent() {
    let (app, sender) = start().await;
    let held = app.sending(sender, "bob@example.com").await;
    let (account, id, now) = (sender.account, sender.campaign, app.clock.now());
    let mark = async || {
        let mut tx = app.store.begin().await.unwrap();
        let marked = mark_campaign(&mut tx, account, id, now).await.unwrap();
        tx.commit().await.unwrap();
        marked
    };
    assert_eq!(mark().await, Err(Busy::Sending));
    let mut tx = app.store.begin().await.unwrap();
    accept(&mut tx, &held, &Ending::default(), None, now).await;
    tx.commit().await.unwrap();
    let planned = app.planned(sender, "eve@example.com").await;
    assert_eq!(mark().await, Err(Busy::Active));
    let mut tx = app.store.begin().await.unwrap();
    sends::cancel_due(tx.conn(), planned.enrollment_id, "test").await.unwrap();
    let fact = Bounce { class: BounceClass::Hard, source: Source::Dsn, reason: "550 no".to_owned() };
    bounce::bounced(&mut tx, &held.send, &fact, now).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!((mark().await, mark().await), (Ok(Marked::Now), Ok(Marked::Before)));
    let mut conn = app.store.read().await.unwrap();
    assert!(campaigns::is_deleted(&mut conn, id).await.unwrap());
    assert_eq!(campaigns::active(&mut conn).await.unwrap(), []);
    drop(conn);
    assert!(finish(&app, Doomed::Campaign(id)).await.unwrap());
    let mut conn = app.store.read().await.unwrap();
    assert_eq!(campaigns::get(&mut conn, id).await.unwrap(), None);
    assert_eq!(credentials::get(&mut conn, sender.credential).await.unwrap(), None);
    assert_eq!(deletions::doomed(&mut conn, None, 10).await.unwrap(), []);
    assert!(contacts::find(&mut conn, account, held.send.contact_id).await.unwrap().is_some(), "contacts stay");
    drop(conn);
    assert_eq!(mark().await, Ok(Marked::NotThere));
    assert_eq!(suppressed(&app, sender).await, ["bob@example.com"]);
}

#[tokio::test]
async fn the_loop_finishes_what_nobody_waits_for() {
    let (app, sender) = start().await;
    let held = app.sending(sender, "bob@example.com").await;
    mark(&app, &held.send, false).await;
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(run(app.app.clone(), shutdown.clone()));
    let now = app.clock.now();
    let mut tx = app.store.begin().await.unwrap();
    accept(&mut tx, &held, &Ending::default(), None, now).await;
    tx.commit().await.unwrap();
    for _ in 0..1000 {
        if is_gone(&app, &held.send).await {
            break;
        }
        app.clock.advance(LOOK_AGAIN);
        tokio::task::yield_now().await;
    }
    assert!(is_gone(&app, &held.send).await);
    shutdown.cancel();
    running.await.unwrap();
}
