//! What is known of a message is made of the set of its events: told in another order, or again and again, they come to the
//! same.

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};

use super::tests::{start, tell};
use crate::domain::ids::AccountId;
use crate::store::{campaigns, contacts, counters, enrollments};
use crate::test_support::TestApp;

const KINDS: [&str; 14] = [
    "delivered",
    "processed",
    "deferred",
    "hard_bounce",
    "soft_bounce",
    "policy_bounce",
    "complaint",
    "unsubscribe",
    "resubscribe",
    "open",
    "open_machine",
    "click",
    "reject",
    "unknown",
];
const SETS: u64 = 24;
const ORDERS: usize = 3;

/// All that can be seen of a message after its events, without times and ids.
async fn seen(app: &TestApp, account: AccountId, in_doubt: bool, email: &str, kinds: &[&str]) -> String {
    let sender = app.sender(account, None).await;
    let send = if in_doubt { app.in_doubt(sender, email).await } else { app.sent(sender, email).await };
    for kind in kinds {
        tell(app, &format!("kind={kind}&send_id={}&dedupe_key={kind}-{}&reason={kind}", send.id, send.id)).await;
    }
    let mut told = app.told(send.enrollment_id).await;
    told.sort_unstable();
    let enrollment = app.enrollment(send.enrollment_id).await;
    let mut conn = app.store.read().await.unwrap();
    let credential = counters::lifetime(&mut conn, sender.credential).await.unwrap();
    let campaign = counters::of_campaign(&mut conn, sender.campaign).await.unwrap();
    let contact = contacts::find(&mut conn, account, send.contact_id).await.unwrap().unwrap();
    let elsewhere = crate::domain::ids::CampaignId::new(app.clock.now());
    let candidate =
        enrollments::candidate(&mut conn, account, elsewhere, None, send.contact_id).await.unwrap().unwrap();
    let status = campaigns::get(&mut conn, sender.campaign).await.unwrap().unwrap().status;
    format!(
        "{told:?} {} {:?} opened {} {credential:?} {campaign:?} unsubscribed {} suppressed {} {} {status}",
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
        let set: Vec<&str> = KINDS.into_iter().filter(|_| random.random_ratio(2, 5)).collect();
        let in_doubt = random.random();
        let mut first: Option<(Vec<&str>, String)> = None;
        for order in 0..ORDERS {
            let mut kinds: Vec<&str> = set.iter().flat_map(|kind| vec![*kind; random.random_range(1..=3)]).collect();
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
