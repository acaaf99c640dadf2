//! Webmails change passwords by poppassd: real conversations with the real daemon, and a real Dovecot that hears of it.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::thread;
use std::time::{Duration, Instant};

use gatepost_harness::alone::Alone;
use gatepost_harness::client::{Door, Heard};
use gatepost_harness::gatepost::Gatepost;
use gatepost_harness::mailhost::{ALICE, BOB, CAROL, MailHost, NOBODY};
use gatepost_harness::raw::{Connection, auth};
use gatepost_harness::{joined, on_pair};
use serde_json::Value;

const NEW: &str = "Another-b2";
/// What the harness sets: `[throttle] failure_delay`.
const FAILURE_DELAY: Duration = Duration::from_millis(300);
const WRONG: &str = "500 The current password is wrong.";

on_pair!(dovecot_2_3, start(V2_3, Gatepost): a_changed_password_is_the_one_that_logs_in);
on_pair!(dovecot_2_4, start(V2_4, Gatepost): a_changed_password_is_the_one_that_logs_in);

fn a_changed_password_is_the_one_that_logs_in(host: &mut MailHost) {
    let (gatepost, dovecot) = host.gatepost_and_dovecot();
    for (mailbox, new) in [(ALICE, NEW), (BOB, " Übers-5etzt: \"%d\"  {CRYPT} ")] {
        assert!(changed(gatepost, mailbox.user, mailbox.password, new).starts_with("200 "), "{}", mailbox.user);
        assert_eq!(Door::ImapPlain.log_in(dovecot, mailbox.user, new), Heard::Welcome, "{}", mailbox.user);
        let old = Door::ImapPlain.log_in(dovecot, mailbox.user, mailbox.password);
        assert!(matches!(old, Heard::No(_)), "{}: {old:?}", mailbox.user);
    }
}

#[test]
fn a_wrong_password_is_refused_after_the_delay_whoever_it_is_for() {
    let alone = Alone::start("");
    alone.gatepost.must(&["account", "add", CAROL.user, "--stdin"], CAROL.password);
    alone.gatepost.must(&["account", "disable", CAROL.user], "");
    for user in [ALICE.user, CAROL.user, NOBODY, "alice", "", "no name at all", "\u{fffd}@example.org"] {
        let begun = Instant::now();
        assert_eq!(changed(&alone.gatepost, user, "wrong", NEW), WRONG, "{user}");
        assert!(begun.elapsed() >= FAILURE_DELAY, "{user}: after {:?}", begun.elapsed());
    }
    assert_eq!(changed(&alone.gatepost, CAROL.user, CAROL.password, NEW), "500 This mailbox is disabled.");
    assert!(alone.log_in(ALICE.user, ALICE.password).starts_with("OK"), "nothing was changed");
}

#[test]
fn all_that_a_new_password_lacks_is_told_in_one_line() {
    let alone = Alone::start("");
    for (new, told) in [
        (
            "",
            "use at least 8 characters; add an upper-case letter; add a lower-case letter; add a digit; \
             add a special character, such as - or !",
        ),
        ("Password!", "add a digit"),
        ("Passw0rd!\t", "leave out tabs, line breaks and other control characters"),
    ] {
        let expected = format!("500 Choose another password: {told}.");
        assert_eq!(changed(&alone.gatepost, ALICE.user, ALICE.password, new), expected);
    }
    let long = format!("Aa1!{}", "x".repeat(4_000));
    let heard = changed(&alone.gatepost, ALICE.user, ALICE.password, &long);
    assert!(heard.contains("use at most 256 bytes"), "{heard}");
    assert!(alone.log_in(ALICE.user, ALICE.password).starts_with("OK"), "nothing was changed");
}

/// In the ways of Roundcube, of Horde, and of a script that sends everything at once and hangs up its sending side.
#[test]
fn every_way_of_speaking_leads_to_the_change() {
    let alone = Alone::start("");
    let passwords = [ALICE.password, "Another-b2", "Another-c3", "Another-d4"];
    let mut steps = passwords.iter().zip(passwords.iter().skip(1));
    let mut next = || steps.next().expect("enough passwords");

    let (old, new) = next();
    let mut roundcube = greeted(&alone.gatepost);
    for line in [format!("user {}\r\n", ALICE.user), format!("pass {old}\r\n"), format!("newpass {new}\r\n")] {
        roundcube.send(line);
        let heard = roundcube.line();
        assert!(heard.starts_with("200 ") || heard.starts_with("300 "), "{heard}");
    }
    drop(roundcube);

    let (old, new) = next();
    let mut horde = greeted(&alone.gatepost);
    for line in [format!("user {}\n", ALICE.user), format!("pass {old}\n"), format!("newpass {new}\n")] {
        horde.send(line);
        let heard = horde.line();
        assert!(["200", "220", "250", "300"].contains(&&heard[..3]), "{heard}");
    }
    horde.send("quit\n");
    assert!(horde.rest().starts_with("200 "));

    let (old, new) = next();
    let mut script = greeted(&alone.gatepost);
    script.send(format!("USER {}\nPass {old}\nNEWPASS {new}\nquit\n", ALICE.user));
    script.end_sending();
    let heard = script.rest();
    let codes: Vec<_> = heard.lines().filter_map(|line| line.get(..4)).collect();
    assert_eq!(codes, ["300 ", "200 ", "200 ", "200 "], "{heard}");
    assert!(alone.log_in(ALICE.user, new).starts_with("OK"));
}

