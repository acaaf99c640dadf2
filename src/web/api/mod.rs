//! API: the calls under `/api/v1`, and the OpenAPI document that describes them.
//!
//! A call translates its request, calls one use case, and translates the answer; what it may is `guard`'s business.

mod accounts;
mod auth;
mod clients;
mod daemon;
mod domains;
mod passwords;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::DefaultBodyLimit;
use axum::{Json, Router, middleware};
use jiff::Timestamp;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::input::BODY_LIMIT;
use super::problem::Problem;
use super::{WebState, guard};
use crate::account::{DomainName, Username};
use crate::change_password::Moment;

pub(crate) use accounts::{AccountList, AccountMade, AccountView, LoginList};
pub(crate) use auth::LoginAccepted;
pub(crate) use clients::{ClientList, ClientView};
pub(crate) use daemon::StatusView;
pub(crate) use domains::{DomainList, DomainView};
pub(crate) use passwords::{LoggedOut, PasswordSet};

/// Where all calls live.
const PREFIX: &str = "/api/v1";
/// A person who sets a password waits longer than a mail client that logs in.
const HASH_PATIENCE: Duration = Duration::from_secs(10);

#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "gatepost", description = "Mailboxes, their passwords, and who is logged in.", license(name = "MIT")),
    components(schemas(Problem))
)]
struct Description;

/// The routes, and their description.
pub(super) fn router(state: Arc<WebState>) -> (Router, utoipa::openapi::OpenApi) {
    let calls = OpenApiRouter::new()
        .routes(routes!(domains::list_domains, domains::add_domain))
        .routes(routes!(domains::set_domain, domains::remove_domain))
        .routes(routes!(accounts::list_accounts, accounts::add_account))
        .routes(routes!(accounts::show_account, accounts::set_account, accounts::remove_account))
        .routes(routes!(accounts::show_generation))
        .routes(routes!(accounts::list_logins))
        .routes(routes!(clients::list_clients, clients::report_client))
        .routes(routes!(clients::forget_client))
        .routes(routes!(passwords::reset_password))
        .routes(routes!(passwords::log_out))
        .routes(routes!(auth::authenticate))
        .routes(routes!(daemon::show_status));
    let for_all = OpenApiRouter::new().routes(routes!(passwords::change_password));
    let (closed, description) =
        OpenApiRouter::with_openapi(Description::openapi()).nest(PREFIX, calls).split_for_parts();
    let (open, description) = OpenApiRouter::with_openapi(description).nest(PREFIX, for_all).split_for_parts();
    let served = Json(description.clone());
    let router = closed
        .route(&format!("{PREFIX}/openapi.json"), axum::routing::get(async move || served))
        .fallback(guard::no_such_call)
        .method_not_allowed_fallback(guard::no_such_method)
        .layer(middleware::from_fn(guard::require_admin))
        .merge(open.method_not_allowed_fallback(guard::no_such_method))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(state);
    (router, description)
}

/// A call that hashes starts now and waits for the hash pool only so long.
fn moment() -> Moment {
    Moment { now: Timestamp::now(), deadline: Instant::now() + HASH_PATIENCE }
}

/// The account that a path names; what cannot be a name is nobody's.
fn user_of(state: &WebState, text: &str) -> Result<Username, Problem> {
    state.username(text).map_err(|_| Problem::no_account())
}

fn domain_of(text: &str) -> Result<DomainName, Problem> {
    text.parse().map_err(|_| Problem::no_domain())
}
