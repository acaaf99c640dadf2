//! Many clients at once, each changing passwords and logging in as chance will have it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use gatepost_harness::api::Api;
use gatepost_harness::checker::{Heard, Password};
use gatepost_harness::client::plain;
use gatepost_harness::dovecot::Dovecot;
use gatepost_harness::gatepost::Gatepost;
use gatepost_harness::joined;
use gatepost_harness::raw::{Connection, auth, hello};

use crate::books::{Books, heard, name};

/// Settings under which a crowd is not throttled: all its clients come from this host.
pub(crate) const SETTINGS: &str = "failures = 1000000000\ntrusted_networks = [\"127.0.0.0/8\"]\n";

/// Where a crowd comes in. The sockets outlive the daemon, so it may be killed meanwhile.
#[derive(Clone, Debug)]
pub(crate) struct Entrances<'a> {
    /// Through whose IMAP some of them log in.
    dovecot: Option<&'a Dovecot>,
    auth: PathBuf,
    login: PathBuf,
    public: Api,
    poppassd: SocketAddr,
    admin: Api,
}

impl<'a> Entrances<'a> {
    pub(crate) fn of(gatepost: &Gatepost) -> Self {
        let path = |name| gatepost.path_of(name).to_owned();
        Self {
            dovecot: None,
            auth: path("auth"),
            login: path("login"),
            public: Api::public(gatepost),
            poppassd: gatepost.poppassd,
            admin: Api::admin(gatepost),
        }
    }

    pub(crate) fn and_imap_of(self, dovecot: &'a Dovecot) -> Self {
        Self { dovecot: Some(dovecot), ..self }
    }
}

/// Runs so many clients until `meanwhile` has ended.
pub(crate) fn run<T>(clients: usize, entrances: &Entrances<'_>, books: &Books, meanwhile: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let crowd: Vec<_> = (0..clients)
            .map(|number| {
                let mut client = Client::new(number, entrances, books);
                let over = &over;
                scope.spawn(move || client.run_until(over))
            })
            .collect();
        // Also when that panics, or the clients would go on for ever.
        let told = Tell(&over);
        let came_of_it = meanwhile();
        drop(told);
        crowd.into_iter().for_each(joined);
        came_of_it
    })
}

struct Tell<'a>(&'a AtomicBool);

impl Drop for Tell<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Client<'a> {
    entrances: &'a Entrances<'a>,
    socket: &'a Path,
    dovecot: Option<&'a Dovecot>,
    connection: Option<Connection>,
    request: u32,
    books: &'a Books,
    chance: Chance,
}

impl<'a> Client<'a> {
    fn new(number: usize, entrances: &'a Entrances<'a>, books: &'a Books) -> Self {
        Self {
            entrances,
            socket: if number.is_multiple_of(2) { &entrances.auth } else { &entrances.login },
            dovecot: entrances.dovecot.filter(|_| number.is_multiple_of(4)),
            connection: None,
            request: 0,
            books,
            chance: Chance(number as u64 + 1),
        }
    }

    fn run_until(&mut self, over: &AtomicBool) {
        while !over.load(Ordering::Relaxed) {
            let account = self.chance.below(self.books.accounts());
            let known = self.books.known(account);
            match self.chance.below(100) {
                0..5 => {
                    self.books.change(account, known.newest, &self.entrances.public);
                }
                5..8 => {
                    self.books.change_by_webmail(account, known.newest, self.entrances.poppassd);
                }
                8..11 => {
                    self.books.reset(account, &self.entrances.admin);
                }
                11..14 => {
                    self.books.bring_along(account, &self.entrances.admin);
                }
                14..20 => self.log_in(account, known.replaced.front().copied().unwrap_or(known.newest)),
                20..24 => self.log_in(account, known.doubtful.front().copied().unwrap_or(known.newest)),
                24..26 => self.log_in(account, self.books.fresh()),
                _ => self.log_in(account, known.newest),
            }
        }
    }

    fn log_in(&mut self, account: usize, password: Password) {
        if let Some(dovecot) = self.dovecot {
            self.books.log_in(account, password, || log_in_by_imap(dovecot, &name(account), &password.text()));
            return;
        }
        self.request += 1;
        let login = auth(self.request, "\trip=127.0.0.1", &name(account), &password.text());
        let (socket, connection) = (self.socket, &mut self.connection);
        let heard = self.books.log_in(account, password, || {
            let line = match connection {
                Some(connection) => {
                    connection.send(login);
                    connection.line()
                }
                None => {
                    let connection = connection.insert(Connection::to(socket));
                    connection.send(hello(2) + &login);
                    connection.line_after("DONE")
                }
            };
            heard(account, &line)
        });
        if heard == Heard::NotNow {
            self.connection = None;
        }
    }
}

/// A session that is ended before it has begun to answer is none: not now.
fn log_in_by_imap(dovecot: &Dovecot, user: &str, password: &str) -> Heard {
    let mut client = Connection::to_address(dovecot.addresses.imap);
    client.send(format!("a AUTHENTICATE PLAIN {}\r\n", plain(user, password)));
    loop {
        let line = client.line();
        match line.split_once(' ') {
            Some(("a", "NO [AUTHENTICATIONFAILED] Authentication failed.\r")) => return Heard::Refused,
            Some(("a", told)) if told.starts_with("OK ") => return Heard::Accepted,
            Some(("a", told)) if told.starts_with("NO [UNAVAILABLE] ") => return Heard::NotNow,
            None => return Heard::NotNow,
            Some(("a", _)) => panic!("a login to {user} heard {line:?}"),
            Some(_) => {}
        }
    }
}

/// Not random at all, so that a run can be told apart from another by nothing but time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}
