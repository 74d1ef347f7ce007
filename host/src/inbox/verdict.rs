//! What a verdict means: the fact that it becomes. The same facts come by SMTP replies and providers' webhooks; whichever
//! comes first counts.

use std::collections::HashSet;

use serde_json::json;

use super::apply::Judged;
use super::matching;
use crate::domain::event::EventType;
use crate::domain::ids::EventId;
use crate::domain::status::{BounceClass, SendState};
use crate::domain::{EmailAddress, Timestamp};
use crate::extensions::hooks::reply::{Action, BouncedRecipient, MatchedBy, Verdict};
use crate::store::events::{self, NewEvent};
use crate::store::facts::bounce::{self, Bounce, Source};
use crate::store::facts::sheet::Sheet;
use crate::store::facts::{delivery, reply, unsubscribe};
use crate::store::sends::{self, Send};
use crate::store::{Result, Tx, Writes, suppressions};

/// Applies messages. What most of them mean is played through together; the others follow one by one, and with them
/// whatever is about the same people: of one person all is applied in the order in which it came. `first` is written before.
pub(super) async fn apply(tx: &mut Tx, first: Writes, judged: &[&Judged], now: Timestamp) -> Result<()> {
    let sends =
        judged.iter().filter_map(|one| one.matched.as_ref().map(|matched| &matched.send).or(one.own_copy.as_ref()));
    let sends: Vec<_> = sends.map(|send| send.id).collect();
    let mut sheet = Sheet::open(tx, &sends, [], now).await?;
    let (mut later, mut people) = (Vec::new(), HashSet::new());
    for one in judged {
        let waits = !people.is_empty() && addresses_of(one).iter().any(|address| people.contains(address));
        if waits || !play(&mut sheet, one, now) {
            people.extend(addresses_of(one));
            later.push(one);
        }
    }
    sheet.write_behind(tx, first).await?;
    for one in later {
        apply_alone(tx, one, now).await?;
    }
    Ok(())
}

/// Everybody whom a message may be about.
fn addresses_of(one: &Judged) -> Vec<String> {
    let told: Vec<&str> = match &one.decided.decision.verdict {
        Verdict::Bounce(told) => told.iter().map(|recipient| recipient.recipient.as_str()).collect(),
        Verdict::Complaint { recipient, .. } => recipient.iter().map(String::as_str).collect(),
        _ => Vec::new(),
    };
    let contact = one.matched.as_ref().map(|matched| matched.contact_email.as_str());
    let returned = one.references.returned_recipients.iter().map(String::as_str);
    let all = told.into_iter().chain(contact).chain(one.facts.sender.as_deref()).chain(returned);
    all.filter_map(address).map(|address| address.key()).collect()
}

/// Plays a message through; false, and nothing was done, when it needs more than what the sheet has.
fn play(sheet: &mut Sheet, one: &Judged, now: Timestamp) -> bool {
    let is_in_doubt = |send: &Send| send.state == SendState::InDoubt;
    // It came back, so it had left, which its sender has not told yet or does not know.
    let may_be_untold = |send: &Send| matches!(send.state, SendState::Sending | SendState::InDoubt);
    if let Some(own) = &one.own_copy {
        return !sheet.send(own.id).is_some_and(is_in_doubt);
    }
    // As it is in this transaction: it may have changed while the classifier was asked.
    let send = one.matched.as_ref().and_then(|matched| sheet.send(matched.send.id)).cloned();
    let proven = send.as_ref().and_then(|send| evidence(one, send));
    match (&one.decided.decision.verdict, &send) {
        (Verdict::HumanReply | Verdict::AutoReply { .. }, Some(_)) if proven.is_some_and(is_in_doubt) => return false,
        (Verdict::HumanReply, Some(send)) => {
            sheet.replied(send.enrollment_id);
        }
        (Verdict::HumanReply, None) => {
            if let Some(event) = unmatched(one, now) {
                sheet.tell_of(event);
            }
        }
        (Verdict::AutoReply { .. }, Some(send)) => sheet.auto_replied(send.enrollment_id),
        (Verdict::Bounce(_), Some(_)) if proven.is_some_and(may_be_untold) => return false,
        (Verdict::Bounce(told), send) => match (told.as_slice(), send, proven) {
            ([], Some(send), _) => {
                sheet.bounced(send.id, &unnamed_bounce(one));
            }
            ([], None, _) => {}
            ([recipient], ..) if recipient.action == Action::Delayed => {}
            ([recipient], _, Some(send)) if recipient.action == Action::Failed => {
                sheet.bounced(send.id, &bounce_of(recipient));
            }
            _ => return false,
        },
        (Verdict::Unclassified | Verdict::Challenge, Some(_)) if proven.is_some_and(may_be_untold) => return false,
        (Verdict::Unclassified, Some(send)) => sheet.unclassified(send.enrollment_id),
        (Verdict::Complaint { .. } | Verdict::UnsubscribeRequest, _) => return false,
        (Verdict::AutoReply { .. } | Verdict::Unclassified, None) | (Verdict::Challenge | Verdict::Ignore, _) => {}
    }
    true
}

