//! Audit: the change log, newest first.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::domain_of;
use crate::store::{AuditFilter, ChangeKind, Door, Row, RowNumber};
use crate::web::WebState;
use crate::web::guard::Caller;
use crate::web::input::Parameters;
use crate::web::problem::Problem;

/// One change: who did what, to whom, through which door, from where, when.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct RowView {
    pub(crate) number: u64,
    pub(crate) at: String,
    pub(crate) kind: ChangeKind,
    /// A full address, a domain, `token:NAME`, or `*` for everyone.
    pub(crate) subject: String,
    /// Which password, where it is not the account as a whole: `main`, or the number of an application password.
    pub(crate) credential: Option<String>,
    /// `uid:N` on the admin socket, `token:NAME`, or the address of whoever gave the password.
    pub(crate) who: String,
    pub(crate) door: Door,
    /// An address, or `local:UID`.
    pub(crate) origin: Option<String>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Audit {
    pub(crate) rows: Vec<RowView>,
    /// What to send as `before` for the next page; `null` on the last.
    pub(crate) next: Option<u64>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Selection {
    /// Only rows about this account.
    user: Option<String>,
    /// Only rows about this domain and its accounts. A token for several domains must name one.
    domain: Option<String>,
    kind: Option<ChangeKind>,
    /// Only what this author did.
    who: Option<String>,
    door: Option<Door>,
    /// At this time (RFC 3339) or later.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// Only rows with a lower number.
    before: Option<u64>,
    /// At most so many.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// No store counts further, and no description of numbers goes further.
fn row_number(number: u64) -> Result<RowNumber, Problem> {
    i64::try_from(number).map_err(|_| Problem::invalid(format!("`before` is at most {}", i64::MAX)))?;
    Ok(RowNumber(number))
}

impl From<Row> for RowView {
    fn from(row: Row) -> Self {
        Self {
            number: row.number.0,
            at: row.at.to_string(),
            kind: row.kind,
            subject: row.subject,
            credential: row.credential.map(|name| name.to_string()),
            who: row.who,
            door: row.door,
            origin: row.origin,
        }
    }
}

/// The changes that were made, newest first.
#[utoipa::path(
    get, path = "/audit", tag = "audit", params(Selection), responses((status = 200, body = Audit), (status = 404))
)]
pub(super) async fn list_changes(
    caller: Caller,
    State(state): State<Arc<WebState>>,
    Parameters(selection): Parameters<Selection>,
) -> Result<Json<Audit>, Problem> {
    let limit = super::page_size(selection.limit)?;
    let user = selection
        .user
        .map(|text| state.username(&text).map_err(|error| Problem::invalid(format!("`user` {error}"))))
        .transpose()?;
    let domain = selection.domain.as_deref().map(domain_of).transpose()?;
    if let Some(user) = &user {
        caller.over(&user.domain())?;
    }
    let domain = if user.is_some() && domain.is_none() { None } else { caller.one_domain(domain)? };
    let filter = AuditFilter {
        user,
        domain,
        kind: selection.kind,
        who: selection.who,
        door: selection.door,
        since: selection.since,
        until: selection.until,
        before: selection.before.map(row_number).transpose()?,
        limit: limit.saturating_add(1),
    };
    let mut rows = state.administer.audit(&filter).await?;
    let more = super::cut(&mut rows, limit);
    let next = rows.last().filter(|_| more).map(|row| row.number.0);
    Ok(Json(Audit { rows: rows.into_iter().map(Into::into).collect(), next }))
}
