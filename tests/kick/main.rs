//! What a change of the password ends in a real Dovecot 2.3 and 2.4, what it spares, and what the receipt says of it.

mod birth;
mod encrypted;
mod faults;
mod hibernated;
mod relay;
mod several;
mod shared;
mod verifying;

use std::thread;

use gatepost_harness::client::{Door, Heard, Protocol};
use gatepost_harness::dovecot::{Answerer, Mailbox, Setup, Version};
use gatepost_harness::gatepost::Gatepost;
use gatepost_harness::mailhost::{ALICE, BOB, CAROL, DOVECOT, MailHost};
use gatepost_harness::session::Session;
use gatepost_harness::{joined, wait_until};
use relay::Relay;
use serde_json::Value;

const NEW: &str = "Another-pass-1";

/// Plays a scenario with Dovecot 2.3 and with 2.4 at once: most of it is waiting until a receipt is complete.
fn with_both(scenario: fn(Version)) {
    thread::scope(|scope| {
        let scenarios = [Version::V2_3, Version::V2_4].map(|version| {
            let named = thread::Builder::new().name(format!("with Dovecot {}", version.name()));
            named.spawn_scoped(scope, move || scenario(version)).unwrap_or_else(|error| panic!("no thread: {error}"))
        });
        for scenario in scenarios {
            joined(scenario);
        }
    });
}

fn start(version: Version) -> MailHost {
    MailHost::with_doveadm(version, Answerer::Gatepost)
}

#[test]
fn every_session_of_the_account_ends_and_no_other() {
    with_both(every_session_ends);
}

#[test]
fn client_that_comes_back_with_the_new_password_stays() {
    with_both(client_comes_back);
}

#[test]
fn whatever_voids_a_login_ends_the_sessions() {
    with_both(logins_are_voided);
}

#[test]
fn everybody_is_logged_out_at_once() {
    with_both(everybody_leaves);
}

#[test]
fn receipt_is_complete_at_once_when_nobody_is_in() {
    with_both(nobody_is_in);
}

fn every_session_ends(version: Version) {
    let relay = Relay::start();
    let setup = Setup::plain(version, Answerer::Gatepost, &[ALICE, BOB]);
    let mut host = MailHost::start_with(Setup { doveadm: true, more: &relay.settings(), ..setup });
    let (gatepost, dovecot) = host.gatepost_and_dovecot();
    let protocols = [Protocol::Imap, Protocol::Imap, Protocol::Pop3, Protocol::Submission, Protocol::Sieve];
    let mut hers = protocols.map(|protocol| Session::open(protocol, dovecot, ALICE.user, ALICE.password));
    let mut his = protocols.map(|protocol| Session::open(protocol, dovecot, BOB.user, BOB.password));
    for session in &mut hers {
        session.prove_open();
    }
    let change = set_password(gatepost, ALICE.user, NEW);
    for session in hers {
        let protocol = session.protocol;
        let farewell = match protocol {
            Protocol::Imap => "* BYE ",
            Protocol::Pop3 => "-ERR [SYS/TEMP] ",
            Protocol::Submission => "421 ",
            Protocol::Sieve => "BYE ",
        };
        let heard = session.last_words();
        assert!(heard.starts_with(farewell), "{protocol:?} heard {heard:?}");
    }
    let kick = step(&completed(gatepost, change), "kick", DOVECOT);
    assert_eq!((&kick["state"], &kick["count"]), (&"done".into(), &5.into()), "{kick}");
    for session in &mut his {
        session.prove_open();
    }
}

fn client_comes_back(version: Version) {
    let mut host = start(version);
    let (gatepost, dovecot) = host.gatepost_and_dovecot();
    let old = Session::open(Protocol::Imap, dovecot, ALICE.user, ALICE.password);
    let change = set_password(gatepost, ALICE.user, NEW);
    let mut new = Session::open(Protocol::Imap, dovecot, ALICE.user, NEW);
    assert!(old.last_words().starts_with("* BYE"));
    assert_eq!(
        Door::ImapLogin.log_in(dovecot, ALICE.user, ALICE.password),
        Heard::No(Door::ImapLogin.refusal().to_owned())
    );
    let kick = step(&completed(gatepost, change), "kick", DOVECOT);
    assert_eq!(kick["count"], 1, "the new session was left alone: {kick}");
    new.prove_open();
}

