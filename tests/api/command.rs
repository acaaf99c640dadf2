//! The command: what it prints, what it exits with, and where it finds the daemon.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Output, Stdio};

use gatepost::account::CredentialName;
use gatepost::store::Sighting;
use gatepost::store::client::ClientStore as _;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixListener;
use tokio::process::Command;

use crate::service::{ADMIN, Service};

const PASSWORD: &str = "Correct-Horse-7\n";

/// Runs `gatepost` in `directory`, with `input` on its standard input.
async fn gatepost(directory: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_gatepost"))
        .current_dir(directory)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the command starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    // A command that refuses before it reads closes the pipe.
    drop(stdin.write_all(input.as_bytes()).await);
    drop(stdin);
    child.wait_with_output().await.expect("the command ends")
}

/// A directory in which `gatepost` finds the service where the built-in configuration has its socket.
fn beside(service: &Service) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let run = directory.path().join("gatepost-data/run");
    std::fs::create_dir_all(&run).expect("a directory");
    symlink(service.listen(ADMIN), run.join("admin")).expect("a link");
    directory
}

fn outcome(output: &Output) -> (Option<i32>, &str) {
    (output.status.code(), std::str::from_utf8(&output.stdout).expect("UTF-8"))
}

fn complaint(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("UTF-8")
}

#[tokio::test]
async fn an_account_lives_from_add_to_remove() {
    let service = Service::start().await;
    let directory = beside(&service);
    let steps: [(&[&str], &str, &str); 13] = [
        (&["domain", "add", "example.org", "--default-quota", "1G"], "", "example.org added\n"),
        (&["domain", "list"], "", "DOMAIN       PROFILE  DEFAULT QUOTA\nexample.org  default  1G\n"),
        (&["account", "add", "Ann@example.org", "--stdin", "--name", "Ann"], PASSWORD, "ann@example.org added\n"),
        (&["account", "list"], "", "USER             STATE    QUOTA    NAME\nann@example.org  enabled  default  Ann\n"),
        (&["passwd", "ann@example.org", "--stdin"], PASSWORD, "password of ann@example.org set, generation 3\n"),
        (&["account", "disable", "ann@example.org"], "", "ann@example.org disabled\n"),
        (&["account", "enable", "ann@example.org"], "", "ann@example.org enabled\n"),
        (&["logout", "ann@example.org"], "", "ann@example.org logged out everywhere, generation 6\n"),
        (&["logins", "ann@example.org"], "", "AT  OUTCOME  SERVICE  FROM  PASSWORD\n"),
        (&["account", "remove", "ann@example.org"], "", "ann@example.org removed\n"),
        (&["account", "list", "--json"], "", "[]\n"),
        (&["domain", "remove", "example.org"], "", "example.org removed\n"),
        (&["status"], "", concat!("gatepost ", env!("CARGO_PKG_VERSION"), " is ready\n")),
    ];
    for (arguments, input, expected) in steps {
        let output = gatepost(directory.path(), arguments, input).await;
        assert_eq!(outcome(&output), (Some(0), expected), "{arguments:?}: {}", complaint(&output));
    }
}

#[tokio::test]
async fn set_changes_what_it_names_and_keeps_the_other_fields() {
    let service = Service::start().await;
    let directory = beside(&service);
    gatepost(directory.path(), &["domain", "add", "example.org"], "").await;
    let add = ["account", "add", "ann@example.org", "--generate", "--field", "a=1", "--field", "b=2", "--quota", "7"];
    let output = gatepost(directory.path(), &add, "").await;
    let (code, printed) = outcome(&output);
    assert_eq!((code, printed.lines().count()), (Some(0), 2), "the password, then what was done");
    let set = ["account", "set", "ann@example.org", "--field", "c=x=y", "--remove-field", "a", "--quota", "default"];
    assert_eq!(gatepost(directory.path(), &set, "").await.status.code(), Some(0));
    let output = gatepost(directory.path(), &["account", "show", "ann@example.org", "--json"], "").await;
    let account: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&account["fields"], &account["quota"]), (&json!({ "b": "2", "c": "x=y" }), &Value::Null));
}

