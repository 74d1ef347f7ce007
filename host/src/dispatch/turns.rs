//! Turns: how many workers speak to servers at once for one credential and for one account, and whether a server has just
//! refused one. Whoever waited for a turn finds out that the server has refused the one before, and leaves it alone: sixteen
//! failed logins lock an account.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::ids::{AccountId, CredentialId};

/// The turns of all credentials and accounts. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Turns {
    each: usize,
    of_account: usize,
    credentials: Arc<Mutex<HashMap<CredentialId, State>>>,
    accounts: Arc<Mutex<HashMap<AccountId, Arc<Semaphore>>>>,
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    // None is never: the semaphores are not closed.
    _of_credential: Option<OwnedSemaphorePermit>,
    _of_account: Option<OwnedSemaphorePermit>,
}

#[derive(Debug, Clone)]
struct State {
    turns: Arc<Semaphore>,
    refused_at: Option<Instant>,
}

impl Turns {
    /// `each` turns a credential, and all those of an account no more than `of_account`.
    pub(super) fn new(each: usize, of_account: usize) -> Self {
        let possible = |turns: usize| turns.clamp(1, Semaphore::MAX_PERMITS);
        let (each, of_account) = (possible(each), possible(of_account));
        Self { each, of_account, credentials: Arc::default(), accounts: Arc::default() }
    }

    /// Waits for a turn.
    pub(super) async fn take(&self, account: AccountId, credential: CredentialId) -> Turn {
        let of_credential = self.with(credential, |state| Arc::clone(&state.turns));
        let of_account = {
            let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(accounts.entry(account).or_insert_with(|| Arc::new(Semaphore::new(self.of_account))))
        };
        // The account's last: who has that waits for nobody of the account any more.
        let _of_credential = of_credential.acquire_owned().await.ok();
        Turn { _of_credential, _of_account: of_account.acquire_owned().await.ok() }
    }

    /// Whether its server has refused it since `claimed_at`. What was claimed later was claimed with the rest in the
    /// database, or after a person has ended it.
    pub(super) fn was_refused_since(&self, credential: CredentialId, claimed_at: Instant) -> bool {
        self.with(credential, |state| state.refused_at.is_some_and(|refused_at| refused_at >= claimed_at))
    }

    /// Its server has refused it.
    pub(super) fn refused(&self, credential: CredentialId) {
        self.with(credential, |state| state.refused_at = Some(Instant::now()));
    }

    /// Forgets credentials and accounts that nobody waits for.
    pub(super) fn forget_idle(&self) {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.retain(|_, turns| Arc::strong_count(turns) > 1 || turns.available_permits() < self.of_account);
        drop(accounts);
        let mut credentials = self.credentials.lock().unwrap_or_else(PoisonError::into_inner);
        credentials
            .retain(|_, state| Arc::strong_count(&state.turns) > 1 || state.turns.available_permits() < self.each);
    }

    fn with<T>(&self, credential: CredentialId, use_it: impl FnOnce(&mut State) -> T) -> T {
        let mut credentials = self.credentials.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || State { turns: Arc::new(Semaphore::new(self.each)), refused_at: None };
        use_it(credentials.entry(credential).or_insert_with(fresh))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::domain::Timestamp;

    #[tokio::test]
    async fn who_waited_for_a_turn_learns_of_the_refusal_and_who_comes_later_does_not() {
        let claimed_at = Instant::now();
        let zero = Timestamp::from_millis(0);
        let (turns, account, credential) = (Turns::new(1, 9), AccountId::new(zero), CredentialId::new(zero));
        let first = turns.take(account, credential).await;
        let waiting = tokio::spawn({
            let turns = turns.clone();
            async move {
                let _turn = turns.take(account, credential).await;
                turns.was_refused_since(credential, claimed_at)
            }
        });
        turns.refused(credential);
        drop(first);
        assert!(waiting.await.unwrap());
        assert!(!turns.was_refused_since(credential, Instant::now()));
        turns.forget_idle();
        assert!(!turns.was_refused_since(credential, claimed_at));
    }

    #[tokio::test]
    async fn the_servers_of_one_account_however_slow_leave_turns_to_the_others() {
        let zero = Timestamp::from_millis(0);
        let (turns, slow, other) = (Turns::new(2, 3), AccountId::new(zero), AccountId::new(zero));
        let credentials: Vec<_> = (0..3).map(|_| CredentialId::new(zero)).collect();
        let mut taken = Vec::new();
        for credential in &credentials {
            taken.extend(turns.take(slow, *credential).now_or_never());
        }
        assert_eq!(taken.len(), 3);
        turns.forget_idle();
        assert!(turns.take(slow, credentials[0]).now_or_never().is_none());
        assert!(turns.take(other, CredentialId::new(zero)).now_or_never().is_some());
        taken.pop();
        assert!(turns.take(slow, credentials[0]).now_or_never().is_some());
    }
}
