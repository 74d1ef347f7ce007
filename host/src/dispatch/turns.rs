//! Turns: how many workers speak to servers at once for one credential and for one account, how many a server takes at a time,
//! and whether it has just refused one. Whoever waited for a turn finds out that the server has refused the one before, and
//! leaves it alone: sixteen failed logins lock an account.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::ids::{AccountId, CredentialId};
use crate::shares::Shares;

/// Domains that one account has looked up at once, of the 64 that are at all.
const LOOK_UPS_OF_AN_ACCOUNT: usize = 16;

/// A credential whose server takes few connections is given one turn more again after this: what was in the way there, another
/// program of its owner maybe, may have gone.
const GROWS_AFTER: Duration = Duration::from_secs(5 * 60);
/// A credential by which a message has left so lately works.
const LATELY: Duration = Duration::from_secs(10);

/// The turns of all credentials and accounts. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Turns {
    each: usize,
    credentials: Arc<Mutex<HashMap<CredentialId, State>>>,
    accounts: Shares<AccountId>,
    look_ups: Shares<AccountId>,
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Turns,
    credential: CredentialId,
    // None is never: the semaphores are not closed.
    of_credential: Option<OwnedSemaphorePermit>,
    _of_account: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
struct State {
    turns: Arc<Semaphore>,
    /// How many there may be.
    allowed: usize,
    /// How many there are, taken ones among them: more than may be until those who have them are done.
    there_are: usize,
    /// When that was changed.
    changed_at: Instant,
    refused_at: Option<Instant>,
    worked_at: Option<Instant>,
}

impl Turns {
    /// `each` turns a credential, and all those of an account no more than `of_account`.
    pub(super) fn new(each: usize, of_account: usize) -> Self {
        Self {
            each: each.clamp(1, Semaphore::MAX_PERMITS),
            credentials: Arc::default(),
            accounts: Shares::new(of_account),
            look_ups: Shares::new(LOOK_UPS_OF_AN_ACCOUNT),
        }
    }

    /// Waits for a turn.
    pub(super) async fn take(&self, account: AccountId, credential: CredentialId) -> Turn {
        let turns = self.with(credential, |state| {
            state.grow(self.each, Instant::now());
            Arc::clone(&state.turns)
        });
        let of_credential = turns.acquire_owned().await.ok();
        let mut turn = Turn { turns: self.clone(), credential, of_credential, _of_account: None };
        // The account's last: who has that waits for nobody of the account any more.
        turn._of_account = self.accounts.take(account).await;
        turn
    }

