//! What CRAM-MD5 and DIGEST-MD5 servers store so as not to store the password. Here it only verifies a plain one.

use md5::block_api::compress;
use md5::{Digest as _, Md5};
use zeroize::{Zeroize as _, Zeroizing};

use super::{Attempt, Verifier, VerifyError, Workspace, equal};

const BLOCK: usize = 64;
/// MD5's state before the first block (RFC 1321 §3.3).
const MD5_START: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
/// HMAC's two pads (RFC 2104 §2), in the order in which Dovecot stores what becomes of them.
const PADS: [u8; 2] = [0x5c, 0x36];

/// `{CRAM-MD5}`, `{HMAC-MD5}`: HMAC-MD5 stopped after the key, the outer state and then the inner.
pub(super) struct CramMd5(Vec<u8>);

impl CramMd5 {
    pub(super) fn read(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl Verifier for CramMd5 {
    fn matches(&self, attempt: &Attempt<'_>, _: &mut Workspace) -> Result<bool, VerifyError> {
        Ok(equal(&keyed_states(attempt.password.as_bytes()), &self.0))
    }
}

fn keyed_states(key: &[u8]) -> Vec<u8> {
    let hashed;
    let key = if key.len() > BLOCK {
        hashed = Md5::digest(key);
        &hashed[..]
    } else {
        key
    };
    let state_after = |pad: u8| {
        let mut block = [pad; BLOCK];
        block.iter_mut().zip(key).for_each(|(padded, byte)| *padded ^= byte);
        let mut state = MD5_START;
        compress(&mut state, &[block]);
        block.zeroize();
        state.into_iter().flat_map(u32::to_le_bytes)
    };
    PADS.into_iter().flat_map(state_after).collect()
}

/// `{DIGEST-MD5}`: MD5 of user, realm and password (RFC 2831 §2.1.2.1); the realm is what follows the last `@`.
pub(super) struct DigestMd5(Vec<u8>);

impl DigestMd5 {
    pub(super) fn read(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl Verifier for DigestMd5 {
    fn matches(&self, attempt: &Attempt<'_>, _: &mut Workspace) -> Result<bool, VerifyError> {
        let (local, realm) = attempt.user.rsplit_once('@').unwrap_or((attempt.user, ""));
        let secret = Zeroizing::new(format!("{local}:{realm}:{}", attempt.password));
        Ok(equal(&Md5::digest(secret.as_bytes()), &self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check_of, fits};

    /// "test" of Dovecot 2.4.1 src/lib-auth/test-password-scheme.c.
    #[test]
    fn a_keyed_state_fits() {
        fits("{CRAM-MD5}e02d374fde0dc75a17a557039a3a5338c7743304777dccd376f332bee68d2cf6", "test");
        fits("{HMAC-MD5}4C03T94Nx1oXpVcDmjpTOMd0MwR3fczTdvMyvuaNLPY=", "test");
    }

    /// The user of RFC 2831 §4, whose realm is no mail domain but could be.
    #[test]
    fn a_digest_fits_in_its_realm_alone() {
        let hash = "{DIGEST-MD5}eb5a750053e4d2c34aa84bbc9b0b6ee7";
        assert_eq!(check_of("chris@elwood.innosoft.com", "secret", hash), Ok(true));
        assert_eq!(check_of("chris@elwood.innosoft.com", "Secret", hash), Ok(false));
        assert_eq!(check_of("chris@innosoft.com", "secret", hash), Ok(false));
        assert_eq!(check_of("chris", "secret", hash), Ok(false));
    }
}
