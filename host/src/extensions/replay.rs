//! What would a version have decided? It is asked where it would stand if its owner bound it: in the place of what is bound
//! of its name, see [`super::chain`]. Nothing is recorded, no breaker is told, and the network is only read.

use std::sync::Arc;

use serde_json::{Value, json};

use super::chain::CallScope;
use super::extension::LoadedExtension;
use super::fetch::Access;
use super::hooks::{HookDecision, HookInput, reply};
use super::host::ExtensionHost;
use crate::domain::ids::AccountId;
use crate::domain::status::Hook;

impl ExtensionHost {
    /// The decision that would be in force, in the contract's words, had `extension`, a version of `owner`'s, been bound for
    /// all that `scope` covers.
    pub async fn would_decide(
        &self,
        scope: &CallScope,
        owner: Option<AccountId>,
        extension: &Arc<LoadedExtension>,
        input: &HookInput,
    ) -> Value {
        let line = match input.hook() {
            // An adapter answers for its provider alone, and nobody passes to another's.
            Hook::ProviderAdapter => vec![Arc::clone(extension)],
            hook => self.table().line_with(hook, scope, owner, extension),
        };
        for asked in &line {
            let called = self.call_at(asked, input, input.time(), Access::Reading).await;
            match called.answer {
                Ok(HookDecision::ReplyClassifier(reply::Answer::Pass)) => {}
                Ok(decision) => return decision.to_json(),
                Err(error) => return failed(input.hook(), &error.to_string()),
            }
        }
        failed(input.hook(), "no classifier could tell")
    }
}

/// What a failure means, in the words that are recorded of it.
fn failed(hook: Hook, reason: &str) -> Value {
    match hook {
        Hook::ReplyClassifier => json!({ "verdict": "unclassified", "reason": reason }),
        Hook::ProviderAdapter => json!({ "error": "retry", "reason": reason }),
        Hook::BouncePolicy | Hook::SendGate => json!({ "error": reason }),
    }
}
