//! What each call does, and how it says no.

use gatepost::store::{ChangeKind, Door, LogStore as _, RowNumber, Store as _};
use serde_json::{Value, json};
use sqlx::{ConnectOptions as _, Executor as _};

use crate::service::{ADMIN, Client, Service, answer};

const PASSWORD: &str = "Correct-Horse-7";

async fn service_with_ann() -> (Service, Client) {
    let service = Service::start().await;
    let client = Client::new(&service.listen(ADMIN));
    let (status, _) = client.call("POST", "/domains", json!({ "domain": "example.org" })).await;
    assert_eq!(status, 201);
    let ann = json!({ "user": "Ann@Example.org", "password": PASSWORD, "name": "Ann", "fields": { "nodelay": "" } });
    let (status, made) = client.call("POST", "/accounts", ann).await;
    assert_eq!((status, &made["user"], &made["password"]), (201, &json!("ann@example.org"), &Value::Null));
    (service, client)
}

async fn stored_hash(service: &Service) -> String {
    let record = service.store.login_record(&"ann@example.org".parse().expect("a name")).await;
    let record = record.expect("the store answers").expect("an account");
    record.credentials.first().expect("a credential").hash.as_str().to_owned()
}

#[tokio::test]
async fn an_account_is_shown_as_it_was_made() {
    let (_service, client) = service_with_ann().await;
    let (status, account) = client.call("GET", "/accounts/ANN@example.org", Value::Null).await;
    let generation = account["generation"].clone();
    assert!(generation.as_u64() > Some(0));
    let expected = json!({
        "user": "ann@example.org", "name": "Ann", "quota": null, "enabled": true, "type": "person",
        "main_password_for_mail": true, "fields": { "nodelay": "" }, "generation": generation,
    });
    assert_eq!((status, account), (200, expected));
}

#[tokio::test]
async fn a_setting_changes_itself_and_null_takes_back() {
    let (_service, client) = service_with_ann().await;
    let patches = [
        (json!({ "quota": 0 }), "quota", json!(0)),
        (json!({ "quota": null }), "quota", Value::Null),
        (json!({ "name": null }), "name", Value::Null),
        (json!({ "type": "shared" }), "type", json!("shared")),
        (json!({ "fields": { "userdb_home": "/srv/ann" } }), "fields", json!({ "userdb_home": "/srv/ann" })),
        (json!({ "main_password_for_mail": false }), "main_password_for_mail", json!(false)),
        (json!({ "enabled": false }), "enabled", json!(false)),
    ];
    for (patch, key, value) in patches {
        let (_, before) = client.call("GET", "/accounts/ann@example.org", Value::Null).await;
        let (status, after) = client.call("PATCH", "/accounts/ann@example.org", patch).await;
        assert_eq!((status, &after[key]), (200, &value));
        for (other, unchanged) in before.as_object().expect("an object") {
            if other != key && other != "generation" {
                assert_eq!(&after[other], unchanged, "{other} when {key} was set");
            }
        }
        let receipt = &after["receipt"];
        let raised = after["generation"] != before["generation"];
        assert_eq!(receipt["generation"], if raised { after["generation"].clone() } else { Value::Null }, "{receipt}");
    }
}

#[tokio::test]
async fn only_what_touches_rights_raises_the_generation() {
    let (_service, client) = service_with_ann().await;
    let generation = async || {
        let (_, answer) = client.call("GET", "/accounts/ann@example.org/generation", Value::Null).await;
        answer["generation"].as_u64().expect("a number")
    };
    let account = "/accounts/ann@example.org";
    let rights = [
        ("PATCH", account.to_owned(), json!({ "name": "Anna", "quota": 7 }), false),
        ("PATCH", account.to_owned(), json!({ "enabled": true }), false),
        ("PATCH", account.to_owned(), json!({ "enabled": false }), true),
        ("PATCH", account.to_owned(), json!({ "enabled": true }), true),
        ("PUT", format!("{account}/password"), json!({ "new": PASSWORD }), true),
        ("POST", format!("{account}/logout"), Value::Null, true),
    ];
    for (method, path, body, raises) in rights {
        let before = generation().await;
        let (status, answer) = client.call(method, &path, body.clone()).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(generation().await > before, raises, "{method} {path} {body}");
    }
}

