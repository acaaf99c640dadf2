//! A group: all open rows of one subject. Its newest generation is what every place is brought to, so one errand to a
//! place settles all of them there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::errand::Errand;
use super::keeper::Keeper;
use super::steps::{self, Place, Report};
use super::{Errands, Open, Subject};
use crate::account::{CredentialName, Generation, RowNumber, Username};
use crate::store::{Delivery, EVERYONE, StepState};

/// If no place has answered by then, the store is told all the same what is pending: somebody waits for the receipt.
const FIRST_WORD: Duration = Duration::from_millis(200);
/// What will be known within so long is waited for before the receipt is given out.
const A_MOMENT: Duration = Duration::from_millis(150);
/// A store that takes longer to keep what is known must not hold up what is to be done; it is told again.
const STORE_PATIENCE: Duration = Duration::from_secs(1);

/// Works on the rows until they are complete or `stop`, and gives those of which the store does not know that.
/// `attempted` becomes true once each place was tried.
pub(super) async fn deliver(
    errands: Arc<Errands>,
    keeper: Keeper,
    mut rows: Vec<Open>,
    attempted: Arc<AtomicBool>,
    stop: CancellationToken,
) -> Vec<Open> {
    let Some(subject) = subject(&rows).map(Arc::new) else {
        tracing::error!(rows = rows.len(), "changes of what is no account's name are not delivered");
        return Vec::new();
    };
    let places = errands.places();
    let mut counted = BTreeMap::new();
    for Open { delivery, kept } in &mut rows {
        *kept &= !steps::plan(delivery, &places);
        for place in &places {
            counted.insert((delivery.row.number, place.clone()), steps::count(delivery, place));
        }
    }
    let mut group = Group { subject, errands, keeper, rows, counted };
    tokio::select! {
        () = group.work(&places, &attempted) => {}
        () = stop.cancelled() => {}
    }
    group.rows.retain(|open| !(open.delivery.complete && open.kept));
    group.rows
}

/// What the rows are about; `None` if no name that could be meant is there, which must not be taken for everybody.
fn subject(rows: &[Open]) -> Option<Subject> {
    let rows = || rows.iter().map(|open| &open.delivery.row);
    let name = rows().next()?.subject.as_str();
    let user = if name == EVERYONE { None } else { Some(Username::parse(name, None).ok()?) };
    let generation = rows().map(|row| row.number).max()?;
    let newest = rows().map(|row| (row.credential.unwrap_or(CredentialName::Main), row.clone()));
    Some(Subject { user, generation: Generation(generation.0), newest: newest.collect() })
}

struct Group {
    errands: Arc<Errands>,
    keeper: Keeper,
    subject: Arc<Subject>,
    /// Oldest first.
    rows: Vec<Open>,
    /// What was counted of a row at a place before this group took it up.
    counted: BTreeMap<(RowNumber, Place), u64>,
}

impl Group {
    async fn work(&mut self, places: &[Place], attempted: &AtomicBool) {
        let open = places.iter().filter(|place| self.rows.iter().any(|open| place.is_open(&open.delivery)));
        let mut unattempted: BTreeSet<Place> = open.cloned().collect();
        // What is in it ends with it.
        let mut under_way = JoinSet::new();
        for errand in unattempted.iter().filter_map(|place| self.errands.errand(place)) {
            under_way.spawn(errand.attempt(Arc::clone(&self.errands), Arc::clone(&self.subject)));
        }
        if under_way.is_empty() {
            self.keep().await;
            return self.announce(attempted);
        }
        let mut patience = FIRST_WORD;
        loop {
            let back = timeout(patience, back(&mut under_way)).await.unwrap_or_default();
            if back.is_empty() && under_way.is_empty() {
                return;
            }
            for errand in back {
                let place = errand.place();
                self.note(&place, &errand.report);
                // Who waits for the receipt waits for what will be known in a moment: whether a kick has worked.
                if !errand.is_due_within(A_MOMENT) {
                    unattempted.remove(&place);
                }
                if !errand.report.done {
                    under_way.spawn(errand.attempt(Arc::clone(&self.errands), Arc::clone(&self.subject)));
                }
            }
            let kept = if under_way.is_empty() {
                self.keep().await;
                true
            } else {
                timeout(STORE_PATIENCE, self.keep()).await.is_ok()
            };
            patience = if kept { Duration::MAX } else { STORE_PATIENCE };
            if kept && unattempted.is_empty() {
                self.announce(attempted);
            }
        }
    }

    fn announce(&self, attempted: &AtomicBool) {
        if !attempted.swap(true, Ordering::Relaxed) {
            for open in &self.rows {
                self.errands.revocation.announce(open.delivery.row.number);
            }
        }
    }

    fn note(&mut self, place: &Place, report: &Report) {
        let now = Timestamp::now();
        for Open { delivery, kept } in &mut self.rows {
            let before = self.counted.get(&(delivery.row.number, place.clone())).copied().unwrap_or(0);
            let count = report.count.map(|count| count + before);
            *kept &= !steps::report(delivery, place, &Report { count, ..report.clone() }, now);
        }
    }

    /// The store may be away; what has arrived has arrived.
    async fn keep(&mut self) {
        let news: Vec<_> = self.rows.iter().filter(|open| !open.kept).map(|open| open.delivery.clone()).collect();
        if news.is_empty() || !self.keeper.keep(news).await {
            return;
        }
        for Open { delivery, kept } in self.rows.iter_mut().filter(|open| !open.kept) {
            *kept = true;
            if has_arrived(delivery) {
                let Delivery { row, .. } = delivery;
                tracing::info!(receipt = row.number.0, user = %row.subject, "change delivered everywhere");
            }
        }
    }
}

/// Whether there was somewhere to go beside the store, and it is there.
fn has_arrived(delivery: &Delivery) -> bool {
    delivery.steps.len() > 1 && delivery.steps.iter().all(|step| step.state == StepState::Done)
}

/// Waits for the first to come back, and gives all that are back by then; none if none is left.
async fn back(under_way: &mut JoinSet<Errand>) -> Vec<Errand> {
    let mut back = Vec::new();
    let mut next = under_way.join_next().await;
    while let Some(ended) = next {
        match ended {
            Ok(errand) => back.push(errand),
            Err(error) => tracing::error!(%error, "an errand broke off; it begins again with the next look"),
        }
        next = under_way.try_join_next();
    }
    back
}
