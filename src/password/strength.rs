//! Strength: how hard a password is to guess, as the library zxcvbn estimates it.
//!
//! It knows common passwords and names, English words, dates, rows of keys and repetitions, and is told the mailbox's
//! address: together the block list of NIST SP 800-63B §3.1.1.2.
//!
//! Fails:  never.
//! Limits: few words of other languages than English. Only the start of a password is looked at: of what is made to be
//!         slow to estimate, 24 characters take 0.1 s, 100 took 6 s. The library's copies of a password are not wiped.

use crate::account::Username;

/// Characters that are looked at.
const START: usize = 24;
/// Parts of an address that are too short to be words in a password.
const SHORT: usize = 3;

/// The most that there is.
pub const STRONGEST: u8 = 4;

/// From 0, which is among the first thousand guesses, to [`STRONGEST`], beyond ten thousand million.
pub(super) fn strength(password: &str, user: &Username) -> u8 {
    let start = password.char_indices().nth(START).map_or(password, |(end, _)| password.split_at(end).0);
    let address = user.as_str();
    let parts = address.split(|character: char| !character.is_ascii_alphanumeric());
    let known: Vec<&str> = [address, user.local_part()]
        .into_iter()
        .chain(address.split_once('@').map(|(_, domain)| domain))
        .chain(parts.filter(|part| part.len() >= SHORT))
        .collect();
    zxcvbn::zxcvbn(start, &known).score().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ann() -> Username {
        "ann.smith@example.org".parse().expect("a valid name")
    }

    #[test]
    fn what_everybody_tries_first_is_weak_and_a_phrase_is_strong() {
        let cases = [
            ("", 0..=0),
            ("password", 0..=0),
            ("Password123!", 0..=2),
            ("12345678901234567890", 0..=1),
            ("qwertyuiopasdfghjkl", 0..=1),
            ("Sommer2024Sommer2024", 0..=2),
            ("ann.smith@example.org", 0..=0),
            ("ann.smith2024", 0..=2),
            ("monkey banana dragon", 4..=4),
            ("mein Hund heißt Bello", 4..=4),
            ("Rinali-Darifu-Fonedi-27", 4..=4),
        ];
        for (password, expected) in cases {
            let strength = strength(password, &ann());
            assert!(expected.contains(&strength), "{password:?} is {strength}, not {expected:?}");
        }
    }

    #[test]
    fn only_the_start_counts() {
        let weak = "a".repeat(START);
        assert_eq!(strength(&format!("{weak}{}", "x8#kQz!2 7vB&pL"), &ann()), strength(&weak, &ann()));
        let strong = "Rinali-Darifu-Fonedi-27€";
        assert_eq!(strong.chars().count(), START);
        assert_eq!(strength(&format!("{strong}{}", "€".repeat(60)), &ann()), STRONGEST);
    }

    proptest! {
        #[test]
        fn every_text_has_a_strength(password: String) {
            prop_assert!(strength(&password, &ann()) <= STRONGEST);
        }
    }
}
