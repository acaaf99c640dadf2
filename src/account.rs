//! The nouns: who has a mailbox, under which name, with which credentials, as of which generation.
//!
//! Names are folded here and nowhere else: whatever holds a [`Username`] or a [`DomainName`] holds the folded form.
//!
//! Trusts: nothing; every name is parsed, and what cannot be represented is an error, never a guess.

mod credential;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use credential::{Credential, CredentialName, Fingerprint, Fingerprints, Replaced, StoredHash};

/// Longest local part, in bytes (RFC 5321 §4.5.3.1.1).
const LOCAL_PART_LIMIT: usize = 64;
/// Longest domain, in bytes (RFC 1035 §2.3.4, without the root dot).
const DOMAIN_LIMIT: usize = 253;

/// Why a text cannot be a name here. Shown to people, so it never quotes the text itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("has no domain; write the full address, or set `default_domain`")]
    NoDomain,
    #[error("has no local part before the @")]
    NoLocalPart,
    #[error("has a local part of more than {LOCAL_PART_LIMIT} bytes")]
    LongLocalPart,
    #[error("has a character outside ASCII letters, digits and .-_+=&'~# before the @")]
    LocalCharacter,
    #[error("has a leading, trailing or double dot before the @")]
    LocalDot,
    #[error("has a domain that is not a valid domain name")]
    Domain,
}

/// A domain in lower-case A-label form (`xn--…` for what is not ASCII).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DomainName(String);

impl DomainName {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DomainName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let folded = idna::domain_to_ascii_strict(text).map_err(|_| NameError::Domain)?;
        let well_formed =
            !folded.is_empty() && folded.len() <= DOMAIN_LIMIT && folded.split('.').all(is_hostname_label);
        if well_formed { Ok(Self(folded)) } else { Err(NameError::Domain) }
    }
}

/// Letters, digits and inner hyphens: what IDNA leaves open is closed here, since the name ends up in paths.
fn is_hostname_label(label: &str) -> bool {
    !label.is_empty()
        && label.len() <= 63
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

impl fmt::Display for DomainName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for DomainName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<DomainName> for String {
    fn from(domain: DomainName) -> Self {
        domain.0
    }
}

/// A full address, folded: `local@domain`, all lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Username {
    text: String,
    at: usize,
}

impl Username {
    /// Parses what a client, a file or an admin wrote; `default_domain` completes a name without `@`.
    ///
    /// # Errors
    /// Says which rule of a name the text breaks.
    pub fn parse(text: &str, default_domain: Option<&DomainName>) -> Result<Self, NameError> {
        let (local, domain) = match text.rsplit_once('@') {
            Some((local, domain)) => (local, domain.parse()?),
            None => (text, default_domain.cloned().ok_or(NameError::NoDomain)?),
        };
        let local = fold_local_part(local)?;
        Ok(Self { at: local.len(), text: format!("{local}@{domain}") })
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    #[must_use]
    pub fn local_part(&self) -> &str {
        self.text.split_at(self.at).0
    }

    #[must_use]
    pub fn domain(&self) -> DomainName {
        DomainName(self.text.split_at(self.at + 1).1.to_owned())
    }
}

fn fold_local_part(local: &str) -> Result<String, NameError> {
    if local.is_empty() {
        return Err(NameError::NoLocalPart);
    }
    if local.len() > LOCAL_PART_LIMIT {
        return Err(NameError::LongLocalPart);
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_+=&'~#".contains(&byte);
    if !local.bytes().all(allowed) {
        return Err(NameError::LocalCharacter);
    }
    if local.starts_with('.') || local.ends_with('.') || local.contains("..") {
        return Err(NameError::LocalDot);
    }
    Ok(local.to_ascii_lowercase())
}

impl FromStr for Username {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text, None)
    }
}

