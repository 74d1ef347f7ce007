//! Facts about many enrollments: what they are about is read at once, they are played through in memory in their order,
//! and what comes of them is written by one statement a table. One fact is the same with a list of one.
//!
//! It settles no doubt, which plans a step that follows: whoever has evidence settles before (see `delivery::settled`).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::bounce::{self, Bounce, Source};
use super::{STOP_REASONS, enrollment_data};
use crate::domain::Timestamp;
use crate::domain::address::key_of;
use crate::domain::event::EventType;
use crate::domain::ids::{CredentialId, EnrollmentId, EventId, SendId};
use crate::domain::status::{BounceClass, EnrollmentStatus, SendState};
use crate::store::charges::NewCharge;
use crate::store::counters::{CredentialCounter, Tallies};
use crate::store::enrollments::Enrollment;
use crate::store::enrollments::standings::{self, Standing};
use crate::store::events::NewEvent;
use crate::store::sends::Send;
use crate::store::suppressions::WrittenTo;
use crate::store::{Result, Tx, Writes, charges, counters, credentials, events, sends, suppressions};
use crate::wake::Wake;

/// Enrollments and sends as they stand, and what facts have changed of them so far.
pub struct Sheet {
    now: Timestamp,
    sends: HashMap<SendId, Send>,
    entries: HashMap<EnrollmentId, Entry>,
    tallies: Tallies,
    events: Vec<NewEvent>,
    charges: Charges,
}

struct Entry {
    standing: Standing,
    is_changed: bool,
    /// Why nothing more is sent, where that was said.
    cancelled: Option<String>,
}

/// What bounces cost.
#[derive(Default)]
struct Charges {
    /// Sends whose bounce is charged.
    known: BTreeSet<SendId>,
    new: Vec<NewCharge>,
    counted: BTreeMap<CredentialCounter, BTreeMap<CredentialId, i64>>,
    suppressed: Vec<WrittenTo>,
    /// Told again: perhaps of a graver class, or in words that come before.
    again: Vec<(SendId, Bounce)>,
    /// Bounced by several of their messages: the words of the gravest stand.
    reworded: BTreeSet<EnrollmentId>,
}

impl Sheet {
    /// Takes these sends with their enrollments, and these enrollments: nobody else changes them until the transaction ends.
    pub async fn open(
        tx: &mut Tx,
        sends: &[SendId],
        enrollments: impl IntoIterator<Item = EnrollmentId>,
        now: Timestamp,
    ) -> Result<Self> {
        let sends = sends::hold_many(tx, sends).await?;
        let ids: BTreeSet<_> = sends.values().map(|send| send.enrollment_id).chain(enrollments).collect();
        let held = standings::hold(tx, &ids.into_iter().collect::<Vec<_>>()).await?;
        let entry = |(id, standing)| (id, Entry { standing, is_changed: false, cancelled: None });
        let known = charges::bounced_among(tx, sends.keys()).await?;
        Ok(Self {
            now,
            sends,
            entries: held.into_iter().map(entry).collect(),
            tallies: Tallies::default(),
            events: Vec::new(),
            charges: Charges { known, ..Charges::default() },
        })
    }

    /// A send as it stood when the sheet was opened.
    pub fn send(&self, id: SendId) -> Option<&Send> {
        self.sends.get(&id)
    }

    /// A person answered: the sequence ends; false when that was known.
    pub fn replied(&mut self, id: EnrollmentId) -> bool {
        self.stop(id, "replied");
        let Some(enrollment) = self.enrollment(id).filter(|enrollment| enrollment.replied_at.is_none()) else {
            return false;
        };
        // A bounce that was told before stays the status; the answer is kept beside it.
        let moves = enrollment.status != EnrollmentStatus::Bounced;
        self.change(id, moves.then_some(EnrollmentStatus::Replied), |enrollment, now| {
            enrollment.replied_at = Some(now)
        });
        self.tell(id, EventType::EnrollmentReplied);
        true
    }

    /// A machine answered: the customer's app is told, the sequence goes on.
    pub fn auto_replied(&mut self, id: EnrollmentId) {
        self.tell(id, EventType::EnrollmentAutoReplied);
    }

