//! One gatepost's connection to Redis, without the rest of it.

use std::time::Duration;

use gatepost::account::{CredentialName, Generation, Username};
use gatepost::revocation::redis::{Address, Counter, CounterError, Event, Login, Place, Raised, Revoked, Settings};
use gatepost_harness::PATIENCE;
use gatepost_harness::redis::Redis;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// As long as an answer may take where the machine, not Redis, is what is slow.
pub(crate) const GENEROUS: Duration = Duration::from_secs(10);
/// As long as a question takes at most with the default settings, and a little for a busy machine.
pub(crate) const BOUND: Duration = Duration::from_millis(750);

pub(crate) struct Node {
    pub(crate) counter: Counter,
    pub(crate) events: mpsc::Receiver<Event>,
    pub(crate) task: JoinHandle<()>,
    pub(crate) stop: DropGuard,
}

impl Node {
    /// Starts one and waits until it is connected.
    pub(crate) async fn connected(settings: Settings) -> Self {
        let mut node = Self::start(settings);
        assert_eq!(node.next_event().await, Event::Connected);
        node
    }

    pub(crate) fn start(settings: Settings) -> Self {
        let stop = CancellationToken::new();
        let (counter, events, task) = Counter::start(settings, stop.clone());
        Self { counter, events, task: tokio::spawn(task), stop: stop.drop_guard() }
    }

    pub(crate) async fn next_event(&mut self) -> Event {
        let event = tokio::time::timeout(PATIENCE, self.events.recv()).await;
        event.expect("an event comes").expect("the connection is still kept")
    }

    /// Waits for `event` and gives what came before it.
    pub(crate) async fn events_until(&mut self, event: &Event) -> Vec<Event> {
        let mut before = Vec::new();
        loop {
            let next = self.next_event().await;
            if next == *event {
                return before;
            }
            before.push(next);
        }
    }

    /// Raises again and again, as the outbox does, until it is known to have happened.
    pub(crate) async fn deliver(&self, revoked: &Revoked) -> Raised {
        let patience = tokio::time::Instant::now() + PATIENCE;
        loop {
            match self.counter.raise(revoked).await {
                Ok(raised) => return raised,
                Err(error) => assert!(tokio::time::Instant::now() < patience, "never delivered: {error}"),
            }
            tokio::task::yield_now().await;
        }
    }

    /// Raises while it must fail, in time.
    pub(crate) async fn refused(&self, revoked: &Revoked) -> CounterError {
        let begun = tokio::time::Instant::now();
        let error = self.counter.raise(revoked).await.expect_err("nothing can be raised now");
        assert!(begun.elapsed() < BOUND, "{error} after {:?}", begun.elapsed());
        error
    }
}

/// The defaults, for this Redis alone, but for patience with a busy machine.
pub(crate) fn settings(redis: &Redis) -> Settings {
    Settings {
        place: Place::Servers(vec![Address::Unix(redis.socket())]),
        login: Login::default(),
        tls: None,
        database: 0,
        prefix: "gatepost".to_owned(),
        connect_timeout: GENEROUS,
        response_timeout: GENEROUS,
        horizon: Duration::from_hours(30 * 24),
    }
}

/// The same with the timeouts of a default configuration.
pub(crate) fn hasty(settings: Settings) -> Settings {
    Settings { connect_timeout: Duration::from_secs(1), response_timeout: Duration::from_millis(250), ..settings }
}

pub(crate) fn tcp(redis: &Redis) -> Address {
    Address::Tcp { host: redis.address().ip().to_string(), port: redis.address().port() }
}

pub(crate) fn user(text: &str) -> Username {
    text.parse().expect("a name")
}

/// A new main password of `name`.
pub(crate) fn revoked(name: &str, generation: u64) -> Revoked {
    Revoked {
        user: user(name),
        credential: CredentialName::Main,
        generation: Generation(generation),
        reason: "password-set".to_owned(),
        at: "2026-11-24T14:15:00Z".parse().expect("a time"),
    }
}

pub(crate) fn raised(now: u64) -> Raised {
    Raised { now: Generation(now), published: true }
}

pub(crate) fn kept(now: u64) -> Raised {
    Raised { now: Generation(now), published: false }
}
