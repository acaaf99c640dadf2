//! Which surface opens which call. A call that has no row here fails the test.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use gatepost::listen::Peer;
use gatepost::web::Surface;
use serde_json::{Value, json};

use crate::service::{ADMIN, Client, Service};

const STRANGER: Surface = Surface::Admin(Peer::Process { uid: 65534, gid: 65534, pid: None, trusted: false });

fn public() -> Surface {
    Surface::Public(Peer::Remote(SocketAddr::from(([192, 0, 2, 1], 4711))))
}

/// Open to whoever knows a password.
const OPEN: [&str; 1] = ["/password"];

/// Method, path in the description, path to call, body, what an admin hears.
type Row = (&'static str, &'static str, &'static str, Value, u16);

fn rows() -> Vec<Row> {
    vec![
        ("POST", "/domains", "/domains", json!({ "domain": "new.example" }), 201),
        ("GET", "/domains", "/domains", Value::Null, 200),
        ("PATCH", "/domains/{domain}", "/domains/new.example", json!({ "default_quota": 5 }), 200),
        ("DELETE", "/domains/{domain}", "/domains/new.example", Value::Null, 204),
        ("POST", "/accounts", "/accounts", json!({ "user": "bo@example.org", "generate": true }), 201),
        ("GET", "/accounts", "/accounts", Value::Null, 200),
        ("GET", "/accounts/{user}", "/accounts/bo@example.org", Value::Null, 200),
        ("PATCH", "/accounts/{user}", "/accounts/bo@example.org", json!({ "name": "Bo" }), 200),
        ("GET", "/accounts/{user}/generation", "/accounts/bo@example.org/generation", Value::Null, 200),
        ("GET", "/accounts/{user}/logins", "/accounts/bo@example.org/logins", Value::Null, 200),
        ("GET", "/accounts/{user}/clients", "/accounts/bo@example.org/clients", Value::Null, 200),
        ("POST", "/accounts/{user}/clients", "/accounts/bo@example.org/clients", session(), 200),
        ("DELETE", "/accounts/{user}/clients/{id}", "/accounts/bo@example.org/clients/1", Value::Null, 204),
        ("PUT", "/accounts/{user}/password", "/accounts/bo@example.org/password", json!({ "generate": true }), 200),
        ("POST", "/accounts/{user}/logout", "/accounts/bo@example.org/logout", Value::Null, 200),
        ("POST", "/auth", "/auth", json!({ "user": "bo", "password": "wrong", "service": "imap" }), 401),
        ("POST", "/password", "/password", json!({ "user": "bo", "current": "wrong", "new": "x" }), 401),
        ("DELETE", "/accounts/{user}", "/accounts/bo@example.org", Value::Null, 204),
        ("GET", "/status", "/status", Value::Null, 200),
    ]
}

fn session() -> Value {
    json!({ "kind": "webmail", "session": "s", "remote_ip": "192.0.2.7" })
}

#[tokio::test]
async fn every_call_is_open_to_an_admin_and_closed_to_everyone_else() {
    let service = Service::start().await;
    let admin = Client::new(&service.listen(ADMIN));
    let stranger = Client::new(&service.listen(STRANGER));
    let public_client = Client::new(&service.listen(public()));
    admin.call("POST", "/domains", json!({ "domain": "example.org" })).await;

    for (method, _, path, body, status) in rows() {
        for (who, client, closed) in
            [("stranger", &stranger, (403, "forbidden")), ("public", &public_client, (401, "unauthorized"))]
        {
            let expected = if OPEN.contains(&path) { (401, "wrong-password") } else { closed };
            let (heard, problem) = client.call(method, path, body.clone()).await;
            assert_eq!((heard, problem["code"].as_str().unwrap_or("")), expected, "{who}: {method} {path}");
        }
        let (heard, answer) = admin.call(method, path, body).await;
        assert_eq!(heard, status, "admin: {method} {path}: {answer}");
    }
}

#[tokio::test]
async fn every_call_of_the_description_has_a_row() {
    let service = Service::start().await;
    let admin = Client::new(&service.listen(ADMIN));
    let (_, description) = admin.call("GET", "/openapi.json", Value::Null).await;
    let paths = description["paths"].as_object().expect("paths");
    let described: BTreeSet<(String, String)> = paths
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().expect("methods");
            methods.keys().map(move |method| (method.to_uppercase(), path.clone()))
        })
        .collect();
    let tried: BTreeSet<(String, String)> =
        rows().into_iter().map(|(method, path, ..)| (method.to_owned(), format!("/api/v1{path}"))).collect();
    assert_eq!(described, tried);
}

#[tokio::test]
async fn outside_there_is_no_telling_what_exists() {
    let service = Service::start().await;
    let public_client = Client::new(&service.listen(public()));
    for path in ["/openapi.json", "/no/such/call", "/accounts/nobody@example.org", "/../../healthz", "/metrics"] {
        let (status, _) = public_client.call("GET", path, Value::Null).await;
        assert_eq!(status, 401, "{path}");
    }
}

#[tokio::test]
async fn the_status_listener_answers_and_knows_no_accounts() {
    let service = Service::start().await;
    let status = Client::new(&service.listen_status());
    for (path, expected) in [("/healthz", 200), ("/readyz", 200), ("/metrics", 200), ("/api/v1/accounts", 404)] {
        let response = status.request("GET", path).send().await.expect("an answer");
        assert_eq!(response.status().as_u16(), expected, "{path}");
    }
}
