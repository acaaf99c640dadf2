//! Passwords: reset one, and log out everywhere.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use gatepost_protocol::Secret;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::sleep_until;
use utoipa::ToSchema;

use super::receipts::Receipt;
use super::{auth, moment};
use crate::account::{Origin, StoredHash};
use crate::authenticate::{Attempt, Purpose};
use crate::change_password::{NewPassword, NotChanged};
use crate::store::{Delivery, Door, Role};
use crate::web::WebState;
use crate::web::guard::{Caller, OfAccount};
use crate::web::input::{Body, SecretText};
use crate::web::problem::Problem;

/// Exactly one of the three.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({ "generate": true }))]
#[serde(deny_unknown_fields)]
pub(super) struct PasswordBody {
    #[schema(value_type = Option<String>, format = Password)]
    new: Option<SecretText>,
    /// A `{SCHEME}…` string.
    #[schema(value_type = Option<String>, format = Password)]
    hash: Option<SecretText>,
    generate: Option<bool>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({ "user": "ann@example.org", "current": "Gate-post-8", "new": "Post-gate-9" }))]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeBody {
    user: String,
    #[schema(value_type = String, format = Password)]
    current: SecretText,
    #[schema(value_type = String, format = Password)]
    new: SecretText,
    /// Where the user is; believed of an admin's and a webmail's token.
    #[schema(value_type = Option<String>)]
    remote_ip: Option<IpAddr>,
}

/// A password that was set.
#[derive(Serialize, Deserialize, ToSchema)]
pub(crate) struct PasswordSet {
    /// What was generated; told only here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) password: Option<String>,
    pub(crate) generation: u64,
    pub(crate) receipt: Receipt,
}

/// Whatever was granted is void.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Ended {
    pub(crate) generation: u64,
    pub(crate) receipt: Receipt,
}

impl From<Delivery> for Ended {
    fn from(delivery: Delivery) -> Self {
        let receipt = Receipt::from(delivery);
        Self { generation: receipt.generation, receipt }
    }
}

/// Sets the main password of whoever knows the current one.
#[utoipa::path(
    post, path = "/password", tag = "passwords", request_body = ChangeBody,
    responses(
        (status = 200, body = PasswordSet), (status = 401), (status = 409),
        (status = 422), (status = 429), (status = 503)
    )
)]
pub(super) async fn change_password(
    caller: Caller,
    State(state): State<Arc<WebState>>,
    Body(body): Body<ChangeBody>,
) -> Result<Json<PasswordSet>, Problem> {
    let origin = origin(&caller, &state, &body)?;
    let current = Attempt {
        name: body.user,
        authzid: None,
        password: body.current.into_secret(),
        purpose: Purpose::Account,
        service: "password".to_owned(),
        origin,
        no_penalty: false,
        session: None,
        user_agent: None,
        arrived: Instant::now(),
        at: Timestamp::now(),
    };
    let deadline = moment().deadline;
    let answer = state.change_password.change(&current, body.new.into_secret(), Door::Api, deadline).await;
    sleep_until(answer.answer_at.into()).await;
    match answer.outcome {
        Ok(set) => Ok(Json(PasswordSet {
            password: None,
            generation: set.generation.0,
            receipt: Receipt::told_to(&caller, set.receipt),
        })),
        Err(NotChanged::Current(refusal)) => Err(auth::refused(&refusal)),
        Err(NotChanged::Unverified(outage)) => Err(auth::put_off(&outage)),
        Err(NotChanged::NotDone(not_done)) => Err(not_done.into()),
    }
}

/// Whose wrong passwords are counted: the client's where somebody names it who is believed, else the caller's.
fn origin(caller: &Caller, state: &WebState, body: &ChangeBody) -> Result<Origin, Problem> {
    let Some(address) = body.remote_ip else { return Ok(caller.origin()) };
    if !matches!(caller.role(), Some(Role::Admin | Role::Webmail)) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            "only a webmail's or an admin's token may say where a user is; leave out `remote_ip`",
        ));
    }
    if let Ok(user) = state.username(&body.user) {
        caller.over(&user.domain())?;
    }
    Ok(Origin::Address(address.to_canonical()))
}

/// Sets the main password without asking for the current one.
#[utoipa::path(
    put, path = "/accounts/{user}/password", tag = "passwords", request_body = PasswordBody,
    params(("user" = String, Path, example = "ann@example.org")),
    responses(
        (status = 200, body = PasswordSet), (status = 404), (status = 422),
        (status = 503)
    )
)]
pub(super) async fn reset_password(
    OfAccount { user, author }: OfAccount,
    State(state): State<Arc<WebState>>,
    Body(body): Body<PasswordBody>,
) -> Result<Json<PasswordSet>, Problem> {
    let password = new_password(("new", body.new), body.hash, body.generate)?;
    let set = state.change_password.reset(&user, password, &author, moment()).await?;
    Ok(Json(PasswordSet {
        password: set.generated.map(told),
        generation: set.generation.0,
        receipt: set.receipt.into(),
    }))
}

/// Ends whatever was granted to the user: sessions, remembered logins, logins on their way.
#[utoipa::path(
    post, path = "/accounts/{user}/logout", tag = "passwords", params(("user" = String, Path, example = "ann@example.org")),
    responses((status = 200, body = Ended), (status = 404))
)]
pub(super) async fn log_out(
    OfAccount { user, author }: OfAccount,
    State(state): State<Arc<WebState>>,
) -> Result<Json<Ended>, Problem> {
    let logged_out = state.administer.log_out(&user, &author, Timestamp::now()).await?;
    Ok(Json(Ended { generation: logged_out.generation.0, receipt: logged_out.receipt.into() }))
}

/// Ends whatever was granted to anybody: after a store was restored from a backup, or worse.
#[utoipa::path(post, path = "/logout", tag = "passwords", responses((status = 200, body = Ended)))]
pub(super) async fn log_out_everyone(
    caller: Caller,
    State(state): State<Arc<WebState>>,
) -> Result<Json<Ended>, Problem> {
    let author = caller.over_everything()?;
    Ok(Json(state.administer.log_out_everyone(&author, Timestamp::now()).await?.into()))
}

/// The one password that a body gives, in the one way it gives it; `chosen` comes with its name in that body.
pub(super) fn new_password(
    chosen: (&'static str, Option<SecretText>),
    hash: Option<SecretText>,
    generate: Option<bool>,
) -> Result<NewPassword, Problem> {
    match (chosen, hash, generate) {
        ((_, Some(secret)), None, None | Some(false)) => Ok(NewPassword::Chosen(secret.into_secret())),
        ((_, None), Some(hash), None | Some(false)) => Ok(NewPassword::Hashed(StoredHash::new(hash.into_text()))),
        ((_, None), None, Some(true)) => Ok(NewPassword::Generated),
        ((name, _), ..) => {
            Err(Problem::invalid(format!("send exactly one of `{name}`, `hash` and `generate` (as true)")))
        }
    }
}

/// A generated password as text, for the answer that tells it.
pub(super) fn told(secret: Secret) -> String {
    String::from_utf8_lossy(secret.expose()).into_owned()
}
