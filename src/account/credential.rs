//! Credentials: an account's passwords, as what is stored of them. None of it is shown.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Generation;

/// A `{SCHEME}…` string as it stands in the store: opaque here, shown nowhere, wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredHash(Zeroizing<String>);

impl StoredHash {
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text, for the one who verifies against it or stores it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for StoredHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("StoredHash(..)")
    }
}

/// Which of an account's passwords: the main one, or an application password by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CredentialName {
    Main,
    Application(u64),
}

impl fmt::Display for CredentialName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Main => formatter.write_str("main"),
            Self::Application(number) => number.fmt(formatter),
        }
    }
}

/// One password of an account, as stored.
#[derive(Clone, Debug)]
pub struct Credential {
    pub name: CredentialName,
    pub hash: StoredHash,
    /// Of its own for an application password; the account's for the main one.
    pub generation: Generation,
    pub known: Fingerprints,
}

/// 24 keyed bits of a password: enough to know it again, too few to find it out. Shown nowhere all the same.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 3]);

impl Fingerprint {
    #[must_use]
    pub fn new(bits: [u8; 3]) -> Self {
        Self(bits)
    }

    /// For the one who stores it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Fingerprint(..)")
    }
}

/// What is known of the text of a password, and of the one before it. It decides nothing but counting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprints {
    pub current: Option<Fingerprint>,
    pub previous: Option<Replaced>,
}

/// A password that is no longer right, known by its fingerprint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    pub fingerprint: Fingerprint,
    pub at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_a_password_shows_nothing() {
        let hash = StoredHash::new("{PLAIN}hunter2".to_owned());
        assert_eq!(format!("{hash:?}"), "StoredHash(..)");
        assert_eq!(format!("{:?}", Fingerprint::new([1, 2, 3])), "Fingerprint(..)");
    }
}
