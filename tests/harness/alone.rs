//! gatepost with every socket that it has and no program to use them: the test itself is every peer.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::gatepost::{Gatepost, Socket};
use crate::mailhost::{ALICE, add_accounts};
use crate::raw::{self, Connection};
use crate::{User, short_directory};

#[derive(Debug)]
pub struct Alone {
    pub gatepost: Gatepost,
    pub directory: TempDir,
}

/// What the daemon holds in memory, in KiB.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    pub now: u64,
    /// The most it ever was.
    pub peak: u64,
}

impl Alone {
    /// Starts it with Alice; `settings` is TOML beside the usual.
    pub fn start(settings: &str) -> Self {
        let directory = short_directory();
        Self::start_in(directory, settings)
    }

    pub fn start_in(directory: TempDir, settings: &str) -> Self {
        let gatepost = Gatepost::start(directory.path(), sockets(directory.path()), settings);
        add_accounts(&gatepost, &[ALICE]);
        Self { gatepost, directory }
    }

    pub fn connect(&self, socket: &str) -> Connection {
        Connection::to(self.gatepost.path_of(socket))
    }

    /// As Dovecot 2.3 would on that socket.
    pub fn auth_client(&self, socket: &str) -> Connection {
        Connection::to_auth(self.gatepost.path_of(socket), 2)
    }

    /// What a Dovecot client hears of a login on a connection of its own.
    pub fn log_in(&self, user: &str, password: &str) -> String {
        let mut client = self.auth_client("auth");
        client.send(raw::auth(1, "", user, password));
        client.line()
    }

    /// Whatever else goes on, somebody else's login is answered.
    pub fn assert_others_log_in(&self, meanwhile: &str) {
        let heard = self.log_in(ALICE.user, ALICE.password);
        assert_eq!(heard, format!("OK\t1\tuser={}", ALICE.user), "meanwhile: {meanwhile}");
    }

    /// Where the accounts are.
    pub fn database(&self) -> PathBuf {
        self.directory.path().join("gatepost/gatepost.db")
    }

    pub fn memory(&self) -> Memory {
        let status = format!("/proc/{}/status", self.gatepost.process().pid());
        let status = fs::read_to_string(&status).expect("the daemon is running");
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a running process has memory");
            line.trim().trim_end_matches(" kB").parse().expect("a number of kB")
        };
        Memory { now: kib("VmRSS:"), peak: kib("VmHWM:") }
    }
}

/// Each open to everybody where that is allowed. Of the dicts, `keys` has no stored hashes to hand out.
fn sockets(directory: &Path) -> Vec<Socket> {
    let socket = |name, protocol, mode| Socket { name, protocol, path: directory.join(name), owner: User::ROOT, mode };
    vec![
        socket("auth", "auth", 0o666),
        socket("login", "login", 0o666),
        socket("master", "master", 0o600),
        socket("userdb", "userdb", 0o666),
        socket("dict", "dict", 0o600),
        socket("keys", "dict", 0o666),
        socket("socketmap", "socketmap", 0o666),
    ]
}
