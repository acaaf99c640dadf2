//! The units in `systemd/`, judged by systemd's own tools, by AppArmor's parser and by the daemon's configuration.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use gatepost::config::{Config, Endpoint, Protocol};
use gatepost_harness::dovecot::{Answerer, Dovecot, Setup, Version};
use gatepost_harness::short_directory;
use tempfile::{TempDir, tempdir};

/// `systemd-analyze security` counts from 0 for safe to 100; what is above 0 here is that gatepost talks by sockets.
const EXPOSURE: &str = "20";

#[test]
fn units_are_what_systemd_understands() {
    let units = units("service").chain(units("socket"));
    let output = run("systemd-analyze", |command| command.args(["verify", "--man=no"]).args(units));
    let complaints = String::from_utf8_lossy(&output.stderr);
    // Where the package is not installed its program is missing, and that is all.
    let others = complaints.lines().filter(|line| !line.contains("/usr/bin/gatepost is not executable"));
    assert_eq!(others.collect::<Vec<_>>(), Vec::<&str>::new());
}

#[test]
fn service_is_confined() {
    let output = run("systemd-analyze", |command| {
        command.args(["security", "--offline=true", "--threshold", EXPOSURE]).args(units("service"))
    });
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn sockets_carry_the_names_of_listeners_that_speak_with_their_peers() {
    let expected = BTreeMap::from([
        ("/run/dovecot/auth-client", (Protocol::Auth, Some("0600"))),
        ("/run/dovecot/auth-master", (Protocol::Master, Some("0600"))),
        ("/run/dovecot/auth-userdb", (Protocol::Userdb, Some("0666"))),
        ("/run/dovecot/login/ext/login", (Protocol::Login, Some("0666"))),
        ("/run/gatepost/admin", (Protocol::Admin, Some("0600"))),
        ("/run/gatepost/exim", (Protocol::Auth, Some("0600"))),
        ("/var/spool/postfix/private/auth-gatepost", (Protocol::Auth, Some("0600"))),
        ("/var/spool/postfix/private/socketmap-gatepost", (Protocol::Socketmap, Some("0600"))),
        ("127.0.0.1:106", (Protocol::Poppassd, None)),
    ]);
    let config = systemd_config();
    let sockets: Vec<_> = units("socket").map(|unit| fs::read_to_string(unit).expect("a unit")).collect();
    let mut found = BTreeMap::new();
    for unit in &sockets {
        let name = setting(unit, "FileDescriptorName");
        let listener = config.fixed.listeners.iter().find(|listener| listener.name == name);
        let protocol = listener.unwrap_or_else(|| panic!("gatepost.toml has no [listen.{name}]")).protocol;
        let is_file = setting(unit, "ListenStream").starts_with('/');
        let mode = is_file.then(|| setting(unit, "SocketMode"));
        assert_eq!(setting(unit, "Service"), "gatepost.service");
        found.insert(setting(unit, "ListenStream"), (protocol, mode));
    }
    assert_eq!(found, expected);
}

/// Without its socket unit a listener is opened by the daemon, which can only do so in its own directory.
#[test]
fn every_listener_has_a_place_that_the_service_may_write_to() {
    for listener in systemd_config().fixed.listeners {
        if let Some(Endpoint::Unix { path, .. }) = listener.endpoint {
            assert_eq!(path.parent(), Some(Path::new("/run/gatepost")), "[listen.{}]", listener.name);
        }
    }
}

#[test]
fn directories_are_those_that_dovecot_makes_itself() {
    let root = root_of_a_fresh_host();
    let created = run("systemd-tmpfiles", |command| {
        let files = ["gatepost.conf", "gatepost-dovecot.conf"].map(|file| below("systemd/tmpfiles.d").join(file));
        command.arg("--create").arg(format!("--root={}", root.path().display())).args(files)
    });
    assert!(created.status.success(), "{created:?}");
    let ours = root.path().join("run/dovecot");

    let directory = short_directory();
    let dovecot = Dovecot::start(directory.path(), Setup::plain(Version::V2_3, Answerer::Dovecot, &[]));
    let theirs = dovecot.base();
    for path in [".", "login"] {
        assert_eq!(owner_and_mode(&ours.join(path)), owner_and_mode(&theirs.join(path)), "{path}");
    }
    assert_eq!(owner_and_mode(&ours.join("login/ext")), (0, 0, 0o755));
}

#[test]
fn user_is_made_on_a_fresh_host() {
    let root = root_of_a_fresh_host();
    let passwd = fs::read_to_string(root.path().join("etc/passwd")).expect("a list of users");
    let record = passwd.lines().find(|line| line.starts_with("gatepost:")).expect("the user");
    let fields: Vec<_> = record.split(':').collect();
    assert_ne!(fields[2], "0");
    assert_eq!(fields[5..], ["/var/lib/gatepost", "/usr/sbin/nologin"]);
}

#[test]
fn apparmor_profiles_take_the_includes_in() {
    let includes = tempdir().expect("a directory");
    for (ours, theirs) in [("gatepost-dovecot", "dovecot-common.d"), ("gatepost-postfix", "postfix-common.d")] {
        let place = includes.path().join("abstractions").join(theirs);
        fs::create_dir_all(&place).expect("a directory");
        fs::copy(below("systemd/apparmor.d").join(ours), place.join("gatepost")).expect("a copy");
    }
    for (profile, rule) in [
        ("usr.lib.dovecot.imap-login", "/dovecot/login/ext/login rw,"),
        ("usr.lib.dovecot.imap", "/dovecot/auth-{master,userdb,client} rw,"),
        ("usr.lib.dovecot.managesieve", "/dovecot/auth-{master,userdb,client} rw,"),
        ("usr.lib.dovecot.lmtp", "/dovecot/auth-{master,userdb,client} rw,"),
        ("postfix-smtpd", "private/{auth,socketmap}-gatepost rw,"),
        ("postfix-trivial-rewrite", "private/{auth,socketmap}-gatepost rw,"),
    ] {
        let parse = |options: &[&str]| {
            run("apparmor_parser", |command| {
                command.args(["--skip-kernel-load", "--skip-cache", "--base", "/etc/apparmor.d", "--Include"]);
                command.arg(includes.path()).args(options);
                command.arg(Path::new("/usr/share/apparmor/extra-profiles").join(profile))
            })
        };
        let compiled = parse(&[]);
        assert!(compiled.status.success(), "{profile}: {compiled:?}");
        let text = String::from_utf8(parse(&["--preprocess"]).stdout).expect("profiles are text");
        assert!(text.contains(rule), "{profile} has no {rule:?}");
    }
}

fn run(program: &str, arguments: impl FnOnce(&mut Command) -> &mut Command) -> Output {
    let output = arguments(&mut Command::new(program)).output();
    output.unwrap_or_else(|error| panic!("cannot run {program}: {error}; tests/run installs it"))
}

fn below(directory: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(directory)
}

fn units(kind: &'static str) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(below("systemd")).expect("the units");
    entries
        .map(|entry| entry.expect("an entry").path())
        .filter(move |path| path.extension().is_some_and(|extension| extension == kind))
}

fn setting<'a>(unit: &'a str, key: &str) -> &'a str {
    let mut values = unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    values.next().unwrap_or_else(|| panic!("no {key}= in {unit}"))
}

fn systemd_config() -> Config {
    Config::load(Some(&below("systemd/gatepost.toml"))).unwrap_or_else(|error| panic!("{error}"))
}

/// A directory with this host's users, but for gatepost, which systemd-sysusers has made there.
fn root_of_a_fresh_host() -> TempDir {
    let root = tempdir().expect("a directory");
    let etc = root.path().join("etc");
    fs::create_dir(&etc).expect("a directory");
    for file in ["passwd", "group"] {
        let text = fs::read_to_string(Path::new("/etc").join(file)).expect("a list of users or groups");
        let others = text.lines().filter(|line| !line.starts_with("gatepost:"));
        fs::write(etc.join(file), others.map(|line| format!("{line}\n")).collect::<String>()).expect("a copy");
    }
    let made = run("systemd-sysusers", |command| {
        command.arg(format!("--root={}", root.path().display())).arg(below("systemd/sysusers.d/gatepost.conf"))
    });
    assert!(made.status.success(), "{made:?}");
    root
}

fn owner_and_mode(path: &Path) -> (u32, u32, u32) {
    let metadata = fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    (metadata.uid(), metadata.gid(), metadata.permissions().mode() & 0o7777)
}
