//! HUP, with a good configuration and with bad ones.

use std::fs;

use gatepost_harness::alone::Alone;
use gatepost_harness::mailhost::ALICE;
use rustix::process::Signal;

/// Rewrites the configuration and has it read; gives what the daemon says then.
fn reload(alone: &Alone, text: &str, expected: &str) -> String {
    fs::write(alone.directory.path().join("gatepost.toml"), text).expect("written");
    let process = alone.gatepost.process();
    let mark = process.mark();
    process.signal(Signal::HUP);
    process.wait_for_log(expected, mark);
    process.log()
}

const TAKEN_OVER: &str = "configuration read again";
const NOT_TAKEN_OVER: &str = "configuration not taken over; the old one stays in force";

#[test]
fn a_good_file_is_taken_over_and_a_bad_one_changes_nothing() {
    let alone = Alone::start("");
    let path = alone.directory.path().join("gatepost.toml");
    let old = fs::read_to_string(&path).expect("the configuration");
    let short_name_logs_in = || alone.log_in("alice", ALICE.password).starts_with("OK\t");
    assert!(!short_name_logs_in(), "there is no default domain yet");

    let good = format!("default_domain = \"example.org\"\n{old}");
    // A connection that was there before is not disturbed.
    let mut before = alone.auth_client("login");
    reload(&alone, &good, TAKEN_OVER);
    assert!(short_name_logs_in());
    before.send(gatepost_harness::raw::auth(1, "", "alice", ALICE.password));
    assert_eq!(before.line(), "OK\t1\tuser=alice@example.org");

    for (bad, named) in [
        ("default_domain = [".to_owned(), "gatepost.toml"),
        (format!("no_such_key = 1\n{old}"), "no_such_key"),
        (format!("default_domain = \"not a domain\"\n{old}"), "default_domain"),
        (old.replace("[listen.master]\n", "[listen.master]\nmode = \"0666\"\n"), "listen.master"),
        (old.replace("failure_delay = \"300ms\"", "failure_delay = \"1 h\""), "failure_delay"),
    ] {
        let log = reload(&alone, &bad, NOT_TAKEN_OVER);
        let said = log.lines().rfind(|line| line.contains(NOT_TAKEN_OVER)).unwrap_or_default();
        assert!(said.contains(named), "{said}");
        assert!(short_name_logs_in(), "after {bad}");
    }
    fs::remove_file(&path).expect("removed");
    let process = alone.gatepost.process();
    let mark = process.mark();
    process.signal(Signal::HUP);
    process.wait_for_log(NOT_TAKEN_OVER, mark);
    assert!(short_name_logs_in());

    reload(&alone, &old, TAKEN_OVER);
    assert!(!short_name_logs_in(), "and back again");
}

#[test]
fn what_takes_a_restart_is_named_and_left_as_it_is() {
    let alone = Alone::start("");
    let path = alone.directory.path().join("gatepost.toml");
    let old = fs::read_to_string(&path).expect("the configuration");
    let elsewhere = old.replace("gatepost.db", "elsewhere.db").replace("memory_kib = 1024", "memory_kib = 2048");
    let log = reload(&alone, &elsewhere, TAKEN_OVER);
    let warned = log.lines().find(|line| line.contains("take effect only after a restart")).expect("a warning");
    assert!(warned.contains("store") && warned.contains("hash"), "{warned}");
    alone.assert_others_log_in("the settings differ");
    assert!(!alone.database().with_file_name("elsewhere.db").exists());
}
