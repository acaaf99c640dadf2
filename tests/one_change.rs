//! One change, everywhere at once: whichever door it comes through, the old password is over and the receipt says what
//! was ended.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use gatepost_harness::api::Api;
use gatepost_harness::client::{Door, Heard, Protocol};
use gatepost_harness::dovecot::{Mailbox, Version};
use gatepost_harness::postfix::Postfix;
use gatepost_harness::raw::Connection;
use gatepost_harness::session::Session;
use gatepost_harness::site::{DOVECOT, Site};
use gatepost_harness::{smtp, wait_until};
use serde_json::{Value, json};

const OLD: &str = "Secret-a1";
const NEW: &str = "Another-b2";
const BYSTANDER: Mailbox = mailbox("bystander@example.org");

/// A way to a new password: who goes it, and what it answers: the number of its receipt.
type Way = (Mailbox, fn(&Site, user: &str) -> u64);

const WAYS: [Way; 4] = [
    (mailbox("owner@example.org"), |site, user| {
        let change = json!({"user": user, "current": OLD, "new": NEW});
        number(&Api::public(&site.gatepost).must("POST", "/password", &change))
    }),
    (mailbox("reset@example.org"), |site, user| {
        let path = format!("/accounts/{user}/password");
        number(&Api::admin(&site.gatepost).must("PUT", &path, &json!({"new": NEW})))
    }),
    (mailbox("command@example.org"), |site, user| {
        let printed = site.gatepost.must(&["passwd", user, "--stdin", "--json"], &format!("{NEW}\n"));
        number(&serde_json::from_str(&printed).expect("JSON"))
    }),
    (mailbox("webmail@example.org"), |site, user| {
        let mut webmail = Connection::to_address(site.gatepost.poppassd);
        webmail.send(format!("user {user}\r\npass {OLD}\r\nnewpass {NEW}\r\nquit\r\n"));
        let heard = webmail.rest();
        let (_, receipt) = heard.split_once("receipt ").unwrap_or_else(|| panic!("no receipt in {heard:?}"));
        receipt.split(|character: char| !character.is_ascii_digit()).next().expect("a part").parse().expect("a number")
    }),
];

/// What each user has open while the password changes.
const OPEN: [Protocol; 4] = [Protocol::Imap, Protocol::Imap, Protocol::Pop3, Protocol::Sieve];

const fn mailbox(user: &'static str) -> Mailbox {
    Mailbox { user, password: OLD, enabled: true }
}

#[test]
fn the_old_password_is_over_everywhere_with_dovecot_2_3() {
    the_old_password_is_over_everywhere(Version::V2_3);
}

#[test]
fn the_old_password_is_over_everywhere_with_dovecot_2_4() {
    the_old_password_is_over_everywhere(Version::V2_4);
}

fn the_old_password_is_over_everywhere(version: Version) {
    let mailboxes = WAYS.map(|(mailbox, _)| mailbox);
    let site = Site::start(version, &[&mailboxes[..], &[BYSTANDER]].concat(), "");
    let postfix = site.start_postfix();
    let mut bystander = Session::open(Protocol::Imap, &site.dovecot, BYSTANDER.user, OLD);
    let receipts = WAYS.map(|(mailbox, change)| assert_over(&site, &postfix, mailbox.user, change));
    for (user, receipt) in receipts {
        site.gatepost.process().wait_for_log(&delivered(receipt), Default::default());
        assert_receipt(&site, user, receipt);
    }
    bystander.prove_open();
}

/// What the daemon says once nothing is left to be done.
fn delivered(receipt: u64) -> String {
    format!("change delivered everywhere receipt={receipt} ")
}

fn assert_over(
    site: &Site,
    postfix: &Postfix,
    user: &'static str,
    change: fn(&Site, &str) -> u64,
) -> (&'static str, u64) {
    let sessions = OPEN.map(|protocol| Session::open(protocol, &site.dovecot, user, OLD));
    wait_until("Dovecot lists every session", || {
        let listed = site.dovecot.doveadm(&["who", "-1", user]);
        String::from_utf8_lossy(&listed.stdout).matches(user).count() == OPEN.len()
    });
    assert!(smtp::log_in(postfix.smtp, "PLAIN", user, OLD).starts_with("235 "), "{user}");
    let mut listener = site.redis.subscribe("gatepost:revoked");

    let receipt = change(site, user);

    for session in sessions {
        let protocol = session.protocol;
        let heard = session.last_words();
        assert!(protocol != Protocol::Imap || heard.starts_with("* BYE "), "{user}: {heard:?}");
    }
    for door in [Door::ImapLogin, Door::Pop3UserPass, Door::SubmissionPlain, Door::SievePlain] {
        let old = door.log_in(&site.dovecot, user, OLD);
        assert_eq!(old, Heard::No(door.refusal().to_owned()), "{user}, {door:?}");
        assert_eq!(door.log_in(&site.dovecot, user, NEW), Heard::Welcome, "{user}, {door:?}");
    }
    let heard = smtp::log_in(postfix.smtp, "PLAIN", user, OLD);
    assert!(heard.starts_with("535 "), "{user}: {heard}");
    let heard = smtp::log_in(postfix.smtp, "PLAIN", user, NEW);
    assert!(heard.starts_with("235 "), "{user}: {heard}");

    assert_eq!(site.counter(user), receipt.to_string());
    let message: Value = serde_json::from_str(&listener.next_message()).expect("JSON");
    let at = &Api::admin(&site.gatepost).must("GET", &format!("/receipts/{receipt}"), &Value::Null)["at"];
    let told = json!({"user": user, "credential": null, "generation": receipt, "reason": "password-set", "at": at});
    assert_eq!(message, told);
    (user, receipt)
}

/// Every number in it is one that this test knows.
fn assert_receipt(site: &Site, user: &str, number: u64) {
    let receipt = Api::admin(&site.gatepost).must("GET", &format!("/receipts/{number}"), &Value::Null);
    let told = ["id", "user", "credential", "generation", "reason", "complete"].map(|name| &receipt[name]);
    let known = [json!(number), json!(user), Value::Null, json!(number), json!("password-set"), json!(true)];
    assert_eq!(told, known.each_ref(), "{receipt:#}");
    let step = |what: &str, place: &str| {
        let steps = receipt["steps"].as_array().expect("steps");
        let step = steps.iter().find(|step| step["what"] == what && step["where"] == place);
        step.unwrap_or_else(|| panic!("no step {what} at {place} in {receipt:#}"))
    };
    for (what, place) in [("stored", "store"), ("counter", "redis"), ("kick", DOVECOT)] {
        assert_eq!(step(what, place)["state"], "done", "{receipt:#}");
        assert!(step(what, place)["ms"].is_u64(), "{receipt:#}");
    }
    assert_eq!(step("kick", DOVECOT)["count"], OPEN.len(), "{receipt:#}");
}

/// That of an answer's receipt.
fn number(answer: &Value) -> u64 {
    let receipt = &answer["receipt"];
    assert_eq!(receipt["generation"], answer["generation"], "{answer:#}");
    receipt["id"].as_u64().unwrap_or_else(|| panic!("no receipt in {answer:#}"))
}
