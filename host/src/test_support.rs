//! A whole engine for tests: a database of its own, a clock that stands until it is moved, and shorthands for the rows
//! that a test begins with.

use std::time::Duration;

use tempfile::TempDir;

use crate::app::App;
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::campaign::{Campaign, Step, Waits};
use crate::domain::credential::{Credential, Endpoint};
use crate::domain::ids::{
    AccountId, CampaignId, ContactId, ContactImportId, CredentialId, EnrollmentId, SendId, StepId, WebhookId,
};
use crate::domain::status::{CampaignStatus, SendState, TlsMode};
use crate::domain::{EmailAddress, Timestamp};
use crate::secrets::{SealedFor, SecretString};
use crate::store::contacts::{self, ContactImport, NewContact};
use crate::store::enrollments::{self, Enrollment, NewEnrollment};
use crate::store::events::{self, Event};
use crate::store::facts::accepted::{self, Accepted};
use crate::store::facts::delivery;
use crate::store::sends::{self, ClaimedSend, Ending, Intent, Lease, NewSend, Obstacle, Places, Send};
use crate::store::webhooks::{self, Webhook};
use crate::store::{Tx, accounts, campaigns, credentials};

/// When tests begin: 2026-11-23T08:00:00Z.
pub(crate) const START: Timestamp = Timestamp::from_millis(1_795_420_800_000);
/// The password of every credential's accounts.
pub(crate) const PASSWORD: &str = "hunter2";
/// The secret of every webhook.
pub(crate) const WEBHOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// An engine that runs nothing by itself.
pub(crate) struct TestApp {
    pub(crate) app: App,
    /// Its folder goes with it.
    _folder: TempDir,
}

/// A campaign with one credential.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sender {
    pub(crate) account: AccountId,
    pub(crate) campaign: CampaignId,
    pub(crate) credential: CredentialId,
}

impl std::ops::Deref for TestApp {
    type Target = App;
    fn deref(&self) -> &App {
        &self.app
    }
}

