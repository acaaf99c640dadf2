//! The programs and browsers that an account is used with: who is listed, and what is kept of what they say.

use std::time::Duration;

use serde_json::{Value, json};

use crate::service::{ADMIN, Client, Service};

const PASSWORD: &str = "Correct-Horse-7";
const CLIENTS: &str = "/accounts/ann@example.org/clients";

async fn service_with_ann() -> (Service, Client) {
    let service = Service::start().await;
    let client = Client::new(&service.listen(ADMIN));
    client.call("POST", "/domains", json!({ "domain": "example.org" })).await;
    let ann = json!({ "user": "ann@example.org", "password": PASSWORD });
    assert_eq!(client.call("POST", "/accounts", ann).await.0, 201);
    (service, client)
}

async fn listed(client: &Client) -> Vec<Value> {
    let (status, list) = client.call("GET", CLIENTS, Value::Null).await;
    assert_eq!(status, 200);
    list["clients"].as_array().expect("a list").clone()
}

/// A login is written down after it was answered.
async fn logins_written(client: &Client, expected: usize) {
    let written = async {
        loop {
            let (_, list) = client.call("GET", "/accounts/ann@example.org/logins", Value::Null).await;
            if list["logins"].as_array().is_some_and(|logins| logins.len() >= expected) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), written).await.expect("the logins are written");
}

async fn report(client: &Client, session: &str, user_agent: &str) -> Value {
    let body =
        json!({ "kind": "roundcube", "session": session, "remote_ip": "::ffff:192.0.2.7", "user_agent": user_agent });
    let (status, reported) = client.call("POST", CLIENTS, body).await;
    assert_eq!(status, 200, "{reported}");
    reported
}

#[tokio::test]
async fn who_logs_in_to_mail_is_listed_and_nobody_else() {
    let (_service, client) = service_with_ann().await;
    let attempt = |password, remote_ip| json!({ "user": "ann", "password": password, "service": "imap\u{1b}[2J", "remote_ip": remote_ip });
    for (password, remote_ip, status) in
        [(PASSWORD, "192.0.2.7", 200), ("wrong", "192.0.2.8", 401), (PASSWORD, "192.0.2.7", 200)]
    {
        assert_eq!(client.call("POST", "/auth", attempt(password, remote_ip)).await.0, status);
    }
    let change = json!({ "user": "ann", "current": PASSWORD, "new": "Battery-Staple-8" });
    assert_eq!(client.call("POST", "/password", change).await.0, 200);
    logins_written(&client, 4).await;

    let clients = listed(&client).await;
    let [only] = clients.as_slice() else { panic!("{clients:?}") };
    let expected = json!({
        "id": only["id"], "kind": "imap [2J", "credential": "main", "origin": "192.0.2.7", "user_agent": null,
        "session": null, "first_seen": only["first_seen"], "last_seen": only["last_seen"], "logins": 2,
    });
    assert_eq!(*only, expected);
    assert!(only["first_seen"].as_str() < only["last_seen"].as_str());
}

#[tokio::test]
async fn a_webmail_reports_its_sessions() {
    let (_service, client) = service_with_ann().await;
    let browser = "Mozilla/5.0\u{202e} (X11; Linux)\r\n";
    let first = report(&client, "one", browser).await;
    assert_eq!((&first["kind"], &first["credential"]), (&json!("roundcube"), &Value::Null));
    assert_eq!((&first["origin"], &first["user_agent"]), (&json!("192.0.2.7"), &json!("Mozilla/5.0 (X11; Linux)")));
    let second = report(&client, "two", browser).await;
    assert_eq!((&second["id"], &second["logins"], &second["session"]), (&first["id"], &json!(2), &json!("two")));
    let other = report(&client, "three", &"x".repeat(10_000)).await;
    assert_eq!(other["user_agent"].as_str().map(str::len), Some(256));
    assert_eq!(listed(&client).await, [other, second]);
}

#[tokio::test]
async fn what_a_webmail_must_find_again_is_kept_whole_or_not_at_all() {
    let (_service, client) = service_with_ann().await;
    let long = "x".repeat(129);
    for (key, value) in [
        ("kind", json!("")),
        ("kind", json!("two words")),
        ("kind", json!(long)),
        ("session", json!("")),
        ("session", json!("a\nb")),
        ("session", json!(long)),
        ("remote_ip", json!("home")),
        ("password", json!("x")),
    ] {
        let mut body = json!({ "kind": "webmail", "session": "s", "remote_ip": "192.0.2.7" });
        body[key] = value;
        let (status, problem) = client.call("POST", CLIENTS, body).await;
        assert_eq!((status, &problem["code"]), (422, &json!("invalid")), "{key}: {problem}");
    }
    assert_eq!(listed(&client).await, [] as [Value; 0]);
    let nobody = json!({ "kind": "webmail", "session": "s", "remote_ip": "192.0.2.7" });
    assert_eq!(client.call("POST", "/accounts/eve@example.org/clients", nobody).await.0, 404);
}

#[tokio::test]
async fn a_forgotten_client_takes_no_right_along() {
    let (_service, client) = service_with_ann().await;
    let kept = report(&client, "kept", "a").await;
    let forgotten = report(&client, "forgotten", "b").await;
    let generation = "/accounts/ann@example.org/generation";
    let before = client.call("GET", generation, Value::Null).await;
    let path = format!("{CLIENTS}/{}", forgotten["id"]);
    assert_eq!(client.call("DELETE", &path, Value::Null).await, (204, Value::Null));
    assert_eq!(client.call("DELETE", &path, Value::Null).await.0, 404);
    assert_eq!(listed(&client).await, [kept]);
    assert_eq!(client.call("GET", generation, Value::Null).await, before);
}
