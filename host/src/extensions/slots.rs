//! Slots: how many calls run at the same time. Whoever waits for the network holds only some of them, and so does each account
//! with its own scripts: nobody's slow extension keeps the others from being asked.

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use super::extension::LoadedExtension;
use super::limits::Limits;
use crate::domain::ids::AccountId;
use crate::shares::Shares;

/// An account's own scripts have one slot of so many.
const SHARE_OF_AN_ACCOUNT: usize = 4;

pub(super) struct Slots {
    all: Semaphore,
    fetching: Semaphore,
    accounts: Shares<AccountId>,
}

/// A slot, until it is dropped.
pub(super) struct Slot<'a> {
    _of_account: Option<OwnedSemaphorePermit>,
    _fetching: Option<SemaphorePermit<'a>>,
    _of_all: SemaphorePermit<'a>,
}

impl Slots {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            all: Semaphore::new(limits.concurrent_calls),
            fetching: Semaphore::new(limits.fetch.concurrent_calls),
            accounts: Shares::new(limits.concurrent_calls / SHARE_OF_AN_ACCOUNT),
        }
    }

    /// Waits for a slot. None is never: they are not closed.
    pub(super) async fn take(&self, extension: &LoadedExtension) -> Option<Slot<'_>> {
        // That of all comes last: who has it waits for nothing any more.
        let of_account = match extension.owner {
            Some(owner) => Some(self.accounts.take(owner).await?),
            None => None,
        };
        let fetching = match extension.may_fetch() {
            true => Some(self.fetching.acquire().await.ok()?),
            false => None,
        };
        Some(Slot { _of_account: of_account, _fetching: fetching, _of_all: self.all.acquire().await.ok()? })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::extensions::limits::FetchLimits;
    use crate::extensions::{EngineKind, Manifest};

    #[tokio::test]
    async fn the_scripts_of_one_account_leave_slots_to_everybody_else() {
        let fetch = FetchLimits { concurrent_calls: 4, ..FetchLimits::default() };
        let slots = Slots::new(&Limits { concurrent_calls: 8, fetch, ..Limits::default() });
        let extension = |owner| {
            let manifest = Manifest::from_script("//! name: some\n//! version: 1.0.0\n//! hooks: send-gate\n").unwrap();
            let [sha256, file, reason] = [(); 3].map(|()| String::new());
            let loaded = LoadedExtension::unloadable(manifest, EngineKind::Script, sha256, file, reason);
            LoadedExtension { owner, ..loaded }
        };
        let zero = crate::domain::Timestamp::from_millis(0);
        let [slow, other] = [(); 2].map(|()| extension(Some(AccountId::new(zero))));
        let mut taken = vec![slots.take(&slow).now_or_never(), slots.take(&slow).now_or_never()];
        assert!(taken.iter().all(Option::is_some));
        assert!(slots.take(&slow).now_or_never().is_none());
        taken.extend([slots.take(&other).now_or_never(), slots.take(&extension(None)).now_or_never()]);
        assert!(taken.iter().all(Option::is_some));
        taken.remove(0);
        assert!(slots.take(&slow).now_or_never().is_some());
    }
}
