//! Metrics: counted where it happens, read at `/metrics`. Every name and its help stand in one table, in [`Metrics::new`].
//!
//! Trusts: nobody's text. A label is one of a fixed set, or comes from the configuration; what a client calls its
//!         service is counted as `other` unless it is known.
//! Fails:  never.

use std::sync::LazyLock;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use prometheus_client::encoding::text::encode as encode_registry;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

type Fixed = (&'static str, &'static str);
type Named = (&'static str, String);

/// What Dovecot, Postfix, Exim and we ourselves call a service.
const SERVICES: [&str; 12] = [
    "imap",
    "pop3",
    "smtp",
    "submission",
    "sieve",
    "managesieve",
    "lmtp",
    "lda",
    "doveadm",
    "http",
    "panel",
    "poppassd",
];

static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);

#[derive(Debug)]
struct Metrics {
    registry: Registry,
    logins: Family<[Fixed; 2], Counter>,
    login_entries_dropped: Counter,
    cache: Family<[Fixed; 1], Counter>,
    hash_queue: Gauge,
    hash_seconds: Histogram,
    hash_turned_away: Family<[Fixed; 1], Counter>,
    connections: Family<[Named; 1], Gauge<i64, AtomicI64>>,
    connections_accepted: Family<[Named; 1], Counter>,
    connections_closed_on: Family<[Named; 1], Counter>,
    store_errors: Counter,
    changes: Family<[Fixed; 1], Counter>,
    outbox_open: Gauge,
    sessions_ended: Family<[Named; 1], Counter>,
    kick_errors: Family<[Named; 1], Counter>,
    redis_connected: Gauge,
    redis_raises: Family<[Fixed; 1], Counter>,
    redis_messages: Family<[Fixed; 1], Counter>,
    redis_errors: Family<[Fixed; 1], Counter>,
    redis_logins_dropped: Counter,
}

impl Metrics {
    fn new() -> Self {
        let mut table = Registry::with_prefix("gatepost");
        let logins = Family::default();
        table.register("logins", "Attempts to log in, by verdict and service", logins.clone());
        let login_entries_dropped = Counter::default();
        let help = "Login records that were not kept because the store did not keep up";
        table.register("login_entries_dropped", help, login_entries_dropped.clone());
        let cache = Family::default();
        let help = "Passwords looked up in the cache: remembered as right or wrong, or not (any more)";
        table.register("cache_lookups", help, cache.clone());
        let hash_queue = Gauge::default();
        table.register("hash_queue_jobs", "Hashes that wait for a thread", hash_queue.clone());
        // 1 ms to 4 s, which is as long as a login may take.
        let hash_seconds = Histogram::new(exponential_buckets(0.001, 2.0, 13));
        table.register("hash_seconds", "What one hash took to compute", hash_seconds.clone());
        let hash_turned_away = Family::default();
        table.register("hash_turned_away", "Hashes that were not computed, by reason", hash_turned_away.clone());
        let connections = Family::default();
        table.register("connections", "Connections that are open, by listener", connections.clone());
        let connections_accepted = Family::default();
        table.register("connections_accepted", "Connections accepted, by listener", connections_accepted.clone());
        let connections_closed_on = Family::default();
        let help = "Connections closed at once because their user held its share of the listener";
        table.register("connections_closed_on", help, connections_closed_on.clone());
        let store_errors = Counter::default();
        table.register("store_errors", "Questions that the store could not answer", store_errors.clone());
        let changes = Family::default();
        table.register("changes", "Changes committed, by kind", changes.clone());
        let outbox_open = Gauge::default();
        table.register("outbox_open", "Changes that have not arrived everywhere", outbox_open.clone());
        let sessions_ended = Family::default();
        let help = "Sessions of before a change that were ended, by Dovecot";
        table.register("sessions_ended", help, sessions_ended.clone());
        let kick_errors = Family::default();
        table.register("kick_errors", "Times that a Dovecot could not be asked to end sessions", kick_errors.clone());
        let redis_connected = Gauge::default();
        table.register("redis_connected", "Whether there is a connection to Redis", redis_connected.clone());
        let redis_raises = Family::default();
        table.register("redis_raises", "Generations raised in Redis, by outcome", redis_raises.clone());
        let redis_messages = Family::default();
        let help = "Messages of changes that came through Redis, by what became of them";
        table.register("redis_messages", help, redis_messages.clone());
        let redis_errors = Family::default();
        table.register("redis_errors", "Questions that Redis did not answer, by reason", redis_errors.clone());
        let redis_logins_dropped = Counter::default();
        let help = "Logins whose generation was not compared with Redis because too many waited";
        table.register("redis_logins_dropped", help, redis_logins_dropped.clone());
        table.register("build", "The version that runs", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        Self {
            registry: table,
            logins,
            login_entries_dropped,
            cache,
            hash_queue,
            hash_seconds,
            hash_turned_away,
            connections,
            connections_accepted,
            connections_closed_on,
            store_errors,
            changes,
            outbox_open,
            sessions_ended,
            kick_errors,
            redis_connected,
            redis_raises,
            redis_messages,
            redis_errors,
            redis_logins_dropped,
        }
    }
}

/// Everything counted so far, in the text format of OpenMetrics.
#[must_use]
pub fn encode() -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = encode_registry(&mut text, &METRICS.registry);
    text
}

