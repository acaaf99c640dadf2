//! Throttle: when a refusal may leave, and how many wrong passwords one network may try on one account.
//!
//! Asked before anything is hashed; told the outcome afterwards. In memory only, forgotten on restart.
//!
//! Trusts: the origin given by the caller, who has decided whom to believe.
//! Fails:  never. A full table forgets its older half, which favours the user.
//! Limits: wrong passwords are counted, not told apart: a phone that repeats one is slowed like a guesser, on its own
//!         account only.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ipnet::IpNet;

use crate::account::{Network, Origin};

/// `[throttle]` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A refusal leaves so long after the attempt arrived, whatever its cause.
    pub failure_delay: Duration,
    /// Wrong passwords that one network may try on one account within a window; the next ones are told "not now".
    pub failures: u32,
    pub window: Duration,
    /// Pairs of network and account that are remembered at most.
    pub entries: usize,
    /// Networks whose failures to log in are not counted: webmails, which speak for everybody.
    pub trusted_networks: Vec<IpNet>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            failure_delay: Duration::from_secs(2),
            failures: 50,
            window: Duration::from_secs(600),
            entries: 100_000,
            trusted_networks: Vec::new(),
        }
    }
}

impl Settings {
    fn trusts(&self, origin: Origin) -> bool {
        match origin {
            Origin::Address(address) => {
                let address = address.to_canonical();
                self.trusted_networks.iter().any(|network| network.contains(&address))
            }
            Origin::Local(_) => false,
        }
    }
}

/// What a password was given for. Each is counted by itself, so guesses at the one shut nobody out of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tally {
    Logins,
    /// Trusted networks owe for these too: a webmail's form must be no place to guess at.
    Changes,
}

/// May this attempt be verified?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Yes; a refusal leaves at `refuse_at`.
    Proceed { refuse_at: Instant },
    /// Not before `at`. It was not verified, so it must not be called wrong.
    Later { at: Instant },
}

#[derive(Debug)]
pub struct Throttle {
    settings: Mutex<Settings>,
    windows: Mutex<Windows>,
}

type Key = (Tally, Network, String);

/// Failures of the running window and of the one before it: forgetting is dropping the older map.
#[derive(Debug)]
struct Windows {
    began: Instant,
    current: HashMap<Key, u32>,
    previous: HashMap<Key, u32>,
}

impl Throttle {
    #[must_use]
    pub fn new(settings: Settings, now: Instant) -> Self {
        let windows = Windows { began: now, current: HashMap::new(), previous: HashMap::new() };
        Self { settings: Mutex::new(settings), windows: Mutex::new(windows) }
    }

    pub fn reconfigure(&self, settings: Settings) {
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = settings;
    }

    /// `account` is the name as folded; what is no name is nobody, the empty text.
    #[must_use]
    pub fn admit(&self, tally: Tally, origin: Origin, account: &str, now: Instant) -> Admission {
        let settings = self.settings();
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.turn(&settings, now);
        let key = (tally, Network::of(origin), account.to_owned());
        let [current, previous] =
            [&windows.current, &windows.previous].map(|window| window.get(&key).copied().unwrap_or(0));
        if current >= settings.failures {
            return Admission::Later { at: windows.began + settings.window * 2 };
        }
        if current.saturating_add(previous) >= settings.failures {
            return Admission::Later { at: windows.began + settings.window };
        }
        Admission::Proceed { refuse_at: now + settings.failure_delay }
    }

    /// For an attempt that is not counted. A refusal waits all the same: how soon it came would tell what was hashed.
    #[must_use]
    pub fn wave_through(&self, now: Instant) -> Admission {
        Admission::Proceed { refuse_at: now + self.settings().failure_delay }
    }

    pub fn record_failure(&self, tally: Tally, origin: Origin, account: &str, now: Instant) {
        let settings = self.settings();
        if tally == Tally::Logins && settings.trusts(origin) {
            return;
        }
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.turn(&settings, now);
        *windows.current.entry((tally, Network::of(origin), account.to_owned())).or_default() += 1;
    }

    /// A right password clears what its network owed on this account.
    pub fn record_success(&self, tally: Tally, origin: Origin, account: &str) {
        let key = (tally, Network::of(origin), account.to_owned());
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.current.remove(&key);
        windows.previous.remove(&key);
    }