async fn apply_alone(tx: &mut Tx, one: &Judged, now: Timestamp) -> Result<()> {
    if let Some(own) = &one.own_copy {
        // A copy in our own mailbox: whatever the server said then, it did leave.
        return delivery::settled(tx, own, rand::random(), now).await.map(|_| ());
    }
    // As it is in this transaction: it may have changed while the classifier was asked.
    let send = match &one.matched {
        Some(matched) => sends::get(tx.conn(), matched.send.id).await?,
        None => None,
    };
    match (&one.decided.decision.verdict, &send) {
        (Verdict::HumanReply, Some(send)) => {
            reply::replied(tx, send.enrollment_id, evidence(one, send), now).await.map(|_| ())
        }
        (Verdict::HumanReply, None) => match unmatched(one, now) {
            Some(event) => {
                let mut writes = tx.writes();
                events::insert_many(tx, &mut writes, &[event], now).await?;
                writes.run(tx).await
            }
            None => Ok(()),
        },
        (Verdict::AutoReply { .. }, Some(send)) => {
            reply::auto_replied(tx, send.enrollment_id, evidence(one, send), rand::random(), now).await
        }
        (Verdict::Bounce(told), send) => bounces(tx, one, told, send.as_ref(), now).await,
        (Verdict::Complaint { recipient, .. }, send) => {
            complaint(tx, one, recipient.as_deref(), send.as_ref(), now).await
        }
        (Verdict::UnsubscribeRequest, Some(send)) => {
            unsubscribe::unsubscribed(
                tx,
                send.account_id,
                send.contact_id,
                Some(send.enrollment_id),
                "unsubscribed",
                now,
            )
            .await?;
            // Who wrote it may have been written to at another address; at this one he does not want more, either.
            if let Some(sender) = one.facts.sender.as_deref().and_then(address) {
                unsubscribe::address_unsubscribed(tx, send.account_id, &sender, "unsubscribed", now).await?;
            }
            match evidence(one, send) {
                Some(send) => delivery::settled(tx, send, 0.0, now).await.map(|_| ()),
                None => Ok(()),
            }
        }
        (Verdict::UnsubscribeRequest, None) => match one.facts.sender.as_deref().and_then(address) {
            Some(sender) => {
                unsubscribe::address_unsubscribed(tx, one.message.account_id, &sender, "unsubscribed", now).await
            }
            None => Ok(()),
        },
        (Verdict::Unclassified, Some(send)) => {
            has_left(tx, one, send, now).await?;
            reply::unclassified(tx, send.enrollment_id, now).await
        }
        (Verdict::Challenge, Some(send)) => has_left(tx, one, send, now).await,
        (Verdict::AutoReply { .. } | Verdict::Unclassified | Verdict::Challenge, None) | (Verdict::Ignore, _) => Ok(()),
    }
}

/// The send that an answer proves to have arrived: one that it names. That its sender was once written to proves nothing
/// of any one message.
fn evidence<'a>(one: &Judged, send: &'a Send) -> Option<&'a Send> {
    one.matched.as_ref().is_some_and(|matched| matched.by != MatchedBy::SenderAddress).then_some(send)
}

/// What comes back had left. Only where the message names this very send.
async fn has_left(tx: &mut Tx, one: &Judged, send: &Send, now: Timestamp) -> Result<()> {
    let is_named = one.matched.as_ref().is_some_and(|matched| matched.send.id == send.id);
    if is_named && evidence(one, send).is_some() {
        delivery::settled(tx, send, rand::random(), now).await?;
    }
    Ok(())
}

async fn bounces(
    tx: &mut Tx,
    one: &Judged,
    told: &[BouncedRecipient],
    send: Option<&Send>,
    now: Timestamp,
) -> Result<()> {
    if told.is_empty() {
        // Whomever the message was matched to; of the address itself nothing was said.
        let Some(send) = send else { return Ok(()) };
        has_left(tx, one, send, now).await?;
        return bounce::bounced(tx, send, &unnamed_bounce(one), now).await.map(|_| ());
    }
    for recipient in told {
        if recipient.action == Action::Delayed {
            // Nothing came of it yet, but a server has it.
            if let Some(send) = about(tx, one, recipient, told.len(), send).await? {
                has_left(tx, one, &send, now).await?;
            }
            continue;
        }
        let about = about(tx, one, recipient, told.len(), send).await?;
        match (recipient.action, about) {
            (Action::Failed, Some(send)) => {
                has_left(tx, one, &send, now).await?;
                bounce::bounced(tx, &send, &bounce_of(recipient), now).await?;
            }
            (Action::Failed, None) => refused_address(tx, one, recipient, now).await?,
            (_, Some(send)) => {
                delivery::settled(tx, &send, rand::random(), now).await?;
            }
            (_, None) => {}
        }
    }
    Ok(())
}

