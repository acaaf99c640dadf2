//! The daemon as its operator meets it: how it starts and refuses to, and who may speak for it.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use gatepost_harness::process::{LogMark, Process};
use gatepost_harness::{User, directory_of, own_executable, short_directory, wait_until};
use rustix::process::Signal;
use tempfile::TempDir;

/// Everything below the directory, as without a configuration, but for the two fixed ports.
const NO_PORTS: &str =
    "[listen.http]\nenabled = false\n[listen.status]\nenabled = false\n[listen.poppassd]\nenabled = false\n";

/// No user of Debian's has it.
const STRANGER: User = User { uid: 64_999, gid: 64_999 };

struct Host {
    directory: TempDir,
}

impl Host {
    /// A directory of `user`, with a configuration in it.
    fn of(user: User, configuration: &str) -> Self {
        let directory = short_directory();
        directory_of(directory.path(), user, 0o755);
        fs::write(directory.path().join("gatepost.toml"), configuration).expect("a configuration");
        Self { directory }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn command(&self, user: User, arguments: &[&str]) -> Command {
        let mut command = Command::new(own_executable("gatepost", self.path()));
        command.current_dir(self.path()).args(arguments).uid(user.uid).gid(user.gid);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(User::ROOT, arguments).output().expect("the command starts")
    }

    /// A daemon that answers.
    fn serve(&self, user: User) -> Process {
        let daemon = Process::start("gatepost", self.command(user, &["serve", "--config", "gatepost.toml"]));
        wait_until("the daemon answers", || {
            let asked = self.command(user, &["status", "--config", "gatepost.toml"]).output();
            asked.expect("the command starts").status.success()
        });
        daemon
    }
}

fn complaint(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

#[test]
fn a_daemon_ends_on_term_and_takes_its_sockets_along() {
    let host = Host::of(User::ROOT, NO_PORTS);
    let mut daemon = host.serve(User::ROOT);
    assert!(host.path().join("gatepost-data/run/admin").exists());
    assert_eq!(daemon.end(Signal::TERM).code(), Some(0), "{}", daemon.log());
    assert!(!host.path().join("gatepost-data/run/admin").exists());
    assert_eq!(host.run(&["status", "--config", "gatepost.toml"]).status.code(), Some(75));
}

#[test]
fn what_was_acknowledged_is_there_after_a_kill() {
    let host = Host::of(User::ROOT, NO_PORTS);
    let mut daemon = host.serve(User::ROOT);
    assert!(host.run(&["--config", "gatepost.toml", "domain", "add", "example.org"]).status.success());
    daemon.end(Signal::KILL);
    let _daemon = host.serve(User::ROOT);
    let output = host.run(&["--config", "gatepost.toml", "domain", "list", "--json"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("example.org"), "{output:?}");
}

#[test]
fn a_bad_configuration_is_2_and_says_where() {
    let host = Host::of(User::ROOT, "[listen.admin]\nmode = \"0999\"\n");
    for verb in ["serve", "status"] {
        let output = host.run(&[verb, "--config", "gatepost.toml"]);
        assert_eq!(output.status.code(), Some(2));
        assert!(complaint(&output).contains("gatepost.toml:2: listen.admin.mode"), "{}", complaint(&output));
    }
}

#[test]
fn a_second_daemon_on_the_same_store_is_75() {
    let host = Host::of(User::ROOT, NO_PORTS);
    let _daemon = host.serve(User::ROOT);
    let output = host.run(&["serve", "--config", "gatepost.toml"]);
    assert_eq!(output.status.code(), Some(75));
    assert!(complaint(&output).contains("[store] path"), "{}", complaint(&output));
    assert_eq!(host.run(&["status", "--config", "gatepost.toml"]).status.code(), Some(0), "the first one goes on");
}

/// Typing takes longer than the daemon lets an idle connection be.
#[test]
fn a_daemon_that_hung_up_while_the_password_was_typed_is_asked_again() {
    let host = Host::of(User::ROOT, NO_PORTS);
    let listener = UnixListener::bind(host.path().join("admin")).expect("a socket");
    let mut passwd = host.command(User::ROOT, &["--socket", "admin", "passwd", "ann@example.org", "--stdin"]);
    let mut passwd = passwd.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the command starts");
    let (hung_up, _) = listener.accept().expect("it makes sure of the daemon first");
    let waits_in = format!("/proc/{}/wchan", passwd.id());
    wait_until("it waits for the password", || {
        fs::read_to_string(&waits_in).is_ok_and(|function| function.contains("pipe_read"))
    });
    drop(hung_up);
    let mut stdin = passwd.stdin.take().expect("its input");
    stdin.write_all(b"Gate-post-8\n").expect("it reads");
    let (mut asked_again, _) = listener.accept().expect("a second connection");
    let mut request = Vec::new();
    let mut bytes = [0; 4096];
    while !request.ends_with(b"{\"new\":\"Gate-post-8\"}") {
        let length = asked_again.read(&mut bytes).expect("a request");
        assert_ne!(length, 0, "half a request");
        request.extend_from_slice(&bytes[..length]);
    }
    let body = r#"{"generation":7,"receipt":{"id":7,"user":"ann@example.org","credential":null,"generation":7,
        "reason":"password-set","at":"2026-01-31T12:00:00Z","complete":true,"steps":[]}}"#;
    write!(asked_again, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).expect("it listens");
    let output = passwd.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "password of ann@example.org set, generation 7\n");
}

