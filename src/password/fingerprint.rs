//! Fingerprints: is this, most likely, the password that was replaced some days ago?
//!
//! 24 bits of a hash under a key that is kept outside the store. Too few bits to tell which password it was, and without
//! the key nothing at all; enough that a wrong guess is taken for the previous password once in 16 million times.
//!
//! Trusts: nobody; a fingerprint decides about counting, never about a login.
//! Limits: another key knows none of the passwords that were fingerprinted under this one.

use gatepost_protocol::Secret;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::account::{Fingerprint, Username};

/// Bytes of a key: what HMAC-SHA-256 takes as it is.
pub const KEY_LENGTH: usize = 64;

/// What fingerprints are made under. It prints nowhere.
pub struct FingerprintKey(Zeroizing<[u8; KEY_LENGTH]>);

impl FingerprintKey {
    #[must_use]
    pub fn new(bytes: [u8; KEY_LENGTH]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Of this password for this account: the same password of another has another one.
    #[must_use]
    pub fn fingerprint(&self, user: &Username, password: &Secret) -> Fingerprint {
        let mac = Hmac::<Sha256>::new(&(*self.0).into())
            .chain_update(user.as_str())
            .chain_update([0])
            .chain_update(password.expose())
            .finalize()
            .into_bytes();
        let [a, b, c, ..] = mac.0;
        Fingerprint::new([a, b, c])
    }
}

impl std::fmt::Debug for FingerprintKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("FingerprintKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint(key: u8, user: &str, password: &str) -> Fingerprint {
        let user = user.parse().expect("a valid name");
        FingerprintKey::new([key; KEY_LENGTH]).fingerprint(&user, &Secret::new(password.as_bytes().to_vec()))
    }

    #[test]
    fn key_account_and_password_each_make_another_fingerprint() {
        let ours = fingerprint(1, "ann@example.org", "Gate-post-8");
        assert_eq!(ours, fingerprint(1, "ann@example.org", "Gate-post-8"));
        assert_ne!(ours, fingerprint(2, "ann@example.org", "Gate-post-8"), "another key");
        assert_ne!(ours, fingerprint(1, "bob@example.org", "Gate-post-8"), "another account");
        assert_ne!(ours, fingerprint(1, "ann@example.org", "Gate-post-9"), "another password");
    }

    #[test]
    fn a_key_shows_nothing() {
        assert_eq!(format!("{:?}", FingerprintKey::new([7; KEY_LENGTH])), "FingerprintKey(..)");
    }
}
