//! History: login entries, and the clients behind them, on their way to the store, off the login's path.
//!
//! Fails:  by dropping entries, counted, when the store is slower than the logins; a login never waits for its entry.
//! Limits: what waits in the queue is lost when the process is killed.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::store::{LoginEntry, Sighting, Store};
use crate::telemetry::metrics;

/// Entries that may wait for the store.
const QUEUE: usize = 4_096;
/// Entries written in one transaction.
const BATCH: usize = 256;

/// What is written together.
type Entry = (LoginEntry, Option<Sighting>);

/// The end of the queue that logins are handed to.
#[derive(Clone, Debug)]
pub struct History {
    queue: mpsc::Sender<Entry>,
}

/// The other end: writes until the queue is empty and `shutdown` has come.
#[derive(Debug)]
pub struct Writer {
    queue: mpsc::Receiver<Entry>,
    store: Arc<dyn Store>,
}

#[must_use]
pub fn history(store: Arc<dyn Store>) -> (History, Writer) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    (History { queue: sender }, Writer { queue: receiver, store })
}

impl History {
    pub fn record(&self, login: LoginEntry, client: Option<Sighting>) {
        if self.queue.try_send((login, client)).is_err() {
            metrics::login_entries_dropped(1);
        }
    }
}

impl Writer {
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                _ = self.queue.recv_many(&mut batch, BATCH) => {}
                () = shutdown.cancelled() => self.queue.close(),
            }
            // A closed queue still gives what it holds.
            if batch.is_empty() && self.queue.recv_many(&mut batch, BATCH).await == 0 {
                return;
            }
            let (logins, clients): (Vec<_>, Vec<_>) = batch.drain(..).unzip();
            let clients: Vec<_> = clients.into_iter().flatten().collect();
            if let Err(error) = self.store.record_logins(&logins, &clients).await {
                metrics::login_entries_dropped(logins.len());
                tracing::warn!(entries = logins.len(), %error, "login entries lost");
            }
        }
    }
}
