//! Who may make which call: every call, by everybody. A call that has no row here fails the test.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use gatepost::listen::Peer;
use gatepost::web::Surface;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::service::{ADMIN, Answer, Client, Service, answer};

/// Somebody whom the admin socket does not trust, though it let the connection in.
const STRANGER: Surface = Surface::Admin(Peer::Process { uid: 65534, gid: 65534, pid: None, trusted: false });
const USER: &str = "bo@example.org";
/// As long as a token is, and nobody's.
const UNKNOWN_TOKEN: &str = "gp_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const ROLES: [&str; 3] = ["admin", "webmail", "login"];

fn public() -> Surface {
    Surface::Public(Peer::Remote(SocketAddr::from(([192, 0, 2, 1], 4711))))
}

/// Whom a call is open to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    /// To everybody: it asks for a password itself.
    Everybody,
    /// To these roles; a token for another domain is turned away.
    Domain(&'static [&'static str]),
    /// To these roles; a token for another domain hears this instead, of its own domains.
    OwnPart(&'static [&'static str], u16),
    /// To admins of everything.
    Unlimited,
}

use Open::{Domain, Everybody, OwnPart, Unlimited};

/// A call that works: `{user}` and the like in its path are there, or it makes them.
struct Row {
    method: &'static str,
    path: &'static str,
    body: Value,
    open: Open,
    status: u16,
}

fn row(method: &'static str, path: &'static str, body: Value, open: Open, status: u16) -> Row {
    Row { method, path, body, open, status }
}

fn rows() -> Vec<Row> {
    const ADMINS: Open = Domain(&["admin"]);
    const WEBMAILS: Open = Domain(&["admin", "webmail"]);
    let session = json!({ "kind": "webmail", "session": "s", "remote_ip": "192.0.2.7" });
    let login = json!({ "user": USER, "password": "wrong", "service": "imap" });
    let change = json!({ "user": USER, "current": "wrong", "new": "x" });
    vec![
        row("GET", "/domains", Value::Null, OwnPart(&["admin"], 200), 200),
        row("POST", "/domains", json!({ "domain": "example.org" }), ADMINS, 409),
        row("PATCH", "/domains/{domain}", json!({ "default_quota": 5 }), ADMINS, 200),
        row("DELETE", "/domains/{domain}", Value::Null, ADMINS, 409),
        row("GET", "/accounts", Value::Null, OwnPart(&["admin"], 200), 200),
        row("POST", "/accounts", json!({ "user": USER, "generate": true }), ADMINS, 409),
        row("GET", "/accounts/{user}", Value::Null, ADMINS, 200),
        row("PATCH", "/accounts/{user}", json!({ "name": "Bo" }), ADMINS, 200),
        row("DELETE", "/accounts/{user}", Value::Null, ADMINS, 200),
        row("PUT", "/accounts/{user}/password", json!({ "generate": true }), ADMINS, 200),
        row("POST", "/accounts/{user}/logout", Value::Null, ADMINS, 200),
        row("GET", "/accounts/{user}/generation", Value::Null, WEBMAILS, 200),
        row("GET", "/accounts/{user}/logins", Value::Null, WEBMAILS, 200),
        row("GET", "/accounts/{user}/clients", Value::Null, WEBMAILS, 200),
        row("POST", "/accounts/{user}/clients", session, WEBMAILS, 200),
        row("DELETE", "/accounts/{user}/clients/{id}", Value::Null, WEBMAILS, 204),
        row("POST", "/password", change, Everybody, 401),
        row("POST", "/auth", login, Domain(&["admin", "login"]), 401),
        row("GET", "/receipts/{id}", Value::Null, OwnPart(&["admin", "webmail"], 404), 200),
        row("GET", "/audit", Value::Null, OwnPart(&["admin"], 200), 200),
        row("GET", "/tokens", Value::Null, Unlimited, 200),
        row("POST", "/tokens", json!({ "name": "spare", "role": "login" }), Unlimited, 409),
        row("DELETE", "/tokens/{name}", Value::Null, Unlimited, 204),
        row("POST", "/logout", Value::Null, Unlimited, 200),
        row("GET", "/status", Value::Null, Unlimited, 200),
    ]
}

/// A gatepost with everything that the rows name, and tokens of all kinds.
struct Gate {
    admin: Client,
    stranger: Client,
    public: Client,
    service: Service,
    attempts: AtomicU32,
}

impl Gate {
    async fn open() -> Self {
        let service = Service::start().await;
        let [admin, stranger, public] =
            [ADMIN, STRANGER, public()].map(|surface| Client::new(&service.listen(surface)));
        let gate = Self { admin, stranger, public, service, attempts: AtomicU32::default() };
        for domain in ["example.org", "other.example"] {
            gate.must("POST", "/domains", json!({ "domain": domain }), &[201]).await;
        }
        gate
    }

