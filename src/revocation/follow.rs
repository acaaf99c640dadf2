//! Follow: which rows to ask the log for next, and what the answers amount to.
//!
//! Rows become visible out of order: a number is given when a row is written, and others see it when its transaction
//! ends. So each sweep begins where the log ended ten seconds before, and no later.
//!
//! Trusts: the store, to end every writing transaction within [`OVERLAP`] of its first row, and to number the rows of one
//!         subject in the order in which they are committed.

use std::collections::VecDeque;

use super::clock::BootTime;
use super::tail::OVERLAP;
use crate::store::{Row, RowNumber};

/// Rows asked for at once.
pub const PAGE: u32 = 1_000;

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
