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
use super::steps::{self, Place, Report};
use super::{Errands, Subject};
use crate::account::{CredentialName, Generation, RowNumber, Username};
use crate::store::{Delivery, EVERYONE};

/// If no place has answered by then, the store is told all the same what is pending: somebody waits for the receipt.
const FIRST_WORD: Duration = Duration::from_millis(200);
/// Before it is tried again to keep what the store would not keep.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// Works on the rows until they are complete or `stop`, and gives those of which the store does not know that. `attempted` becomes true
/// once each place was tried.
pub(super) async fn deliver(
    errands: Arc<Errands>,
    mut rows: Vec<Delivery>,
    attempted: Arc<AtomicBool>,
    stop: CancellationToken,
) -> Vec<Delivery> {
    let Some(subject) = subject(&rows).map(Arc::new) else {
        tracing::error!(rows = rows.len(), "changes of what is no account's name are not delivered");
        return Vec::new();
    };
    let places = errands.places();
    let mut counted = BTreeMap::new();
    for delivery in &mut rows {
        steps::plan(delivery, &places);
        for place in &places {
            counted.insert((delivery.row.number, place.clone()), steps::count(delivery, place));
        }
    }
    let mut group = Group { subject, errands, rows, counted, kept: false, told: BTreeSet::new() };
    tokio::select! {
        () = group.work(&places, &attempted) => {}
        () = stop.cancelled() => {}
    }
    if group.kept {
        group.rows.retain(|row| !row.complete);
    }
    group.rows
}

/// What the rows are about; `None` if no name that could be meant is there, which must not be taken for everybody.
fn subject(rows: &[Delivery]) -> Option<Subject> {
    let name = rows.first()?.row.subject.as_str();
    let user = if name == EVERYONE { None } else { Some(Username::parse(name, None).ok()?) };
    let generation = rows.iter().map(|delivery| delivery.row.number).max()?;
    let newest = rows.iter().map(|delivery| {
        let row = &delivery.row;
        (row.credential.unwrap_or(CredentialName::Main), row.clone())
    });
    Some(Subject { user, generation: Generation(generation.0), newest: newest.collect() })
}

struct Group {
    errands: Arc<Errands>,
    subject: Arc<Subject>,
    /// Oldest first.
    rows: Vec<Delivery>,
    /// What was counted of a row at a place before this group took it up.
    counted: BTreeMap<(RowNumber, Place), u64>,
    /// The store knows all that is known here.
    kept: bool,
    /// Complete, and the log says so.
    told: BTreeSet<RowNumber>,
}

impl Group {
    async fn work(&mut self, places: &[Place], attempted: &AtomicBool) {
        let open = places.iter().filter(|place| self.rows.iter().any(|row| place.is_open(row)));
        let mut unattempted: BTreeSet<Place> = open.cloned().collect();
        // What is in it ends with it.
        let mut under_way = JoinSet::new();
        for errand in unattempted.iter().filter_map(|place| self.errands.errand(place)) {
            under_way.spawn(errand.attempt(Arc::clone(&self.errands), Arc::clone(&self.subject)));
        }
        self.told = self.rows.iter().filter(|delivery| delivery.complete).map(|delivery| delivery.row.number).collect();
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
            let mut news = back.is_empty();
            for errand in back {
                let place = errand.place();
                news |= self.note(&place, &errand.report);
                unattempted.remove(&place);
                if !errand.report.done {
                    under_way.spawn(errand.attempt(Arc::clone(&self.errands), Arc::clone(&self.subject)));
                }
            }
            if news {
                self.keep().await;
                self.tell_of_complete();
                patience = Duration::MAX;
            }
            if unattempted.is_empty() {
                self.announce(attempted);
            }
        }
    }

    fn announce(&self, attempted: &AtomicBool) {
        if !attempted.swap(true, Ordering::Relaxed) {
            for delivery in &self.rows {
                self.errands.revocation.announce(delivery.row.number);
            }
        }
    }

    fn note(&mut self, place: &Place, report: &Report) -> bool {
        let now = Timestamp::now();
        let mut news = false;
        for delivery in &mut self.rows {
            let before = self.counted.get(&(delivery.row.number, place.clone())).copied().unwrap_or(0);
            let count = report.count.map(|count| count + before);
            news |= steps::report(delivery, place, &Report { count, ..report.clone() }, now);
        }
        news
    }

    fn tell_of_complete(&mut self) {
        for Delivery { row, .. } in self.rows.iter().filter(|delivery| delivery.complete) {
            if self.told.insert(row.number) {
                tracing::info!(receipt = row.number.0, user = %row.subject, "change delivered everywhere");
            }
        }
    }

    /// The store may be away; what has arrived has arrived.
    async fn keep(&mut self) {
        self.kept = false;
        while let Err(error) = self.errands.store.settle(&self.rows).await {
            tracing::warn!(%error, "cannot keep how far changes have come; tried again");
            tokio::time::sleep(STORE_PAUSE).await;
        }
        self.kept = true;
    }
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
