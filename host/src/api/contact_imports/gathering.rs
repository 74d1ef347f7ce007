//! Contacts between the reading of an import and its writing. An index over addresses is visited at random places where a
//! list is in no order, and each place costs a page that is read and written for one contact. So what is read while
//! something else is written is put in the order of the index before it is written itself: of ten times as many contacts
//! ten times as many stand on a page. A list that comes in slowly is written chunk by chunk as it comes.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::json::Stopped;
use super::writing::CHUNK;
use crate::store::contacts::NewContact;

/// Contacts of one batch: as they grow, batches gain ever less and take memory.
const LARGEST_BATCH: usize = 6 * CHUNK;
/// Memory of all that waits to be written, beside a chunk of each import: what two of the largest batches of usual
/// contacts take, one that is written and one that is read.
const ROOM_BYTES: usize = 16 * 1024 * 1024;

/// The room that all imports share.
#[derive(Debug, Clone)]
pub(in crate::api) struct Room(Arc<Semaphore>);

/// Where the reader of an import puts its contacts.
pub(super) struct Gatherer {
    room: Room,
    filled: mpsc::Sender<Batch>,
    wanted: Arc<Semaphore>,
    batch: Batch,
    /// What the contacts since the last whole chunk take.
    bytes: usize,
}

/// Where its writer finds them.
pub(super) struct Batches {
    filled: mpsc::Receiver<Batch>,
    wanted: Arc<Semaphore>,
}

/// Contacts that are written together, in the order of the index.
#[derive(Debug, Default)]
pub(super) struct Batch {
    contacts: Vec<NewContact>,
    /// Records of the list up to its beginning and up to its end.
    began_at: u64,
    records: u64,
    room: Option<OwnedSemaphorePermit>,
}

/// Both ends, for one import.
pub(super) fn gathering(room: &Room) -> (Gatherer, Batches) {
    let (sender, receiver) = mpsc::channel(1);
    let wanted = Arc::new(Semaphore::new(0));
    let gatherer =
        Gatherer { room: room.clone(), filled: sender, wanted: Arc::clone(&wanted), batch: Batch::default(), bytes: 0 };
    (gatherer, Batches { filled: receiver, wanted })
}

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ROOM_BYTES)))
    }
}

impl Gatherer {
    /// Takes a contact, up to which so many records were read; true when it is time to [hand over](Self::hand_over).
    pub(super) fn take(&mut self, contact: NewContact, records: u64) -> bool {
        self.bytes += bytes_of(&contact);
        let contacts = &mut self.batch.contacts;
        if contacts.len() == contacts.capacity() {
            // Doubled, it would take three times what stands in it while it moves.
            contacts.reserve_exact(CHUNK);
        }
        contacts.push(contact);
        self.batch.records = records;
        let count = self.batch.contacts.len();
        count.is_multiple_of(CHUNK)
            && (count >= LARGEST_BATCH || self.wanted.available_permits() > 0 || !self.take_room())
    }

    /// Gives what was gathered to the writer, once it wants more. The error: it wants no more, ever.
    pub(super) async fn hand_over(&mut self) -> Result<(), Stopped> {
        self.wanted.acquire().await.map_err(|_| Stopped)?.forget();
        let began_at = self.batch.records;
        self.bytes = 0;
        let batch = std::mem::replace(&mut self.batch, Batch { began_at, records: began_at, ..Batch::default() });
        self.filled.send(batch).await.map_err(|_| Stopped)
    }

    /// Gives the rest, and tells the writer that nothing comes after it.
    pub(super) async fn finish(mut self) -> Result<(), Stopped> {
        if self.batch.contacts.is_empty() { Ok(()) } else { self.hand_over().await }
    }

    /// Takes room for the contacts since the last whole chunk, so that more may follow; false when there is none.
    fn take_room(&mut self) -> bool {
        let bytes = u32::try_from(std::mem::take(&mut self.bytes)).unwrap_or(u32::MAX);
        let Ok(more) = Arc::clone(&self.room.0).try_acquire_many_owned(bytes) else { return false };
        match &mut self.batch.room {
            Some(room) => room.merge(more),
            empty => *empty = Some(more),
        }
        true
    }
}

impl Batches {
    /// The next one; none when all are written.
    pub(super) async fn next(&mut self) -> Option<Batch> {
        self.wanted.add_permits(1);
        self.filled.recv().await
    }
}

impl Drop for Batches {
    /// Who gathers for a writer that has failed must not wait for it.
    fn drop(&mut self) {
        self.wanted.close();
    }
}