/// A package that is being upgraded may have its file away for a moment.
#[test]
fn a_system_file_that_is_gone_at_hup_changes_nothing() {
    let host = Host::of(User::ROOT, "");
    let etc = host.path().join("etc");
    let in_a_namespace = "cp -a /etc \"$1\" && mount --bind \"$1\" /etc && mkdir -p /etc/gatepost \
                          && printf 'default_domain = \"example.org\"\\n%s' \"$3\" >/etc/gatepost/gatepost.toml && exec \"$2\" serve";
    let mut daemon = Command::new("unshare");
    daemon.args(["--mount", "sh", "-c", in_a_namespace, "sh"]).arg(&etc);
    daemon.arg(own_executable("gatepost", host.path())).arg(NO_PORTS).current_dir(host.path());
    let daemon = Process::start("gatepost", daemon);
    daemon.wait_for_log("ready version=", LogMark::default());
    fs::remove_file(etc.join("gatepost/gatepost.toml")).expect("it was there");
    let mark = daemon.mark();
    daemon.signal(Signal::HUP);
    daemon.wait_for_log("configuration not taken over; the old one stays in force", mark);
}

#[test]
fn a_daemon_of_another_user_hears_nothing_unless_it_is_the_configured_one() {
    let nobody = User::named("nobody");
    let host = Host::of(nobody, NO_PORTS);
    let _daemon = host.serve(nobody);
    let add = ["--config", "gatepost.toml", "domain", "add", "example.org"];
    let output = host.run(&add);
    assert_eq!(output.status.code(), Some(2));
    assert!(complaint(&output).contains("nothing was sent"), "{}", complaint(&output));
    let owner = format!("{NO_PORTS}[listen.admin]\nowner = \"nobody\"\n");
    fs::write(host.path().join("gatepost.toml"), owner).expect("a configuration");
    let output = host.run(&add);
    assert_eq!(output.status.code(), Some(0), "{}", complaint(&output));
}

#[test]
fn another_user_reaches_the_sockets_meant_for_it_and_nothing_else() {
    let host = Host::of(User::ROOT, NO_PORTS);
    let _daemon = host.serve(User::ROOT);
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
    let data = host.path().join("gatepost-data");
    for (name, reachable) in cases {
        assert!(data.join(name).exists(), "{name}");
        assert_eq!(a_stranger_may("-w", &data.join(name)), reachable, "{name}");
    }
    for name in ["gatepost.db", "gatepost.db-wal"] {
        assert!(!a_stranger_may("-r", &data.join(name)), "{name}");
    }
}

fn a_stranger_may(access: &str, path: &Path) -> bool {
    let mut command = Command::new("test");
    command.arg(access).arg(path).uid(STRANGER.uid).gid(STRANGER.gid);
    command.status().expect("run as another user").success()
}