#[tokio::test]
async fn a_removed_account_is_gone_and_made_again_starts_higher() {
    let (_service, client) = service_with_ann().await;
    let (_, before) = client.call("GET", "/accounts/ann@example.org/generation", Value::Null).await;
    let (status, removed) = client.call("DELETE", "/accounts/ann@example.org", Value::Null).await;
    assert_eq!((status, &removed["receipt"]["reason"]), (200, &json!("account-removed")));
    let (status, problem) = client.call("GET", "/accounts/ann@example.org", Value::Null).await;
    assert_eq!((status, &problem["code"]), (404, &json!("no-account")));
    let again = json!({ "user": "ann@example.org", "password": PASSWORD });
    let (_, made) = client.call("POST", "/accounts", again).await;
    assert!(removed["generation"].as_u64() > before["generation"].as_u64());
    assert!(made["generation"].as_u64() > removed["generation"].as_u64());
}

/// What was committed must not be told as "not now": a password that was generated for it would be lost.
#[tokio::test]
async fn an_account_that_was_made_is_told_though_it_cannot_be_read_again() {
    let (service, client) = service_with_ann().await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(service.database());
    let mut database = options.connect().await.expect("a second connection");
    let unreadable = "CREATE TRIGGER unreadable AFTER INSERT ON credential BEGIN \
                      UPDATE account SET fields = 'no JSON' WHERE username = new.username; END";
    database.execute(unreadable).await.expect("a trigger");
    let body = json!({ "user": "bo@example.org", "generate": true, "quota": 5, "fields": { "x": "y" } });
    let (status, made) = client.call("POST", "/accounts", body).await;
    assert_eq!(status, 201, "{made}");
    assert!(made["password"].is_string() && made["generation"] == made["receipt"]["id"], "{made}");
    assert_eq!((&made["quota"], &made["fields"]), (&json!(5), &json!({ "x": "y" })));
}

#[tokio::test]
async fn a_path_that_is_no_text_is_a_problem_too() {
    let (_service, client) = service_with_ann().await;
    for (method, path) in [
        ("GET", "/accounts/%ff"),
        ("PATCH", "/domains/%ff"),
        ("PUT", "/accounts/%ff/password"),
        ("GET", "/accounts/%ff/clients"),
        ("DELETE", "/accounts/ann@example.org/clients/%ff"),
    ] {
        let (status, problem) = client.call(method, path, json!({})).await;
        assert_eq!((status, &problem["code"]), (400, &json!("malformed")), "{method} {path}");
    }
}

#[tokio::test]
async fn a_password_is_kept_as_a_hash_of_our_own() {
    let (service, client) = service_with_ann().await;
    let first = stored_hash(&service).await;
    assert!(first.starts_with("{ARGON2ID}$argon2id$"), "not the scheme of new hashes");
    let (status, set) = client.call("PUT", "/accounts/ann@example.org/password", json!({ "generate": true })).await;
    let generated = set["password"].as_str().expect("the generated password");
    let second = stored_hash(&service).await;
    assert_eq!(status, 200);
    assert!(second != first && !second.contains(generated));
    let (status, _) = client.call("PUT", "/accounts/ann@example.org/password", json!({ "new": generated })).await;
    assert_eq!(status, 200, "what is generated passes the policy");
}

#[tokio::test]
async fn a_hash_is_kept_as_it_came_if_it_can_be_verified() {
    let (service, client) = service_with_ann().await;
    let path = "/accounts/ann@example.org/password";
    let hash = "{SHA512-CRYPT}$6$4dAvF7Y5gC5yZ1SB$\
                PLZ4OnyLT.tUM4Pl9AEGyfuMKrHYAXEnAFAL33Zg8Ddwoy3prGMJXRvyWTcwmgRl8HhMsZ2eKYGXo8ShsQkpo0";
    let (status, answer) = client.call("PUT", path, json!({ "hash": hash })).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(stored_hash(&service).await, hash);
    let too_dear = "{ARGON2ID}$argon2id$v=19$m=4194304,t=3,p=1$c29tZXNhbHRzb21lc2FsdA$\
                    AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for refused in ["{NO-SUCH-SCHEME}xyz", "{ARGON2ID}$argon2id$v=19$", too_dear] {
        let (status, problem) = client.call("PUT", path, json!({ "hash": refused })).await;
        assert_eq!((status, &problem["code"]), (422, &json!("hash")), "{refused}");
    }
    assert_eq!(stored_hash(&service).await, hash);
}

