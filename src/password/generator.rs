//! Makes a password that can be read aloud: `Fubako-Rimelu-Tadoso-47`.
//!
//! Syllables of a consonant and a vowel, none of which sounds or looks like another in most languages' alphabets; then
//! digits. About 61 bits, more where the policy wants more. It meets every [`Policy`], whichever classes that asks for.
//!
//! Trusts: the caller to bring bytes that nobody can guess.

use gatepost_protocol::Secret;
use zeroize::Zeroizing;

use super::policy::{PASSWORD_LIMIT, Policy};

const CONSONANTS: &[char] = &['b', 'd', 'f', 'g', 'k', 'l', 'm', 'n', 'p', 'r', 's', 't', 'z'];
const VOWELS: &[char] = &['a', 'e', 'i', 'o', 'u'];
const DIGITS: &[char] = &['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'];

const SYLLABLES: usize = 3;
const LEAST_WORDS: usize = 3;
const LEAST_DIGITS: usize = 2;
/// A word and the hyphen behind it.
const WORD_LENGTH: usize = SYLLABLES * 2 + 1;

/// A new password that `policy` allows, from these random bytes and nothing else.
#[must_use]
pub fn generate(policy: &Policy, random: &[u8; 16]) -> Secret {
    let length = policy.min_length.min(PASSWORD_LIMIT);
    let words = (length.saturating_sub(LEAST_DIGITS) / WORD_LENGTH).max(LEAST_WORDS);
    let digits = length.saturating_sub(words * WORD_LENGTH).max(LEAST_DIGITS);

    let mut source = Source(Zeroizing::new(u128::from_le_bytes(*random)));
    // Of its final size at once: a text that grows leaves copies behind.
    let mut password = Zeroizing::new(String::with_capacity(words * WORD_LENGTH + digits));
    for _ in 0..words {
        for syllable in 0..SYLLABLES {
            let consonant = source.pick(CONSONANTS);
            password.push(if syllable == 0 { consonant.to_ascii_uppercase() } else { consonant });
            password.push(source.pick(VOWELS));
        }
        password.push('-');
    }
    for _ in 0..digits {
        password.push(source.pick(DIGITS));
    }
    Secret::from(password.as_str())
}

/// One large random number, of which each choice takes away a remainder. What it favours is less than 2^-60.
///
/// Where a policy asks for very long passwords the number runs out; by then 128 bits are in.
struct Source(Zeroizing<u128>);

impl Source {
    fn pick(&mut self, choices: &[char]) -> char {
        let count = choices.len() as u128;
        let (rest, index) = (*self.0 / count, *self.0 % count);
        *self.0 = rest;
        usize::try_from(index).ok().and_then(|index| choices.get(index)).copied().unwrap_or('a')
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::password::STRONGEST;

    #[test]
    fn the_same_randomness_makes_the_same_password() {
        let random = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef_u128.to_le_bytes();
        assert_eq!(generate(&Policy::default(), &random).expose(), b"Rinali-Darifu-Fonedi-27");
    }

    #[test]
    fn nearly_every_bit_counts() {
        let made: HashSet<_> = (0..60)
            .map(|bit| generate(&Policy::default(), &(1_u128 << bit).to_le_bytes()))
            .map(|secret| secret.expose().to_vec())
            .collect();
        assert_eq!(made.len(), 60);
    }

    proptest! {
        #[test]
        fn every_policy_is_met(random: [u8; 16], min_length in 0_usize..=300) {
            let policy = Policy { min_length, min_strength: STRONGEST, ..Policy::default() };
            let made = generate(&policy, &random);
            let user = "ann@example.org".parse().expect("a valid name");
            if min_length <= PASSWORD_LIMIT {
                prop_assert_eq!(policy.check(&made, &user), Ok(()));
            }
            prop_assert_eq!(made.expose().len(), min_length.clamp(23, PASSWORD_LIMIT));
        }
    }
}
