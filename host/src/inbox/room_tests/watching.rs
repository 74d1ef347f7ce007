//! What is read of a mailbox, by whom and when, and what happens to mail that can't be applied.

use tokio::io::AsyncWriteExt as _;

use super::*;

#[tokio::test]
async fn only_what_came_since_it_is_watched_is_read() {
    for old in [0, 1, 70, 300] {
        let room = Room::with_old_mail(true, old).await;
        // Arrived after the credential was added and before its mailbox was first opened.
        let send = room.app.sent(room.sender, "bob@example.com").await;
        room.deliver(human("bob@example.com", "early", Some(send.id)));
        let running = room.run();
        room.until(async || room.answers(&send).await.len() == 1).await;
        room.watched().await;
        assert_eq!(room.mailbox().await.last_uid as usize, old + 1, "{old}");
        let unread = inbox::unread(&mut room.app.store.read().await.unwrap(), 10, 1).await.unwrap();
        assert_eq!((room.answers(&send).await.len(), unread.len()), (1, 0), "{old}");
        running.abort();
    }
}

#[tokio::test]
async fn old_mail_that_can_t_be_read_keeps_no_mailbox_from_being_watched() {
    let room = Room::with_old_mail(true, 100).await;
    room.server.garble(USER, &(1..=100).collect::<Vec<_>>()).unwrap();
    let send = room.app.sent(room.sender, "bob@example.com").await;
    room.deliver(human("bob@example.com", "early", Some(send.id)));
    let _running = room.run();
    room.until(async || room.answers(&send).await.len() == 1).await;
    room.watched().await;
    assert_eq!(room.mailbox().await.last_uid, 101);
}

#[tokio::test]
async fn after_a_change_of_uidvalidity_nothing_is_told_twice_and_nothing_is_lost() {
    let room = Room::open(true).await;
    let send = room.app.sent(room.sender, "bob@example.com").await;
    let running = room.run();
    room.answer(&send, out_of_office("bob@example.com", "v1", send.id)).await;
    room.watched().await;
    running.abort();
    let _ = running.await;

    room.server.renumber(USER).unwrap();
    room.deliver(human("bob@example.com", "r1", Some(send.id)));
    let _running = room.run();
    // The lease of the run that was aborted is this node's own.
    room.until(async || room.answers(&send).await.len() == 2).await;
    let told = ["enrollment.sent", "enrollment.auto_replied", "enrollment.replied"];
    assert_eq!(room.app.told(send.enrollment_id).await, told);
}

#[tokio::test]
async fn what_came_while_a_mailbox_could_not_be_read_for_days_is_read_when_it_is_mended() {
    for renumbered in [false, true] {
        let room = Room::open(true).await;
        let send = room.app.sent(room.sender, "bob@example.com").await;
        let _running = room.run();
        room.watched().await;
        room.change_account(USER, "not it").await;
        room.until(async || room.mailbox().await.last_error.is_some()).await;
        room.deliver(human("bob@example.com", "r1", Some(send.id)));
        if renumbered {
            room.server.renumber(USER).unwrap();
        }
        let days = Duration::from_secs(5 * 24 * 3600);
        let later = room.app.clock.now().plus(days);
        room.app.clock.advance(days);
        // It failed again meanwhile.
        room.until(async || room.mailbox().await.last_checked_at.is_some_and(|at| at >= later)).await;
        room.change_account(USER, PASSWORD).await;
        room.until(async || room.answers(&send).await.len() == 1).await;
        assert_eq!(room.app.enrollment(send.enrollment_id).await.status, EnrollmentStatus::Replied);
    }
}

