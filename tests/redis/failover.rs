//! Under Sentinel: whichever server is the master now is the one that is asked.

use gatepost::revocation::redis::{Address, Event, Login, Place, Settings};
use gatepost_harness::redis::{Redis, Sentinel};
use gatepost_harness::wait_until;

use crate::node::{Node, kept, raised, revoked, settings, tcp};

const MASTER: &str = "mail";

fn through(sentinels: &[&Sentinel], redis: &Redis) -> Settings {
    let address = |sentinel: &&Sentinel| Address::Tcp {
        host: sentinel.address().ip().to_string(),
        port: sentinel.address().port(),
    };
    let place = Place::Sentinels {
        sentinels: sentinels.iter().map(address).collect(),
        master: MASTER.to_owned(),
        login: Login::default(),
    };
    Settings { place, ..settings(redis) }
}

#[tokio::test]
async fn a_new_master_is_followed_and_nothing_raised_is_lost() {
    let first = Redis::start();
    let second = first.start_replica();
    let sentinel = Sentinel::start(MASTER, &first, 1);
    let mut node = Node::connected(through(&[&sentinel], &first)).await;
    assert_eq!(node.counter.raise(&revoked("ann@example.org", 7)).await.expect("raised"), raised(7));
    wait_until("the replica has it", || second.value("gatepost:generation:ann@example.org") == "7");
    sentinel.fail_over(MASTER);
    node.events_until(&Event::Disconnected).await;
    node.events_until(&Event::Connected).await;
    let again = node.deliver(&revoked("ann@example.org", 7)).await;
    assert_eq!(again, kept(7), "the replica had it");
    assert_eq!(node.deliver(&revoked("ann@example.org", 8)).await, raised(8));
    assert_eq!(second.value("gatepost:generation:ann@example.org"), "8");
}

#[tokio::test]
async fn a_master_that_does_not_know_yet_that_it_is_none_is_left_on_the_word_of_sentinel() {
    let (old, new) = (Redis::start(), Redis::start());
    let sentinel = Sentinel::start(MASTER, &old, 0);
    let mut node = Node::connected(through(&[&sentinel], &old)).await;
    node.counter.raise(&revoked("ann@example.org", 7)).await.expect("raised");
    sentinel.name_another(MASTER, &new);
    node.events_until(&Event::Disconnected).await;
    node.events_until(&Event::Connected).await;
    assert!(old.must(&["ROLE"]).starts_with("master"), "it would still have taken the next number");
    assert_eq!(node.deliver(&revoked("ann@example.org", 7)).await, raised(7));
    assert_eq!(new.value("gatepost:generation:ann@example.org"), "7");
}

#[tokio::test]
async fn a_master_that_died_is_replaced_without_a_restart() {
    let mut first = Redis::start();
    let second = first.start_replica();
    let sentinel = Sentinel::start(MASTER, &first, 1);
    let mut node = Node::connected(through(&[&sentinel], &first)).await;
    first.kill();
    node.events_until(&Event::Disconnected).await;
    node.events_until(&Event::Connected).await;
    assert_eq!(node.deliver(&revoked("ann@example.org", 8)).await, raised(8));
    assert_eq!(second.value("gatepost:generation:ann@example.org"), "8");
}

#[tokio::test]
async fn a_sentinel_that_is_gone_or_behind_is_passed_over() {
    let (first, mut gone) = (Redis::start(), Redis::start());
    let replica = first.start_replica();
    let behind = Sentinel::start(MASTER, &replica, 0);
    let right = Sentinel::start(MASTER, &first, 1);
    gone.kill();
    let mut settings = through(&[&behind, &right], &first);
    if let Place::Sentinels { sentinels, .. } = &mut settings.place {
        sentinels.insert(0, tcp(&gone));
    }
    let node = Node::connected(settings).await;
    assert_eq!(node.deliver(&revoked("ann@example.org", 8)).await, raised(8));
    assert_eq!(first.value("gatepost:generation:ann@example.org"), "8");
}
