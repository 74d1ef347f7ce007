//! The questions of the engine: who is asked, in which order, what a failure means for each hook, and the record of who said
//! what. One call of one extension is `host.rs`.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::breaker::{Asker, Change, Failure, Permission};
use super::chain::{CallScope, Line};
use super::decision::{Author, Decided, DecisionRecord, Mode, Suspension};
use super::error::{CallError, HostBusy};
use super::extension::LoadedExtension;
use super::hooks::{HookDecision, HookInput, bounce, gate, ingest, reply};
use super::host::{Called, ExtensionHost};
use crate::domain::status::Hook;

/// How long a message waits when its gate can't answer.
const GATE_FAILED_WAIT: Duration = Duration::from_secs(5 * 60);

/// What became of a provider's request.
#[derive(Debug, Clone, PartialEq)]
pub enum Ingested {
    /// The adapter read it.
    Outcome(ingest::Outcome),
    /// The adapter refused it.
    Refused(ingest::Refusal),
    /// The adapter failed or rests: the request is kept and asked again.
    Unavailable {
        /// For people.
        reason: String,
        /// Whether it was asked: what rests or has no time has said nothing of the request.
        was_asked: bool,
    },
    /// There is no adapter of that name.
    UnknownProvider,
}

/// Whether an extension is asked something for the first time. One that failed at it before fails again, which is the
/// question's fault and suspends nobody once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Time {
    /// The first.
    First,
    /// It was asked before, and failed.
    Again,
}

/// What came of asking a line.
enum Asked {
    Answered(HookDecision, Author),
    Failed(CallError),
    /// Nobody was there, all rested, or all passed.
    Nobody,
}

/// What a line is asked, and for whom.
#[derive(Clone, Copy)]
struct Question<'a> {
    input: &'a HookInput,
    asker: Asker,
    time: Time,
}

/// How an extension is asked.
struct Asking {
    permission: Permission,
    mode: Mode,
}

impl ExtensionHost {
    /// What is this inbound message? Where nobody can tell, it is [`reply::Verdict::Unclassified`]; a host that is too busy
    /// to ask can be asked again.
    pub async fn classify(
        &self,
        scope: &CallScope,
        message: Arc<reply::Message>,
    ) -> Result<Decided<reply::Classification>, HostBusy> {
        let line = self.line(Hook::ReplyClassifier, scope);
        let (asked, records) = self.ask(scope, line, HookInput::ReplyClassifier(message), Time::First).await;
        let unclassified =
            |reason: String| reply::Classification::new(reply::Verdict::Unclassified, Some(reason), Default::default());
        Ok(match asked {
            Asked::Answered(HookDecision::ReplyClassifier(reply::Answer::Classified(decision)), author) => {
                Decided { decision, by: Some(author), records }
            }
            Asked::Failed(CallError::Busy) => return Err(HostBusy),
            Asked::Failed(error) => Decided { decision: unclassified(error.to_string()), by: None, records },
            _ => Decided { decision: unclassified("no classifier could tell".to_owned()), by: None, records },
        })
    }

    /// What does this provider's request say?
    pub async fn ingest(
        &self,
        scope: &CallScope,
        provider: &str,
        request: Arc<ingest::Request>,
        settings: Arc<ingest::Settings>,
        time: Time,
    ) -> Decided<Ingested> {
        let line = self.line(Hook::ProviderAdapter, scope).of_provider(provider);
        let Some(first) = line.active.first().cloned() else {
            return Decided { decision: Ingested::UnknownProvider, by: None, records: Vec::new() };
        };
        let (asked, records) = self.ask(scope, line, HookInput::ProviderAdapter(request, settings), time).await;
        // The failure that suspends it, and that of a probe, are failures at this very request.
        let has_failed = records.iter().any(|record| record.mode == Mode::Active && record.error.is_some());
        let unavailable = |reason: String, was_asked| Ingested::Unavailable { reason, was_asked };
        let (decision, by) = match asked {
            // Who stands in for one that is suspended may know nothing of its form: what it can't read is not lost for that.
            Asked::Answered(HookDecision::ProviderAdapter(Err(refusal)), author) if author != Author::of(&first) => (
                unavailable(
                    format!("{} is suspended, and {author} refused: {refusal}", Author::of(&first)),
                    has_failed,
                ),
                None,
            ),
            Asked::Answered(HookDecision::ProviderAdapter(answer), author) => {
                (answer.map_or_else(Ingested::Refused, Ingested::Outcome), Some(author))
            }
            Asked::Failed(error) => (unavailable(error.to_string(), error.is_the_extensions_fault()), None),
            _ => (unavailable("the adapter is suspended".to_owned(), has_failed), None),
        };
        Decided { decision, by, records }
    }

    /// The adapter that would be asked first for `provider`: its settings and the status for "try again" are in its
    /// manifest.
    pub fn adapter(&self, scope: &CallScope, provider: &str) -> Option<Arc<LoadedExtension>> {
        self.line(Hook::ProviderAdapter, scope).of_provider(provider).active.into_iter().next()
    }

