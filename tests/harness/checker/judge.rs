//! The judge: which of the answers in a record cannot all have been true.
//!
//! Only what is certain is a fault. A change whose outcome nobody heard leaves both passwords possible, until a login
//! tells which; one that runs beside a login may come before or after it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Duration;

use super::{Heard, Operation, Password, Told, What};

/// An answer that was not true at any moment between question and answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    pub kind: FaultKind,
    pub account: usize,
    pub password: Password,
    /// When what was answered wrongly had been asked.
    pub at: Duration,
    /// How long before that it had become wrong.
    pub late: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Accepted although nobody had set it.
    NeverSet,
    /// Accepted although it had been replaced.
    StaleAccept,
    /// The same, after it had been refused as replaced: what is stored has gone back.
    OldPasswordBack,
    /// Refused although no other could be right, and accepted later.
    WrongRefusal,
    /// Refused although no other could be right, and never accepted again.
    LostUpdate,
    /// Of all passwords that could be right, each was refused.
    NoneRight,
    /// Two changes succeeded by the knowledge of the same password.
    TwoWinners,
    /// A change has a number that is not above those of all that were made before it.
    OutOfOrder,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, account, password, at, late } = self;
        write!(formatter, "{kind:?}: account {account}, password {}, asked at {at:?}, wrong for {late:?}", password.0)
    }
}

/// Every fault there is in `history`, account by account.
pub fn judge(history: &[Operation]) -> Vec<Fault> {
    let mut accounts = BTreeMap::<usize, Account>::new();
    for operation in history {
        accounts.entry(operation.account).or_default().take_down(operation);
    }
    accounts.into_iter().flat_map(|(number, account)| account.faults(number)).collect()
}

/// What one account's record says, told apart into what was written and what was read.
#[derive(Debug, Default)]
struct Account {
    writes: Vec<Write>,
    readings: Vec<Reading>,
}

/// A change that was made or may have been made.
#[derive(Debug)]
struct Write {
    password: Password,
    current: Option<Password>,
    began: Duration,
    /// If it was made, then by this time.
    ended: Duration,
    generation: Option<u64>,
    /// By when it certainly was made; `None` while that is not certain.
    made: Option<Duration>,
}

/// An answer that a password was right, or was not, at some moment in between.
#[derive(Debug)]
struct Reading {
    password: Password,
    began: Duration,
    ended: Duration,
    accepted: bool,
}

/// From when to when a password was right, as far as that is certain.
#[derive(Debug)]
struct Reign {
    earliest: Duration,
    /// Right from here on, until another may be.
    certain_from: Option<Duration>,
    /// Another may be right from here on.
    questioned_from: Duration,
    /// Another certainly was right by then.
    replaced_by: Duration,
}

const NEVER: Duration = Duration::MAX;

impl Account {
    fn take_down(&mut self, operation: &Operation) {
        let Operation { began, ended, .. } = *operation;
        match operation.what {
            What::Login { heard: Heard::NotNow, .. } => {}
            What::Login { password, heard } => {
                self.readings.push(Reading { password, began, ended, accepted: heard == Heard::Accepted });
            }
            What::Change { current, new, told } => {
                let generation = match told {
                    Told::Acknowledged { generation } => Some(generation),
                    Told::WrongPassword | Told::Unknown => None,
                };
                if let Some(password) = current.filter(|_| told != Told::Unknown) {
                    self.readings.push(Reading { password, began, ended, accepted: generation.is_some() });
                }
                if told != Told::WrongPassword {
                    let made = generation.map(|_| ended);
                    self.writes.push(Write { password: new, current, began, ended, generation, made });
                }
            }
        }
    }

    fn faults(mut self, account: usize) -> Vec<Fault> {
        self.learn_from_accepted();
        self.strike_out_what_was_not_made();
        let reigns = self.reigns();
        let mut found = self.wrong_answers(&reigns);
        found.extend(self.none_right(&reigns));
        found.extend(self.two_winners());
        found.extend(self.out_of_order());
        let fault = |(kind, password, at, late)| Fault { kind, account, password, at, late };
        found.into_iter().map(fault).collect()
    }

    /// A password that was accepted has been set, whatever its setter heard.
    fn learn_from_accepted(&mut self) {
        let mut accepted = HashMap::<Password, Duration>::new();
        for Reading { password, ended, .. } in self.accepted() {
            let first = accepted.entry(*password).or_insert(*ended);
            *first = (*first).min(*ended);
        }
        for write in &mut self.writes {
            write.made = write.made.into_iter().chain(accepted.get(&write.password).copied()).min();
        }
    }

    /// A change of which nobody heard was not made if, when it was over, what it would have replaced was still right.
    fn strike_out_what_was_not_made(&mut self) {
        let mut accepted = HashMap::<Password, Duration>::new();
        for Reading { password, began, .. } in self.accepted() {
            let last = accepted.entry(*password).or_insert(*began);
            *last = (*last).max(*began);
        }
        let still_right = |before: &Write, write: &Write| {
            before.precedes(write) && accepted.get(&before.password).is_some_and(|last| *last >= write.ended)
        };
        let not_made =
            |write: &Write| write.made.is_none() && self.writes.iter().any(|before| still_right(before, write));
        let struck: Vec<_> = self.writes.iter().filter(|write| not_made(write)).map(|write| write.password).collect();
        self.writes.retain(|write| !struck.contains(&write.password));
    }

