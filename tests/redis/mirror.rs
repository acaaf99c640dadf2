//! A gatepost with a store beside its Redis: each is told what it lacks.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gatepost::account::{AccountType, CredentialName, Generation, RowNumber, StoredHash};
use gatepost::outbox::{Errands, Outbox};
use gatepost::revocation::counter::mirror;
use gatepost::revocation::redis::{Counter, Settings};
use gatepost::revocation::{Grant, Revocation, Sharing, Standing};
use gatepost::sessions::live::Live;
use gatepost::store::sqlite::{SqliteOptions, SqliteStore};
use gatepost::store::{Author, Change, Door, NewAccount, Store};
use gatepost_harness::redis::Redis;
use gatepost_harness::wait_until;
use jiff::{SignedDuration, Timestamp};
use tempfile::{TempDir, tempdir};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::node::{Node, revoked, settings, user};

/// A daemon's part that has to do with Redis.
struct Daemon {
    store: Arc<dyn Store>,
    revocation: Arc<Revocation>,
    counter: Counter,
    _directory: TempDir,
    _stop: DropGuard,
}

impl Daemon {
    /// With accounts that the log has, and Redis has not heard of.
    async fn start(settings: Settings, accounts: &[&str]) -> Self {
        let directory = tempdir().expect("a directory");
        let store = store_with(directory.path(), accounts, Timestamp::now()).await;
        Self::over(store, settings, directory)
    }

    fn over(store: Arc<dyn Store>, settings: Settings, directory: TempDir) -> Self {
        let stop = CancellationToken::new();
        let (counters, mirror) = mirror(settings, Arc::clone(&store), stop.clone());
        let counter = counters.counter();
        let revocation = Revocation::new(Arc::clone(&store), Sharing::Sole).with_counters(counters);
        let revocation = Arc::new(revocation);
        tokio::spawn(mirror.run(Arc::clone(&revocation)));
        Self { store, revocation, counter, _directory: directory, _stop: stop.drop_guard() }
    }

    async fn generation(&self, name: &str) -> Generation {
        self.store.generation(&user(name)).await.expect("a store").expect("an account")
    }

    /// What a login just now would be granted.
    async fn grant(&self, name: &str) -> Grant {
        let position = self.revocation.position();
        let record = self.store.login_record(&user(name)).await.expect("a store").expect("an account");
        Grant {
            user: record.account.username,
            generation: record.account.generation,
            application: None,
            changed: record.account.changed,
            domain_changed: record.domain.changed,
            position,
        }
    }

    fn wait_for_outdated(&self, redis: &Redis, grant: &Grant) {
        wait_until("the message has come", || {
            redis.must(&["PING"]);
            self.revocation.standing(grant) == Standing::Outdated
        });
    }

    async fn change(&self, change: Change, at: Timestamp) {
        self.revocation.commit(vec![change], &author(), at).await.expect("it fits");
    }
}

/// A store in which these accounts were made then.
async fn store_with(directory: &Path, accounts: &[&str], at: Timestamp) -> Arc<dyn Store> {
    let store = SqliteStore::open(&directory.join("gatepost.db"), &SqliteOptions::default()).await.expect("a store");
    let domain = "example.org".parse().expect("a domain");
    commit(&store, Change::AddDomain { domain, profile: "default".to_owned(), default_quota: None }, at).await;
    for name in accounts {
        commit(&store, Change::AddAccount(account(name)), at).await;
    }
    Arc::new(store)
}

async fn commit(store: &dyn Store, change: Change, at: Timestamp) {
    store.commit(&[change], &author(), at).await.expect("it fits");
}

fn author() -> Author {
    Author { who: "uid:0".to_owned(), door: Door::Command, origin: None }
}

fn account(name: &str) -> NewAccount {
    NewAccount {
        username: user(name),
        hash: StoredHash::new("{PLAIN}first".to_owned()),
        fingerprint: None,
        name: None,
        quota: None,
        enabled: true,
        account_type: AccountType::Person,
        main_password_for_mail: true,
        fields: [].into(),
    }
}

fn log_out(name: &str) -> Change {
    Change::LogOut { user: user(name) }
}

fn key(name: &str) -> String {
    format!("gatepost:generation:{name}")
}