impl TestApp {
    /// Starts with a new database; connections to this machine are allowed.
    pub(crate) async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let settings = [
            ("data_dir", folder.path().display().to_string()),
            ("egress_allow", "127.0.0.0/8".to_owned()),
            ("allow_plaintext", "true".to_owned()),
            ("dns_servers", "127.0.0.1:9".to_owned()),
        ];
        let config = Config::from_settings(&settings).unwrap();
        let app = App::start(config, Clock::manual(START), "http://ampout.example").await.unwrap();
        Self { app, _folder: folder }
    }

    /// A new account.
    pub(crate) async fn account(&self) -> AccountId {
        let now = self.clock.now();
        let id = AccountId::new(now);
        let mut tx = self.store.begin().await.unwrap();
        accounts::insert(tx.conn(), id, None, None, now).await.unwrap();
        tx.commit().await.unwrap();
        id
    }

    /// An active campaign of two steps with one credential, whose IMAP server is at `imap` where one is given.
    pub(crate) async fn sender(&self, account: AccountId, imap: Option<u16>) -> Sender {
        let now = self.clock.now();
        let sender = Sender { account, campaign: CampaignId::new(now), credential: CredentialId::new(now) };
        let mut tx = self.store.begin().await.unwrap();
        campaigns::insert(tx.conn(), &campaign(sender, now)).await.unwrap();
        for position in [1, 2] {
            campaigns::insert_step(tx.conn(), sender.campaign, &step(position, now)).await.unwrap();
        }
        let row = sender.credential.to_string();
        let seal = |column| self.sealer.seal(&PASSWORD.into(), SealedFor { column, row: &row });
        let endpoint = |port, sealed_password| Endpoint {
            host: "127.0.0.1".to_owned(),
            port,
            username: "ada".to_owned(),
            sealed_password,
            tls: TlsMode::None,
        };
        let credential = Credential {
            id: sender.credential,
            account_id: account,
            campaign_id: sender.campaign,
            label: None,
            smtp: endpoint(25, seal(credentials::SMTP_PASSWORD)),
            provider: None,
            imap: imap.map(|port| endpoint(port, seal(credentials::IMAP_PASSWORD))),
            from_name: "Ada".to_owned(),
            from_email: "ada@sender.example".to_owned(),
            message_id_domain: None,
            daily_limit: 50,
            throttled_limit: None,
            enabled_at: now,
            disabled: None,
            resting_until: None,
            rests: 0,
            last_error: None,
            created_at: now,
        };
        credentials::insert(tx.conn(), &credential).await.unwrap();
        if imap.is_some() {
            crate::store::mailboxes::watch(tx.conn(), sender.credential, account, now).await.unwrap();
        }
        tx.commit().await.unwrap();
        sender
    }

    /// A contact that is enrolled and whose first step is planned; nothing is sent.
    pub(crate) async fn planned(&self, sender: Sender, email: &str) -> Send {
        let now = self.clock.now();
        let (import, contact, enrollment, send) =
            (ContactImportId::new(now), ContactId::new(now), EnrollmentId::new(now), SendId::new(now));
        let mut tx = self.store.begin().await.unwrap();
        let made =
            ContactImport { id: import, name: "test".to_owned(), record_count: 1, contact_count: 1, created_at: now };
        contacts::insert_import(tx.conn(), sender.account, &made).await.unwrap();
        let email = EmailAddress::parse(email).unwrap();
        let person = NewContact { id: contact, email, first_name: None, last_name: None, company: None };
        contacts::insert_many(&mut tx, sender.account, import, &[person], now).await.unwrap();
        let enrolled = NewEnrollment { id: enrollment, contact_id: contact, batch_number: 1, priority: false };
        enrollments::insert_many(&mut tx, sender.account, sender.campaign, &[enrolled], now).await.unwrap();
        crate::store::counters::enrolled(tx.conn(), sender.campaign, 1, 1).await.unwrap();
        enrollments::mark_dispatched(&mut tx, &[enrollment], now).await.unwrap();
        let planned = NewSend {
            id: send,
            enrollment_id: enrollment,
            contact_id: contact,
            step_position: 1,
            smtp_credential_id: None,
            due_at: now,
            priority: false,
        };
        tx.make(|writes| sends::plan_many(writes, &[planned], now)).await.unwrap();
        tx.commit().await.unwrap();
        self.send(send).await
    }

    /// The same, sent and accepted.
    pub(crate) async fn sent(&self, sender: Sender, email: &str) -> Send {
        self.held(sender, email, SendState::Sent).await
    }

    /// The same, sent, and nobody knows whether it left.
    pub(crate) async fn in_doubt(&self, sender: Sender, email: &str) -> Send {
        self.held(sender, email, SendState::InDoubt).await
    }

    async fn held(&self, sender: Sender, email: &str, ending: SendState) -> Send {
        let held = self.sending(sender, email).await;
        let now = self.clock.now();
        let mut tx = self.store.begin().await.unwrap();
        let said = Ending::default();
        match ending {
            SendState::InDoubt => delivery::in_doubt(&mut tx, &held, &said, now).await.unwrap(),
            _ => accept(&mut tx, &held, &said, None, now).await,
        }
        tx.commit().await.unwrap();
        self.send(held.send.id).await
    }

    /// The same, held by this node.
    pub(crate) async fn claimed(&self, sender: Sender, email: &str) -> ClaimedSend {
        let send = self.planned(sender, email).await;
        let now = self.clock.now();
        let lease = Lease { owner: self.node, until: now.plus(Duration::from_secs(30)) };
        let mut tx = self.store.begin().await.unwrap();
        let places = Places { day: Some(now.utc_day()), month: now.utc_month() };
        tx.make(|writes| sends::claim(writes, &[(send.id, sender.credential)], places, lease)).await.unwrap();
        let dialect = tx.dialect();
        let held = sends::claimed(tx.conn(), dialect, &[send.id], self.node).await.unwrap().remove(0);
        tx.commit().await.unwrap();
        held
    }

    /// The same, on its way: its server has not answered yet.
    pub(crate) async fn sending(&self, sender: Sender, email: &str) -> ClaimedSend {
        let held = self.claimed(sender, email).await;
        let mut tx = self.store.begin().await.unwrap();
        assert_eq!(begin_sending(&mut tx, &[&held]).await, [Ok(())]);
        tx.commit().await.unwrap();
        held
    }

    /// A webhook of the account that is told everything.
    pub(crate) async fn webhook(&self, account: AccountId, url: &str) -> Webhook {
        let now = self.clock.now();
        let id = WebhookId::new(now);
        let row = id.to_string();
        let place = SealedFor { column: webhooks::SECRET, row: &row };
        let webhook = Webhook {
            id,
            account_id: account,
            url: url.to_owned(),
            event_filters: vec!["*".to_owned()],
            secret: self.sealer.seal(&SecretString::from(WEBHOOK_SECRET), place),
            old_secret: None,
            old_secret_until: None,
            failures: 0,
            failing_since: None,
            disabled_at: None,
            disabled_reason: None,
            created_at: now,
        };
        let mut tx = self.store.begin().await.unwrap();
        webhooks::insert(tx.conn(), &webhook).await.unwrap();
        tx.commit().await.unwrap();
        webhook
    }

    /// The send as it is now.
    pub(crate) async fn send(&self, id: SendId) -> Send {
        sends::get(&mut self.store.read().await.unwrap(), id).await.unwrap().unwrap()
    }

    /// The enrollment as it is now.
    pub(crate) async fn enrollment(&self, id: EnrollmentId) -> Enrollment {
        enrollments::get(&mut self.store.read().await.unwrap(), id).await.unwrap().unwrap()
    }

    /// The events about a subject, by their names.
    pub(crate) async fn told(&self, subject: impl ToString) -> Vec<&'static str> {
        let events: Vec<Event> =
            events::of_subject(&mut self.store.read().await.unwrap(), &subject.to_string()).await.unwrap();
        events.iter().map(|event| event.event_type.as_str()).collect()
    }
}