    /// Something answered that no classifier could read: never mail on doubt.
    pub fn unclassified(&mut self, id: EnrollmentId) {
        self.stop(id, "unclassified");
    }

    /// A message was looked at; false when that was known.
    pub fn opened(&mut self, id: EnrollmentId) -> bool {
        let Some(enrollment) = self.enrollment(id).filter(|enrollment| enrollment.opened_at.is_none()) else {
            return false;
        };
        match enrollment.status {
            EnrollmentStatus::Sent => {
                self.change(id, Some(EnrollmentStatus::Opened), |enrollment, now| enrollment.opened_at = Some(now));
            }
            status => {
                self.change(id, None, |enrollment, now| enrollment.opened_at = Some(now));
                // Told after the bounce, it was a look all the same; before the message is known to have left, it is
                // counted then.
                let is_late = matches!(status, EnrollmentStatus::Replied | EnrollmentStatus::Bounced);
                if let Some(entry) = self.entries.get(&id).filter(|_| is_late) {
                    self.tallies.opened_late(&entry.standing.enrollment);
                }
            }
        }
        self.tell(id, EventType::EnrollmentOpened);
        true
    }

    /// A send bounced; false when that was known. Told several times in several classes it is one bounce of the gravest,
    /// whichever came first.
    pub fn bounced(&mut self, id: SendId, bounce: &Bounce) -> bool {
        let Some(send) = self.sends.get_mut(&id) else { return false };
        if !self.charges.known.insert(id) {
            self.charges.again.push((id, bounce.clone()));
            return false;
        }
        self.charges.new.push(NewCharge::of_bounce(
            send,
            bounce.class,
            bounce.source.as_str(),
            &bounce.reason,
            self.now,
        ));
        // A rate must not have more bounces than transactions, and whoever is sending it finds it settled and counts
        // nothing.
        let was_open = matches!(send.state, SendState::Claimed | SendState::Sending | SendState::InDoubt);
        if let Some(credential) = send.smtp_credential_id {
            if was_open && bounce.source != Source::Smtp {
                self.charges.count_one(credential, CredentialCounter::Transaction);
            }
            self.charges.count_one(credential, CredentialCounter::Bounce(bounce.class));
        }
        let (enrollment, account, contact) = (send.enrollment_id, send.account_id, send.contact_id);
        let at = send.sent_at.unwrap_or(self.now);
        if was_open || send.state == SendState::Sent {
            (send.state, send.reason) = (SendState::Bounced, Some(bounce.reason.clone()));
        }
        self.enrollment_bounced(enrollment, &bounce.reason);
        if bounce.class == BounceClass::Hard
            && let Some(email) = self.entries.get(&enrollment).and_then(|entry| entry.standing.contact_email.as_ref())
        {
            self.charges.suppressed.push(WrittenTo { account, contact, at, email_key: key_of(email) });
        }
        true
    }

    /// Moves an enrollment to `bounced` where the contract allows it, and ends its sequence.
    pub fn enrollment_bounced(&mut self, id: EnrollmentId, reason: &str) {
        self.stop(id, "bounced");
        let may_bounce =
            |status| matches!(status, EnrollmentStatus::Pending | EnrollmentStatus::Sent | EnrollmentStatus::Opened);
        let Some(enrollment) = self.enrollment(id) else { return };
        if !may_bounce(enrollment.status) {
            if enrollment.bounced_at.is_some() {
                self.charges.reworded.insert(id);
            }
            return;
        }
        self.change(id, Some(EnrollmentStatus::Bounced), |enrollment, now| {
            (enrollment.bounced_at, enrollment.bounce_reason) = (Some(now), Some(reason.to_owned()));
        });
        self.tell(id, EventType::EnrollmentBounced);
    }

    /// Something to tell that is about no enrollment of this sheet.
    pub fn tell_of(&mut self, event: NewEvent) {
        self.events.push(event);
    }

    /// Writes all that has changed.
    pub async fn write(self, tx: &mut Tx) -> Result<()> {
        let writes = tx.writes();
        self.write_behind(tx, writes).await
    }

