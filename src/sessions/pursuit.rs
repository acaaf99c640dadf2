//! Pursuit: the steps by which one Dovecot is rid of all sessions from before a change, and when that is certain.
//!
//! A mail process that was told that a login is its registers the session a little later, so a list without strangers
//! is no proof while the last such answer is younger than [`UNREGISTERED`]. And a client that was put out comes back at
//! once with the new password, so only strangers are put out: sessions not known to be of the new generation.
//!
//! Pure: it is told what was done and when, and says what is next. Whoever drives it may stop at any time; a new one
//! begins at the first step and does no harm.
//!
//! Limits: where nothing is known of the new sessions (a Dovecot that verifies by itself, a process shared by many
//!         clients, one that sleeps in imap-hibernate), a client that comes back is put out again, until the last kick.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::account::Username;

/// Longest time from the answer to a mail process until its session is listed, with a wide margin.
pub const UNREGISTERED: Duration = Duration::from_secs(15);
/// Before looking whether a kick has worked.
const AFTER_KICK: Duration = Duration::from_millis(50);
/// Before looking again where nobody was.
const AFTER_NOBODY: Duration = Duration::from_millis(500);
/// Both grow up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// A mail process that serves an account, perhaps since before the change.
pub type Stranger = (Username, u32);
/// How many connections each of them has.
pub type Strangers = BTreeMap<Stranger, u64>;

/// What has to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Make Dovecot forget what it cached of the account, then say [`Pursuit::flushed`].
    Flush,
    /// List the strangers, then say [`Pursuit::looked`].
    Look,
    /// Put these users out, then say [`Pursuit::kicked`].
    Kick(Vec<Username>),
    /// Nothing before this.
    Rest(Instant),
    /// All of them are out.
    Done,
}

#[derive(Debug)]
pub struct Pursuit {
    next: Next,
    flush: Flush,
    pause: Duration,
    /// Who is to be put out, and whether nobody else can turn up any more.
    found: (Strangers, bool),
    last: Option<LastKick>,
    /// Everybody put out so far, with the connections each had.
    ended: Strangers,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flush {
    /// Dovecot asks us for every login.
    Needless,
    Due,
    Done(Instant),
}

/// The kick after which only those that it named have still to go.
#[derive(Debug)]
struct LastKick {
    sent: Instant,
    named: Strangers,
}

impl Pursuit {
    /// `flush` for a Dovecot that verifies by itself, and remembers verdicts.
    #[must_use]
    pub fn new(flush: bool) -> Self {
        let (next, flush) = if flush { (Next::Flush, Flush::Due) } else { (Next::Look, Flush::Needless) };
        let (pause, found) = (Duration::ZERO, (Strangers::new(), false));
        Self { next, flush, pause, found, last: None, ended: Strangers::new() }
    }

    #[must_use]
    pub fn next(&self, now: Instant) -> Next {
        match &self.next {
            Next::Rest(until) if *until <= now => Next::Look,
            next => next.clone(),
        }
    }

    pub fn flushed(&mut self, now: Instant) {
        self.flush = Flush::Done(now);
        self.next = Next::Look;
    }

    /// The list was asked for at `asked`; before that, no claim from before the change was answered since `quiet`, or
    /// one was just being judged.
    pub fn looked(&mut self, asked: Instant, quiet: Option<Instant>, strangers: Strangers) {
        let quiet = match self.flush {
            Flush::Done(at) => Some(at),
            Flush::Needless | Flush::Due => quiet,
        };
        let complete_from = quiet.map(|quiet| quiet + UNREGISTERED);
        let complete = complete_from.is_some_and(|from| from <= asked);
        let strangers = match &self.last {
            Some(last) => strangers.into_iter().filter(|(stranger, _)| last.named.contains_key(stranger)).collect(),
            None => strangers,
        };
        if !strangers.is_empty() {
            let mut users: Vec<_> = strangers.keys().map(|(user, _)| user.clone()).collect();
            users.dedup();
            self.next = Next::Kick(users);
            self.found = (strangers, complete);
        } else if complete || self.last.is_some() {
            self.next = Next::Done;
        } else {
            let again = asked + self.pause_of(AFTER_NOBODY);
            self.next = Next::Rest(complete_from.map_or(again, |from| from.min(again)));
        }
    }

