//! What becomes of answers, bounces and opt-outs.

use super::*;

#[tokio::test]
async fn a_reply_ends_the_sequence_the_moment_it_arrives() {
    let room = Room::open(true).await;
    let send = room.app.sent(room.sender, "bob@example.com").await;
    let running = room.run();
    room.watched().await;
    let answer = room.answer(&send, human("bob@example.com", "r1", Some(send.id))).await;
    assert_eq!(answer.verdict.as_deref(), Some("human-reply"));
    assert_eq!(answer.matched_by.as_deref(), Some("reply-header"));
    let enrollment = room.app.enrollment(send.enrollment_id).await;
    assert_eq!((enrollment.status, enrollment.stop_reason.as_deref()), (EnrollmentStatus::Replied, Some("replied")));
    assert_eq!(room.app.told(send.enrollment_id).await, ["enrollment.sent", "enrollment.replied"]);
    assert_eq!(room.server.seen(USER).unwrap(), 0);
    room.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(60), running).await.expect("it does not stop").unwrap();
}

#[tokio::test]
async fn a_vacation_tells_and_does_not_hide_the_person_who_answers_later() {
    let room = Room::open(true).await;
    let send = room.app.sent(room.sender, "bob@example.com").await;
    let _running = room.run();
    let away = room.answer(&send, out_of_office("bob@example.com", "v1", send.id)).await;
    assert_eq!(away.verdict.as_deref(), Some("auto-reply"));
    let enrollment = room.app.enrollment(send.enrollment_id).await;
    assert_eq!((enrollment.status, enrollment.stopped_at), (EnrollmentStatus::Sent, None));
    room.answer(&send, human("bob@example.com", "r1", Some(send.id))).await;
    assert_eq!(room.app.enrollment(send.enrollment_id).await.status, EnrollmentStatus::Replied);
    let told = ["enrollment.sent", "enrollment.auto_replied", "enrollment.replied"];
    assert_eq!(room.app.told(send.enrollment_id).await, told);
}

#[tokio::test]
async fn each_way_of_pointing_back_is_followed() {
    let room = Room::open(true).await;
    let _running = room.run();
    let by = async |email: &str, raw: &dyn Fn(SendId) -> String| {
        let send = room.app.sent(room.sender, email).await;
        room.answer(&send, raw(send.id)).await.matched_by.unwrap()
    };
    assert_eq!(by("a@example.com", &|send| human("assistant@example.com", "1", Some(send))).await, "reply-header");
    assert_eq!(
        by("b@example.com", &|send| dsn("other@example.com", "failed", "5.1.1", Some(send))).await,
        "returned-part"
    );
    let plus = |send: SendId| human("assistant@example.com", "2", None).replace("ada@", &format!("ada+{send}@"));
    assert_eq!(by("c@example.com", &plus).await, "plus-token");
    assert_eq!(by("d@example.com", &|_| human("D@Example.com", "3", None)).await, "sender-address");
}

#[tokio::test]
async fn a_bounce_is_charged_to_its_send_and_a_delay_to_nobody() {
    let room = Room::open(true).await;
    let _running = room.run();
    let named = room.app.sent(room.sender, "a@example.com").await;
    let delayed = room.answer(&named, dsn("a@example.com", "delayed", "4.4.1", Some(named.id))).await;
    assert_eq!(delayed.verdict.as_deref(), Some("delayed"));
    assert_eq!(room.app.enrollment(named.enrollment_id).await.status, EnrollmentStatus::Sent);
    room.answer(&named, dsn("a@example.com", "failed", "5.1.1", Some(named.id))).await;
    room.answer(&named, dsn("a@example.com", "failed", "5.1.1", Some(named.id))).await;
    assert_eq!(room.app.enrollment(named.enrollment_id).await.status, EnrollmentStatus::Bounced);
    assert!(room.is_suppressed(room.sender.account, &named).await);

    // A report that returns nothing of ours: the recipient tells.
    let unnamed = room.app.sent(room.sender, "b@example.com").await;
    room.deliver(dsn("b@example.com", "failed", "5.1.1", None));
    room.until(async || room.app.enrollment(unnamed.enrollment_id).await.status == EnrollmentStatus::Bounced).await;
    assert_eq!(room.app.send(unnamed.id).await.state, SendState::Bounced);

    let mut conn = room.app.store.read().await.unwrap();
    let counted = counters::lifetime(&mut conn, room.sender.credential).await.unwrap();
    assert_eq!((counted.transactions, counted.hard_bounces), (2, 2));
}

#[tokio::test]
async fn a_dead_address_that_was_not_written_to_is_never_mailed() {
    let room = Room::open(true).await;
    let _running = room.run();
    let planned = room.app.planned(room.sender, "dead@example.com").await;
    room.deliver(dsn("dead@example.com", "failed", "5.1.1", None));
    room.until(async || room.is_suppressed(room.sender.account, &planned).await).await;
}

#[tokio::test]
async fn a_plain_no_thanks_is_an_opt_out() {
    let room = Room::open(true).await;
    let _running = room.run();
    let send = room.app.sent(room.sender, "bob@example.com").await;
    let raw = human("bob@example.com", "r1", Some(send.id))
        .replace("Hi Ada, that sounds good. Shall we talk on Friday?", "Please remove me from your list.");
    let answer = room.answer(&send, raw).await;
    assert_eq!(answer.verdict.as_deref(), Some("unsubscribe-request"));
    let mut conn = room.app.store.read().await.unwrap();
    let contact = contacts::find(&mut conn, room.sender.account, send.contact_id).await.unwrap().unwrap();
    assert!(contact.unsubscribed_at.is_some());
    assert_eq!(room.app.told(send.enrollment_id).await, ["enrollment.sent", "enrollment.unsubscribed"]);
}

