//! The promises, compared with what was seen: pure, so that a broken promise can be made up and must be found.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::seen::{Event, Seen, send_of};

/// Of one kind of fault so many are named.
const NAMED: usize = 3;

impl Seen {
    /// What does not hold, in words; empty when all promises do.
    pub(super) fn broken_promises(&self) -> Vec<String> {
        let mut broken = Vec::new();
        self.compare_server(&mut broken);
        self.compare_kills(&mut broken);
        self.compare_ledger(&mut broken);
        self.compare_api(&mut broken);
        self.compare_events(&mut broken);
        self.compare_webhooks(&mut broken);
        broken
    }

    /// Each message once at the server, or in doubt.
    fn compare_server(&self, broken: &mut Vec<String>) {
        let counts = counted(self.at_server.iter().map(|id| send_of(id)));
        let states: HashMap<&str, &str> =
            self.ledger.sends.iter().map(|send| (send.id.as_str(), send.state.as_str())).collect();
        let twice = counts.iter().filter(|(_, count)| **count > 1).map(|(id, count)| format!("{id} {count} times"));
        note(broken, "the server has messages more than once", twice);
        let lost = self.ids_in("sent").filter(|id| !counts.contains_key(id));
        note(broken, "sent, and the server does not have it", lost);
        let unknown = counts.keys().filter(|id| !matches!(states.get(**id), Some(&"sent" | &"in_doubt")));
        let unknown = unknown.map(|id| format!("{id} is {}", states.get(id).unwrap_or(&"unknown")));
        note(broken, "the server has it, and it is neither sent nor in doubt", unknown);
    }

    /// A kill leaves no more doubts than the node had connections, and nothing else leaves any.
    fn compare_kills(&self, broken: &mut Vec<String>) {
        let most = self.connections_a_node;
        let too_many = self.kills.iter().enumerate().filter(|(_, sending)| sending.len() > most);
        let too_many =
            too_many.map(|(kill, sending)| format!("{} at kill {} of at most {most}", sending.len(), kill + 1));
        note(broken, "more on their way than there were connections", too_many);
        let explained: HashSet<&str> = self.kills.iter().flatten().map(String::as_str).collect();
        note(broken, "in doubt without a kill", self.ids_in("in_doubt").filter(|id| !explained.contains(id)));
    }

    /// The ledger agrees with itself: every contact has its steps, every sent one its server's reply, every place its send.
    fn compare_ledger(&self, broken: &mut Vec<String>) {
        let sends = &self.ledger.sends;
        let open = sends.iter().filter(|send| !matches!(send.state.as_str(), "sent" | "in_doubt"));
        note(broken, "neither sent nor in doubt in the end", open.map(|send| format!("{} is {}", send.id, send.state)));
        let sent_first: HashSet<&str> = sends
            .iter()
            .filter(|send| send.step == 1 && send.state == "sent")
            .map(|send| send.enrollment.as_str())
            .collect();
        same(broken, "first steps", sends.iter().filter(|send| send.step == 1).count(), self.contacts);
        let second: HashSet<&str> =
            sends.iter().filter(|send| send.step == 2).map(|send| send.enrollment.as_str()).collect();
        note(broken, "got step 1 and no step 2", sent_first.difference(&second));
        note(broken, "has a step 2 and did not surely get step 1", second.difference(&sent_first));
        let told = sends.iter().filter(|send| send.is_accepted != (send.state == "sent"));
        note(broken, "sent without its server's reply, or not sent with one", told.map(|send| &send.id));
        let days = sends.iter().filter(|send| send.has_day && send.step == 1).count();
        same(broken, "places of daily limits", usize::try_from(self.ledger.reserved.0).unwrap_or(0), days);
        same(broken, "first steps with a place of a day", days, self.contacts);
        let months = sends.iter().filter(|send| send.has_month).count();
        same(broken, "places of the month", usize::try_from(self.ledger.reserved.1).unwrap_or(0), months);
        same(broken, "sends with a place of the month", months, sends.len());
    }

