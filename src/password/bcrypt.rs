//! bcrypt: `$2y$10$salt-and-hash`, 60 bytes, in its variants a, b, x and y. `{BLF-CRYPT}`, and often `{CRYPT}`.
//!
//! Computed by libxcrypt, which is the reference implementation and knows the variants' quirks.
//!
//! Limits: bcrypt reads 72 bytes. A longer password is verified by those, as in Dovecot, and its hash never upgraded.

use zeroize::Zeroizing;

use super::cost::Load;
use super::{Attempt, Scheme, Verifier, VerifyError, Workspace, crypt};

const BYTES_READ: usize = 72;
const LENGTH: usize = 60;
/// For one of the 2^cost rounds.
const NANOSECONDS_PER_ROUND: u64 = 53_000;

pub(super) struct Hash {
    scheme: Scheme,
    text: Zeroizing<String>,
    cost: u32,
    /// `$2x$` marks hashes of an old library that let a byte above 127 overwrite up to three before it.
    sign_extension: bool,
}

impl Hash {
    pub(super) fn read(scheme: Scheme, text: &str) -> Result<Self, VerifyError> {
        let malformed = || scheme.malformed("it is not of the bcrypt form $2y$, cost, $, 53 letters");
        let mut parts = text.split('$').skip(1);
        let (variant, cost, rest) = (parts.next(), parts.next(), parts.next());
        let well_formed = text.len() == LENGTH
            && matches!(variant, Some("2a" | "2b" | "2x" | "2y"))
            && rest.is_some_and(|rest| rest.bytes().all(|byte| crypt::digit(byte).is_some()))
            && parts.next().is_none();
        let cost = cost.filter(|digits| digits.len() == 2).and_then(|digits| digits.parse().ok());
        let cost = cost.filter(|cost| well_formed && (4..=31).contains(cost)).ok_or_else(malformed)?;
        Ok(Self { scheme, text: Zeroizing::new(text.to_owned()), cost, sign_extension: variant == Some("2x") })
    }
}

impl Verifier for Hash {
    fn load(&self) -> Load {
        Load::steps(1 << self.cost, NANOSECONDS_PER_ROUND)
    }

    fn matches(&self, attempt: &Attempt<'_>, _: &mut Workspace) -> Result<bool, VerifyError> {
        crypt::matches(self.scheme, attempt.password, &self.text)
    }

    fn ignores_part_of(&self, password: &str) -> bool {
        password.len() > BYTES_READ || self.sign_extension
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, fits};
    use super::*;

    #[test]
    fn every_variant_fits() {
        // The first two are of crypt_blowfish 1.3 wrapper.c, the others were made by libxcrypt 4.4.33.
        let hashes = [
            ("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
            (
                "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789chars after 72 are ignored",
                "$2a$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui",
            ),
            ("secret", "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"),
            ("secret", "$2x$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"),
            ("päss", "$2y$04$abcdefghijklmnopqrstuuF7KK/SfP9IRGj0pPJMr8GdtCS8xpmpC"),
        ];
        for (password, hash) in hashes {
            fits(&format!("{{BLF-CRYPT}}{hash}"), password);
            fits(&format!("{{CRYPT}}{hash}"), password);
            fits(hash, password);
        }
    }

    #[test]
    fn a_password_that_the_old_fault_garbled_still_fits_and_so_do_others() {
        let hash = "$2x$04$abcdefghijklmnopqrstuuLWVps1vezcjOvXo9btj.hI9rH2rQrLG";
        assert_eq!(check("päss", hash), Ok(true));
        assert_eq!(check("xäss", hash), Ok(true));
        assert_eq!(check("päsx", hash), Ok(false));
    }

    #[test]
    fn what_is_no_bcrypt_hash_is_malformed() {
        let hashes = [
            "$2$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW1",
            "$2z$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
            "$2y$03$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
            "$2y$32$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
            "$2y$+4$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
            "$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIr",
            "$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WI$W",
        ];
        for hash in hashes {
            let verdict = check("secret", hash);
            assert!(matches!(verdict, Err(VerifyError::Malformed { .. })), "{verdict:?} for {hash}");
        }
    }
}
