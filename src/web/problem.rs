//! Problems: every error of the API as an RFC 9457 document, with a `code` that scripts can hold on to.
//!
//! No text here quotes a password: what was sent is described, never repeated.

use axum::Json;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::change_password::{NotDone, NotNow, Refused};
use crate::store::Conflict;

/// Seconds after which "not now" is worth another try.
const RETRY_SECONDS: u64 = 1;

/// An error as it is sent.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    #[serde(rename = "type")]
    pub problem_type: ProblemType,
    pub title: String,
    pub status: u16,
    /// One word for scripts: `no-account`, `policy`, `not-now`, …
    pub code: String,
    pub detail: String,
    /// What the policy misses, all of it; only with the code `policy`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<UnmetReason>,
    #[serde(skip)]
    pub retry_after: Option<u64>,
}

/// Always `about:blank`: what is special is said by `code`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub enum ProblemType {
    #[serde(rename = "about:blank")]
    Blank,
}

/// One thing that the policy misses in a password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnmetReason {
    pub code: String,
    pub text: String,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self {
            problem_type: ProblemType::Blank,
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            code: code.to_owned(),
            detail: detail.into(),
            reasons: Vec::new(),
            retry_after: None,
        }
    }

    pub(crate) fn not_now(detail: impl Into<String>) -> Self {
        Self { retry_after: Some(RETRY_SECONDS), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "not-now", detail) }
    }

    /// For those who need not know what of ours is broken.
    pub(crate) fn not_now_without_cause() -> Self {
        Self::not_now("this cannot be done now; try again")
    }

    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail)
    }

    pub(crate) fn no_account() -> Self {
        Conflict::NoAccount.into()
    }

    pub(crate) fn no_domain() -> Self {
        Conflict::NoDomain.into()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = self.retry_after;
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<NotDone> for Problem {
    fn from(not_done: NotDone) -> Self {
        match not_done {
            NotDone::Refused(refused) => refused.into(),
            NotDone::NotNow(not_now) => not_now.into(),
        }
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let detail = refused.to_string();
        match refused {
            Refused::Conflict(conflict) => conflict.into(),
            Refused::Policy(reasons) => Self {
                reasons: reasons
                    .iter()
                    .map(|reason| UnmetReason { code: reason.code().to_owned(), text: reason.to_string() })
                    .collect(),
                ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "policy", detail)
            },
            Refused::Hash(_) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "hash", detail),
            Refused::NoProfile => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "no-profile", detail),
            Refused::Invalid(_) => Self::invalid(detail),
        }
    }
}

impl From<NotNow> for Problem {
    fn from(not_now: NotNow) -> Self {
        tracing::error!(error = %not_now, "a call of the API was put off");
        Self::not_now(not_now.to_string())
    }
}

impl From<Conflict> for Problem {
    fn from(conflict: Conflict) -> Self {
        let (status, code) = match conflict {
            Conflict::NoAccount => (StatusCode::NOT_FOUND, "no-account"),
            Conflict::NoDomain => (StatusCode::NOT_FOUND, "no-domain"),
            Conflict::AccountExists => (StatusCode::CONFLICT, "account-exists"),
            Conflict::DomainExists => (StatusCode::CONFLICT, "domain-exists"),
            Conflict::DomainInUse => (StatusCode::CONFLICT, "domain-in-use"),
            Conflict::NoClient => (StatusCode::NOT_FOUND, "no-client"),
            Conflict::NoToken => (StatusCode::NOT_FOUND, "no-token"),
            Conflict::TokenExists => (StatusCode::CONFLICT, "token-exists"),
            Conflict::Moved => (StatusCode::CONFLICT, "moved"),
        };
        Self::new(status, code, conflict.to_string())
    }
}
