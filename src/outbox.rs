//! Outbox: brings every change that voids something to where that matters: Redis' counter, and the sessions in each
//! Dovecot.
//!
//! A row of the log is open from its commit until all of it has arrived; what has arrived is kept with it, and is its
//! receipt. Whatever is open is taken up again at the next start, so everything here may be done twice.
//!
//! Trusts: the store, for what is open; each place, in what it says of itself.
//! Fails:  never for good. What is away is tried again, and the receipt says meanwhile what is the matter.
//! Limits: works on [`ROWS`] rows at a time. Beyond that some that were tried wait in the store until others are done.

mod counter;
mod errand;
mod group;
mod keeper;
mod steps;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::account::{CredentialName, Generation, RowNumber, Username};
use crate::revocation::Revocation;
use crate::revocation::redis::Counter;
use crate::sessions::kick::Kicker;
use crate::sessions::live::Live;
use crate::store::{Delivery, Row, Store};
use crate::telemetry::metrics;
use errand::Errand;
use keeper::{Keeper, Writer};
use steps::Place;

/// Rows worked on at a time.
const ROWS: usize = 20_000;
/// Rows read at once.
const PAGE: usize = 500;
/// A commit wakes the outbox; other processes' commits are found by looking.
const LOOK: Duration = Duration::from_secs(1);

/// What errands are run with.
#[derive(Debug)]
pub struct Errands {
    pub store: Arc<dyn Store>,
    pub revocation: Arc<Revocation>,
    /// `None` without `[redis]`.
    pub counter: Option<Counter>,
    pub kickers: Vec<Arc<Kicker>>,
    /// Which mail processes claimed which login.
    pub claims: Arc<Live>,
}

#[derive(Debug)]
pub struct Outbox {
    errands: Arc<Errands>,
    keeper: Keeper,
    writer: Option<Writer>,
    groups: HashMap<String, Active>,
    /// How many rows those have.
    rows: usize,
    working: JoinSet<Vec<Open>>,
    subjects: HashMap<Id, String>,
    /// Everything up to here was read.
    read: RowNumber,
    /// And there was nothing more then.
    read_all: bool,
    /// Some of it is not worked on, for want of room.
    left_behind: bool,
    /// The store did not say what is open when it was last asked.
    is_blind: bool,
    room: usize,
}

/// Whose generation is raised, and to what.
#[derive(Debug)]
struct Subject {
    /// `None` is everybody.
    user: Option<Username>,
    generation: Generation,
    /// The newest row of each credential; the main password's is the account's.
    newest: BTreeMap<CredentialName, Row>,
}

/// A row that is worked on.
#[derive(Debug)]
struct Open {
    delivery: Delivery,
    /// The store knows all that is known of it.
    kept: bool,
}

/// A group that is worked on.
#[derive(Debug)]
struct Active {
    rows: BTreeSet<RowNumber>,
    /// Came meanwhile; the group begins anew with them.
    waiting: Vec<Open>,
    attempted: Arc<AtomicBool>,
    stop: CancellationToken,
}

impl Errands {
    fn places(&self) -> Vec<Place> {
        let dovecots = self.kickers.iter().map(|kicker| dovecot(kicker));
        self.counter.iter().map(|_| Place::Redis).chain(dovecots).collect()
    }

    fn errand(&self, place: &Place) -> Option<Errand> {
        match place {
            Place::Redis => Some(Errand::to_redis()),
            Place::Dovecot { .. } => {
                let kicker = self.kickers.iter().find(|kicker| dovecot(kicker) == *place);
                kicker.map(|kicker| Errand::to_dovecot(Arc::clone(kicker)))
            }
        }
    }
}

fn dovecot(kicker: &Kicker) -> Place {
    Place::Dovecot { name: kicker.name().to_owned(), flushes: kicker.flushes() }
}

impl Outbox {
    #[must_use]
    pub fn new(errands: Errands) -> Self {
        let (keeper, writer) = keeper::keeper();
        Self {
            errands: Arc::new(errands),
            keeper,
            writer: Some(writer),
            groups: HashMap::new(),
            rows: 0,
            working: JoinSet::new(),
            subjects: HashMap::new(),
            read: RowNumber::default(),
            read_all: false,
            left_behind: false,
            is_blind: false,
            room: ROWS,
        }
    }

