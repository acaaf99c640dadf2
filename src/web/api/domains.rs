//! Domains: list, add, set, remove.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::account::DomainName;
use crate::administer::DomainRequest;
use crate::config::DEFAULT_POLICY;
use crate::store::Domain;
use crate::web::WebState;
use crate::web::guard::{Caller, OfDomain};
use crate::web::input::{Body, nullable};
use crate::web::problem::Problem;

/// A domain.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct DomainView {
    pub(crate) domain: String,
    /// The name of the password policy that holds there.
    pub(crate) profile: String,
    /// In bytes, for accounts without a quota of their own; `null` and 0 are no limit.
    pub(crate) default_quota: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct DomainList {
    pub(crate) domains: Vec<DomainView>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({ "domain": "example.org", "default_quota": 1_073_741_824 }))]
#[serde(deny_unknown_fields)]
pub(super) struct NewDomain {
    domain: String,
    profile: Option<String>,
    default_quota: Option<u64>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({ "default_quota": null }))]
#[serde(deny_unknown_fields)]
pub(super) struct DomainSettings {
    profile: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<u64>)]
    default_quota: Option<Option<u64>>,
}

impl From<Domain> for DomainView {
    fn from(domain: Domain) -> Self {
        Self { domain: domain.name.into(), profile: domain.profile, default_quota: domain.default_quota }
    }
}

/// All domains that the caller may deal with.
#[utoipa::path(get, path = "/domains", tag = "domains", responses((status = 200, body = DomainList)))]
pub(super) async fn list_domains(
    caller: Caller,
    State(state): State<Arc<WebState>>,
) -> Result<Json<DomainList>, Problem> {
    let mut domains = state.administer.domains().await?;
    domains.retain(|domain| caller.reaches(&domain.name));
    Ok(Json(DomainList { domains: domains.into_iter().map(Into::into).collect() }))
}

/// Makes a domain.
#[utoipa::path(
    post, path = "/domains", tag = "domains", request_body = NewDomain,
    responses((status = 201, body = DomainView), (status = 409), (status = 422))
)]
pub(super) async fn add_domain(
    caller: Caller,
    State(state): State<Arc<WebState>>,
    Body(request): Body<NewDomain>,
) -> Result<(StatusCode, Json<DomainView>), Problem> {
    let name: DomainName = request.domain.parse().map_err(|error| Problem::invalid(format!("`domain` {error}")))?;
    let author = caller.over(&name)?;
    let profile = request.profile.unwrap_or_else(|| DEFAULT_POLICY.to_owned());
    let domain = DomainRequest { name, profile, default_quota: request.default_quota };
    let domain = state.administer.add_domain(domain, &author, Timestamp::now()).await?;
    Ok((StatusCode::CREATED, Json(domain.into())))
}

/// Changes what the body names.
#[utoipa::path(
    patch, path = "/domains/{domain}", tag = "domains", request_body = DomainSettings,
    params(("domain" = String, Path, example = "example.org")),
    responses((status = 200, body = DomainView), (status = 404), (status = 422))
)]
pub(super) async fn set_domain(
    OfDomain { domain, author }: OfDomain,
    State(state): State<Arc<WebState>>,
    Body(settings): Body<DomainSettings>,
) -> Result<Json<DomainView>, Problem> {
    let DomainSettings { profile, default_quota } = settings;
    let domain = state.administer.set_domain(&domain, profile, default_quota, &author, Timestamp::now()).await?;
    Ok(Json(domain.into()))
}

/// Removes a domain that has no accounts.
#[utoipa::path(
    delete, path = "/domains/{domain}", tag = "domains", params(("domain" = String, Path, example = "example.org")),
    responses((status = 204), (status = 404), (status = 409))
)]
pub(super) async fn remove_domain(
    OfDomain { domain, author }: OfDomain,
    State(state): State<Arc<WebState>>,
) -> Result<StatusCode, Problem> {
    state.administer.remove_domain(&domain, &author, Timestamp::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}
