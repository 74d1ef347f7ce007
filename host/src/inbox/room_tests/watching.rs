//! What is read of a mailbox, by whom and when, and what happens to mail that can't be applied.

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
    room.until(async || room.answers(&send).await.len() == 3).await;
    let told = ["enrollment.sent", "enrollment.auto_replied", "enrollment.replied"];
    assert_eq!(room.app.told(send.enrollment_id).await, told);
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
    let mut conn = room.app.store.read().await.unwrap();
    let mut credential = crate::store::credentials::get(&mut conn, room.sender.credential).await.unwrap().unwrap();
    drop(conn);
    let right = credential.imap.clone();
    credential.imap.as_mut().unwrap().username = "nobody".to_owned();
    let write = async |credential: &crate::domain::credential::Credential| {
        let mut tx = room.app.store.begin().await.unwrap();
        crate::store::credentials::update(tx.conn(), credential).await.unwrap();
        tx.wake(crate::wake::Wake::Inbox);
        tx.commit().await.unwrap();
    };
    write(&credential).await;
    let _running = room.run();
    room.until(async || room.mailbox().await.last_error.is_some()).await;
    let mailbox = room.mailbox().await;
    assert!(mailbox.last_error.clone().unwrap().contains("refused the user or password"), "{mailbox:?}");
    credential.imap = right;
    write(&credential).await;
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
        let got = inbox::lease(&mut tx, node, now, now.plus(Duration::from_secs(30)), 10).await.unwrap().len();
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
