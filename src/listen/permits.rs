//! Permits: how many connections a listener serves at a time, and how many of them one uid may hold.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::warn;

use crate::config;
use crate::telemetry::metrics;

#[derive(Debug)]
pub(super) struct Permits {
    listener: String,
    all: Arc<Semaphore>,
    per_user: u32,
    users: Mutex<HashMap<u32, Held>>,
}

/// What one uid holds. Its entry goes with its last connection, so the map is no larger than the listener.
#[derive(Debug, Default)]
struct Held {
    connections: u32,
    warned: bool,
}

impl Permits {
    pub(super) fn new(settings: &config::Listener) -> Arc<Self> {
        let connections = usize::try_from(settings.connections).unwrap_or(Semaphore::MAX_PERMITS);
        Arc::new(Self {
            listener: settings.name.clone(),
            all: Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS))),
            per_user: settings.connections_per_user,
            users: Mutex::default(),
        })
    }

    /// Waits for room. The semaphore is never closed, so its error cannot come; a permit without one is not counted.
    pub(super) async fn acquire(self: &Arc<Self>) -> Unassigned {
        let place = Arc::clone(&self.all).acquire_owned().await.ok();
        Unassigned { permits: Arc::clone(self), place }
    }

    fn users(&self) -> MutexGuard<'_, HashMap<u32, Held>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, uid: u32) -> bool {
        let mut users = self.users();
        let held = users.entry(uid).or_default();
        if held.connections < self.per_user {
            held.connections += 1;
            return true;
        }
        if !held.warned {
            held.warned = true;
            warn!(
                uid,
                "closing connections of a user that holds {} already; see `[listen.{}] connections_per_user`",
                self.per_user,
                self.listener
            );
        }
        false
    }

    fn give_back(&self, uid: u32) {
        if let Entry::Occupied(mut entry) = self.users().entry(uid) {
            let held = entry.get_mut();
            held.connections = held.connections.saturating_sub(1);
            if held.connections == 0 {
                entry.remove();
            }
        }
    }
}

/// Room for a connection that nobody has made yet.
#[derive(Debug)]
pub(super) struct Unassigned {
    permits: Arc<Permits>,
    place: Option<OwnedSemaphorePermit>,
}

impl Unassigned {
    /// `None` when the uid holds its share already. Over TCP there is no uid and only the listener's limit.
    pub(super) fn for_user(self, uid: Option<u32>) -> Option<Permit> {
        let Self { permits, place } = self;
        if uid.is_some_and(|uid| !permits.take(uid)) {
            metrics::connection_closed_on(&permits.listener);
            return None;
        }
        metrics::connection_opened(&permits.listener);
        Some(Permit { permits, uid, _place: place })
    }
}

/// A place taken, given back on drop.
#[derive(Debug)]
pub(super) struct Permit {
    permits: Arc<Permits>,
    uid: Option<u32>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(uid) = self.uid {
            self.permits.give_back(uid);
        }
        metrics::connection_closed(&self.permits.listener);
    }
}
