//! A provider's events as facts: each is recorded once, whatever the number of times it is told, and what it means is
//! written in the same transaction by the functions that mail and SMTP replies use, too.

use std::collections::HashSet;

use sha2::{Digest, Sha256};

use super::matching::{self, Matched};
use crate::domain::Timestamp;
use crate::domain::ids::{AccountId, InboundRequestId, ProviderEventId};
use crate::domain::status::{BounceClass, SendState};
use crate::extensions::hooks::ingest::{Event, EventKind};
use crate::store::facts::bounce::{self, Bounce, Source};
use crate::store::facts::sheet::Sheet;
use crate::store::facts::{delivery, reply, unsubscribe};
use crate::store::inbound::{InboundEndpoint, ProviderEvent};
use crate::store::sends::{self, Send};
use crate::store::{Result, Tx, Writes, inbound_many, suppressions};

/// An event, and who told it.
pub(super) struct Told<'a> {
    pub(super) endpoint: &'a InboundEndpoint,
    pub(super) request: InboundRequestId,
    pub(super) event: &'a Event,
    pub(super) now: Timestamp,
}

/// Applies events in their order. What most of them mean is played through together; the others follow one by one, and
/// with them whatever is about the same people. `first` is written before.
pub(super) async fn events(tx: &mut Tx, mut first: Writes, told: &[Told<'_>]) -> Result<()> {
    let Some(now) = told.last().map(|told| told.now) else { return first.run(tx).await };
    let asked: Vec<_> = told.iter().map(|told| (told.endpoint.account_id, told.event)).collect();
    let matched = matching::find(tx, &asked).await?;
    let rows: Vec<_> = told.iter().zip(&matched).map(|(told, matched)| row_of(told, matched.as_ref())).collect();
    let new = inbound_many::insert_events(tx, &rows).await?;
    let is_new = |row: &ProviderEvent| new.contains(&row.id);
    let news: Vec<_> =
        told.iter().zip(matched).zip(&rows).filter(|(_, row)| is_new(row)).map(|(told, _)| told).collect();

    let mut taught = HashSet::new();
    let learnt = news.iter().filter_map(|(told, matched)| matching::learnt_from(told.event, matched.as_ref()?));
    let learnt = learnt.filter(|(send, _)| taught.insert(*send));
    sends::learn_provider_message_ids(&mut first, &learnt.collect::<Vec<_>>());
    let about: Vec<_> = news.iter().filter_map(|(_, matched)| Some(matched.as_ref()?.send.id)).collect();
    let mut sheet = Sheet::open(tx, &about, [], now).await?;
    let (mut later, mut people) = (Vec::new(), HashSet::new());
    for (told, matched) in &news {
        let addresses = matching::addresses_of(told.event, matched.as_ref());
        let waits = !people.is_empty() && addresses.iter().any(|address| people.contains(address));
        if waits || !play(&mut sheet, told.event, matched.as_ref()) {
            people.extend(addresses);
            later.push((told, matched));
        }
    }
    sheet.write_behind(tx, first).await?;
    for (told, matched) in later {
        match matched {
            Some(Matched { send, by, .. }) => matched_event(tx, send, by, told.event, told.now).await?,
            None => unmatched_event(tx, told.endpoint.account_id, told.event, told.now).await?,
        }
    }
    Ok(())
}

/// Plays an event through; false, and nothing was done, when it needs more than what the sheet has.
fn play(sheet: &mut Sheet, event: &Event, matched: Option<&Matched>) -> bool {
    let Some(matched) = matched else {
        return !matches!(event.kind, EventKind::HardBounce | EventKind::Complaint | EventKind::Unsubscribe);
    };
    let Some(send) = sheet.send(matched.send.id).cloned() else { return false };
    let bounce = |class| Bounce { class, source: Source::Provider, reason: reason_of(event) };
    match event.kind {
        EventKind::Resubscribe | EventKind::Reject | EventKind::Unknown => {}
        // A doubt that is settled may plan the step that follows.
        _ if matched.is_proven() && send.state == SendState::InDoubt => return false,
        // It can only bounce once it has left, which its sender is about to tell.
        EventKind::HardBounce | EventKind::SoftBounce | EventKind::PolicyBounce
            if matched.is_proven() && send.state == SendState::Sending =>
        {
            return false;
        }
        EventKind::Complaint | EventKind::Unsubscribe => return false,
        EventKind::HardBounce => {
            sheet.bounced(send.id, &bounce(BounceClass::Hard));
        }
        EventKind::SoftBounce => {
            sheet.bounced(send.id, &bounce(BounceClass::Soft));
        }
        EventKind::PolicyBounce => {
            sheet.bounced(send.id, &bounce(BounceClass::Policy));
        }
        EventKind::Open => {
            sheet.opened(send.enrollment_id);
        }
        EventKind::AutoReply => sheet.auto_replied(send.enrollment_id),
        EventKind::Processed
        | EventKind::Deferred
        | EventKind::Delivered
        | EventKind::OpenMachine
        | EventKind::Click => {}
    }
    true
}

async fn matched_event(tx: &mut Tx, send: &Send, by: &str, event: &Event, now: Timestamp) -> Result<()> {
    // An address may have been written to many times: that it is the newest send is a guess, and no fact to learn from.
    let proven = (by != matching::BY_RECIPIENT).then_some(send);
    match event.kind {
        EventKind::HardBounce => bounced(tx, send, proven, BounceClass::Hard, event, now).await,
        EventKind::SoftBounce => bounced(tx, send, proven, BounceClass::Soft, event, now).await,
        EventKind::PolicyBounce => bounced(tx, send, proven, BounceClass::Policy, event, now).await,
        EventKind::Complaint => {
            bounce::complained(tx, send, Source::Provider, &reason_of(event), now).await?;
            has_left(tx, proven, now).await
        }
        EventKind::Unsubscribe => {
            let about = Some(send.enrollment_id);
            unsubscribe::unsubscribed(tx, send.account_id, send.contact_id, about, "unsubscribed", now).await?;
            has_left(tx, proven, now).await
        }
        EventKind::Open => reply::opened(tx, send.enrollment_id, proven, rand::random(), now).await.map(|_| ()),
        EventKind::AutoReply => reply::auto_replied(tx, send.enrollment_id, proven, rand::random(), now).await,
        // A machine's look is no opening, but whoever can look at it, and whoever passes it on, has it.
        EventKind::Processed
        | EventKind::Deferred
        | EventKind::Delivered
        | EventKind::OpenMachine
        | EventKind::Click => has_left(tx, proven, now).await,
        // They are in the timeline. Nothing automatic takes an opt-out back.
        EventKind::Resubscribe | EventKind::Reject | EventKind::Unknown => Ok(()),
    }
}

/// What bounced had left: told before the delivery or after it, it comes to the same.
async fn bounced(
    tx: &mut Tx,
    send: &Send,
    proven: Option<&Send>,
    class: BounceClass,
    event: &Event,
    now: Timestamp,
) -> Result<()> {
    has_left(tx, proven, now).await?;
    let bounce = Bounce { class, source: Source::Provider, reason: reason_of(event) };
    bounce::bounced(tx, send, &bounce, now).await.map(|_| ())
}

/// The provider speaks of this very message: if there was a doubt whether it had left, it had.
async fn has_left(tx: &mut Tx, proven: Option<&Send>, now: Timestamp) -> Result<()> {
    if let Some(send) = proven {
        delivery::settled(tx, send, rand::random(), now).await?;
    }
    Ok(())
}

/// No send is known; what it says of the address holds nevertheless.
async fn unmatched_event(tx: &mut Tx, account: AccountId, event: &Event, now: Timestamp) -> Result<()> {
    let Some(address) = matching::recipient_of(event) else { return Ok(()) };
    match event.kind {
        EventKind::HardBounce => {
            suppressions::add_address(tx.conn(), account, &address.key(), "hard bounce", now).await
        }
        EventKind::Complaint => unsubscribe::address_unsubscribed(tx, account, &address, "complaint", now).await,
        EventKind::Unsubscribe => unsubscribe::address_unsubscribed(tx, account, &address, "unsubscribed", now).await,
        _ => Ok(()),
    }
}

fn row_of(told: &Told<'_>, matched: Option<&Matched>) -> ProviderEvent {
    let Told { endpoint, request, event, now } = *told;
    ProviderEvent {
        id: ProviderEventId::new(now),
        account_id: endpoint.account_id,
        request_id: request,
        provider: endpoint.provider.clone(),
        dedupe_key: dedupe_key(event),
        kind: event.kind.as_str().to_owned(),
        recipient: event.recipient.clone(),
        send_id: matched.map(|matched| matched.send.id),
        enrollment_id: matched.map(|matched| matched.send.enrollment_id),
        matched_by: matched.map(|matched| matched.by.to_owned()),
        provider_message_id: event.provider_message_id.clone(),
        smtp_code: event.smtp_code,
        smtp_status: event.status.as_ref().map(ToString::to_string),
        reason: event.reason.clone(),
        occurred_at: event.at,
        at: now,
    }
}

/// The adapter's key, or a hash over all that tells one event from another.
fn dedupe_key(event: &Event) -> String {
    if let Some(key) = event.dedupe_key.as_ref().filter(|key| !key.is_empty()) {
        return key.clone();
    }
    let mut hash = Sha256::new();
    let at = event.at.map(|at| at.to_string());
    let code = event.smtp_code.map(|code| code.to_string());
    let status = event.status.as_ref().map(ToString::to_string);
    let fields = [
        Some(event.kind.as_str()),
        event.recipient.as_deref(),
        event.send_id.as_deref(),
        event.message_id.as_deref(),
        event.provider_message_id.as_deref(),
        at.as_deref(),
        code.as_deref(),
        status.as_deref(),
        event.reason.as_deref(),
    ];
    for field in fields {
        // Length first: no two lists of fields run together to the same bytes. An absent one is not an empty one.
        let length = field.map_or(u64::MAX, |field| u64::try_from(field.len()).unwrap_or(u64::MAX - 1));
        hash.update(length.to_be_bytes());
        hash.update(field.unwrap_or_default());
    }
    format!("sha256:{}", hex::encode(hash.finalize()))
}

/// For people: the provider's words, or what else it tells.
fn reason_of(event: &Event) -> String {
    if let Some(reason) = event.reason.as_ref().filter(|reason| !reason.trim().is_empty()) {
        return reason.clone();
    }
    let code = event.smtp_code.map(|code| code.to_string());
    let status = event.status.as_ref().map(ToString::to_string);
    let told: Vec<_> = code.into_iter().chain(status).collect();
    if told.is_empty() { event.kind.as_str().replace('_', " ") } else { told.join(" ") }
}