#[tokio::test]
async fn clients_are_listed_with_what_they_call_themselves() {
    let service = Service::start().await;
    let directory = beside(&service);
    gatepost(directory.path(), &["domain", "add", "example.org"], "").await;
    gatepost(directory.path(), &["account", "add", "ann@example.org", "--generate"], "").await;
    let sighting = Sighting {
        user: "ann@example.org".parse().expect("a name"),
        at: "2026-01-02T03:04:05Z".parse().expect("a time"),
        kind: "imap".to_owned(),
        credential: Some(CredentialName::Main),
        origin: "192.0.2.7".to_owned(),
        user_agent: Some("\"name\" \"Thunderbird\"".to_owned()),
        session: None,
    };
    service.store.record_client(&sighting).await.expect("a store");
    let expected = "ID  LAST SEEN             LOGINS  KIND  FROM       PASSWORD  CLIENT\n\
                    1   2026-01-02T03:04:05Z  1       imap  192.0.2.7  main      \"name\" \"Thunderbird\"\n";
    let output = gatepost(directory.path(), &["clients", "ann@example.org"], "").await;
    assert_eq!(outcome(&output), (Some(0), expected), "{}", complaint(&output));
    let output = gatepost(directory.path(), &["clients", "ann@example.org", "--json"], "").await;
    let clients: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&clients[0]["origin"], &clients[0]["logins"]), (&json!("192.0.2.7"), &json!(1)));
    assert_eq!(gatepost(directory.path(), &["clients", "eve@example.org"], "").await.status.code(), Some(1));
}

#[tokio::test]
async fn a_token_is_told_once_listed_and_revoked() {
    let service = Service::start().await;
    let directory = beside(&service);
    gatepost(directory.path(), &["domain", "add", "example.org"], "").await;
    let add = ["token", "add", "webmail", "--role", "webmail", "--domain", "example.org"];
    let output = gatepost(directory.path(), &add, "").await;
    let (code, printed) = outcome(&output);
    let (token, said) = printed.split_once('\n').expect("two lines");
    assert_eq!(code, Some(0), "{}", complaint(&output));
    assert_eq!(said, "token webmail added (webmail, for example.org); it is not shown again\n");
    assert_eq!((token.len(), token.get(..3)), (46, Some("gp_")));
    gatepost(directory.path(), &["token", "add", "panel", "--role", "admin"], "").await;
    let output = gatepost(directory.path(), &["token", "list"], "").await;
    let listed = outcome(&output).1;
    let columns: Vec<Vec<&str>> = listed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(columns.iter().map(|line| line[0]).collect::<Vec<_>>(), ["NAME", "panel", "webmail"], "{listed}");
    let domains: Vec<_> = columns.iter().map(|line| line[3..].join(" ")).collect();
    assert_eq!(domains, ["DOMAINS", "all domains", "example.org"], "{listed}");
    assert!(!listed.contains("gp_"));
    let steps: [(&[&str], i32, &str); 5] = [
        (&add, 1, "exists already"),
        (&["token", "add", "w2", "--role", "webmail", "--domain", "no.example"], 1, "no such domain"),
        (&["token", "add", "w2", "--role", "operator"], 2, "admin, webmail or login"),
        (&["token", "revoke", "webmail"], 0, ""),
        (&["token", "revoke", "webmail"], 1, "no such token"),
    ];
    for (arguments, code, told) in steps {
        let output = gatepost(directory.path(), arguments, "").await;
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert!(complaint(&output).contains(told), "{arguments:?}: {}", complaint(&output));
    }
}

