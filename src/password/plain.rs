//! Passwords stored as they are: `{PLAIN}`, and `{PLAIN-TRUNC}`, of which only the first bytes were ever stored.

use zeroize::Zeroizing;

use super::{Attempt, Scheme, Verifier, VerifyError, Workspace, equal};

/// `{PLAIN}`, `{CLEAR}`, `{CLEARTEXT}`.
pub(super) struct Plain(Zeroizing<Vec<u8>>);

impl Plain {
    pub(super) fn read(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }
}

impl Verifier for Plain {
    fn matches(&self, attempt: &Attempt<'_>, _: &mut Workspace) -> Result<bool, VerifyError> {
        Ok(equal(attempt.password.as_bytes(), &self.0))
    }
}

/// `{PLAIN-TRUNC}8-secretwo`: where exactly so many bytes are stored, more may have been meant.
pub(super) struct Truncated {
    known: Zeroizing<Vec<u8>>,
    perhaps_more: bool,
}

impl Truncated {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, VerifyError> {
        let malformed = || Scheme::PlainTrunc.malformed("it does not begin with the length stored and a hyphen");
        let text = std::str::from_utf8(bytes).map_err(|_| malformed())?;
        let (digits, known) = text.split_once('-').ok_or_else(malformed)?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(malformed());
        }
        let length: usize = if digits.is_empty() { 0 } else { digits.parse().map_err(|_| malformed())? };
        Ok(Self { perhaps_more: known.len() == length, known: Zeroizing::new(known.as_bytes().to_vec()) })
    }
}

impl Verifier for Truncated {
    fn matches(&self, attempt: &Attempt<'_>, _: &mut Workspace) -> Result<bool, VerifyError> {
        let given = attempt.password.as_bytes();
        let compared = if self.perhaps_more { given.get(..self.known.len()).unwrap_or(given) } else { given };
        Ok(equal(compared, &self.known))
    }

    fn ignores_part_of(&self, _password: &str) -> bool {
        self.perhaps_more
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, fits};
    use super::*;

    #[test]
    fn a_plain_password_fits_byte_for_byte() {
        fits("{PLAIN}Secret ", "Secret ");
        fits("{CLEARTEXT}{PLAIN}x", "{PLAIN}x");
        fits("{PLAIN.B64}OnNlY3JldA==", ":secret");
        assert_eq!(check("e\u{301}", "{PLAIN}é"), Ok(false), "composed and decomposed are different bytes");
    }

    #[test]
    fn a_truncated_password_fits_whoever_knows_what_is_left_of_it() {
        let cases = [
            ("secret", "6-secret", true),
            ("secretary", "6-secret", true),
            ("secre", "6-secret", false),
            ("secret", "3-secret", true),
            ("secretary", "3-secret", false),
            ("two-part", "8-two-part", true),
        ];
        for (password, stored, fits) in cases {
            assert_eq!(check(password, &format!("{{PLAIN-TRUNC}}{stored}")), Ok(fits), "{password} for {stored}");
        }
    }

    #[test]
    fn a_truncated_password_without_its_length_is_malformed() {
        for stored in ["", "secret", "x-secret", "99999999999999999999999-secret"] {
            let verdict = check("secret", &format!("{{PLAIN-TRUNC}}{stored}"));
            assert!(matches!(verdict, Err(VerifyError::Malformed { .. })), "{verdict:?} for {stored}");
        }
    }
}
