//! Accounts: list, add, show, set, remove; their generation and their logins.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::passwords::{self, Ended};
use super::receipts::Receipt;
use super::{cut, moment, page_size};
use crate::account::{Account, AccountType, Generation, Username};
use crate::administer::{AccountRequest, AccountSettings};
use crate::store::{AccountPage, LoginEntry, LoginOutcome};
use crate::web::WebState;
use crate::web::guard::{Caller, OfAccount};
use crate::web::input::{Body, Parameters, SecretText, nullable};
use crate::web::problem::Problem;

/// Logins in one answer.
const LOGINS: u32 = 100;

/// An account.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct AccountView {
    pub(crate) user: String,
    pub(crate) name: Option<String>,
    /// In bytes; `null` is the domain's default, 0 is no limit.
    pub(crate) quota: Option<u64>,
    pub(crate) enabled: bool,
    #[serde(rename = "type")]
    pub(crate) account_type: AccountType,
    pub(crate) main_password_for_mail: bool,
    pub(crate) fields: BTreeMap<String, String>,
    pub(crate) generation: u64,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct AccountList {
    pub(crate) accounts: Vec<AccountView>,
    /// What to send as `after` for the next page; `null` on the last.
    pub(crate) next: Option<String>,
}

/// An account that was made, with the password if it was generated.
#[derive(Serialize, Deserialize, ToSchema)]
pub(crate) struct AccountMade {
    #[serde(flatten)]
    pub(crate) account: AccountView,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) password: Option<String>,
    pub(crate) receipt: Receipt,
}

/// An account as it was set.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct AccountSet {
    #[serde(flatten)]
    pub(crate) account: AccountView,
    /// `null` where no right was given or taken: nobody has to hear of that.
    pub(crate) receipt: Option<Receipt>,
}

/// An attempt to log in.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct LoginView {
    pub(crate) at: String,
    pub(crate) accepted: bool,
    /// Refused, with the password that was replaced lately: a device that has not heard of the new one.
    #[serde(default)]
    pub(crate) previous_password: bool,
    /// `main`, or the number of an application password; `null` when none was right.
    pub(crate) credential: Option<String>,
    pub(crate) service: String,
    /// An address, or `local:UID`.
    pub(crate) origin: String,
    pub(crate) session: Option<String>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct LoginList {
    pub(crate) logins: Vec<LoginView>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct GenerationView {
    pub(crate) generation: u64,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Selection {
    /// Only accounts of this domain. A token for several domains must name one.
    domain: Option<String>,
    /// Part of an address or of a name.
    q: Option<String>,
    /// Only accounts after this one.
    after: Option<String>,
    /// At most so many.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// Exactly one of `password`, `hash` and `generate`.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({ "user": "ann@example.org", "generate": true, "name": "Ann", "quota": 5_368_709_120_u64 }))]
#[serde(deny_unknown_fields)]
pub(super) struct AccountBody {
    user: String,
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<SecretText>,
    #[schema(value_type = Option<String>, format = Password)]
    hash: Option<SecretText>,
    generate: Option<bool>,
    name: Option<String>,
    quota: Option<u64>,
    enabled: Option<bool>,
    #[serde(rename = "type")]
    account_type: Option<AccountType>,
    main_password_for_mail: Option<bool>,
    #[serde(default)]
    fields: BTreeMap<String, String>,
}

/// What is absent stays as it is; `fields` is the whole map.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({ "name": "Ann", "quota": null }))]
#[serde(deny_unknown_fields)]
pub(super) struct SettingsBody {
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    name: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<u64>)]
    quota: Option<Option<u64>>,
    enabled: Option<bool>,
    #[serde(rename = "type")]
    account_type: Option<AccountType>,
    main_password_for_mail: Option<bool>,
    fields: Option<BTreeMap<String, String>>,
}

impl From<Account> for AccountView {
    fn from(account: Account) -> Self {
        Self {
            user: account.username.into(),
            name: account.name,
            quota: account.quota,
            enabled: account.enabled,
            account_type: account.account_type,
            main_password_for_mail: account.main_password_for_mail,
            fields: account.fields,
            generation: account.generation.0,
        }
    }
}

impl From<LoginEntry> for LoginView {
    fn from(entry: LoginEntry) -> Self {
        Self {
            at: entry.at.to_string(),
            accepted: entry.outcome == LoginOutcome::Accepted,
            previous_password: entry.outcome == LoginOutcome::PreviousPassword,
            credential: entry.credential.map(|name| name.to_string()),
            service: entry.service,
            origin: entry.origin,
            session: entry.session,
        }
    }
}

/// A page of accounts, in the order of their names.
#[utoipa::path(
    get, path = "/accounts", tag = "accounts", params(Selection),
    responses((status = 200, body = AccountList), (status = 404), (status = 422))
)]
pub(super) async fn list_accounts(
    caller: Caller,
    State(state): State<Arc<WebState>>,
    Parameters(selection): Parameters<Selection>,
) -> Result<Json<AccountList>, Problem> {
    let limit = page_size(selection.limit)?;
    let domain = caller.one_domain(selection.domain.as_deref().map(super::domain_of).transpose()?)?;
    let after = selection
        .after
        .map(|text| text.parse::<Username>().map_err(|error| Problem::invalid(format!("`after` {error}"))))
        .transpose()?;
    let page = AccountPage { domain, query: selection.q, after, limit: limit.saturating_add(1) };
    let mut accounts = state.administer.accounts(&page).await?;
    let more = cut(&mut accounts, limit);
    let next = accounts.last().filter(|_| more).map(|account| account.username.to_string());
    Ok(Json(AccountList { accounts: accounts.into_iter().map(Into::into).collect(), next }))
}

