//! Auth: is this somebody's password? For programs that ask over HTTP, and for `gatepost auth test`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::sleep_until;
use utoipa::ToSchema;

use crate::account::Origin;
use crate::authenticate::{Attempt, Judgement, Outage, Purpose, Refusal, Verdict};
use crate::client_text;
use crate::userdb;
use crate::web::WebState;
use crate::web::guard::Caller;
use crate::web::input::{Body, SecretText};
use crate::web::problem::Problem;

#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({ "user": "ann@example.org", "password": "Gate-post-8", "service": "imap", "remote_ip": "192.0.2.7" }))]
#[serde(deny_unknown_fields)]
pub(super) struct LoginBody {
    user: String,
    #[schema(value_type = String, format = Password)]
    password: SecretText,
    /// `imap`, `smtp`, …: what the user logs in to.
    service: String,
    /// Where the user comes from; without it, whoever asks is throttled.
    #[schema(value_type = Option<String>)]
    remote_ip: Option<IpAddr>,
}

/// A password that is right, of someone who may come in.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct LoginAccepted {
    pub(crate) user: String,
    /// What was granted by this is void once the account's generation is higher.
    pub(crate) generation: u64,
    /// The passdb fields, in order.
    pub(crate) fields: Vec<(String, String)>,
}

/// Judges a login like any other: throttled, delayed when refused, and recorded.
#[utoipa::path(
    post, path = "/auth", tag = "auth", request_body = LoginBody,
    responses(
        (status = 200, body = LoginAccepted), (status = 401), (status = 429),
        (status = 503)
    )
)]
pub(super) async fn authenticate(
    caller: Caller,
    State(state): State<Arc<WebState>>,
    Body(body): Body<LoginBody>,
) -> Result<Json<LoginAccepted>, Problem> {
    if let Ok(user) = state.username(&body.user) {
        caller.over(&user.domain())?;
    }
    let attempt = Attempt {
        name: body.user,
        authzid: None,
        password: body.password.into_secret(),
        purpose: Purpose::Mail,
        service: client_text::service(&body.service),
        origin: body.remote_ip.map_or_else(|| caller.origin(), |address| Origin::Address(address.to_canonical())),
        no_penalty: false,
        session: None,
        user_agent: None,
        arrived: Instant::now(),
        at: Timestamp::now(),
    };
    let Judgement { verdict, answer_at } = state.authenticator.authenticate(&attempt).await;
    sleep_until(answer_at.into()).await;
    match verdict {
        Verdict::Accept(identity) => Ok(Json(LoginAccepted {
            fields: userdb::passdb_fields(&identity.account),
            user: identity.account.username.into(),
            generation: identity.generation.0,
        })),
        Verdict::Refuse(refusal) => Err(refused(&refusal)),
        Verdict::TryLater(outage) => Err(put_off(&outage)),
    }
}

/// What a Dovecot client would hear, in the words of HTTP: only the right password learns that its mailbox is disabled.
pub(super) fn refused(refusal: &Refusal) -> Problem {
    let (code, detail) = match refusal {
        Refusal::Wrong | Refusal::Previous | Refusal::Network | Refusal::Authorization => {
            ("wrong-password", "there is no such user, or the password is wrong")
        }
        Refusal::Disabled => ("disabled", "this mailbox is disabled"),
    };
    Problem::new(StatusCode::UNAUTHORIZED, code, detail)
}

/// The log has the cause, which is nothing for everybody.
pub(super) fn put_off(outage: &Outage) -> Problem {
    match outage {
        Outage::Throttled { until } => {
            let seconds = until.saturating_duration_since(Instant::now()).as_secs().saturating_add(1);
            Problem {
                retry_after: Some(seconds),
                ..Problem::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "too-many",
                    "too many wrong passwords; wait, then try again",
                )
            }
        }
        _ => Problem::not_now("the password cannot be verified now; try again"),
    }
}
