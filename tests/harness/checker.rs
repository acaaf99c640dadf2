//! Who said what when: a record of changes and logins under load, and what [`judge`](judge::judge) finds wrong in it.
//!
//! Every change sets a password that no other sets, so an answer about a password is an answer about one change.
//! What counts is real time: an answer may be true of any moment between question and answer, and of no other.

pub mod judge;

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// One that nobody else ever sets or tries, and that every policy lets pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Password(pub u64);

impl Password {
    pub fn text(self) -> String {
        format!("Secret-{}a", self.0)
    }
}

/// Something that was asked of the daemon, with all that came of it. Times are counted from the recorder's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    pub account: usize,
    pub began: Duration,
    pub ended: Duration,
    pub what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Login {
        password: Password,
        heard: Heard,
    },
    /// By whoever knows `current`, or by somebody who need not.
    Change {
        current: Option<Password>,
        new: Password,
        told: Told,
    },
}

/// What came of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    Accepted,
    Refused,
    NotNow,
}

/// What came of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    Acknowledged {
        generation: u64,
    },
    WrongPassword,
    /// Made or not by the time the answer came, or failed to come.
    Unknown,
}

/// Takes down what its clients do, all at once.
#[derive(Debug)]
pub struct Recorder {
    began: Instant,
    operations: Mutex<Vec<Operation>>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self { began: Instant::now(), operations: Mutex::default() }
    }
}

impl Recorder {
    /// The password that an account has before anything is asked.
    pub fn begin_with(&self, account: usize, password: Password) {
        let told = Told::Acknowledged { generation: 0 };
        let what = What::Change { current: None, new: password, told };
        self.operations().push(Operation { account, began: Duration::ZERO, ended: Duration::ZERO, what });
    }

    pub fn login(&self, account: usize, password: Password, ask: impl FnOnce() -> Heard) -> Heard {
        let began = self.began.elapsed();
        let heard = ask();
        self.record(account, began, What::Login { password, heard });
        heard
    }

    pub fn change(&self, account: usize, current: Option<Password>, new: Password, ask: impl FnOnce() -> Told) -> Told {
        let began = self.began.elapsed();
        let told = ask();
        self.record(account, began, What::Change { current, new, told });
        told
    }

    /// The time as it would be taken down.
    pub fn now(&self) -> Duration {
        self.began.elapsed()
    }

    pub fn history(&self) -> Vec<Operation> {
        self.operations().clone()
    }

    fn record(&self, account: usize, began: Duration, what: What) {
        let ended = self.began.elapsed();
        self.operations().push(Operation { account, began, ended, what });
    }

    fn operations(&self) -> MutexGuard<'_, Vec<Operation>> {
        self.operations.lock().expect("no recording ends halfway")
    }
}
