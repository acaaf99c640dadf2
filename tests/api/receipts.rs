//! Receipts: what a change answers with, who may read it later, and that a log without an end is read in pages.

use serde_json::{Value, json};

use crate::service::{ADMIN, Client, Service};

const PASSWORD: &str = "Correct-Horse-7";
const ANN: &str = "/accounts/ann@example.org";

async fn service_with_ann() -> (Service, Client) {
    let service = Service::start().await;
    let client = Client::new(&service.listen(ADMIN));
    client.call("POST", "/domains", json!({ "domain": "example.org" })).await;
    let ann = json!({ "user": "ann@example.org", "password": PASSWORD });
    assert_eq!(client.call("POST", "/accounts", ann).await.0, 201);
    (service, client)
}

#[tokio::test]
async fn whatever_gives_or_takes_a_right_answers_with_a_receipt_that_is_there_later_too() {
    let (_service, client) = service_with_ann().await;
    let change = json!({ "user": "ann", "current": PASSWORD, "new": "Battery-Staple-8" });
    let changes = [
        ("POST", "/password".to_owned(), change, "password-set"),
        ("PUT", format!("{ANN}/password"), json!({ "generate": true }), "password-set"),
        ("POST", format!("{ANN}/logout"), Value::Null, "logged-out"),
        ("PATCH", ANN.to_owned(), json!({ "main_password_for_mail": false }), "main-password-for-mail-off"),
        ("PATCH", ANN.to_owned(), json!({ "enabled": false }), "disabled"),
        ("PATCH", ANN.to_owned(), json!({ "name": "Ann", "enabled": true }), "enabled"),
        ("DELETE", ANN.to_owned(), Value::Null, "account-removed"),
    ];
    for (method, path, body, reason) in changes {
        let (status, answer) = client.call(method, &path, body).await;
        assert_eq!(status, 200, "{method} {path}: {answer}");
        let receipt = &answer["receipt"];
        assert_eq!(
            (&receipt["user"], &receipt["reason"], &receipt["credential"]),
            (&json!("ann@example.org"), &json!(reason), &Value::Null)
        );
        assert_eq!((&receipt["generation"], &receipt["complete"]), (&answer["generation"], &json!(true)), "{receipt}");
        let (status, later) = client.call("GET", &format!("/receipts/{}", receipt["id"]), Value::Null).await;
        assert_eq!((status, &later), (200, receipt), "{method} {path}");
    }
}

#[tokio::test]
async fn everyone_is_logged_out_by_one_change() {
    let (_service, client) = service_with_ann().await;
    let bo = json!({ "user": "bo", "password": PASSWORD });
    assert_eq!(client.call("POST", "/accounts", bo).await.0, 201);
    let (status, ended) = client.call("POST", "/logout", Value::Null).await;
    assert_eq!((status, &ended["receipt"]["user"]), (200, &json!("*")), "{ended}");
    for user in ["ann", "bo"] {
        let (_, answer) = client.call("GET", &format!("/accounts/{user}/generation"), Value::Null).await;
        assert_eq!(answer["generation"], ended["generation"], "{user}");
    }
}

#[tokio::test]
async fn the_log_is_read_page_by_page() {
    let (_service, client) = service_with_ann().await;
    for name in ["a", "b", "c"] {
        assert_eq!(client.call("PATCH", ANN, json!({ "name": name })).await.0, 200);
    }
    let mut numbers = Vec::new();
    let mut path = "/audit?user=ann&limit=2".to_owned();
    loop {
        let (status, page) = client.call("GET", &path, Value::Null).await;
        let rows = page["rows"].as_array().expect("rows");
        assert!(status == 200 && rows.len() <= 2, "{page}");
        numbers.extend(rows.iter().filter_map(|row| row["number"].as_u64()));
        let Some(next) = page["next"].as_u64() else { break };
        path = format!("/audit?user=ann&limit=2&before={next}");
    }
    assert_eq!(numbers, [5, 4, 3, 2]);
    for wrong in ["limit=0", "limit=1001", "kind=none", "door=none", "since=yesterday", "before=-1", "user=%00"] {
        let (status, problem) = client.call("GET", &format!("/audit?{wrong}"), Value::Null).await;
        assert_eq!((status, &problem["code"]), (422, &json!("invalid")), "{wrong}");
    }
}