    async fn must(&self, method: &str, path: &str, body: Value, statuses: &[u16]) -> Value {
        let (status, answer) = self.admin.call(method, path, body).await;
        assert!(statuses.contains(&status), "{method} {path}: {status} {answer}");
        answer
    }

    /// What the call of that row sends. Each wrong password is somebody else's, or the throttle would answer it.
    fn body(&self, row: &Row) -> Value {
        let mut body = row.body.clone();
        if row.status == 401 {
            let number = self.attempts.fetch_add(1, Ordering::Relaxed);
            body["user"] = json!(format!("nobody-{number}@example.org"));
        }
        body
    }

    /// Makes what the call of that row took away before, and gives the path to call.
    async fn path(&self, row: &Row) -> String {
        self.must("POST", "/accounts", json!({ "user": USER, "generate": true }), &[201, 409]).await;
        self.must("POST", "/tokens", json!({ "name": "spare", "role": "login" }), &[201, 409]).await;
        let report = json!({ "kind": "roundcube", "session": "s", "remote_ip": "192.0.2.8" });
        let client = self.must("POST", &format!("/accounts/{USER}/clients"), report, &[200]).await;
        let path = row.path.replace("{domain}", "example.org").replace("{user}", USER).replace("{name}", "spare");
        match row.path {
            "/receipts/{id}" => path.replace("{id}", &self.own_change().await.to_string()),
            _ => path.replace("{id}", &client["id"].to_string()),
        }
    }

    /// The receipt of a change that its user made alone.
    async fn own_change(&self) -> u64 {
        let path = format!("/accounts/{USER}/password");
        let known = self.must("PUT", &path, json!({ "generate": true }), &[200]).await["password"].clone();
        let change = json!({ "user": USER, "current": known, "new": "Battery-Staple-8" });
        receipt(&self.must("POST", "/password", change, &[200]).await)
    }

    async fn token(&self, name: &str, role: &str, domains: &[&str]) -> String {
        let body = json!({ "name": name, "role": role, "domains": domains });
        let made = self.must("POST", "/tokens", body, &[201]).await;
        made["token"].as_str().expect("a token").to_owned()
    }

    /// Through the public listener, with that in the `Authorization` header.
    async fn call_as(&self, authorization: &str, method: &str, path: &str, body: Value) -> Answer {
        let request = self.public.request(method, &format!("/api/v1{path}")).header("authorization", authorization);
        let request = if body.is_null() { request } else { request.json(&body) };
        answer(request.send().await.expect("an answer")).await
    }
}

fn receipt(answer: &Value) -> u64 {
    answer["receipt"]["id"].as_u64().expect("the number of a receipt")
}

/// What somebody hears who may not: the status, and the code of the problem.
fn code(heard: &Answer) -> (u16, &str) {
    (heard.0, heard.1["code"].as_str().unwrap_or(""))
}

#[tokio::test]
async fn every_call_is_open_to_the_operator_and_closed_to_strangers() {
    let gate = Gate::open().await;
    for row in rows() {
        let path = gate.path(&row).await;
        for (who, client, closed) in
            [("stranger", &gate.stranger, (403, "forbidden")), ("public", &gate.public, (401, "unauthorized"))]
        {
            let heard = client.call(row.method, &path, gate.body(&row)).await;
            let expected = if row.open == Everybody { (401, "wrong-password") } else { closed };
            assert_eq!(code(&heard), expected, "{who}: {} {path}", row.method);
        }
        let (heard, told) = gate.admin.call(row.method, &path, gate.body(&row)).await;
        assert_eq!(heard, row.status, "operator: {} {path}: {told}", row.method);
    }
}

#[tokio::test]
async fn what_is_no_token_of_ours_opens_nothing() {
    let gate = Gate::open().await;
    let revoked = gate.token("revoked", "admin", &[]).await;
    gate.must("DELETE", "/tokens/revoked", Value::Null, &[204]).await;
    let shown = [
        format!("Bearer {UNKNOWN_TOKEN}"),
        format!("Bearer {revoked}"),
        format!("Bearer gp_{}", "A".repeat(8000)),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        "Basic YWRtaW46YWRtaW4=".to_owned(),
        String::new(),
    ];
    for row in rows() {
        let path = gate.path(&row).await;
        for authorization in &shown {
            let heard = gate.call_as(authorization, row.method, &path, gate.body(&row)).await;
            let shown = authorization.get(..20).unwrap_or(authorization);
            assert_eq!(code(&heard), (401, "unknown-token"), "{shown}: {} {path}", row.method);
        }
    }
}

