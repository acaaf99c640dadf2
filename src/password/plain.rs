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
