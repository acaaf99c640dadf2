//! `{ARGON2ID}` and `{ARGON2I}`: `$argon2id$v=19$m=65536,t=3,p=1$salt$hash`, as libsodium writes them.
//!
//! The blocks of memory are the caller's, so that a thread allocates them once and not for each login.

use std::fmt;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::Zeroizing;

use super::cost::{Cost, Load};
use super::{Attempt, HashError, Scheme, Verifier, VerifyError, equal};
use crate::account::StoredHash;

/// For one KiB in one pass; 0.4 to 0.7 µs measured on an AMD EPYC, which has AVX2.
const NANOSECONDS_PER_KIB: u64 = 1_000;

/// Memory that argon2 computes in, kept between hashes.
///
/// A hash that needs more than the usual gets it, and what is above the usual is given back at once.
pub struct Workspace {
    blocks: Vec<Block>,
    usual: usize,
}

impl Workspace {
    /// Memory for hashes of this cost, from the start.
    #[must_use]
    pub fn new(cost: &Cost) -> Self {
        let usual = cost.params().block_count();
        Self { blocks: vec![Block::new(); usual], usual }
    }

    fn compute(&mut self, hasher: &Argon2<'_>, password: &str, salt: &[u8], output: &mut [u8]) -> argon2::Result<()> {
        let wanted = hasher.params().block_count();
        let missing = wanted.saturating_sub(self.blocks.len());
        self.blocks.try_reserve_exact(missing).map_err(|_| argon2::Error::OutOfMemory)?;
        self.blocks.resize(self.blocks.len() + missing, Block::new());
        let computed = hasher.hash_password_into_with_memory(password.as_bytes(), salt, output, &mut self.blocks[..]);
        self.blocks.truncate(self.usual);
        self.blocks.shrink_to(self.usual);
        computed
    }
}

impl fmt::Debug for Workspace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Workspace").field("kib", &self.blocks.len()).finish_non_exhaustive()
    }
}

/// A stored Argon2 hash.
pub(super) struct Hash {
    scheme: Scheme,
    algorithm: Algorithm,
    version: Version,
    params: Params,
    salt: Vec<u8>,
    output: Vec<u8>,
}

impl Hash {
    /// Dovecot takes both kinds under both names, and so do we.
    pub(super) fn read(scheme: Scheme, bytes: &[u8]) -> Result<Self, VerifyError> {
        let malformed = || scheme.malformed("it is not of the form $argon2id$v=19$m=…,t=…,p=…$salt$hash");
        let text = std::str::from_utf8(bytes).map_err(|_| malformed())?;
        let parts = PasswordHash::new(text).map_err(|_| malformed())?;
        let params = Params::try_from(&parts).map_err(|_| malformed())?;
        if !params.keyid().is_empty() || !params.data().is_empty() {
            return Err(scheme.malformed("it was made with a key or with associated data"));
        }
        let Ok(algorithm @ (Algorithm::Argon2i | Algorithm::Argon2id)) = Algorithm::try_from(parts.algorithm.as_str())
        else {
            return Err(malformed());
        };
        // Before version 19 the field did not exist.
        let version = parts.version.map_or(Ok(Version::V0x10), Version::try_from).map_err(|_| malformed())?;
        let salt = parts.salt.as_ref().map(|salt| salt.to_vec()).ok_or_else(malformed)?;
        let output = parts.hash.as_ref().map(|output| output.as_bytes().to_vec()).ok_or_else(malformed)?;
        if salt.len() < argon2::MIN_SALT_LEN {
            return Err(scheme.malformed("its salt is shorter than 8 bytes"));
        }
        Ok(Self { scheme, algorithm, version, params, salt, output })
    }
}

impl Verifier for Hash {
    fn load(&self) -> Load {
        load(&self.params)
    }

