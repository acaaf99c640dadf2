//! Passwords: is this the one that a stored hash was made from, how is a new one stored, what may it be.
//!
//! Pure: no clock, no randomness of its own, no threads. Reads every scheme of Dovecot and every method of libxcrypt;
//! writes `{ARGON2ID}` alone. One file for each family of schemes.
//!
//! Trusts: neither password nor hash. What a hash asks for is weighed against [`Ceilings`] before it is computed.
//! Fails:  with [`VerifyError`] when the hash cannot be verified at all, which is never the same as a wrong password.
//! Limits: libxcrypt takes a copy of the password that is not wiped (crate xcrypt 0.3).

mod argon2;
mod bcrypt;
mod challenge;
mod cost;
mod crypt;
pub mod fingerprint;
pub mod generator;
mod otp;
mod pbkdf2;
mod plain;
pub mod policy;
mod salted;
mod scheme;
mod scram;
mod sha_crypt;
mod strength;
#[cfg(test)]
mod testing;
mod yescrypt;

use std::time::Duration;

use gatepost_protocol::Secret;
use subtle::ConstantTimeEq as _;

pub use self::argon2::Workspace;
use self::cost::Load;
pub use self::cost::{Ceilings, Cost, CostError};
pub use self::scheme::Scheme;
pub use self::strength::STRONGEST;
use crate::account::StoredHash;

/// Why a stored hash cannot be verified. Nothing is known of the password then, so nobody may be told it is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    #[error(
        "the stored hash is of a scheme {name:?} that nobody here knows; \
         set a new password, or import a hash of one that `doveadm pw -l` lists"
    )]
    UnknownScheme { name: String },
    #[error("the stored {scheme} hash cannot be read: {what}; set a new password, or import the hash again")]
    Malformed { scheme: Scheme, what: &'static str },
    #[error(
        "the stored {scheme} hash asks for {asked_kib} KiB of memory, the ceiling is {ceiling_kib}; \
         set a new password, or raise `[hash] ceiling_memory_kib`"
    )]
    TooMuchMemory { scheme: Scheme, asked_kib: u64, ceiling_kib: u64 },
    #[error(
        "the stored {scheme} hash asks for about {asked:.1?} of computing, the ceiling is {ceiling:.1?}; \
         set a new password, or raise `[hash] ceiling_time`"
    )]
    TooMuchTime { scheme: Scheme, asked: Duration, ceiling: Duration },
    #[error(
        "no memory left to verify a {scheme} hash of {asked_kib} KiB; \
         lower `[hash] ceiling_memory_kib` or `threads`"
    )]
    OutOfMemory { scheme: Scheme, asked_kib: u64 },
}

/// Why a password could not be hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    #[error("a password is UTF-8, 1 to 256 bytes, without control characters; refuse others before they are hashed")]
    Shape,
    #[error("no memory left for a new hash; lower `[hash] memory_kib` or `[hash] threads`")]
    OutOfMemory,
}

/// Whether `secret` is the password that `hash` was made from, for the account `user`.
///
/// What can be nobody's password (longer than 256 bytes, not UTF-8, with control characters) is wrong at once.
///
/// # Errors
/// When the hash cannot be read, or would cost more than `ceilings` allow: then it has not been computed.
pub fn verify(
    secret: &Secret,
    user: &str,
    hash: &StoredHash,
    ceilings: &Ceilings,
    workspace: &mut Workspace,
) -> Result<bool, VerifyError> {
    let Some(password) = policy::shape(secret.expose()) else {
        return Ok(false);
    };
    let (scheme, verifier) = read(hash)?;
    ceilings.admit(scheme, verifier.load())?;
    verifier.matches(&Attempt { password, user }, workspace)
}

/// Whether `hash` could be verified at all, without computing it: for imports and for hashes that an admin hands in.
///
/// # Errors
/// Those of [`verify`].
pub fn inspect(hash: &StoredHash, ceilings: &Ceilings) -> Result<Scheme, VerifyError> {
    let (scheme, verifier) = read(hash)?;
    ceilings.admit(scheme, verifier.load())?;
    Ok(scheme)
}

/// A new hash, in the words of `doveadm pw -s ARGON2ID`.
///
/// # Errors
/// When `secret` has not the shape of a password, or memory ran out.
pub fn hash(secret: &Secret, cost: &Cost, salt: &[u8; 16], workspace: &mut Workspace) -> Result<StoredHash, HashError> {
    let password = policy::shape(secret.expose()).ok_or(HashError::Shape)?;
    argon2::hash(password, cost, salt, workspace)
}

