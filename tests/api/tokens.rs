//! What a token is believed, and what its bearer sees.

use std::net::SocketAddr;

use gatepost::listen::Peer;
use gatepost::store::{DeliveryStore as _, LogStore as _, RowNumber};
use gatepost::web::Surface;
use serde_json::{Value, json};

use crate::service::{ADMIN, Answer, Client, FAILURES, Service, answer};

const PASSWORD: &str = "Correct-Horse-7";
const NEW_PASSWORD: &str = "Battery-Staple-8";
/// Where the webmail is.
const WEBMAIL: &str = "192.0.2.1";

struct Desk {
    service: Service,
    admin: Client,
    public: Client,
}

impl Desk {
    async fn with_ann() -> Self {
        let service = Service::start().await;
        let admin = Client::new(&service.listen(ADMIN));
        let peer = Peer::Remote(SocketAddr::from((WEBMAIL.parse::<std::net::Ipv4Addr>().expect("an address"), 4711)));
        let public = Client::new(&service.listen(Surface::Public(peer)));
        let desk = Self { service, admin, public };
        for domain in ["example.org", "other.example"] {
            desk.must("POST", "/domains", json!({ "domain": domain })).await;
        }
        for user in ["ann@example.org", "bo@other.example"] {
            desk.must("POST", "/accounts", json!({ "user": user, "password": PASSWORD })).await;
        }
        desk
    }

    /// As the operator.
    async fn must(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.admin.call(method, path, body).await;
        assert!(status < 300, "{method} {path}: {status} {answer}");
        answer
    }

    async fn token(&self, role: &str, domains: &[&str]) -> String {
        let name = format!("{role}{}", domains.concat());
        let made = self.must("POST", "/tokens", json!({ "name": name, "role": role, "domains": domains })).await;
        made["token"].as_str().expect("a token").to_owned()
    }

    /// Through the public listener.
    async fn call(&self, token: Option<&str>, method: &str, path: &str, body: Value) -> Answer {
        let mut request = self.public.request(method, &format!("/api/v1{path}"));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let request = if body.is_null() { request } else { request.json(&body) };
        answer(request.send().await.expect("an answer")).await
    }

    async fn change(&self, token: Option<&str>, current: &str, new: &str, remote_ip: Option<&str>) -> Answer {
        let mut body = json!({ "user": "ann@example.org", "current": current, "new": new });
        if let Some(address) = remote_ip {
            body["remote_ip"] = json!(address);
        }
        self.call(token, "POST", "/password", body).await
    }
}

#[tokio::test]
async fn only_a_webmail_and_an_admin_are_believed_where_a_user_is() {
    let desk = Desk::with_ann().await;
    let webmail = desk.token("webmail", &["example.org"]).await;
    let admin = desk.token("admin", &[]).await;
    let login = desk.token("login", &[]).await;
    let elsewhere = desk.token("webmail", &["other.example"]).await;
    for (who, token) in [("nobody", None), ("login", Some(&login)), ("elsewhere", Some(&elsewhere))] {
        let token = token.map(String::as_str);
        let (status, problem) = desk.change(token, PASSWORD, NEW_PASSWORD, Some("198.51.100.7")).await;
        assert_eq!((status, &problem["code"]), (403, &json!("forbidden")), "{who}");
    }
    for (token, current, new, origin) in
        [(&webmail, PASSWORD, NEW_PASSWORD, "198.51.100.7"), (&admin, NEW_PASSWORD, PASSWORD, "2001:db8::7")]
    {
        let (status, set) = desk.change(Some(token), current, new, Some(origin)).await;
        assert_eq!(status, 200, "{set}");
        let number = set["receipt"]["id"].as_u64().expect("a number");
        let rows = desk.service.store.changes_since(RowNumber(number - 1), 1).await.expect("rows");
        let row = rows.first().expect("a row");
        assert_eq!((row.who.as_str(), row.origin.as_deref()), ("ann@example.org", Some(origin)));
    }
    // Who says nothing of its user speaks for itself.
    let (status, set) = desk.change(Some(&webmail), PASSWORD, NEW_PASSWORD, None).await;
    assert_eq!(status, 200, "{set}");
    let audit = desk.must("GET", "/audit?kind=password-set&limit=1", Value::Null).await;
    assert_eq!(audit["rows"][0]["origin"], json!(WEBMAIL));
}

