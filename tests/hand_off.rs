//! REQUEST: a mail process claims a login on the master socket, once, with its cookie, while nothing has changed.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use gatepost_harness::alone::Alone;
use gatepost_harness::mailhost::ALICE;
use gatepost_harness::raw::{Connection, auth, hello};

/// A login that was accepted, and what a mail process is told of it.
struct Login {
    client: Connection,
    cookie: String,
}

fn log_in(alone: &Alone, socket: &str) -> Login {
    let mut client = alone.connect(socket);
    client.send(hello(2) + &auth(7, "", ALICE.user, ALICE.password));
    let cookie = loop {
        if let Some(cookie) = client.line().strip_prefix("COOKIE\t") {
            break cookie.to_owned();
        }
    };
    assert_eq!(client.line_after("DONE"), "OK\t7\tuser=alice@example.org");
    Login { client, cookie }
}

/// What a mail process hears that claims it; it is this process, and so is the login process.
fn claim(alone: &Alone, auth_id: u32, cookie: &str, session_pid: u32) -> String {
    let mut master = alone.connect("master");
    let client_pid = std::process::id();
    master.send(format!(
        "VERSION\t1\t1\nREQUEST\t3000000001\t{client_pid}\t{auth_id}\t{cookie}\tsession_pid={session_pid}\n"
    ));
    while !master.line().starts_with("SPID\t") {}
    master.line()
}

const NOT_THIS: &str = "FAIL\t3000000001";
const CHANGED: &str = "FAIL\t3000000001\treason=The account was changed meanwhile; please log in again.";

#[test]
fn a_login_is_claimed_once_by_who_it_was_handed_to() {
    let alone = Alone::start("");
    let own = std::process::id();
    let login = log_in(&alone, "login");
    let other_cookie = "0".repeat(32);
    for (auth_id, cookie, session_pid) in [(8, &login.cookie, own), (7, &other_cookie, own), (7, &login.cookie, 1)] {
        assert_eq!(claim(&alone, auth_id, cookie, session_pid), NOT_THIS, "{auth_id} {session_pid}");
    }
    let claimed = claim(&alone, 7, &login.cookie, own);
    assert!(claimed.starts_with("USER\t3000000001\talice@example.org\t"), "{claimed}");
    assert!(claimed.contains("\thome=") && claimed.ends_with("\tauth_mech=PLAIN"), "{claimed}");
    assert_eq!(claim(&alone, 7, &login.cookie, own), NOT_THIS, "a second time");
}

#[test]
fn what_changes_a_right_voids_a_login_on_its_way() {
    let alone = Alone::start("");
    let gatepost = &alone.gatepost;
    let set = || gatepost.must(&["passwd", ALICE.user, "--stdin"], &format!("{}\n", ALICE.password));
    let changes: [(&str, &dyn Fn() -> String, &str); 4] = [
        ("a name", &|| gatepost.must(&["account", "set", ALICE.user, "--name", "Alice"], ""), "USER\t"),
        ("a password", &set, CHANGED),
        ("a logout", &|| gatepost.must(&["logout", ALICE.user], ""), CHANGED),
        ("no more", &|| gatepost.must(&["account", "disable", ALICE.user], ""), CHANGED),
    ];
    for (what, change, expected) in changes {
        let login = log_in(&alone, "login");
        change();
        let heard = claim(&alone, 7, &login.cookie, std::process::id());
        assert!(heard.starts_with(expected), "{what}: {heard}");
    }
}

#[test]
fn a_login_that_is_not_kept_cannot_be_claimed() {
    let alone = Alone::start("");
    let own = std::process::id();
    let plain = log_in(&alone, "auth");
    assert_eq!(claim(&alone, 7, &plain.cookie, own), NOT_THIS, "of a plain client");

    let mut cancelled = log_in(&alone, "login");
    cancelled.client.send("CANCEL\t7\nAUTH\t8\tNONE\tservice=imap\n");
    assert!(cancelled.client.line().starts_with("FAIL\t8\t"), "the cancellation has been read");
    assert_eq!(claim(&alone, 7, &cancelled.cookie, own), NOT_THIS, "cancelled");

    let mut gone = log_in(&alone, "login");
    gone.client.end_sending();
    assert_eq!(gone.client.rest(), "");
    assert_eq!(claim(&alone, 7, &gone.cookie, own), NOT_THIS, "its connection has ended");
}
