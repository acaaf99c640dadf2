//! A daemon that was given no more than a directory: what it makes there, and who may use it.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// No user of Debian's has it.
const STRANGER: u32 = 64_999;

struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// All defaults but the ports, which other tests may hold.
fn start(directory: &Path) -> Daemon {
    let config = directory.join("gatepost.toml");
    fs::write(&config, "listen.http.enabled = false\nlisten.status.enabled = false\n").expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatepost"));
    command.arg("serve").arg("--config").arg(&config).current_dir(directory).stderr(Stdio::null());
    let mut daemon = Daemon(command.spawn().expect("started"));
    let deadline = Instant::now() + Duration::from_secs(20);
    // The last of the listeners to be opened, since they are opened in the order of their names.
    while UnixStream::connect(directory.join("gatepost-data/run/userdb")).is_err() {
        assert!(daemon.0.try_wait().expect("a child").is_none(), "the daemon ended");
        assert!(Instant::now() < deadline, "the daemon does not listen");
        thread::yield_now();
    }
    daemon
}

fn may(access: &str, uid: u32, path: &Path) -> bool {
    Command::new("test").arg(access).arg(path).uid(uid).gid(uid).status().expect("run as another user").success()
}

#[test]
fn another_user_reaches_the_sockets_meant_for_it_and_nothing_else() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).expect("opened");
    let _daemon = start(directory.path());
    let cases = [
        ("run/auth", true),
        ("run/login", true),
        ("run/userdb", true),
        ("run/socketmap", true),
        ("run/master", false),
        ("run/dict", false),
        ("run/admin", false),
        ("gatepost.db", false),
    ];
    for (name, reachable) in cases {
        let path = directory.path().join("gatepost-data").join(name);
        assert!(path.exists(), "{name}");
        assert_eq!(may("-w", STRANGER, &path), reachable, "{name}");
    }
    for name in ["gatepost.db", "gatepost.db-wal"] {
        assert!(!may("-r", STRANGER, &directory.path().join("gatepost-data").join(name)), "{name}");
    }
}