/// A hash that no password fits, as dear to verify as a new one: for users who do not exist.
#[must_use]
pub fn dummy(cost: &Cost) -> StoredHash {
    argon2::encode(cost, &[0; 16], &[0; 32])
}

/// Whether `hash`, just verified with `secret`, is weaker than a new one of `cost` and should give way to it.
///
/// Never when the scheme ignored part of the secret: whoever types another ending, as before, would then be refused.
#[must_use]
pub fn needs_rehash(secret: &Secret, hash: &StoredHash, cost: &Cost) -> bool {
    let Some(password) = policy::shape(secret.expose()) else {
        return false;
    };
    let Ok((_, verifier)) = read(hash) else {
        return false;
    };
    !verifier.is_current(cost) && !verifier.ignores_part_of(password)
}

/// A password to verify and whose it is said to be, which some schemes hash along.
struct Attempt<'a> {
    password: &'a str,
    user: &'a str,
}

/// A stored hash as its family has read it. Nothing has been computed yet.
trait Verifier {
    /// What [`Self::matches`] will take.
    fn load(&self) -> Load {
        Load::default()
    }

    fn matches(&self, attempt: &Attempt<'_>, workspace: &mut Workspace) -> Result<bool, VerifyError>;

    /// Whether other passwords fit as well, because this one is longer or of another alphabet than the scheme reads.
    fn ignores_part_of(&self, _password: &str) -> bool {
        false
    }

    /// Whether a hash made today would be of the same scheme, and cost a guesser no more.
    fn is_current(&self, _cost: &Cost) -> bool {
        false
    }
}

fn read(hash: &StoredHash) -> Result<(Scheme, Box<dyn Verifier>), VerifyError> {
    let (scheme, bytes) = scheme::read(hash.as_str())?;
    let verifier: Box<dyn Verifier> = match scheme {
        Scheme::Argon2i | Scheme::Argon2id => Box::new(argon2::Hash::read(scheme, &bytes)?),
        Scheme::BlfCrypt
        | Scheme::Crypt
        | Scheme::DesCrypt
        | Scheme::Md5Crypt
        | Scheme::Sha256Crypt
        | Scheme::Sha512Crypt => crypt::read(scheme, &bytes)?,
        Scheme::Plain => Box::new(plain::Plain::read(bytes)),
        Scheme::PlainTrunc => Box::new(plain::Truncated::read(&bytes)?),
        Scheme::Md5 => salted::read_md5(&bytes)?,
        Scheme::LdapMd5
        | Scheme::PlainMd4
        | Scheme::PlainMd5
        | Scheme::Sha1
        | Scheme::Sha256
        | Scheme::Sha512
        | Scheme::Smd5
        | Scheme::Ssha
        | Scheme::Ssha256
        | Scheme::Ssha512 => Box::new(salted::Hash::read(scheme, &bytes)?),
        Scheme::CramMd5 => Box::new(challenge::CramMd5::read(&bytes)),
        Scheme::DigestMd5 => Box::new(challenge::DigestMd5::read(&bytes)),
        Scheme::ScramSha1 | Scheme::ScramSha256 => Box::new(scram::Hash::read(scheme, &bytes)?),
        Scheme::Pbkdf2 => Box::new(pbkdf2::Hash::read(&bytes)?),
        Scheme::Otp => Box::new(otp::Hash::read(&bytes)?),
    };
    Ok((scheme, verifier))
}

/// Equal, in a time that does not depend on where they differ.
fn equal(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

#[cfg(test)]
mod tests {
    use super::testing::{cheap, check};
    use super::*;

    #[test]
    fn an_error_names_the_setting_that_would_help() {
        let greedy = "{ARGON2ID}$argon2id$v=19$m=4194304,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA";
        assert_eq!(
            check("secret", greedy).unwrap_err().to_string(),
            "the stored ARGON2ID hash asks for 4194304 KiB of memory, the ceiling is 262144; \
             set a new password, or raise `[hash] ceiling_memory_kib`"
        );
    }

    #[test]
    fn a_new_hash_fits_its_password_and_no_other() {
        let mut workspace = Workspace::new(&cheap());
        let stored = hash(&Secret::from("pass wörd:}{"), &cheap(), &[7; 16], &mut workspace).unwrap();
        assert!(stored.as_str().starts_with("{ARGON2ID}$argon2id$v=19$m=64,t=1,p=1$"), "{}", stored.as_str());
        assert_eq!(check("pass wörd:}{", stored.as_str()), Ok(true));
        assert_eq!(check("pass word:}{", stored.as_str()), Ok(false));
    }

    #[test]
    fn what_can_be_no_password_is_wrong_for_every_hash() {
        for misshapen in ["", "line\nbreak", "nul\0", "escape\u{1b}", &"x".repeat(257)] {
            assert_eq!(check(misshapen, &format!("{{PLAIN}}{misshapen}")), Ok(false), "{misshapen:?}");
        }
        assert_eq!(check(&"x".repeat(256), &format!("{{PLAIN}}{}", "x".repeat(256))), Ok(true));
    }

    #[test]
    fn nothing_fits_the_dummy_and_it_costs_what_a_new_hash_costs() {
        let dummy = dummy(&cheap());
        assert_eq!(check("password", dummy.as_str()), Ok(false));
        assert!(!needs_rehash(&Secret::from("password"), &dummy, &cheap()));
    }

    #[test]
    fn an_unknown_scheme_is_named_and_is_no_wrong_password() {
        assert_eq!(check("x", "{SKEIN}abc"), Err(VerifyError::UnknownScheme { name: "SKEIN".to_owned() }));
        assert_eq!(check("x", "{SHA.ROT13}abc"), Err(VerifyError::UnknownScheme { name: "SHA.ROT13".to_owned() }));
    }

    #[test]
    fn a_hash_of_another_scheme_or_of_less_cost_is_made_anew() {
        let of_cost = |memory_kib, iterations| dummy(&Cost::new(memory_kib, iterations, 1).unwrap());
        let [current, more_passes, more_memory, as_much] = [(19_456, 2), (19_456, 3), (65_536, 3), (47_104, 1)]
            .map(|(memory_kib, iterations)| of_cost(memory_kib, iterations));
        let [less_memory, fewer_passes] = [(9_216, 4), (19_456, 1)].map(|(memory, passes)| of_cost(memory, passes));
        let cases = [
            (current.as_str(), false),
            (more_passes.as_str(), false),
            // What `doveadm pw -s ARGON2ID` makes, and another of OWASP's choices.
            (more_memory.as_str(), false),
            (as_much.as_str(), false),
            (less_memory.as_str(), true),
            (fewer_passes.as_str(), true),
            (
                "{ARGON2ID}$argon2i$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                true,
            ),
            ("{PLAIN}secret", true),
            ("{SSHA}86D/ck+bqH//hJb2M3JwRv1AJKOOA6Tt", true),
            ("{BLF-CRYPT}$2y$05$BShfqQAXxxqJckUkqUG6A.NdMSPEvCKdNcYCpR4NnzLi2jHVmxHfS", true),
        ];
        for (hash, anew) in cases {
            let hash_ = StoredHash::new(hash.to_owned());
            assert_eq!(needs_rehash(&Secret::from("secret"), &hash_, &Cost::default()), anew, "{hash}");
        }
    }

    #[test]
    fn a_hash_that_ignored_part_of_the_password_is_never_made_anew() {
        let bcrypt = "{CRYPT}$2y$05$BShfqQAXxxqJckUkqUG6A.NdMSPEvCKdNcYCpR4NnzLi2jHVmxHfS";
        let old_bcrypt = bcrypt.replace("$2y", "$2x");
        let cases = [
            ("a", "{DES-CRYPT}oOoSweT0hcu9c"),
            ("longer than eight", "oOoSweT0hcu9c"),
            ("a", "{CRYPT}_J9..abcdnUGHpiJ8Yv."),
            (&"x".repeat(73), bcrypt),
            ("a", &old_bcrypt),
            ("secretwords", "{PLAIN-TRUNC}8-secretwo"),
        ];
        for (password, hash) in cases {
            let stored = StoredHash::new(hash.to_owned());
            assert!(!needs_rehash(&Secret::from(password), &stored, &Cost::default()), "{hash}");
        }
        assert!(needs_rehash(&Secret::from(&*"x".repeat(72)), &StoredHash::new(bcrypt.to_owned()), &Cost::default()));
    }
}
