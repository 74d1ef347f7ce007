//! Mail from a mailbox to the facts, through the demo's IMAP server, the shipped classifier and the real store.

mod answers;
mod watching;

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::*;
use crate::demo::imap_server::{ImapServer, ImapServerOptions, ImapUser};
use crate::domain::ids::{AccountId, SendId};
use crate::domain::message_id::message_id_of;
use crate::domain::status::{EnrollmentStatus, SendState};
use crate::secrets::SealedFor;
use crate::store::inbox::ReadMessage;
use crate::store::mailboxes::{self, Mailbox};
use crate::store::page::Page;
use crate::store::sends::Send;
use crate::store::{contacts, counters, credentials, decisions, enrollments, sends};
use crate::test_support::{PASSWORD, START, Sender, TestApp};
use crate::wake::Wake;

/// An engine, a mailbox that it watches, and the campaign whose answers arrive there.
struct Room {
    app: TestApp,
    server: ImapServer,
    sender: Sender,
    shutdown: CancellationToken,
}

const USER: &str = "ada";
/// Whose mailbox the credential may be given instead.
const OTHER_USER: &str = "grace";

impl Room {
    async fn open(idle: bool) -> Self {
        Self::with_old_mail(idle, 0).await
    }

    /// The mailbox holds `old` messages from the hour before it is watched.
    async fn with_old_mail(idle: bool, old: usize) -> Self {
        let app = TestApp::start().await;
        app.extensions.load_shipped().await.unwrap();
        let user = |name: &str| ImapUser { username: name.to_owned(), password: PASSWORD.into() };
        let users = vec![user(USER), user(OTHER_USER)];
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

    /// Changes the account on the IMAP server, as a PATCH does.
    async fn change_account(&self, username: &str, password: &str) {
        let mut tx = self.app.store.begin().await.unwrap();
        let mut credential = credentials::get(tx.conn(), self.sender.credential).await.unwrap().unwrap();
        let row = credential.id.to_string();
        let place = SealedFor { column: credentials::IMAP_PASSWORD, row: &row };
        let endpoint = credential.imap.as_mut().unwrap();
        let before = endpoint.clone();
        endpoint.username = username.to_owned();
        endpoint.sealed_password = self.app.sealer.seal(&password.into(), place);
        mailboxes::follow(tx.conn(), &credential, Some(&before), self.app.clock.now()).await.unwrap();
        credentials::update(tx.conn(), &credential).await.unwrap();
        tx.wake(Wake::Inbox);
        tx.commit().await.unwrap();
    }

    /// Lets the room run, as the engine does.
    fn run(&self) -> tokio::task::JoinHandle<()> {
        tokio::spawn(super::run(self.app.app.clone(), self.shutdown.clone()))
    }

    async fn mailbox(&self) -> Mailbox {
        let mut conn = self.app.store.read().await.unwrap();
        mailboxes::mailbox(&mut conn, self.sender.credential).await.unwrap().unwrap()
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
        self.deliver_to(USER, raw);
    }

    fn deliver_to(&self, user: &str, raw: String) {
        self.server.deliver(user, raw.replace('\n', "\r\n")).unwrap();
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
