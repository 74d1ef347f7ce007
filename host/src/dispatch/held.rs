//! What this node holds at this moment, by account and by credential, and when it is worth claiming more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::domain::ids::{AccountId, CredentialId, SendId};
use crate::store::sends::ClaimedSend;

/// Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Held(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    drained: Notify,
}

#[derive(Debug, Default)]
struct State {
    sends: HashMap<SendId, (AccountId, CredentialId)>,
    accounts: HashMap<AccountId, usize>,
    credentials: HashMap<CredentialId, Count>,
}

#[derive(Debug, Default)]
struct Count {
    held: usize,
    /// How many were held when the last round began, or when it took the last one.
    marked: usize,
}

impl Count {
    fn is_drained(&self) -> bool {
        self.held <= self.marked / 2
    }
}

impl Held {
    pub(super) fn take(&self, send: &ClaimedSend) {
        self.take_of(send.send.id, send.send.account_id, send.credential_id);
    }

    fn take_of(&self, send: SendId, account: AccountId, credential: CredentialId) {
        let mut state = self.lock();
        state.sends.insert(send, (account, credential));
        *state.accounts.entry(account).or_default() += 1;
        let count = state.credentials.entry(credential).or_default();
        count.held += 1;
        count.marked = count.held;
    }

    /// The send is done with. Where half of what its credential held is, those who claim are told.
    pub(super) fn release(&self, send: SendId) {
        let mut state = self.lock();
        let Some((account, credential)) = state.sends.remove(&send) else { return };
        if let Some(held) = state.accounts.get_mut(&account) {
            *held -= 1;
        }
        let Some(count) = state.credentials.get_mut(&credential) else { return };
        count.held -= 1;
        if count.is_drained() {
            self.0.drained.notify_one();
        }
    }

    /// A round begins: it looks at what stands now, and what was told of the time before is seen to. What drains while it
    /// lasts is looked at once more, however long it takes over other campaigns.
    pub(super) fn mark(&self) {
        let mut state = self.lock();
        state.accounts.retain(|_, held| *held > 0);
        state.credentials.retain(|_, count| count.held > 0);
        state.credentials.values_mut().for_each(|count| count.marked = count.held);
    }

    /// Returns once a credential has room again for about half of what it held.
    pub(super) async fn drained(&self) {
        loop {
            self.0.drained.notified().await;
            // What was told before the last round began, that round has seen to.
            if self.lock().credentials.values().any(Count::is_drained) {
                return;
            }
        }
    }

    pub(super) fn contains(&self, send: SendId) -> bool {
        self.lock().sends.contains_key(&send)
    }

    pub(super) fn len(&self) -> usize {
        self.lock().sends.len()
    }

    pub(super) fn ids(&self) -> Vec<SendId> {
        self.lock().sends.keys().copied().collect()
    }

    /// How many are held of one account.
    pub(super) fn of_account(&self, account: AccountId) -> usize {
        self.lock().accounts.get(&account).copied().unwrap_or(0)
    }

    /// How many are held of one credential.
    pub(super) fn of(&self, credential: CredentialId) -> usize {
        self.lock().credentials.get(&credential).map_or(0, |count| count.held)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::domain::Timestamp;

    #[tokio::test]
    async fn those_who_claim_are_told_when_one_credential_has_drained_whatever_the_others_hold() {
        let zero = Timestamp::from_millis(0);
        let account = AccountId::new(zero);
        let (held, fast, slow) = (Held::default(), CredentialId::new(zero), CredentialId::new(zero));
        let sends: Vec<_> = (0..4).map(|_| SendId::new(zero)).collect();
        sends.iter().for_each(|send| held.take_of(*send, account, fast));
        (0..100).for_each(|_| held.take_of(SendId::new(zero), account, slow));
        held.mark();
        held.release(sends[0]);
        assert!(held.drained().now_or_never().is_none());
        held.release(sends[1]);
        assert!(held.drained().now_or_never().is_some());
        assert_eq!((held.len(), held.of(fast), held.of(slow)), (102, 2, 100));
        assert_eq!((held.of_account(account), held.of_account(AccountId::new(zero))), (102, 0));
        assert_eq!((held.contains(sends[0]), held.contains(sends[2])), (false, true));
    }

    #[tokio::test]
    async fn what_drains_while_a_round_lasts_is_told_and_what_drained_before_it_is_not() {
        let zero = Timestamp::from_millis(0);
        let account = AccountId::new(zero);
        let (held, fast, slow) = (Held::default(), CredentialId::new(zero), CredentialId::new(zero));
        let sends: Vec<_> = (0..6).map(|_| SendId::new(zero)).collect();
        sends[..4].iter().for_each(|send| held.take_of(*send, account, fast));
        sends[..2].iter().for_each(|send| held.release(*send));
        held.mark();
        sends[4..].iter().for_each(|send| held.take_of(*send, account, fast));
        assert!(held.drained().now_or_never().is_none(), "the round has filled it up again");

        held.mark();
        sends[2..].iter().for_each(|send| held.release(*send));
        (0..100).for_each(|_| held.take_of(SendId::new(zero), account, slow));
        assert!(held.drained().now_or_never().is_some(), "it is empty, and the round is still busy with others");
    }
}
