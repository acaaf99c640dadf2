//! A device that still has the password of before a change: it hears no, and the network it is in is not held to it.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use gatepost_harness::alone::Alone;
use gatepost_harness::mailhost::ALICE;
use gatepost_harness::{raw, wait_until};

const NEW: &str = "Gate-post-after-9";
const OFFICE: &str = "192.0.2.7";
const ELSEWHERE: &str = "203.0.113.9";
const FAILURES: usize = 3;

/// What a Dovecot client hears, whose own client is at this address.
fn log_in(alone: &Alone, from: &str, password: &str) -> String {
    let mut client = alone.auth_client("auth");
    client.send(raw::auth(1, &format!("\trip={from}"), ALICE.user, password));
    client.line()
}

fn logins(alone: &Alone) -> String {
    alone.gatepost.must(&["logins", ALICE.user], "")
}

/// Alice's password was used in the office, and then changed.
fn changed(settings: &str) -> Alone {
    let alone = Alone::start(&format!("failures = {FAILURES}\n{settings}"));
    assert_eq!(log_in(&alone, OFFICE, ALICE.password), format!("OK\t1\tuser={}", ALICE.user));
    wait_until("the office is known", || alone.gatepost.must(&["clients", ALICE.user], "").contains(OFFICE));
    alone.gatepost.must(&["passwd", ALICE.user, "--stdin"], NEW);
    alone
}

fn repeat(alone: &Alone, from: &str, password: &str) {
    for _ in 0..=FAILURES {
        let heard = log_in(alone, from, password);
        assert!(heard.starts_with("FAIL\t1\t"), "{heard}");
    }
}

#[test]
fn the_previous_password_is_refused_and_not_held_against_where_it_was_used() {
    let alone = changed("");
    for _ in 0..FAILURES * 2 {
        assert_eq!(log_in(&alone, OFFICE, ALICE.password), format!("FAIL\t1\tuser={}", ALICE.user));
    }
    assert_eq!(log_in(&alone, OFFICE, NEW), format!("OK\t1\tuser={}", ALICE.user));
    wait_until("the history tells which it was", || logins(&alone).contains("refused: previous password"));
}

#[test]
fn it_is_held_against_a_network_that_never_had_it() {
    let alone = changed("");
    repeat(&alone, ELSEWHERE, ALICE.password);
    assert!(log_in(&alone, ELSEWHERE, NEW).contains("code=temp_fail"));
    assert_eq!(log_in(&alone, OFFICE, NEW), format!("OK\t1\tuser={}", ALICE.user));
}

#[test]
fn any_other_wrong_password_is_held_against_the_office_too() {
    let alone = changed("");
    repeat(&alone, OFFICE, "never-was-right");
    assert!(log_in(&alone, OFFICE, NEW).contains("code=temp_fail"));
}

#[test]
fn it_is_not_known_again_once_its_time_is_over() {
    let alone = changed("[previous_password]\nkept = \"0 s\"");
    repeat(&alone, OFFICE, ALICE.password);
    assert!(log_in(&alone, OFFICE, NEW).contains("code=temp_fail"));
}

#[test]
fn the_key_is_kept_outside_the_store_and_a_restart_still_knows_the_password() {
    let mut alone = changed("");
    assert!(alone.directory.path().join("gatepost/fingerprint.key").is_file());
    alone.gatepost.stop();
    alone.gatepost.resume();
    for _ in 0..FAILURES * 2 {
        assert_eq!(log_in(&alone, OFFICE, ALICE.password), format!("FAIL\t1\tuser={}", ALICE.user));
    }
    assert_eq!(log_in(&alone, OFFICE, NEW), format!("OK\t1\tuser={}", ALICE.user));
}
