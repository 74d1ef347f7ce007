//! Wake-ups inside one process: who writes a fact nudges the loop that acts on it, after the commit. A lost nudge costs a
//! poll's wait, never the work: each loop looks again by itself.

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
}

/// One bell a loop.
#[derive(Debug, Clone, Default)]
pub struct Wakeups {
    bells: Arc<[Notify; 6]>,
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
