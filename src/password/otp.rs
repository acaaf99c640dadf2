//! `{OTP}`: `sha1 1024 seed hash`, the one-time password that comes before the next (RFC 2289). The pass phrase fits.

use md4::Md4;
use md5::{Digest, Md5};
use sha1::Sha1;

use super::cost::Load;
use super::{Attempt, Scheme, Verifier, VerifyError, Workspace, equal, scheme};

/// Dovecot cuts a seed there; RFC 2289 §6 allows no longer one.
const SEED_LIMIT: usize = 16;
const SIZE: usize = 8;
/// For a round; 0.05 µs measured with SHA-1 and 0.12 µs with MD4 on an AMD EPYC.
const NANOSECONDS: u64 = 400;

pub(super) struct Hash {
    algorithm: Algorithm,
    sequence: u32,
    seed: String,
    expected: Vec<u8>,
}

#[derive(Clone, Copy)]
enum Algorithm {
    Md4,
    Md5,
    Sha1,
}

impl Hash {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, VerifyError> {
        let malformed =
            || Scheme::Otp.malformed("it is not of the form algorithm, number, seed, 16 hexadecimal digits");
        let text = std::str::from_utf8(bytes).map_err(|_| malformed())?;
        let mut fields = text.split_ascii_whitespace();
        let algorithm = match fields.next() {
            Some("md4") => Algorithm::Md4,
            Some("md5") => Algorithm::Md5,
            Some("sha1") => Algorithm::Sha1,
            _ => return Err(malformed()),
        };
        let (Some(sequence), Some(seed), Some(expected), None) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(malformed());
        };
        if seed.len() > SEED_LIMIT || !seed.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(malformed());
        }
        let expected = scheme::hex(expected).filter(|expected| expected.len() == SIZE).ok_or_else(malformed)?;
        let sequence = sequence.parse().map_err(|_| malformed())?;
        Ok(Self { algorithm, sequence, seed: seed.to_ascii_lowercase(), expected })
    }

    fn one_time_password(&self, password: &str) -> [u8; SIZE] {
        let first = self.fold(&[self.seed.as_bytes(), password.as_bytes()]);
        (0..self.sequence).fold(first, |previous, _| self.fold(&[&previous]))
    }

    /// The digest of the parts, folded to 64 bits (RFC 2289 appendix A).
    fn fold(&self, parts: &[&[u8]]) -> [u8; SIZE] {
        match self.algorithm {
            Algorithm::Md4 => fold_words(&digest::<Md4>(parts), u32::from_le_bytes, u32::to_le_bytes),
            Algorithm::Md5 => fold_words(&digest::<Md5>(parts), u32::from_le_bytes, u32::to_le_bytes),
            // SHA-1 computes in big-endian words, but one-time passwords are little-endian all the same.
            Algorithm::Sha1 => fold_words(&digest::<Sha1>(parts), u32::from_be_bytes, u32::to_le_bytes),
        }
    }
}

impl Verifier for Hash {
    fn load(&self) -> Load {
        Load::steps(u64::from(self.sequence), NANOSECONDS)
    }

    fn matches(&self, attempt: &Attempt<'_>, _: &mut Workspace) -> Result<bool, VerifyError> {
        Ok(equal(&self.one_time_password(attempt.password), &self.expected))
    }
}

fn digest<D: Digest>(parts: &[&[u8]]) -> Vec<u8> {
    parts.iter().fold(D::new(), |digest, part| digest.chain_update(part)).finalize().to_vec()
}

/// XORs the words of even and of odd place into one each.
fn fold_words(digest: &[u8], read: fn([u8; 4]) -> u32, write: fn(u32) -> [u8; 4]) -> [u8; SIZE] {
    let (mut even, mut odd) = (0, 0);
    let mut words = digest.as_chunks::<4>().0.iter().map(|word| read(*word));
    while let Some(word) = words.next() {
        even ^= word;
        odd ^= words.next().unwrap_or(0);
    }
    let [a, b, c, d] = write(even);
    let [e, f, g, h] = write(odd);
    [a, b, c, d, e, f, g, h]
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, fits};
    use super::*;

    /// RFC 2289 appendix C, with the pass phrase "This is a test.".
    #[test]
    fn the_vectors_of_the_rfc_fit() {
        let hashes = [
            "md4 0 TeSt D1854218EBBB0B51",
            "md4 1 TeSt 63473EF01CD0B444",
            "md4 99 TeSt C5E612776E6C237A",
            "md5 0 TeSt 9E876134D90499DD",
            "md5 1 TeSt 7965E05436F5029F",
            "md5 99 TeSt 50FE1962C4965880",
            "sha1 0 TeSt BB9E6AE1979D8FF4",
            "sha1 1 TeSt 63D936639734385B",
            "sha1 99 TeSt 87FEC7768B73CCF9",
        ];
        for hash in hashes {
            fits(&format!("{{OTP}}{hash}"), "This is a test.");
        }
    }

    #[test]
    fn what_is_no_one_time_password_is_malformed() {
        for hash in [
            "",
            "sha2 1 TeSt 63D936639734385B",
            "sha1 -1 TeSt 63D936639734385B",
            "sha1 1 TeSt 63D9",
            "sha1 1 a:b 63D936639734385B",
        ] {
            let verdict = check("This is a test.", &format!("{{OTP}}{hash}"));
            assert!(matches!(verdict, Err(VerifyError::Malformed { .. })), "{verdict:?} for {hash}");
        }
    }
}
