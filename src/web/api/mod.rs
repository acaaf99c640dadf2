//! API: the calls under `/api/v1`, and the OpenAPI document that describes them.
//!
//! A call translates its request, calls one use case, and translates the answer; what it may is `guard`'s business.

mod accounts;
mod audit;
mod auth;
mod clients;
mod daemon;
mod description;
mod domains;
mod passwords;
mod receipts;
mod tokens;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::DefaultBodyLimit;
use axum::{Json, Router, middleware};
use jiff::Timestamp;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::input::BODY_LIMIT;
use super::problem::Problem;
use super::{WebState, guard};
use crate::account::DomainName;
use crate::change_password::Moment;

pub(crate) use accounts::{AccountList, AccountMade, AccountSet, AccountView, LoginList};
pub(crate) use audit::{Audit, RowView};
pub(crate) use auth::LoginAccepted;
pub(crate) use clients::{ClientList, ClientView};
pub(crate) use daemon::StatusView;
pub(crate) use domains::{DomainList, DomainView};
pub(crate) use passwords::{Ended, PasswordSet};
pub(crate) use receipts::Receipt;
pub(crate) use tokens::{NewToken, TokenList, TokenView};

/// Where all calls live.
pub(super) const PREFIX: &str = "/api/v1";
/// Entries of a list in one answer, unless asked for fewer.
const PAGE: u32 = 1000;
/// A person who sets a password waits longer than a mail client that logs in.
const HASH_PATIENCE: Duration = Duration::from_secs(10);

/// The routes, each behind the guard.
pub(super) fn router(state: Arc<WebState>) -> Router {
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
        .routes(routes!(passwords::log_out_everyone))
        .routes(routes!(auth::authenticate))
        .routes(routes!(passwords::change_password))
        .routes(routes!(receipts::show_receipt))
        .routes(routes!(audit::list_changes))
        .routes(routes!(tokens::list_tokens, tokens::add_token))
        .routes(routes!(tokens::revoke_token))
        .routes(routes!(daemon::show_status));
    let (router, mut description) =
        OpenApiRouter::with_openapi(description::beginning()).nest(PREFIX, calls).split_for_parts();
    description::complete(&mut description);
    router
        .route(&format!("{PREFIX}/openapi.json"), axum::routing::get(async move || Json(description)))
        .layer(middleware::from_fn_with_state(Arc::clone(&state), guard::admit))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(state)
}

/// A call that hashes starts now and waits for the hash pool only so long.
fn moment() -> Moment {
    Moment { now: Timestamp::now(), deadline: Instant::now() + HASH_PATIENCE }
}

/// How many entries an answer shall have.
fn page_size(limit: Option<u32>) -> Result<u32, Problem> {
    let limit = limit.unwrap_or(PAGE);
    if (1..=PAGE).contains(&limit) { Ok(limit) } else { Err(Problem::invalid(format!("`limit` is 1 to {PAGE}"))) }
}

/// Leaves one page of what was read, and says whether there was more.
fn cut<T>(entries: &mut Vec<T>, limit: u32) -> bool {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = entries.len() > limit;
    entries.truncate(limit);
    more
}

/// The domain that a parameter names; what cannot be a name is nobody's.
fn domain_of(text: &str) -> Result<DomainName, Problem> {
    text.parse().map_err(|_| Problem::no_domain())
}