    /// Are these bounces too many? Where no policy can tell, the host's own threshold rule does.
    pub async fn judge(&self, scope: &CallScope, stats: Arc<bounce::Stats>) -> Decided<bounce::Judgement> {
        let line = self.line(Hook::BouncePolicy, scope);
        let (asked, records) = self.ask(scope, line, HookInput::BouncePolicy(Arc::clone(&stats)), Time::First).await;
        match asked {
            Asked::Answered(HookDecision::BouncePolicy(decision), author) => {
                Decided { decision, by: Some(author), records }
            }
            _ => Decided { decision: bounce::Judgement::by_threshold(&stats), by: None, records },
        }
    }

    /// May this message leave now? Where no gate is bound, it may; where the gate can't answer, in five minutes.
    pub async fn admit(&self, scope: &CallScope, send: Arc<gate::Send>) -> Decided<gate::Admission> {
        let line = self.line(Hook::SendGate, scope);
        let is_open = line.active.is_empty();
        let (asked, records) = self.ask(scope, line, HookInput::SendGate(send), Time::First).await;
        let wait = |reason: String| gate::Admission::Defer { until: self.now().plus(GATE_FAILED_WAIT), reason };
        match asked {
            Asked::Answered(HookDecision::SendGate(decision), author) => {
                Decided { decision, by: Some(author), records }
            }
            Asked::Failed(error) => {
                Decided { decision: wait(format!("the send gate failed: {error}")), by: None, records }
            }
            _ if is_open => Decided { decision: gate::Admission::Admit, by: None, records },
            _ => Decided { decision: wait("the send gate is suspended".to_owned()), by: None, records },
        }
    }

    /// Whether any extension is bound to the send gate for this scope. Where none is, the facts need not be gathered.
    pub fn has_gate(&self, scope: &CallScope) -> bool {
        let line = self.line(Hook::SendGate, scope);
        !line.active.is_empty() || !line.shadows.is_empty()
    }

    /// Asks the active ones in turn and all shadows beside them.
    async fn ask(&self, scope: &CallScope, line: Line, input: HookInput, time: Time) -> (Asked, Vec<DecisionRecord>) {
        let question = Question { input: &input, asker: scope.account, time };
        let in_turn = self.ask_in_turn(&line.active, question);
        if line.shadows.is_empty() {
            return in_turn.await;
        }
        let shadows = line.shadows.iter().map(|shadow| self.shadow(shadow, question));
        let ((asked, mut records), shadowed) = tokio::join!(in_turn, join_all(shadows));
        records.extend(shadowed.into_iter().flatten());
        (asked, records)
    }

    async fn ask_in_turn(&self, line: &[Arc<LoadedExtension>], question: Question<'_>) -> (Asked, Vec<DecisionRecord>) {
        let mut records = Vec::with_capacity(1);
        for extension in line {
            let permission = self.permission(extension, question);
            if permission == Permission::Rest {
                continue;
            }
            let asking = Asking { permission, mode: Mode::Active };
            let (answer, change) = self.ask_one(extension, question, asking, &mut records).await;
            match answer {
                Ok(HookDecision::ReplyClassifier(reply::Answer::Pass)) => {}
                Ok(decision) => return (Asked::Answered(decision, Author::of(extension)), records),
                // From its suspension on, the next in line answers.
                Err(_) if change == Change::Suspended || permission == Permission::Probe => {}
                Err(error) => return (Asked::Failed(error), records),
            }
        }
        (Asked::Nobody, records)
    }

    async fn shadow(&self, extension: &Arc<LoadedExtension>, question: Question<'_>) -> Option<DecisionRecord> {
        let permission = self.permission(extension, question);
        if permission == Permission::Rest {
            return None;
        }
        let mut records = Vec::with_capacity(1);
        let asking = Asking { permission, mode: Mode::Shadow };
        self.ask_one(extension, question, asking, &mut records).await.0.ok();
        records.pop()
    }

    fn permission(&self, extension: &LoadedExtension, Question { asker, time, .. }: Question<'_>) -> Permission {
        match time {
            Time::First => extension.breaker.permission(asker, self.now()),
            Time::Again => extension.breaker.permission_again(asker, self.now()),
        }
    }

    async fn ask_one(
        &self,
        extension: &Arc<LoadedExtension>,
        Question { input, asker, time }: Question<'_>,
        Asking { permission, mode }: Asking,
        records: &mut Vec<DecisionRecord>,
    ) -> (Result<HookDecision, CallError>, Change) {
        let Called { answer, record } = self.call(extension, input).await;
        let change = match &answer {
            Ok(_) => extension.breaker.answered(asker, permission),
            Err(error) if time == Time::First && error.is_the_extensions_fault() => {
                extension.breaker.failed(asker, self.now(), error)
            }
            Err(_) => Change::None,
        };
        if change != Change::None {
            let failure = answer.as_ref().err().map(Failure::of);
            let extension = Arc::clone(extension);
            self.tell(Suspension { extension, account: asker, hook: input.hook(), at: self.now(), failure });
        }
        records.push(DecisionRecord::of(extension, input.hook(), mode, &answer, record));
        (answer, change)
    }
}