    fn settings(&self) -> Settings {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Windows {
    fn turn(&mut self, settings: &Settings, now: Instant) {
        let age = now.saturating_duration_since(self.began);
        if age >= settings.window || self.current.len() >= settings.entries / 2 {
            self.previous = std::mem::take(&mut self.current);
            if age >= settings.window * 2 {
                self.previous.clear();
            }
            self.began = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(600);

    fn origin(text: &str) -> Origin {
        Origin::Address(text.parse().expect("an address"))
    }

    fn throttle(now: Instant) -> Throttle {
        Throttle::new(Settings { failures: 2, ..Settings::default() }, now)
    }

    fn fail_twice(throttle: &Throttle, from: Origin, now: Instant) {
        throttle.record_failure(Tally::Logins, from, "ann@example.org", now);
        throttle.record_failure(Tally::Logins, from, "ann@example.org", now);
    }

    #[test]
    fn a_refusal_leaves_at_a_fixed_time_after_arrival() {
        let now = Instant::now();
        let admission = throttle(now).admit(Tally::Logins, origin("192.0.2.1"), "ann@example.org", now);
        assert_eq!(admission, Admission::Proceed { refuse_at: now + Duration::from_secs(2) });
    }

    #[test]
    fn too_many_failures_stop_only_that_network_on_that_account() {
        let now = Instant::now();
        let throttle = throttle(now);
        fail_twice(&throttle, origin("2001:db8:1:2::7"), now);
        let admitted = |from, account| {
            matches!(throttle.admit(Tally::Logins, origin(from), account, now), Admission::Proceed { .. })
        };
        assert!(!admitted("2001:db8:1:2::8", "ann@example.org"), "the same /64");
        assert!(admitted("2001:db8:1:3::7", "ann@example.org"), "another /64");
        assert!(admitted("2001:db8:1:2::7", "bob@example.org"), "another account");
    }

    #[test]
    fn a_right_password_and_time_both_clear_the_count() {
        let now = Instant::now();
        let throttle = throttle(now);
        let home = origin("192.0.2.1");
        fail_twice(&throttle, home, now);
        assert!(matches!(throttle.admit(Tally::Logins, home, "ann@example.org", now), Admission::Later { .. }));
        throttle.record_success(Tally::Logins, home, "ann@example.org");
        assert!(matches!(throttle.admit(Tally::Logins, home, "ann@example.org", now), Admission::Proceed { .. }));

        fail_twice(&throttle, home, now);
        let later = now + WINDOW * 2;
        assert!(matches!(throttle.admit(Tally::Logins, home, "ann@example.org", later), Admission::Proceed { .. }));
    }

    #[test]
    fn later_is_when_the_count_has_gone_and_not_before() {
        let now = Instant::now();
        let throttle = throttle(now);
        let home = origin("192.0.2.1");
        fail_twice(&throttle, home, now);
        for asked in [now, now + WINDOW] {
            let Admission::Later { at } = throttle.admit(Tally::Logins, home, "ann@example.org", asked) else {
                panic!("admitted")
            };
            assert_eq!(at, now + WINDOW * 2);
        }
        let admission = throttle.admit(Tally::Logins, home, "ann@example.org", now + WINDOW * 2);
        assert!(matches!(admission, Admission::Proceed { .. }), "{admission:?}");
    }

    #[test]
    fn a_trusted_network_owes_nothing() {
        let now = Instant::now();
        let trusted_networks = vec!["192.0.2.0/24".parse().expect("a network")];
        let throttle = Throttle::new(Settings { failures: 2, trusted_networks, ..Settings::default() }, now);
        for (from, admitted) in [("192.0.2.1", true), ("198.51.100.1", false)] {
            fail_twice(&throttle, origin(from), now);
            let admission = throttle.admit(Tally::Logins, origin(from), "ann@example.org", now);
            assert_eq!(matches!(admission, Admission::Proceed { .. }), admitted, "{from}");
        }
    }

    #[test]
    fn changes_are_counted_by_themselves_and_from_trusted_networks_too() {
        let now = Instant::now();
        let trusted_networks = vec!["192.0.2.0/24".parse().expect("a network")];
        let throttle = Throttle::new(Settings { failures: 2, trusted_networks, ..Settings::default() }, now);
        let (webmail, ann) = (origin("192.0.2.1"), "ann@example.org");
        let admitted =
            |tally, account| matches!(throttle.admit(tally, webmail, account, now), Admission::Proceed { .. });
        for _ in 0..2 {
            throttle.record_failure(Tally::Changes, webmail, ann, now);
        }
        throttle.record_success(Tally::Logins, webmail, ann);
        assert!(!admitted(Tally::Changes, ann));
        assert!(admitted(Tally::Logins, ann) && admitted(Tally::Changes, "bob@example.org"));
        throttle.record_success(Tally::Changes, webmail, ann);
        assert!(admitted(Tally::Changes, ann));
    }

    #[test]
    fn the_table_stays_within_its_bound() {
        let now = Instant::now();
        let throttle = Throttle::new(Settings { entries: 100, ..Settings::default() }, now);
        for number in 0..1_000 {
            throttle.record_failure(Tally::Logins, origin("192.0.2.1"), &format!("user{number}@example.org"), now);
        }
        let windows = throttle.windows.lock().expect("not poisoned");
        assert!(windows.current.len() + windows.previous.len() <= 100);
    }
}
