//! No password anywhere it does not belong: not in logs, errors, metrics, the process or the store.
//!
//! A marker goes through every door as a right and as a wrong password, in and out of its place, at the finest log
//! level; then everything that outlives the moment is searched for it.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use gatepost_harness::alone::Alone;
use gatepost_harness::client::{encoded, plain};
use gatepost_harness::mailhost::ALICE;
use gatepost_harness::process::{LogMark, Process};
use gatepost_harness::raw::{Connection, auth};
use gatepost_harness::redis::Redis;

/// What every password here holds, and nothing else.
const MARKER: &str = "Kj7xQzWvPm";

fn right(number: u32) -> String {
    format!("{MARKER}-right{number}")
}

fn wrong(number: u32) -> String {
    format!("{MARKER}-wrong{number}")
}

#[test]
fn a_password_is_nowhere_it_does_not_belong() {
    let redis = Redis::start();
    let monitor = monitor(&redis);
    let mut alone = Alone::start(&settings(&redis));
    let mut said = set_by_every_door(&alone);
    log_in_by_every_door(&alone);
    let (tokens, answers) = by_bearers(&alone);
    said.extend(answers);
    out_of_its_place(&alone);
    said.extend(errors(&alone));
    said.push(("metrics".to_owned(), get(&alone, "/metrics")));
    let process = alone.gatepost.process();
    let pid = process.pid();
    for name in ["cmdline", "environ"] {
        let bytes = fs::read(format!("/proc/{pid}/{name}")).expect("root may look at any process");
        assert!(!bytes.is_empty(), "{name} was read");
        said.push((name.to_owned(), String::from_utf8_lossy(&bytes).into_owned()));
    }
    let log = process.log();
    assert!(log.contains("login accepted") && log.contains("DEBUG"), "everything is logged");
    assert!(!log.contains("$argon2id$") && !log.contains("$6$"), "hashes are secrets too");
    said.push(("log".to_owned(), log));
    assert!(redis.must(&["KEYS", "*"]).contains(ALICE.user), "Redis was told");
    said.push(("Redis' snapshot".to_owned(), String::from_utf8_lossy(&redis.snapshot()).into_owned()));
    redis.must(&["ECHO", MONITORED]);
    monitor.wait_for_log(MONITORED, LogMark::default());
    assert!(monitor.log().contains("gatepost:revoked"), "what Redis was asked was read");
    said.push(("Redis' monitor".to_owned(), monitor.log()));
    // Both while it runs, with the write-ahead log, and once that has been copied into the database.
    said.extend(files_below(&alone.directory.path().join("gatepost")));
    alone.gatepost.stop();
    said.extend(files_below(&alone.directory.path().join("gatepost")));
    assert!(said.iter().any(|(place, text)| place.ends_with(".db") && text.contains(ALICE.user)), "the store was read");
    for (place, text) in &said {
        for trace in traces().into_iter().chain(tokens.iter().cloned()) {
            assert!(!text.contains(&trace), "{place} holds {trace:?}:\n{}", around(text, &trace));
        }
    }
}

/// With everything in the log, and peers to be told of changes: a Redis, and a Dovecot that is away, whose key holds the
/// marker.
fn settings(redis: &Redis) -> String {
    format!(
        "\n[log]\nlevel = \"trace\"\n\n[redis]\naddresses = [\"{}\"]\n\n[dovecot.away]\nurl = \"http://127.0.0.1:9\"\n\
         api_key = \"{MARKER}-key\"\n",
        redis.address()
    )
}

const MONITORED: &str = "everything before this was seen";

/// Says everything that this Redis is asked from now on.
fn monitor(redis: &Redis) -> Process {
    let mut command = Command::new("redis-cli");
    command.arg("-s").arg(redis.socket()).arg("monitor");
    let monitor = Process::start("redis-cli monitor", command);
    monitor.wait_for_log("OK", LogMark::default());
    monitor
}

/// The marker as it is, in hex, and in base64 at each of the three places that it may have there.
fn traces() -> Vec<String> {
    let mut traces = vec![MARKER.to_owned(), MARKER.bytes().map(|byte| format!("{byte:02x}")).collect()];
    for skipped in 0..3 {
        let whole = &MARKER[skipped..];
        traces.push(encoded(&whole[..whole.len() / 3 * 3]));
    }
    traces
}