#[tokio::test]
async fn a_token_opens_what_its_role_says() {
    let gate = Gate::open().await;
    for role in ROLES {
        let everywhere = format!("Bearer {}", gate.token(&format!("{role}-everywhere"), role, &[]).await);
        let here = format!("Bearer {}", gate.token(&format!("{role}-here"), role, &["example.org"]).await);
        for row in rows() {
            let path = gate.path(&row).await;
            for (limited, authorization) in [(false, &everywhere), (true, &here)] {
                let may = match row.open {
                    Everybody => true,
                    Domain(roles) | OwnPart(roles, _) => roles.contains(&role),
                    Unlimited => role == "admin" && !limited,
                };
                let path = if may { gate.path(&row).await } else { path.clone() };
                let heard = gate.call_as(authorization, row.method, &path, gate.body(&row)).await;
                let what = format!("{role}, limited: {limited}: {} {path}: {}", row.method, heard.1);
                if may {
                    assert_eq!(heard.0, row.status, "{what}");
                } else {
                    assert_eq!(code(&heard), (403, "forbidden"), "{what}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_token_for_another_domain_opens_nothing_of_this_one() {
    let gate = Gate::open().await;
    for role in ROLES {
        let elsewhere = format!("Bearer {}", gate.token(&format!("{role}-elsewhere"), role, &["other.example"]).await);
        for row in rows() {
            let path = gate.path(&row).await;
            let heard = gate.call_as(&elsewhere, row.method, &path, gate.body(&row)).await;
            let what = format!("{role}: {} {path}: {}", row.method, heard.1);
            match row.open {
                Everybody => assert_eq!(code(&heard), (401, "wrong-password"), "{what}"),
                OwnPart(roles, status) if roles.contains(&role) => {
                    assert_eq!(heard.0, status, "{what}");
                    assert!(!heard.1.to_string().contains("example.org"), "{what}");
                }
                _ => assert_eq!(code(&heard), (403, "forbidden"), "{what}"),
            }
        }
        // Whether or not it is there.
        let heard = gate.call_as(&elsewhere, "GET", "/accounts/nobody@example.org", Value::Null).await;
        assert_eq!(code(&heard), (403, "forbidden"));
    }
}

#[tokio::test]
async fn a_body_is_read_strictly_and_only_from_who_may_send_one() {
    let gate = Gate::open().await;
    for row in rows().iter().filter(|row| !row.body.is_null()) {
        let path = gate.path(row).await;
        let send = async |content_type: Option<&str>, body: Vec<u8>| {
            let request = gate.admin.request(row.method, &format!("/api/v1{path}")).body(body);
            let request = match content_type {
                Some(content_type) => request.header("content-type", content_type),
                None => request,
            };
            answer(request.send().await.expect("an answer")).await
        };
        let json = Some("application/json");
        for (what, content_type, body, expected) in [
            ("broken", json, b"{\"".to_vec(), (400, "malformed")),
            ("no UTF-8", json, b"{\"\xff\": 1}".to_vec(), (400, "malformed")),
            ("another type", json, b"[]".to_vec(), (422, "invalid")),
            ("an unknown name", json, b"{\"no-such-name\": 1}".to_vec(), (422, "invalid")),
            ("huge", json, vec![b' '; 64 * 1024 + 1], (413, "too-large")),
            ("of no type", None, b"{}".to_vec(), (415, "media-type")),
        ] {
            let heard = send(content_type, body).await;
            assert_eq!(code(&heard), expected, "{what}: {} {path}", row.method);
        }
    }
}

#[tokio::test]
async fn a_slow_body_is_not_waited_for_and_a_stranger_s_not_at_all() {
    let gate = Gate::open().await;
    let mut paths = Vec::new();
    for row in rows().into_iter().filter(|row| !row.body.is_null()) {
        paths.push((gate.path(&row).await, row));
    }
    let (admin, public) = (gate.service.listen(ADMIN), gate.service.listen(public()));
    tokio::time::pause();
    for (path, row) in paths {
        let head = format!(
            "{} /api/v1{path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9999\r\n\r\n{{",
            row.method
        );
        assert_eq!(status_of(&admin, &head).await, "408", "{} {path}", row.method);
        let expected = if row.open == Everybody { "408" } else { "401" };
        assert_eq!(status_of(&public, &head).await, expected, "a stranger: {} {path}", row.method);
    }
}

/// Sends a head and then nothing more.
async fn status_of(socket: &Path, head: &str) -> String {
    let mut stream = UnixStream::connect(socket).await.expect("a connection");
    stream.write_all(head.as_bytes()).await.expect("sent");
    let mut heard = [0; 12];
    stream.read_exact(&mut heard).await.expect("an answer");
    String::from_utf8_lossy(&heard).trim_start_matches("HTTP/1.1 ").to_owned()
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
    let whom = &paths["/api/v1/accounts/{user}/logins"]["get"]["description"];
    let expected = "For tokens of the role admin or webmail, over their domains.";
    assert!(whom.as_str().is_some_and(|whom| whom.ends_with(expected)), "{whom}");
    let tried: BTreeSet<(String, String)> =
        rows().into_iter().map(|row| (row.method.to_owned(), format!("/api/v1{}", row.path))).collect();
    assert_eq!(described, tried);
}