#[tokio::test]
async fn who_opts_out_at_another_address_is_written_to_at_neither() {
    let room = Room::open(true).await;
    let _running = room.run();
    let send = room.app.sent(room.sender, "bob@example.com").await;
    let other = room.app.planned(room.sender, "robert@example.com").await;
    let raw = human("robert@example.com", "r1", Some(send.id))
        .replace("Hi Ada, that sounds good. Shall we talk on Friday?", "Please remove me from your list.");
    room.answer(&send, raw).await;
    for send in [&send, &other] {
        assert!(room.is_suppressed(room.sender.account, send).await);
    }
}

/// An address and its alias, or a forwarding rule: it lies there twice, and is read at once.
#[tokio::test]
async fn a_message_that_lies_there_twice_counts_once() {
    let room = Room::open(true).await;
    let send = room.app.sent(room.sender, "bob@example.com").await;
    for _ in 0..3 {
        room.deliver(human("bob@example.com", "r1", Some(send.id)));
    }
    let _running = room.run();
    room.until(async || room.app.enrollment(send.enrollment_id).await.status == EnrollmentStatus::Replied).await;
    room.answer(&send, human("bob@example.com", "r2", Some(send.id))).await;
    assert_eq!(room.answers(&send).await.len(), 2, "the three are told as one");
    assert_eq!(room.app.told(send.enrollment_id).await, ["enrollment.sent", "enrollment.replied"]);
}

/// Credentials belong to campaigns, and people have one mailbox.
#[tokio::test]
async fn a_mailbox_of_two_campaigns_books_what_comes_to_the_one_that_sent() {
    let room = Room::open(true).await;
    let port = Some(room.server.address().port());
    let senders = [room.sender, room.app.sender(room.sender.account, port).await];
    let _running = room.run();
    for (n, sender) in senders.into_iter().enumerate() {
        let (refused, answers) = (format!("dead{n}@example.com"), format!("bob{n}@example.com"));
        let (bounced, replied) = (room.app.sent(sender, &refused).await, room.app.sent(sender, &answers).await);
        room.deliver(dsn(&refused, "failed", "5.1.1", None).replacen(
            "MIME-Version",
            &format!("Message-ID: <b{n}@mx.example>\nMIME-Version"),
            1,
        ));
        room.deliver(human(&answers, &format!("r{n}"), None));
        for (send, status) in [(&bounced, EnrollmentStatus::Bounced), (&replied, EnrollmentStatus::Replied)] {
            room.until(async || room.app.enrollment(send.enrollment_id).await.status == status).await;
        }
        let mut conn = room.app.store.read().await.unwrap();
        let counted = counters::lifetime(&mut conn, sender.credential).await.unwrap();
        assert_eq!((counted.transactions, counted.hard_bounces), (2, 1));
    }
}

#[tokio::test]
async fn where_no_classifier_answers_the_sequence_stops() {
    let room = Room::open(true).await;
    room.app.extensions.set_shipped(&[]);
    let _running = room.run();
    let send = room.app.sent(room.sender, "bob@example.com").await;
    let answer = room.answer(&send, human("bob@example.com", "r1", Some(send.id))).await;
    assert_eq!(answer.verdict.as_deref(), Some("unclassified"));
    let enrollment = room.app.enrollment(send.enrollment_id).await;
    assert_eq!((enrollment.status, enrollment.stop_reason.as_deref()), (EnrollmentStatus::Sent, Some("unclassified")));
}

#[tokio::test]
async fn a_reply_to_nothing_known_is_told_as_unmatched() {
    let room = Room::open(true).await;
    let webhook_owner = room.sender.account;
    let _running = room.run();
    room.deliver(human("stranger@example.com", "r1", None));
    room.until(async || room.unmatched().await == 1).await;
    let mut conn = room.app.store.read().await.unwrap();
    let told = crate::store::events::after(&mut conn, webhook_owner, 0, None, 10).await.unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].event_type.as_str(), "inbound.unmatched");
    assert_eq!(told[0].data["sender"], "stranger@example.com");
}

#[tokio::test]
async fn a_reply_settles_a_doubt_and_so_do_a_report_of_a_delay_and_a_copy_of_our_own() {
    let room = Room::open(true).await;
    let _running = room.run();
    let (a, b) =
        (room.app.in_doubt(room.sender, "a@example.com").await, room.app.in_doubt(room.sender, "b@example.com").await);
    room.answer(&a, human("a@example.com", "r1", Some(a.id))).await;
    assert_eq!(room.app.send(a.id).await.state, SendState::Sent);
    assert_eq!(room.app.enrollment(a.enrollment_id).await.status, EnrollmentStatus::Replied);
    let copy = format!(
        "From: ada@sender.example\nTo: b@example.com\nSubject: hello\nMessage-ID: <{}>\n\nhello\n",
        our_id(b.id)
    );
    room.answer(&b, copy).await;
    assert_eq!(room.app.send(b.id).await.state, SendState::Sent);
    assert_eq!(room.app.enrollment(b.enrollment_id).await.status, EnrollmentStatus::Sent);
    let steps = sends::of_enrollment(&mut room.app.store.read().await.unwrap(), b.enrollment_id).await.unwrap();
    assert_eq!(steps.len(), 2);
    let c = room.app.in_doubt(room.sender, "c@example.com").await;
    room.answer(&c, dsn("c@example.com", "delayed", "4.4.1", Some(c.id))).await;
    assert_eq!(room.app.send(c.id).await.state, SendState::Sent, "a server has it");
}
