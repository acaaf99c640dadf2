//! What a row has to bring about, and where: the steps of its receipt.

use jiff::Timestamp;

use crate::store::{ChangeKind, Delivery, Step, StepKind, StepState};

/// What the counter's step calls its place.
pub(super) const REDIS: &str = "redis";
const STORE: &str = "store";

/// Somewhere a row has to arrive.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Redis,
    Dovecot { name: String, flushes: bool },
}

impl Place {
    fn name(&self) -> &str {
        match self {
            Self::Redis => REDIS,
            Self::Dovecot { name, .. } => name,
        }
    }

    /// What has to be done there, in this order.
    fn kinds(&self) -> &'static [StepKind] {
        match self {
            Self::Redis => &[StepKind::Counter],
            Self::Dovecot { flushes: true, .. } => &[StepKind::CacheFlush, StepKind::Kick],
            Self::Dovecot { flushes: false, .. } => &[StepKind::Kick],
        }
    }

    /// Whether a row of this kind has to arrive there. A new account has no sessions: those of one of its name before
    /// it ended with that one's removal.
    fn is_for(&self, kind: ChangeKind) -> bool {
        *self == Self::Redis || kind != ChangeKind::AccountAdded
    }

    /// The steps of a row that are taken here.
    fn is_of(&self, step: &Step) -> bool {
        step.place == self.name() && self.kinds().contains(&step.what)
    }

    /// Whether anything of the row is still to be done here.
    pub(super) fn is_open(&self, delivery: &Delivery) -> bool {
        delivery.steps.iter().any(|step| self.is_of(step) && step.state == StepState::Pending)
    }
}

/// How a place has fared so far with what is still to be done there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) done: bool,
    /// What of it was ended by now, where that can be counted.
    pub(super) count: Option<u64>,
    /// Why it is not done.
    pub(super) note: Option<String>,
}

/// Gives the row a step for everything that has to be done, beside those that it has; gives whether that is news.
pub(super) fn plan(delivery: &mut Delivery, places: &[Place]) -> bool {
    let (known, was_complete) = (delivery.steps.clone(), delivery.complete);
    let mut steps = vec![step(StepKind::Stored, STORE, StepState::Done, Some(0))];
    for place in places.iter().filter(|place| place.is_for(delivery.row.kind)) {
        steps.extend(place.kinds().iter().map(|kind| step(*kind, place.name(), StepState::Pending, None)));
    }
    for planned in &mut steps {
        let taken = known.iter().find(|known| known.what == planned.what && known.place == planned.place);
        if let Some(taken) = taken.filter(|taken| taken.state != StepState::Failed) {
            planned.clone_from(taken);
        }
    }
    let is_planned = |step: &Step| steps.iter().any(|planned| planned.what == step.what && planned.place == step.place);
    let gone: Vec<_> = known.iter().filter(|step| !is_planned(step)).cloned().map(given_up).collect();
    delivery.steps = steps.into_iter().chain(gone).collect();
    settle(delivery);
    delivery.steps != known || delivery.complete != was_complete
}

/// Writes down how a place has fared with the row; gives whether that is news.
pub(super) fn report(delivery: &mut Delivery, place: &Place, report: &Report, now: Timestamp) -> bool {
    let ms = u64::try_from(now.as_millisecond() - delivery.row.at.as_millisecond()).unwrap_or(0);
    let mut news = false;
    for step in delivery.steps.iter_mut().filter(|step| place.is_of(step) && step.state == StepState::Pending) {
        let before = step.clone();
        if report.done {
            step.state = StepState::Done;
            step.ms = Some(ms);
        }
        step.note.clone_from(&report.note);
        step.count = if step.what == StepKind::Kick { report.count } else { None };
        news |= *step != before;
    }
    settle(delivery);
    news
}

/// What was counted of the row at a place so far.
pub(super) fn count(delivery: &Delivery, place: &Place) -> u64 {
    delivery.steps.iter().filter(|step| place.is_of(step)).filter_map(|step| step.count).sum()
}

