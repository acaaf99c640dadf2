//! Calls that verify a password: `/auth`, and `/password` for whoever knows the current one.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use gatepost::listen::Peer;
use gatepost::store::{ChangeKind, LogStore as _, RowNumber};
use gatepost::web::Surface;
use serde_json::{Value, json};

use crate::service::{ADMIN, Answer, Client, FAILURE_DELAY, FAILURES, Service};

const PASSWORD: &str = "Correct-Horse-7";
const NEW_PASSWORD: &str = "Battery-Staple-8";

struct Doors {
    service: Service,
    admin: Client,
    public: Client,
}

impl Doors {
    async fn with_ann() -> Self {
        let service = Service::start().await;
        let admin = Client::new(&service.listen(ADMIN));
        let public =
            Client::new(&service.listen(Surface::Public(Peer::Remote(SocketAddr::from(([192, 0, 2, 1], 4711))))));
        admin.call("POST", "/domains", json!({ "domain": "example.org" })).await;
        let fields =
            json!({ "nologin": "", "reason": "why", "userdb_home": "/srv/ann", "allow_nets": "192.0.2.0/24,local" });
        let ann = json!({ "user": "ann", "password": PASSWORD, "fields": fields });
        assert_eq!(admin.call("POST", "/accounts", ann).await.0, 201);
        Self { service, admin, public }
    }

    async fn auth(&self, user: &str, password: &str, remote_ip: &str) -> Answer {
        let body = json!({ "user": user, "password": password, "service": "imap", "remote_ip": remote_ip });
        self.admin.call("POST", "/auth", body).await
    }

    async fn change(&self, current: &str, new: &str) -> Answer {
        let body = json!({ "user": "ann@example.org", "current": current, "new": new });
        self.public.call("POST", "/password", body).await
    }

    async fn set(&self, patch: Value) {
        assert_eq!(self.admin.call("PATCH", "/accounts/ann", patch).await.0, 200);
    }
}

#[tokio::test]
async fn the_right_password_is_told_what_dovecot_would_be_told() {
    let doors = Doors::with_ann().await;
    let (status, accepted) = doors.auth("Ann", PASSWORD, "192.0.2.7").await;
    assert_eq!((status, &accepted["user"]), (200, &json!("ann@example.org")));
    let fields = accepted["fields"].as_array().expect("fields");
    assert_eq!(fields, &[json!(["nologin", ""]), json!(["reason", "why"])]);
    assert!(!accepted.to_string().contains("/srv/ann"), "userdb fields are for mail processes");
}

#[tokio::test]
async fn every_refusal_is_the_same_and_waits() {
    let doors = Doors::with_ann().await;
    let mut answers = Vec::new();
    for (user, password, from) in [
        ("ann", "wrong", "192.0.2.7"),
        ("nobody@example.org", PASSWORD, "192.0.2.7"),
        ("no name", PASSWORD, "192.0.2.7"),
        ("ann", PASSWORD, "198.51.100.7"),
    ] {
        let sent = Instant::now();
        answers.push(doors.auth(user, password, from).await);
        assert!(sent.elapsed() >= FAILURE_DELAY, "{user} from {from}");
    }
    let (status, problem) = answers.first().expect("an answer");
    assert_eq!((*status, &problem["code"]), (401, &json!("wrong-password")));
    assert!(answers.iter().all(|answer| answer == answers.first().expect("an answer")), "{answers:?}");
}

#[tokio::test]
async fn only_the_right_password_learns_that_a_mailbox_is_disabled() {
    let doors = Doors::with_ann().await;
    doors.set(json!({ "enabled": false })).await;
    for (password, code) in [("wrong", "wrong-password"), (PASSWORD, "disabled")] {
        let (status, problem) = doors.auth("ann", password, "192.0.2.7").await;
        assert_eq!((status, &problem["code"]), (401, &json!(code)));
        let (status, problem) = doors.change(password, NEW_PASSWORD).await;
        assert_eq!((status, &problem["code"]), (401, &json!(code)));
    }
}

