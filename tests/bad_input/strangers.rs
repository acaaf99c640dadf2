//! Peers who say what is not theirs to say, and names made to be misread in a log.

use std::time::{Duration, Instant};

use gatepost_harness::alone::Alone;
use gatepost_harness::client::encoded;
use gatepost_harness::mailhost::ALICE;
use gatepost_harness::process::LogMark;
use gatepost_harness::raw::{Connection, auth};

use crate::assert_unharmed;

/// Debian's `nobody`, whom no listener trusts.
const NOBODY: u32 = 65_534;
/// What the harness sets: `[throttle] failure_delay`.
const FAILURE_DELAY: Duration = Duration::from_millis(300);
/// An address from which nobody here ever came, and a wish for no delay.
const CLAIMS: &str = "\trip=192.0.2.77\tsecured\tno-penalty";

#[test]
fn a_stranger_is_counted_as_itself_and_waits_whatever_it_claims() {
    let alone = Alone::start("");
    for socket in ["auth", "login"] {
        let mut stranger = Connection::to_as(alone.gatepost.path_of(socket), NOBODY).greeted(2);
        let begun = Instant::now();
        stranger.send(auth(1, CLAIMS, ALICE.user, "wrong"));
        assert_eq!(stranger.line(), "FAIL\t1\tuser=alice@example.org");
        assert!(begun.elapsed() >= FAILURE_DELAY, "after {:?}", begun.elapsed());
        stranger.send(auth(2, CLAIMS, ALICE.user, ALICE.password));
        assert_eq!(stranger.line(), "OK\t2\tuser=alice@example.org");
    }
    assert_eq!(origins(&alone, 4), ["local:65534"; 4]);
}

#[test]
fn a_trusted_peer_is_believed() {
    let alone = Alone::start("");
    let mut trusted = alone.auth_client("auth");
    trusted.send(auth(1, "\trip=192.0.2.77", ALICE.user, "wrong"));
    assert_eq!(trusted.line(), "FAIL\t1\tuser=alice@example.org");
    assert_eq!(origins(&alone, 1), ["192.0.2.77"]);
}

/// Dovecot asks for it on behalf of webmails. How soon a refusal came would tell a user from nobody, there too.
#[test]
fn who_need_not_be_counted_waits_all_the_same() {
    let alone = Alone::start("failures = 1");
    let mut trusted = alone.auth_client("auth");
    for (id, claims) in [(1, CLAIMS), (2, CLAIMS), (3, "\trip=192.0.2.77")] {
        let begun = Instant::now();
        trusted.send(auth(id, claims, ALICE.user, "wrong"));
        assert_eq!(trusted.line(), format!("FAIL\t{id}\tuser=alice@example.org"));
        assert!(begun.elapsed() >= FAILURE_DELAY, "after {:?}", begun.elapsed());
    }
    trusted.send(auth(4, "\trip=192.0.2.77", ALICE.user, ALICE.password));
    assert_eq!(trusted.line(), "FAIL\t4\tcode=temp_fail", "the third was counted");
    trusted.send(auth(5, CLAIMS, ALICE.user, ALICE.password));
    assert_eq!(trusted.line(), "OK\t5\tuser=alice@example.org");
}

#[test]
fn a_login_is_one_line_that_says_who_from_where_and_why() {
    let alone = Alone::start("");
    let mut trusted = alone.auth_client("auth");
    let said = "\trip=192.0.2.77\tsession=c2Vzc2lvbg+/";
    for (id, password, expected) in [
        (
            1,
            ALICE.password,
            "login accepted user=alice@example.org origin=192.0.2.77 service=\"imap\" session=\"c2Vzc2lvbg+/\"",
        ),
        (
            2,
            "wrong",
            "login refused user=\"alice@example.org\" origin=192.0.2.77 service=\"imap\" session=\"c2Vzc2lvbg+/\" reason=\"wrong-password\"",
        ),
    ] {
        trusted.send(auth(id, said, ALICE.user, password));
        assert!(!trusted.line().is_empty());
        alone.gatepost.process().wait_for_log(expected, LogMark::default());
    }
}

/// One stranger's wrong passwords take nothing from those who come from elsewhere.
#[test]
fn a_strangers_wrong_passwords_lock_out_only_the_stranger() {
    let alone = Alone::start("failures = 3");
    let mut stranger = Connection::to_as(alone.gatepost.path_of("auth"), NOBODY).greeted(2);
    for (id, address) in (1..=3).zip(["192.0.2.1", "192.0.2.2", "192.0.2.3"]) {
        stranger.send(auth(id, &format!("\trip={address}"), ALICE.user, "wrong"));
        assert_eq!(stranger.line(), format!("FAIL\t{id}\tuser=alice@example.org"));
    }
    stranger.send(auth(4, "\trip=192.0.2.4", ALICE.user, ALICE.password));
    assert_eq!(stranger.line(), "FAIL\t4\tcode=temp_fail");
    alone.assert_others_log_in("a stranger is locked out");
}