/// Makes an account.
#[utoipa::path(
    post, path = "/accounts", tag = "accounts", request_body = AccountBody,
    responses(
        (status = 201, body = AccountMade), (status = 404), (status = 409),
        (status = 422), (status = 503)
    )
)]
pub(super) async fn add_account(
    caller: Caller,
    State(state): State<Arc<WebState>>,
    Body(body): Body<AccountBody>,
) -> Result<(StatusCode, Json<AccountMade>), Problem> {
    let username = state.username(&body.user).map_err(|error| Problem::invalid(format!("`user` {error}")))?;
    let author = caller.over(&username.domain())?;
    let request = AccountRequest {
        username,
        password: passwords::new_password(("password", body.password), body.hash, body.generate)?,
        name: body.name,
        quota: body.quota,
        enabled: body.enabled.unwrap_or(true),
        account_type: body.account_type.unwrap_or_default(),
        main_password_for_mail: body.main_password_for_mail.unwrap_or(true),
        fields: body.fields,
    };
    let made = state.administer.add_account(request, &author, moment()).await?;
    let answer = AccountMade {
        account: made.account.into(),
        password: made.generated.map(passwords::told),
        receipt: made.receipt.into(),
    };
    Ok((StatusCode::CREATED, Json(answer)))
}

/// One account.
#[utoipa::path(
    get, path = "/accounts/{user}", tag = "accounts", params(("user" = String, Path, example = "ann@example.org")),
    responses((status = 200, body = AccountView), (status = 404))
)]
pub(super) async fn show_account(
    OfAccount { user, .. }: OfAccount,
    State(state): State<Arc<WebState>>,
) -> Result<Json<AccountView>, Problem> {
    Ok(Json(state.administer.account(&user).await?.into()))
}

/// Changes what the body names.
#[utoipa::path(
    patch, path = "/accounts/{user}", tag = "accounts", request_body = SettingsBody,
    params(("user" = String, Path, example = "ann@example.org")),
    responses((status = 200, body = AccountSet), (status = 404), (status = 422))
)]
pub(super) async fn set_account(
    OfAccount { user, author }: OfAccount,
    State(state): State<Arc<WebState>>,
    Body(body): Body<SettingsBody>,
) -> Result<Json<AccountSet>, Problem> {
    let SettingsBody { name, quota, enabled, account_type, main_password_for_mail, fields } = body;
    let settings = AccountSettings { name, quota, enabled, account_type, main_password_for_mail, fields };
    let set = state.administer.set_account(&user, settings, &author, Timestamp::now()).await?;
    Ok(Json(AccountSet { account: set.account.into(), receipt: set.receipt.map(Into::into) }))
}

/// Removes an account and everything of it but its name in the log.
#[utoipa::path(
    delete, path = "/accounts/{user}", tag = "accounts", params(("user" = String, Path, example = "ann@example.org")),
    responses((status = 200, body = Ended), (status = 404))
)]
pub(super) async fn remove_account(
    OfAccount { user, author }: OfAccount,
    State(state): State<Arc<WebState>>,
) -> Result<Json<Ended>, Problem> {
    Ok(Json(state.administer.remove_account(&user, &author, Timestamp::now()).await?.into()))
}

/// The account's generation: whatever was granted under a lower one is void.
#[utoipa::path(
    get, path = "/accounts/{user}/generation", tag = "accounts", params(("user" = String, Path, example = "ann@example.org")),
    responses((status = 200, body = GenerationView), (status = 404))
)]
pub(super) async fn show_generation(
    OfAccount { user, .. }: OfAccount,
    State(state): State<Arc<WebState>>,
) -> Result<Json<GenerationView>, Problem> {
    let Generation(generation) = state.administer.generation(&user).await?;
    Ok(Json(GenerationView { generation }))
}

/// The newest attempts to log in, newest first.
#[utoipa::path(
    get, path = "/accounts/{user}/logins", tag = "accounts", params(("user" = String, Path, example = "ann@example.org")),
    responses((status = 200, body = LoginList), (status = 404))
)]
pub(super) async fn list_logins(
    OfAccount { user, .. }: OfAccount,
    State(state): State<Arc<WebState>>,
) -> Result<Json<LoginList>, Problem> {
    let logins = state.administer.logins(&user, LOGINS).await?;
    Ok(Json(LoginList { logins: logins.into_iter().map(Into::into).collect() }))
}
