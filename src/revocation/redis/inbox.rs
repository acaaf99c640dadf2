//! What Redis says unasked, on its way from the connection to whoever follows.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ::redis::{PushInfo, PushKind, Value};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Duration, Instant};

use super::{Event, Revoked};
use crate::telemetry::metrics;

/// Unreadable messages are told no more often than this.
const COMPLAINT_INTERVAL: Duration = Duration::from_mins(1);

/// Takes messages without ever waiting: what holds it up would hold up the answers on the same connection.
#[derive(Debug)]
pub(super) struct Inbox {
    events: mpsc::Sender<Event>,
    channel: String,
    lagged: AtomicBool,
    unreadable: AtomicU64,
}

impl Inbox {
    pub(super) fn new(channel: String, events: mpsc::Sender<Event>) -> Self {
        Self { events, channel, lagged: AtomicBool::new(false), unreadable: AtomicU64::new(0) }
    }

    pub(super) fn take(&self, push: &PushInfo) {
        let [Value::BulkString(channel), Value::BulkString(message)] = push.data.as_slice() else { return };
        if push.kind != PushKind::Message || channel != self.channel.as_bytes() {
            return;
        }
        let Some(revoked) = Revoked::parse(message) else {
            self.unreadable.fetch_add(1, Ordering::Relaxed);
            metrics::redis_message("unreadable");
            return;
        };
        match self.events.try_send(Event::Message(revoked)) {
            Ok(()) => metrics::redis_message("heard"),
            Err(TrySendError::Full(_)) => {
                self.lagged.store(true, Ordering::Relaxed);
                metrics::redis_message("dropped");
            }
            // Nobody follows, which is theirs to decide.
            Err(TrySendError::Closed(_)) => {}
        }
    }

    /// Says that messages were dropped, once there is room to say it.
    pub(super) fn own_up(&self) {
        if self.lagged.load(Ordering::Relaxed)
            && let Ok(room) = self.events.try_reserve()
        {
            self.lagged.store(false, Ordering::Relaxed);
            room.send(Event::Lagged);
        }
    }

    /// Logs what could not be read since it was last said, unless that was just now.
    pub(super) fn complain(&self, now: Instant, last: &mut Option<Instant>) {
        let recent = last.is_some_and(|last| now.duration_since(last) < COMPLAINT_INTERVAL);
        if recent || self.unreadable.load(Ordering::Relaxed) == 0 {
            return;
        }
        *last = Some(now);
        let messages = self.unreadable.swap(0, Ordering::Relaxed);
        tracing::warn!(
            messages,
            channel = self.channel,
            "skipped messages that are none of ours; find out who sends them"
        );
    }
}
