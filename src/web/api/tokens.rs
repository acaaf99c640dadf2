//! Tokens: what programs show instead of a password. For admins of everything.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::store::{Role, Token};
use crate::web::WebState;
use crate::web::guard::Caller;
use crate::web::input::{Body, Path};
use crate::web::problem::Problem;

/// A token, but for its text.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct TokenView {
    pub(crate) name: String,
    pub(crate) role: Role,
    /// Empty is all of them.
    pub(crate) domains: Vec<String>,
    pub(crate) created: String,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct TokenList {
    pub(crate) tokens: Vec<TokenView>,
}

/// A token that was made.
#[derive(Serialize, Deserialize, ToSchema)]
pub(crate) struct NewToken {
    #[serde(flatten)]
    pub(crate) view: TokenView,
    /// What its bearer sends as `Authorization: Bearer …`; told only here.
    pub(crate) token: String,
}

#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({ "name": "webmail", "role": "webmail", "domains": ["example.org"] }))]
#[serde(deny_unknown_fields)]
pub(super) struct TokenBody {
    /// One word: it stands in the log behind whatever is done with the token.
    name: String,
    role: Role,
    /// Absent or empty is all of them.
    #[serde(default)]
    domains: Vec<String>,
}

impl From<Token> for TokenView {
    fn from(token: Token) -> Self {
        Self {
            name: token.name,
            role: token.role,
            domains: token.domains.into_iter().map(Into::into).collect(),
            created: token.created.to_string(),
        }
    }
}

/// All tokens, in the order of their names.
#[utoipa::path(get, path = "/tokens", tag = "tokens", responses((status = 200, body = TokenList)))]
pub(super) async fn list_tokens(
    caller: Caller,
    State(state): State<Arc<WebState>>,
) -> Result<Json<TokenList>, Problem> {
    caller.over_everything()?;
    let tokens = state.administer.tokens().await?;
    Ok(Json(TokenList { tokens: tokens.into_iter().map(Into::into).collect() }))
}

/// Makes a token.
#[utoipa::path(
    post, path = "/tokens", tag = "tokens", request_body = TokenBody,
    responses((status = 201, body = NewToken), (status = 404), (status = 409))
)]
pub(super) async fn add_token(
    caller: Caller,
    State(state): State<Arc<WebState>>,
    Body(body): Body<TokenBody>,
) -> Result<(StatusCode, Json<NewToken>), Problem> {
    let author = caller.over_everything()?;
    let parsed: Result<Vec<_>, _> = body.domains.iter().map(|domain| domain.parse()).collect();
    let domains = parsed.map_err(|error| Problem::invalid(format!("one of `domains` {error}")))?;
    let made = state.administer.add_token(body.name, body.role, domains, &author, Timestamp::now()).await?;
    let token = made.text.expose().to_owned();
    Ok((StatusCode::CREATED, Json(NewToken { view: made.token.into(), token })))
}

/// Revokes a token: whoever still has it is unknown from its next request on.
#[utoipa::path(
    delete, path = "/tokens/{name}", tag = "tokens", params(("name" = String, Path)),
    responses((status = 204), (status = 404))
)]
pub(super) async fn revoke_token(
    caller: Caller,
    State(state): State<Arc<WebState>>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    let author = caller.over_everything()?;
    state.administer.revoke_token(&name, &author, Timestamp::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}
