//! What was seen of one run: at the mail server, in the ledger, by the API and at the customer's app.

use std::collections::HashSet;

use anyhow::{Context, ensure};
use serde_json::Value;

use super::ledger::Ledger;
use crate::api::text;
use crate::webhook_receiver::ReceivedRequest;

/// An event as the stream has it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) kind: String,
    /// Whose events are told in order: the enrollment; what has none is its own.
    pub(super) subject: String,
    pub(super) whole: Value,
}

/// All that was seen.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub(super) contacts: usize,
    pub(super) connections_a_node: usize,
    /// After each kill, the sends that the node had on their way.
    pub(super) kills: Vec<Vec<String>>,
    /// The Message-IDs that the server has accepted, in order.
    pub(super) at_server: Vec<String>,
    pub(super) ledger: Ledger,
    /// `GET /campaigns/:id` and `GET /status`.
    pub(super) campaign: Value,
    pub(super) status: Value,
    /// Each enrollment with its status.
    pub(super) statuses: Vec<(String, String)>,
    pub(super) events: Vec<Event>,
    /// What the app was told, in the order of arrival.
    pub(super) told: Vec<Event>,
}

/// The figures of a report.
#[derive(Debug)]
pub(super) struct Figures {
    pub(super) at_server: usize,
    pub(super) sent: usize,
    pub(super) in_doubt: usize,
    pub(super) most_in_doubt_by_a_kill: usize,
    pub(super) in_doubt_and_not_at_server: usize,
    pub(super) events: usize,
    pub(super) webhooks: usize,
}

impl Event {
    pub(super) fn of(envelope: &Value) -> anyhow::Result<Self> {
        let id = text(&envelope["id"])?.to_owned();
        let subject = envelope["data"]["enrollment_id"].as_str().unwrap_or(&id).to_owned();
        Ok(Self { id, kind: text(&envelope["type"])?.to_owned(), subject, whole: envelope.clone() })
    }
}

/// How many events were told at least once.
pub(super) fn distinct_events(requests: &[ReceivedRequest]) -> usize {
    requests.iter().filter_map(|request| request.header("webhook-id").ok()).collect::<HashSet<_>>().len()
}

impl Seen {
    /// Takes in what the app was told.
    pub(super) fn hear(&mut self, requests: &[ReceivedRequest]) -> anyhow::Result<()> {
        for request in requests {
            let event = Event::of(&request.json()?)?;
            let id = request.header("webhook-id").context("a webhook without an id")?;
            ensure!(id == event.id, "a webhook's header says {id} and its body {}", event.id);
            self.told.push(event);
        }
        Ok(())
    }

    pub(super) fn figures(&self) -> Figures {
        let at_server: HashSet<&str> = self.at_server.iter().map(|id| send_of(id)).collect();
        let doubts: Vec<&str> = self.ids_in("in_doubt").collect();
        Figures {
            at_server: self.at_server.len(),
            sent: self.ids_in("sent").count(),
            in_doubt: doubts.len(),
            most_in_doubt_by_a_kill: self.kills.iter().map(Vec::len).max().unwrap_or(0),
            in_doubt_and_not_at_server: doubts.iter().filter(|id| !at_server.contains(**id)).count(),
            events: self.events.len(),
            webhooks: self.told.len(),
        }
    }

    /// The sends in this state.
    pub(super) fn ids_in<'a>(&'a self, state: &'a str) -> impl Iterator<Item = &'a str> {
        self.ledger.sends.iter().filter(move |send| send.state == state).map(|send| send.id.as_str())
    }
}

/// The send of one of our Message-IDs.
pub(super) fn send_of(message_id: &str) -> &str {
    message_id.split('@').next().unwrap_or(message_id)
}
