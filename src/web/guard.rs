//! Guard: who asks, judged by the socket a request came through.
//!
//! Everything behind [`require_admin`] is closed unless its own line here opens it, so a call that is added is closed.
//!
//! Trusts: the kernel's word for the peer of a Unix socket, and the daemon's for who may administer.
//! Limits: no tokens; a TCP listener admits nobody.

use axum::extract::{FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;
use crate::account::Origin;
use crate::listen::Peer;
use crate::store::{Author, Door};

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
    pub(super) fn peer(&self) -> &Peer {
        match self {
            Self::Admin(peer) | Self::Public(peer) => peer,
        }
    }
}

/// Somebody who may do everything, as the author of what they change.
#[derive(Clone, Debug)]
pub(super) struct Admin(pub(super) Author);

/// Lets a request through only if it comes from an admin.
pub(super) async fn require_admin(mut request: Request, next: Next) -> Response {
    let Some(surface) = request.extensions().get::<Surface>().copied() else {
        return unauthorized().into_response();
    };
    match surface {
        Surface::Admin(Peer::Process { uid, trusted: true, .. }) => {
            let (who, door) = (format!("uid:{uid}"), door(&request));
            request.extensions_mut().insert(Admin(Author { who, door, origin: Some(Origin::Local(uid)) }));
            next.run(request).await
        }
        Surface::Admin(_) => forbidden().into_response(),
        Surface::Public(_) => unauthorized().into_response(),
    }
}

fn door(request: &Request) -> Door {
    match request.headers().get(DOOR_HEADER).map(|value| value.as_bytes()) {
        Some(b"command") => Door::Command,
        Some(b"import") => Door::Import,
        _ => Door::Api,
    }
}

fn unauthorized() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        "this listener knows no admins yet; administer through the admin socket, with the command `gatepost`",
    )
}

fn forbidden() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "forbidden",
        "only root, the user gatepost runs as, and the users named by `trust` of the `admin` listener may use it",
    )
}

impl<S: Sync> FromRequestParts<S> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(unauthorized)
    }
}

/// What is not there, said only to those who may know.
pub(super) async fn no_such_call() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no-call", "there is no such call; /api/v1/openapi.json lists them all")
}

pub(super) async fn no_such_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "no-method",
        "this call does not take that method; /api/v1/openapi.json lists what it takes",
    )
}
