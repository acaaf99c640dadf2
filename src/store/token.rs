//! Tokens: what a program shows instead of a password, and what that lets it do.
//!
//! The text of a token is told once, when it is made; the store knows it by its digest alone. A token is random and
//! long, so a fast digest without salt is enough.
//!
//! Limits: a token goes on naming a domain that was removed, and has it again if the domain is made again.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::account::DomainName;

/// A token, but for its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub name: String,
    pub role: Role,
    /// Empty is all of them.
    pub domains: Vec<DomainName>,
    pub created: Timestamp,
}

/// What the bearer of a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// All calls, for its domains.
    Admin,
    /// What a webmail does for the one who is signed in to it.
    Webmail,
    /// Only asking whether a password is right.
    Login,
}

impl Role {
    const ALL: [(Self, &'static str); 3] = [(Self::Admin, "admin"), (Self::Webmail, "webmail"), (Self::Login, "login")];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(role, _)| *role == self).map_or("unknown", |(_, text)| text)
    }

    /// The role that [`Self::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == text).map(|(role, _)| *role)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// SHA-256 of a token's text.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    #[must_use]
    pub fn new(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// For the one who stores it, or looks for it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TokenDigest(..)")
    }
}

/// The tokens there are; they come and go by [`Store::commit`](super::Store::commit).
#[async_trait]
pub trait TokenStore {
    /// In the order of their names.
    async fn tokens(&self) -> Result<Vec<Token>, StoreError>;
    async fn token(&self, digest: &TokenDigest) -> Result<Option<Token>, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_is_read_back_as_it_was_written() {
        for (role, text) in Role::ALL {
            assert_eq!(Role::parse(role.as_str()), Some(role));
            assert_eq!(serde_json::to_string(&role).ok(), Some(format!("\"{text}\"")));
        }
    }

    #[test]
    fn a_digest_shows_nothing() {
        assert_eq!(format!("{:?}", TokenDigest::new([7; 32])), "TokenDigest(..)");
    }
}
