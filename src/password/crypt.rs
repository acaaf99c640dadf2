//! What `{CRYPT}` hides: the methods of crypt(5), told apart by how the hash begins. libxcrypt computes them.
//!
//! `{DES-CRYPT}`, `{SHA512-CRYPT}` and their like are only other names, as in Dovecot: the hash says what it is.
//!
//! Limits: times are those of a password of 256 bytes, measured with libxcrypt 4.4.33 on an AMD EPYC.

use zeroize::Zeroizing;

use super::cost::Load;
use super::{Attempt, Scheme, Verifier, VerifyError, Workspace, bcrypt, equal, sha_crypt, yescrypt};

const MD5_ROUNDS: u64 = 1_000;
const MD5_NANOSECONDS: u64 = 900;
const SUN_MD5_BASE_ROUNDS: u64 = 4_096;
const SUN_MD5_NANOSECONDS: u64 = 1_400;
const SHA1_NANOSECONDS: u64 = 1_400;
const DES_ROUNDS: u64 = 25;
const DES_NANOSECONDS: u64 = 140;
/// bigcrypt hashes 16 times 8 bytes apart.
const BIGCRYPT_BLOCKS: u64 = 16;

/// The alphabet of salts and numbers, in the order of their values.
const ITOA64: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Reads a crypt(5) hash stored under the name of `scheme`.
pub(super) fn read(scheme: Scheme, bytes: &[u8]) -> Result<Box<dyn Verifier>, VerifyError> {
    let text = std::str::from_utf8(bytes).map_err(|_| scheme.malformed("it is not text"))?;
    if text.is_empty() || text.starts_with(['!', '*']) {
        return Ok(Box::new(Locked));
    }
    if text.starts_with("$2") {
        return Ok(Box::new(bcrypt::Hash::read(scheme, text)?));
    }
    if scheme == Scheme::BlfCrypt {
        return Err(scheme.malformed("it does not begin with $2"));
    }
    if text.starts_with("$5$") || text.starts_with("$6$") {
        return Ok(Box::new(sha_crypt::Hash::read(scheme, text)?));
    }
    let (load, seven_bit) = if let Some(load) = des_load(text) { (load, true) } else { (load(scheme, text)?, false) };
    Ok(Box::new(Hash { scheme, text: Zeroizing::new(text.to_owned()), load, seven_bit }))
}

/// passwd(5) files lock an account by a hash that nothing hashes to: `*`, `!`, `!$6$…`, or none.
struct Locked;

impl Verifier for Locked {
    fn matches(&self, _: &Attempt<'_>, _: &mut Workspace) -> Result<bool, VerifyError> {
        Ok(false)
    }
}

struct Hash {
    scheme: Scheme,
    text: Zeroizing<String>,
    load: Load,
    /// The DES family reads seven bits of a byte, the oldest of them of eight bytes only.
    seven_bit: bool,
}

impl Verifier for Hash {
    fn load(&self) -> Load {
        self.load
    }

    fn matches(&self, attempt: &Attempt<'_>, _: &mut Workspace) -> Result<bool, VerifyError> {
        matches(self.scheme, attempt.password, &self.text)
    }

    fn ignores_part_of(&self, _password: &str) -> bool {
        self.seven_bit
    }
}

/// Has libxcrypt hash the password as `text` was hashed, and compares.
pub(super) fn matches(scheme: Scheme, password: &str, text: &str) -> Result<bool, VerifyError> {
    let unable = || scheme.malformed("libxcrypt cannot compute it");
    let computed = Zeroizing::new(xcrypt::crypt(password, text).map_err(|_| unable())?);
    // crypt_r reports failure by a text that begins with an asterisk, which no hash does.
    if computed.starts_with('*') { Err(unable()) } else { Ok(equal(computed.as_bytes(), text.as_bytes())) }
}

/// The number a character of salts and numbers stands for.
pub(super) fn digit(byte: u8) -> Option<u32> {
    ITOA64.iter().position(|known| *known == byte).and_then(|value| u32::try_from(value).ok())
}

/// `_` with count and salt (BSDi), or two letters of salt and eleven of hash (the oldest) or more of them (bigcrypt).
fn des_load(text: &str) -> Option<Load> {
    if let Some(rest) = text.strip_prefix('_') {
        let digits = rest.as_bytes().get(..4)?;
        let count = digits.iter().rev().try_fold(0, |count, byte| Some(count << 6 | u64::from(digit(*byte)?)))?;
        return Some(Load::steps(count, DES_NANOSECONDS));
    }
    let des = text.len() >= 13 && text.bytes().all(|byte| digit(byte).is_some());
    des.then(|| Load::steps(DES_ROUNDS * BIGCRYPT_BLOCKS, DES_NANOSECONDS))
}

