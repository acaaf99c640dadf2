//! History: login entries on their way to the store, off the login's path.
//!
//! Fails:  by dropping entries, counted, when the store is slower than the logins; a login never waits for its entry.
//! Limits: what waits in the queue is lost when the process is killed.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::store::{LoginEntry, Store};
use crate::telemetry::metrics;

/// Entries that may wait for the store.
const QUEUE: usize = 4_096;
/// Entries written in one transaction.
const BATCH: usize = 256;

/// The end of the queue that logins are handed to.
#[derive(Clone, Debug)]
pub struct History {
    queue: mpsc::Sender<LoginEntry>,
}

/// The other end: writes until the queue is empty and `shutdown` has come.
#[derive(Debug)]
pub struct Writer {
    queue: mpsc::Receiver<LoginEntry>,
    store: Arc<dyn Store>,
}

#[must_use]
pub fn history(store: Arc<dyn Store>) -> (History, Writer) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    (History { queue: sender }, Writer { queue: receiver, store })
}

impl History {
    pub fn record(&self, entry: LoginEntry) {
        if self.queue.try_send(entry).is_err() {
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
            if let Err(error) = self.store.record_logins(&batch).await {
                metrics::login_entries_dropped(batch.len());
                tracing::warn!(entries = batch.len(), %error, "login entries lost");
            }
            batch.clear();
        }
    }
}