fn logins_are_voided(version: Version) {
    let mut host = start(version);
    let (gatepost, dovecot) = host.gatepost_and_dovecot();
    for (arguments, back) in [
        (&["logout", ALICE.user][..], None),
        (&["account", "disable", ALICE.user], Some(&["account", "enable", ALICE.user][..])),
        (&["account", "remove", ALICE.user], None),
    ] {
        let session = Session::open(Protocol::Imap, dovecot, ALICE.user, ALICE.password);
        gatepost.must(arguments, "");
        assert!(session.last_words().starts_with("* BYE"), "{arguments:?}");
        if let Some(back) = back {
            gatepost.must(back, "");
        }
    }
}

fn everybody_leaves(version: Version) {
    let mut host = start(version);
    let (gatepost, dovecot) = host.gatepost_and_dovecot();
    let open = |mailbox: Mailbox| Session::open(Protocol::Imap, dovecot, mailbox.user, mailbox.password);
    let sessions = [ALICE, BOB, ALICE].map(open);
    let change = number_of(&gatepost.must(&["logout", "--all", "--json"], ""));
    let mut back = open(BOB);
    for session in sessions {
        assert!(session.last_words().starts_with("* BYE"));
    }
    let kick = step(&completed(gatepost, change), "kick", DOVECOT);
    assert_eq!((&kick["state"], &kick["count"]), (&"done".into(), &3.into()), "{kick}");
    back.prove_open();
}

fn nobody_is_in(version: Version) {
    let mut host = start(version);
    let gatepost = host.gatepost();
    // What was answered by the daemon's life before is over by then.
    completed(gatepost, set_password(gatepost, CAROL.user, NEW));
    let change = set_password(gatepost, ALICE.user, NEW);
    let receipt = receipt(gatepost, change);
    assert_eq!(receipt["complete"], true, "{receipt}");
    let kick = step(&receipt, "kick", DOVECOT);
    assert_eq!((&kick["state"], &kick["count"]), (&"done".into(), &0.into()), "{kick}");
    assert!(kick["ms"].as_u64().is_some_and(|ms| ms < 500), "{kick}");
}

/// Gives the number of the change.
fn set_password(gatepost: &Gatepost, user: &str, password: &str) -> u64 {
    number_of(&gatepost.must(&["passwd", user, "--stdin", "--json"], &format!("{password}\n")))
}

fn number_of(answer: &str) -> u64 {
    json(answer)["receipt"]["id"].as_u64().unwrap_or_else(|| panic!("no number of a change in {answer}"))
}

fn receipt(gatepost: &Gatepost, change: u64) -> Value {
    json(&gatepost.must(&["receipt", &change.to_string(), "--json"], ""))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The receipt, once nothing is left to be done.
fn completed(gatepost: &Gatepost, change: u64) -> Value {
    let mut last = Value::Null;
    wait_until("the receipt is complete", || {
        last = receipt(gatepost, change);
        last["complete"] == true
    });
    last
}

/// What the receipt says of one thing in one place.
fn step(receipt: &Value, what: &str, place: &str) -> Value {
    let steps = receipt["steps"].as_array().unwrap_or_else(|| panic!("no steps in {receipt}"));
    let step = steps.iter().find(|step| step["what"] == what && step["where"] == place);
    step.unwrap_or_else(|| panic!("no {what} of {place} in {receipt}")).clone()
}

/// Waits until the receipt says this of what is pending at a Dovecot.
fn wait_for_note(gatepost: &Gatepost, change: u64, place: &str, words: &[&str]) {
    let mut last = Value::Null;
    wait_until("the receipt says what is the matter", || {
        last = step(&receipt(gatepost, change), "kick", place);
        let note = last["note"].as_str().unwrap_or_default();
        last["state"] == "pending" && words.iter().all(|word| note.contains(word))
    });
}