    fn matches(&self, attempt: &Attempt<'_>, workspace: &mut Workspace) -> Result<bool, VerifyError> {
        let hasher = Argon2::new(self.algorithm, self.version, self.params.clone());
        let mut computed = Zeroizing::new(vec![0; self.output.len()]);
        workspace.compute(&hasher, attempt.password, &self.salt, &mut computed).map_err(|error| match error {
            argon2::Error::OutOfMemory => {
                VerifyError::OutOfMemory { scheme: self.scheme, asked_kib: self.load().memory_kib }
            }
            _ => self.scheme.malformed("Argon2 does not know its parameters"),
        })?;
        Ok(equal(&computed, &self.output))
    }

    /// One that costs a guesser as much memory and time, or more, stays as it is.
    fn is_current(&self, cost: &Cost) -> bool {
        let (ours, wanted) = (load(&self.params), load(cost.params()));
        matches!((self.algorithm, self.version), (Algorithm::Argon2id, Version::V0x13))
            && ours.memory_kib >= wanted.memory_kib
            && ours.nanoseconds >= wanted.nanoseconds
            && self.salt.len() >= argon2::RECOMMENDED_SALT_LEN
            && self.output.len() >= Params::DEFAULT_OUTPUT_LEN
    }
}

pub(super) fn load(params: &Params) -> Load {
    let memory_kib = u64::from(params.m_cost());
    Load::steps(memory_kib.saturating_mul(u64::from(params.t_cost())), NANOSECONDS_PER_KIB).with_memory_kib(memory_kib)
}

pub(super) fn hash(
    password: &str,
    cost: &Cost,
    salt: &[u8; 16],
    workspace: &mut Workspace,
) -> Result<StoredHash, HashError> {
    let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, cost.params().clone());
    let mut output = [0; Params::DEFAULT_OUTPUT_LEN];
    // Cost, salt and output are of lengths that Argon2 takes; memory is what can be missing.
    workspace.compute(&hasher, password, salt, &mut output).map_err(|_| HashError::OutOfMemory)?;
    Ok(encode(cost, salt, &output))
}

/// What libsodium writes. The generic PHC encoder is not used because it can fail, and this cannot.
pub(super) fn encode(cost: &Cost, salt: &[u8; 16], output: &[u8; 32]) -> StoredHash {
    let (memory_kib, iterations, lanes) = (cost.memory_kib(), cost.iterations(), cost.lanes());
    let (salt, output) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(output));
    StoredHash::new(format!("{{ARGON2ID}}$argon2id$v=19$m={memory_kib},t={iterations},p={lanes}${salt}${output}"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, fits};
    use super::*;

    /// From the reference implementation's src/test.c, as far as they are version 19 or 16.
    #[test]
    fn the_reference_hashes_fit() {
        let hashes = [
            "{ARGON2ID}$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            "{ARGON2I}$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA",
            "{ARGON2I}$argon2i$m=65536,t=2,p=1$c29tZXNhbHQ$9sTbSlTio3Biev89thdrlKKiCaYsjjYVJxGAL3swxpQ",
            // the name says less than the hash
            "{ARGON2I}$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        ];
        for hash in hashes {
            fits(hash, "password");
        }
    }

    #[test]
    fn what_is_no_argon2_hash_is_malformed() {
        let hashes = [
            "",
            "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ",
            "$argon2d$v=19$m=64,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            "$argon2id$v=20$m=64,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            "$argon2id$v=19$m=64,t=0,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            "$argon2id$v=19$m=7,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            "$argon2id$v=19$m=64,t=1,p=1$c2hvcnQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            "$argon2id$v=19$m=64,t=1,p=1,keyid=c2FsdA$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        ];
        for hash in hashes {
            let verdict = check("password", &format!("{{ARGON2ID}}{hash}"));
            assert!(matches!(verdict, Err(VerifyError::Malformed { .. })), "{verdict:?} for {hash}");
        }
    }

    #[test]
    fn memory_above_the_usual_is_given_back() {
        let usual = Cost::new(64, 1, 1).unwrap();
        let mut workspace = Workspace::new(&usual);
        for cost in [&Cost::new(1024, 1, 1).unwrap(), &usual] {
            hash("password", cost, &[0; 16], &mut workspace).unwrap();
            assert_eq!(workspace.blocks.capacity(), 64);
        }
    }
}