    /// Delivers until `stop`; what is not done by then is open still.
    pub async fn run(mut self, stop: CancellationToken) {
        let revocation = Arc::clone(&self.errands.revocation);
        let store = Arc::clone(&self.errands.store);
        let _writing = self.writer.take().map(|writer| AbortOnDropHandle::new(tokio::spawn(writer.run(store))));
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = revocation.woken() => {}
                _ = look.tick() => {}
                Some(ended) = self.working.join_next_with_id() => {
                    self.ended(ended);
                    if self.read_all {
                        continue;
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.take_up() => {}
            }
        }
    }

    async fn take_up(&mut self) {
        if self.left_behind && self.rows <= self.room / 2 {
            (self.read, self.left_behind) = (RowNumber::default(), false);
        }
        self.read_all = false;
        while !self.read_all && self.has_room() {
            let limit = u32::try_from(self.page()).unwrap_or(u32::MAX);
            let page = match self.errands.store.undelivered(self.read, limit).await {
                Ok(page) => page,
                Err(error) => {
                    if !std::mem::replace(&mut self.is_blind, true) {
                        tracing::warn!(%error, "cannot look for changes to deliver; trying again each second");
                    }
                    return;
                }
            };
            if std::mem::take(&mut self.is_blind) {
                tracing::info!("changes to deliver are looked for again");
            }
            self.read_all = page.is_empty();
            for delivery in page {
                self.read = delivery.row.number;
                self.add(delivery);
            }
        }
        metrics::outbox_open(self.rows);
    }

    fn add(&mut self, delivery: Delivery) {
        match self.groups.get_mut(&delivery.row.subject) {
            Some(active) if active.rows.contains(&delivery.row.number) => {}
            Some(active) => {
                active.rows.insert(delivery.row.number);
                self.rows += 1;
                active.waiting.push(Open { delivery, kept: true });
                active.stop.cancel();
            }
            None => self.begin(vec![Open { delivery, kept: true }]),
        }
    }

    fn begin(&mut self, mut rows: Vec<Open>) {
        // Of what was read twice, the first knows more.
        rows.sort_by_key(|open| open.delivery.row.number);
        rows.dedup_by_key(|open| open.delivery.row.number);
        let Some(subject) = rows.first().map(|open| open.delivery.row.subject.clone()) else { return };
        let active = Active {
            rows: rows.iter().map(|open| open.delivery.row.number).collect(),
            waiting: Vec::new(),
            attempted: Arc::default(),
            stop: CancellationToken::new(),
        };
        let (errands, keeper) = (Arc::clone(&self.errands), self.keeper.clone());
        let (attempted, stop) = (Arc::clone(&active.attempted), active.stop.clone());
        self.rows += active.rows.len();
        let task = self.working.spawn(group::deliver(errands, keeper, rows, attempted, stop));
        self.subjects.insert(task.id(), subject.clone());
        self.groups.insert(subject, active);
    }

    fn ended(&mut self, ended: Result<(Id, Vec<Open>), JoinError>) {
        let (id, mut left) = ended.unwrap_or_else(|error| {
            tracing::error!(%error, "a delivery broke off; it begins again");
            self.left_behind = true;
            (error.id(), Vec::new())
        });
        let Some(active) = self.subjects.remove(&id).and_then(|subject| self.groups.remove(&subject)) else { return };
        self.rows -= active.rows.len();
        if active.waiting.is_empty() {
            // It was put back, or an errand of it broke off.
            self.left_behind |= !left.is_empty();
        } else {
            left.extend(active.waiting);
            self.begin(left);
        }
    }

    fn page(&self) -> usize {
        PAGE.min(self.room / 4)
    }

    /// Makes room for a page, if that can be had, by putting back groups that were tried: the store keeps what is open.
    fn has_room(&mut self) -> bool {
        let most = self.room.saturating_sub(self.page());
        if self.rows > most {
            let is_tried = |active: &&mut Active| {
                active.attempted.load(Ordering::Relaxed) && active.waiting.is_empty() && !active.stop.is_cancelled()
            };
            for active in self.groups.values_mut().filter(is_tried) {
                active.stop.cancel();
                self.rows -= std::mem::take(&mut active.rows).len();
                self.left_behind = true;
                if self.rows <= most {
                    break;
                }
            }
        }
        self.rows <= most
    }
}
