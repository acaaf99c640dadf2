//! The whole gatepost beside a Redis that comes and goes: what a change says of it, and when Redis has it.

use std::time::{Duration, Instant};

use gatepost_harness::gatepost::Gatepost;
use gatepost_harness::redis::Redis;
use gatepost_harness::{short_directory, wait_until};
use serde_json::Value;
use tempfile::TempDir;

/// The receipt's half second, and what a command, a hash and a busy machine take.
const IN_TIME: Duration = Duration::from_secs(4);
const ANN: &str = "ann@example.org";

struct Host {
    redis: Redis,
    gatepost: Gatepost,
    _directory: TempDir,
}

impl Host {
    fn start() -> Self {
        let redis = Redis::start();
        let directory = short_directory();
        let settings = format!("\n[redis]\naddresses = [\"{}\"]\n", redis.socket().display());
        let gatepost = Gatepost::start(directory.path(), Vec::new(), &settings);
        gatepost.must(&["domain", "add", "example.org"], "");
        let host = Self { redis, gatepost, _directory: directory };
        for user in [ANN, "bob@example.org"] {
            host.gatepost.must(&["account", "add", user, "--stdin"], "First-pass-1\n");
        }
        host
    }

    /// Sets Ann's password; gives the receipt.
    fn change(&self) -> Value {
        let begun = Instant::now();
        let told = self.gatepost.must(&["passwd", ANN, "--stdin", "--json"], "Another-pass-1\n");
        assert!(begun.elapsed() < IN_TIME, "answered after {:?}", begun.elapsed());
        let told: Value = serde_json::from_str(&told).expect("JSON");
        told["receipt"].clone()
    }

    fn receipt(&self, id: &Value) -> Value {
        let receipt = self.gatepost.must(&["receipt", &id.to_string(), "--json"], "");
        serde_json::from_str(&receipt).expect("JSON")
    }

    fn number(&self, user: &str) -> String {
        self.redis.value(&format!("gatepost:generation:{user}"))
    }

    fn wait_for_completion(&self, id: &Value) {
        wait_until("the change is delivered", || self.receipt(id)["complete"] == true);
        assert_eq!(self.number(ANN), id.to_string());
    }
}

/// The counter's step of a receipt: its state, and its note.
fn counter(receipt: &Value) -> (&str, Option<&str>) {
    let steps = receipt["steps"].as_array().expect("steps");
    let step = steps.iter().find(|step| step["what"] == "counter").unwrap_or_else(|| panic!("no counter: {receipt}"));
    (step["state"].as_str().expect("a state"), step["note"].as_str())
}

#[test]
fn redis_has_a_new_password_s_number_before_the_change_is_answered() {
    let host = Host::start();
    wait_until("both accounts are in Redis", || {
        !host.number(ANN).is_empty() && !host.number("bob@example.org").is_empty()
    });
    let mut outsider = host.redis.subscribe("gatepost:revoked");
    let receipt = host.change();
    assert_eq!(counter(&receipt), ("done", None), "{receipt}");
    assert_eq!(receipt["complete"], true, "{receipt}");
    assert_eq!(host.number(ANN), receipt["id"].to_string());
    let messages = outsider.messages(&host.redis);
    let [message] = messages.as_slice() else { panic!("one message, not {messages:?}") };
    let message: Value = serde_json::from_str(message).expect("JSON");
    assert_eq!((&message["user"], &message["reason"]), (&receipt["user"], &receipt["reason"]));
    assert_eq!((&message["generation"], &message["credential"]), (&receipt["generation"], &Value::Null));
}

#[test]
fn a_change_without_redis_is_answered_in_time_and_delivered_when_it_is_back() {
    let mut host = Host::start();
    host.redis.kill();
    let receipt = host.change();
    let (state, note) = counter(&receipt);
    assert_eq!((state, receipt["complete"].as_bool()), ("pending", Some(false)), "{receipt}");
    assert!(note.is_some_and(|note| note.contains("Redis")), "{receipt}");
    host.redis.resume();
    host.wait_for_completion(&receipt["id"]);
}

#[test]
fn a_frozen_redis_does_not_hold_up_a_change() {
    let mut host = Host::start();
    wait_until("both accounts are in Redis", || !host.number("bob@example.org").is_empty());
    host.redis.freeze();
    let receipt = host.change();
    assert_eq!(counter(&receipt).0, "pending", "{receipt}");
    host.redis.thaw();
    host.wait_for_completion(&receipt["id"]);
}

#[test]
fn what_redis_had_no_memory_for_is_delivered_once_it_has() {
    let host = Host::start();
    wait_until("both accounts are in Redis", || !host.number("bob@example.org").is_empty());
    host.redis.set_out_of_memory(true);
    let receipt = host.change();
    let (state, note) = counter(&receipt);
    assert_eq!(state, "pending", "{receipt}");
    assert!(note.is_some_and(|note| note.contains("OOM")), "{receipt}");
    host.redis.set_out_of_memory(false);
    host.wait_for_completion(&receipt["id"]);
}

#[test]
fn a_gatepost_that_was_killed_before_it_could_tell_redis_tells_it_afterwards() {
    let mut host = Host::start();
    host.redis.kill();
    let receipt = host.change();
    host.gatepost.kill();
    host.redis.resume();
    host.gatepost.resume();
    host.wait_for_completion(&receipt["id"]);
}

#[test]
fn everybody_s_log_out_is_in_redis_for_each() {
    let host = Host::start();
    let told = host.gatepost.must(&["logout", "--all", "--json"], "");
    let told: Value = serde_json::from_str(&told).expect("JSON");
    let id = &told["receipt"]["id"];
    wait_until("it is delivered", || host.receipt(id)["complete"] == true);
    assert_eq!([host.number(ANN), host.number("bob@example.org")], [id.to_string(), id.to_string()]);
}

#[test]
fn a_flushed_redis_learns_an_account_s_number_from_its_next_login() {
    let host = Host::start();
    wait_until("both accounts are in Redis", || {
        !host.number(ANN).is_empty() && !host.number("bob@example.org").is_empty()
    });
    let number = host.number(ANN);
    host.redis.must(&["FLUSHALL"]);
    host.gatepost.must(&["auth", "test", ANN, "--stdin"], "First-pass-1\n");
    wait_until("her number is back", || host.number(ANN) == number);
    assert_eq!(host.number("bob@example.org"), "", "who did not log in is not told");
}