#[test]
fn a_change_is_in_the_log_and_among_the_logins_as_poppassd() {
    let alone = Alone::start("");
    let heard = changed(&alone.gatepost, ALICE.user, ALICE.password, NEW);
    let account: Value = json(&alone.gatepost, &["account", "show", ALICE.user, "--json"]);
    assert_eq!(heard, format!("200 The password is changed; receipt {}.", account["generation"]));
    gatepost_harness::wait_until("the login is recorded", || {
        let logins = json(&alone.gatepost, &["logins", ALICE.user, "--json"]);
        logins[0]["service"] == "poppassd" && logins[0]["origin"] == "127.0.0.1"
    });
}

/// Of two webmails that both knew the current password, the first wins, and so does what an administrator did meanwhile.
#[test]
fn what_was_proven_is_void_once_the_account_changes() {
    let alone = Alone::start("");
    type Meanwhile = fn(&Alone, &str) -> bool;
    let meanwhile: [(Meanwhile, &str); 3] = [
        (|alone, password| changed(&alone.gatepost, ALICE.user, password, NEW).starts_with("200 "), NEW),
        (|alone, _| !alone.gatepost.must(&["logout", ALICE.user], "").is_empty(), NEW),
        (|alone, _| !alone.gatepost.must(&["account", "disable", ALICE.user], "").is_empty(), NEW),
    ];
    let mut password = ALICE.password;
    for (change, afterwards) in meanwhile {
        let mut webmail = greeted(&alone.gatepost);
        webmail.send(format!("user {}\npass {password}\n", ALICE.user));
        assert!(webmail.line().starts_with("300 ") && webmail.line().starts_with("200 "));
        assert!(change(&alone, password));
        webmail.send("newpass Another-z9\n");
        assert_eq!(webmail.line(), "500 This mailbox was changed a moment ago; log in again first.\r");
        assert_eq!(webmail.rest(), "");
        password = afterwards;
    }
    alone.gatepost.must(&["account", "enable", ALICE.user], "");
    assert!(alone.log_in(ALICE.user, NEW).starts_with("OK"));
}

#[test]
fn two_webmails_at_once_cannot_both_win() {
    let alone = Alone::start("");
    let heard: Vec<String> = thread::scope(|scope| {
        let webmails: Vec<_> = ["Another-b2", "Another-c3", "Another-d4"]
            .into_iter()
            .map(|new| scope.spawn(|| changed(&alone.gatepost, ALICE.user, ALICE.password, new)))
            .collect();
        webmails.into_iter().map(joined).collect()
    });
    assert_eq!(heard.iter().filter(|heard| heard.starts_with("200 ")).count(), 1, "{heard:?}");
}

#[test]
fn wrong_passwords_are_counted_for_each_mailbox_even_from_a_trusted_webmail() {
    let alone = Alone::start("failures = 3\ntrusted_networks = [\"127.0.0.0/8\"]\n");
    alone.gatepost.must(&["account", "add", BOB.user, "--stdin"], BOB.password);
    for _ in 0..3 {
        assert_eq!(changed(&alone.gatepost, ALICE.user, "wrong", NEW), WRONG);
    }
    let heard = changed(&alone.gatepost, ALICE.user, ALICE.password, NEW);
    assert_eq!(heard, "400 Too many wrong passwords; wait a few minutes, then try again.");
    assert!(changed(&alone.gatepost, BOB.user, BOB.password, NEW).starts_with("200 "), "another user of the webmail");
    let mut webmail = alone.auth_client("auth");
    webmail.send(auth(1, "\trip=127.0.0.1", ALICE.user, ALICE.password));
    assert!(webmail.line().starts_with("OK\t"), "her login from there is another matter");
}