pub fn login(verdict: &'static str, service: &str) {
    let service = SERVICES.into_iter().find(|known| known.eq_ignore_ascii_case(service)).unwrap_or("other");
    METRICS.logins.get_or_create(&[("verdict", verdict), ("service", service)]).inc();
}

pub fn login_entries_dropped(entries: usize) {
    METRICS.login_entries_dropped.inc_by(u64::try_from(entries).unwrap_or(u64::MAX));
}

/// `right`, `wrong` or `none`.
pub fn cache(remembered: &'static str) {
    METRICS.cache.get_or_create(&[("remembered", remembered)]).inc();
}

pub fn hash_queue(jobs: usize) {
    METRICS.hash_queue.set(i64::try_from(jobs).unwrap_or(i64::MAX));
}

pub fn hash_took(time: Duration) {
    METRICS.hash_seconds.observe(time.as_secs_f64());
}

pub fn hash_turned_away(reason: &'static str) {
    METRICS.hash_turned_away.get_or_create(&[("reason", reason)]).inc();
}

pub fn store_error() {
    METRICS.store_errors.inc();
}

pub fn change(kind: &'static str) {
    METRICS.changes.get_or_create(&[("kind", kind)]).inc();
}

pub fn outbox_open(rows: usize) {
    METRICS.outbox_open.set(i64::try_from(rows).unwrap_or(i64::MAX));
}

pub fn sessions_ended(dovecot: &str, sessions: u64) {
    METRICS.sessions_ended.get_or_create(&[("dovecot", dovecot.to_owned())]).inc_by(sessions);
}

pub fn kick_failed(dovecot: &str) {
    METRICS.kick_errors.get_or_create(&[("dovecot", dovecot.to_owned())]).inc();
}

pub fn redis_connected(connected: bool) {
    METRICS.redis_connected.set(connected.into());
}

pub fn redis_raise(outcome: &'static str) {
    METRICS.redis_raises.get_or_create(&[("outcome", outcome)]).inc();
}

pub fn redis_message(fate: &'static str) {
    METRICS.redis_messages.get_or_create(&[("fate", fate)]).inc();
}

pub fn redis_error(reason: &'static str) {
    METRICS.redis_errors.get_or_create(&[("reason", reason)]).inc();
}

pub fn redis_login_dropped() {
    METRICS.redis_logins_dropped.inc();
}

pub fn connection_opened(listener: &str) {
    let label = [("listener", listener.to_owned())];
    METRICS.connections_accepted.get_or_create(&label).inc();
    METRICS.connections.get_or_create(&label).inc();
}

pub fn connection_closed(listener: &str) {
    METRICS.connections.get_or_create(&[("listener", listener.to_owned())]).dec();
}

pub fn connection_closed_on(listener: &str) {
    METRICS.connections_closed_on.get_or_create(&[("listener", listener.to_owned())]).inc();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_can_be_read() {
        login("accept", "imap");
        login("refuse", "IMAP");
        connection_opened("submission");
        connection_opened("submission");
        connection_closed("submission");
        hash_queue(7);
        hash_took(Duration::from_millis(3));
        hash_turned_away("full");
        change("password-set");
        cache("right");
        redis_connected(true);
        redis_raise("raised");
        redis_message("heard");
        redis_error("late");
        let text = encode();
        for line in [
            "gatepost_logins_total{verdict=\"accept\",service=\"imap\"} 1",
            "gatepost_logins_total{verdict=\"refuse\",service=\"imap\"} 1",
            "gatepost_connections{listener=\"submission\"} 1",
            "gatepost_connections_accepted_total{listener=\"submission\"} 2",
            "gatepost_hash_queue_jobs 7",
            "gatepost_hash_seconds_bucket{le=\"0.002\"} 0",
            "gatepost_hash_seconds_bucket{le=\"0.004\"} 1",
            "gatepost_hash_turned_away_total{reason=\"full\"} 1",
            "gatepost_changes_total{kind=\"password-set\"} 1",
            "gatepost_cache_lookups_total{remembered=\"right\"} 1",
            "gatepost_redis_connected 1",
            "gatepost_redis_raises_total{outcome=\"raised\"} 1",
            "gatepost_redis_messages_total{fate=\"heard\"} 1",
            "gatepost_redis_errors_total{reason=\"late\"} 1",
        ] {
            assert!(text.lines().any(|written| written == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn a_client_cannot_make_labels() {
        login("refuse", "imap\",x=\"y");
        login("refuse", &"x".repeat(1000));
        let text = encode();
        assert!(text.contains("gatepost_logins_total{verdict=\"refuse\",service=\"other\"} 2"), "{text}");
        assert!(!text.contains("xxx") && !text.contains("x=\\\""), "{text}");
    }
}
