//! Every way in which a Redis is not there, and that gatepost hears of it in time and comes back by itself.

use gatepost::account::{CredentialName, Generation};
use gatepost::config::Password;
use gatepost::revocation::redis::{CounterError, Event, Login, Place, Settings};
use gatepost_harness::redis::Redis;

use crate::node::{BOUND, Node, hasty, kept, raised, revoked, settings, tcp, user};

#[tokio::test]
async fn a_redis_that_stopped_is_not_now_and_then_again() {
    let mut redis = Redis::start();
    let mut node = Node::connected(settings(&redis)).await;
    node.counter.raise(&revoked("ann@example.org", 7)).await.expect("raised");
    redis.kill();
    assert!(matches!(
        node.refused(&revoked("ann@example.org", 8)).await,
        CounterError::Lost(_) | CounterError::NotConnected
    ));
    assert_eq!(node.events_until(&Event::Disconnected).await, [Event::Message(revoked("ann@example.org", 7))]);
    assert!(!node.counter.is_connected());
    assert!(matches!(node.refused(&revoked("ann@example.org", 8)).await, CounterError::NotConnected));
    let question = node.counter.ask(&user("ann@example.org"), CredentialName::Main).await;
    assert!(matches!(question, Err(CounterError::NotConnected)));

    redis.resume();
    assert_eq!(node.next_event().await, Event::Connected);
    let question = node.counter.ask(&user("ann@example.org"), CredentialName::Main).await;
    assert_eq!(question.expect("asked"), None, "it came back empty, and that means unknown");
    let mut outsider = redis.subscribe("gatepost:revoked");
    assert_eq!(node.deliver(&revoked("ann@example.org", 8)).await, raised(8));
    assert_eq!(outsider.messages(&redis).len(), 1);
}

#[tokio::test]
async fn a_frozen_redis_is_noticed_by_whoever_asks() {
    let mut redis = Redis::start();
    let mut node = Node::connected(hasty(settings(&redis))).await;
    redis.freeze();
    let error = node.refused(&revoked("ann@example.org", 8)).await;
    assert!(matches!(error, CounterError::Late(_) | CounterError::NotConnected), "{error}");
    assert!(!node.counter.is_connected(), "what is late is given up");
    node.events_until(&Event::Disconnected).await;
    assert!(matches!(node.refused(&revoked("ann@example.org", 8)).await, CounterError::NotConnected));
    redis.thaw();
    node.events_until(&Event::Connected).await;
    // The question that was given up may have arrived after all.
    assert_eq!(node.deliver(&revoked("ann@example.org", 8)).await.now, Generation(8));
}

#[tokio::test]
async fn a_frozen_redis_is_noticed_though_nobody_asks() {
    let mut redis = Redis::start();
    let mut node =
        Node::connected(hasty(Settings { place: Place::Servers(vec![tcp(&redis)]), ..settings(&redis) })).await;
    redis.freeze();
    node.events_until(&Event::Disconnected).await;
    redis.thaw();
    node.events_until(&Event::Connected).await;
}

#[tokio::test]
async fn a_redis_that_comes_back_older_is_raised_again_and_tells_it() {
    let mut redis = Redis::start();
    let mut node = Node::connected(settings(&redis)).await;
    node.counter.raise(&revoked("ann@example.org", 7)).await.expect("raised");
    node.counter.raise(&revoked("bob@example.org", 8)).await.expect("raised");
    let snapshot = redis.snapshot();
    node.counter.raise(&revoked("ann@example.org", 9)).await.expect("raised");
    redis.kill();
    redis.restore(&snapshot);
    redis.resume();
    node.events_until(&Event::Disconnected).await;
    assert_eq!(node.next_event().await, Event::Connected);
    let mut outsider = redis.subscribe("gatepost:revoked");
    let everything = [revoked("ann@example.org", 9), revoked("bob@example.org", 8)];
    assert_eq!(node.counter.raise_all(&everything).await.expect("raised"), [raised(9), kept(8)]);
    assert_eq!(outsider.messages(&redis), [redis_message("ann@example.org", 9)]);
}

#[tokio::test]
async fn a_master_that_became_a_replica_is_left_at_once_and_found_again() {
    let redis = Redis::start();
    let mut node = Node::connected(settings(&redis)).await;
    node.counter.raise(&revoked("ann@example.org", 7)).await.expect("raised");
    redis.demote();
    let error = node.counter.raise(&revoked("ann@example.org", 8)).await.expect_err("a replica takes no writes");
    assert!(matches!(error, CounterError::Lost(_) | CounterError::NotConnected), "{error}");
    node.events_until(&Event::Disconnected).await;
    redis.promote();
    node.events_until(&Event::Connected).await;
    assert_eq!(node.deliver(&revoked("ann@example.org", 8)).await, raised(8));
}

#[tokio::test]
async fn a_replica_is_never_believed_even_if_it_would_answer() {
    let redis = Redis::start();
    let node = Node::connected(settings(&redis)).await;
    node.counter.raise(&revoked("ann@example.org", 7)).await.expect("raised");
    redis.demote();
    let question = node.counter.ask(&user("ann@example.org"), CredentialName::Main).await;
    assert!(matches!(question, Err(CounterError::Lost(_) | CounterError::NotConnected)), "{question:?}");
}

