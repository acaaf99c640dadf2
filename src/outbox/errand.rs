//! An errand: the way of one account's newest change to one place, tried until it has arrived.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use tokio::time::sleep_until;

use super::counter;
use super::steps::{Place, REDIS, Report};
use super::{Errands, Subject};
use crate::sessions::kick::{Kicker, Progress, Target};
use crate::sessions::pursuit::Pursuit;
use crate::telemetry::metrics;

/// Before what failed is tried again; doubled each time, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Errand {
    way: Way,
    pauses: Pauses,
    begun: Instant,
    due: Instant,
    pub(super) report: Report,
}

#[derive(Debug)]
enum Way {
    Counter,
    Kick { kicker: Arc<Kicker>, pursuit: Pursuit },
}

impl Errand {
    pub(super) fn to_redis() -> Self {
        Self::new(Way::Counter, None)
    }

    pub(super) fn to_dovecot(kicker: Arc<Kicker>) -> Self {
        let pursuit = Pursuit::new(kicker.flushes());
        Self::new(Way::Kick { kicker, pursuit }, Some(0))
    }

    fn new(way: Way, count: Option<u64>) -> Self {
        let report = Report { done: false, count, note: None };
        let begun = Instant::now();
        Self { way, pauses: Pauses::new(), begun, due: begun, report }
    }

    pub(super) fn place(&self) -> Place {
        match &self.way {
            Way::Counter => Place::Redis,
            Way::Kick { kicker, .. } => Place::Dovecot { name: kicker.name().to_owned(), flushes: kicker.flushes() },
        }
    }

    /// Whether it goes on so soon.
    pub(super) fn is_due_within(&self, time: Duration) -> bool {
        !self.report.done && self.due <= Instant::now() + time
    }

    /// Waits until it is due, and does what can be done then.
    pub(super) async fn attempt(mut self, errands: Arc<Errands>, subject: Arc<Subject>) -> Self {
        sleep_until(self.due.into()).await;
        match &mut self.way {
            Way::Counter => {
                let raised = counter::raise(&errands, &subject).await;
                self.settle(raised.map(|()| Progress::Done).map_err(|error| error.to_string()), REDIS);
            }
            Way::Kick { kicker, pursuit } => {
                let (user, generation) = (subject.user.clone(), subject.generation);
                let target = Target { user, generation, known: self.begun };
                let advanced = kicker.advance(pursuit, &target, &errands.claims).await;
                metrics::sessions_ended(kicker.name(), pursuit.ended() - self.report.count.unwrap_or(0));
                self.report.count = Some(pursuit.ended());
                let stuck = pursuit.stuck();
                let kicker = Arc::clone(kicker);
                if advanced.is_err() {
                    metrics::kick_failed(kicker.name());
                }
                self.settle(advanced.map_err(|error| error.to_string()), kicker.name());
                if !stuck.is_empty() && self.report.note.is_none() && !self.report.done {
                    self.report.note = Some(format!("told to end, but still there: process {stuck:?} of Dovecot"));
                }
            }
        }
        self
    }

    fn settle(&mut self, attempted: Result<Progress, String>, place: &str) {
        match attempted {
            Ok(Progress::Done) => self.report = Report { done: true, note: None, ..self.report },
            Ok(Progress::Again(at)) => {
                self.due = at;
                self.report.note = None;
                self.pauses = Pauses::new();
            }
            Err(note) => {
                tracing::debug!(place, note, "a change has not arrived yet");
                self.due = Instant::now() + self.pauses.next();
                self.report.note = Some(note);
            }
        }
    }
}

#[derive(Debug)]
struct Pauses(ExponentialBackoff);

impl Pauses {
    fn new() -> Self {
        let pauses = ExponentialBuilder::new().with_min_delay(FIRST_PAUSE).with_max_delay(LONGEST_PAUSE);
        Self(pauses.with_jitter().without_max_times().build())
    }

    fn next(&mut self) -> Duration {
        // Jitter comes on top of the longest.
        self.0.next().map_or(LONGEST_PAUSE, |pause| pause.min(LONGEST_PAUSE))
    }
}
