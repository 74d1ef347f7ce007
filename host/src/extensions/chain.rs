//! Who is asked, in which order: the narrowest binding first, the shipped default last. A table never changes; a new one
//! takes its place at once, and whoever was asked from the old one finishes on it.

use std::collections::HashMap;
use std::sync::Arc;

use super::decision::Mode;
use super::extension::LoadedExtension;
use crate::domain::ids::{AccountId, CampaignId, CredentialId};
use crate::domain::status::Hook;

/// Whom a binding is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Everybody.
    System,
    /// One account.
    Account(AccountId),
    /// One campaign.
    Campaign(CampaignId),
    /// One credential.
    Credential(CredentialId),
}

/// An extension at its place.
#[derive(Debug, Clone)]
pub struct Binding {
    /// Whom it is for.
    pub scope: Scope,
    /// Where it is asked.
    pub hook: Hook,
    /// Its place among the bindings of this scope and hook; the lowest is asked first.
    pub position: u32,
    /// Whether it is obeyed.
    pub mode: Mode,
    /// The version.
    pub extension: Arc<LoadedExtension>,
}

/// Whom a call is for; what is not known is left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallScope {
    /// The account.
    pub account: Option<AccountId>,
    /// The campaign.
    pub campaign: Option<CampaignId>,
    /// The credential.
    pub credential: Option<CredentialId>,
}

/// All bindings at one moment.
#[derive(Debug, Default)]
pub(super) struct BindingTable {
    bound: HashMap<(Hook, Scope), Vec<Binding>>,
    shipped: Vec<Arc<LoadedExtension>>,
}

/// Who is asked for one call.
#[derive(Debug, Default)]
pub(super) struct Line {
    pub(super) active: Vec<Arc<LoadedExtension>>,
    pub(super) shadows: Vec<Arc<LoadedExtension>>,
}

impl BindingTable {
    /// A table of these bindings before these shipped defaults.
    pub(super) fn new(bindings: &[Binding], shipped: &[Arc<LoadedExtension>]) -> Self {
        let mut bound: HashMap<(Hook, Scope), Vec<Binding>> = HashMap::new();
        for binding in bindings {
            bound.entry((binding.hook, binding.scope)).or_default().push(binding.clone());
        }
        for bindings in bound.values_mut() {
            bindings.sort_by_key(|binding| binding.position);
        }
        Self { bound, shipped: shipped.to_vec() }
    }

    /// The same bindings before other shipped defaults.
    pub(super) fn with_shipped(&self, shipped: &[Arc<LoadedExtension>]) -> Self {
        Self { bound: self.bound.clone(), shipped: shipped.to_vec() }
    }

    /// The same shipped defaults behind other bindings.
    pub(super) fn with_bindings(&self, bindings: &[Binding]) -> Self {
        Self::new(bindings, &self.shipped)
    }

    /// Who is asked at `hook`, the narrowest scope first.
    pub(super) fn line(&self, hook: Hook, scope: &CallScope) -> Line {
        let scopes = [
            scope.credential.map(Scope::Credential),
            scope.campaign.map(Scope::Campaign),
            scope.account.map(Scope::Account),
            Some(Scope::System),
        ];
        let mut line = Line::default();
        let bound = scopes.into_iter().flatten().filter_map(|scope| self.bound.get(&(hook, scope))).flatten();
        for binding in bound {
            match binding.mode {
                Mode::Active => line.active.push(Arc::clone(&binding.extension)),
                Mode::Shadow => line.shadows.push(Arc::clone(&binding.extension)),
            }
        }
        let serving = self.shipped.iter().filter(|extension| extension.hooks().contains(&hook));
        line.active.extend(serving.cloned());
        line
    }
}

impl Line {
    /// Only the adapters of this provider.
    pub(super) fn of_provider(mut self, provider: &str) -> Self {
        self.active.retain(|extension| extension.name() == provider);
        self.shadows.retain(|extension| extension.name() == provider);
        self
    }
}
