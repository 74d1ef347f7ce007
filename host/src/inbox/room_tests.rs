//! Mail from a mailbox to the facts, through the demo's IMAP server, the shipped classifier and the real store.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::*;
use crate::demo::imap_server::{ImapServer, ImapServerOptions, ImapUser};
use crate::domain::ids::{AccountId, SendId};
use crate::domain::message_id::message_id_of;
use crate::domain::status::{EnrollmentStatus, SendState};
use crate::store::inbox::{Mailbox, ReadMessage};
use crate::store::page::Page;
use crate::store::sends::Send;
use crate::store::{contacts, counters, decisions, enrollments, sends};
use crate::test_support::{PASSWORD, START, Sender, TestApp};

/// An engine, a mailbox that it watches, and the campaign whose answers arrive there.
struct Room {
    app: TestApp,
    server: ImapServer,
    sender: Sender,
    shutdown: CancellationToken,
}

const USER: &str = "ada";

impl Room {
    async fn open(idle: bool) -> Self {
        Self::with_old_mail(idle, 0).await
    }

    /// The mailbox holds `old` messages from the hour before it is watched.
    async fn with_old_mail(idle: bool, old: usize) -> Self {
        let app = TestApp::start().await;
        app.extensions.load_shipped().await.unwrap();
        let users = vec![ImapUser { username: USER.to_owned(), password: PASSWORD.into() }];
        let clock = app.clock.clone();
        let server = ImapServer::start(ImapServerOptions { users, idle, clock, ..Default::default() }).await.unwrap();
        for n in 0..old {
            server.deliver(USER, human("bob@example.com", &format!("old-{n}"), None)).unwrap();
        }
        // Within a second, where the dates of a mailbox stand at its beginning.
        app.clock.advance(Duration::from_millis(3_600_700));
        let account = app.account().await;
        let sender = app.sender(account, Some(server.address().port())).await;
        Self { app, server, sender, shutdown: CancellationToken::new() }
    }

    /// Lets the room run, as the engine does.
    fn run(&self) -> tokio::task::JoinHandle<()> {
        tokio::spawn(super::run(self.app.app.clone(), self.shutdown.clone()))
    }

    async fn mailbox(&self) -> Mailbox {
        let mut conn = self.app.store.read().await.unwrap();
        inbox::mailbox(&mut conn, self.sender.credential).await.unwrap().unwrap()
    }

    /// Waits until the mailbox is watched and all that is there was looked at.
    async fn watched(&self) {
        self.until(async || self.mailbox().await.last_checked_at.is_some()).await;
    }

    async fn until(&self, holds: impl AsyncFn() -> bool) {
        let waiting = async {
            while !holds().await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("it does not come about");
    }

    fn deliver(&self, raw: String) {
        self.server.deliver(USER, raw.replace('\n', "\r\n")).unwrap();
    }

    /// Delivers a message and waits until it is applied: what is in the timeline of `send` then.
    async fn answer(&self, send: &Send, raw: String) -> ReadMessage {
        let before = self.answers(send).await.len();
        self.deliver(raw);
        self.until(async || self.answers(send).await.len() > before).await;
        self.answers(send).await.pop().unwrap()
    }

    async fn answers(&self, send: &Send) -> Vec<ReadMessage> {
        inbox::of_enrollment(&mut self.app.store.read().await.unwrap(), send.enrollment_id).await.unwrap()
    }

    /// Messages that belong to nobody and were decided on; who only passed does not count.
    async fn unmatched(&self) -> usize {
        let mut conn = self.app.store.read().await.unwrap();
        let decided = decisions::list(&mut conn, self.sender.account, None, &Page::first(1000)).await.unwrap();
        let has_decided =
            |row: &&decisions::Decision| row.decision.as_ref().is_some_and(|said| said["verdict"] != "pass");
        decided.iter().filter(|row| row.enrollment_id.is_none()).filter(has_decided).count()
    }

    async fn is_suppressed(&self, account: AccountId, send: &Send) -> bool {
        let mut conn = self.app.store.read().await.unwrap();
        let campaign = crate::domain::ids::CampaignId::new(START);
        let found = enrollments::candidate(&mut conn, account, campaign, None, send.contact_id).await.unwrap();
        found.unwrap().suppressed
    }
}

fn our_id(send: SendId) -> String {
    message_id_of(send, "sender.example")
}

/// A person's answer, to `to` where it names one of ours.
fn human(from: &str, id: &str, to: Option<SendId>) -> String {
    let reference = to.map(|send| format!("In-Reply-To: <{}>\n", our_id(send))).unwrap_or_default();
    format!(
        "From: Bob <{from}>\nTo: ada@sender.example\nSubject: Re: hello\nMessage-ID: <{id}@example.com>\n{reference}\n\
         Hi Ada, that sounds good. Shall we talk on Friday?\n"
    )
}

fn out_of_office(from: &str, id: &str, to: SendId) -> String {
    format!(
        "From: Bob <{from}>\nTo: ada@sender.example\nSubject: Automatic reply: hello\nAuto-Submitted: auto-replied\n\
         Message-ID: <{id}@example.com>\nIn-Reply-To: <{}>\n\nI am out of the office until 2026-12-01.\n",
        our_id(to)
    )
}

/// A delivery status about `recipient`; it returns the headers of `returned` where that is given.
fn dsn(recipient: &str, action: &str, status: &str, returned: Option<SendId>) -> String {
    let returned = returned.map(|send| format!("Message-ID: <{}>\nX-Ampout-Send-Id: {send}\n", our_id(send)));
    let returned = returned.unwrap_or_default();
    format!(
        "Return-Path: <>\nFrom: MAILER-DAEMON@mx.example\nTo: ada@sender.example\nSubject: Undelivered Mail Returned to Sender\n\
         Auto-Submitted: auto-replied\nMIME-Version: 1.0\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\n\n--b\nContent-Type: text/plain\n\n\
         Your message could not be delivered.\n\n--b\nContent-Type: message/delivery-status\n\n\
         Reporting-MTA: dns; mx.example\n\nFinal-Recipient: rfc822; {recipient}\nAction: {action}\nStatus: {status}\n\
         Diagnostic-Code: smtp; 550 {status} no such user\n\n--b\nContent-Type: text/rfc822-headers\n\n\
         From: ada@sender.example\nTo: {recipient}\nSubject: hello\n{returned}\n--b--\n"
    )
}

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
    let mut tx = room.app.store.begin().await.unwrap();
    let told = crate::store::events::sequence(&mut tx, 10).await.unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].event_type.as_str(), told[0].account_id), ("inbound.unmatched", webhook_owner));
    let event = crate::store::events::get(tx.conn(), told[0].id).await.unwrap().unwrap();
    assert_eq!(event.data["sender"], "stranger@example.com");
}

#[tokio::test]
async fn a_reply_settles_a_doubt_and_so_does_a_copy_of_our_own() {
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
}

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
