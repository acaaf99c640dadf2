//! Dovecot 2.3 keeps its auth process and asks gatepost for hash and record over dict.
//!
//! The mechanisms and the words are Dovecot's own here; that it hears the right thing from gatepost is what is tested.

use std::process::Output;

use gatepost_harness::client::{Door, Heard, at_every_door, deliver};
use gatepost_harness::dovecot::{Answerer, Recipe, Setup, Version};
use gatepost_harness::mailhost::{ALICE, BOB, CAROL, MailHost, NOBODY};

#[test]
fn right_passwords_open_every_door() {
    let host = start();
    for mailbox in [ALICE, BOB] {
        for (door, heard) in at_every_door(&host.dovecot, mailbox.user, mailbox.password) {
            assert_eq!(heard, Heard::Welcome, "{door:?} for {}", mailbox.user);
        }
    }
}

#[test]
fn wrong_password_and_unknown_user_are_refused_alike() {
    let host = start();
    for (user, password) in [(ALICE.user, BOB.password), (NOBODY, ALICE.password), (CAROL.user, ALICE.password)] {
        for (door, heard) in at_every_door(&host.dovecot, user, password) {
            assert_eq!(heard, Heard::No(door.refusal().to_owned()), "{door:?} for {user}");
        }
    }
}

#[test]
fn disabled_user_hears_why_with_the_right_password() {
    let host = start();
    let heard = Door::ImapLogin.log_in(&host.dovecot, CAROL.user, CAROL.password);
    assert_eq!(heard, Heard::No("a NO [CONTACTADMIN] This mailbox is disabled.".to_owned()));
    let heard = Door::SubmissionPlain.log_in(&host.dovecot, CAROL.user, CAROL.password);
    assert_eq!(heard, Heard::No("525 5.7.13 This mailbox is disabled.".to_owned()));
}

#[test]
fn users_are_found_listed_and_unknown() {
    let host = start();
    let all = host.dovecot.doveadm(&["user", "*"]);
    assert_eq!(printed(&all), format!("{}\n{}\n{}\n", ALICE.user, BOB.user, CAROL.user));
    let found = host.dovecot.doveadm(&["user", "-f", "home", ALICE.user]);
    assert_eq!(printed(&found), format!("{}/mail/{}\n", host.directory.path().display(), ALICE.user));
    assert_eq!(host.dovecot.doveadm(&["user", NOBODY]).status.code(), Some(67));
}

#[test]
fn outage_is_not_now_to_everybody_and_over_when_it_is_over() {
    let host = start();
    for loss in host.store().losses() {
        host.store().lose(*loss);
        for (user, password) in [(ALICE.user, ALICE.password), (ALICE.user, BOB.password), (NOBODY, ALICE.password)] {
            for (door, heard) in at_every_door(&host.dovecot, user, password) {
                assert!(matches!(heard, Heard::NotNow(_)), "{door:?} heard {heard:?} for {user}");
            }
        }
        let heard =
            deliver(host.dovecot.addresses.lmtp, &[ALICE.user, NOBODY], "Subject: greeting\r\n\r\nGood morning.");
        assert!(heard.iter().all(|line| line.starts_with("451 ")), "{heard:?}");
        assert_eq!(host.dovecot.doveadm(&["user", ALICE.user]).status.code(), Some(75));
        host.store().mend(*loss);
        assert_eq!(Door::ImapLogin.log_in(&host.dovecot, ALICE.user, ALICE.password), Heard::Welcome);
    }
}

#[test]
fn hash_is_read_by_root_and_never_by_the_mail_user() {
    let host = start();
    let key = format!("shared/passdb/{}", ALICE.user);
    let sockets = host.directory.path().join("run-gatepost");
    let read = |user: &str, socket: &str| {
        let dict = format!("proxy:{}:auth", sockets.join(socket).display());
        host.dovecot.doveadm_as(user, &["dict", "get", &dict, &key])
    };
    assert!(printed(&read("root", "dict")).contains("{ARGON2ID}"), "this is how a hash is read");
    for (user, socket) in [("vmail", "dict"), ("vmail", "mail-dict"), ("root", "mail-dict")] {
        let output = read(user, socket);
        assert_eq!(output.status.code(), Some(75), "{user} at {socket}: {output:?}");
        assert!(output.stdout.is_empty(), "{user} at {socket}: {output:?}");
    }
}

fn start() -> MailHost {
    let setup = Setup::plain(Version::V2_3, Answerer::Gatepost, &[ALICE, BOB, CAROL]);
    MailHost::start_with(Setup { recipe: Recipe::DictPassdb, ..setup })
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
