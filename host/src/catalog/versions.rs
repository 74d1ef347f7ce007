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
    /// No version of this name is obeyed by the system.
    #[error("no version of {name} is bound and active for the whole system")]
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

    /// Binds a version for the whole system: in the place of other versions of its name, or before all others. A shadow
    /// stands beside the active one. Gives the versions that are bound no more by it, with what they were bound as.
    pub async fn bind_for_system(
        &self,
        stored: &StoredExtension,
        mode: Mode,
    ) -> std::result::Result<Vec<(StoredExtension, Mode)>, BindError> {
        let (_, before) = self.system_bindings().await?;
        self.change_system_bindings(|bound| with_version(bound, stored, Some(mode), Else::First)).await?;
        let (_, after) = self.system_bindings().await?;
        let mut displaced: Vec<(StoredExtension, Mode)> = Vec::new();
        for (version, binding) in before.into_iter().filter(|(version, _)| version.name == stored.name) {
            let is_bound = after.iter().any(|(other, _)| other.id == version.id);
            // It may have been bound at several hooks.
            if !is_bound && !displaced.iter().any(|(other, _)| other.id == version.id) {
                displaced.push((version, binding.mode));
            }
        }
        Ok(displaced)
    }

    /// Binds the version that was active before, in the place of the one that is. One that was only checked, or only in the
    /// shadow, was never obeyed; one that was rolled back from is no more to be returned to, so that a second roll back leads
    /// further back.
    pub async fn roll_back(&self, name: &str) -> std::result::Result<RolledBack, MoveError> {
        let mut conn = self.0.app.store.read().await?;
        let versions = extensions::of_name(&mut conn, None, name).await?;
        let bindings = extensions::all_bindings(&mut conn).await?;
        drop(conn);
        let is_active = |stored: &&StoredExtension| {
            bindings.iter().any(|binding| {
                let is_of_system = binding.scope == ScopeKind::System.as_str();
                is_of_system && binding.mode == Mode::Active.as_str() && binding.extension_id == stored.id
            })
        };
        let from = versions.iter().find(is_active).ok_or_else(|| MoveError::NotBound { name: name.to_owned() })?;
        let others = versions.iter().filter(|stored| stored.id != from.id);
        let obeyed = others.clone().filter(|stored| stored.origin != "shipped" && stored.obeyed_in.is_some());
        // Of what an older release left without an order, the latest stored.
        let to = obeyed.max_by_key(|stored| (stored.obeyed_in, stored.id));
        // The shipped one is behind all others, whenever it was stored.
        let to = to.or_else(|| others.clone().find(|stored| stored.origin == "shipped"));
        let to = to.ok_or_else(|| MoveError::NoneBefore { name: name.to_owned(), version: from.version.clone() })?;
        self.change_system_bindings(|bound| match to.origin.as_str() {
            "shipped" => without(bound, |stored| stored.name == name),
            _ => with_version(bound, to, None, Else::Nowhere),
        })
        .await?;
        let mut tx = self.0.app.store.begin().await?;
        extensions::forget_obeyed(tx.conn(), from.id).await?;
        tx.commit().await?;
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

/// The bindings with `version` where other versions of its name are, and at its other hooks where `or_else` says.
///
/// An active one takes the place of the active one, and ends what stood in the shadow. A shadow takes that of another shadow,
/// or stands behind the active one, which stays. Without a mode it is what the name's place is: active where there is one.
pub(super) fn with_version(
    bound: Vec<Bound>,
    version: &StoredExtension,
    mode: Option<Mode>,
    or_else: Else,
) -> Vec<Bound> {
    let of_name = |(stored, _): &Bound| stored.name == version.name;
    let mode_at = |hook: Hook| {
        let mut modes = bound.iter().filter(|one| of_name(one) && one.1.hook == hook).map(|(_, binding)| binding.mode);
        mode.or_else(|| modes.clone().find(|mode| *mode == Mode::Active))
            .or_else(|| modes.next())
            .unwrap_or(Mode::Active)
    };
    let new = |hook: Hook| (version.clone(), NewBinding { hook, extension_id: version.id, mode: mode_at(hook) });
    // Of a shadow the other active versions stay.
    let stays = |(stored, binding): &Bound| {
        mode_at(binding.hook) == Mode::Shadow && binding.mode == Mode::Active && stored.id != version.id
    };
    let place_at = |hook: Hook| {
        let here: Vec<usize> =
            (0..bound.len()).filter(|at| of_name(&bound[*at]) && bound[*at].1.hook == hook).collect();
        let with = |mode: Mode| here.iter().find(|at| bound[**at].1.mode == mode).copied();
        with(mode_at(hook)).or_else(|| here.first().copied())
    };
    let mut list = Vec::with_capacity(bound.len() + 1);
    for (at, one) in bound.iter().enumerate() {
        let hook = one.1.hook;
        let is_place = version.hooks.contains(&hook) && place_at(hook) == Some(at);
        if !of_name(one) || stays(one) {
            list.push(one.clone());
        }
        list.extend(is_place.then(|| new(hook)));
    }
    let missing: Vec<Bound> =
        version.hooks.iter().filter(|hook| place_at(**hook).is_none()).map(|hook| new(*hook)).collect();
    match or_else {
        Else::First => missing.into_iter().chain(list).collect(),
        Else::Last => list.into_iter().chain(missing).collect(),
        Else::Nowhere => list,
    }
}

/// The bindings without some.
pub(super) fn without(bound: Vec<Bound>, is_out: impl Fn(&StoredExtension) -> bool) -> Vec<Bound> {
    bound.into_iter().filter(|(stored, _)| !is_out(stored)).collect()
}
