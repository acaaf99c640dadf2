//! Live: which mail process claimed a login, at which generation, and when it was told so.
//!
//! Whoever ends the sessions of an account must know which of those that Dovecot lists began after the change, and for
//! how long one that began before may still be on its way into that list. In memory only.
//!
//! Trusts: the pid by which a mail process claims a login, which the door has compared with the kernel's.
//! Fails:  never. What is forgotten, or was answered before the start, is unknown, and unknown is old.
//! Limits: knows only claims made here: a Dovecot that asks another gatepost has none of its sessions known. A process
//!         that served an old session of an account is old for as long as it is remembered, whatever it serves now. A pid
//!         is taken for that of whichever Dovecot lists it: two hosts whose Dovecots ask here may have the same one.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::account::{Generation, Username};

/// Accounts that are remembered; beyond it, those not heard of for longest are forgotten.
const ACCOUNTS: usize = 100_000;
/// Processes that are remembered of one account.
const PROCESSES: usize = 256;
/// Generations that are told apart of one account.
const GENERATIONS: usize = 8;

#[derive(Debug)]
pub struct Live {
    table: Mutex<Table>,
}

/// Accounts heard of lately, and before: forgetting is dropping the older map.
#[derive(Debug)]
struct Table {
    current: HashMap<Username, Account>,
    previous: HashMap<Username, Account>,
    /// When each claim began that is being judged. Each is of a connection, so there are no more than those.
    undecided: HashMap<Username, Vec<Instant>>,
    /// Before this, anything may have been answered.
    known_since: Instant,
}

#[derive(Debug, Default)]
struct Account {
    /// When a claim of each generation was last answered. Below the lowest, nothing was.
    answered: BTreeMap<Generation, Instant>,
    processes: HashMap<u32, Process>,
}

/// What a process claimed for one account.
#[derive(Clone, Copy, Debug)]
struct Process {
    oldest: Generation,
    newest: Generation,
    newest_at: Instant,
}

/// A claim that is being judged; dropped unanswered, it was refused.
#[derive(Debug)]
pub struct Claim {
    live: Arc<Live>,
    user: Username,
    pid: Option<u32>,
    begun: Instant,
}

impl Live {
    #[must_use]
    pub fn new(now: Instant) -> Self {
        let table =
            Table { current: HashMap::new(), previous: HashMap::new(), undecided: HashMap::new(), known_since: now };
        Self { table: Mutex::new(table) }
    }

    /// Must come before the generation is read: from here on, nobody thinks that all old claims have been answered.
    #[must_use]
    pub fn claim(self: &Arc<Self>, user: &Username, pid: Option<u32>, now: Instant) -> Claim {
        self.with(|table| table.undecided.entry(user.clone()).or_default().push(now));
        Claim { live: Arc::clone(self), user: user.clone(), pid, begun: now }
    }

    /// Since when no claim of a generation below this one has been answered, of one account or of all; `None` while
    /// one is being judged that began before `known`, when the store had the generation: a later one cannot be older.
    #[must_use]
    pub fn quiet_since(&self, user: Option<&Username>, generation: Generation, known: Instant) -> Option<Instant> {
        self.with(|table| table.quiet_since(user, generation, known))
    }