#[tokio::test]
async fn one_user_of_a_webmail_does_not_use_up_the_guesses_of_another() {
    let desk = Desk::with_ann().await;
    let webmail = desk.token("webmail", &[]).await;
    let guess = |user: &str, password: &str, address: &str| {
        let body = json!({ "user": user, "current": password, "new": NEW_PASSWORD, "remote_ip": address });
        desk.call(Some(&webmail), "POST", "/password", body)
    };
    for _ in 0..FAILURES {
        assert_eq!(guess("ann@example.org", "wrong", "198.51.100.7").await.0, 401);
    }
    assert_eq!(guess("ann@example.org", PASSWORD, "198.51.100.7").await.0, 429);
    assert_eq!(guess("bo@other.example", PASSWORD, "198.51.100.8").await.0, 200);
}

#[tokio::test]
async fn a_webmail_reads_the_receipts_of_what_its_users_changed_and_no_others() {
    let desk = Desk::with_ann().await;
    let here = desk.token("webmail", &["example.org"]).await;
    let elsewhere = desk.token("webmail", &["other.example"]).await;
    let (_, own) = desk.change(None, PASSWORD, NEW_PASSWORD, None).await;
    let reset = desk.must("PUT", "/accounts/ann/password", json!({ "generate": true })).await;
    let everyone = desk.must("POST", "/logout", Value::Null).await;
    for (token, change, status) in
        [(&here, &own, 200), (&here, &reset, 404), (&here, &everyone, 404), (&elsewhere, &own, 404)]
    {
        let path = format!("/receipts/{}", change["receipt"]["id"]);
        let (heard, told) = desk.call(Some(token), "GET", &path, Value::Null).await;
        assert_eq!(heard, status, "{}: {told}", change["receipt"]);
    }
    let admin = desk.token("admin", &["example.org"]).await;
    for (change, status) in [(&own, 200), (&reset, 200), (&everyone, 404)] {
        let path = format!("/receipts/{}", change["receipt"]["id"]);
        assert_eq!(desk.call(Some(&admin), "GET", &path, Value::Null).await.0, status, "{}", change["receipt"]);
    }
}

/// Why something is pending names places of ours.
#[tokio::test]
async fn why_a_step_is_pending_is_told_to_admins_alone() {
    let desk = Desk::with_ann().await;
    let webmail = desk.token("webmail", &[]).await;
    let (_, changed) = desk.change(None, PASSWORD, NEW_PASSWORD, None).await;
    let number = RowNumber(changed["receipt"]["id"].as_u64().expect("a number"));
    let mut delivery = desk.service.store.delivery(number).await.expect("a store").expect("a delivery");
    delivery.steps.iter_mut().for_each(|step| step.note = Some("10.0.0.1 refuses".to_owned()));
    desk.service.store.settle(&[delivery]).await.expect("a store");
    let path = format!("/receipts/{}", number.0);
    let (_, receipt) = desk.call(Some(&webmail), "GET", &path, Value::Null).await;
    assert_eq!(receipt["steps"][0]["note"], Value::Null, "{receipt}");
    let receipt = desk.must("GET", &path, Value::Null).await;
    assert_eq!(receipt["steps"][0]["note"], json!("10.0.0.1 refuses"));
}