fn load(scheme: Scheme, text: &str) -> Result<Load, VerifyError> {
    let prefix = text.split_inclusive(['$', ',']).take(2).map(str::len).sum();
    let (prefix, rest) = text.split_at(prefix);
    let rounds = |text: &str| text.split_once('$').and_then(|(digits, _)| digits.parse::<u64>().ok());
    let load = match prefix {
        "$1$" => Some(Load::steps(MD5_ROUNDS, MD5_NANOSECONDS)),
        "$3$" => Some(Load::default()),
        "$7$" => yescrypt::scrypt_load(rest),
        "$y$" | "$gy$" => yescrypt::load(rest),
        "$sha1$" => rounds(rest).map(|rounds| Load::steps(rounds, SHA1_NANOSECONDS)),
        // Solaris writes a comma before the rounds; libxcrypt takes a `$` there as well.
        "$md5$" | "$md5," => {
            let more = rest.strip_prefix("rounds=").map_or(Some(0), rounds);
            more.map(|more| Load::steps(more.saturating_add(SUN_MD5_BASE_ROUNDS), SUN_MD5_NANOSECONDS))
        }
        _ => return Err(scheme.malformed("crypt(5) knows no hash that begins so")),
    };
    load.ok_or_else(|| scheme.malformed("its rounds or parameters are not numbers"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, fits};
    use super::*;

    /// Made by libxcrypt 4.4.33, but for the first two, which Dovecot 2.3.19 tries it with.
    #[test]
    fn every_method_of_libxcrypt_fits() {
        let hashes = [
            ("08/15!test~4711", "JBOZ0DgmtucwE"),
            ("test", "//EsnG9FLTKjo"),
            ("secretsecretsecret", "abHr9elwESrHsxOcFHtlCJuE3.UIhJFvAuM"),
            ("secret", "_J9..abcd/H6HLCcf7nw"),
            ("secret", "$1$abcdefgh$cHJi5PXp/ki/ktXzqlk6I1"),
            ("secret", "$3$$878d8014606cda29677a44efa1353fc7"),
            ("secret", "$md5$abcdefgh$$TFWU.dlIfuoAjNld5IaX3."),
            ("secret", "$md5,rounds=1000$abcdefgh$$oHAhBRD1/YRiW7/YQB1d60"),
            ("secret", "$sha1$1000$abcdefgh$ji8ESnkwjcTjo4hThodnLYyi.3yG"),
            ("secret", "$7$6U..../....abcdefgh$7KpoV2xdjxMogKvvxTLFRuZOwA.Sg9iyqflgZfog686"),
            ("secret", "$y$j6T$abcdefghijklmnop$2owJOYNn.8lwSthViegrBvhmq/mvtOD76Eqab6sRAR/"),
            ("secret", "$gy$j6T$abcdefghijklmnop$nwk29gqgL.prAt2cnb00Mw.o66F7qkPQVQyGQe.cWa7"),
        ];
        for (password, hash) in hashes {
            fits(&format!("{{CRYPT}}{hash}"), password);
            fits(&format!("{{DES-CRYPT}}{hash}"), password);
        }
    }

    #[test]
    fn des_reads_eight_bytes() {
        assert_eq!(check("08/15!te and more", "JBOZ0DgmtucwE"), Ok(true));
    }

    #[test]
    fn nobody_has_the_password_of_a_locked_account() {
        for locked in ["", "!", "!!", "*", "*0", "*1", "*LK*", "!JBOZ0DgmtucwE"] {
            assert_eq!(check("08/15!test~4711", &format!("{{CRYPT}}{locked}")), Ok(false), "{locked}");
        }
    }

    #[test]
    fn what_no_method_begins_with_is_malformed() {
        for hash in [
            "x",
            "JBOZ0Dgmtucw",
            "JBOZ0Dgmtuc:E",
            "$",
            "$$",
            "$4$abc$def",
            "$sha1$-1$abcdefgh$x",
            "$md5,rounds=$a$$b",
            "_J9",
        ] {
            let verdict = check("secret", &format!("{{CRYPT}}{hash}"));
            assert!(matches!(verdict, Err(VerifyError::Malformed { .. })), "{verdict:?} for {hash}");
        }
    }
}
