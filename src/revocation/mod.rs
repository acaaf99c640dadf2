//! Revocation: every change goes through here, and whether what was granted still holds is asked here.
//!
//! A change enters this process's [`Tail`] before it is acknowledged, so from then on nothing that it voids is honoured
//! here; what other processes commit is found in the log once a second. Nobody is told to forget anything: a grant is
//! held against the tail at each use.
//!
//! Trusts: the store, and nothing that was not read of it to make a grant current.
//! Fails:  to "ask the store", which is slower and never wrong. A commit whose end is not known counts as both.
//! Limits: an account that was changed is remembered for [`LIFETIME`], and of all that were, [`SUBJECTS`].

pub mod clock;
pub mod counter;
pub mod follow;
pub mod redis;
pub mod tail;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, broadcast};
use tokio::time::timeout;

use crate::account::CredentialName;
use crate::store::{
    Author, Change, CommitError, Committed, Delivery, Row, RowNumber, Step, StepKind, StepState, Store, StoreError,
};
pub use clock::BootTime;
use counter::Counters;
pub use tail::{Bounds, Grant, Position, Sharing, Standing, Tail};

/// Longer than anything is granted for without asking the store again.
pub const LIFETIME: Duration = Duration::from_hours(24);
const SUBJECTS: usize = 100_000;
/// Who made a change waits so long for its first delivery.
const DELIVERY_PATIENCE: Duration = Duration::from_millis(500);
/// And so long for the store to say what has become of it.
const READ_PATIENCE: Duration = Duration::from_millis(250);
/// Deliveries announced that a waiting receipt may have missed.
const ANNOUNCEMENTS: usize = 256;

/// What is known of changes, and the way to make one.
#[derive(Debug)]
pub struct Revocation {
    store: Arc<dyn Store>,
    tail: Mutex<Tail>,
    to_deliver: Notify,
    attempted: broadcast::Sender<RowNumber>,
    /// `None` without Redis.
    counters: Option<Counters>,
}

/// A change that took place.
#[derive(Debug)]
pub struct Recorded {
    pub committed: Committed,
    /// The row that raised a generation, if one did, and else the last.
    row: Row,
    attempted: broadcast::Receiver<RowNumber>,
}

impl Revocation {
    #[must_use]
    pub fn new(store: Arc<dyn Store>, sharing: Sharing) -> Self {
        let tail = Tail::new(sharing, Bounds { subjects: SUBJECTS, lifetime: LIFETIME });
        let (attempted, _) = broadcast::channel(ANNOUNCEMENTS);
        Self { store, tail: Mutex::new(tail), to_deliver: Notify::new(), attempted, counters: None }
    }

    /// Makes the changes, all or none. It goes on to its end even if nobody waits for it any more, and once it is
    /// answered nothing that it voids is honoured by this process.
    ///
    /// # Errors
    /// As [`Store::commit`]. After a [`StoreError`] nobody knows whether it took place, and the tail says so.
    pub async fn commit(
        self: &Arc<Self>,
        changes: Vec<Change>,
        author: &Author,
        now: Timestamp,
    ) -> Result<Recorded, CommitError> {
        let to_the_end = Arc::clone(self).commit_to_the_end(changes, author.clone(), now);
        let ended = tokio::spawn(to_the_end).await;
        ended.unwrap_or_else(|cause| Err(StoreError { doing: "commit the change", cause: cause.into() }.into()))
    }