    /// Whether the process serves only sessions that began at this generation of the account or later. With `since`,
    /// whatever it claimed before that is over.
    #[must_use]
    pub fn is_current(&self, user: &Username, pid: u32, generation: Generation, since: Option<Instant>) -> bool {
        self.with(|table| {
            let process = table.account(user).and_then(|account| account.processes.get(&pid));
            process.is_some_and(|process| match since {
                Some(since) => process.newest >= generation && process.newest_at > since,
                None => process.oldest >= generation,
            })
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Table) -> T) -> T {
        act(&mut self.table.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Claim {
    /// The process was told that the login is its, as of this generation.
    pub fn answered(self, generation: Generation, now: Instant) {
        self.live.with(|table| table.answered(&self.user, self.pid, generation, now));
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.live.with(|table| {
            if let Some(undecided) = table.undecided.get_mut(&self.user) {
                if let Some(own) = undecided.iter().position(|begun| *begun == self.begun) {
                    undecided.swap_remove(own);
                }
                if undecided.is_empty() {
                    table.undecided.remove(&self.user);
                }
            }
        });
    }
}

impl Table {
    fn account(&self, user: &Username) -> Option<&Account> {
        self.current.get(user).or_else(|| self.previous.get(user))
    }

    fn quiet_since(&self, user: Option<&Username>, generation: Generation, known: Instant) -> Option<Instant> {
        let is_old = |begun: &Instant| *begun < known;
        let last_below = |account: &Account| account.answered.range(..generation).map(|(_, at)| *at).max();
        let (undecided, last) = match user {
            Some(user) => (
                self.undecided.get(user).is_some_and(|begun| begun.iter().any(is_old)),
                self.account(user).and_then(last_below),
            ),
            None => {
                let accounts = self.current.values().chain(self.previous.values());
                (self.undecided.values().flatten().any(is_old), accounts.filter_map(last_below).max())
            }
        };
        (!undecided).then(|| last.map_or(self.known_since, |last| last.max(self.known_since)))
    }

    fn answered(&mut self, user: &Username, pid: Option<u32>, generation: Generation, now: Instant) {
        if self.current.len() >= ACCOUNTS / 2 && !self.current.contains_key(user) {
            self.forget_older_half();
        }
        let known = self.previous.remove(user);
        let account = self.current.entry(user.clone()).or_insert_with(|| known.unwrap_or_default());
        account.answered.insert(generation, now);
        if account.answered.len() > GENERATIONS {
            account.join_lowest();
        }
        let Some(pid) = pid else { return };
        if account.processes.len() >= PROCESSES && !account.processes.contains_key(&pid) {
            account.forget_oldest_process();
        }
        let process =
            account.processes.entry(pid).or_insert(Process { oldest: generation, newest: generation, newest_at: now });
        process.oldest = process.oldest.min(generation);
        process.newest = process.newest.max(generation);
        process.newest_at = now;
    }

    fn forget_older_half(&mut self) {
        let forgotten = std::mem::replace(&mut self.previous, std::mem::take(&mut self.current));
        let last = forgotten.values().flat_map(|account| account.answered.values()).max();
        self.known_since = last.map_or(self.known_since, |last| self.known_since.max(*last));
    }
}

impl Account {
    /// The second lowest is taken for the lowest, and so for older than it is.
    fn join_lowest(&mut self) {
        let Some((lowest, at)) = self.answered.pop_first() else { return };
        let second = self.answered.pop_first().map_or(at, |(_, second)| second);
        self.answered.insert(lowest, at.max(second));
    }

    fn forget_oldest_process(&mut self) {
        let oldest = self.processes.iter().min_by_key(|(_, process)| process.newest_at).map(|(pid, _)| *pid);
        if let Some(pid) = oldest {
            self.processes.remove(&pid);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const OLD: Generation = Generation(6);
    const NEW: Generation = Generation(7);

    fn user(text: &str) -> Username {
        Username::parse(text, None).expect("a name")
    }

    fn live() -> (Arc<Live>, Username, Instant) {
        let start = Instant::now();
        (Arc::new(Live::new(start)), user("ann@example.org"), start)
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn what_was_answered_before_the_start_is_not_known() {
        let (live, ann, start) = live();
        assert_eq!(live.quiet_since(Some(&ann), NEW, start + seconds(1)), Some(start));
        assert!(!live.is_current(&ann, 41, NEW, None));
    }

    #[test]
    fn a_claim_of_an_older_generation_ends_the_quiet_and_one_of_this_does_not() {
        let (live, ann, start) = live();
        live.claim(&ann, Some(41), start).answered(OLD, start + seconds(5));
        live.claim(&ann, Some(42), start).answered(NEW, start + seconds(9));
        live.claim(&user("bob@example.org"), Some(43), start).answered(OLD, start + seconds(12));
        assert_eq!(live.quiet_since(Some(&ann), NEW, start + seconds(1)), Some(start + seconds(5)));
        assert_eq!(live.quiet_since(Some(&ann), OLD, start + seconds(1)), Some(start));
        assert_eq!(live.quiet_since(None, NEW, start + seconds(1)), Some(start + seconds(12)), "of all accounts");
    }

    #[test]
    fn nothing_is_quiet_while_a_claim_is_judged() {
        let (live, ann, start) = live();
        let [first, second] = [(); 2].map(|()| live.claim(&ann, Some(41), start));
        assert_eq!(
            (live.quiet_since(Some(&ann), NEW, start + seconds(1)), live.quiet_since(None, NEW, start + seconds(1))),
            (None, None)
        );
        assert_eq!(live.quiet_since(Some(&user("bob@example.org")), NEW, start + seconds(1)), Some(start));
        drop(first);
        assert_eq!(live.quiet_since(Some(&ann), NEW, start + seconds(1)), None);
        second.answered(OLD, start + seconds(2));
        assert_eq!(live.quiet_since(Some(&ann), NEW, start + seconds(1)), Some(start + seconds(2)));
    }

    #[test]
    fn a_claim_that_began_after_the_change_was_known_is_not_waited_for() {
        let (live, ann, start) = live();
        let known = start + seconds(3);
        let judged = live.claim(&ann, Some(41), known);
        for user in [Some(&ann), None] {
            assert_eq!(live.quiet_since(user, NEW, known), Some(start));
            assert_eq!(live.quiet_since(user, NEW, known + seconds(1)), None);
        }
        let old = live.claim(&user("bob@example.org"), Some(42), start);
        assert_eq!(live.quiet_since(None, NEW, known), None);
        drop((judged, old));
        assert_eq!(live.quiet_since(None, NEW, known + seconds(1)), Some(start));
    }

    #[test]
    fn a_process_is_current_by_all_it_claimed_for_the_account() {
        let (live, ann, start) = live();
        let claims = [(41, OLD), (42, NEW), (43, OLD), (43, NEW), (44, NEW), (44, OLD)];
        for ((pid, generation), second) in claims.into_iter().zip(1..) {
            live.claim(&ann, Some(pid), start).answered(generation, start + seconds(second));
        }
        let current = |pid, since| live.is_current(&ann, pid, NEW, since);
        assert_eq!([41, 42, 43, 44, 45].map(|pid| current(pid, None)), [false, true, false, false, false]);
        assert!(!live.is_current(&user("bob@example.org"), 42, NEW, None), "its claims were for ann");
        assert!(current(43, Some(start + seconds(3))), "the old one was over by then");
        assert!(!current(43, Some(start + seconds(4))), "nothing was claimed since");
    }

    #[test]
    fn what_is_forgotten_counts_as_old() {
        let (live, ann, start) = live();
        for pid in 0..=u32::try_from(PROCESSES).expect("few") {
            live.claim(&ann, Some(pid), start).answered(NEW, start + Duration::from_millis(pid.into()));
        }
        assert!(!live.is_current(&ann, 0, NEW, None), "the first was forgotten");
        assert!(live.is_current(&ann, 1, NEW, None));

        let old_claim = start + seconds(100);
        live.claim(&ann, Some(1), start).answered(OLD, old_claim);
        for number in 0..ACCOUNTS {
            live.claim(&user(&format!("u{number}@example.org")), None, start).answered(NEW, start + seconds(200));
        }
        assert!(!live.is_current(&ann, 2, NEW, None));
        assert!(live.quiet_since(Some(&ann), NEW, start + seconds(1)) >= Some(old_claim));
        assert!(live.with(|table| table.current.len() + table.previous.len()) <= ACCOUNTS);
    }

    #[test]
    fn many_generations_of_an_account_are_told_apart_only_towards_caution() {
        let (live, ann, start) = live();
        for number in 1..=20 {
            live.claim(&ann, None, start).answered(Generation(number), start + seconds(number));
        }
        assert_eq!(live.quiet_since(Some(&ann), Generation(20), start + seconds(1)), Some(start + seconds(19)));
        for number in 2..=20 {
            let quiet = live.quiet_since(Some(&ann), Generation(number), start + seconds(1));
            assert!(quiet >= Some(start + seconds(number - 1)), "below {number}: {quiet:?}");
        }
        assert!(live.with(|table| table.current[&ann].answered.len()) <= GENERATIONS);
    }
}