#[test]
fn a_stranger_may_not_administer_and_learns_nothing_of_others() {
    let alone = Alone::start("");
    let mut stranger = Connection::to_as(alone.gatepost.path_of("userdb"), NOBODY);
    stranger.send("VERSION\t1\t0\n");
    while !stranger.line().starts_with("SPID") {}
    for (asked, expected) in [
        ("USER\t1\talice@example.org\tservice=lmtp\n", "FAIL\t1"),
        ("PASS\t2\talice@example.org\tservice=imap\n", "FAIL\t2"),
        ("LIST\t3\n", "DONE\t3\tfail"),
    ] {
        stranger.send(asked);
        assert_eq!(stranger.line(), expected);
    }
    assert_unharmed(&alone);
}

/// Names and services that would forge a line of a log, hide one, or talk to the terminal that shows it.
#[test]
fn no_name_makes_a_line_of_its_own_in_the_log() {
    const FORGED: &str = "forged@example.org";
    let alone = Alone::start("\n[log]\nlevel = \"debug\"\n");
    let forgeries = [
        format!("x\n2026-01-01T00:00:00.000000Z  INFO login accepted user={FORGED}"),
        format!("x\r\n\r\nINFO login accepted user={FORGED}"),
        format!("\u{1b}[2K\u{1b}[1A{FORGED}\u{7}\u{9b}2J"),
        format!("\" origin=192.0.2.1 user=\"{FORGED}"),
        format!("{FORGED}\u{2028}\u{202e}"),
        format!("{}@example.org", "n".repeat(2_000)),
    ];
    let mut client = alone.auth_client("auth");
    let mut master = alone.connect("master");
    master.send("VERSION\t1\t0\n");
    while !master.line().starts_with("SPID") {}
    let mut socketmap = alone.connect("socketmap");
    for (id, name) in (1..).zip(&forgeries) {
        let escaped = escape(name);
        // As a user's name, as everything else that a login says of itself, and as a name that is looked up.
        let resp = encoded(&format!("\0{name}\0wrong"));
        let said = format!("\tservice={escaped}\tsession={escaped}\tlocal_name={escaped}\tclient_id={escaped}");
        client.send(format!("AUTH\t{id}\tPLAIN{said}\tresp={resp}\n"));
        assert!(client.line().starts_with(&format!("FAIL\t{id}")));
        let right = encoded(&format!("\0{}\0{}", ALICE.user, ALICE.password));
        client.send(format!("AUTH\t{id}\tPLAIN{said}\tresp={right}\n"));
        assert!(client.line().starts_with(&format!("OK\t{id}\t")));

        master.send(format!("USER\t{id}\t{escaped}\tservice={escaped}\n"));
        assert_eq!(master.line(), format!("NOTFOUND\t{id}"));
        let query = format!("{name} {name}");
        socketmap.send(format!("{}:{query},", query.len()));
        let mut dict = alone.connect("keys");
        dict.send(format!("H3\t0\t0\t\t{escaped}\nL{escaped}\t{escaped}\nB1\t{escaped}\nA1\t{escaped}\t1\nC1\n"));
        assert_eq!(dict.line(), "N");
        assert!(["N1", "F1"].contains(&dict.line().split('\t').next().unwrap_or_default()));
    }
    alone.assert_others_log_in("names are forged");
    let log = alone.gatepost.process().log();
    for line in log.lines() {
        let is_whole = line.get(..4).is_some_and(|year| year.parse::<u16>().is_ok());
        let is_plain = line.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        assert!(is_whole && is_plain && line.len() < 4_000, "{}", line.escape_debug());
        let accepted = line.split_once(" INFO ").and_then(|(_, event)| event.strip_prefix("login accepted "));
        assert!(accepted.is_none_or(|fields| fields.starts_with("user=alice@example.org ")), "{line}");
    }
    let shown = alone.gatepost.must(&["logins", ALICE.user], "");
    assert!(shown.chars().all(|character| character == '\n' || !character.is_control()), "{}", shown.escape_debug());
}

/// Where the newest logins of Alice came from, once there are `expected` of them.
fn origins(alone: &Alone, expected: usize) -> Vec<String> {
    let deadline = Instant::now() + gatepost_harness::PATIENCE;
    loop {
        let listed = alone.gatepost.must(&["logins", ALICE.user, "--json"], "");
        let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
        let logins = listed.as_array().expect("a list").clone();
        if logins.len() >= expected {
            return logins.iter().map(|login| login["origin"].as_str().unwrap_or_default().to_owned()).collect();
        }
        assert!(Instant::now() < deadline, "{expected} logins were never recorded: {listed}");
    }
}

/// As a Dovecot client writes a field.
fn escape(text: &str) -> String {
    let escapes = [('\u{1}', "\u{1}1"), ('\0', "\u{1}0"), ('\t', "\u{1}t"), ('\r', "\u{1}r"), ('\n', "\u{1}n")];
    escapes.iter().fold(text.to_owned(), |text, (character, escaped)| text.replace(*character, escaped))
}
