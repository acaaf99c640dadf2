//! Waiting: logins that were accepted on a login socket and wait to be claimed on the master socket.
//!
//! A login process hands its client to a mail process, which names the login by CPID, request id and cookie. Each
//! may be claimed once, and only while its connection lives.
//!
//! Trusts: the cookie, compared in constant time; the pids only help to find it.
//! Limits: a login is kept 150 s, as Dovecot keeps it (2.3.19 `src/lib-master/master-interface.h`); a connection may
//!         have [`UNCLAIMED`] of them, and forgets its oldest beyond that.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gatepost_protocol::dovecot::Cookie;

use crate::authenticate::Identity;

const KEPT: Duration = Duration::from_secs(150);
const UNCLAIMED: usize = 4_096;

/// An accepted login, as the master socket will need it.
#[derive(Clone, Debug)]
pub struct Grant {
    pub identity: Identity,
    pub mechanism: &'static str,
}

#[derive(Debug, Default)]
pub struct Waiting {
    /// By CPID. Login processes in two containers may share one; the cookie tells them apart.
    connections: Mutex<HashMap<u32, Vec<Connection>>>,
}

#[derive(Debug)]
struct Connection {
    cookie: Cookie,
    grants: VecDeque<(u32, Instant, Grant)>,
}

/// A login connection's place in the table; its unclaimed logins go when it is dropped.
#[derive(Debug)]
pub struct Registration {
    waiting: Arc<Waiting>,
    client_pid: u32,
    cookie: Cookie,
}

impl Waiting {
    pub fn register(self: &Arc<Self>, client_pid: u32, cookie: Cookie) -> Registration {
        let connection = Connection { cookie: cookie.clone(), grants: VecDeque::new() };
        self.with(|connections| connections.entry(client_pid).or_default().push(connection));
        Registration { waiting: Arc::clone(self), client_pid, cookie }
    }

    /// Takes the login out: a second claim finds nothing.
    pub fn claim(&self, client_pid: u32, auth_id: u32, cookie: &Cookie, now: Instant) -> Option<Grant> {
        self.with(|connections| {
            let connection =
                connections.get_mut(&client_pid)?.iter_mut().find(|connection| connection.cookie == *cookie)?;
            let position = connection.grants.iter().position(|(id, ..)| *id == auth_id)?;
            let (_, at, grant) = connection.grants.remove(position)?;
            (now.saturating_duration_since(at) < KEPT).then_some(grant)
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut HashMap<u32, Vec<Connection>>) -> T) -> T {
        act(&mut self.connections.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Registration {
    /// Must come before the login process hears OK, or the claim could overtake it.
    pub fn grant(&self, auth_id: u32, grant: Grant, now: Instant) {
        self.with(|connection| {
            while connection.grants.front().is_some_and(|(_, at, _)| now.saturating_duration_since(*at) >= KEPT)
                || connection.grants.len() >= UNCLAIMED
            {
                connection.grants.pop_front();
            }
            connection.grants.push_back((auth_id, now, grant));
        });
    }

    pub fn cancel(&self, auth_id: u32) {
        self.with(|connection| connection.grants.retain(|(id, ..)| *id != auth_id));
    }

    fn with(&self, act: impl FnOnce(&mut Connection)) {
        self.waiting.with(|connections| {
            let same_pid = connections.get_mut(&self.client_pid);
            if let Some(connection) = same_pid.and_then(|all| all.iter_mut().find(|one| one.cookie == self.cookie)) {
                act(connection);
            }
        });
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.waiting.with(|connections| {
            if let Some(same_pid) = connections.get_mut(&self.client_pid) {
                same_pid.retain(|connection| connection.cookie != self.cookie);
                if same_pid.is_empty() {
                    connections.remove(&self.client_pid);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::account::{Account, AccountType, CredentialName, Generation, RowNumber};

    fn cookie(byte: u8) -> Cookie {
        Cookie::new([byte; 16])
    }

    fn grant() -> Grant {
        let account = Account {
            username: "ann@example.org".parse().expect("a valid name"),
            name: None,
            quota: None,
            enabled: true,
            account_type: AccountType::Person,
            main_password_for_mail: true,
            fields: BTreeMap::new(),
            generation: Generation(1),
            changed: RowNumber(1),
        };
        let grant = crate::revocation::Grant::of(account.username.clone(), None, Default::default());
        let identity =
            Identity { account, quota: 0, credential: CredentialName::Main, generation: Generation(1), grant };
        Grant { identity, mechanism: "PLAIN" }
    }

    #[test]
    fn a_login_is_claimed_once_and_only_with_its_cookie() {
        let waiting = Arc::new(Waiting::default());
        let now = Instant::now();
        let registration = waiting.register(41, cookie(1));
        registration.grant(7, grant(), now);
        assert!(waiting.claim(41, 7, &cookie(2), now).is_none(), "another cookie");
        assert!(waiting.claim(42, 7, &cookie(1), now).is_none(), "another process");
        assert!(waiting.claim(41, 8, &cookie(1), now).is_none(), "another request");
        assert!(waiting.claim(41, 7, &cookie(1), now).is_some());
        assert!(waiting.claim(41, 7, &cookie(1), now).is_none(), "a second time");
    }

    #[test]
    fn an_unclaimed_login_ends_with_time_cancel_or_connection() {
        let waiting = Arc::new(Waiting::default());
        let now = Instant::now();
        let registration = waiting.register(41, cookie(1));
        registration.grant(1, grant(), now);
        assert!(waiting.claim(41, 1, &cookie(1), now + KEPT).is_none(), "too late");
        registration.grant(2, grant(), now);
        registration.cancel(2);
        assert!(waiting.claim(41, 2, &cookie(1), now).is_none(), "cancelled");
        registration.grant(3, grant(), now);
        drop(registration);
        assert!(waiting.claim(41, 3, &cookie(1), now).is_none(), "gone with its connection");
        assert!(waiting.with(|connections| connections.is_empty()));
    }

    #[test]
    fn two_processes_of_one_pid_do_not_disturb_each_other() {
        let waiting = Arc::new(Waiting::default());
        let now = Instant::now();
        let first = waiting.register(41, cookie(1));
        let second = waiting.register(41, cookie(2));
        first.grant(1, grant(), now);
        second.grant(1, grant(), now);
        drop(first);
        assert!(waiting.claim(41, 1, &cookie(2), now).is_some());
    }
}
