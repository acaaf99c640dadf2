//! `{PBKDF2}`: `$1$salt$rounds$hash`, with HMAC-SHA1, the salt as it is written and the hash in hexadecimal.

use ::pbkdf2::pbkdf2_hmac_array;
use sha1::Sha1;

use super::cost::Load;
use super::{Attempt, Scheme, Verifier, VerifyError, Workspace, equal, scheme};

/// For a round; 0.14 µs measured on an AMD EPYC, 0.34 µs without its SHA instructions.
pub(super) const SHA1_NANOSECONDS: u64 = 400;
const OUTPUT: usize = 20;

pub(super) struct Hash {
    salt: String,
    rounds: u32,
    output: Vec<u8>,
}

impl Hash {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, VerifyError> {
        let malformed = || Scheme::Pbkdf2.malformed("it is not of the form $1$salt$rounds$hash");
        let text = std::str::from_utf8(bytes).map_err(|_| malformed())?;
        let mut fields = text.strip_prefix("$1$").ok_or_else(malformed)?.split('$');
        let (Some(salt), Some(rounds), Some(output), None) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(malformed());
        };
        let rounds = rounds.parse().ok().filter(|rounds| *rounds > 0).ok_or_else(malformed)?;
        let output = scheme::hex(output).filter(|output| output.len() == OUTPUT).ok_or_else(malformed)?;
        Ok(Self { salt: salt.to_owned(), rounds, output })
    }
}

impl Verifier for Hash {
    fn load(&self) -> Load {
        Load::steps(u64::from(self.rounds), SHA1_NANOSECONDS)
    }

    fn matches(&self, attempt: &Attempt<'_>, _: &mut Workspace) -> Result<bool, VerifyError> {
        let (password, salt) = (attempt.password.as_bytes(), self.salt.as_bytes());
        Ok(equal(&pbkdf2_hmac_array::<Sha1, OUTPUT>(password, salt, self.rounds), &self.output))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, fits};
    use super::*;

    /// RFC 6070 §2.
    #[test]
    fn the_vectors_of_the_rfc_fit() {
        fits("{PBKDF2}$1$salt$1$0c60c80f961f0e71f3a9b524af6012062fe037a6", "password");
        fits("{PBKDF2}$1$salt$2$ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957", "password");
        fits("{PBKDF2}$1$salt$4096$4b007901b765489abead49d926f721d065a429c1", "password");
    }

    #[test]
    fn what_is_no_pbkdf2_hash_is_malformed() {
        for hash in ["", "$1$salt$1", "$1$salt$0$0c60c80f961f0e71f3a9b524af6012062fe037a6", "$1$salt$1$0c60"] {
            let verdict = check("password", &format!("{{PBKDF2}}{hash}"));
            assert!(matches!(verdict, Err(VerifyError::Malformed { .. })), "{verdict:?} for {hash}");
        }
    }
}
