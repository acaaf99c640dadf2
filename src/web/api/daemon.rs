//! Daemon: what the process says of itself to those who run it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::web::WebState;
use crate::web::guard::Caller;
use crate::web::problem::Problem;

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct StatusView {
    pub(crate) version: String,
    pub(crate) ready: bool,
    /// Why not ready.
    pub(crate) problem: Option<String>,
}

/// Whether the daemon can work now, and why not.
#[utoipa::path(get, path = "/status", tag = "daemon", responses((status = 200, body = StatusView)))]
pub(super) async fn show_status(
    caller: Caller,
    State(state): State<Arc<WebState>>,
) -> Result<Json<StatusView>, Problem> {
    caller.over_everything()?;
    let problem = state.readiness.check().await.err();
    Ok(Json(StatusView { version: env!("CARGO_PKG_VERSION").to_owned(), ready: problem.is_none(), problem }))
}
