//! Keeper: what became known of rows, on its way into the store. Whatever waits is written together, so that a thousand
//! changes at once cost a few writes, and whoever commits another change is never behind more than one of them.
//!
//! Fails:  never. While the store is away one write at a time is tried again; the log says so once.
//! Limits: what waits here when the daemon ends is found out anew at the next start.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use crate::store::{Delivery, Store};

/// Groups that may wait to be written; more wait outside.
const QUEUE: usize = 1_024;
/// Groups whose rows are written together.
const BATCH: usize = 256;
/// Before what could not be written is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// Where groups hand over what became known.
#[derive(Clone, Debug)]
pub(super) struct Keeper {
    queue: mpsc::Sender<Handed>,
}

/// The other end, which writes.
#[derive(Debug)]
pub(super) struct Writer {
    queue: mpsc::Receiver<Handed>,
}

#[derive(Debug)]
struct Handed {
    rows: Vec<Delivery>,
    kept: oneshot::Sender<()>,
}

pub(super) fn keeper() -> (Keeper, Writer) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    (Keeper { queue: sender }, Writer { queue: receiver })
}

impl Keeper {
    /// Waits until the store knows it. `false` when nobody writes any more, and it may not.
    pub(super) async fn keep(&self, rows: Vec<Delivery>) -> bool {
        let (kept, is_kept) = oneshot::channel();
        self.queue.send(Handed { rows, kept }).await.is_ok() && is_kept.await.is_ok()
    }
}

impl Writer {
    pub(super) async fn run(mut self, store: Arc<dyn Store>) {
        let mut batch = Vec::with_capacity(BATCH);
        while self.queue.recv_many(&mut batch, BATCH).await != 0 {
            let rows: Vec<_> = batch.iter_mut().flat_map(|handed| std::mem::take(&mut handed.rows)).collect();
            write(&*store, &rows).await;
            for Handed { kept, .. } in batch.drain(..) {
                // Who handed it over may have begun anew meanwhile.
                let _ = kept.send(());
            }
        }
    }
}

async fn write(store: &dyn Store, rows: &[Delivery]) {
    let mut is_away = false;
    while let Err(error) = store.settle(rows).await {
        if !is_away {
            tracing::warn!(%error, "cannot keep how far changes have come; trying again each second");
        }
        is_away = true;
        sleep(PAUSE).await;
    }
    if is_away {
        tracing::info!("how far changes have come is kept again");
    }
}
