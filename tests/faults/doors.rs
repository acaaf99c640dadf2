//! Every door, asked one thing each: what is heard when all is well, and what "not now" is there.

use std::time::Instant;

use gatepost_harness::PATIENCE;
use gatepost_harness::alone::Alone;
use gatepost_harness::mailhost::{ALICE, NOBODY};
use gatepost_harness::raw::{Connection, auth};

/// What the store has to do for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    Reading,
    Writing,
}
use Needs::{Reading, Writing};

/// How much of the store works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Works {
    All,
    ReadingOnly,
    Nothing,
}

struct Door {
    what: &'static str,
    needs: Needs,
    ask: fn(&Alone) -> String,
    /// How the answer begins when all is well.
    well: &'static str,
    /// And when it is not; the whole answer where it is empty: a closed connection.
    not_now: &'static str,
}

const fn door(
    what: &'static str,
    needs: Needs,
    ask: fn(&Alone) -> String,
    well: &'static str,
    not_now: &'static str,
) -> Door {
    Door { what, needs, ask, well, not_now }
}

const DOORS: [Door; 21] = [
    door("Postfix, right", Reading, |alone| mta(alone, RIGHT), "OK\t1\tuser=alice@", ""),
    door("Postfix, wrong", Reading, |alone| mta(alone, WRONG), "FAIL\t1", ""),
    door("Postfix, unknown", Reading, |alone| mta(alone, UNKNOWN), "FAIL\t1", ""),
    door("doveadm, right", Reading, |alone| dovecot(alone, "auth", RIGHT), "OK\t1\t", TEMP_FAIL),
    door("imap, right", Reading, |alone| dovecot(alone, "login", RIGHT), "OK\t1\t", TEMP_FAIL),
    door("imap, wrong", Reading, |alone| dovecot(alone, "login", WRONG), "FAIL\t1\tuser=", TEMP_FAIL),
    door("imap, unknown", Reading, |alone| dovecot(alone, "login", UNKNOWN), "FAIL\t1\tuser=", TEMP_FAIL),
    door("master USER", Reading, |alone| mail_process(alone, "master", USER), "USER\t1\talice@", "FAIL\t1"),
    door("master PASS", Reading, |alone| mail_process(alone, "master", PASS), "PASS\t1\tuser=", "FAIL\t1"),
    door("master LIST", Reading, |alone| mail_process(alone, "master", LIST), "LIST\t1\talice@", "DONE\t1\tfail"),
    door("lmtp", Reading, |alone| mail_process(alone, "userdb", USER), "USER\t1\talice@", "FAIL\t1"),
    door("lmtp, unknown", Reading, |alone| mail_process(alone, "userdb", NO_USER), "NOTFOUND\t1", "FAIL\t1"),
    door("dict look-up", Reading, |alone| dict(alone, "Lpriv/nothing\tann\n"), "N", "Fthe store cannot answer now\n"),
    door("dict iteration", Reading, |alone| dict(alone, "I1\t0\tpriv/none/\tann\n"), "\n", "Fthe store cannot"),
    door("dict commit", Writing, |alone| dict(alone, COMMIT), "O1", "W1\tthe store cannot answer now\n"),
    door("socketmap", Reading, |alone| socketmap(alone, "virtual_mailbox_maps alice@example.org"), "20:OK", "33:TEMP "),
    door("API, reading", Reading, |alone| api(alone, "GET", ACCOUNT, ""), "200", "503 not-now"),
    door("API, login", Reading, |alone| api(alone, "POST", "/api/v1/auth", &login()), "200", "503 not-now"),
    door("API, writing", Writing, |alone| api(alone, "PATCH", ACCOUNT, r#"{"name": "Alice"}"#), "200", "503 not-now"),
    door("command, reading", Reading, |alone| command(alone, &["account", "show", ALICE.user], ""), "0", "75"),
    door("command, writing", Writing, |alone| command(alone, &["passwd", ALICE.user, "--stdin"], RIGHT.1), "0", "75"),
];

type Login = (&'static str, &'static str);
const RIGHT: Login = (ALICE.user, ALICE.password);
const WRONG: Login = (ALICE.user, "wrong");
const UNKNOWN: Login = (NOBODY, "wrong");

const USER: &str = "USER\t1\talice@example.org\tservice=lmtp\n";
const PASS: &str = "PASS\t1\talice@example.org\tservice=imap\n";
const LIST: &str = "LIST\t1\n";
const NO_USER: &str = "USER\t1\tnobody@example.org\tservice=lmtp\n";
const COMMIT: &str = "B1\tann\nS1\tpriv/key\tvalue\nC1\n";
const ACCOUNT: &str = "/api/v1/accounts/alice@example.org";
const TEMP_FAIL: &str = "FAIL\t1\tcode=temp_fail";

/// Asks at every door, once.
pub(crate) fn assert_answers(alone: &Alone, works: Works, when: &str) {
    for door in &DOORS {
        let heard = (door.ask)(alone);
        let is_well = works == Works::All || (works == Works::ReadingOnly && door.needs == Reading);
        let (expected, fits) =
            if is_well { (door.well, door.is_well(&heard)) } else { (door.not_now, door.is_not_now(&heard)) };
        assert!(fits, "{}, {when}: heard {heard:?} instead of {expected:?}", door.what);
    }
    wait_for_readiness(alone, works == Works::All);
    assert!(status(alone, "/healthz").starts_with("HTTP/1.1 200 "), "{when}");
}

/// Asks at every door until all is well there. Whatever is heard before that is "not now".
pub(crate) fn wait_until_mended(alone: &Alone) {
    let deadline = Instant::now() + PATIENCE;
    for door in &DOORS {
        loop {
            let heard = (door.ask)(alone);
            if door.is_well(&heard) {
                break;
            }
            assert!(door.is_not_now(&heard), "{}, mended: heard {heard:?}", door.what);
            assert!(Instant::now() < deadline, "{}: never mended", door.what);
        }
    }
    wait_for_readiness(alone, true);
}

impl Door {
    fn is_well(&self, heard: &str) -> bool {
        heard.starts_with(self.well) && !(heard.starts_with(TEMP_FAIL) || heard.is_empty())
    }

    fn is_not_now(&self, heard: &str) -> bool {
        if self.not_now.is_empty() { heard.is_empty() } else { heard.starts_with(self.not_now) }
    }
}

/// As Postfix and Exim say it: minor 0, and `nologin`.
fn mta(alone: &Alone, (user, password): Login) -> String {
    let mut client = Connection::to_auth(alone.gatepost.path_of("auth"), 0);
    client.send(auth(1, "\tnologin", user, password));
    client.line()
}

fn dovecot(alone: &Alone, socket: &str, (user, password): Login) -> String {
    let mut client = alone.auth_client(socket);
    client.send(auth(1, "", user, password));
    client.line()
}

fn mail_process(alone: &Alone, socket: &str, command: &str) -> String {
    let mut client = alone.connect(socket);
    client.send(format!("VERSION\t1\t0\n{command}"));
    while !client.line().starts_with("SPID") {}
    client.line()
}

fn dict(alone: &Alone, commands: &str) -> String {
    let mut client = alone.connect("keys");
    client.send(format!("H3\t0\t0\t\tkeys\n{commands}"));
    client.heard_up_to("\n")
}

fn socketmap(alone: &Alone, query: &str) -> String {
    let mut client = alone.connect("socketmap");
    client.send(format!("{}:{query},", query.len()));
    client.heard_up_to(",")
}

/// The status and the problem's code.
fn api(alone: &Alone, method: &str, path: &str, body: &str) -> String {
    let mut client = alone.connect("admin");
    let length = body.len();
    client.send(format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    ));
    let heard = client.rest();
    let status = heard.split(' ').nth(1).unwrap_or_default();
    let code = heard.split_once(r#""code":""#).and_then(|(_, rest)| rest.split('"').next()).unwrap_or_default();
    format!("{status} {code}")
}

fn login() -> String {
    format!(r#"{{"user": "{}", "password": "{}", "service": "imap"}}"#, ALICE.user, ALICE.password)
}

fn command(alone: &Alone, arguments: &[&str], input: &str) -> String {
    alone.gatepost.command(arguments, &format!("{input}\n")).status.code().unwrap_or(-1).to_string()
}

fn status(alone: &Alone, path: &str) -> String {
    let mut client = Connection::to_address(alone.gatepost.status);
    client.send(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"));
    client.rest()
}

/// What `/readyz` says may be a second old.
fn wait_for_readiness(alone: &Alone, ready: bool) {
    let expected = if ready { "HTTP/1.1 200 " } else { "HTTP/1.1 503 " };
    let deadline = Instant::now() + PATIENCE;
    while !status(alone, "/readyz").starts_with(expected) {
        assert!(Instant::now() < deadline, "/readyz never said {expected}");
    }
}