/// New passwords, right after right; gives what was said.
fn set_by_every_door(alone: &Alone) -> Vec<(String, String)> {
    let command = |arguments: &[&str], input: &str| {
        let output = alone.gatepost.command(arguments, input);
        let printed = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        (format!("gatepost {arguments:?}"), printed.into_owned())
    };
    let body = |text: &str| text.replace('\'', "\"");
    let user = "/api/v1/accounts/alice@example.org/password";
    let change = body(&format!("{{'user': '{}', 'current': '{}', 'new': '{}'}}", ALICE.user, right(2), right(3)));
    let said = vec![
        command(&["account", "add", "bob@example.org", "--stdin"], &format!("{}\n", right(1))),
        command(&["passwd", ALICE.user, "--stdin"], &format!("{}\n", right(1))),
        ("PUT JSON".to_owned(), call(alone, "PUT", user, "json", &body(&format!("{{'new': '{}'}}", right(2))))),
        ("POST /password".to_owned(), call(alone, "POST", "/api/v1/password", "json", &change)),
        ("PUT form".to_owned(), call(alone, "PUT", user, "x-www-form-urlencoded", &format!("new={}", right(4)))),
        ("poppassd".to_owned(), by_webmail(alone, &right(4), &right(5))),
    ];
    assert!(alone.log_in(ALICE.user, &right(5)).starts_with("OK\t"), "the last of them is in force: {said:?}");
    said
}