fn wait_for_number(redis: &Redis, name: &str, number: Generation) {
    wait_until(&format!("Redis holds {number} of {name}"), || redis.value(&key(name)) == number.to_string());
}

fn long_ago() -> Timestamp {
    Timestamp::now().checked_sub(SignedDuration::from_hours(31 * 24)).expect("a time")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_came_back_empty_is_told_every_change_of_the_horizon() {
    let mut redis = Redis::start();
    let daemon = Daemon::start(settings(&redis), &["ann@example.org", "bob@example.org", "carl@example.org"]).await;
    daemon.change(log_out("bob@example.org"), Timestamp::now()).await;
    daemon.change(Change::RemoveAccount { user: user("carl@example.org") }, Timestamp::now()).await;
    let removed = daemon.store.newest_row().await.expect("a store");
    redis.kill();
    redis.resume();
    let numbers = [
        ("ann@example.org", daemon.generation("ann@example.org").await),
        ("bob@example.org", daemon.generation("bob@example.org").await),
        ("carl@example.org", Generation(removed.0)),
    ];
    for (name, number) in numbers {
        wait_for_number(&redis, name, number);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_came_back_from_an_old_snapshot_is_told_what_happened_since() {
    let mut redis = Redis::start();
    let daemon = Daemon::start(settings(&redis), &["ann@example.org"]).await;
    wait_for_number(&redis, "ann@example.org", daemon.generation("ann@example.org").await);
    let snapshot = redis.snapshot();
    daemon.change(log_out("ann@example.org"), Timestamp::now()).await;
    redis.kill();
    redis.restore(&snapshot);
    redis.resume();
    wait_for_number(&redis, "ann@example.org", daemon.generation("ann@example.org").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_raised_again_is_told_with_its_own_reason_and_time() {
    let redis = Redis::start();
    let directory = tempdir().expect("a directory");
    let store = store_with(directory.path(), &["ann@example.org"], Timestamp::now()).await;
    let at = Timestamp::now().checked_sub(SignedDuration::from_hours(5)).expect("a time");
    commit(&*store, log_out("ann@example.org"), at).await;
    let mut outsider = redis.subscribe("gatepost:revoked");
    let daemon = Daemon::over(store, settings(&redis), directory);
    let message: serde_json::Value = serde_json::from_str(&outsider.next_message()).expect("JSON");
    assert_eq!(message["user"], "ann@example.org");
    assert_eq!(message["generation"], daemon.generation("ann@example.org").await.0);
    assert_eq!(message["reason"], "logged-out");
    let told: Timestamp = message["at"].as_str().expect("a time").parse().expect("a time");
    assert_eq!(told.as_microsecond(), at.as_microsecond());
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_logged_out_is_everybody_s_number() {
    let mut redis = Redis::start();
    redis.kill();
    let daemon = Daemon::start(settings(&redis), &["ann@example.org", "bob@example.org"]).await;
    daemon.change(Change::LogOutEveryone, Timestamp::now()).await;
    let everyone = Generation(daemon.store.newest_row().await.expect("a store").0);
    daemon.change(log_out("bob@example.org"), Timestamp::now()).await;
    redis.resume();
    wait_for_number(&redis, "ann@example.org", everyone);
    wait_for_number(&redis, "bob@example.org", Generation(everyone.0 + 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_older_than_the_horizon_is_raised_at_the_next_login() {
    let redis = Redis::start();
    let directory = tempdir().expect("a directory");
    let store = store_with(directory.path(), &["ann@example.org"], long_ago()).await;
    commit(&*store, Change::AddAccount(account("bob@example.org")), Timestamp::now()).await;
    let daemon = Daemon::over(store, settings(&redis), directory);
    wait_for_number(&redis, "bob@example.org", daemon.generation("bob@example.org").await);
    assert_eq!(redis.value(&key("ann@example.org")), "", "her last change is older than that");
    let generation = daemon.generation("ann@example.org").await;
    daemon.revocation.compare(&user("ann@example.org"), generation);
    wait_for_number(&redis, "ann@example.org", generation);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_outdates_what_was_granted_and_an_older_one_does_not() {
    let redis = Redis::start();
    let daemon = Daemon::start(settings(&redis), &["ann@example.org", "bob@example.org"]).await;
    let other = Node::connected(settings(&redis)).await;
    let (ann, bob) = (daemon.grant("ann@example.org").await, daemon.grant("bob@example.org").await);
    wait_for_number(&redis, "ann@example.org", ann.generation);
    assert_eq!(daemon.revocation.standing(&ann), Standing::Current);
    assert!(daemon.revocation.is_confirmed(&ann).await);
    redis.must(&["PUBLISH", "gatepost:revoked", &message_of("ann@example.org", ann.generation.0 - 1)]);
    other.counter.raise(&revoked("bob@example.org", bob.generation.0 + 1)).await.expect("raised");
    daemon.wait_for_outdated(&redis, &bob);
    assert_eq!(daemon.revocation.standing(&ann), Standing::Current, "the message before that was of the past");
    other.counter.raise(&revoked("ann@example.org", ann.generation.0 + 1)).await.expect("raised");
    daemon.wait_for_outdated(&redis, &ann);
    assert!(!daemon.revocation.is_confirmed(&ann).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_from_a_backup_passes_what_redis_remembers() {
    let redis = Redis::start();
    let other = Node::connected(settings(&redis)).await;
    other.counter.raise(&revoked("ann@example.org", 5_000)).await.expect("raised");
    let daemon = Daemon::start(settings(&redis), &["ann@example.org", "bob@example.org"]).await;
    let passed = async || daemon.generation("ann@example.org").await > Generation(5_000);
    while !passed().await {
        tokio::task::yield_now().await;
    }
    assert!(daemon.store.newest_row().await.expect("a store") > RowNumber(5_000));
    assert!(daemon.generation("bob@example.org").await < Generation(5_000), "whose number is the same in both");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_finds_what_redis_remembers_beyond_the_horizon() {
    let redis = Redis::start();
    let daemon = Daemon::start(settings(&redis), &["ann@example.org"]).await;
    let generation = daemon.generation("ann@example.org").await;
    wait_for_number(&redis, "ann@example.org", generation);
    redis.must(&["SET", &key("ann@example.org"), "5000"]);
    daemon.revocation.compare(&user("ann@example.org"), generation);
    while daemon.generation("ann@example.org").await <= Generation(5_000) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_no_store_gives_is_passed_by_nobody_and_holds_up_nobody() {
    let redis = Redis::start();
    redis.must(&["SET", &key("ann@example.org"), "999999999999999999"]);
    let daemon = Daemon::start(settings(&redis), &["ann@example.org", "bob@example.org"]).await;
    let generation = daemon.generation("bob@example.org").await;
    wait_for_number(&redis, "bob@example.org", generation);
    daemon.change(log_out("bob@example.org"), Timestamp::now()).await;
    assert_eq!(daemon.generation("bob@example.org").await, Generation(generation.0 + 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_no_store_gives_keeps_nobody_else_s_log_out_from_redis() {
    let redis = Redis::start();
    let names: Vec<_> = (0..600).map(|number| format!("u{number:03}@example.org")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let (first, last) = (names[0], names[599]);
    let daemon = Daemon::start(settings(&redis), &names).await;
    wait_for_number(&redis, last, daemon.generation(last).await);
    redis.must(&["SET", &key(first), "999999999999999999"]);
    daemon.change(Change::LogOutEveryone, Timestamp::now()).await;
    let outbox = Outbox::new(Errands {
        store: Arc::clone(&daemon.store),
        revocation: Arc::clone(&daemon.revocation),
        counter: Some(daemon.counter.clone()),
        kickers: Vec::new(),
        claims: Arc::new(Live::new(Instant::now())),
    });
    let stop = CancellationToken::new();
    let _stop = stop.clone().drop_guard();
    tokio::spawn(outbox.run(stop));
    wait_for_number(&redis, last, daemon.generation(last).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_logins_than_can_be_compared_hold_up_nobody() {
    let mut redis = Redis::start();
    redis.freeze();
    let daemon = Daemon::start(settings(&redis), &["ann@example.org"]).await;
    let begun = tokio::time::Instant::now();
    for number in 0..100_000 {
        daemon.revocation.compare(&user("ann@example.org"), Generation(number));
    }
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(!daemon.counter.is_connected());
    assert_eq!(daemon.counter.ask(&user("ann@example.org"), CredentialName::Main).await.ok(), None);
}

fn message_of(name: &str, generation: u64) -> String {
    serde_json::to_string(&revoked(name, generation)).expect("JSON")
}
