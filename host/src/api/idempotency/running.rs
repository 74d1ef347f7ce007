//! The keys of the calls that this node runs just now.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::ids::AccountId;

type Key = (AccountId, String);

/// Which keys are in use. Bounded by the number of requests under way.
#[derive(Debug, Default)]
pub(in super::super) struct Running(Arc<Mutex<HashSet<Key>>>);

/// A key in use, until this is dropped.
#[derive(Debug)]
pub(super) struct InUse {
    keys: Arc<Mutex<HashSet<Key>>>,
    key: Key,
}

impl Running {
    /// Takes the key, unless a call is using it.
    pub(super) fn begin(&self, account: AccountId, key: &str) -> Option<InUse> {
        let key = (account, key.to_owned());
        let is_new = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        is_new.then(|| InUse { keys: Arc::clone(&self.0), key })
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}
