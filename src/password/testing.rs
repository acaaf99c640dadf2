//! What the families' tests have in common: a hash, a password, and what `verify` says of them.

use gatepost_protocol::Secret;

use super::{Ceilings, Cost, VerifyError, Workspace, verify};
use crate::account::StoredHash;

/// Argon2 at its cheapest: tests are about what is compared, not about what it costs.
pub(super) fn cheap() -> Cost {
    Cost::new(64, 1, 1).unwrap()
}

pub(super) fn check(password: &str, hash: &str) -> Result<bool, VerifyError> {
    check_of("ann@example.org", password, hash)
}

pub(super) fn check_of(user: &str, password: &str, hash: &str) -> Result<bool, VerifyError> {
    let hash = StoredHash::new(hash.to_owned());
    verify(&Secret::from(password), user, &hash, &Ceilings::default(), &mut Workspace::new(&cheap()))
}

/// Asserts that this password fits, and that one with another first letter does not.
pub(super) fn fits(hash: &str, password: &str) {
    assert_eq!(check(password, hash), Ok(true), "{password:?} for {hash}");
    let other = format!("x{}", password.chars().skip(1).collect::<String>());
    assert_eq!(check(&other, hash), Ok(false), "{other:?} for {hash}");
}
