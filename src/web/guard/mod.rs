//! Guard: who asks, by the socket a request came through or the token it brought, and what that opens.
//!
//! Every request passes [`admit`]. It opens what [`calls`] opens to the caller; which accounts and domains the call may
//! then deal with is [`Caller::over`]'s to say.
//!
//! Trusts: the kernel's word for the peer of a Unix socket, and the daemon's for who may administer.
//! Fails:  closed: with 401 to whom it does not know, 403 to whom it does, 503 when tokens cannot be looked up.
//! Limits: a token is looked up at each request, so one that was revoked ends with the request it is in.

mod caller;
pub(super) mod calls;
mod subject;

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{ALLOW, AUTHORIZATION};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::WebState;
use super::api::PREFIX;
use super::problem::Problem;
use crate::administer::TokenText;
use crate::listen::Peer;
use crate::store::{Door, Token};
use caller::Identity;
use calls::Opening;

pub(super) use caller::Caller;
pub(super) use subject::{OfAccount, OfDomain};

/// Through which door of its own our command says that a change came; believed on the admin socket only.
pub const DOOR_HEADER: &str = "gatepost-door";

/// The socket a request came through, and who is at its other end.
#[derive(Clone, Copy, Debug)]
pub enum Surface {
    /// The admin socket.
    Admin(Peer),
    /// The public HTTP listener, TCP or Unix.
    Public(Peer),
}

impl Surface {
    fn peer(&self) -> &Peer {
        match self {
            Self::Admin(peer) | Self::Public(peer) => peer,
        }
    }
}

/// Lets a request through if its call is open to who makes it.
pub(super) async fn admit(State(state): State<Arc<WebState>>, mut request: Request, next: Next) -> Response {
    let surface = request.extensions().get::<Surface>().copied();
    let caller = match identify(&state, surface, request.headers()).await {
        Ok(caller) => caller,
        Err(problem) => return problem.into_response(),
    };
    let path = request.extensions().get::<MatchedPath>().cloned();
    let path = path.as_ref().and_then(|path| path.as_str().strip_prefix(PREFIX)).unwrap_or_default();
    if let Err(response) = require_open(&caller, request.method().as_str(), path) {
        return *response;
    }
    let tells_causes = caller.is_unlimited();
    request.extensions_mut().insert(caller);
    let response = next.run(request).await;
    if response.status() == StatusCode::SERVICE_UNAVAILABLE && !tells_causes {
        return Problem::not_now_without_cause().into_response();
    }
    response
}

/// Who makes a request. Whoever brings a token is what the token says, also where its peer could do without.
async fn identify(state: &WebState, surface: Option<Surface>, headers: &HeaderMap) -> Result<Caller, Problem> {
    let surface = surface.ok_or_else(unauthorized)?;
    let (identity, door) = match (bearer(headers)?, surface) {
        (Some(text), _) => (Identity::Bearer(recognise(state, &text, surface).await?), Door::Api),
        (None, Surface::Admin(Peer::Process { uid, trusted: true, .. })) => (Identity::Operator(uid), door(headers)),
        (None, _) => (Identity::Stranger, Door::Api),
    };
    Ok(Caller { identity, surface, door })
}

async fn recognise(state: &WebState, text: &TokenText, surface: Surface) -> Result<Token, Problem> {
    match state.administer.bearer(text).await {
        Ok(Some(token)) => Ok(token),
        Ok(None) => {
            tracing::info!(origin = %surface.peer().origin(), "an unknown token was refused");
            Err(unknown_token())
        }
        Err(error) => {
            tracing::error!(%error, "a token cannot be looked up");
            Err(Problem::not_now_without_cause())
        }
    }
}

/// The token that a request brings. Whatever else stands in that header is refused rather than passed over.
fn bearer(headers: &HeaderMap) -> Result<Option<TokenText>, Problem> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return if headers.contains_key(AUTHORIZATION) { Err(unknown_token()) } else { Ok(None) };
    };
    let token = value.as_bytes().split_at_checked(b"Bearer ".len());
    let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"Bearer ")).map(|(_, token)| token);
    token.and_then(TokenText::parse).map(Some).ok_or_else(unknown_token)
}

fn door(headers: &HeaderMap) -> Door {
    match headers.get(DOOR_HEADER).map(HeaderValue::as_bytes) {
        Some(b"command") => Door::Command,
        Some(b"import") => Door::Import,
        _ => Door::Api,
    }
}

/// What there is not is said only to those who may know what there is.
fn require_open(caller: &Caller, method: &str, path: &str) -> Result<(), Box<Response>> {
    // axum answers HEAD with what it answers to GET.
    let method = if method == "HEAD" { "GET" } else { method };
    let closed = |problem: Problem| Err(Box::new(problem.into_response()));
    match (calls::opening(method, path), caller.role()) {
        (Some(Opening::Everybody), _) => Ok(()),
        (Some(Opening::Roles(roles)), Some(role)) if roles.contains(&role) => Ok(()),
        (Some(Opening::Unlimited), _) if caller.is_unlimited() => Ok(()),
        (Some(Opening::Unlimited), _) => closed(caller.turned_away("this call is for admins of all domains")),
        (Some(Opening::Roles(_)), _) => closed(caller.turned_away("the role of this token does not open this call")),
        (None, role) => {
            let methods: Vec<_> = calls::methods(path).collect();
            let is_public = methods.iter().any(|method| calls::opening(method, path) == Some(Opening::Everybody));
            if role.is_none() && !is_public {
                closed(caller.turned_away("this call is closed"))
            } else if methods.is_empty() {
                closed(no_such_call())
            } else {
                Err(Box::new(no_such_method(&methods)))
            }
        }
    }
}

fn unauthorized() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        "send a token (`Authorization: Bearer gp_…`, made with `gatepost token add`), or use the admin socket",
    )
}

fn unknown_token() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "unknown-token",
        "the `Authorization` header has no token of gatepost, or one that was revoked",
    )
}

fn forbidden() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "forbidden",
        "only root, the user gatepost runs as, and the users named by `trust` of the `admin` listener may use it",
    )
}

fn no_such_call() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no-call", "there is no such call; /api/v1/openapi.json lists them all")
}

fn no_such_method(methods: &[&str]) -> Response {
    let problem = Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "no-method",
        "this call does not take that method; /api/v1/openapi.json lists what it takes",
    );
    let mut response = problem.into_response();
    if let Ok(allowed) = HeaderValue::from_str(&methods.join(", ")) {
        response.headers_mut().insert(ALLOW, allowed);
    }
    response
}