    /// What the customer is shown agrees with the ledger.
    fn compare_api(&self, broken: &mut Vec<String>) {
        let first = |state: &str| self.ledger.sends.iter().filter(|send| send.step == 1 && send.state == state).count();
        let totals = &self.campaign["totals"];
        same(broken, "totals.sent", whole(&totals["sent"]), first("sent"));
        same(broken, "totals.pending", whole(&totals["pending"]), first("in_doubt"));
        let batches = self.campaign["per_batch"].as_array().into_iter().flatten();
        let in_batches: usize = batches.map(|batch| whole(&batch["totals"]["sent"])).sum();
        same(broken, "sent in all batches", in_batches, first("sent"));
        for credential in self.campaign["credentials"].as_array().into_iter().flatten() {
            let id = credential["id"].as_str();
            let own = self.ledger.sends.iter().filter(|send| send.credential.as_deref() == id && send.state == "sent");
            let what = format!("transactions of {}", credential["from_email"]);
            same(broken, &what, whole(&credential["transactions"]), own.count());
        }
        same(broken, "status.in_doubt", whole(&self.status["queue"]["in_doubt"]), self.ids_in("in_doubt").count());
        same(broken, "status.due", whole(&self.status["queue"]["due"]), 0);
        let mut expected: Vec<(&str, &str)> = Vec::new();
        for send in self.ledger.sends.iter().filter(|send| send.step == 1) {
            expected.push((&send.enrollment, if send.state == "sent" { "sent" } else { "pending" }));
        }
        let expected: HashSet<_> = expected.into_iter().collect();
        let shown: HashSet<_> = self.statuses.iter().map(|(id, status)| (id.as_str(), status.as_str())).collect();
        same(broken, "enrollments", self.statuses.len(), self.contacts);
        note(broken, "shown, and not so in the ledger", shown.difference(&expected).map(|one| format!("{one:?}")));
    }

    /// One event a sent step, one for the campaign's end.
    fn compare_events(&self, broken: &mut Vec<String>) {
        let ids: HashSet<&str> = self.events.iter().map(|event| event.id.as_str()).collect();
        same(broken, "distinct events", ids.len(), self.events.len());
        let told = counted(
            self.events.iter().filter(|event| event.kind == "enrollment.sent").map(|event| event.subject.as_str()),
        );
        let sent = self.ledger.sends.iter().filter(|send| send.state == "sent");
        let sent = counted(sent.map(|send| send.enrollment.as_str()));
        let all: HashSet<&&str> = told.keys().chain(sent.keys()).collect();
        let other = all.into_iter().filter(|id| told.get(**id) != sent.get(**id));
        let other = other.map(|id| format!("{id}: {:?} told, {:?} sent", told.get(*id), sent.get(*id)));
        note(broken, "other events than sent steps", other);
        let ended = self.events.iter().filter(|event| event.kind == "campaign.finished").count();
        same(broken, "campaign.finished", ended, 1);
        same(broken, "events of other kinds", self.events.len() - ended - told.values().sum::<usize>(), 0);
    }

    /// Every event at least once, the same each time, and of an enrollment in order.
    fn compare_webhooks(&self, broken: &mut Vec<String>) {
        let mut first: HashMap<&str, &Event> = HashMap::new();
        let mut by_subject: HashMap<&str, Vec<&str>> = HashMap::new();
        let mut altered = Vec::new();
        for event in &self.told {
            match first.get(event.id.as_str()) {
                Some(known) if *known != event => altered.push(event.id.clone()),
                Some(_) => {}
                None => {
                    first.insert(&event.id, event);
                    by_subject.entry(&event.subject).or_default().push(&event.id);
                }
            }
        }
        note(broken, "told anew with other words", altered);
        let untold = self.events.iter().filter(|event| first.get(event.id.as_str()) != Some(event));
        note(broken, "in the stream and not told so", untold.map(|event| &event.id));
        let known: HashSet<&str> = self.events.iter().map(|event| event.id.as_str()).collect();
        note(broken, "told and not in the stream", first.keys().filter(|id| !known.contains(**id)));
        let mut stream: HashMap<&str, Vec<&str>> = HashMap::new();
        for event in &self.events {
            stream.entry(&event.subject).or_default().push(&event.id);
        }
        let unordered = by_subject.iter().filter(|(subject, told)| stream.get(**subject) != Some(*told));
        note(broken, "told in another order than they stand in", unordered.map(|(subject, _)| subject));
    }
}

fn counted<'a>(ids: impl Iterator<Item = &'a str>) -> HashMap<&'a str, usize> {
    let mut counts = HashMap::new();
    for id in ids {
        *counts.entry(id).or_default() += 1;
    }
    counts
}

fn whole(value: &Value) -> usize {
    value.as_u64().and_then(|number| usize::try_from(number).ok()).unwrap_or(usize::MAX)
}

fn note<T: ToString>(broken: &mut Vec<String>, what: &str, faults: impl IntoIterator<Item = T>) {
    let faults: Vec<String> = faults.into_iter().map(|fault| fault.to_string()).collect();
    if !faults.is_empty() {
        broken.push(format!("{what}: {}, as {}", faults.len(), faults[..faults.len().min(NAMED)].join(", ")));
    }
}

fn same(broken: &mut Vec<String>, what: &str, seen: usize, expected: usize) {
    if seen != expected {
        broken.push(format!("{what}: {seen}, not {expected}"));
    }
}

#[cfg(test)]
mod tests;
