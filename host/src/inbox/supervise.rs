//! One watcher for each mailbox that this node holds the lease of. Mailboxes come, go and change their settings; other
//! nodes die and leave theirs. It looks at all of that every few seconds and when a bell rings.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::turns::Turns;
use super::watch::{self, Watched};
use crate::app::App;
use crate::domain::credential::Endpoint;
use crate::domain::ids::CredentialId;
use crate::rounds::{self, Next};
use crate::store::mailboxes::{self, Hold};
use crate::store::{Result, StoreError, credentials};
use crate::wake::Wake;

/// Mailboxes of one node.
const MOST_MAILBOXES: usize = 2_000;

/// A running watcher. Dropped, it stops.
struct Watcher {
    generation: u32,
    endpoint: Endpoint,
    task: JoinHandle<()>,
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(super) async fn run(app: &App, shutdown: &CancellationToken, stored: &Arc<Notify>) {
    let turns = Turns::new(Arc::clone(stored));
    let watchers = tokio::sync::Mutex::new(HashMap::new());
    let round = || async {
        reconcile(app, &turns, &mut *watchers.lock().await, MOST_MAILBOXES).await?;
        // Messages may have been stored by hand (a replay): the bell is for the applier, too.
        stored.notify_one();
        Ok::<_, StoreError>(Next::At(app.clock.now().plus(app.lease() / 3)))
    };
    rounds::keep("inbox", &app.clock, shutdown, round, || app.store.wakeups().wait(Wake::Inbox)).await;
    drop(watchers);
    if let Err(error) = release(app).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "Mailboxes could not be released; their leases end soon"
        );
    }
}

/// Starts, stops and restarts watchers, so that they are as the store says, and at most `most`.
async fn reconcile(app: &App, turns: &Turns, watchers: &mut HashMap<CredentialId, Watcher>, most: usize) -> Result<()> {
    let now = app.clock.now();
    let limit = i64::try_from(most).unwrap_or(i64::MAX);
    let mut tx = app.store.begin().await?;
    let ours = mailboxes::lease(&mut tx, app.node, now, now.plus(app.lease()), limit).await?;
    let left_out = match ours.len() < most {
        true => 0,
        // Whatever another node has room for is watched within a lease.
        false => mailboxes::note_unwatched(tx.conn(), now.minus(app.lease()), &no_room(most)).await?,
    };
    tx.commit().await?;
    if left_out > 0 {
        tracing::warn!(mailboxes = left_out, "Mailboxes are not watched, because no node has room for them");
    }

    let mut wanted = HashMap::with_capacity(ours.len());
    let mut conn = app.store.read().await?;
    for mailbox in ours {
        let credential = match credentials::get(&mut conn, mailbox.credential_id).await {
            // A row that can't be read, as a newer version or a hand may leave it, is nobody else's trouble.
            Err(error) if !error.is_passing() => {
                tracing::warn!(credential.id = %mailbox.credential_id, error = &error as &dyn std::error::Error,
                    "A mailbox is not watched, because its credential can't be read");
                continue;
            }
            found => found?,
        };
        if let Some(endpoint) = credential.and_then(|credential| credential.imap) {
            wanted.insert(mailbox.credential_id, (mailbox, endpoint));
        }
    }
    watchers.retain(|id, watcher| {
        let is_wanted = wanted.get(id).is_some_and(|(mailbox, endpoint)| {
            mailbox.generation == watcher.generation && *endpoint == watcher.endpoint
        });
        is_wanted && !watcher.task.is_finished()
    });
    for (id, (mailbox, endpoint)) in wanted {
        if watchers.contains_key(&id) {
            continue;
        }
        let generation = mailbox.generation;
        let hold = Hold { credential_id: id, generation, owner: app.node };
        let watched = Watched { hold, account_id: mailbox.account_id, endpoint: endpoint.clone() };
        let task = tokio::spawn(watch::run(app.clone(), watched, turns.clone()));
        watchers.insert(id, Watcher { generation, endpoint, task });
    }
    Ok(())
}

fn no_room(most: usize) -> String {
    format!("no node has room for this mailbox: each watches {most} mailboxes; start one more node")
}

async fn release(app: &App) -> Result<()> {
    let mut tx = app.store.begin().await?;
    mailboxes::release(tx.conn(), app.node).await?;
    tx.wake(Wake::Inbox);
    tx.commit().await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::test_support::TestApp;

    #[tokio::test]
    async fn a_mailbox_that_no_node_has_room_for_says_so() {
        let app = TestApp::start().await;
        let account = app.account().await;
        let made = [app.sender(account, Some(1)).await.credential, app.sender(account, Some(1)).await.credential];
        let turns = Turns::new(Arc::default());
        let mut watchers = HashMap::new();
        reconcile(&app, &turns, &mut watchers, 1).await.unwrap();
        assert_eq!(watchers.len(), 1);
        let left_out = *made.iter().find(|id| !watchers.contains_key(*id)).unwrap();
        let told = async || {
            let mailbox = mailboxes::mailbox(&mut app.store.read().await.unwrap(), left_out).await.unwrap();
            mailbox.unwrap().last_error
        };
        assert_eq!(told().await, None, "another node may take it");
        app.clock.advance(app.lease() + Duration::from_secs(1));
        reconcile(&app, &turns, &mut watchers, 1).await.unwrap();
        assert!(told().await.unwrap().starts_with("no node has room for this mailbox"));
    }
}
