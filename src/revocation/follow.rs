//! Follow: the log is read once a second, so that nothing another process commits stays unknown for long, and what came
//! to no known end here is cleared up.
//!
//! Rows become visible out of order: a number is given when a row is written, and others see it when its transaction
//! ends. So each sweep begins where the log ended ten seconds before, and no later.
//!
//! Trusts: the store, to end every writing transaction within [`OVERLAP`] of its first row, and to number the rows of one
//!         subject in the order in which they are committed.
//! Fails:  by trying again a second later; the tail knows how old its last reading is.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::Revocation;
use super::clock::BootTime;
use super::tail::OVERLAP;
use crate::store::{Row, RowNumber, StoreError};

/// Rows asked for at once.
pub const PAGE: u32 = 1_000;
const PERIOD: Duration = Duration::from_secs(1);
/// A store that takes longer for a page does not answer; it is asked anew.
const READ_PATIENCE: Duration = Duration::from_secs(2);

impl Revocation {
    /// Reads the log once a second until `stop`.
    pub async fn follow(&self, stop: CancellationToken) {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut follower = None;
        let mut lost = false;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.cancelled() => return,
            }
            let followed = self.follow_once(&mut follower).await;
            if let Err(error) = &followed
                && !lost
            {
                tracing::warn!(%error, "the change log cannot be read; trying again each second");
            } else if followed.is_ok() && lost {
                tracing::info!("the change log is read again");
            }
            lost = followed.is_err();
        }
    }

    /// One sweep; the first finds out where to begin.
    pub(super) async fn follow_once(&self, follower: &mut Option<Follower>) -> Result<(), StoreError> {
        let Some(follower) = follower else {
            let newest = in_time(self.store.newest_row()).await?;
            let now = BootTime::now();
            self.tail().follow(now);
            *follower = Some(Follower::new(newest, now));
            return Ok(());
        };
        let mut sweep = follower.sweep(BootTime::now());
        loop {
            let rows = in_time(self.store.changes_since(sweep.after(), PAGE)).await?;
            self.tail().read(&rows, BootTime::now());
            if sweep.page(&rows) {
                break;
            }
        }
        let now = BootTime::now();
        follower.complete(&sweep, now);
        self.tail().complete(sweep.sent(), now);
        Ok(())
    }
}

async fn in_time<T>(asked: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    let late = |cause: tokio::time::error::Elapsed| StoreError { doing: "read the change log", cause: cause.into() };
    timeout(READ_PATIENCE, asked).await.map_err(late)?
}

/// Where the next sweep begins.
#[derive(Debug)]
pub struct Follower {
    after: RowNumber,
    /// Where the log ended, and when that was known; the oldest first.
    ends: VecDeque<(BootTime, RowNumber)>,
}

/// One reading of the log to its end, page by page.
#[derive(Debug)]
pub struct Sweep {
    sent: BootTime,
    after: RowNumber,
}

impl Follower {
    /// Begins where the log ended, as was known at `now`. What appears below that within the overlap is missed: see
    /// [`Tail::follow`](super::tail::Tail::follow).
    #[must_use]
    pub fn new(newest: RowNumber, now: BootTime) -> Self {
        Self { after: newest, ends: VecDeque::from([(now, newest)]) }
    }

    /// A sweep that is sent at `now`.
    #[must_use]
    pub fn sweep(&self, now: BootTime) -> Sweep {
        Sweep { sent: now, after: self.after }
    }

    /// Takes over what a sweep that came to its end by `now` has found.
    pub fn complete(&mut self, sweep: &Sweep, now: BootTime) {
        while let Some((_, end)) = self.ends.pop_front_if(|(known, _)| sweep.sent.0 >= known.0 + OVERLAP) {
            self.after = end;
        }
        if self.ends.back().is_none_or(|(_, end)| *end < sweep.after) && sweep.after > self.after {
            self.ends.push_back((now, sweep.after));
        }
    }
}

impl Sweep {
    /// Rows after this one are to be asked for, [`PAGE`] of them.
    #[must_use]
    pub fn after(&self) -> RowNumber {
        self.after
    }

    #[must_use]
    pub fn sent(&self) -> BootTime {
        self.sent
    }

    /// Takes a page; whether it was the last.
    pub fn page(&mut self, rows: &[Row]) -> bool {
        self.after = rows.last().map_or(self.after, |row| row.number.max(self.after));
        rows.len() < PAGE as usize
    }
}
