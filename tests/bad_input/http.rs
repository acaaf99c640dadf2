//! Broken HTTP, at the admin socket, the public listener and the status listener.

use gatepost_harness::alone::Alone;
use gatepost_harness::raw::Connection;

use crate::assert_unharmed;

/// What is asked, and how the answer begins; empty where the connection is closed without one.
type Case = (Vec<u8>, &'static str);

fn get(path: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n").into_bytes()
}

fn post(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("POST /api/v1/accounts HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
    [head.as_bytes(), body].concat()
}

fn json(length: &str, body: &[u8]) -> Vec<u8> {
    post(&format!("content-type: application/json\r\ncontent-length: {length}\r\n"), body)
}

/// What is no HTTP, or none that anybody serves.
fn broken_heads() -> Vec<Case> {
    vec![
        (vec![b'x'; 1 << 20], "HTTP/1.1 4"),
        (get("/", &format!("x: {}\r\n", "y".repeat(1 << 20))), "HTTP/1.1 431 "),
        (get(&format!("/{}", "y".repeat(1 << 20)), ""), "HTTP/1.1 4"),
        (b"\0\0\0\0\r\n\r\n".to_vec(), "HTTP/1.1 400 "),
        (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03".to_vec(), "HTTP/1.1 400 "),
        (b"\xff\xfe / HTTP/1.1\r\n\r\n".to_vec(), "HTTP/1.1 400 "),
        (b"GET / HTTP/9.9\r\n\r\n".to_vec(), "HTTP/1.1 400 "),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), ""),
        (b"GET /healthz HTTP/1.1\nhost x\n\n".to_vec(), "HTTP/1.1 400 "),
        (get("/", "content-length: -1\r\n"), "HTTP/1.1 400 "),
        (get("/", "content-length: 99999999999999999999\r\n"), "HTTP/1.1 400 "),
        (get("/", "content-length: 1\r\ncontent-length: 2\r\n"), "HTTP/1.1 400 "),
        (get("/", "x\0y: z\r\n"), "HTTP/1.1 400 "),
        (get("/%ff%00%0a", ""), "HTTP/1.1 4"),
        (get("/../../etc/passwd", ""), "HTTP/1.1 4"),
    ]
}

/// Bodies that the API reads on the admin socket.
fn broken_bodies() -> Vec<Case> {
    let chunked = "content-type: application/json\r\ntransfer-encoding: chunked\r\n";
    let deep = [&b"["[..]; 30_000].concat();
    let malformed = "HTTP/1.1 400 ";
    vec![
        (json("1048576", &vec![b' '; 1 << 20]), "HTTP/1.1 413 "),
        (json("9223372036854775807", b"{"), "HTTP/1.1 4"),
        (post(chunked, &[b"100000\r\n", &vec![b' '; 1 << 20][..], b"\r\n0\r\n\r\n"].concat()), "HTTP/1.1 413 "),
        (post(chunked, b"zz\r\n{}\r\n0\r\n\r\n"), malformed),
        (post(chunked, b"ffffffffffffffffff\r\n{}\r\n"), malformed),
        (post(chunked, b"-1\r\n{}\r\n"), malformed),
        (json(&deep.len().to_string(), &deep), "HTTP/1.1 422 "),
        (json("4", b"\xff\xfe{}"), malformed),
        (json("3", b"{\0}"), malformed),
        (json("4", b"null"), "HTTP/1.1 422 "),
        (post("content-length: 2\r\n", b"{}"), "HTTP/1.1 415 "),
        (post("content-type: application/x-www-form-urlencoded\r\ncontent-length: 6\r\n", b"%ff&=&"), "HTTP/1.1 422 "),
        (get("/api/v1/accounts/%00%0a%1b%5b2J", ""), "HTTP/1.1 404 "),
        (get("/api/v1/accounts/%ff", ""), "HTTP/1.1 4"),
        (get("/api/v1/accounts?after=%ff%00&q=%1b", ""), "HTTP/1.1 "),
        (get("/api/v1/accounts?domain=%", ""), "HTTP/1.1 4"),
    ]
}

#[test]
fn broken_http_is_answered_and_closed() {
    let alone = Alone::start("");
    let admin = || alone.connect("admin");
    let public = || Connection::to_address(alone.gatepost.http);
    let status = || Connection::to_address(alone.gatepost.status);
    let doors: [(&str, &dyn Fn() -> Connection); 3] = [("admin", &admin), ("http", &public), ("status", &status)];
    for (door, connect) in doors {
        for (asked, answer) in broken_heads() {
            let heard = converse(&alone, connect(), &asked);
            // Over TCP, an answer to what was not read to its end may be lost with the connection.
            let lost = heard.is_empty() && door != "admin" && asked.len() > 1 << 16;
            assert!(lost || heard.starts_with(answer), "{door}: {}: {heard:?}", shown(&asked));
        }
    }
    for (asked, answer) in broken_bodies() {
        let heard = converse(&alone, admin(), &asked);
        assert!(heard.starts_with(answer), "{}: {heard:?}", shown(&asked));
    }
    assert_unharmed(&alone);
}

/// The public listener and the status listener administer nothing, whatever is sent.
#[test]
fn only_the_admin_socket_administers() {
    let alone = Alone::start("");
    let body = br#"{"domain": "evil.example"}"#;
    let head = |path: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
             gatepost-door: command\r\nauthorization: Bearer x\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )
    };
    for (address, expected) in [(alone.gatepost.http, "HTTP/1.1 401 "), (alone.gatepost.status, "HTTP/1.1 404 ")] {
        for path in ["/api/v1/domains", "//api/v1/domains", "/api/v1/../v1/domains", "http://gatepost/api/v1/domains"] {
            let mut connection = Connection::to_address(address);
            connection.send([head(path).as_bytes(), body].concat());
            let heard = connection.rest();
            assert!(heard.starts_with(expected), "{path}: {heard}");
        }
    }
    assert_eq!(alone.gatepost.must(&["domain", "list", "--json"], "").matches("evil").count(), 0);
}

fn converse(alone: &Alone, mut connection: Connection, asked: &[u8]) -> String {
    connection.send(asked);
    alone.assert_others_log_in(&shown(asked));
    connection.end_sending();
    connection.rest()
}

fn shown(asked: &[u8]) -> String {
    asked[..asked.len().min(120)].escape_ascii().to_string()
}
