//! From one version to another: the system's bindings of a name are moved to another of its versions, and back.

use super::{BindError, BindingScope, Catalog, CatalogError, NewBinding, ScopeKind};
use crate::domain::status::Hook;
use crate::extensions::Mode;
use crate::store::extensions::{self, StoredExtension};
use crate::store::{Result, StoreError};

/// Bindings that others change all the time are read anew so often.
const TRIES: usize = 5;

/// A binding of the system's, and what it names.
pub(super) type Bound = (StoredExtension, NewBinding);

/// Where a version is bound at a hook at which no version of its name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Else {
    First,
    Last,
    Nowhere,
}

/// Where a roll back led.
#[derive(Debug, Clone, PartialEq)]
pub struct RolledBack {
    /// What was bound.
    pub from: StoredExtension,
    /// What is bound now; a shipped one is bound nowhere and answers because nobody stands before it.
    pub to: StoredExtension,
}

/// Why a version could not take another's place.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// Nothing of this name is bound for the system.
    #[error("no version of {name} is bound for the whole system")]
    NotBound {
        /// The name.
        name: String,
    },
    /// It is the first.
    #[error("there is no version of {name} before {version}")]
    NoneBefore {
        /// The name.
        name: String,
        /// What is bound.
        version: String,
    },
    /// The bindings.
    #[error(transparent)]
    Bind(#[from] BindError),
}

impl From<StoreError> for MoveError {
    fn from(error: StoreError) -> Self {
        Self::Bind(error.into())
    }
}

impl Catalog {
    /// A version of the system's by its name: this one, or the newest.
    pub async fn system_version(
        &self,
        name: &str,
        version: Option<&str>,
    ) -> std::result::Result<Option<StoredExtension>, CatalogError> {
        let mut conn = self.0.app.store.read().await?;
        let stored = extensions::of_name(&mut conn, None, name).await?;
        Ok(stored.into_iter().find(|stored| version.is_none_or(|version| stored.version == version)))
    }

    /// Binds a version for the whole system: in the place of other versions of its name, or before all others.
    pub async fn bind_for_system(&self, stored: &StoredExtension, mode: Mode) -> std::result::Result<i64, BindError> {
        self.change_system_bindings(|bound| with_version(bound, stored, Some(mode), Else::First)).await
    }

    /// Binds the version that was bound before, in the place of the one that is.
    pub async fn roll_back(&self, name: &str) -> std::result::Result<RolledBack, MoveError> {
        let mut conn = self.0.app.store.read().await?;
        let versions = extensions::of_name(&mut conn, None, name).await?;
        let bindings = extensions::all_bindings(&mut conn).await?;
        drop(conn);
        let is_bound = |stored: &&StoredExtension| {
            let of_it = |binding: &extensions::StoredBinding| binding.extension_id == stored.id;
            bindings.iter().any(|binding| binding.scope == ScopeKind::System.as_str() && of_it(binding))
        };
        let from = versions.iter().find(is_bound).ok_or_else(|| MoveError::NotBound { name: name.to_owned() })?;
        // One that was only checked was never in force. The shipped one is behind all others, whenever it was stored.
        let was_bound = |stored: &&StoredExtension| stored.id < from.id && stored.status == "retired";
        let to = versions.iter().find(|stored| was_bound(stored) && stored.origin != "shipped");
        let to = to.or_else(|| versions.iter().find(|stored| stored.origin == "shipped" && stored.id != from.id));
        let to = to.ok_or_else(|| MoveError::NoneBefore { name: name.to_owned(), version: from.version.clone() })?;
        self.change_system_bindings(|bound| match to.origin.as_str() {
            "shipped" => without(bound, |stored| stored.name == name),
            _ => with_version(bound, to, None, Else::Nowhere),
        })
        .await?;
        Ok(RolledBack { from: from.clone(), to: to.clone() })
    }

    /// Reads the system's bindings, has them changed and writes them, unless somebody else changed them in between: then
    /// once more.
    pub(super) async fn change_system_bindings(
        &self,
        change: impl Fn(Vec<Bound>) -> Vec<Bound>,
    ) -> std::result::Result<i64, BindError> {
        let list_of = |bound: &[Bound]| bound.iter().map(|(_, binding)| *binding).collect::<Vec<_>>();
        let mut tries = 1;
        loop {
            let (version, bound) = self.system_bindings().await?;
            let before = list_of(&bound);
            let list = list_of(&change(bound));
            if before == list {
                return Ok(version);
            }
            match self.replace_bindings(BindingScope::System, &list, Some(version)).await {
                Err(BindError::Changed { .. }) if tries < TRIES => tries += 1,
                done => return done,
            }
        }
    }

    async fn system_bindings(&self) -> Result<(i64, Vec<Bound>)> {
        let mut conn = self.0.app.store.read().await?;
        let version = extensions::bindings_version(&mut conn).await?;
        let mut bound = Vec::new();
        for binding in extensions::all_bindings(&mut conn).await? {
            if binding.scope != ScopeKind::System.as_str() {
                continue;
            }
            let Some(stored) = extensions::get(&mut conn, binding.extension_id).await? else { continue };
            let mode = Mode::parse(&binding.mode).unwrap_or(Mode::Active);
            bound.push((stored, NewBinding { hook: binding.hook, extension_id: binding.extension_id, mode }));
        }
        Ok((version, bound))
    }
}

/// The bindings with `version` where other versions of its name are, and at its other hooks where `or_else` says. It is
/// bound in this mode; without one it keeps that of the place.
pub(super) fn with_version(
    bound: Vec<Bound>,
    version: &StoredExtension,
    mode: Option<Mode>,
    or_else: Else,
) -> Vec<Bound> {
    let at = |hook: Hook, mode: Mode| (version.clone(), NewBinding { hook, extension_id: version.id, mode });
    let mut placed = Vec::new();
    let mut list = Vec::with_capacity(bound.len() + 1);
    for (stored, binding) in bound {
        if stored.name != version.name {
            list.push((stored, binding));
        } else if version.hooks.contains(&binding.hook) && !placed.contains(&binding.hook) {
            placed.push(binding.hook);
            list.push(at(binding.hook, mode.unwrap_or(binding.mode)));
        }
    }
    let missing = version.hooks.iter().filter(|hook| !placed.contains(hook));
    let new: Vec<Bound> = missing.map(|hook| at(*hook, mode.unwrap_or(Mode::Active))).collect();
    match or_else {
        Else::First => new.into_iter().chain(list).collect(),
        Else::Last => list.into_iter().chain(new).collect(),
        Else::Nowhere => list,
    }
}

/// The bindings without some.
pub(super) fn without(bound: Vec<Bound>, is_out: impl Fn(&StoredExtension) -> bool) -> Vec<Bound> {
    bound.into_iter().filter(|(stored, _)| !is_out(stored)).collect()
}