fn settle(delivery: &mut Delivery) {
    delivery.complete = delivery.steps.iter().all(|step| step.state != StepState::Pending);
}

fn step(what: StepKind, place: &str, state: StepState, ms: Option<u64>) -> Step {
    Step { what, place: place.to_owned(), state, count: None, ms, note: None }
}

/// A place that the configuration no longer names.
fn given_up(step: Step) -> Step {
    if step.state != StepState::Pending {
        return step;
    }
    let note = "is no longer in the configuration, so whatever was open there may be open still".to_owned();
    Step { state: StepState::Failed, note: Some(note), ..step }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::RowNumber;
    use crate::store::{Door, Row};

    fn delivery(kind: ChangeKind) -> Delivery {
        let row = Row {
            number: RowNumber(7),
            subject: "ann@example.org".to_owned(),
            credential: None,
            kind,
            who: "uid:0".to_owned(),
            door: Door::Command,
            origin: None,
            at: Timestamp::UNIX_EPOCH,
        };
        Delivery { row, complete: false, steps: Vec::new() }
    }

    fn places() -> [Place; 3] {
        let dovecot = |name: &str, flushes| Place::Dovecot { name: name.to_owned(), flushes };
        [Place::Redis, dovecot("imap1", false), dovecot("old", true)]
    }

    /// `what where state`, a step each.
    fn shown(delivery: &Delivery) -> Vec<String> {
        delivery.steps.iter().map(|step| format!("{:?} {} {:?}", step.what, step.place, step.state)).collect()
    }

    #[test]
    fn a_change_goes_everywhere_and_a_new_account_to_redis_alone() {
        let mut change = delivery(ChangeKind::PasswordSet);
        plan(&mut change, &places());
        assert_eq!(
            shown(&change),
            [
                "Stored store Done",
                "Counter redis Pending",
                "Kick imap1 Pending",
                "CacheFlush old Pending",
                "Kick old Pending"
            ]
        );
        let mut new = delivery(ChangeKind::AccountAdded);
        plan(&mut new, &places());
        assert_eq!(shown(&new), ["Stored store Done", "Counter redis Pending"]);
        let mut alone = delivery(ChangeKind::PasswordSet);
        plan(&mut alone, &[]);
        assert!(alone.complete);
    }

    #[test]
    fn what_is_done_stays_done_whatever_comes_later() {
        let [redis, imap1, old] = places();
        let mut change = delivery(ChangeKind::PasswordSet);
        plan(&mut change, &[redis.clone(), imap1.clone(), old.clone()]);
        let done = Report { done: true, count: Some(3), note: None };
        let now = Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_millis(250);
        assert!(report(&mut change, &imap1, &done, now));
        assert!(!report(&mut change, &imap1, &Report { count: Some(9), ..done.clone() }, now), "it was done");
        let late = Report { done: false, count: None, note: Some("no answer".to_owned()) };
        assert!(report(&mut change, &old, &late, now));
        assert!(!report(&mut change, &old, &late, now), "nothing new");

        plan(&mut change, &[redis, imap1.clone()]);
        assert_eq!(
            shown(&change),
            [
                "Stored store Done",
                "Counter redis Pending",
                "Kick imap1 Done",
                "CacheFlush old Failed",
                "Kick old Failed"
            ]
        );
        let kick = change.steps.iter().find(|step| step.place == "imap1").expect("it was planned");
        assert_eq!((kick.count, kick.ms), (Some(3), Some(250)));
        assert!(!change.complete);
        assert!(report(&mut change, &Place::Redis, &done, now));
        assert!(change.complete, "what has failed is not waited for");
        assert!(!imap1.is_open(&change));
    }

    #[test]
    fn a_dovecot_that_is_configured_again_is_tried_again() {
        let [_, imap1, _] = places();
        let mut change = delivery(ChangeKind::PasswordSet);
        plan(&mut change, std::slice::from_ref(&imap1));
        plan(&mut change, &[Place::Redis]);
        assert!(!imap1.is_open(&change));
        plan(&mut change, &[Place::Redis, imap1.clone()]);
        assert!(imap1.is_open(&change));
    }
}
