//! Status: is the process alive, can it work, what has it counted. A listener of its own, never the public one.
//!
//! Trusts: whoever reaches the listener to see counts, never names.
//! Fails:  `/readyz` says 503 when the store cannot be written to; `/healthz` only ever fails by silence.
//! Limits: the store is asked once a second at most, so `/readyz` may be that old.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::routing::get;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::store::Store;
use crate::telemetry::metrics;

/// How long an answer of the store is good for.
const READINESS_AGE: Duration = Duration::from_secs(1);
/// How long the store may take to answer.
const STORE_PATIENCE: Duration = Duration::from_secs(2);

/// The store, and what it last said.
#[derive(Debug)]
pub(super) struct Readiness {
    store: Arc<dyn Store>,
    /// Held while the store is asked, so that many who ask at once make one question.
    last: Mutex<Option<(Instant, Result<(), String>)>>,
}

pub(super) fn router(readiness: Arc<Readiness>) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(readiness)
}

/// Says that, not why: the reason names paths, and is in the log.
async fn readyz(State(readiness): State<Arc<Readiness>>) -> (StatusCode, &'static str) {
    match readiness.check().await {
        Ok(()) => (StatusCode::OK, "ready\n"),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "not ready; the log says why\n"),
    }
}

async fn metrics() -> ([(HeaderName, &'static str); 1], String) {
    ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], metrics::encode())
}

impl Readiness {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, last: Mutex::new(None) }
    }

    /// Whether the daemon can work now, or why not.
    pub(super) async fn check(&self) -> Result<(), String> {
        let mut last = self.last.lock().await;
        if let Some((at, outcome)) = &*last
            && at.elapsed() < READINESS_AGE
        {
            return outcome.clone();
        }
        let outcome = match tokio::time::timeout(STORE_PATIENCE, self.store.check()).await {
            Ok(checked) => checked.map_err(|error| error.to_string()),
            Err(_) => Err(format!("the store did not answer within {} s", STORE_PATIENCE.as_secs())),
        };
        if let Err(problem) = &outcome {
            tracing::warn!(problem, "not ready");
        }
        *last = Some((Instant::now(), outcome.clone()));
        outcome
    }
}