#[tokio::test]
async fn a_mailbox_that_takes_the_place_of_another_is_read_from_then_on_whatever_its_uids_are() {
    let room = Room::open(true).await;
    let (a, b) = (room.app.sent(room.sender, "a@example.com").await, room.app.sent(room.sender, "b@example.com").await);
    // Long there when the mailbox becomes the credential's.
    room.deliver_to(OTHER_USER, out_of_office("a@example.com", "old", a.id));
    room.app.clock.advance(Duration::from_secs(3600));
    let _running = room.run();
    room.answer(&a, out_of_office("a@example.com", "v1", a.id)).await;
    room.answer(&a, out_of_office("a@example.com", "v2", a.id)).await;
    room.until(async || room.mailbox().await.last_read_at == Some(room.app.clock.now())).await;

    room.change_account(OTHER_USER, PASSWORD).await;
    // The same UID under the same UIDVALIDITY as a message of the other mailbox.
    room.deliver_to(OTHER_USER, human("b@example.com", "r1", Some(b.id)));
    room.until(async || room.answers(&b).await.len() == 1).await;
    assert_eq!((room.mailbox().await.last_uid, room.answers(&a).await.len()), (2, 2));

    // Back again it is one that was not read before, and what is known is not told twice.
    room.change_account(USER, PASSWORD).await;
    room.deliver(human("a@example.com", "r2", Some(a.id)));
    room.until(async || room.app.enrollment(a.enrollment_id).await.status == EnrollmentStatus::Replied).await;
    let told = ["enrollment.sent", "enrollment.auto_replied", "enrollment.auto_replied", "enrollment.replied"];
    assert_eq!(room.app.told(a.enrollment_id).await, told);
}

#[tokio::test]
async fn who_watched_the_mailbox_before_writes_nothing_of_it_any_more() {
    let room = Room::open(true).await;
    let hold = |mailbox: &Mailbox| mailboxes::Hold {
        credential_id: room.sender.credential,
        generation: mailbox.generation,
        owner: room.app.node,
    };
    let moved = async |hold| {
        let mut tx = room.app.store.begin().await.unwrap();
        let moved = mailboxes::checkpoint(tx.conn(), hold, 1, 70).await.unwrap();
        tx.commit().await.unwrap();
        moved
    };
    let mut tx = room.app.store.begin().await.unwrap();
    let now = room.app.clock.now();
    mailboxes::lease(&mut tx, room.app.node, now, now.plus(Duration::from_secs(30)), 10).await.unwrap();
    tx.commit().await.unwrap();
    let first = hold(&room.mailbox().await);
    assert!(moved(first).await);
    room.change_account(OTHER_USER, PASSWORD).await;
    assert!(!moved(first).await);
    assert_eq!((room.mailbox().await.uid_validity, room.mailbox().await.last_uid), (None, 0));
    assert!(moved(hold(&room.mailbox().await)).await);
}

#[tokio::test]
async fn what_a_server_refuses_for_a_while_is_read_later_and_what_it_never_gives_holds_up_nothing() {
    let room = Room::open(true).await;
    let (a, b) = (room.app.sent(room.sender, "a@example.com").await, room.app.sent(room.sender, "b@example.com").await);
    room.server.deliver(USER, "broken").unwrap();
    room.deliver(human("a@example.com", "r1", Some(a.id)));
    room.server.withhold(USER, &[1, 2]).unwrap();
    let _running = room.run();
    room.until(async || room.mailbox().await.last_error.is_some()).await;
    let mailbox = room.mailbox().await;
    assert!(mailbox.last_error.clone().unwrap().contains("refused UID FETCH"), "{mailbox:?}");
    assert_eq!(mailbox.last_uid, 0);

    room.server.withhold(USER, &[1]).unwrap();
    room.until(async || {
        room.app.clock.advance(Duration::from_secs(30));
        room.answers(&a).await.len() == 1
    })
    .await;
    room.answer(&b, human("b@example.com", "r2", Some(b.id))).await;
    room.until(async || room.mailbox().await.last_error.is_none()).await;
    assert_eq!(room.mailbox().await.last_uid, 3);
}

