//! The task that keeps one connection: opens it, watches it, lets it go at the first doubt, and opens the next.

use std::mem::{Discriminant, discriminant};
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::inbox::Inbox;
use super::link::{Link, OpenError};
use super::{Event, Settings, locate, message};
use crate::telemetry::metrics;

/// How often the server is asked whether it is still there.
const PULSE: Duration = Duration::from_secs(1);
/// A connection that held so long was a good one; after it the next is tried without a pause.
const STEADY: Duration = Duration::from_secs(5);
/// Pauses between attempts, to which as much again is added at random: ten daemons must not knock all at once.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Keeper {
    settings: Arc<Settings>,
    slot: watch::Sender<Option<Arc<Link>>>,
    events: mpsc::Sender<Event>,
    inbox: Arc<Inbox>,
    stop: CancellationToken,
}

impl Keeper {
    pub(super) fn new(
        settings: Arc<Settings>,
        slot: watch::Sender<Option<Arc<Link>>>,
        events: mpsc::Sender<Event>,
        stop: CancellationToken,
    ) -> Self {
        let inbox = Arc::new(Inbox::new(message::channel(&settings.prefix), events.clone()));
        Self { settings, slot, events, inbox, stop }
    }

    pub(super) async fn run(self) {
        self.stop.run_until_cancelled(self.keep()).await;
        self.slot.send_replace(None);
        metrics::redis_connected(false);
    }

    async fn keep(&self) {
        let mut pauses = pauses();
        loop {
            let link = Arc::new(self.connect(&mut pauses).await);
            let since = Instant::now();
            self.slot.send_replace(Some(Arc::clone(&link)));
            metrics::redis_connected(true);
            tracing::info!(server = %link.address(), "connected to Redis");
            self.tell(Event::Connected).await;
            let why = self.watch_over(&link).await;
            self.slot.send_replace(None);
            metrics::redis_connected(false);
            tracing::warn!(server = %link.address(), why, "lost the connection to Redis; changes wait for the next one");
            self.tell(Event::Disconnected).await;
            if since.elapsed() >= STEADY {
                pauses = self::pauses();
            } else {
                pause(&mut pauses).await;
            }
        }
    }

    /// Tries until there is one. Each reason why there is none is told once.
    async fn connect(&self, pauses: &mut ExponentialBackoff) -> Link {
        let mut told: Vec<Discriminant<OpenError>> = Vec::new();
        loop {
            let error = match locate::open(&self.settings, &self.inbox).await {
                Ok(link) => return link,
                Err(error) => error,
            };
            metrics::redis_error("not-opened");
            if !told.contains(&discriminant(&error)) {
                told.push(discriminant(&error));
                tracing::warn!(%error, "there is no connection to Redis; trying again until there is one");
            }
            pause(pauses).await;
        }
    }

    /// Until the connection is lost; says why.
    async fn watch_over<'link>(&self, link: &'link Link) -> &'link str {
        let mut pulse = interval(PULSE);
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last_complaint = None;
        loop {
            tokio::select! {
                why = link.lost() => return why,
                now = pulse.tick() => {
                    match timeout(self.settings.response_timeout, link.check()).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => link.lose(error.to_string()),
                        Err(_) => link.lose("it does not answer".to_owned()),
                    }
                    if !locate::is_still_named(link, &self.settings).await {
                        link.lose("Sentinel names another master".to_owned());
                    }
                    self.inbox.own_up();
                    self.inbox.complain(now, &mut last_complaint);
                }
            }
        }
    }

    async fn tell(&self, event: Event) {
        // Nobody may follow; the counters are there all the same.
        let _ = self.events.send(event).await;
    }
}

fn pauses() -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(FIRST_PAUSE)
        .with_max_delay(LAST_PAUSE)
        .without_max_times()
        .with_jitter()
        .build()
}

async fn pause(pauses: &mut ExponentialBackoff) {
    sleep(pauses.next().unwrap_or(LAST_PAUSE)).await;
}
