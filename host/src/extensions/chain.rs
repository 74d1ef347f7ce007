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
    /// Whose version it is; none: the system's.
    pub owner: Option<AccountId>,
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
        let mut line = Line::default();
        for binding in self.bound_for(hook, scope) {
            match binding.mode {
                Mode::Active => line.active.push(Arc::clone(&binding.extension)),
                Mode::Shadow => line.shadows.push(Arc::clone(&binding.extension)),
            }
        }
        line.active.extend(self.shipped_for(hook).cloned());
        line
    }

    /// Who would be asked if `extension`, a version of `owner`'s, were bound: in the place of what its owner has bound of its
    /// name, or before all that is bound where its owner binds. A shipped one stands where it is shipped.
    pub(super) fn line_with(
        &self,
        hook: Hook,
        scope: &CallScope,
        owner: Option<AccountId>,
        extension: &Arc<LoadedExtension>,
    ) -> Vec<Arc<LoadedExtension>> {
        let bound: Vec<&Binding> = self.bound_for(hook, scope).collect();
        let is_of_it = |binding: &Binding| binding.owner == owner && binding.extension.name() == extension.name();
        let is_shipped =
            owner.is_none() && self.shipped_for(hook).any(|shipped| shipped.sha256() == extension.sha256());
        let is_where_it_would_be_bound = |binding: &Binding| match owner {
            Some(_) => matches!(binding.scope, Scope::Account(_) | Scope::System),
            None => binding.scope == Scope::System,
        };
        let obeyed = bound.iter().position(|binding| is_of_it(binding) && binding.mode == Mode::Active);
        let place =
            obeyed.or_else(|| bound.iter().position(|binding| is_of_it(binding))).unwrap_or_else(|| match is_shipped {
                true => usize::MAX,
                false => bound.iter().position(|binding| is_where_it_would_be_bound(binding)).unwrap_or(bound.len()),
            });
        let mut line: Vec<Arc<LoadedExtension>> = Vec::with_capacity(bound.len() + 1);
        for (index, binding) in bound.iter().enumerate() {
            line.extend((index == place).then(|| Arc::clone(extension)));
            let stays = binding.mode == Mode::Active && !is_of_it(binding);
            line.extend(stays.then(|| Arc::clone(&binding.extension)));
        }
        line.extend((place == bound.len()).then(|| Arc::clone(extension)));
        line.extend(self.shipped_for(hook).cloned());
        line
    }

    /// The bindings that cover a call, the narrowest first.
    fn bound_for(&self, hook: Hook, scope: &CallScope) -> impl Iterator<Item = &Binding> {
        let scopes = [
            scope.credential.map(Scope::Credential),
            scope.campaign.map(Scope::Campaign),
            scope.account.map(Scope::Account),
            Some(Scope::System),
        ];
        scopes.into_iter().flatten().filter_map(move |scope| self.bound.get(&(hook, scope))).flatten()
    }

    fn shipped_for(&self, hook: Hook) -> impl Iterator<Item = &Arc<LoadedExtension>> {
        self.shipped.iter().filter(move |extension| extension.hooks().contains(&hook))
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
