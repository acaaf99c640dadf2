//! Mailboxes that lived with a Dovecot and its passwd-file, after gatepost has taken over: nobody notices.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use gatepost_harness::client::{deliver, read_only_mail};
use gatepost_harness::dovecot::{Answerer, Dovecot, Setup, Version, make_run_directory, sockets_below};
use gatepost_harness::gatepost::Gatepost;
use gatepost_harness::{User, directory_of, short_directory};

/// Who, in which home, as which uid, with which room in KiB.
const MAILBOXES: [(&str, &str, u32, u64); 3] = [
    ("ann@example.org", "homes/ann", 5001, 1024),
    ("ben@example.org", "old/b/ben", 5002, 0),
    ("cay@example.net", "cay", 5003, 7168),
];
const PASSWORD: &str = "Moved-in-4";

#[test]
fn old_mail_is_read_with_old_passwords_under_2_3() {
    move_in(Version::V2_3);
}

#[test]
fn old_mail_is_read_with_old_passwords_under_2_4() {
    move_in(Version::V2_4);
}

fn move_in(version: Version) {
    let directory = short_directory();
    let setup = |version, answerer| Setup { plugins: true, ..Setup::plain(version, answerer, &[]) };
    let mut old = Dovecot::start(directory.path(), setup(Version::V2_3, Answerer::Dovecot));
    write_passwd_file(&old, directory.path());
    for (user, ..) in MAILBOXES {
        let heard = deliver(old.addresses.lmtp, &[user], &format!("Subject: old mail\r\n\r\nFor {user}."));
        assert!(heard[0].starts_with("250 "), "{heard:?}");
        assert_eq!(room(&old, user), room_of(user), "the old Dovecot on {user}");
    }
    old.stop();

    make_run_directory(directory.path());
    let gatepost = Gatepost::start(directory.path(), sockets_below(directory.path()), "");
    let users = directory.path().join("users");
    gatepost.must(&["import", "passwd-file", &users.display().to_string(), "--create-domains"], "");
    fs::remove_file(&users).expect("the passwd-file is no longer needed");

    let new = Dovecot::start(directory.path(), setup(version, Answerer::Gatepost));
    for (user, home, ..) in MAILBOXES {
        assert_eq!(read_only_mail(&new, user, PASSWORD), format!("For {user}."));
        let found = new.doveadm(&["user", "-f", "home", user]);
        let home = directory.path().join(home);
        assert_eq!(String::from_utf8_lossy(&found.stdout).trim_end(), home.display().to_string());
        assert_eq!(room(&new, user), room_of(user), "the new Dovecot on {user}");
    }
}

fn write_passwd_file(dovecot: &Dovecot, directory: &Path) {
    let hashed = dovecot.doveadm(&["pw", "-s", "SHA512-CRYPT", "-p", PASSWORD]);
    let hash = String::from_utf8_lossy(&hashed.stdout).trim_end().to_owned();
    let lines = MAILBOXES.map(|(user, home, uid, room)| {
        let home = directory.join(home);
        directory_of(&home, User { uid, gid: uid }, 0o700);
        let quota = if room == 0 { String::new() } else { format!("userdb_quota_rule=*:storage={room}") };
        format!("{user}:{hash}:{uid}:{uid}::{}::{quota}\n", home.display())
    });
    fs::write(directory.join("users"), lines.concat()).expect("the passwd-file can be written");
}

fn room_of(user: &str) -> String {
    MAILBOXES
        .iter()
        .find(|(name, ..)| *name == user)
        .map(|(.., room)| if *room == 0 { "-".to_owned() } else { room.to_string() })
        .expect("a mailbox of the table")
}

/// The limit that Dovecot holds a mailbox to, in KiB; `-` is none.
fn room(dovecot: &Dovecot, user: &str) -> String {
    let output = dovecot.doveadm(&["-f", "tab", "quota", "get", "-u", user]);
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    let storage = table.lines().find(|line| line.contains("\tSTORAGE\t"));
    let limit = storage.and_then(|line| line.split('\t').nth(3));
    limit.unwrap_or_else(|| panic!("no limit in {table:?}")).to_owned()
}