    /// The same behind what is to be written first.
    pub async fn write_behind(self, tx: &mut Tx, mut writes: Writes) -> Result<()> {
        let Self { now, sends, entries, tallies, events, charges } = self;
        let mut changed: Vec<_> = entries.values().filter(|entry| entry.is_changed).collect();
        changed.sort_unstable_by_key(|entry| entry.standing.enrollment.id);
        let changed: Vec<_> = changed.into_iter().map(|entry| &entry.standing.enrollment).collect();
        standings::write(&mut writes, &changed);
        let cancelled = entries.iter().filter_map(|(id, entry)| Some((*id, entry.cancelled.as_deref()?)));
        sends::cancel_due_many(&mut writes, &cancelled.collect::<Vec<_>>());
        charges.write_rows(&mut writes, now);
        events::insert_many(tx, &mut writes, &events, now).await?;
        // In the order of every fact: what is shared by the most is locked last.
        tallies.write(&mut writes);
        charges.count(tx, &mut writes, now);
        writes.run(tx).await?;
        charges.retell(tx, &sends, now).await
    }

    fn enrollment(&self, id: EnrollmentId) -> Option<&Enrollment> {
        self.entries.get(&id).map(|entry| &entry.standing.enrollment)
    }

    fn change(
        &mut self,
        id: EnrollmentId,
        status: Option<EnrollmentStatus>,
        change: impl FnOnce(&mut Enrollment, Timestamp),
    ) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.is_changed = true;
        let enrollment = &mut entry.standing.enrollment;
        if let Some(status) = status {
            self.tallies.moved(enrollment, status);
            enrollment.status = status;
        }
        change(enrollment, self.now);
    }

    /// Nothing more is sent to it. Of several reasons the strongest stands, whichever was told first.
    fn stop(&mut self, id: EnrollmentId, reason: &str) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.cancelled.get_or_insert_with(|| reason.to_owned());
        let enrollment = &mut entry.standing.enrollment;
        let rank = |reason: &str| STOP_REASONS.iter().position(|known| *known == reason);
        if enrollment.stopped_at.is_none() {
            (enrollment.stopped_at, enrollment.stop_reason) = (Some(self.now), Some(reason.to_owned()));
        } else if rank(reason).zip(enrollment.stop_reason.as_deref().and_then(rank)).is_some_and(|(new, old)| new > old)
        {
            enrollment.stop_reason = Some(reason.to_owned());
        } else {
            return;
        }
        entry.is_changed = true;
    }

    /// Tells the customer's app of an enrollment, as it stands at this point.
    fn tell(&mut self, id: EnrollmentId, event_type: EventType) {
        let Some(Entry { standing, .. }) = self.entries.get(&id) else { return };
        let data = enrollment_data(&standing.enrollment, standing.contact_email.as_deref());
        let (account_id, subject_id) = (standing.enrollment.account_id, id.to_string());
        self.events.push(NewEvent { id: EventId::new(self.now), account_id, event_type, subject_id, data });
    }
}

impl Charges {
    fn write_rows(&self, writes: &mut Writes, now: Timestamp) {
        charges::insert_many(writes, &self.new);
        let settled: Vec<_> = self.new.iter().map(|charge| (charge.send_id, charge.reason.as_str())).collect();
        sends::settle_bounced_many(writes, &settled);
        suppressions::add_written_to(writes, &self.suppressed, "hard bounce", now);
    }

    fn count(&self, tx: &mut Tx, writes: &mut Writes, now: Timestamp) {
        for (what, times) in &self.counted {
            counters::credentials(writes, *what, times, now);
        }
        let judged: BTreeSet<_> = self.counted.values().flat_map(BTreeMap::keys).copied().collect();
        if !judged.is_empty() {
            credentials::judge_all_by(writes, &judged.into_iter().collect::<Vec<_>>(), now);
            tx.wake(Wake::Health);
        }
    }

    /// What was told before in other words.
    async fn retell(self, tx: &mut Tx, sends: &HashMap<SendId, Send>, now: Timestamp) -> Result<()> {
        for enrollment in &self.reworded {
            bounce::reword_enrollment(tx, *enrollment).await?;
        }
        for (id, bounce) in &self.again {
            if let Some(send) = sends.get(id) {
                bounce::told_again(tx, send, bounce, now).await?;
            }
        }
        Ok(())
    }

    fn count_one(&mut self, credential: CredentialId, what: CredentialCounter) {
        *self.counted.entry(what).or_default().entry(credential).or_default() += 1;
    }
}