#[tokio::test]
async fn a_list_shows_a_token_its_own_domains() {
    let desk = Desk::with_ann().await;
    let one = desk.token("admin", &["example.org"]).await;
    let both = desk.token("admin", &["example.org", "other.example"]).await;
    for (path, list) in [("/accounts", "accounts"), ("/audit", "rows")] {
        let (status, answer) = desk.call(Some(&one), "GET", path, Value::Null).await;
        assert_eq!(status, 200, "{answer}");
        let entries = answer[list].as_array().expect("a list");
        assert!(!entries.is_empty() && !answer.to_string().contains("other.example"), "{answer}");
        let (status, problem) = desk.call(Some(&both), "GET", path, Value::Null).await;
        assert_eq!((status, &problem["code"]), (422, &json!("invalid")), "{path} of which domain?");
        for (domain, token, status) in [
            ("other.example", &both, 200),
            ("example.org", &both, 200),
            ("other.example", &one, 403),
            ("third.example", &both, 403),
        ] {
            let (heard, answer) = desk.call(Some(token), "GET", &format!("{path}?domain={domain}"), Value::Null).await;
            assert_eq!(heard, status, "{path} of {domain}: {answer}");
        }
    }
    let (_, domains) = desk.call(Some(&one), "GET", "/domains", Value::Null).await;
    assert_eq!(domains["domains"].as_array().map(Vec::len), Some(1), "{domains}");
}

#[tokio::test]
async fn what_a_token_does_stands_in_the_log_under_its_name() {
    let desk = Desk::with_ann().await;
    let admin = desk.token("admin", &["example.org"]).await;
    // The door of our own command is not for anybody to claim.
    let request = desk.public.request("POST", "/api/v1/accounts/ann/logout").bearer_auth(&admin);
    let request = request.header("gatepost-door", "command");
    assert_eq!(request.send().await.expect("an answer").status().as_u16(), 200);
    let audit = desk.must("GET", "/audit?who=token:adminexample.org", Value::Null).await;
    let row = &audit["rows"][0];
    assert_eq!(
        (&row["kind"], &row["door"], &row["origin"]),
        (&json!("logged-out"), &json!("api"), &json!(WEBMAIL)),
        "{audit}"
    );
}

/// A peer of the admin socket that shows a token has chosen to be less.
#[tokio::test]
async fn a_token_counts_on_the_admin_socket_too() {
    let desk = Desk::with_ann().await;
    let login = desk.token("login", &[]).await;
    let stranger = Surface::Admin(Peer::Process { uid: 65534, gid: 65534, pid: None, trusted: false });
    for surface in [ADMIN, stranger] {
        let client = Client::new(&desk.service.listen(surface));
        for (path, expected) in [("/api/v1/domains", 403), ("/api/v1/openapi.json", 200)] {
            let response = client.request("GET", path).bearer_auth(&login).send().await.expect("an answer");
            assert_eq!(response.status().as_u16(), expected, "{path} from {surface:?}");
        }
    }
}

#[tokio::test]
async fn without_a_store_a_token_hears_not_now_and_not_why() {
    let desk = Desk::with_ann().await;
    let admin = desk.token("admin", &["example.org"]).await;
    std::fs::rename(desk.service.database(), desk.service.database().with_extension("lost")).expect("moved");
    for (token, method, path, body) in [
        (Some(&admin), "GET", "/accounts/ann", Value::Null),
        (None, "POST", "/password", json!({ "user": "ann", "current": PASSWORD, "new": NEW_PASSWORD })),
    ] {
        let (status, problem) = desk.call(token.map(String::as_str), method, path, body).await;
        assert_eq!((status, &problem["code"]), (503, &json!("not-now")), "{path}");
        assert_eq!(problem["detail"], json!("this cannot be done now; try again"), "{path}");
    }
    let (status, problem) = desk.admin.call("GET", "/accounts/ann", Value::Null).await;
    assert_eq!((status, problem["detail"].as_str().is_some_and(|detail| detail.starts_with("cannot "))), (503, true));
}
