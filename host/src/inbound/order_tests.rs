//! What is known of a message is made of the set of its events: told in another order, or again and again, they come to the
//! same.

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};

use super::tests::{start, tell};
use crate::domain::ids::AccountId;
use crate::store::{Page, campaigns, charges, contacts, counters, enrollments, suppressions};
use crate::test_support::TestApp;

/// With two wordings of what may be worded.
const KINDS: [(&str, &str); 18] = [
    ("delivered", ""),
    ("processed", ""),
    ("deferred", ""),
    ("hard_bounce", "550 nobody"),
    ("hard_bounce", "550 user unknown"),
    ("soft_bounce", "452 full"),
    ("soft_bounce", "452 over quota"),
    ("policy_bounce", "554 blocked"),
    ("policy_bounce", "554 spam"),
    ("complaint", "abuse"),
    ("complaint", "fraud"),
    ("unsubscribe", ""),
    ("resubscribe", ""),
    ("open", ""),
    ("open_machine", ""),
    ("click", ""),
    ("reject", ""),
    ("unknown", ""),
];
const SETS: u64 = 24;
const ORDERS: usize = 3;

/// All that can be seen of a message after its events, without times and ids.
async fn seen(app: &TestApp, account: AccountId, in_doubt: bool, email: &str, kinds: &[(&str, &str)]) -> String {
    let sender = app.sender(account, None).await;
    let send = if in_doubt { app.in_doubt(sender, email).await } else { app.sent(sender, email).await };
    for (kind, words) in kinds {
        let key = format!("{kind}-{words}-{}", send.id).replace(' ', "-");
        tell(app, &format!("kind={kind}&send_id={}&dedupe_key={key}&reason={}", send.id, words.replace(' ', "+")))
            .await;
    }
    let mut told = app.told(send.enrollment_id).await;
    told.sort_unstable();
    let enrollment = app.enrollment(send.enrollment_id).await;
    let mut conn = app.store.read().await.unwrap();
    let kept = suppressions::list(&mut conn, account, &Page::first(1000)).await.unwrap();
    let kept = kept.into_iter().find(|kept| kept.value == email).map(|kept| kept.reason);
    let charged = charges::recent_reasons(&mut conn, sender.credential, 10).await.unwrap();
    let charged: BTreeSet<_> = charged.into_iter().collect();
    let credential = counters::lifetime(&mut conn, sender.credential).await.unwrap();
    let campaign = counters::of_campaign(&mut conn, sender.campaign).await.unwrap();
    let contact = contacts::find(&mut conn, account, send.contact_id).await.unwrap().unwrap();
    let elsewhere = crate::domain::ids::CampaignId::new(app.clock.now());
    let candidate =
        enrollments::candidate(&mut conn, account, elsewhere, None, send.contact_id).await.unwrap().unwrap();
    let status = campaigns::get(&mut conn, sender.campaign).await.unwrap().unwrap().status;
    format!(
        "{told:?} {kept:?} {charged:?} {:?} {} {:?} opened {} {credential:?} {campaign:?} unsubscribed {} suppressed {} {} {status}",
        enrollment.bounce_reason,
        enrollment.status,
        enrollment.stop_reason,
        enrollment.opened_at.is_some(),
        contact.unsubscribed_at.is_some(),
        candidate.suppressed,
        app.send(send.id).await.state,
    )
}

#[tokio::test]
async fn the_order_of_a_message_s_events_and_their_number_change_nothing() {
    let (app, account) = start().await;
    for seed in 0..SETS {
        let mut random = StdRng::seed_from_u64(seed);
        let set: Vec<(&str, &str)> = KINDS.into_iter().filter(|_| random.random_ratio(2, 5)).collect();
        let in_doubt = random.random();
        let mut first: Option<(Vec<(&str, &str)>, String)> = None;
        for order in 0..ORDERS {
            let mut kinds: Vec<(&str, &str)> =
                set.iter().flat_map(|kind| vec![*kind; random.random_range(1..=3)]).collect();
            kinds.shuffle(&mut random);
            let seen = seen(&app, account, in_doubt, &format!("{seed}-{order}@example.com"), &kinds).await;
            match &first {
                None => first = Some((kinds, seen)),
                Some((other, expected)) => {
                    assert_eq!(&seen, expected, "seed {seed}, in doubt {in_doubt}: {kinds:?} and {other:?} differ");
                }
            }
        }
    }
}
