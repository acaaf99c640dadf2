//! `{SHA256-CRYPT}` and `{SHA512-CRYPT}`: `$5$` and `$6$`, with or without `rounds=`.
//!
//! Computed by the crate sha-crypt; by libxcrypt where the salt is empty or of letters that the crate does not take.
//!
//! Limits: times are those of a password of 256 bytes, which is the worst case.

use ::sha_crypt::password_hash::{Error, PasswordVerifier as _};
use ::sha_crypt::{Params, ShaCrypt};
use zeroize::Zeroizing;

use super::cost::Load;
use super::{Attempt, Scheme, Verifier, VerifyError, Workspace, crypt};

/// With libxcrypt 4.4.33 on an AMD EPYC; the crate takes a fifth of it where the processor helps.
const SHA256_NANOSECONDS: u64 = 3_000;
const SHA512_NANOSECONDS: u64 = 2_000;

pub(super) struct Hash {
    scheme: Scheme,
    text: Zeroizing<String>,
    load: Load,
}

impl Hash {
    pub(super) fn read(scheme: Scheme, text: &str) -> Result<Self, VerifyError> {
        let mut fields = text.split('$').skip(1).peekable();
        let nanoseconds = if fields.next() == Some("5") { SHA256_NANOSECONDS } else { SHA512_NANOSECONDS };
        let rounds = match fields.peek().and_then(|field| field.strip_prefix("rounds=")) {
            None => Params::RECOMMENDED_ROUNDS,
            Some(digits) => {
                fields.next();
                let rounds = digits.parse().ok().filter(|rounds| Params::new(*rounds).is_ok());
                rounds.ok_or_else(|| scheme.malformed("its rounds are not a number of 1000 to 999999999"))?
            }
        };
        if !matches!((fields.next(), fields.next(), fields.next()), (Some(_), Some(_), None)) {
            return Err(scheme.malformed("it is not of the form $6$salt$hash or $6$rounds=…$salt$hash"));
        }
        let load = Load::steps(u64::from(rounds), nanoseconds);
        Ok(Self { scheme, text: Zeroizing::new(text.to_owned()), load })
    }
}

impl Verifier for Hash {
    fn load(&self) -> Load {
        self.load
    }

    fn matches(&self, attempt: &Attempt<'_>, _: &mut Workspace) -> Result<bool, VerifyError> {
        match ShaCrypt::default().verify_password(attempt.password.as_bytes(), self.text.as_str()) {
            Ok(()) => Ok(true),
            Err(Error::PasswordInvalid) => Ok(false),
            Err(_) => crypt::matches(self.scheme, attempt.password, &self.text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, fits};
    use super::*;

    /// The first two are of Ulrich Drepper's specification, the others are what Dovecot 2.3.19 tries crypt with.
    #[test]
    fn the_hashes_of_the_specification_fit() {
        let hashes = [
            ("Hello world!", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"),
            (
                "Hello world!",
                "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
            ),
            ("08/15!test~4711", "$5$rounds=1000$0123456789abcdef$K/DksR0DT01hGc8g/kt9McEgrbFMKi9qrb1jehe7hn4"),
            (
                "08/15!test~4711",
                "$6$rounds=1000$0123456789abcdef$ZIAd5WqfyLkpvsVCVUU1GrvqaZTqvhJoouxdSqJO71l9Ld3tVrfOatEjarhghvEYADkq//LpDnTeO90tcbtHR1",
            ),
        ];
        for (password, hash) in hashes {
            fits(hash, password);
            fits(&format!("{{SHA512-CRYPT}}{hash}"), password);
        }
    }

    /// Made by libxcrypt 4.4.33.
    #[test]
    fn an_odd_salt_or_none_fits() {
        let hashes = [
            "$5$$o1w7HPzHt8gHmL5zUzDkRqt6Az.BjDfkvuDNNLWnXx5",
            "$6$od-d_s,alt$McmnH403h2B6vyOvoRoJGQYQizXuZt.QMnI0Xgq1foOoaz8MDaiA7/3IMWmfla/maFuHEdqrcbo0seh/ZBmmc1",
            "$6$rounds=1000$$ItXvd09GbF48UthMn1jgF27i.UiFK6lQrMQFgQ..At.nPPv1mKG8frk6rDmddXVUHVAV.2.X7lBqxtKoTwrXx0",
        ];
        for hash in hashes {
            fits(hash, "secret");
        }
    }

    #[test]
    fn what_is_no_sha_crypt_hash_is_malformed() {
        let hashes = [
            "$5$",
            "$5$saltstring",
            "$5$two words$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5",
            "$5$rounds=999$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5",
            "$5$rounds=$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5",
            "$5$rounds=5000$rounds=5000$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5",
            "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5$",
        ];
        for hash in hashes {
            let verdict = check("Hello world!", hash);
            assert!(matches!(verdict, Err(VerifyError::Malformed { .. })), "{verdict:?} for {hash}");
        }
    }
}