    /// `sent` is the time before the kick was sent, `now` after it was answered.
    pub fn kicked(&mut self, sent: Instant, now: Instant) {
        let (named, complete) = std::mem::take(&mut self.found);
        for (stranger, connections) in &named {
            let ended = self.ended.entry(stranger.clone()).or_default();
            *ended = (*ended).max(*connections);
        }
        if complete || self.last.is_some() {
            self.last = Some(LastKick { sent, named });
        }
        self.next = Next::Rest(now + self.pause_of(AFTER_KICK));
    }

    /// What was to be done could not be done. Perhaps it was, so it begins with a look.
    pub fn failed(&mut self) {
        self.next = if self.flush == Flush::Due { Next::Flush } else { Next::Look };
    }

    /// When the last kick was sent: whatever a process claimed before is over, if it was named.
    #[must_use]
    pub fn last_kick(&self) -> Option<Instant> {
        self.last.as_ref().map(|last| last.sent)
    }

    /// Connections that were ended.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.ended.values().sum()
    }

    /// Processes that were told to end, more than once, and have not.
    #[must_use]
    pub fn stuck(&self) -> Vec<u32> {
        let last = self.last.iter().filter(|_| self.pause >= AFTER_NOBODY);
        last.flat_map(|last| last.named.keys().map(|(_, pid)| *pid)).collect()
    }

