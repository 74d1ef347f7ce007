//! Changing who is bound: the whole list of a scope, in one transaction, guarded against lost updates.

use std::collections::HashMap;

use super::{Catalog, CatalogError};
use crate::domain::ids::{AccountId, CampaignId, CredentialId, ExtensionId};
use crate::domain::status::{Hook, words};
use crate::extensions::Mode;
use crate::store::extensions::{self, StoredBinding};
use crate::store::{Conn, StoreError, Tx, campaigns, credentials};

words! {
    /// The kinds of scope.
    pub ScopeKind {
        /// Everybody.
        System = "system",
        /// One account.
        Account = "account",
        /// One campaign.
        Campaign = "campaign",
        /// One credential.
        Credential = "credential",
    }
}

/// Whom a list of bindings is for. All but the system's belong to an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BindingScope {
    /// Everybody.
    System,
    /// One account.
    Account(AccountId),
    /// One campaign of the account.
    Campaign(AccountId, CampaignId),
    /// One credential of the account.
    Credential(AccountId, CredentialId),
}

/// A binding that is about to be made; its place is that in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewBinding {
    /// Where it is asked.
    pub hook: Hook,
    /// Which version.
    pub extension_id: ExtensionId,
    /// Whether it is obeyed.
    pub mode: Mode,
}

/// Why a list is not taken; what was bound stays.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The campaign or credential is not the account's.
    #[error("there is no such {scope}")]
    UnknownScope {
        /// Which of them.
        scope: ScopeKind,
    },
    /// The extension does not exist, or is another account's.
    #[error("there is no such extension")]
    UnknownExtension {
        /// Its place in the list.
        index: usize,
    },
    /// The extension does not serve the hook.
    #[error("{name} does not serve {hook}")]
    NotServed {
        /// Its place in the list.
        index: usize,
        /// Its name.
        name: String,
        /// What it was to be bound to.
        hook: Hook,
    },
    /// Nobody would ask it there.
    #[error("a {hook} is asked for an account's endpoints, never for a {scope}; bind it to the account or the system")]
    NeverAsked {
        /// Its place in the list.
        index: usize,
        /// What it was to be bound to.
        hook: Hook,
        /// The scope in which nobody asks that.
        scope: ScopeKind,
    },
    /// The extension does not load any more.
    #[error("{reason}")]
    NotLoadable {
        /// Its place in the list.
        index: usize,
        /// Why, with the mend.
        reason: String,
    },
    /// Somebody changed the bindings in the meantime.
    #[error("the bindings have changed since version {expected}; the version is {found}")]
    Changed {
        /// The version that the caller had read.
        expected: i64,
        /// The version now.
        found: i64,
    },
    /// The store.
    #[error("the store of bindings did not answer")]
    Store(#[from] StoreError),
}

impl BindingScope {
    /// Its kind, whose word stands in the store and in the contract.
    pub const fn kind(self) -> ScopeKind {
        match self {
            Self::System => ScopeKind::System,
            Self::Account(_) => ScopeKind::Account,
            Self::Campaign(..) => ScopeKind::Campaign,
            Self::Credential(..) => ScopeKind::Credential,
        }
    }

    /// The id in the store; empty for the system.
    pub fn id(self) -> String {
        match self {
            Self::System => String::new(),
            Self::Account(id) => id.to_string(),
            Self::Campaign(_, id) => id.to_string(),
            Self::Credential(_, id) => id.to_string(),
        }
    }

    /// The account that owns it; none for the system.
    pub const fn owner(self) -> Option<AccountId> {
        match self {
            Self::System => None,
            Self::Account(account) | Self::Campaign(account, _) | Self::Credential(account, _) => Some(account),
        }
    }
}