#[tokio::test]
async fn too_many_wrong_passwords_are_429_with_a_time() {
    let doors = Doors::with_ann().await;
    for _ in 0..FAILURES {
        assert_eq!(doors.auth("ann", "wrong", "192.0.2.7").await.0, 401);
    }
    let body = json!({ "user": "ann", "password": PASSWORD, "service": "imap", "remote_ip": "192.0.2.7" });
    let response = doors.admin.request("POST", "/api/v1/auth").json(&body).send().await.expect("an answer");
    let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    assert_eq!(response.status().as_u16(), 429);
    assert!(retry_after.is_some_and(|seconds| (1..=1201).contains(&seconds)), "{retry_after:?}");
    let elsewhere: IpAddr = "192.0.2.200".parse().expect("an address");
    assert_eq!(doors.auth("ann", PASSWORD, &elsewhere.to_string()).await.0, 200, "another network is not punished");
}

#[tokio::test]
async fn whoever_knows_the_password_changes_it() {
    let doors = Doors::with_ann().await;
    let (status, set) = doors.change(PASSWORD, NEW_PASSWORD).await;
    assert_eq!(status, 200, "{set}");
    assert_eq!(doors.auth("ann", NEW_PASSWORD, "192.0.2.7").await.0, 200);
    assert_eq!(doors.auth("ann", PASSWORD, "192.0.2.7").await.0, 401);
    let rows = doors.service.store.changes_since(RowNumber(0), 100).await.expect("rows");
    let row = rows.iter().find(|row| row.kind == ChangeKind::PasswordSet).expect("a row");
    assert_eq!((row.who.as_str(), row.origin.as_deref()), ("ann@example.org", Some("192.0.2.1")));
    let receipt = &set["receipt"];
    assert_eq!((&receipt["id"], &set["generation"]), (&json!(row.number.0), &json!(row.number.0)));
    assert_eq!((&receipt["user"], &receipt["reason"]), (&json!("ann@example.org"), &json!("password-set")));
    assert_eq!((&receipt["complete"], &receipt["steps"][0]["what"]), (&json!(true), &json!("stored")));
}

#[tokio::test]
async fn a_change_verifies_first_and_then_tells_all_reasons() {
    let doors = Doors::with_ann().await;
    let (status, problem) = doors.change("wrong", "weak").await;
    assert_eq!((status, &problem["code"], &problem["reasons"]), (401, &json!("wrong-password"), &Value::Null));
    let (status, problem) = doors.change(PASSWORD, "weak").await;
    assert_eq!((status, &problem["code"]), (422, &json!("policy")));
    assert_eq!(problem["reasons"].as_array().map(Vec::len), Some(4));
    assert_eq!(doors.auth("ann", PASSWORD, "192.0.2.7").await.0, 200, "nothing was changed");
}

#[tokio::test]
async fn a_main_password_not_for_mail_still_changes_itself() {
    let doors = Doors::with_ann().await;
    doors.set(json!({ "main_password_for_mail": false })).await;
    assert_eq!(doors.auth("ann", PASSWORD, "192.0.2.7").await.0, 401);
    assert_eq!(doors.change(PASSWORD, NEW_PASSWORD).await.0, 200);
}

#[tokio::test]
async fn of_two_changes_at_once_one_wins() {
    let doors = Doors::with_ann().await;
    let (first, second) = tokio::join!(doors.change(PASSWORD, "First-One-1"), doors.change(PASSWORD, "Second-One-2"));
    let winner = match (first.0, second.0) {
        (200, 401) => "First-One-1",
        (401, 200) => "Second-One-2",
        other => panic!("both or neither: {other:?}"),
    };
    assert_eq!(doors.auth("ann", winner, "192.0.2.7").await.0, 200);
}