#[tokio::test]
async fn a_message_whose_answer_can_t_be_read_is_passed_over_and_no_other_is() {
    let room = Room::open(false).await;
    let (a, b) = (room.app.sent(room.sender, "a@example.com").await, room.app.sent(room.sender, "b@example.com").await);
    let _running = room.run();
    room.watched().await;
    room.deliver(human("a@example.com", "r1", Some(a.id)));
    room.server.deliver(USER, "broken").unwrap();
    room.server.garble(USER, &[1, 2]).unwrap();
    let later = || room.app.clock.advance(Duration::from_secs(30));
    room.until(async || {
        later();
        room.mailbox().await.last_error.is_some_and(|error| error.contains("a form that nothing was asked for in"))
    })
    .await;
    assert_eq!(room.mailbox().await.last_uid, 0);

    room.server.garble(USER, &[2]).unwrap();
    room.deliver(human("b@example.com", "r2", Some(b.id)));
    room.until(async || {
        later();
        room.answers(&a).await.len() == 1 && room.answers(&b).await.len() == 1
    })
    .await;
    room.until(async || {
        later();
        room.mailbox().await.last_error.is_none()
    })
    .await;
    assert_eq!(room.mailbox().await.last_uid, 3);
}

#[tokio::test]
async fn one_credential_that_can_t_be_read_keeps_no_other_mailbox_from_being_watched() {
    let room = Room::open(true).await;
    let odd = room.app.sender(room.sender.account, Some(room.server.address().port())).await;
    let mut tx = room.app.store.begin().await.unwrap();
    let statement = format!("UPDATE smtp_credentials SET imap_tls = 'odd' WHERE id = '{}'", odd.credential);
    sqlx::query(sqlx::AssertSqlSafe(statement)).execute(tx.conn()).await.unwrap();
    tx.commit().await.unwrap();
    let _running = room.run();
    room.watched().await;
}

#[tokio::test]
async fn a_mailbox_without_idle_is_polled() {
    let room = Room::open(false).await;
    let send = room.app.sent(room.sender, "bob@example.com").await;
    let _running = room.run();
    room.watched().await;
    room.deliver(human("bob@example.com", "r1", Some(send.id)));
    room.until(async || {
        room.app.clock.advance(Duration::from_secs(30));
        room.answers(&send).await.len() == 1
    })
    .await;
}

#[tokio::test]
async fn a_backlog_is_read_to_its_end() {
    let room = Room::open(true).await;
    let send = room.app.sent(room.sender, "bob@example.com").await;
    for n in 0..450 {
        room.deliver(out_of_office("bob@example.com", &format!("v{n}"), send.id));
    }
    let _running = room.run();
    room.until(async || room.answers(&send).await.len() == 450).await;
}

#[tokio::test]
async fn a_mailbox_that_can_t_be_opened_says_why_and_is_tried_again_when_it_is_mended() {
    let room = Room::open(true).await;
    room.change_account(USER, "not it").await;
    let _running = room.run();
    room.until(async || room.mailbox().await.last_error.is_some()).await;
    let mailbox = room.mailbox().await;
    assert!(mailbox.last_error.clone().unwrap().contains("refused the user or password"), "{mailbox:?}");
    room.change_account(USER, PASSWORD).await;
    room.until(async || room.mailbox().await.last_error.is_none()).await;
    assert_eq!(room.mailbox().await.failures, 0);
}

#[tokio::test]
async fn one_node_at_a_time_watches_a_mailbox() {
    let room = Room::open(true).await;
    let now = room.app.clock.now();
    let (one, two) = (crate::domain::ids::NodeId::new(now), crate::domain::ids::NodeId::new(now));
    let lease = async |node, now: crate::domain::Timestamp| {
        let mut tx = room.app.store.begin().await.unwrap();
        let got = mailboxes::lease(&mut tx, node, now, now.plus(Duration::from_secs(30)), 10).await.unwrap().len();
        tx.commit().await.unwrap();
        got
    };
    assert_eq!((lease(one, now).await, lease(two, now).await, lease(one, now).await), (1, 0, 1));
    assert_eq!(lease(two, now.plus(Duration::from_secs(31))).await, 1);
}

