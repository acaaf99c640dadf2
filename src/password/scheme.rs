//! `{SCHEME}` and `{SCHEME.ENCODING}`: which scheme a stored hash is of, and the bytes behind its text.
//!
//! Names, aliases, default encodings and the guess between hex and base64 are those of Dovecot 2.3.19
//! src/auth/password-scheme.c and 2.4.1 src/lib-auth/password-scheme.c. A hash without a prefix is `{CRYPT}`, as in
//! Dovecot's passwd-file.
//!
//! Limits: a stored hash has at most 1024 bytes.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::VerifyError;

/// Longest hash text that is looked at. The longest honest one is a password of 256 bytes in `{PLAIN.HEX}`.
const TEXT_LIMIT: usize = 1024;
/// How much of an unknown scheme's name is repeated to the operator.
const NAME_LIMIT: usize = 32;

/// A password scheme that can be verified. Aliases (SHA for SHA1, CLEAR for PLAIN, …) are one scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    Argon2i,
    Argon2id,
    BlfCrypt,
    CramMd5,
    Crypt,
    DesCrypt,
    DigestMd5,
    LdapMd5,
    Md5,
    Md5Crypt,
    Otp,
    Pbkdf2,
    Plain,
    PlainMd4,
    PlainMd5,
    PlainTrunc,
    ScramSha1,
    ScramSha256,
    Sha1,
    Sha256,
    Sha256Crypt,
    Sha512,
    Sha512Crypt,
    Smd5,
    Ssha,
    Ssha256,
    Ssha512,
}

/// Every name, the one we print first.
const NAMES: [(&str, Scheme); 32] = [
    ("ARGON2I", Scheme::Argon2i),
    ("ARGON2ID", Scheme::Argon2id),
    ("ARGON2", Scheme::Argon2id),
    ("BLF-CRYPT", Scheme::BlfCrypt),
    ("CRAM-MD5", Scheme::CramMd5),
    ("HMAC-MD5", Scheme::CramMd5),
    ("CRYPT", Scheme::Crypt),
    ("DES-CRYPT", Scheme::DesCrypt),
    ("DIGEST-MD5", Scheme::DigestMd5),
    ("LDAP-MD5", Scheme::LdapMd5),
    ("MD5", Scheme::Md5),
    ("MD5-CRYPT", Scheme::Md5Crypt),
    ("OTP", Scheme::Otp),
    ("PBKDF2", Scheme::Pbkdf2),
    ("PLAIN", Scheme::Plain),
    ("CLEAR", Scheme::Plain),
    ("CLEARTEXT", Scheme::Plain),
    ("PLAIN-MD4", Scheme::PlainMd4),
    ("PLAIN-MD5", Scheme::PlainMd5),
    ("PLAIN-TRUNC", Scheme::PlainTrunc),
    ("SCRAM-SHA-1", Scheme::ScramSha1),
    ("SCRAM-SHA-256", Scheme::ScramSha256),
    ("SHA1", Scheme::Sha1),
    ("SHA", Scheme::Sha1),
    ("SHA256", Scheme::Sha256),
    ("SHA256-CRYPT", Scheme::Sha256Crypt),
    ("SHA512", Scheme::Sha512),
    ("SHA512-CRYPT", Scheme::Sha512Crypt),
    ("SMD5", Scheme::Smd5),
    ("SSHA", Scheme::Ssha),
    ("SSHA256", Scheme::Ssha256),
    ("SSHA512", Scheme::Ssha512),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Text,
    Hex,
    Base64,
}

