//! Opt-outs. Nothing automatic ever takes one back.

use super::{stop, tell};
use crate::domain::address::key_of;
use crate::domain::event::EventType;
use crate::domain::ids::{AccountId, ContactId, EnrollmentId};
use crate::domain::{EmailAddress, Timestamp};
use crate::store::{Result, Tx, contacts, former_addresses, suppressions};

/// A contact does not want more: all its sequences end, and its address is suppressed, so that importing it anew mails
/// nobody, with those that it had when mail went to them, as any of them may be who says so; false when that was known.
/// `about` is the enrollment that it said so of: the customer's app is told of that one even if its sequence had ended before.
/// One that is being deleted may still say so.
pub async fn unsubscribed(
    tx: &mut Tx,
    account: AccountId,
    contact: ContactId,
    about: Option<EnrollmentId>,
    reason: &str,
    now: Timestamp,
) -> Result<bool> {
    if let Some(contact) = contacts::get(tx.conn(), contact).await? {
        suppressions::add_address(tx.conn(), account, &key_of(&contact.email), reason, now).await?;
        for former in former_addresses::of_contact(tx.conn(), contact.id).await? {
            suppressions::add_address(tx.conn(), account, &former, reason, now).await?;
        }
    }
    let is_new = contacts::unsubscribe(tx.conn(), account, contact, now).await?;
    for enrollment in contacts::enrollments(tx.conn(), contact).await? {
        // A complaint after an opt-out is the stronger reason, though it is no news.
        let was_running = stop(tx, enrollment.id, reason, now).await?;
        if is_new && (was_running || about == Some(enrollment.id)) {
            tell(tx, enrollment.id, EventType::EnrollmentUnsubscribed, now).await?;
        }
    }
    Ok(is_new)
}

/// Whoever reads mail at an address does not want more, and no send is known that it is about: the address is never
/// mailed again, and where it is a contact's, that one's sequences end.
pub async fn address_unsubscribed(
    tx: &mut Tx,
    account: AccountId,
    address: &EmailAddress,
    reason: &str,
    now: Timestamp,
) -> Result<()> {
    suppressions::add_address(tx.conn(), account, &address.key(), reason, now).await?;
    if let Some(contact) = contacts::by_email(tx.conn(), account, &address.key()).await? {
        unsubscribed(tx, account, contact.id, None, reason, now).await?;
    }
    Ok(())
}