#[tokio::test]
async fn a_mail_with_a_nul_is_read_and_so_is_the_next() {
    let room = Room::open(true).await;
    let _running = room.run();
    let send = room.app.sent(room.sender, "bob@example.com").await;
    // Base64 of «Original-Message-ID: <a\\0b@c.test>».
    let hidden = dsn("bob@example.com", "failed", "5.1.1", None).replace(
        "Content-Type: message/delivery-status\n\n",
        "Content-Type: message/delivery-status\nContent-Transfer-Encoding: base64\n\n\
         T3JpZ2luYWwtTWVzc2FnZS1JRDogPGEAYkBjLnRlc3Q+\n--b\nContent-Type: message/delivery-status\n\n",
    );
    room.deliver(hidden.replace("Subject: Undelivered", "Subject: =?utf-8?q?=00?= Undelivered"));
    room.answer(&send, human("bob@example.com", "r1", Some(send.id))).await;
    assert!(inbox::unread(&mut room.app.store.read().await.unwrap(), 10, 1).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_can_t_be_applied_is_put_aside_its_sequence_stops_and_the_next_is_applied() {
    let room = Room::open(true).await;
    let (odd, fine) =
        (room.app.sent(room.sender, "a@example.com").await, room.app.sent(room.sender, "b@example.com").await);
    let set = async |statement: &str| {
        let mut tx = room.app.store.begin().await.unwrap();
        sqlx::query(sqlx::AssertSqlSafe(statement.to_owned())).execute(tx.conn()).await.unwrap();
        tx.commit().await.unwrap();
    };
    let (enrollment, send) = (odd.enrollment_id, odd.id);
    // A row that can't be read, as a newer version or a hand may leave it: first where facts are written, …
    set(&format!("UPDATE enrollments SET status = 'odd' WHERE id = '{enrollment}'")).await;
    let _running = room.run();
    let answer = room.answer(&odd, human("a@example.com", "r1", Some(odd.id))).await;
    assert_eq!(answer.verdict.as_deref(), Some("unclassified"));
    set(&format!("UPDATE enrollments SET status = 'sent' WHERE id = '{enrollment}'")).await;
    assert_eq!(room.app.enrollment(enrollment).await.stop_reason.as_deref(), Some("unclassified"));
    // … then where the message is matched.
    set(&format!("UPDATE sends SET state = 'odd' WHERE id = '{send}'")).await;
    room.deliver(human("a@example.com", "r2", Some(odd.id)));
    room.answer(&fine, human("b@example.com", "r3", Some(fine.id))).await;
    assert_eq!(room.app.enrollment(fine.enrollment_id).await.status, EnrollmentStatus::Replied);
}

#[tokio::test]
async fn a_server_that_makes_the_parser_panic_is_told_of_and_tried_again_like_any_other() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut room = Room::open(true).await;
    let port = listener.local_addr().unwrap().port();
    room.sender = room.app.sender(room.sender.account, Some(port)).await;
    let hostile = async {
        let mut held = Vec::new();
        while held.len() < 2 {
            let (mut tcp, _) = listener.accept().await.unwrap();
            tcp.write_all(b"* OK [UIDVALIDITY 1]\xc3\xa9tat\r\n").await.unwrap();
            held.push(tcp);
            room.until(async || room.mailbox().await.last_error.is_some()).await;
            room.app.clock.advance(Duration::from_secs(8));
        }
    };
    let running = room.run();
    tokio::time::timeout(Duration::from_secs(60), hostile).await.expect("it does not come back");
    let error = room.mailbox().await.last_error.unwrap();
    assert!(error.contains("can't be used"), "{error}");
    assert!(!running.is_finished());
}