#[tokio::test]
async fn all_reasons_against_a_password_come_at_once() {
    let (_service, client) = service_with_ann().await;
    let calls = [
        ("PUT", "/accounts/ann@example.org/password", json!({ "new": "a" })),
        ("POST", "/accounts", json!({ "user": "bo@example.org", "password": "a" })),
    ];
    for (method, path, body) in calls {
        let (status, problem) = client.call(method, path, body).await;
        assert_eq!((status, &problem["code"]), (422, &json!("policy")));
        let reasons = problem["reasons"].as_array().expect("reasons");
        assert_eq!(reasons.len(), 4, "length, upper case, digit, special: {reasons:?}");
        for reason in reasons {
            assert!(reason["code"].is_string() && reason["text"].is_string());
        }
    }
}

#[tokio::test]
async fn a_domain_without_rules_of_classes_asks_for_what_is_not_guessed() {
    let (_service, client) = service_with_ann().await;
    let phrases = json!({ "domain": "phrases.example", "profile": "phrase" });
    assert_eq!(client.call("POST", "/domains", phrases).await.0, 201);
    for (password, codes) in [
        ("12345678", json!(["too-short", "guessable"])),
        ("bo@phrases.example", json!(["guessable"])),
        ("das pferd frisst keinen gurkensalat", json!([])),
    ] {
        let (status, answer) =
            client.call("POST", "/accounts", json!({ "user": "bo@phrases.example", "password": password })).await;
        let reasons = answer["reasons"].as_array().cloned().unwrap_or_default();
        let told: Value = reasons.iter().map(|reason| reason["code"].clone()).collect();
        assert_eq!((status == 201, told), (codes == json!([]), codes), "{password}: {answer}");
    }
    let path = "/accounts/bo@phrases.example/password";
    let (status, generated) = client.call("PUT", path, json!({ "generate": true })).await;
    assert_eq!(status, 200, "{generated}");
}

#[tokio::test]
async fn no_says_which() {
    let (_service, client) = service_with_ann().await;
    let ann = |more: Value| {
        let mut body = json!({ "user": "cy@example.org", "password": PASSWORD });
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        body
    };
    let account = "/accounts/ann@example.org";
    let cases = [
        ("POST", "/domains", json!({ "domain": "EXAMPLE.org" }), 409, "domain-exists"),
        ("POST", "/domains", json!({ "domain": "no domain" }), 422, "invalid"),
        ("POST", "/domains", json!({ "domain": "b.example", "profile": "none" }), 422, "no-profile"),
        ("DELETE", "/domains/example.org", Value::Null, 409, "domain-in-use"),
        ("DELETE", "/domains/c.example", Value::Null, 404, "no-domain"),
        ("PATCH", "/domains/c.example", json!({ "default_quota": 1 }), 404, "no-domain"),
        ("GET", "/accounts?domain=c.example", Value::Null, 404, "no-domain"),
        ("GET", "/accounts?domian=example.org", Value::Null, 422, "invalid"),
        ("GET", "/accounts?after=%00", Value::Null, 422, "invalid"),
        ("POST", "/accounts", ann(json!({ "user": "ann" })), 409, "account-exists"),
        ("POST", "/accounts", ann(json!({ "user": "ann@c.example" })), 404, "no-domain"),
        ("POST", "/accounts", ann(json!({ "user": "ännchen@example.org" })), 422, "invalid"),
        ("POST", "/accounts", ann(json!({ "hash": "{PLAIN}x" })), 422, "invalid"),
        ("POST", "/accounts", json!({ "user": "cy@example.org" }), 422, "invalid"),
        ("POST", "/accounts", ann(json!({ "quota": u64::MAX })), 422, "invalid"),
        ("POST", "/accounts", ann(json!({ "quota": -1 })), 422, "invalid"),
        ("POST", "/accounts", ann(json!({ "fields": { "user": "eve" } })), 422, "invalid"),
        ("POST", "/accounts", ann(json!({ "name": "a\nb" })), 422, "invalid"),
        ("POST", "/accounts", ann(json!({ "admin": true })), 422, "invalid"),
        ("PATCH", account, json!({ "password": PASSWORD }), 422, "invalid"),
        ("PATCH", "/accounts/eve@example.org", json!({ "name": "Eve" }), 404, "no-account"),
        ("PUT", "/accounts/eve@example.org/password", json!({ "generate": true }), 404, "no-account"),
        ("PUT", "/accounts/a%00b/password", json!({ "generate": true }), 404, "no-account"),
        ("PUT", "/accounts/ann/password", json!({ "generate": false }), 422, "invalid"),
        ("POST", "/accounts/eve@example.org/logout", Value::Null, 404, "no-account"),
        ("GET", "/accounts/eve@example.org/logins", Value::Null, 404, "no-account"),
        ("GET", "/accounts/eve@example.org/clients", Value::Null, 404, "no-account"),
        ("DELETE", "/accounts/eve@example.org/clients/1", Value::Null, 404, "no-account"),
        ("DELETE", "/accounts/ann@example.org/clients/1", Value::Null, 404, "no-client"),
        ("DELETE", "/accounts/ann@example.org/clients/x", Value::Null, 404, "no-client"),
        ("GET", "/no-such-call", Value::Null, 404, "no-call"),
        ("PUT", "/domains", json!({}), 405, "no-method"),
        ("GET", "/password", Value::Null, 405, "no-method"),
    ];
    for (method, path, body, status, code) in cases {
        let (heard, problem) = client.call(method, path, body.clone()).await;
        assert_eq!((heard, &problem["code"]), (status, &json!(code)), "{method} {path} {body}: {problem}");
        assert_eq!(problem["status"], json!(status));
        assert!(!problem.to_string().contains(PASSWORD));
    }
}

