//! Real peers for gatepost's tests: one module a program, each started in a directory of its own.
//!
//! A crate, so that every file in `tests/` shares one build of it and takes from it only what it needs.
//!
//! Trusts: nothing that runs on the machine. Directories, ports, configuration and logs are its own; what it
//!         started is ended with it.
//! Fails:  by panicking, with the log of the program that did not do what it should.
//! Limits: must be root, for the real programs change to their own users. A port is found free and then given to
//!         the program; should another take it in between, the start fails and says so.

pub mod alone;
pub mod api;
pub mod checker;
pub mod chromium;
pub mod client;
mod confined;
pub mod dovecot;
pub mod exim;
pub mod gatepost;
pub mod mailhost;
pub mod postfix;
pub mod process;
pub mod proxy;
pub mod raw;
pub mod redis;
pub mod roundcube;
pub mod schemathesis;
pub mod session;
pub mod site;
pub mod smtp;
pub mod submission;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};
use std::{env, fs, panic, process::Command};

use tempfile::TempDir;

/// How long anything that is waited for may take before the test gives up.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// As many as a run of all tests has time for; `tests/run long` has time for more.
pub fn times(usual: usize, long: usize) -> usize {
    if env::var_os("GATEPOST_TEST_LONG").is_some() { long } else { usual }
}

/// Asks again and again; `condition` is expected to take its time, as whatever asks a program does.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "it did not happen: {what}");
    }
}

/// What a thread came to; its panic goes on here.
pub fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
}

/// A directory that every user may enter, with a path so short that a socket anywhere below it can be bound.
pub fn short_directory() -> TempDir {
    let directory = tempfile::Builder::new()
        .prefix("gp")
        .rand_bytes(5)
        .tempdir_in("/tmp")
        .expect("cannot make a directory in /tmp");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("cannot open the directory to all");
    directory
}

/// Makes `path` and gives it to `user`.
pub fn directory_of(path: &Path, user: User, mode: u32) {
    fs::create_dir_all(path).unwrap_or_else(|error| panic!("cannot make {}: {error}", path.display()));
    chown(path, Some(user.uid), Some(user.gid))
        .unwrap_or_else(|error| panic!("cannot give {} away: {error}", path.display()));
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("cannot set the directory's mode");
}

/// As many loopback addresses, different from each other and free just now.
pub fn free_addresses<const COUNT: usize>() -> [SocketAddr; COUNT] {
    let held = [(); COUNT].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("no free loopback port"));
    held.map(|listener| listener.local_addr().expect("a bound socket has an address"))
}

/// A program of this package as cargo built it for the tests, linked below `directory`, where every user may run it.
pub fn own_executable(name: &str, directory: &Path) -> PathBuf {
    let linked = directory.join("bin").join(name);
    if !linked.exists() {
        directory_of(&directory.join("bin"), User::ROOT, 0o755);
        let test = env::current_exe().expect("a test knows where it is");
        let built = test.ancestors().nth(2).expect("tests are built two directories deep").join(name);
        fs::hard_link(&built, &linked)
            .or_else(|_| fs::copy(&built, &linked).map(drop))
            .unwrap_or_else(|error| panic!("cannot reach {}: {error}", built.display()));
    }
    linked
}

/// Where `tests/run` keeps the programs that are not installed.
pub(crate) fn cache() -> PathBuf {
    env::var_os("GATEPOST_TEST_CACHE").map_or_else(|| PathBuf::from("/var/cache/gatepost-tests"), PathBuf::from)
}

/// A system user, by the numbers.
#[derive(Clone, Copy, Debug)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
}

impl User {
    pub const ROOT: Self = Self { uid: 0, gid: 0 };

    pub fn named(name: &str) -> Self {
        let output = Command::new("getent").args(["passwd", name]).output().expect("cannot run getent");
        let record = String::from_utf8(output.stdout).expect("the user database is text");
        let mut numbers = record.split(':').skip(2).map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(uid)), Some(Ok(gid))) => Self { uid, gid },
            _ => panic!("there is no user {name}; tests/run makes the users that the tests need"),
        }
    }
}
