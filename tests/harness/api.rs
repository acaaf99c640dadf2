//! A client of the HTTP API, on the admin socket or on the public listener; a connection a call.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::gatepost::Gatepost;
use crate::raw::Connection;

#[derive(Clone, Debug)]
pub struct Api {
    place: Place,
    token: Option<String>,
}

#[derive(Clone, Debug)]
enum Place {
    Socket(PathBuf),
    Address(SocketAddr),
}

/// A status, and the JSON that came with it; null where none did.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Api {
    /// As the gatepost command speaks it.
    pub fn admin(gatepost: &Gatepost) -> Self {
        Self::at_socket(gatepost.path_of("admin"))
    }

    /// As a stranger does.
    pub fn public(gatepost: &Gatepost) -> Self {
        Self { place: Place::Address(gatepost.http), token: None }
    }

    pub fn at_socket(path: &Path) -> Self {
        Self { place: Place::Socket(path.to_owned()), token: None }
    }

    /// As the bearer of a token.
    #[must_use]
    pub fn with_token(self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self }
    }

    /// `path` is what comes after `/api/v1`; no body is sent where `body` is null. `None` when the connection was
    /// closed without an answer.
    pub fn call(&self, method: &str, path: &str, body: &Value) -> Option<Answer> {
        let mut connection = match &self.place {
            Place::Socket(path) => Connection::to(path),
            Place::Address(address) => Connection::to_address(*address),
        };
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let authorization =
            self.token.as_ref().map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        connection.send(format!(
            "{method} /api/v1{path} HTTP/1.1\r\nhost: gatepost\r\nconnection: close\r\n{authorization}\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ));
        let heard = connection.rest();
        let (head, body) = heard.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        if length.is_some_and(|length: usize| body.len() < length) {
            return None;
        }
        let body = if body.is_empty() { Value::Null } else { serde_json::from_str(body).expect("answers are JSON") };
        Some(Answer { status: status.expect("answers have a status"), body })
    }

    /// The same, and it must succeed; gives the body.
    pub fn must(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = self.call(method, path, body).unwrap_or_else(|| panic!("{method} {path} was not answered"));
        assert!((200..300).contains(&answer.status), "{method} {path} heard {answer:?}");
        answer.body
    }
}