#[tokio::test]
async fn accounts_are_listed_page_by_page() {
    let (_service, client) = service_with_ann().await;
    for user in ["bo", "cy", "dee"] {
        client.call("POST", "/accounts", json!({ "user": user, "hash": "{PLAIN}x", "name": "Someone Else" })).await;
    }
    let users = |list: &Value| -> Vec<String> {
        let accounts = list["accounts"].as_array().expect("accounts");
        accounts.iter().filter_map(|account| account["user"].as_str().map(str::to_owned)).collect()
    };
    let (_, first) = client.call("GET", "/accounts?domain=example.org&limit=2", Value::Null).await;
    assert_eq!(
        (users(&first), &first["next"]),
        (vec!["ann@example.org".to_owned(), "bo@example.org".to_owned()], &json!("bo@example.org"))
    );
    let (_, last) = client.call("GET", "/accounts?domain=example.org&limit=2&after=bo@example.org", Value::Null).await;
    assert_eq!(
        (users(&last), &last["next"]),
        (vec!["cy@example.org".to_owned(), "dee@example.org".to_owned()], &Value::Null)
    );
    let (_, found) = client.call("GET", "/accounts?q=ANN", Value::Null).await;
    assert_eq!(users(&found), ["ann@example.org"]);
}

#[tokio::test]
async fn a_form_does_what_json_does() {
    let (_service, client) = service_with_ann().await;
    let request =
        client.request("POST", "/api/v1/accounts").header("content-type", "application/x-www-form-urlencoded");
    let (status, made) =
        answer(request.body("user=bo&generate=true&quota=1024&enabled=false").send().await.expect("sent")).await;
    assert_eq!((status, &made["quota"], &made["enabled"]), (201, &json!(1024), &json!(false)));
    let request = client
        .request("PUT", "/api/v1/accounts/bo/password")
        .header("content-type", "application/x-www-form-urlencoded");
    let (status, _) = answer(request.body("new=Correct%2BHorse-7").send().await.expect("sent")).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn json_sent_as_a_form_does_not_come_back() {
    let (_service, client) = service_with_ann().await;
    let request = client
        .request("PUT", "/api/v1/accounts/ann/password")
        .header("content-type", "application/x-www-form-urlencoded");
    let (status, problem) =
        answer(request.body(json!({ "new": PASSWORD }).to_string()).send().await.expect("sent")).await;
    assert_eq!(status, 422);
    assert!(!problem.to_string().contains(PASSWORD), "{problem}");
}

#[tokio::test]
async fn the_log_says_who_did_it_through_which_door() {
    let (service, client) = service_with_ann().await;
    for door in ["command", "import", "login", "api"] {
        let request = client.request("POST", "/api/v1/accounts/ann/logout").header("gatepost-door", door);
        assert_eq!(request.send().await.expect("an answer").status().as_u16(), 200);
    }
    let rows = service.store.changes_since(RowNumber(0), 100).await.expect("rows");
    let logouts = rows.iter().filter(|row| row.kind == ChangeKind::LoggedOut);
    let doors: Vec<Door> = logouts.clone().map(|row| row.door).collect();
    assert_eq!(doors, [Door::Command, Door::Import, Door::Api, Door::Api]);
    for row in logouts {
        assert_eq!((row.who.as_str(), row.origin.as_deref()), ("uid:0", Some("local:0")));
    }
}