fn log_in_by_every_door(alone: &Alone) {
    for socket in ["auth", "login"] {
        for password in [right(5), wrong(1)] {
            let mut client = alone.auth_client(socket);
            client.send(auth(1, "\tsession=s\tclient_id=\"name\" \"x\"", ALICE.user, &password));
            client.line();
            client.send(format!("AUTH\t2\tLOGIN\tservice=imap\nCONT\t2\t{}\n", encoded(ALICE.user)));
            client.line_after("CONT\t2\tVXNlcm5hbWU6");
            client.send(format!("CONT\t2\t{}\n", encoded(&password)));
            client.line();
            let mut mta = Connection::to_auth(alone.gatepost.path_of(socket), 0);
            mta.send(auth(1, "\tnologin", ALICE.user, &password));
            mta.line();
        }
    }
    for password in [right(5), wrong(2)] {
        let body = format!(r#"{{"user": "{}", "password": "{password}", "service": "imap"}}"#, ALICE.user);
        call(alone, "POST", "/api/v1/auth", "json", &body);
        alone.gatepost.command(&["auth", "test", ALICE.user, "--stdin"], &format!("{password}\n"));
    }
}

/// With tokens of each role and with what is none; gives the tokens, and what was said.
fn by_bearers(alone: &Alone) -> (Vec<String>, Vec<(String, String)>) {
    let make = |role: &str| {
        let printed = alone.gatepost.must(&["token", "add", role, "--role", role], "");
        let token = printed.lines().next().expect("the token is on a line of its own");
        assert!(token.starts_with("gp_") && token.len() > 40, "{printed}");
        token.to_owned()
    };
    let tokens: Vec<_> = ["admin", "webmail", "login"].map(make).into();
    let bearers = tokens.iter().map(|token| format!("Bearer {token}"));
    let none = [format!("Bearer {MARKER}"), format!("Bearer gp_{MARKER}"), format!("Basic {}", encoded(&right(5)))];
    let mut said = Vec::new();
    for authorization in bearers.chain(none) {
        for (path, body) in [
            ("/auth", format!(r#"{{"user": "{}", "password": "{}", "service": "imap"}}"#, ALICE.user, right(5))),
            ("/auth", format!(r#"{{"user": "{}", "password": "{}", "service": "imap"}}"#, ALICE.user, wrong(5))),
            (
                "/password",
                format!(
                    r#"{{"user": "{}", "current": "{}", "new": "{MARKER}", "remote_ip": "192.0.2.1"}}"#,
                    ALICE.user,
                    right(5)
                ),
            ),
        ] {
            let mut client = Connection::to_address(alone.gatepost.http);
            client.send(format!(
                "POST /api/v1{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: {authorization}\r\n\
                 content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            ));
            let heard = client.rest();
            assert!(heard.starts_with("HTTP/1.1 "), "{path}: {heard}");
            said.push((format!("{path} as {authorization}"), heard));
        }
    }
    assert!(said.iter().any(|(_, heard)| heard.starts_with("HTTP/1.1 200 ")), "a token opens a door");
    (tokens, said)
}

/// A password where something else is expected: a line of its own, a name, a field, cancelled, cut off.
fn out_of_its_place(alone: &Alone) {
    let secret = wrong(3);
    for said in [
        format!("{secret}\n"),
        format!("AUTH\t1\tPLAIN\tservice=imap\tresp={}", plain(ALICE.user, &secret)),
        format!("AUTH\t1\tPLAIN\tservice=imap\tresp={}\tsecured\n", plain(ALICE.user, &secret)),
        format!("AUTH\t1\tPLAIN\tservice=imap\tresp=!{}\n", plain(ALICE.user, &secret)),
        format!("AUTH\t1\tPLAIN\tservice=imap\nCONT\t1\t{}\nCANCEL\t1\n", plain(ALICE.user, &secret)),
        format!("AUTH\t1\tPLAIN\tservice=imap\n{}\n", plain(ALICE.user, &secret)),
        format!("{}\n", plain(ALICE.user, &secret)),
        format!("AUTH\t1\t{secret}\tservice=imap\n"),
        format!("AUTH\t{secret}\tPLAIN\tservice=imap\n"),
    ] {
        let mut client = alone.auth_client("auth");
        client.send(said);
        client.end_sending();
        client.rest();
    }
    for said in [format!("{secret}\n"), format!("user {secret}\n{secret}\n"), format!("pass {secret}\n")] {
        let mut webmail = Connection::to_address(alone.gatepost.poppassd);
        webmail.send(said);
        webmail.rest();
    }
    for socket in ["master", "userdb", "keys", "socketmap"] {
        for said in
            [format!("{secret}\n"), format!("VERSION\t1\t0\n{secret}\n"), format!("H3\t0\t0\t\tkeys\n{secret}\n")]
        {
            let mut client = alone.connect(socket);
            client.send(said);
            client.end_sending();
            client.rest();
        }
    }
}

/// What the API and the command say to a password that they do not take.
///
/// Left out is a hash whose scheme nobody knows: its name is told to the one who sent it, and logged nowhere.
fn errors(alone: &Alone) -> Vec<(String, String)> {
    let user = "/api/v1/accounts/alice@example.org/password";
    let secret = wrong(4);
    let bodies = [
        format!(r#"{{"new": "{MARKER}"}}"#),
        format!(r#"{{"new": ["{secret}"]}}"#),
        format!(r#"{{"new": "{secret}", "{secret}": 1}}"#),
        format!(r#"{{"generate": "{secret}"}}"#),
        format!(r#"{{"hash": "{secret}"}}"#),
        format!(r#"{{"new": "{secret}"#),
        format!(r#""{secret}""#),
        format!("new={secret}&new={secret}"),
    ];
    call(alone, "PUT", user, "json", &format!(r#"{{"hash": "{{{secret}}}{secret}"}}"#));
    let mut said = Vec::new();
    for body in bodies {
        for media in ["json", "x-www-form-urlencoded", "octet-stream"] {
            let heard = call(alone, "PUT", user, media, &body);
            assert!(heard.starts_with("HTTP/1.1 4"), "{media}: {body}: {heard}");
            said.push((format!("{media}: PUT {body}"), heard));
        }
    }
    let change = format!(r#"{{"user": "{}", "current": "{secret}", "new": "{secret}"}}"#, ALICE.user);
    said.push(("POST /password".to_owned(), call(alone, "POST", "/api/v1/password", "json", &change)));
    said.push(("poppassd, wrong".to_owned(), by_webmail(alone, &secret, &secret)));
    said.push(("poppassd, no good".to_owned(), by_webmail(alone, &right(5), MARKER)));
    for (arguments, input) in [
        (&["passwd", ALICE.user, "--stdin"][..], MARKER.to_owned()),
        (&["passwd", ALICE.user, "--hash-stdin"], secret.clone()),
        (&["passwd", "nobody@example.org", "--stdin"], secret.clone()),
        (&["account", "add", ALICE.user, "--stdin"], secret.clone()),
    ] {
        let output = alone.gatepost.command(arguments, &format!("{input}\n"));
        assert!(!output.status.success(), "{arguments:?}");
        let printed = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        said.push((format!("gatepost {arguments:?}"), printed.into_owned()));
    }
    said
}

/// All that a webmail hears.
fn by_webmail(alone: &Alone, current: &str, new: &str) -> String {
    let mut webmail = Connection::to_address(alone.gatepost.poppassd);
    webmail.send(format!("user {}\npass {current}\nnewpass {new}\nquit\n", ALICE.user));
    webmail.rest()
}

fn call(alone: &Alone, method: &str, path: &str, media: &str, body: &str) -> String {
    let mut client = alone.connect("admin");
    let length = body.len();
    client.send(format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/{media}\r\n\
         content-length: {length}\r\n\r\n{body}"
    ));
    client.rest()
}

fn get(alone: &Alone, path: &str) -> String {
    let mut client = Connection::to_address(alone.gatepost.status);
    client.send(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"));
    client.rest()
}

fn files_below(directory: &Path) -> Vec<(String, String)> {
    let entries = fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path());
    let files: Vec<PathBuf> = entries.filter(|path| path.is_file()).collect();
    let read = |path: PathBuf| {
        let bytes = fs::read(&path).expect("root may read any file");
        (path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned())
    };
    files.into_iter().map(read).collect()
}

/// Enough of what lies about a find to see where it comes from.
fn around(text: &str, found: &str) -> String {
    let at = text.find(found).unwrap_or_default();
    let (from, to) = (text.floor_char_boundary(at.saturating_sub(200)), text.ceil_char_boundary(at + 200));
    text[from..to.min(text.len())].escape_debug().to_string()
}