#[test]
fn what_is_no_poppassd_ends_the_conversation_and_nothing_else() {
    let alone = Alone::start("");
    let change = format!("user {}\npass {}\nnewpass {NEW}\n", ALICE.user, ALICE.password);
    let cases: [(&str, Vec<u8>); 7] = [
        ("a browser", format!("POST / HTTP/1.1\r\nHost: x\r\n\r\n{change}").into_bytes()),
        ("TLS", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\n".to_vec()),
        ("no order", change.lines().rev().map(|line| format!("{line}\n")).collect::<String>().into_bytes()),
        ("an empty line", format!("\n{change}").into_bytes()),
        ("bytes", vec![0xff; 64 * 1024]),
        ("a line without end", vec![b'u'; 64 * 1024]),
        ("a password first", format!("{}\n", ALICE.password).into_bytes()),
    ];
    for (what, bytes) in cases {
        let mut stranger = greeted(&alone.gatepost);
        stranger.send(&bytes);
        alone.assert_others_log_in(what);
        let heard = stranger.rest();
        // Over TCP, an answer to what was not read to its end may be lost with the connection.
        let lost = heard.is_empty() && bytes.len() > 4096;
        assert!(lost || heard.starts_with("500 ") && heard.lines().count() == 1, "{what}: {heard:?}");
    }
    assert!(alone.log_in(ALICE.user, ALICE.password).starts_with("OK"), "nothing was changed");
    let log = alone.gatepost.process().log();
    assert!(log.contains("poppassd client spoke out of turn") && !log.contains(ALICE.password), "{log}");
    assert!(!log.contains("panicked") && !log.contains("ERROR"), "{log}");
}

#[test]
fn slow_silent_and_vanished_webmails_keep_nobody_waiting() {
    let alone = Alone::start("\n[listen.poppassd]\nconnections = 64\n");
    let silent: Vec<_> = (0..32).map(|_| greeted(&alone.gatepost)).collect();
    for _ in 0..32 {
        let mut vanished = greeted(&alone.gatepost);
        vanished.send(format!("user {}\npass wrong\n", ALICE.user));
    }
    let mut slow = greeted(&alone.gatepost);
    for byte in format!("user {}\r\npass {}\r\n", ALICE.user, ALICE.password).bytes() {
        slow.send([byte]);
    }
    assert!(slow.line().starts_with("300 ") && slow.line().starts_with("200 "));
    alone.assert_others_log_in("webmails are silent");
    assert!(changed(&alone.gatepost, ALICE.user, ALICE.password, NEW).starts_with("200 "));
    drop(silent);
}

#[test]
fn an_outage_is_not_now_and_never_a_wrong_password() {
    let alone = Alone::start("");
    let store = alone.database();
    let away = store.with_extension("away");
    let mut proven = greeted(&alone.gatepost);
    proven.send(format!("user {}\npass {}\n", ALICE.user, ALICE.password));
    assert!(proven.line().starts_with("300 ") && proven.line().starts_with("200 "));
    std::fs::rename(&store, &away).expect("moved away");
    for password in [ALICE.password, "wrong"] {
        let heard = changed(&alone.gatepost, ALICE.user, password, NEW);
        assert_eq!(heard, "400 The password cannot be changed now; try again in a minute.");
    }
    proven.send(format!("newpass {NEW}\n"));
    assert!(proven.line().starts_with("400 "));
    std::fs::rename(&away, &store).expect("moved back");
    assert!(changed(&alone.gatepost, ALICE.user, ALICE.password, NEW).starts_with("200 "));
}

#[test]
fn who_is_in_the_middle_of_it_when_the_daemon_stops_is_told() {
    let mut alone = Alone::start("");
    let mut waiting = greeted(&alone.gatepost);
    waiting.send(format!("user {}\n", ALICE.user));
    assert!(waiting.line().starts_with("300 "));
    alone.gatepost.stop();
    assert_eq!(waiting.rest(), "400 The password cannot be changed now; try again in a minute.\r\n");
}

fn greeted(gatepost: &Gatepost) -> Connection {
    let mut webmail = Connection::to_address(gatepost.poppassd);
    let greeting = webmail.line();
    assert!(greeting.starts_with("200 ") && greeting.ends_with('\r'), "{greeting:?}");
    webmail
}

/// What a webmail hears last when its user changes a password, its end taken off.
fn changed(gatepost: &Gatepost, user: &str, current: &str, new: &str) -> String {
    let mut webmail = greeted(gatepost);
    for line in [format!("user {user}\r\n"), format!("pass {current}\r\n"), format!("newpass {new}\r\n")] {
        webmail.send(&line);
        let heard = webmail.line().trim_end().to_owned();
        if line.starts_with("newpass ") || !heard.starts_with(['2', '3']) {
            return heard;
        }
    }
    String::new()
}

fn json(gatepost: &Gatepost, arguments: &[&str]) -> Value {
    serde_json::from_str(&gatepost.must(arguments, "")).expect("JSON")
}