    /// Waits for a turn to look a domain up: a list of domains whose name servers are silent leaves turns to other accounts.
    pub(super) async fn to_look_up(&self, account: AccountId) -> Option<OwnedSemaphorePermit> {
        self.look_ups.take(account).await
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

    /// A message has left by it.
    pub(super) fn worked(&self, credential: CredentialId) {
        self.with(credential, |state| state.worked_at = Some(Instant::now()));
    }

    /// Whether a message has left by it since `claimed_at`, or just before.
    pub(super) fn has_worked_since(&self, credential: CredentialId, claimed_at: Instant) -> bool {
        self.with(credential, |state| state.worked_at.is_some_and(|at| at >= claimed_at || at.elapsed() < LATELY))
    }

    /// Its server turned a connection away while `others` of it were open, or on the way to be: from now on there are no more
    /// turns than that, and one fewer in any case, but one. Whether whoever was turned away has to leave its turn to others.
    pub(super) fn turned_away(&self, credential: CredentialId, others: usize) -> bool {
        self.with(credential, |state| {
            let fewer = others.clamp(1, state.allowed.saturating_sub(1).max(1));
            let were_more = fewer < state.allowed;
            state.allow(fewer, Instant::now());
            were_more || state.there_are > state.allowed
        })
    }

    /// Its server has refused it, and none of its connections works: how many it takes at a time is not known any more.
    pub(super) fn none_works(&self, credential: CredentialId) {
        self.with(credential, |state| {
            // First: whoever gets one of the turns that come back is to see it.
            state.refused_at = Some(Instant::now());
            state.allow(self.each, Instant::now());
        });
    }

    /// Forgets credentials that nobody waits for, and gives turns back to those that have few.
    pub(super) fn forget_idle(&self) {
        self.look_after_all(Instant::now());
    }

    fn look_after_all(&self, now: Instant) {
        let mut credentials = self.credentials.lock().unwrap_or_else(PoisonError::into_inner);
        credentials.retain(|_, state| {
            state.grow(self.each, now);
            Arc::strong_count(&state.turns) > 1 || state.allowed < self.each
        });
    }

    fn with<T>(&self, credential: CredentialId, use_it: impl FnOnce(&mut State) -> T) -> T {
        let mut credentials = self.credentials.lock().unwrap_or_else(PoisonError::into_inner);
        use_it(credentials.entry(credential).or_insert_with(|| State::new(self.each)))
    }
}

impl State {
    fn new(turns: usize) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(turns)),
            allowed: turns,
            there_are: turns,
            changed_at: Instant::now(),
            refused_at: None,
            worked_at: None,
        }
    }

    fn allow(&mut self, turns: usize, now: Instant) {
        (self.allowed, self.changed_at) = (turns, now);
        if self.there_are < turns {
            self.turns.add_permits(turns - self.there_are);
            self.there_are = turns;
        } else {
            // Those that are taken go when they are given back.
            self.there_are -= self.turns.forget_permits(self.there_are - turns);
        }
    }

    fn grow(&mut self, most: usize, now: Instant) {
        while self.allowed < most && now.duration_since(self.changed_at) >= GROWS_AFTER {
            self.allow(self.allowed + 1, self.changed_at + GROWS_AFTER);
        }
    }

    fn give_back(&mut self, turn: OwnedSemaphorePermit) {
        if self.there_are > self.allowed {
            self.there_are -= 1;
            turn.forget();
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turn) = self.of_credential.take() {
            self.turns.with(self.credential, |state| state.give_back(turn));
        }
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
    async fn a_server_that_takes_few_connections_leaves_as_many_turns_and_they_come_back_one_by_one() {
        let zero = Timestamp::from_millis(0);
        let (turns, account, credential) = (Turns::new(4, 9), AccountId::new(zero), CredentialId::new(zero));
        let take = || turns.take(account, credential).now_or_never();
        let most = |wanted: usize| (0..wanted + 1).filter_map(|_| take()).collect::<Vec<_>>().len() == wanted;
        let mut taken: Vec<_> = (0..4).filter_map(|_| take()).collect();
        // One got in, and the others are turned away one after the other.
        for others in [3, 2, 1] {
            assert!(turns.turned_away(credential, others));
            taken.pop();
            assert!(take().is_none());
        }
        assert!(!turns.turned_away(credential, 1), "there is but one");
        taken.pop();
        assert!(taken.is_empty() && most(1));

        turns.forget_idle();
        assert!(most(1), "it is remembered");
        let later = Instant::now() + GROWS_AFTER;
        turns.look_after_all(later);
        assert!(most(2));
        // Of turns that nobody has, too, there are fewer at once; and never none.
        assert!(turns.turned_away(credential, 0) && most(1));
        let one = take();
        turns.look_after_all(later + GROWS_AFTER * 3);
        assert!(one.is_some() && most(3));
        drop(one);
        turns.look_after_all(later + GROWS_AFTER * 9);
        assert!(turns.credentials.lock().unwrap().is_empty(), "it is forgotten");
    }

    #[tokio::test]
    async fn what_no_connection_of_it_stands_for_is_no_limit() {
        let zero = Timestamp::from_millis(0);
        let (turns, account, credential) = (Turns::new(3, 9), AccountId::new(zero), CredentialId::new(zero));
        let claimed_at = Instant::now();
        assert!(!turns.has_worked_since(credential, claimed_at));
        let last = turns.take(account, credential).await;
        assert!(turns.turned_away(credential, 1));
        assert!(turns.take(account, credential).now_or_never().is_none());
        turns.none_works(credential);
        assert!(turns.was_refused_since(credential, claimed_at));
        let others: Vec<_> = (0..3).filter_map(|_| turns.take(account, credential).now_or_never()).collect();
        assert_eq!(others.len(), 2);
        turns.worked(credential);
        assert!(turns.has_worked_since(credential, claimed_at));
        drop((last, others));
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
