//! What is too large, too slow, or not possible now.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::service::{ADMIN, Client, Service, answer};

#[tokio::test]
async fn a_body_is_bounded() {
    let service = Service::start().await;
    let client = Client::new(&service.listen(ADMIN));
    for content_type in ["application/json", "application/x-www-form-urlencoded"] {
        let request = client.request("POST", "/api/v1/accounts").header("content-type", content_type);
        let (status, problem) = answer(request.body(vec![b' '; 65 * 1024]).send().await.expect("an answer")).await;
        assert_eq!((status, &problem["code"]), (413, &json!("too-large")), "{content_type}");
    }
}

#[tokio::test]
async fn a_body_says_what_it_is() {
    let service = Service::start().await;
    let client = Client::new(&service.listen(ADMIN));
    for (content_type, body, status, code) in [
        ("text/plain", "{}", 415, "media-type"),
        ("application/json", "{", 400, "malformed"),
        ("application/json", "", 400, "malformed"),
        ("application/json", r#"{"domain": "a.example"} {}"#, 400, "malformed"),
        ("application/json; charset=utf-8", r#"{"domain": "a.example"}"#, 201, ""),
        ("APPLICATION/JSON", r#"{"domain": "b.example"}"#, 201, ""),
    ] {
        let request = client.request("POST", "/api/v1/domains").header("content-type", content_type).body(body);
        let (heard, problem) = answer(request.send().await.expect("an answer")).await;
        assert_eq!((heard, problem["code"].as_str().unwrap_or("")), (status, code), "{content_type}: {body}");
    }
}

/// Sends what is given, then nothing more, and reads until the other side closes.
async fn stall(socket: &std::path::Path, sent: &str) -> String {
    let mut stream = UnixStream::connect(socket).await.expect("a connection");
    stream.write_all(sent.as_bytes()).await.expect("sent");
    let mut heard = Vec::new();
    // A connection that is reset has also ended.
    drop(stream.read_to_end(&mut heard).await);
    String::from_utf8_lossy(&heard).into_owned()
}

#[tokio::test]
async fn whoever_stalls_is_not_waited_for() {
    let service = Service::start().await;
    let socket = service.listen(ADMIN);
    tokio::time::pause();
    assert_eq!(stall(&socket, "POST /api/v1/domains HTTP/1.1\r\nhost: x\r\ncontent-").await, "");
    let head =
        "POST /api/v1/domains HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{";
    assert!(stall(&socket, head).await.starts_with("HTTP/1.1 408 "));
    let idle = "GET /api/v1/no-such-call HTTP/1.1\r\nhost: x\r\n\r\n";
    assert!(stall(&socket, idle).await.starts_with("HTTP/1.1 404 "), "an idle connection ends");
}

#[tokio::test]
async fn a_head_is_bounded() {
    let service = Service::start().await;
    let socket = service.listen(ADMIN);
    let many: String = (0..100).map(|number| format!("x-{number}: y\r\n")).collect();
    let long = format!("x: {}\r\n", "y".repeat(64 * 1024));
    for headers in [many, long] {
        let heard = stall(&socket, &format!("GET /api/v1/domains HTTP/1.1\r\nhost: x\r\n{headers}\r\n")).await;
        assert!(heard.starts_with("HTTP/1.1 431 "), "{heard}");
    }
}

#[tokio::test]
async fn a_locked_store_is_not_now_and_never_no() {
    let service = Service::start().await;
    let client = Client::new(&service.listen(ADMIN));
    let status = Client::new(&service.listen_status());
    client.call("POST", "/domains", json!({ "domain": "example.org" })).await;
    let url = format!("sqlite://{}", service.database().display());
    let mut lock = <sqlx::SqliteConnection as sqlx::Connection>::connect(&url).await.expect("a second connection");
    sqlx::query("BEGIN IMMEDIATE").execute(&mut lock).await.expect("the lock");

    let (heard, problem) = client.call("POST", "/accounts", json!({ "user": "ann", "generate": true })).await;
    assert_eq!((heard, &problem["code"]), (503, &json!("not-now")));
    assert_eq!(status.request("GET", "/readyz").send().await.expect("an answer").status().as_u16(), 503);
    let (_, view) = client.call("GET", "/status", Value::Null).await;
    assert_eq!(view["ready"], json!(false));
    assert!(view["problem"].as_str().is_some_and(|text| text.starts_with("cannot ")), "{view}");

    sqlx::query("ROLLBACK").execute(&mut lock).await.expect("the lock is given back");
    let (heard, answer) = client.call("POST", "/accounts", json!({ "user": "ann", "generate": true })).await;
    assert_eq!(heard, 201, "{answer}");
}

/// A refusal takes its time, so the end of what the client says is there long before.
#[tokio::test]
async fn who_has_asked_and_says_no_more_is_answered() {
    let service = Service::start().await;
    let mut stream = UnixStream::connect(service.listen(ADMIN)).await.expect("a connection");
    let body = json!({ "user": "nobody@example.org", "password": "wrong", "service": "imap" }).to_string();
    let head = "POST /api/v1/auth HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length:";
    stream.write_all(format!("{head} {}\r\n\r\n{body}", body.len()).as_bytes()).await.expect("sent");
    stream.shutdown().await.expect("nothing more is sent");
    let mut heard = String::new();
    stream.read_to_string(&mut heard).await.expect("an answer, and the end");
    assert!(heard.starts_with("HTTP/1.1 401 ") && heard.contains("wrong-password"), "{heard}");
}

#[tokio::test]
async fn a_stopping_daemon_answers_what_it_was_asked_and_closes() {
    let service = Service::start().await;
    let socket = service.listen(ADMIN);
    let mut stream = UnixStream::connect(&socket).await.expect("a connection");
    stream.write_all(b"GET /api/v1/status HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.expect("an answer");
    service.shutdown.cancel();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.expect("the end");
    assert_eq!(&first, b"HTTP/1.1 200");
    assert!(rest.contains("\"ready\":true"), "{rest}");
}
