//! What the clients of a crowd know of the accounts: which password is in force, as far as they were told.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use gatepost_harness::api::{Answer, Api};
use gatepost_harness::checker::judge::{Fault, judge};
use gatepost_harness::checker::{Heard, Operation, Password, Recorder, Told, What};
use gatepost_harness::gatepost::Gatepost;
use gatepost_harness::raw::{Connection, auth};
use gatepost_harness::{PATIENCE, joined};
use serde_json::json;

/// Replaced passwords that are still tried.
const REMEMBERED: usize = 4;

#[derive(Debug)]
pub(crate) struct Books {
    pub(crate) recorder: Recorder,
    accounts: Vec<Mutex<Known>>,
    next: AtomicU64,
    acknowledged: Mutex<usize>,
    one_more: Condvar,
}

/// What somebody who heard every answer knows of one account.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) generation: u64,
    pub(crate) newest: Password,
    pub(crate) replaced: VecDeque<Password>,
    /// Set or not: nobody heard.
    pub(crate) doubtful: VecDeque<Password>,
}

/// Everything that was asked and heard.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) accepted: usize,
    pub(crate) refused: usize,
    pub(crate) not_now: usize,
    pub(crate) acknowledged: usize,
    pub(crate) unheard: usize,
}

pub(crate) fn name(account: usize) -> String {
    format!("user{account}@example.org")
}

impl Books {
    /// Makes the accounts, each with a password of its own. Their domain is there.
    pub(crate) fn open(gatepost: &Gatepost, accounts: usize) -> Self {
        let recorder = Recorder::default();
        let api = Api::admin(gatepost);
        let make = |account| {
            let newest = Password(account as u64);
            api.must("POST", "/accounts", &json!({"user": name(account), "password": newest.text()}));
            recorder.begin_with(account, newest);
            let (replaced, doubtful) = Default::default();
            Mutex::new(Known { generation: 0, newest, replaced, doubtful })
        };
        let accounts: Vec<_> = (0..accounts).map(make).collect();
        let next = AtomicU64::new(accounts.len() as u64);
        Self { recorder, accounts, next, acknowledged: Mutex::default(), one_more: Condvar::new() }
    }

    pub(crate) fn accounts(&self) -> usize {
        self.accounts.len()
    }

    pub(crate) fn known(&self, account: usize) -> Known {
        self.account(account).clone()
    }

    pub(crate) fn fresh(&self) -> Password {
        Password(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// A change by whoever knows `current`, through the API as anybody reaches it.
    pub(crate) fn change(&self, account: usize, current: Password, public: &Api) -> Told {
        self.set(account, Some(current), |new| {
            let body = json!({"user": name(account), "current": current.text(), "new": new.text()});
            told(public.call("POST", "/password", &body))
        })
    }

    /// The same, as a webmail does it by poppassd.
    pub(crate) fn change_by_webmail(&self, account: usize, current: Password, poppassd: SocketAddr) -> Told {
        self.set(account, Some(current), |new| {
            let mut webmail = Connection::to_address(poppassd);
            let [user, current, new] = [name(account), current.text(), new.text()];
            webmail.send(format!("user {user}\npass {current}\nnewpass {new}\nquit\n"));
            told_by_poppassd(&webmail.rest())
        })
    }

    /// A reset by an administrator.
    pub(crate) fn reset(&self, account: usize, admin: &Api) -> Told {
        self.set(account, None, |new| {
            told(admin.call("PUT", &format!("/accounts/{}/password", name(account)), &json!({"new": new.text()})))
        })
    }

    /// The same, with a hash of the kind that the next good login replaces.
    pub(crate) fn bring_along(&self, account: usize, admin: &Api) -> Told {
        self.set(account, None, |new| {
            let hash = xcrypt::crypt(&new.text(), "$6$rounds=1000$saltsalt").expect("libxcrypt hashes");
            let body = json!({"hash": format!("{{SHA512-CRYPT}}{hash}")});
            told(admin.call("PUT", &format!("/accounts/{}/password", name(account)), &body))
        })
    }

    /// Sets a fresh password the way `ask` does.
    pub(crate) fn set(&self, account: usize, current: Option<Password>, ask: impl FnOnce(Password) -> Told) -> Told {
        let new = self.fresh();
        let told = self.recorder.change(account, current, new, || ask(new));
        if matches!(told, Told::Acknowledged { .. }) {
            *self.acknowledged.lock().expect("no client ends halfway") += 1;
            self.one_more.notify_all();
        }
        let mut known = self.account(account);
        match told {
            Told::Acknowledged { generation } if generation > known.generation => {
                known.generation = generation;
                let replaced = std::mem::replace(&mut known.newest, new);
                known.replaced.push_front(replaced);
                known.replaced.truncate(REMEMBERED);
            }
            Told::Unknown => known.doubtful.push_front(new),
            Told::Acknowledged { .. } | Told::WrongPassword => {}
        }
        told
    }

    pub(crate) fn log_in(&self, account: usize, password: Password, ask: impl FnOnce() -> Heard) -> Heard {
        self.recorder.login(account, password, ask)
    }

    /// After the crowd has gone: tries everything that may be right, so that what is lost is missed, and takes down
    /// what is.
    pub(crate) fn audit(&self, gatepost: &Gatepost) {
        let auth_socket = gatepost.path_of("auth");
        let is_right = &|account, password: Password| {
            let mut client = Connection::to_auth(auth_socket, 2);
            let heard = self.log_in(account, password, || {
                client.send(auth(1, "", &name(account), &password.text()));
                heard(account, &client.line())
            });
            assert_ne!(heard, Heard::NotNow, "nothing is wrong any more");
            heard == Heard::Accepted
        };
        thread::scope(|scope| {
            for account in 0..self.accounts() {
                scope.spawn(move || {
                    let Known { newest, replaced, doubtful, .. } = self.known(account);
                    let tried = thread::scope(|scope| {
                        let tried = replaced.into_iter().chain(doubtful).chain([newest]);
                        let tried = tried.map(|one| (one, scope.spawn(move || is_right(account, one))));
                        tried
                            .collect::<Vec<_>>()
                            .into_iter()
                            .map(|(one, tried)| (one, joined(tried)))
                            .collect::<Vec<_>>()
                    });
                    let mut known = self.account(account);
                    known.newest = tried.iter().rfind(|(_, is_right)| *is_right).map_or(newest, |(one, _)| *one);
                    known.doubtful.clear();
                });
            }
        });
    }

    /// Waits until so many more changes have been acknowledged, and for so long at least.
    pub(crate) fn let_be(&self, changes: usize, period: Duration) {
        let begun = Instant::now();
        let acknowledged = self.acknowledged.lock().expect("no client ends halfway");
        let enough = *acknowledged + changes;
        let lacking = |now: &mut usize| *now < enough || begun.elapsed() < period;
        let waited = self.one_more.wait_timeout_while(acknowledged, period + PATIENCE, lacking);
        let (now, timed_out) = waited.expect("no client ends halfway");
        assert!(!timed_out.timed_out(), "{} of {changes} changes in {:?}", *now + changes - enough, begun.elapsed());
    }

    /// Those of all changes that were acknowledged.
    pub(crate) fn receipts(&self) -> Vec<u64> {
        let receipt = |operation: &Operation| match operation.what {
            What::Change { told: Told::Acknowledged { generation }, .. } => {
                Some(generation).filter(|number| *number > 0)
            }
            _ => None,
        };
        self.recorder.history().iter().filter_map(receipt).collect()
    }

    /// Fails with every fault that there is, and what was done with that password.
    pub(crate) fn assert_nothing_untrue(&self, when: &str) -> Tally {
        let history = self.recorder.history();
        let faults = judge(&history);
        let told: String = faults.iter().take(5).map(|fault| format!("{fault}\n{}", around(&history, fault))).collect();
        assert!(faults.is_empty(), "{when}: {} answers are untrue, among them\n{told}", faults.len());
        Tally::of(&history)
    }

    fn account(&self, account: usize) -> MutexGuard<'_, Known> {
        self.accounts[account].lock().expect("no client ends halfway")
    }
}

impl Tally {
    pub(crate) fn of(history: &[Operation]) -> Self {
        Self::between(history, (Duration::ZERO, Duration::MAX))
    }

