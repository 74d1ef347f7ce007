//! Wake-ups: who writes a fact nudges the loop that acts on it, after the commit. A lost nudge costs a poll's wait, never the
//! work: each loop looks again by itself.
//!
//! Some bells ring on the other nodes, too (see `store/notices.rs`). PostgreSQL lets one transaction with a notice commit at
//! a time, whatever it is about, so these are the bells of what people do: a dispatch, a new mailbox, a binding. What
//! each message brings (an event, a bounce) rings at the node that wrote it, which acts on it; the others look now and then
//! whether it has died.

use std::sync::Arc;

use tokio::sync::Notify;

/// Which loop has something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// Sends became due.
    Dispatch,
    /// Mailboxes were added, or stored messages wait.
    Inbox,
    /// A provider's request waits to be read again.
    Inbound,
    /// A bounce policy has to be asked.
    Health,
    /// The outbox grew.
    Events,
    /// Something that is marked deleted is left to be swept.
    Deletions,
    /// Other extensions are bound.
    Bindings,
}

impl Wake {
    /// The bells that ring on every node.
    pub const OF_ALL_NODES: [Self; 3] = [Self::Dispatch, Self::Inbox, Self::Bindings];

    /// The word by which other nodes are told; none for a bell of one node.
    pub const fn told_as(self) -> Option<&'static str> {
        match self {
            Self::Dispatch => Some("dispatch"),
            Self::Inbox => Some("inbox"),
            Self::Bindings => Some("bindings"),
            Self::Inbound | Self::Health | Self::Events | Self::Deletions => None,
        }
    }
}

/// One bell a loop.
#[derive(Debug, Clone, Default)]
pub struct Wakeups {
    bells: Arc<[Notify; 7]>,
}

impl Wakeups {
    /// Rings; the next (or the present) [`Wakeups::wait`] returns.
    pub fn ring(&self, wake: Wake) {
        self.bells[wake as usize].notify_one();
    }

    /// Waits for the bell of one loop. Each bell has one listener.
    pub async fn wait(&self, wake: Wake) {
        self.bells[wake as usize].notified().await;
    }
}