#[tokio::test]
async fn of_several_servers_the_one_that_is_a_master_is_used() {
    let master = Redis::start();
    let replica = master.start_replica();
    let mut gone = Redis::start();
    gone.kill();
    let place = Place::Servers(vec![tcp(&gone), tcp(&replica), tcp(&master)]);
    let node = Node::connected(Settings { place, ..settings(&master) }).await;
    assert_eq!(node.counter.raise(&revoked("ann@example.org", 7)).await.expect("raised"), raised(7));
    assert_eq!(master.value("gatepost:generation:ann@example.org"), "7");
}

#[tokio::test]
async fn out_of_memory_is_not_now_and_keeps_the_connection() {
    let redis = Redis::start();
    let mut node = Node::connected(settings(&redis)).await;
    node.counter.raise(&revoked("ann@example.org", 7)).await.expect("raised");
    redis.set_out_of_memory(true);
    let error = node.counter.raise(&revoked("ann@example.org", 8)).await.expect_err("no memory");
    assert!(matches!(&error, CounterError::Refused(text) if text.starts_with("OOM ")), "{error}");
    assert_eq!(node.counter.raise(&revoked("ann@example.org", 7)).await.expect("known"), kept(7));
    assert!(node.counter.is_connected());
    redis.set_out_of_memory(false);
    assert_eq!(node.counter.raise(&revoked("ann@example.org", 8)).await.expect("raised"), raised(8));
    assert_eq!(node.next_event().await, Event::Message(revoked("ann@example.org", 7)));
    assert_eq!(node.next_event().await, Event::Message(revoked("ann@example.org", 8)), "the refused one told nobody");
}

#[tokio::test]
async fn a_master_without_the_replicas_it_needs_is_not_now_and_keeps_the_connection() {
    let redis = Redis::start_with(&["--min-replicas-to-write", "1"]);
    let node = Node::connected(settings(&redis)).await;
    let error = node.counter.raise(&revoked("ann@example.org", 8)).await.expect_err("no replica");
    assert!(matches!(&error, CounterError::Refused(text) if text.starts_with("NOREPLICAS ")), "{error}");
    assert!(node.counter.is_connected());
}

#[tokio::test]
async fn a_script_that_redis_forgot_is_brought_again() {
    let redis = Redis::start();
    let node = Node::connected(settings(&redis)).await;
    redis.must(&["SCRIPT", "FLUSH"]);
    assert_eq!(node.counter.raise(&revoked("ann@example.org", 7)).await.expect("raised"), raised(7));
}

#[tokio::test]
async fn a_flushed_redis_is_unknown_until_it_is_raised_again() {
    let redis = Redis::start();
    let node = Node::connected(settings(&redis)).await;
    node.counter.raise(&revoked("ann@example.org", 7)).await.expect("raised");
    redis.must(&["FLUSHALL"]);
    assert_eq!(node.counter.ask(&user("ann@example.org"), CredentialName::Main).await.expect("asked"), None);
    assert_eq!(node.counter.raise(&revoked("ann@example.org", 7)).await.expect("raised"), raised(7));
}

#[tokio::test]
async fn a_connection_that_somebody_closes_is_followed_by_another() {
    let redis = Redis::start();
    let mut node = Node::connected(settings(&redis)).await;
    for _ in 0..3 {
        redis.must(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        assert_eq!(node.next_event().await, Event::Disconnected);
        assert_eq!(node.next_event().await, Event::Connected);
    }
}

#[tokio::test]
async fn a_redis_that_was_never_there_holds_nobody_up() {
    let mut redis = Redis::start();
    redis.kill();
    let mut node = Node::start(hasty(settings(&redis)));
    let begun = tokio::time::Instant::now();
    for _ in 0..100 {
        assert!(matches!(node.counter.raise(&revoked("ann@example.org", 8)).await, Err(CounterError::NotConnected)));
    }
    assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
    redis.resume();
    assert_eq!(node.next_event().await, Event::Connected);
    assert_eq!(node.deliver(&revoked("ann@example.org", 8)).await, raised(8));
}

#[tokio::test]
async fn a_password_that_is_set_right_later_lets_us_in() {
    let redis = Redis::start();
    redis.must(&["ACL", "SETUSER", "gatepost", "on", ">old", "allcommands", "allkeys", "allchannels"]);
    let login = Login { username: Some("gatepost".to_owned()), password: Some(Password::from("new")) };
    let mut node = Node::start(Settings { login, ..settings(&redis) });
    assert!(matches!(node.counter.raise(&revoked("ann@example.org", 8)).await, Err(CounterError::NotConnected)));
    redis.must(&["ACL", "SETUSER", "gatepost", "resetpass", ">new"]);
    assert_eq!(node.next_event().await, Event::Connected);
}

fn redis_message(name: &str, generation: u64) -> String {
    format!(
        r#"{{"user":"{name}","credential":null,"generation":{generation},"reason":"password-set","at":"2026-11-24T14:15:00Z"}}"#
    )
}