impl fmt::Display for Username {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl TryFrom<String> for Username {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Username> for String {
    fn from(username: Username) -> Self {
        username.text
    }
}

/// The number of a row of the change log: one sequence of the whole store, never used twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RowNumber(pub u64);

impl fmt::Display for RowNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The number of the last change-log row that took away or gave a right. It only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What kind of mailbox: only people have one of their own to sign in to, but all may log in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AccountType {
    #[default]
    Person,
    Shared,
    Service,
}

/// Everything known of a mailbox but its passwords.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub username: Username,
    /// The owner's name, for people to read.
    pub name: Option<String>,
    /// In bytes; `None` is the domain's default, 0 is no limit.
    pub quota: Option<u64>,
    pub enabled: bool,
    pub account_type: AccountType,
    /// Whether IMAP, SMTP and the like accept the main password.
    pub main_password_for_mail: bool,
    /// `userdb_X` overrides the userdb template; the others are passdb fields for OK and PASS.
    pub fields: BTreeMap<String, String>,
    pub generation: Generation,
    /// The newest row of any kind about it.
    pub changed: RowNumber,
}

impl Account {
    /// The quota that holds, in bytes; 0 is no limit.
    #[must_use]
    pub fn effective_quota(&self, domain_default: Option<u64>) -> u64 {
        self.quota.or(domain_default).unwrap_or(0)
    }
}

/// Where an attempt or a change comes from, as far as it can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// An address reported by a peer that is trusted to report one, or seen on our own socket.
    Address(IpAddr),
    /// A local program that is not trusted to speak for anybody: its uid.
    Local(u32),
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(formatter),
            Self::Local(uid) => write!(formatter, "local:{uid}"),
        }
    }
}

/// Who shares a budget and takes turns as one: an IPv4 address, an IPv6 /64, or a local user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Network {
    V4([u8; 4]),
    V6([u8; 8]),
    Local(u32),
}

impl Network {
    #[must_use]
    pub fn of(origin: Origin) -> Self {
        let address = match origin {
            Origin::Local(uid) => return Self::Local(uid),
            Origin::Address(address) => address,
        };
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(text: &str) -> DomainName {
        text.parse().expect("a valid domain")
    }

    #[test]
    fn names_are_folded_once() {
        let cases = [
            ("Ann@Example.ORG", "ann@example.org"),
            ("a.b+c@EXAMPLE.org", "a.b+c@example.org"),
            ("o'neil#1=~&@example.org", "o'neil#1=~&@example.org"),
            ("ann@bücher.example", "ann@xn--bcher-kva.example"),
            ("ann", "ann@default.example"),
        ];
        for (written, folded) in cases {
            let username = Username::parse(written, Some(&domain("default.example")));
            assert_eq!(username.as_ref().map(Username::as_str), Ok(folded), "{written}");
        }
    }

    #[test]
    fn what_cannot_be_a_name_says_why() {
        let long = format!("{}@example.org", "a".repeat(65));
        let cases = [
            ("ann", NameError::NoDomain),
            ("@example.org", NameError::NoLocalPart),
            (long.as_str(), NameError::LongLocalPart),
            ("a b@example.org", NameError::LocalCharacter),
            ("a/../b@example.org", NameError::LocalCharacter),
            ("ann\0@example.org", NameError::LocalCharacter),
            ("änn@example.org", NameError::LocalCharacter),
            ("a@b@example.org", NameError::LocalCharacter),
            ("a%b@example.org", NameError::LocalCharacter),
            (".ann@example.org", NameError::LocalDot),
            ("ann.@example.org", NameError::LocalDot),
            ("a..n@example.org", NameError::LocalDot),
            ("ann@", NameError::Domain),
            ("ann@exa mple.org", NameError::Domain),
            ("ann@../etc", NameError::Domain),
            ("ann@-x.org", NameError::Domain),
            ("ann@example.org.", NameError::Domain),
            ("ann@exa_mple.org", NameError::Domain),
        ];
        for (written, error) in cases {
            assert_eq!(Username::parse(written, None), Err(error), "{written:?}");
        }
    }

    #[test]
    fn a_name_comes_apart_where_it_was_joined() {
        let username: Username = "Ann@Example.org".parse().expect("a valid name");
        assert_eq!(username.local_part(), "ann");
        assert_eq!(username.domain(), domain("example.org"));
    }
}