impl Scheme {
    /// The scheme of this name, in any case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, scheme)| *scheme)
    }

    /// The name Dovecot knows it by.
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, scheme)| *scheme == self).map_or("", |(name, _)| name)
    }

    /// How its bytes are written where the prefix says nothing, and how many they are, where that is fixed.
    fn form(self) -> (Encoding, Option<usize>) {
        match self {
            Self::CramMd5 => (Encoding::Hex, Some(32)),
            Self::DigestMd5 | Self::PlainMd4 | Self::PlainMd5 => (Encoding::Hex, Some(16)),
            Self::LdapMd5 => (Encoding::Base64, Some(16)),
            Self::Sha1 => (Encoding::Base64, Some(20)),
            Self::Sha256 => (Encoding::Base64, Some(32)),
            Self::Sha512 => (Encoding::Base64, Some(64)),
            Self::Smd5 | Self::Ssha | Self::Ssha256 | Self::Ssha512 => (Encoding::Base64, None),
            _ => (Encoding::Text, None),
        }
    }

    pub(super) fn malformed(self, what: &'static str) -> VerifyError {
        VerifyError::Malformed { scheme: self, what }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The scheme of a stored text and the bytes it stands for.
pub(super) fn read(text: &str) -> Result<(Scheme, Zeroizing<Vec<u8>>), VerifyError> {
    let (scheme, encoding, rest) = split(text)?;
    if rest.len() > TEXT_LIMIT {
        return Err(scheme.malformed("it is longer than 1024 bytes"));
    }
    let bytes = decode(scheme, encoding, rest)?;
    match scheme.form() {
        (_, Some(length)) if bytes.len() != length => Err(scheme.malformed("its length does not fit the scheme")),
        _ => Ok((scheme, bytes)),
    }
}

fn split(text: &str) -> Result<(Scheme, Option<Encoding>, &str), VerifyError> {
    if let Some(rest) = text.strip_prefix("$1$") {
        // Some passwd files carry more behind a third `$`; Dovecot ignores it.
        let end = rest.match_indices('$').nth(1).map_or(text.len(), |(at, _)| "$1$".len() + at);
        return Ok((Scheme::Md5Crypt, None, text.split_at(end).0));
    }
    let Some((prefix, rest)) = text.strip_prefix('{').and_then(|inner| inner.split_once('}')) else {
        return Ok((Scheme::Crypt, None, text));
    };
    let unknown = || VerifyError::UnknownScheme { name: printable(prefix) };
    let (name, encoding) = match prefix.split_once('.') {
        None => (prefix, None),
        Some((name, suffix)) => (name, Some(Encoding::named(suffix).ok_or_else(unknown)?)),
    };
    Ok((Scheme::named(name).ok_or_else(unknown)?, encoding, rest))
}

impl Encoding {
    fn named(suffix: &str) -> Option<Self> {
        match suffix.to_ascii_lowercase().as_str() {
            "hex" => Some(Self::Hex),
            "b64" | "base64" => Some(Self::Base64),
            _ => None,
        }
    }
}

/// A prefix may be half a password of someone who wrote `{…` without a scheme; only what a name could be is repeated.
fn printable(name: &str) -> String {
    let name_like = |character: &char| character.is_ascii_alphanumeric() || matches!(character, '-' | '.' | '_');
    name.chars().take_while(name_like).take(NAME_LIMIT).collect()
}

fn decode(scheme: Scheme, encoding: Option<Encoding>, text: &str) -> Result<Zeroizing<Vec<u8>>, VerifyError> {
    let not_base64 = || scheme.malformed("it is not base64");
    let bytes = match (encoding, scheme.form()) {
        (Some(Encoding::Text), _) | (None, (Encoding::Text, _)) => text.as_bytes().to_vec(),
        (Some(Encoding::Hex), _) => hex(text).ok_or_else(|| scheme.malformed("it is not hexadecimal"))?,
        (None, (_, Some(length))) if text.len() == length * 2 => {
            hex(text).or_else(|| base64(text)).ok_or_else(not_base64)?
        }
        _ => base64(text).ok_or_else(not_base64)?,
    };
    Ok(Zeroizing::new(bytes))
}

pub(super) fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| if let [high, low] = pair { Some(digit(high)? << 4 | digit(low)?) } else { None }).collect()
}

pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_is_known_by_every_name_in_any_case_and_prints_the_first() {
        for (name, scheme) in NAMES {
            assert_eq!(Scheme::named(&name.to_lowercase()), Some(scheme), "{name}");
            assert_eq!(Scheme::named(scheme.name()), Some(scheme), "{name}");
        }
        assert_eq!(Scheme::named(""), None);
        assert_eq!(Scheme::Sha1.to_string(), "SHA1");
    }

    #[test]
    fn a_prefix_or_its_absence_says_the_scheme() {
        let cases = [
            ("{ssha}AAAA", Scheme::Ssha, &[0, 0, 0][..]),
            ("{Ssha.Hex}00fF", Scheme::Ssha, &[0, 0xff]),
            ("{CRYPT}x", Scheme::Crypt, b"x"),
            ("x", Scheme::Crypt, b"x"),
            ("", Scheme::Crypt, b""),
            ("{PLAIN", Scheme::Crypt, b"{PLAIN"),
            ("{PLAIN}{x}", Scheme::Plain, b"{x}"),
            ("$1$salt$hash", Scheme::Md5Crypt, b"$1$salt$hash"),
            ("$1$salt$hash$more", Scheme::Md5Crypt, b"$1$salt$hash"),
        ];
        for (text, scheme, bytes) in cases {
            assert_eq!(read(text), Ok((scheme, Zeroizing::new(bytes.to_vec()))), "{text}");
        }
    }

    #[test]
    fn an_encoding_that_does_not_fit_is_malformed() {
        for text in ["{SSHA}A", "{SSHA}####", "{SSHA.HEX}0", "{SSHA.HEX}0g", "{PLAIN-MD5}00", "{SHA.HEX}AAAA"] {
            assert!(matches!(read(text), Err(VerifyError::Malformed { .. })), "{text}");
        }
    }

    #[test]
    fn of_an_unknown_prefix_only_what_a_name_could_be_is_repeated() {
        for (text, repeated) in [("{SKEIN}x", "SKEIN"), ("{my secret}x", "my"), ("{é}x", ""), ("{.}x", ".")] {
            assert_eq!(read(text), Err(VerifyError::UnknownScheme { name: repeated.to_owned() }), "{text}");
        }
        let name = "N".repeat(NAME_LIMIT);
        assert_eq!(read(&format!("{{{name}N}}")), Err(VerifyError::UnknownScheme { name }));
    }

    #[test]
    fn a_text_beyond_the_limit_is_not_looked_at() {
        assert!(read(&format!("{{PLAIN}}{}", "x".repeat(TEXT_LIMIT))).is_ok());
        assert!(read(&format!("{{PLAIN}}{}", "x".repeat(TEXT_LIMIT + 1))).is_err());
    }
}
