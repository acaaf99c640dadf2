//! What may be a new password, and what can be a password at all.
//!
//! The shape holds for every password, old or new; the policy only for new ones. All unmet rules are told at once.

use std::fmt;

use gatepost_protocol::Secret;
use serde::Deserialize;

use super::strength::strength;
use crate::account::Username;

/// Longest password, in bytes.
pub const PASSWORD_LIMIT: usize = 256;

/// What a new password must have. Whatever is no upper case, lower case or digit is special.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// In characters, not bytes.
    pub min_length: usize,
    pub upper: bool,
    pub lower: bool,
    pub digit: bool,
    pub special: bool,
    /// How hard to guess, from 0, which asks for nothing, to [`STRONGEST`](super::STRONGEST).
    pub min_strength: u8,
}

impl Default for Policy {
    /// What a hosting provider's help page asks for.
    fn default() -> Self {
        Self { min_length: 8, upper: true, lower: true, digit: true, special: true, min_strength: 0 }
    }
}

impl Policy {
    /// Whether this may be a new password of `user`. Takes as long as a hash where strength is asked for.
    ///
    /// # Errors
    /// Everything that it lacks, in the order in which people are told.
    pub fn check(&self, password: &Secret, user: &Username) -> Result<(), Vec<Reason>> {
        let bytes = password.expose();
        let Ok(text) = std::str::from_utf8(bytes) else { return Err(vec![Reason::NotUtf8]) };
        let lacks = |wanted: bool, class: fn(char) -> bool| wanted && !text.chars().any(class);
        let unmet = [
            (text.chars().count() < self.min_length.max(1), Reason::TooShort { least: self.min_length.max(1) }),
            (bytes.len() > PASSWORD_LIMIT, Reason::TooLong),
            (lacks(self.upper, char::is_uppercase), Reason::NoUpperCase),
            (lacks(self.lower, char::is_lowercase), Reason::NoLowerCase),
            (lacks(self.digit, |character| character.is_ascii_digit()), Reason::NoDigit),
            (lacks(self.special, is_special), Reason::NoSpecial),
            (text.chars().any(char::is_control), Reason::ControlCharacter),
            (self.min_strength > 0 && strength(text, user) < self.min_strength, Reason::Guessable),
        ];
        let reasons: Vec<_> = unmet.into_iter().filter_map(|(unmet, reason)| unmet.then_some(reason)).collect();
        if reasons.is_empty() { Ok(()) } else { Err(reasons) }
    }
}

fn is_special(character: char) -> bool {
    !character.is_uppercase() && !character.is_lowercase() && !character.is_ascii_digit()
}

/// A rule that a new password does not meet. `Display` says to its owner what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    TooShort { least: usize },
    TooLong,
    NoUpperCase,
    NoLowerCase,
    NoDigit,
    NoSpecial,
    ControlCharacter,
    Guessable,
    NotUtf8,
}

impl Reason {
    /// Its name for programs. These do not change.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::TooShort { .. } => "too-short",
            Self::TooLong => "too-long",
            Self::NoUpperCase => "no-upper-case",
            Self::NoLowerCase => "no-lower-case",
            Self::NoDigit => "no-digit",
            Self::NoSpecial => "no-special",
            Self::ControlCharacter => "control-character",
            Self::Guessable => "guessable",
            Self::NotUtf8 => "not-utf8",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort { least: 1 } => formatter.write_str("type a password"),
            Self::TooShort { least } => write!(formatter, "use at least {least} characters"),
            Self::TooLong => {
                write!(formatter, "use at most {PASSWORD_LIMIT} bytes; letters outside ASCII take several")
            }
            Self::NoUpperCase => formatter.write_str("add an upper-case letter"),
            Self::NoLowerCase => formatter.write_str("add a lower-case letter"),
            Self::NoDigit => formatter.write_str("add a digit"),
            Self::NoSpecial => formatter.write_str("add a special character, such as - or !"),
            Self::ControlCharacter => formatter.write_str("leave out tabs, line breaks and other control characters"),
            Self::Guessable => formatter.write_str(
                "use one that is harder to guess: no common password, name, date, row of keys, or part of your address",
            ),
            Self::NotUtf8 => formatter.write_str("send the password as UTF-8"),
        }
    }
}

/// The text of a password, if these bytes can be one at all.
pub(super) fn shape(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let shaped = (1..=PASSWORD_LIMIT).contains(&bytes.len()) && !text.chars().any(char::is_control);
    shaped.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ann() -> Username {
        "ann@example.org".parse().expect("a valid name")
    }

    fn codes(policy: &Policy, password: &str) -> Vec<&'static str> {
        let reasons = policy.check(&Secret::from(password), &ann()).err().unwrap_or_default();
        reasons.into_iter().map(Reason::code).collect()
    }

    const WITHOUT_CLASSES: Policy =
        Policy { min_length: 8, upper: false, lower: false, digit: false, special: false, min_strength: 0 };

    #[test]
    fn all_that_a_password_lacks_is_told_at_once() {
        let cases: [(&str, &[&str]); 12] = [
            ("Passw0rd!", &[]),
            ("Pässwört 1", &[]),
            ("ÄÖÜäöü1€", &[]),
            ("", &["too-short", "no-upper-case", "no-lower-case", "no-digit", "no-special"]),
            ("Pa0!", &["too-short"]),
            ("Üä1€Üä1", &["too-short"]),
            ("password", &["no-upper-case", "no-digit", "no-special"]),
            ("PASSWORD1", &["no-lower-case", "no-special"]),
            ("Password!", &["no-digit"]),
            ("Password٣!", &["no-digit"]),
            ("Passw0rd!\t", &["control-character"]),
            ("Passw0rd!\u{85}", &["control-character"]),
        ];
        for (password, expected) in cases {
            assert_eq!(codes(&Policy::default(), password), expected, "{password:?}");
        }
    }

    #[test]
    fn the_upper_limit_is_in_bytes_because_that_is_what_is_hashed() {
        let fits = format!("Aa1!{}", "é".repeat(126));
        assert_eq!((fits.len(), codes(&Policy::default(), &fits)), (256, vec![]));
        assert_eq!(codes(&Policy::default(), &format!("{fits}x")), ["too-long"]);
    }

    #[test]
    fn a_profile_without_classes_asks_for_length_and_for_what_is_not_guessed() {
        let profile = Policy { min_length: 15, min_strength: 3, ..WITHOUT_CLASSES };
        let cases: [(&str, &[&str]); 6] = [
            ("correct horse battery staple", &[]),
            ("das pferd frisst keinen gurkensalat", &[]),
            ("correct horse", &["too-short"]),
            ("passwordpassword", &["guessable"]),
            ("ann@example.org", &["guessable"]),
            ("12345678", &["too-short", "guessable"]),
        ];
        for (password, expected) in cases {
            assert_eq!(codes(&profile, password), expected, "{password:?}");
        }
        assert_eq!(codes(&WITHOUT_CLASSES, "password"), [""; 0], "strength is asked for by name only");
    }

    #[test]
    fn no_profile_allows_what_verify_would_never_take() {
        let profile = Policy { min_length: 0, ..WITHOUT_CLASSES };
        assert_eq!(codes(&profile, ""), ["too-short"]);
        assert_eq!(profile.check(&Secret::new(vec![b'a', 0xff]), &ann()), Err(vec![Reason::NotUtf8]));
    }

    #[test]
    fn every_reason_says_what_to_do() {
        assert_eq!(Reason::TooShort { least: 8 }.to_string(), "use at least 8 characters");
        assert_eq!(Reason::NoDigit.to_string(), "add a digit");
    }
}
