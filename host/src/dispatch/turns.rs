//! Turns: how many workers speak to one credential's server at once, and whether it has just refused one. Whoever waited for a turn finds
//! out that the server has refused the one before, and leaves it alone: sixteen failed logins lock an account.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::ids::CredentialId;

/// The turns of all credentials. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Turns {
    each: usize,
    credentials: Arc<Mutex<HashMap<CredentialId, State>>>,
}

#[derive(Debug, Clone)]
struct State {
    turns: Arc<Semaphore>,
    refused_at: Option<Instant>,
}

impl Turns {
    /// `each` turns a credential.
    pub(super) fn new(each: usize) -> Self {
        Self { each: each.max(1), credentials: Arc::default() }
    }

    /// Waits for a turn.
    pub(super) async fn take(&self, credential: CredentialId) -> Option<OwnedSemaphorePermit> {
        let turns = self.with(credential, |state| Arc::clone(&state.turns));
        // Nobody closes it.
        turns.acquire_owned().await.ok()
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

    /// Forgets credentials that nobody waits for.
    pub(super) fn forget_idle(&self) {
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
    use super::*;
    use crate::domain::Timestamp;

    #[tokio::test]
    async fn who_waited_for_a_turn_learns_of_the_refusal_and_who_comes_later_does_not() {
        let claimed_at = Instant::now();
        let (turns, credential) = (Turns::new(1), CredentialId::new(Timestamp::from_millis(0)));
        let first = turns.take(credential).await;
        let waiting = tokio::spawn({
            let turns = turns.clone();
            async move {
                let _turn = turns.take(credential).await;
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
}
