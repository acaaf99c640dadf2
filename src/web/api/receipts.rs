//! Receipts: what a change has ended, where, and what of it is still to be done.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::account::{DomainName, Generation, Username};
use crate::store::{ChangeKind, Delivery, EVERYONE, Role, Row, RowNumber, Step};
use crate::web::WebState;
use crate::web::guard::Caller;
use crate::web::input::Path;
use crate::web::problem::Problem;

/// What has become of a change that took or gave a right.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Receipt {
    /// The number of the change in the log.
    pub(crate) id: u64,
    /// A full address, or `*` for everyone.
    pub(crate) user: String,
    /// The number of an application password; `null` where the change is about the account.
    pub(crate) credential: Option<String>,
    /// Whatever was granted under a lower one is void.
    pub(crate) generation: u64,
    pub(crate) reason: ChangeKind,
    pub(crate) at: String,
    /// Nothing is left to be done.
    pub(crate) complete: bool,
    pub(crate) steps: Vec<Step>,
}

impl From<Delivery> for Receipt {
    fn from(delivery: Delivery) -> Self {
        let generation = delivery.generation().unwrap_or(Generation(delivery.row.number.0));
        let Delivery { row, complete, steps } = delivery;
        Self {
            id: row.number.0,
            user: row.subject,
            credential: row.credential.map(|name| name.to_string()),
            generation: generation.0,
            reason: row.kind,
            at: row.at.to_string(),
            complete,
            steps,
        }
    }
}

impl Receipt {
    /// As far as the caller may know it: why a step is not done yet names places of ours, and is for admins.
    pub(super) fn told_to(caller: &Caller, delivery: Delivery) -> Self {
        let mut receipt = Self::from(delivery);
        if caller.role() != Some(Role::Admin) {
            receipt.steps.iter_mut().for_each(|step| step.note = None);
        }
        receipt
    }
}

/// The receipt of a change, as of now. For whoever made the change, and for admins of its domain; a webmail's token
/// reads those of its users' own changes too.
#[utoipa::path(
    get, path = "/receipts/{id}", tag = "receipts", params(("id" = u64, Path)),
    responses((status = 200, body = Receipt), (status = 404))
)]
pub(super) async fn show_receipt(
    caller: Caller,
    State(state): State<Arc<WebState>>,
    Path(id): Path<String>,
) -> Result<Json<Receipt>, Problem> {
    // What is no number is no row's; what the caller may not see is not told from what is not there.
    let number = id.parse().map_err(|_| no_receipt())?;
    let delivery = state.administer.receipt(RowNumber(number)).await?.ok_or_else(no_receipt)?;
    if may_read(&caller, &delivery.row) { Ok(Json(Receipt::told_to(&caller, delivery))) } else { Err(no_receipt()) }
}

fn may_read(caller: &Caller, row: &Row) -> bool {
    let domain: Option<DomainName> = row.subject.parse().ok().map(|user: Username| user.domain());
    match (domain, caller.role()) {
        (Some(domain), Some(Role::Admin)) => caller.reaches(&domain),
        (Some(domain), Some(Role::Webmail)) => {
            caller.reaches(&domain) && (row.who == caller.name() || row.who == row.subject)
        }
        (None, _) => row.subject == EVERYONE && caller.is_unlimited(),
        _ => false,
    }
}

fn no_receipt() -> Problem {
    Problem::new(axum::http::StatusCode::NOT_FOUND, "no-receipt", "there is no such receipt")
}
