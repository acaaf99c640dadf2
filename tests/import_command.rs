//! `gatepost import passwd-file` against the real daemon.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use gatepost_harness::gatepost::Gatepost;
use gatepost_harness::short_directory;
use serde_json::{Value, json};
use tempfile::TempDir;

const FILE: &str = "\
ann@example.org:{SHA256}K7gNU3sdo+OL0wNhqoVWhr3g6s1xYv72ol/pe/Unols=:5001:5002:Ann:/srv/ann::userdb_quota_rule=*:bytes=1000
bob@example.org:$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/:5003:5003::/srv/bob:/bin/sh:allow_nets=192.0.2.0/24
cy@example.net:*:5004:5004::/srv/cy
";

struct Setting {
    gatepost: Gatepost,
    file: PathBuf,
    _directory: TempDir,
}

impl Setting {
    fn new(text: &str) -> Self {
        let directory = short_directory();
        let file = directory.path().join("users");
        fs::write(&file, text).expect("a passwd-file");
        Self { gatepost: Gatepost::start(directory.path(), Vec::new(), ""), file, _directory: directory }
    }

    fn import(&self, options: &[&str]) -> Output {
        let file = self.file.to_str().expect("a path of letters");
        self.gatepost.command(&[["import", "passwd-file", file].as_slice(), options].concat(), "")
    }

    fn account(&self, user: &str) -> Value {
        let text = self.gatepost.must(&["account", "show", user, "--json"], "");
        serde_json::from_str(&text).expect("JSON")
    }

    fn accounts(&self) -> Vec<Value> {
        let text = self.gatepost.must(&["account", "list", "--json"], "");
        serde_json::from_str(&text).expect("JSON")
    }
}

/// Exit code, what was printed, what was said.
fn told(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn assert_rows(printed: &str, rows: &[&str]) {
    let printed: Vec<_> = printed.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for row in rows {
        assert!(printed.iter().any(|line| line == row), "{row:?} is not in {printed:?}");
    }
}

#[test]
fn everybody_comes_along_with_all_that_the_file_says() {
    let setting = Setting::new(FILE);
    let (code, printed, said) = told(&setting.import(&["--create-domains"]));
    assert_eq!(code, Some(0), "{said}");
    assert_rows(&printed, &["3 imported", "0 left out", "2 domains made"]);

    let ann = setting.account("ann@example.org");
    assert_eq!((&ann["name"], &ann["quota"], &ann["enabled"]), (&json!("Ann"), &json!(1000), &json!(true)));
    let fields = json!({"userdb_uid": "5001", "userdb_gid": "5002", "userdb_home": "/srv/ann"});
    assert_eq!(ann["fields"], fields);
    let bob = setting.account("bob@example.org");
    assert_eq!(bob["fields"]["allow_nets"], json!("192.0.2.0/24"));
    assert_eq!(bob["fields"]["shell"], json!("/bin/sh"));
    assert_eq!(setting.account("cy@example.net")["enabled"], json!(false), "nobody could log in with *");

    let (code, printed, said) = told(&setting.import(&[]));
    assert_eq!(code, Some(0), "{said}");
    assert_rows(&printed, &["0 imported", "3 already there"]);
}

#[test]
fn what_cannot_come_along_is_named_and_counted() {
    let more = "a b@example.org:{PLAIN}a\nold@example.org:{ROT13}frperg\nopen@example.org:::::::nopassword\n";
    let setting = Setting::new(&(FILE.to_owned() + more));
    setting.gatepost.must(&["domain", "add", "example.org"], "");
    let (code, printed, said) = told(&setting.import(&[]));
    assert_eq!(code, Some(1), "{said}");
    assert_rows(&printed, &["2 imported", "4 left out"]);
    for (line, reason) in [
        ("line 4: a b@example.org is left out: ", "character"),
        ("line 5: old@example.org is left out: ", "ROT13"),
        ("line 6: open@example.org is left out: ", "nopassword"),
        ("example.net is no domain here, 1 accounts are left out: ", "--create-domains"),
    ] {
        let found = said.lines().any(|said| said.starts_with(line) && said.contains(reason));
        assert!(found, "{line}…{reason} is not in {said}");
    }
    assert_eq!(setting.accounts().len(), 2);
}

#[test]
fn one_name_twice_imports_nobody() {
    let setting = Setting::new(&(FILE.to_owned() + "ANN@example.org:{PLAIN}a\n"));
    let (code, _, said) = told(&setting.import(&["--create-domains"]));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("lines 1 and 4 are both ann@example.org"), "{said}");
    assert!(setting.accounts().is_empty());
}

#[test]
fn an_account_that_differs_is_left_alone_unless_it_shall_be_updated() {
    let setting = Setting::new(FILE);
    setting.import(&["--create-domains"]);
    setting.gatepost.must(&["account", "set", "ann@example.org", "--quota", "2000", "--field", "userdb_home=/new"], "");
    let changed = setting.account("ann@example.org");

    let (code, printed, said) = told(&setting.import(&[]));
    assert_eq!(code, Some(1), "{said}");
    assert_rows(&printed, &["2 already there", "1 different, and left alone"]);
    assert!(said.contains("line 1: ann@example.org is there with another quota, fields"), "{said}");
    assert_eq!(setting.account("ann@example.org"), changed);

    let (code, printed, said) = told(&setting.import(&["--update"]));
    assert_eq!(code, Some(0), "{said}");
    assert_rows(&printed, &["2 already there", "1 updated"]);
    let updated = setting.account("ann@example.org");
    assert_eq!((&updated["quota"], &updated["fields"]["userdb_home"]), (&json!(1000), &json!("/srv/ann")));
    assert_eq!(updated["generation"], changed["generation"], "nobody is logged out by it");

    let (code, printed, said) = told(&setting.import(&["--update-passwords"]));
    assert_eq!(code, Some(0), "{said}");
    assert_rows(&printed, &["3 already there", "2 given the file's password"]);
    assert!(setting.account("ann@example.org")["generation"].as_u64() > updated["generation"].as_u64());
}

#[test]
fn names_without_a_domain_and_hashes_without_a_scheme_are_completed() {
    let setting = Setting::new("ann:secret\n");
    let (code, _, said) = told(&setting.import(&["--create-domains"]));
    assert_eq!(code, Some(1));
    assert!(said.contains("default_domain"), "{said}");
    let options = ["--create-domains", "--domain", "example.org", "--scheme", "PLAIN"];
    let (code, printed, said) = told(&setting.import(&options));
    assert_eq!(code, Some(0), "{said}");
    assert_rows(&printed, &["1 imported"]);
    assert_eq!(setting.account("ann@example.org")["enabled"], json!(true));
}

#[test]
fn an_import_goes_on_where_it_stopped() {
    let setting = Setting::new(FILE);
    setting.import(&["--create-domains"]);
    setting.gatepost.must(&["account", "remove", "bob@example.org"], "");
    let (code, printed, said) = told(&setting.import(&[]));
    assert_eq!(code, Some(0), "{said}");
    assert_rows(&printed, &["1 imported", "2 already there"]);
}

#[test]
fn a_file_that_is_not_there_is_a_mistake_of_the_command_line() {
    let setting = Setting::new(FILE);
    let (code, _, said) = told(&setting.gatepost.command(&["import", "passwd-file", "/nonexistent"], ""));
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("/nonexistent"), "{said}");
}