    async fn commit_to_the_end(
        self: Arc<Self>,
        changes: Vec<Change>,
        author: Author,
        now: Timestamp,
    ) -> Result<Recorded, CommitError> {
        let change = changes.iter().rfind(|change| change.kind().raises_generation()).or_else(|| changes.last());
        let Some(change) = change else {
            return Err(StoreError { doing: "commit the change", cause: "there is none".into() }.into());
        };
        let subject = change.subject().text();
        let credential = change.credential();
        let under_way = UnderWay::begin(&self, &subject);
        // Its delivery may have been attempted by the time that the commit is known here.
        let attempted = self.attempted.subscribe();
        let committed = match self.store.commit(&changes, &author, now).await {
            Ok(committed) => committed,
            Err(CommitError::Conflict(conflict)) => {
                under_way.abandon();
                return Err(conflict.into());
            }
            Err(error @ CommitError::Store(_)) => return Err(error),
        };
        under_way.enter(credential.unwrap_or(CredentialName::Main), &committed);
        if committed.raised.is_some() {
            self.to_deliver.notify_one();
        }
        let row = Row {
            number: committed.raised.unwrap_or(committed.row),
            subject: subject.into_owned(),
            credential,
            kind: change.kind(),
            who: author.who,
            door: author.door,
            origin: author.origin.map(|origin| origin.to_string()),
            at: now,
        };
        Ok(Recorded { committed, row, attempted })
    }

    /// What has become of a change once its delivery has been attempted, or after half a second.
    pub async fn receipt(&self, recorded: Recorded) -> Delivery {
        if recorded.committed.raised.is_none() {
            return Self::receipt_at_once(recorded);
        }
        let Recorded { row, mut attempted, .. } = recorded;
        // Who missed some of what was announced looks for himself.
        let heard = async { while attempted.recv().await.is_ok_and(|announced| announced != row.number) {} };
        if timeout(DELIVERY_PATIENCE, heard).await.is_err() {
            tracing::debug!(row = %row.number, "a change is answered before its delivery was attempted");
        }
        let known = timeout(READ_PATIENCE, self.store.delivery(row.number)).await;
        let known = known.ok().and_then(Result::ok).flatten().filter(|known| !known.steps.is_empty());
        known.unwrap_or_else(|| only_stored(row, false))
    }

    /// For a change that nobody has to hear of soon: what is sure without waiting.
    #[must_use]
    pub fn receipt_at_once(recorded: Recorded) -> Delivery {
        let Recorded { committed, row, .. } = recorded;
        only_stored(row, committed.raised.is_none())
    }

    /// Waits until there may be something to deliver.
    pub async fn woken(&self) {
        self.to_deliver.notified().await;
    }

    /// Delivery of the row has been attempted everywhere at least once, and what came of it is in the store.
    pub fn announce(&self, row: RowNumber) {
        // Nobody may be waiting.
        let _ = self.attempted.send(row);
    }

    /// To be taken before the store is asked, for the [`Grant`] that comes of its answer.
    #[must_use]
    pub fn position(&self) -> Position {
        self.tail().position()
    }

    /// How a grant stands now.
    #[must_use]
    pub fn standing(&self, grant: &Grant) -> Standing {
        self.tail().standing(grant, BootTime::now())
    }

    /// Whether the store would say that nothing of the grant has changed: known without asking where nobody else writes.
    #[must_use]
    pub fn vouches_for(&self, grant: &Grant) -> bool {
        let tail = self.tail();
        tail.sharing() == Sharing::Sole && tail.standing(grant, BootTime::now()) == Standing::Current
    }

    fn tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A commit that has begun. Unless its end becomes known, it leaves its subject in doubt.
struct UnderWay<'a> {
    revocation: &'a Revocation,
    subject: &'a str,
    ended: bool,
}

impl<'a> UnderWay<'a> {
    fn begin(revocation: &'a Revocation, subject: &'a str) -> Self {
        revocation.tail().begin(subject);
        Self { revocation, subject, ended: false }
    }

    fn enter(mut self, credential: CredentialName, committed: &Committed) {
        let Committed { row, raised, .. } = *committed;
        self.revocation.tail().enter(self.subject, credential, raised, row, BootTime::now());
        self.ended = true;
    }

    fn abandon(mut self) {
        self.revocation.tail().abandon(self.subject);
        self.ended = true;
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.revocation.tail().doubt(self.subject, BootTime::now());
        }
    }
}

/// All that is sure of a row without asking anybody.
fn only_stored(row: Row, complete: bool) -> Delivery {
    let stored = Step {
        what: StepKind::Stored,
        place: "store".to_owned(),
        state: StepState::Done,
        count: None,
        ms: Some(0),
        note: None,
    };
    Delivery { row, complete, steps: vec![stored] }
}