impl Catalog {
    /// Puts `list` in the place of all bindings of `scope`, and gives the new version. With `if_match` only when the
    /// version is still that one. Every extension is loaded before anything is written.
    pub async fn replace_bindings(
        &self,
        scope: BindingScope,
        list: &[NewBinding],
        if_match: Option<i64>,
    ) -> Result<i64, BindError> {
        let (tx, version) = self.begin_replacing(scope, list, if_match).await?;
        tx.commit().await?;
        self.refresh_if_changed().await?;
        Ok(version)
    }

    /// The same in a transaction that is the caller's to commit; [`Catalog::refresh_if_changed`] then puts it in force.
    pub async fn begin_replacing(
        &self,
        scope: BindingScope,
        list: &[NewBinding],
        if_match: Option<i64>,
    ) -> Result<(Tx, i64), BindError> {
        self.check_extensions(scope, list).await?;
        let mut tx = self.0.app.store.begin().await?;
        // Locked before it is compared: of two callers with the same version one finds it changed.
        let found = extensions::lock_bindings(&mut tx).await?;
        check_scope(tx.conn(), scope).await?;
        if let Some(expected) = if_match.filter(|expected| *expected != found) {
            return Err(BindError::Changed { expected, found });
        }
        extensions::replace_bindings(&mut tx, scope.kind().as_str(), &scope.id(), &rows(scope, list)).await?;
        extensions::refresh_statuses(tx.conn()).await?;
        let version = extensions::bindings_version(tx.conn()).await?;
        Ok((tx, version))
    }

    async fn check_extensions(&self, scope: BindingScope, list: &[NewBinding]) -> Result<(), BindError> {
        for (index, binding) in list.iter().enumerate() {
            let is_narrow = matches!(scope, BindingScope::Campaign(..) | BindingScope::Credential(..));
            // A request comes in at an endpoint of the account; neither campaign nor credential is known of it.
            if is_narrow && binding.hook == Hook::ProviderAdapter {
                return Err(BindError::NeverAsked { index, hook: binding.hook, scope: scope.kind() });
            }
            let mut conn = self.0.app.store.read().await?;
            let stored = extensions::get(&mut conn, binding.extension_id).await?;
            drop(conn);
            let visible = stored.filter(|stored| stored.account_id.is_none() || stored.account_id == scope.owner());
            let stored = visible.ok_or(BindError::UnknownExtension { index })?;
            if !stored.hooks.contains(&binding.hook) {
                return Err(BindError::NotServed { index, name: stored.name, hook: binding.hook });
            }
            match self.program(&stored).await {
                Ok(extension) => self.keep(stored.id, extension),
                Err(CatalogError::Store(error)) => return Err(error.into()),
                Err(error) => return Err(BindError::NotLoadable { index, reason: error.to_string() }),
            }
        }
        Ok(())
    }
}

/// That a campaign or credential is the account's.
pub async fn check_scope(conn: &mut Conn, scope: BindingScope) -> Result<(), BindError> {
    let exists = match scope {
        BindingScope::System | BindingScope::Account(_) => true,
        BindingScope::Campaign(account, id) => campaigns::find(conn, account, id).await?.is_some(),
        BindingScope::Credential(account, id) => {
            credentials::get(conn, id).await?.is_some_and(|credential| credential.account_id == account)
        }
    };
    if exists { Ok(()) } else { Err(BindError::UnknownScope { scope: scope.kind() }) }
}

fn rows(scope: BindingScope, list: &[NewBinding]) -> Vec<StoredBinding> {
    let mut next_positions: HashMap<Hook, i64> = HashMap::new();
    let row = |binding: &NewBinding| {
        let next = next_positions.entry(binding.hook).or_default();
        *next += 1;
        StoredBinding {
            account_id: scope.owner(),
            scope: scope.kind().as_str().to_owned(),
            scope_id: scope.id(),
            hook: binding.hook,
            position: *next,
            extension_id: binding.extension_id,
            mode: binding.mode.as_str().to_owned(),
        }
    };
    list.iter().map(row).collect()
}