    fn pause_of(&mut self, shortest: Duration) -> Duration {
        let pause = self.pause.max(shortest);
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What happens to a pursuit, at seconds after its start, and what is next then.
    enum Event {
        Flushed,
        /// Quiet since so many seconds before the start, if nothing is being judged; who was found.
        Looked(Option<i64>, &'static [u32]),
        Kicked,
        Failed,
    }
    use Event::{Failed, Flushed, Kicked, Looked};

    #[derive(Debug, PartialEq)]
    enum Then {
        Flush,
        Look,
        Kick,
        /// Until so many seconds after the start.
        Rest(f64),
        Done,
    }

    fn ann() -> Username {
        Username::parse("ann@example.org", None).expect("a name")
    }

    /// Plays the events, and gives how many connections were ended.
    fn play(flush: bool, script: &[(f64, Event, Then)]) -> u64 {
        let start = Instant::now() + Duration::from_secs(1_000);
        let mut pursuit = Pursuit::new(flush);
        for (line, (at, event, expected)) in script.iter().enumerate() {
            let now = start + Duration::from_secs_f64(*at);
            match event {
                Flushed => pursuit.flushed(now),
                Looked(quiet, pids) => {
                    let before = |seconds: &i64| {
                        start + Duration::from_secs(1_000)
                            - Duration::from_secs(1_000_u64.saturating_add_signed(*seconds))
                    };
                    let strangers = pids.iter().map(|pid| ((ann(), *pid), 2)).collect();
                    pursuit.looked(now, quiet.as_ref().map(before), strangers);
                }
                Kicked => pursuit.kicked(now, now),
                Failed => pursuit.failed(),
            }
            let then = match pursuit.next(now) {
                Next::Flush => Then::Flush,
                Next::Look => Then::Look,
                Next::Kick(users) => {
                    assert_eq!(users, [ann()], "line {line}");
                    Then::Kick
                }
                Next::Rest(until) => Then::Rest(((until - start).as_secs_f64() * 1e3).round() / 1e3),
                Next::Done => Then::Done,
            };
            assert_eq!(then, *expected, "line {line}");
        }
        pursuit.ended()
    }

    #[test]
    fn nobody_long_after_the_last_old_claim_is_the_end() {
        assert_eq!(play(false, &[(0.0, Looked(Some(15), &[]), Then::Done)]), 0);
    }

    #[test]
    fn nobody_soon_after_an_old_claim_is_looked_at_again_until_the_time_is_over() {
        let ended = play(
            false,
            &[
                (0.0, Looked(Some(5), &[]), Then::Rest(0.5)),
                (0.5, Looked(Some(5), &[]), Then::Rest(1.5)),
                (1.5, Looked(Some(5), &[]), Then::Rest(3.5)),
                (3.5, Looked(Some(5), &[]), Then::Rest(7.5)),
                (7.5, Looked(Some(5), &[]), Then::Rest(10.0)),
                (10.0, Looked(Some(5), &[]), Then::Done),
            ],
        );
        assert_eq!(ended, 0);
    }

    #[test]
    fn nothing_ends_while_a_claim_is_judged() {
        play(
            false,
            &[
                (0.0, Looked(None, &[]), Then::Rest(0.5)),
                (0.5, Looked(Some(0), &[]), Then::Rest(1.5)),
                (15.0, Looked(Some(0), &[]), Then::Done),
            ],
        );
    }

    #[test]
    fn strangers_are_kicked_and_gone_before_it_is_the_end() {
        let ended = play(
            false,
            &[
                (0.0, Looked(Some(60), &[41, 42]), Then::Kick),
                (0.0, Kicked, Then::Rest(0.05)),
                (0.05, Looked(Some(60), &[42]), Then::Kick),
                (0.05, Kicked, Then::Rest(0.15)),
                (0.15, Looked(Some(60), &[]), Then::Done),
            ],
        );
        assert_eq!(ended, 4, "two connections each, counted once");
    }

    #[test]
    fn a_session_that_registers_late_is_found_and_kicked() {
        let ended = play(
            false,
            &[
                (0.0, Looked(Some(1), &[41]), Then::Kick),
                (0.0, Kicked, Then::Rest(0.05)),
                (0.05, Looked(Some(1), &[]), Then::Rest(0.55)),
                (0.55, Looked(Some(1), &[43]), Then::Kick),
                (0.55, Kicked, Then::Rest(1.55)),
                (14.0, Looked(Some(1), &[]), Then::Done),
            ],
        );
        assert_eq!(ended, 4);
    }

    #[test]
    fn after_the_last_kick_only_those_it_named_have_to_go() {
        play(
            false,
            &[
                (0.0, Looked(Some(60), &[41]), Then::Kick),
                (0.0, Kicked, Then::Rest(0.05)),
                (0.05, Looked(Some(60), &[77]), Then::Done),
            ],
        );
    }

    #[test]
    fn a_client_that_comes_back_to_a_dovecot_that_verifies_is_kicked_until_the_time_is_over_and_then_stays() {
        play(
            true,
            &[
                (1.0, Flushed, Then::Look),
                (1.0, Looked(None, &[41]), Then::Kick),
                (1.0, Kicked, Then::Rest(1.05)),
                (9.0, Looked(None, &[42]), Then::Kick),
                (9.0, Kicked, Then::Rest(9.1)),
                (15.9, Looked(None, &[43]), Then::Kick),
                (15.9, Kicked, Then::Rest(16.1)),
                (16.1, Looked(None, &[44]), Then::Kick),
                (16.1, Kicked, Then::Rest(16.5)),
                (16.5, Looked(None, &[45]), Then::Done),
            ],
        );
    }

    #[test]
    fn what_failed_is_done_again_and_nothing_is_the_end_without_a_look() {
        play(
            true,
            &[
                (0.0, Failed, Then::Flush),
                (1.0, Flushed, Then::Look),
                (2.0, Failed, Then::Look),
                (20.0, Looked(None, &[41]), Then::Kick),
                (20.0, Failed, Then::Look),
                (21.0, Looked(None, &[41]), Then::Kick),
                (21.0, Kicked, Then::Rest(21.05)),
                (21.05, Failed, Then::Look),
                (22.0, Looked(None, &[]), Then::Done),
            ],
        );
    }

    #[test]
    fn a_process_that_does_not_go_is_named_and_told_again() {
        let start = Instant::now();
        let mut pursuit = Pursuit::new(false);
        let mut now = start + UNREGISTERED;
        for _ in 0..6 {
            assert_eq!(pursuit.next(now), Next::Look);
            pursuit.looked(now, Some(start), Strangers::from([((ann(), 41), 1)]));
            assert_eq!(pursuit.next(now), Next::Kick(vec![ann()]));
            pursuit.kicked(now, now);
            let Next::Rest(until) = pursuit.next(now) else { panic!("a kick takes its time") };
            now = until;
        }
        assert_eq!(pursuit.stuck(), [41]);
        assert_eq!(pursuit.ended(), 1);
    }
}