fn campaign(sender: Sender, now: Timestamp) -> Campaign {
    Campaign {
        id: sender.campaign,
        account_id: sender.account,
        outreach_id: None,
        name: "test".to_owned(),
        status: CampaignStatus::Active,
        paused_reason: None,
        waits: Waits { min: Duration::ZERO, max: Duration::ZERO },
        verify_email_mx: false,
        bounce_rate_threshold: 5.0,
        track_opens: false,
        last_credential_id: None,
        created_at: now,
    }
}

fn step(position: u32, now: Timestamp) -> Step {
    Step {
        id: StepId::new(now),
        position,
        subject: "hello".to_owned(),
        body_html: "<p>hello</p>".to_owned(),
        body_text: None,
        delay: Duration::from_secs(3600),
    }
}

/// Intents of one node, written.
pub(crate) async fn begin_sending(tx: &mut Tx, held: &[&ClaimedSend]) -> Vec<Result<(), Obstacle>> {
    let intents: Vec<_> = held.iter().map(|held| Intent::of(held)).collect();
    let (intents, owner) = (intents.iter().collect::<Vec<_>>(), held[0].owner);
    let mut writes = tx.writes();
    let moved = sends::begin_sending(&mut writes, &intents, owner);
    if writes.counted(tx).await.unwrap().rows(moved) == intents.len() {
        return vec![Ok(()); intents.len()];
    }
    let dialect = tx.dialect();
    sends::begun(tx.conn(), dialect, &intents, owner).await.unwrap()
}

/// A server took a send; the bounce policy is not asked for it.
pub(crate) async fn accept(tx: &mut Tx, held: &ClaimedSend, ending: &Ending, next: Option<&NewSend>, now: Timestamp) {
    let mut writes = tx.writes();
    let one = [Accepted { held, ending, next }];
    let known = accepted::known(tx, &one, held.owner).await.unwrap();
    accepted::accepted(tx, &mut writes, &one, known, held.owner, now, now).await.unwrap();
    writes.run(tx).await.unwrap();
}