#[tokio::test]
async fn the_audit_shows_what_was_asked_for_newest_first() {
    let service = Service::start().await;
    let directory = beside(&service);
    for domain in ["example.org", "other.example"] {
        gatepost(directory.path(), &["domain", "add", domain], "").await;
    }
    for user in ["ann@example.org", "bo@other.example"] {
        gatepost(directory.path(), &["account", "add", user, "--generate"], "").await;
        gatepost(directory.path(), &["account", "set", user, "--quota", "1G"], "").await;
    }
    let cases: [(&[&str], &str); 10] = [
        (&[], "6 5 4 3 2 1"),
        (&["--user", "ann@example.org"], "4 3"),
        (&["--domain", "other.example"], "6 5 2"),
        (&["--kind", "quota-set"], "6 4"),
        (&["--who", "uid:0", "--door", "command", "--limit", "2"], "6 5"),
        (&["--who", "uid:1"], ""),
        (&["--door", "api"], ""),
        (&["--since", "2020-01-01", "--until", "2020-01-02"], ""),
        (&["--since", "2020-01-01T00:00:00Z", "--kind", "account-added"], "5 3"),
        (&["--domain", "example.org", "--user", "bo@other.example"], ""),
    ];
    for (filter, expected) in cases {
        let output = gatepost(directory.path(), &[&["audit"][..], filter].concat(), "").await;
        let (code, printed) = outcome(&output);
        let numbers: Vec<&str> = printed.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!((code, numbers.join(" ").as_str()), (Some(0), expected), "{filter:?}: {}", complaint(&output));
    }
    let output = gatepost(directory.path(), &["audit", "--limit", "1", "--json"], "").await;
    let rows: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let newest = &rows[0];
    assert_eq!(
        (&newest["kind"], &newest["subject"], &newest["who"], &newest["door"], &newest["origin"]),
        (&json!("quota-set"), &json!("bo@other.example"), &json!("uid:0"), &json!("command"), &json!("local:0"))
    );
    for wrong in [&["--kind", "no-such-kind"][..], &["--user", "no name"], &["--domain", "no domain"]] {
        let output = gatepost(directory.path(), &[&["audit"][..], wrong].concat(), "").await;
        assert_eq!(outcome(&output), (Some(1), ""), "{wrong:?}");
    }
    let output = gatepost(directory.path(), &["audit", "--since", "yesterday"], "").await;
    assert_eq!(output.status.code(), Some(2));
}

#[tokio::test]
async fn a_receipt_says_what_was_changed_and_whether_it_is_complete() {
    let service = Service::start().await;
    let directory = beside(&service);
    gatepost(directory.path(), &["domain", "add", "example.org"], "").await;
    gatepost(directory.path(), &["account", "add", "ann@example.org", "--generate"], "").await;
    let output = gatepost(directory.path(), &["receipt", "2"], "").await;
    let (code, printed) = outcome(&output);
    assert_eq!(code, Some(0), "{}", complaint(&output));
    assert!(printed.starts_with("account-added of ann@example.org at 20"), "{printed}");
    let output = gatepost(directory.path(), &["receipt", "2", "--json"], "").await;
    let receipt: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        (&receipt["id"], &receipt["user"], &receipt["generation"], &receipt["reason"], &receipt["credential"]),
        (&json!(2), &json!("ann@example.org"), &json!(2), &json!("account-added"), &Value::Null)
    );
    for none in ["1", "3"] {
        let output = gatepost(directory.path(), &["receipt", none], "").await;
        assert_eq!((output.status.code(), complaint(&output)), (Some(1), "gatepost: there is no such receipt\n"));
    }
}

#[tokio::test]
async fn a_change_is_told_as_json_with_its_receipt_where_that_is_asked_for() {
    let service = Service::start().await;
    let directory = beside(&service);
    gatepost(directory.path(), &["domain", "add", "example.org"], "").await;
    gatepost(directory.path(), &["account", "add", "ann@example.org", "--generate"], "").await;
    let changes: [(&[&str], &str, &str); 6] = [
        (&["passwd", "ann@example.org", "--generate"], "password-set", "ann@example.org"),
        (&["account", "disable", "ann@example.org"], "disabled", "ann@example.org"),
        (&["account", "enable", "ann@example.org"], "enabled", "ann@example.org"),
        (&["logout", "ann@example.org"], "logged-out", "ann@example.org"),
        (&["logout", "--all"], "everyone-logged-out", "*"),
        (&["account", "remove", "ann@example.org"], "account-removed", "ann@example.org"),
    ];
    for (arguments, reason, user) in changes {
        let output = gatepost(directory.path(), &[arguments, &["--json"]].concat(), "").await;
        let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(told["password"].is_string(), reason == "password-set", "{arguments:?}");
        let receipt = &told["receipt"];
        assert_eq!((&receipt["reason"], &receipt["user"]), (&json!(reason), &json!(user)), "{arguments:?}");
        assert_eq!(receipt["generation"], told["generation"], "{arguments:?}");
    }
    let output = gatepost(directory.path(), &["logout", "--all"], "").await;
    assert_eq!(outcome(&output), (Some(0), "everyone logged out everywhere, generation 9\n"));
}