/// The send that a report speaks of for one recipient: the one that it names, if it speaks of nobody else or of its
/// contact; otherwise the newest to that address.
async fn about(
    tx: &mut Tx,
    one: &Judged,
    recipient: &BouncedRecipient,
    count: usize,
    named: Option<&Send>,
) -> Result<Option<Send>> {
    // A daemon is nobody's contact: that its address is one proves nothing.
    let named = named.and_then(|send| evidence(one, send));
    if let Some(send) = named {
        let contact = one.matched.as_ref().and_then(|matched| address(&matched.contact_email));
        let is_contact =
            contact.is_some() && contact.map(|it| it.key()) == address(&recipient.recipient).map(|it| it.key());
        if count == 1 || is_contact {
            return Ok(Some(send.clone()));
        }
    }
    let (account, credential) = (one.message.account_id, one.message.credential_id);
    if let Some(send) = matching::newest_to(tx.conn(), account, credential, &recipient.recipient).await? {
        return Ok(Some(send));
    }
    if count > 1 {
        return Ok(None);
    }
    // The final recipient may be what a forwarding made of the one we wrote to.
    for address in &one.references.returned_recipients {
        if let Some(send) = matching::newest_to(tx.conn(), account, credential, address).await? {
            return Ok(Some(send));
        }
    }
    Ok(None)
}

/// No send is known; that the address is dead holds nevertheless.
async fn refused_address(tx: &mut Tx, one: &Judged, recipient: &BouncedRecipient, now: Timestamp) -> Result<()> {
    match address(&recipient.recipient) {
        Some(dead) if recipient.class == BounceClass::Hard => {
            suppressions::add_address(tx.conn(), one.message.account_id, &dead.key(), "hard bounce", now).await
        }
        _ => Ok(()),
    }
}

async fn complaint(
    tx: &mut Tx,
    one: &Judged,
    recipient: Option<&str>,
    send: Option<&Send>,
    now: Timestamp,
) -> Result<()> {
    let (account, credential) = (one.message.account_id, one.message.credential_id);
    // Who sends reports is not who complains, though he may be a contact, too.
    let named = send.and_then(|send| evidence(one, send));
    let found = match (named, recipient) {
        (Some(send), _) => Some(send.clone()),
        (None, Some(recipient)) => matching::newest_to(tx.conn(), account, credential, recipient).await?,
        (None, None) => None,
    };
    if let Some(found) = found {
        bounce::complained(tx, &found, Source::FeedbackReport, "feedback report", now).await?;
        // Who complains of a message has it. Nothing follows it: the sequences have just ended.
        return match named {
            Some(send) => delivery::settled(tx, send, 0.0, now).await.map(|_| ()),
            None => Ok(()),
        };
    }
    match recipient.and_then(address) {
        Some(recipient) => unsubscribe::address_unsubscribed(tx, account, &recipient, "complaint", now).await,
        None => Ok(()),
    }
}

/// A person wrote, and nobody knows to what: the customer's app is told. Newsletters are written by persons, too.
fn unmatched(one: &Judged, now: Timestamp) -> Option<NewEvent> {
    let is_bulk = one.facts.headers.iter().any(|header| {
        let name = header.name.to_ascii_lowercase();
        let value = header.value.trim().to_ascii_lowercase();
        matches!(name.as_str(), "list-id" | "list-unsubscribe")
            || (name == "precedence" && matches!(value.as_str(), "bulk" | "list" | "junk"))
    });
    let data = json!({
        "inbound_message_id": one.message.id,
        "credential_id": one.message.credential_id,
        "sender": one.facts.sender,
        "subject": one.facts.subject,
        "received_at": one.message.received_at,
    });
    let (account_id, subject_id) = (one.message.account_id, one.message.id.to_string());
    let event =
        NewEvent { id: EventId::new(now), account_id, event_type: EventType::InboundUnmatched, subject_id, data };
    (!is_bulk).then_some(event)
}

fn bounce_of(recipient: &BouncedRecipient) -> Bounce {
    Bounce { class: recipient.class, source: Source::Dsn, reason: reason_of(recipient) }
}

/// A report that names nobody.
fn unnamed_bounce(one: &Judged) -> Bounce {
    let reason = one.decided.decision.reason.clone().unwrap_or_else(|| "bounced".to_owned());
    Bounce { class: BounceClass::Soft, source: Source::Dsn, reason }
}

fn reason_of(recipient: &BouncedRecipient) -> String {
    let diagnostic = recipient.diagnostic.as_ref().filter(|text| !text.trim().is_empty()).cloned();
    let status = || recipient.status.as_ref().map(ToString::to_string);
    diagnostic.or_else(status).unwrap_or_else(|| "bounced".to_owned())
}

fn address(text: &str) -> Option<EmailAddress> {
    EmailAddress::parse(text).ok()
}