impl Batch {
    /// In the order of the index, as [`insert_many`](crate::store::contacts::insert_many) has it within a chunk. Of two with
    /// one address the first stays first.
    pub(super) fn sorted(mut self) -> Self {
        self.contacts.sort_by(|one, other| {
            let by_domain = one.email.domain().cmp(other.email.domain());
            by_domain.then_with(|| one.email.cmp_keys(&other.email))
        });
        self
    }

    /// What is written in one transaction each, and the records that count as read with it. What was written is let go.
    pub(super) fn into_chunks(self) -> impl Iterator<Item = (Vec<NewContact>, u64)> {
        let Self { contacts, began_at, records, room } = self;
        let (mut contacts, mut written) = (contacts.into_iter(), began_at);
        std::iter::from_fn(move || {
            // It is given back when all is written.
            let _held = &room;
            let chunk: Vec<_> = contacts.by_ref().take(CHUNK).collect();
            written += chunk.len() as u64;
            (!chunk.is_empty()).then(|| (chunk, written.min(records)))
        })
    }
}

fn bytes_of(contact: &NewContact) -> usize {
    let NewContact { id: _, email, first_name, last_name, company } = contact;
    let names = [first_name, last_name, company].into_iter().flatten().map(|name| name.len()).sum::<usize>();
    size_of::<NewContact>() + email.local().len() + email.domain().len() + names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::ContactId;
    use crate::domain::{EmailAddress, Timestamp};

    fn contact(email: &str) -> NewContact {
        let id = ContactId::new(Timestamp::from_millis(0));
        NewContact { id, email: EmailAddress::parse(email).unwrap(), first_name: None, last_name: None, company: None }
    }

    /// Takes so many and gives after which it is time to hand over.
    fn fill(gatherer: &mut Gatherer, count: usize) -> Vec<usize> {
        let email = |n: usize| format!("a{}@b{}.test", count - n, n % 7);
        (1..=count).filter(|&n| gatherer.take(contact(&email(n)), n as u64)).collect()
    }

    #[tokio::test]
    async fn what_is_read_while_something_is_written_is_one_batch_in_the_order_of_the_index() {
        let (mut gatherer, mut batches) = gathering(&Room::default());
        assert_eq!(fill(&mut gatherer, 2 * CHUNK + 1), Vec::<usize>::new(), "the writer is busy");
        let (batch, finished) = tokio::join!(batches.next(), gatherer.finish());
        assert_eq!(finished, Ok(()));
        let batch = batch.unwrap().sorted();
        let chunks: Vec<_> = batch.into_chunks().collect();
        let counts: Vec<_> = chunks.iter().map(|(contacts, records)| (contacts.len(), *records as usize)).collect();
        assert_eq!(counts, [(CHUNK, CHUNK), (CHUNK, 2 * CHUNK), (1, 2 * CHUNK + 1)]);
        let contacts = chunks.iter().flat_map(|(contacts, _)| contacts);
        assert!(contacts.map(|contact| (contact.email.domain(), contact.email.key())).is_sorted());
        assert!(batches.next().await.is_none());
    }

    #[tokio::test]
    async fn a_writer_that_waits_is_given_whole_chunks_at_once() {
        let (mut gatherer, mut batches) = gathering(&Room::default());
        let writing = tokio::spawn(async move { batches.next().await });
        while gatherer.wanted.available_permits() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(fill(&mut gatherer, CHUNK), [CHUNK]);
        gatherer.hand_over().await.unwrap();
        assert_eq!(writing.await.unwrap().unwrap().contacts.len(), CHUNK);
    }

    #[tokio::test]
    async fn where_there_is_no_room_a_chunk_waits_for_its_writer() {
        let room = Room(Arc::new(Semaphore::new(0)));
        let (mut gatherer, batches) = gathering(&room);
        assert_eq!(fill(&mut gatherer, CHUNK), [CHUNK]);
        drop(batches);
        assert_eq!(gatherer.hand_over().await, Err(Stopped), "nobody waits for a writer that has failed");
    }

    #[tokio::test]
    async fn room_is_given_back_with_what_was_written() {
        let room = Room::default();
        let (mut gatherer, mut batches) = gathering(&room);
        assert_eq!(fill(&mut gatherer, LARGEST_BATCH), [LARGEST_BATCH]);
        assert!(room.0.available_permits() < ROOM_BYTES);
        let (batch, _) = tokio::join!(batches.next(), gatherer.hand_over());
        drop(batch);
        assert_eq!(room.0.available_permits(), ROOM_BYTES);
    }
}
