//! Facts that are played through together come out as they do one by one.

use super::bounce::{Bounce, Source};
use super::sheet::Sheet;
use crate::domain::status::BounceClass;
use crate::store::sends::Send;
use crate::store::{charges, counters};
use crate::test_support::{Sender, TestApp};

const FACTS: [&str; 7] = ["replied", "auto-replied", "unclassified", "opened", "soft", "hard", "bounced by its server"];

fn play(sheet: &mut Sheet, send: &Send, fact: &str) {
    let bounce = |class, source| Bounce { class, source, reason: fact.to_owned() };
    match fact {
        "replied" => sheet.replied(send.enrollment_id),
        "auto-replied" => {
            sheet.auto_replied(send.enrollment_id);
            true
        }
        "unclassified" => {
            sheet.unclassified(send.enrollment_id);
            true
        }
        "opened" => sheet.opened(send.enrollment_id),
        "soft" => sheet.bounced(send.id, &bounce(BounceClass::Soft, Source::Dsn)),
        "hard" => sheet.bounced(send.id, &bounce(BounceClass::Hard, Source::Provider)),
        _ => sheet.bounced(send.id, &bounce(BounceClass::Policy, Source::Smtp)),
    };
}

/// Writes facts about sends, so many on each sheet.
async fn write(app: &TestApp, sends: &[Send], facts: &[&str], on_a_sheet: usize) {
    for facts in facts.chunks(on_a_sheet) {
        let mut tx = app.store.begin().await.unwrap();
        let ids: Vec<_> = sends.iter().map(|send| send.id).collect();
        let mut sheet = Sheet::open(&mut tx, &ids, [], app.clock.now()).await.unwrap();
        for send in sends {
            for fact in facts {
                play(&mut sheet, send, fact);
            }
        }
        sheet.write(&mut tx).await.unwrap();
        tx.commit().await.unwrap();
    }
}

/// All that anybody could see of it.
async fn seen(app: &TestApp, sender: Sender, sends: &[Send]) -> String {
    let mut seen = String::new();
    for send in sends {
        let enrollment = app.enrollment(send.enrollment_id).await;
        let send_now = app.send(send.id).await;
        let mut conn = app.store.read().await.unwrap();
        let charged = charges::bounce_of(&mut conn, send.id).await.unwrap();
        let told = app.told(send.enrollment_id).await;
        let (status, stopped, bounced) = (enrollment.status, enrollment.stop_reason, enrollment.bounce_reason);
        let times = (enrollment.opened_at, enrollment.replied_at, enrollment.bounced_at, enrollment.stopped_at);
        seen += &format!("{status} {stopped:?} {bounced:?} {times:?} {} {charged:?} {told:?}\n", send_now.state);
    }
    let mut conn = app.store.read().await.unwrap();
    let of_campaign = counters::of_campaign(&mut conn, sender.campaign).await.unwrap();
    let of_batches = counters::per_batch(&mut conn, sender.campaign, None, 10).await.unwrap();
    let of_credential = counters::lifetime(&mut conn, sender.credential).await.unwrap();
    seen + format!("{of_campaign:?} {of_batches:?} {of_credential:?}").as_str()
}

#[tokio::test]
async fn facts_come_out_the_same_together_and_one_by_one() {
    let app = TestApp::start().await;
    let account = app.account().await;
    for first in FACTS {
        for second in FACTS {
            let mut outcomes = Vec::new();
            for on_a_sheet in [1, 2] {
                let sender = app.sender(account, None).await;
                let name = format!("{}{}", rand::random::<u32>(), on_a_sheet);
                let sends = [
                    app.sent(sender, &format!("a{name}@example.com")).await,
                    app.in_doubt(sender, &format!("b{name}@example.com")).await,
                ];
                write(&app, &sends, &[first, second], on_a_sheet).await;
                outcomes.push(seen(&app, sender, &sends).await);
            }
            assert_eq!(outcomes[0], outcomes[1], "{first}, then {second}");
        }
    }
}