#[tokio::test]
async fn auth_test_prints_what_doveadm_prints() {
    let service = Service::start().await;
    let directory = beside(&service);
    gatepost(directory.path(), &["domain", "add", "example.org"], "").await;
    let add = ["account", "add", "ann", "--stdin", "--field", "nologin=", "--field", "allow_nets=192.0.2.0/24"];
    gatepost(directory.path(), &add, PASSWORD).await;
    let test = ["auth", "test", "ann", "--stdin", "--remote-ip", "192.0.2.7"];
    let output = gatepost(directory.path(), &test, PASSWORD).await;
    let expected = "passdb: ann auth succeeded\nextra fields:\n  user=ann@example.org\n";
    let (code, printed) = outcome(&output);
    assert_eq!((code, printed.get(..expected.len())), (Some(0), Some(expected)), "{}", complaint(&output));
    assert!(printed.contains("\n  nologin\n"), "{printed}");
    for (arguments, password) in [(&test[..], "wrong\n"), (&["auth", "test", "ann", "--stdin"], PASSWORD)] {
        let output = gatepost(directory.path(), arguments, password).await;
        assert_eq!(outcome(&output), (Some(1), "passdb: ann auth failed\n"));
    }
}

#[tokio::test]
async fn a_refusal_is_1_with_every_reason() {
    let service = Service::start().await;
    let directory = beside(&service);
    gatepost(directory.path(), &["domain", "add", "example.org"], "").await;
    let refused: [(&[&str], &str, &str); 6] = [
        (&["domain", "add", "example.org"], "", "exists already"),
        (&["account", "add", "ann@example.org", "--stdin"], "weak\n", "\n  "),
        (&["account", "show", "ann@example.org"], "", "no such account"),
        (&["passwd", "ann@example.org", "--generate"], "", "no such account"),
        (&["account", "add", "ann@example.org", "--hash-stdin"], "{NONE}x\n", "NONE"),
        (&["account", "add", "än@example.org", "--generate"], "", "ASCII letters"),
    ];
    for (arguments, input, told) in refused {
        let output = gatepost(directory.path(), arguments, input).await;
        assert_eq!(outcome(&output), (Some(1), ""), "{arguments:?}");
        assert!(complaint(&output).contains(told), "{arguments:?}: {}", complaint(&output));
        assert!(!complaint(&output).contains("weak"));
    }
}

#[tokio::test]
async fn a_wrong_command_line_is_2() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let wrong: [(&[&str], &str); 8] = [
        (&["logout"], ""),
        (&["logout", "ann", "--all"], ""),
        (&["no-such-verb"], ""),
        (&["passwd"], ""),
        (&["passwd", "ann", "secret"], ""),
        (&["passwd", "ann", "--stdin", "--generate"], ""),
        (&["account", "set", "ann"], ""),
        (&["status", "--config", "/no/such/file"], ""),
    ];
    for (arguments, input) in wrong {
        let output = gatepost(directory.path(), arguments, input).await;
        assert_eq!(outcome(&output), (Some(2), ""), "{arguments:?}");
        assert!(!complaint(&output).is_empty(), "{arguments:?}");
    }
}

#[tokio::test]
async fn no_daemon_is_75_and_says_where_it_was_looked_for() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let output = gatepost(directory.path(), &["--socket", "nobody-listens", "domain", "list"], "").await;
    assert_eq!(outcome(&output), (Some(75), ""));
    assert!(complaint(&output).contains("nobody-listens"), "{}", complaint(&output));
}

#[tokio::test]
async fn a_daemon_that_hangs_up_is_75() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let listener = UnixListener::bind(directory.path().join("socket")).expect("a socket");
    let hangs_up = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            drop(stream);
        }
    });
    let output = gatepost(directory.path(), &["--socket", "socket", "domain", "list"], "").await;
    assert_eq!(outcome(&output), (Some(75), ""), "{}", complaint(&output));
    hangs_up.abort();
}

#[tokio::test]
async fn the_socket_is_where_the_configuration_says() {
    let service = Service::start().await;
    let directory = tempfile::tempdir().expect("a temporary directory");
    symlink(service.listen(ADMIN), directory.path().join("elsewhere")).expect("a link");
    std::fs::write(directory.path().join("gatepost.toml"), "[listen.admin]\npath = \"elsewhere\"\n").expect("a file");
    let output = gatepost(directory.path(), &["--config", "gatepost.toml", "status"], "").await;
    assert_eq!(output.status.code(), Some(0), "{}", complaint(&output));
}
