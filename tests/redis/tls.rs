//! Redis beyond a network that is not trusted.

use std::fs;
use std::net::SocketAddr;

use gatepost::revocation::redis::{Address, Event, Place, Settings, Tls};
use gatepost_harness::redis::{Certificate, Redis};

use crate::node::{Node, raised, revoked, settings};

fn through_tls(redis: &Redis, address: SocketAddr, issuer: &Certificate) -> Settings {
    let authorities = Some(fs::read(issuer.file()).expect("the certificate"));
    Settings { place: Place::Servers(vec![tcp(address)]), tls: Some(Tls { authorities }), ..settings(redis) }
}

fn tcp(address: SocketAddr) -> Address {
    Address::Tcp { host: address.ip().to_string(), port: address.port() }
}

#[tokio::test]
async fn a_server_with_the_right_certificate_is_spoken_to() {
    let certificate = Certificate::make();
    let (redis, address) = Redis::start_with_tls(&certificate);
    let mut node = Node::connected(through_tls(&redis, address, &certificate)).await;
    let change = revoked("ann@example.org", 7);
    assert_eq!(node.counter.raise(&change).await.expect("raised"), raised(7));
    assert_eq!(node.next_event().await, Event::Message(change));
    assert!(redis.must(&["CLIENT", "LIST", "TYPE", "pubsub"]).contains(&format!("laddr={address}")), "and by TLS");
}

#[tokio::test]
async fn a_server_that_another_authority_vouches_for_is_left_alone() {
    let (certificate, other) = (Certificate::make(), Certificate::make());
    let (redis, address) = Redis::start_with_tls(&certificate);
    let by_tls = through_tls(&redis, address, &other);
    // The second is asked once the first was refused.
    let place = Place::Servers(vec![tcp(address), Address::Unix(redis.socket())]);
    let node = Node::connected(Settings { place, ..by_tls }).await;
    assert_eq!(node.counter.raise(&revoked("ann@example.org", 7)).await.expect("raised"), raised(7));
    assert!(redis.must(&["CLIENT", "LIST", "TYPE", "pubsub"]).contains("laddr=/"), "by the socket");
}