    fn reigns(&self) -> HashMap<Password, Reign> {
        let reign = |write: &Write| {
            let others = || self.writes.iter().filter(|other| other.password != write.password);
            let replaced_by = others().filter(|other| write.precedes(other)).filter_map(|other| other.made).min();
            let questioned_from = others().filter(|other| !other.precedes(write)).map(|other| other.began).min();
            Reign {
                earliest: write.began,
                certain_from: write.made,
                questioned_from: questioned_from.unwrap_or(NEVER),
                replaced_by: replaced_by.unwrap_or(NEVER),
            }
        };
        self.writes.iter().map(|write| (write.password, reign(write))).collect()
    }

    fn wrong_answers(&self, reigns: &HashMap<Password, Reign>) -> Vec<Found> {
        let wrong = |reading: &Reading| {
            let Reading { password, began, ended, accepted } = *reading;
            let found = |kind, since: Duration| Some((kind, password, began, began.saturating_sub(since)));
            match reigns.get(&password) {
                None if accepted => found(FaultKind::NeverSet, began),
                None => None,
                Some(reign) if accepted && ended < reign.earliest => found(FaultKind::NeverSet, began),
                Some(reign) if accepted && reign.replaced_by < began => {
                    let gone_back = self.refused_between(password, reign.replaced_by, began);
                    let kind = if gone_back { FaultKind::OldPasswordBack } else { FaultKind::StaleAccept };
                    found(kind, reign.replaced_by)
                }
                Some(Reign { certain_from: Some(from), questioned_from, .. })
                    if !accepted && *from <= began && ended <= *questioned_from =>
                {
                    let right_again = self.accepted().any(|later| later.password == password && later.began >= ended);
                    found(if right_again { FaultKind::WrongRefusal } else { FaultKind::LostUpdate }, *from)
                }
                Some(_) => None,
            }
        };
        self.readings.iter().filter_map(wrong).collect()
    }

    /// Between two changes one password is right, though it may not be certain which.
    fn none_right(&self, reigns: &HashMap<Password, Reign>) -> Vec<Found> {
        let refused_within = |password, from, to| {
            self.readings.iter().any(|reading| {
                reading.password == password && !reading.accepted && from <= reading.began && reading.ended <= to
            })
        };
        let all_refused = |(from, to): (Duration, Duration)| {
            let candidates: Vec<_> = self
                .writes
                .iter()
                .filter(|write| write.ended <= from && reigns[&write.password].replaced_by > from)
                .map(|write| write.password)
                .collect();
            let certain = candidates.iter().any(|password| reigns[password].certain_from.is_some());
            let refused = candidates.len() > 1 && candidates.iter().all(|one| refused_within(*one, from, to));
            (certain && refused).then(|| (FaultKind::NoneRight, candidates[0], from, Duration::ZERO))
        };
        self.quiet_times().into_iter().filter_map(all_refused).collect()
    }

    /// From the end of a change to the beginning of another, with none under way.
    fn quiet_times(&self) -> Vec<(Duration, Duration)> {
        let mut writes: Vec<_> = self.writes.iter().map(|write| (write.began, write.ended)).collect();
        writes.sort_unstable();
        let mut times = Vec::new();
        let mut quiet_from = None::<Duration>;
        for (began, ended) in writes {
            if let Some(from) = quiet_from.filter(|from| *from < began) {
                times.push((from, began));
            }
            quiet_from = quiet_from.max(Some(ended));
        }
        times.extend(quiet_from.map(|from| (from, NEVER)));
        times
    }

    fn two_winners(&self) -> Vec<Found> {
        let mut winners = HashMap::new();
        let mut found = Vec::new();
        for write in self.writes.iter().filter(|write| write.made.is_some()) {
            let Some(current) = write.current else { continue };
            if winners.insert(current, write.password).is_some() {
                found.push((FaultKind::TwoWinners, current, write.began, Duration::ZERO));
            }
        }
        found
    }

    fn out_of_order(&self) -> Vec<Found> {
        let mut numbered: Vec<_> = self.writes.iter().filter_map(|write| Some((write.generation?, write))).collect();
        numbered.sort_unstable_by_key(|(generation, _)| *generation);
        let mut found = Vec::new();
        let mut last_began = Duration::ZERO;
        let mut last_generation = None;
        for (generation, write) in numbered {
            if write.ended < last_began || last_generation == Some(generation) {
                let late = last_began.saturating_sub(write.ended);
                found.push((FaultKind::OutOfOrder, write.password, write.began, late));
            }
            last_began = last_began.max(write.began);
            last_generation = Some(generation);
        }
        found
    }

    fn accepted(&self) -> impl Iterator<Item = &Reading> {
        self.readings.iter().filter(|reading| reading.accepted)
    }

    fn refused_between(&self, password: Password, from: Duration, to: Duration) -> bool {
        let mut refused = self.readings.iter().filter(|reading| reading.password == password && !reading.accepted);
        refused.any(|reading| from <= reading.ended && reading.ended <= to)
    }
}

/// A fault of the account at hand.
type Found = (FaultKind, Password, Duration, Duration);

impl Write {
    /// Whether, if both were made, this one was made first.
    fn precedes(&self, other: &Self) -> bool {
        match (self.generation, other.generation) {
            (Some(this), Some(that)) => this < that,
            _ => self.ended <= other.began || other.current == Some(self.password),
        }
    }
}