    /// Of what was asked from one time to the other.
    pub(crate) fn between(history: &[Operation], (from, to): (Duration, Duration)) -> Self {
        let mut tally = Self::default();
        for operation in history.iter().filter(|operation| from <= operation.began && operation.began < to) {
            *match operation.what {
                What::Login { heard: Heard::Accepted, .. } => &mut tally.accepted,
                What::Login { heard: Heard::Refused, .. } => &mut tally.refused,
                What::Login { heard: Heard::NotNow, .. } => &mut tally.not_now,
                What::Change { told: Told::Acknowledged { .. }, .. } => &mut tally.acknowledged,
                What::Change { told: Told::WrongPassword, .. } => &mut tally.refused,
                What::Change { told: Told::Unknown, .. } => &mut tally.unheard,
            } += 1;
        }
        tally
    }
}

/// What the history has about the account around the fault.
fn around(history: &[Operation], fault: &Fault) -> String {
    let concerns = |operation: &&Operation| {
        let about = match operation.what {
            What::Login { password, .. } => password == fault.password,
            What::Change { .. } => true,
        };
        operation.account == fault.account && about
    };
    let mut near: Vec<_> = history.iter().filter(concerns).collect();
    near.sort_by_key(|operation| operation.began.abs_diff(fault.at));
    near.truncate(12);
    near.sort_by_key(|operation| operation.began);
    near.into_iter().map(|operation| format!("    {operation:?}\n")).collect()
}

/// What an auth client hears; a lost connection is not now.
pub(crate) fn heard(account: usize, line: &str) -> Heard {
    let mut fields = line.split('\t');
    match (fields.next(), fields.nth(1)) {
        (Some("OK"), Some(user)) if user == format!("user={}", name(account)) => Heard::Accepted,
        (Some("FAIL"), Some("code=temp_fail")) | (Some(""), None) => Heard::NotNow,
        (Some("FAIL"), Some(_)) if !line.contains("temp") => Heard::Refused,
        _ => panic!("a login to account {account} heard {line:?}"),
    }
}

/// What came of a change. Whoever lost the race for the same password hears 409.
fn told(answer: Option<Answer>) -> Told {
    let Some(Answer { status, body }) = answer else { return Told::Unknown };
    match status {
        200 => Told::Acknowledged { generation: body["generation"].as_u64().expect("a number") },
        401 | 409 => Told::WrongPassword,
        503 => Told::Unknown,
        _ => panic!("a change heard {status}: {body}"),
    }
}

/// The whole conversation: the greeting, then an answer to each line.
fn told_by_poppassd(heard: &str) -> Told {
    let last = heard.lines().rfind(|line| !line.starts_with("200 Goodbye")).unwrap_or_default();
    if let Some((_, receipt)) = last.split_once("; receipt ") {
        let digits: String = receipt.chars().take_while(char::is_ascii_digit).collect();
        return Told::Acknowledged { generation: digits.parse().expect("a receipt has a number") };
    }
    match last.get(..1) {
        Some("5") => Told::WrongPassword,
        _ => Told::Unknown,
    }
}
