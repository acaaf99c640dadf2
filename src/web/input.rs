//! Input: what a request carries, read strictly: bounded, in time, nothing unknown.
//!
//! Fails:  with a [`Problem`] that says what was expected and never repeats what was sent, since it may be a password.
//! Limits: serde and hyper copy a body while reading it; only the last copy of a password is wiped.

use std::fmt;
use std::time::Duration;

use axum::extract::rejection::{BytesRejection, FormRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::{Form, RequestExt};
use bytes::Bytes;
use gatepost_protocol::Secret;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use super::problem::Problem;

/// Largest body that any call takes.
pub(super) const BODY_LIMIT: usize = 64 * 1024;
/// How long a body may take to arrive.
const BODY_PATIENCE: Duration = Duration::from_secs(10);

/// A body, JSON or a form.
#[derive(Debug)]
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + 'static> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        tokio::time::timeout(BODY_PATIENCE, read(request)).await.unwrap_or_else(|_| {
            Err(Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "too-slow",
                format!("the body did not arrive within {} s", BODY_PATIENCE.as_secs()),
            ))
        })
    }
}

async fn read<T: DeserializeOwned + 'static>(request: Request) -> Result<Body<T>, Problem> {
    match media_type(request.headers()).as_deref() {
        Some("application/json") => {
            let bytes: Bytes = request.extract().await.map_err(|error: BytesRejection| unread(error.status()))?;
            parse(&bytes)
        }
        Some("application/x-www-form-urlencoded") => {
            let form: Result<Form<T>, FormRejection> = request.extract().await;
            form.map(|Form(value)| Body(value)).map_err(|error| match error {
                FormRejection::FailedToDeserializeFormBody(error) => unexpected(&error.body_text()),
                other => unread(other.status()),
            })
        }
        _ => Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "media-type",
            "send a body with the Content-Type application/json or application/x-www-form-urlencoded",
        )),
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<Body<T>, Problem> {
    let value = serde_json::from_slice(bytes).map_err(|error| malformed(&error))?;
    // Serde takes an array for an object whose names it knows the order of.
    if bytes.trim_ascii_start().starts_with(b"{") {
        Ok(Body(value))
    } else {
        Err(Problem::invalid("the body is not a JSON object"))
    }
}

fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or(value).trim().to_ascii_lowercase())
}

fn unread(status: StatusCode) -> Problem {
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        Problem::new(status, "too-large", format!("a body is at most {BODY_LIMIT} bytes"))
    } else {
        Problem::new(StatusCode::BAD_REQUEST, "malformed", "the body could not be read to its end")
    }
}

fn malformed(error: &serde_json::Error) -> Problem {
    if error.is_data() {
        return unexpected(&error.to_string());
    }
    Problem::new(
        StatusCode::BAD_REQUEST,
        "malformed",
        format!("the body is not JSON from line {} column {} on", error.line(), error.column()),
    )
}

/// Serde's text names our fields, which helps, and quotes what was sent, which may be a secret (JSON sent as a form
/// arrives as one long name of a field): only the first is repeated.
fn unexpected(text: &str) -> Problem {
    let ours = ["missing field `", "duplicate field `"];
    let known = ours.iter().find_map(|start| text.find(start)).and_then(|start| text.get(start..));
    let expected = ["unknown field `", "unknown variant `"].iter().any(|start| text.contains(start));
    let detail = match (known, text.rsplit_once("`, expected ")) {
        (Some(known), _) => known.to_owned(),
        (None, Some((_, names))) if expected => format!("an unknown name was sent; expected {names}"),
        _ => "a value is not of the type that /api/v1/openapi.json gives".to_owned(),
    };
    Problem::invalid(detail)
}

/// The parameters behind the `?`.
#[derive(Debug)]
pub(super) struct Parameters<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query: Result<Query<T>, QueryRejection> = Query::from_request_parts(parts, state).await;
        query.map(|Query(value)| Self(value)).map_err(|error| unexpected(&error.body_text()))
    }
}

/// What stands for the names in braces of a call's path.
#[derive(Debug)]
pub(super) struct Path<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path: Result<axum::extract::Path<T>, PathRejection> =
            axum::extract::Path::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(value)| Self(value))
            .map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "malformed", "the path is not percent-encoded UTF-8"))
    }
}

/// A password or a hash in a body: shown nowhere.
pub(super) struct SecretText(Zeroizing<String>);

impl SecretText {
    pub(super) fn into_secret(self) -> Secret {
        Secret::from(self.0.as_str())
    }

    pub(super) fn into_text(mut self) -> String {
        std::mem::take(&mut *self.0)
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretText(..)")
    }
}

/// For a setting where `null` is a value: absent stays `None`, `null` becomes `Some(None)`.
pub(super) fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[serde(rename = "new")]
        _new: SecretText,
        #[serde(default, rename = "quota", deserialize_with = "nullable")]
        quota: Option<Option<u64>>,
    }

    fn parsed(text: &str) -> Result<Sample, Problem> {
        parse(text.as_bytes()).map(|Body(sample)| sample)
    }

    #[test]
    fn an_error_never_repeats_a_value() {
        for text in [
            r#"{"new": 8472910}"#,
            r#"{"new": ["8472910"]}"#,
            r#"{"new": "x", "quota": "8472910"}"#,
            r#"{"new": "8472910"#,
            r#""8472910""#,
            r#"{"8472910": "x"}"#,
            r#"{"new": "x", "8472910`, expected `x": "x"}"#,
            r#"["8472910", 7]"#,
        ] {
            let problem = parsed(text).expect_err(text);
            assert!(!problem.detail.contains("8472910"), "{}", problem.detail);
        }
    }

    #[test]
    fn an_error_names_the_field() {
        for (text, detail) in [
            ("{}", "missing field `new`"),
            (r#"{"new": "x", "nwe": "y"}"#, "an unknown name was sent; expected `new` or `quota`"),
            (r#"{"new": "x", "new": "y"}"#, "duplicate field `new`"),
            (r#" ["x", 7]"#, "not a JSON object"),
        ] {
            let problem = parsed(text).expect_err(text);
            assert!(problem.detail.contains(detail), "{}", problem.detail);
            assert_eq!(problem.status, 422);
        }
    }

    #[test]
    fn null_and_absent_are_different() {
        let cases = [
            (r#"{"new": "x"}"#, None),
            (r#"{"new": "x", "quota": null}"#, Some(None)),
            (r#"{"new": "x", "quota": 7}"#, Some(Some(7))),
        ];
        for (text, quota) in cases {
            assert_eq!(parsed(text).expect(text).quota, quota, "{text}");
        }
    }
}
