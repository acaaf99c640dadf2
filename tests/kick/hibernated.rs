//! IDLE sessions that Dovecot keeps together in one process of their own until something happens.

use std::fs;

use gatepost_harness::client::Protocol;
use gatepost_harness::dovecot::{Answerer, Dovecot, Setup, Version};
use gatepost_harness::mailhost::{ALICE, BOB, DOVECOT, MailHost};
use gatepost_harness::session::Session;
use gatepost_harness::wait_until;

use super::{NEW, completed, set_password, step, with_both};

const HIBERNATION: &str = "imap_hibernate_timeout = 1s
service imap {
  extra_groups = dovecot
  unix_listener imap-master {
    user = dovecot
  }
}
service imap-hibernate {
  unix_listener imap-hibernate {
    mode = 0666
  }
}
";

#[test]
fn hibernated_session_ends() {
    with_both(session_is_hibernated);
}

fn session_is_hibernated(version: Version) {
    let setup = Setup::plain(version, Answerer::Gatepost, &[ALICE, BOB]);
    let mut host = MailHost::start_with(Setup { doveadm: true, more: HIBERNATION, ..setup });
    let (gatepost, dovecot) = host.gatepost_and_dovecot();
    let hers = Session::open(Protocol::Imap, dovecot, ALICE.user, ALICE.password);
    let mut his = Session::open(Protocol::Imap, dovecot, BOB.user, BOB.password);
    for mailbox in [ALICE, BOB] {
        wait_until("the session is hibernated", || process_of(dovecot, mailbox.user) == "imap-hibernate");
    }
    let change = set_password(gatepost, ALICE.user, NEW);
    let heard = hers.last_words();
    match version {
        // All of them are in one process, which ends without a word.
        Version::V2_3 => assert_eq!((heard, his.last_words()), (String::new(), String::new())),
        Version::V2_4 => {
            assert!(heard.starts_with("* BYE"), "{heard:?}");
            his.prove_open();
        }
    }
    let kick = step(&completed(gatepost, change), "kick", DOVECOT);
    assert_eq!((&kick["state"], &kick["count"]), (&"done".into(), &1.into()), "{kick}");
}

/// What the process is called that has the only session of the user.
fn process_of(dovecot: &Dovecot, user: &str) -> String {
    let listed = dovecot.doveadm(&["-f", "tab", "who", "-1", user]);
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let pid = listed.lines().nth(1).and_then(|row| row.split('\t').nth(2)).unwrap_or_default();
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim_end().to_owned()
}
