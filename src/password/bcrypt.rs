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
