//! What a yescrypt (`$y$`, `$gy$`) or scrypt (`$7$`) hash asks for, read from its parameters.
//!
//! Only that: libxcrypt computes them. Numbers are written as in libxcrypt 4.4 lib/alg-yescrypt-common.c.

use super::cost::Load;
use super::crypt::digit;

/// For each of the N × r × p blocks of 128 bytes; 160 ns measured for yescrypt, 240 ns for scrypt.
const NANOSECONDS_PER_BLOCK: u64 = 240;

/// `N` as one digit, `r` and `p` as five each.
pub(super) fn scrypt_load(parameters: &str) -> Option<Load> {
    let digits = parameters.as_bytes();
    let fixed = |digits: &[u8]| {
        digits.iter().rev().try_fold(0, |number: u64, byte| Some(number << 6 | u64::from(digit(*byte)?)))
    };
    let n_log2 = digit(*digits.first()?)?;
    Some(of(n_log2, fixed(digits.get(1..6)?)?, fixed(digits.get(6..11)?)?, 0))
}

/// Flavour, `log2 N` and `r`; then perhaps a set of bits and the optional parameters that it announces.
pub(super) fn load(parameters: &str) -> Option<Load> {
    let (parameters, _) = parameters.split_once('$')?;
    let mut digits = parameters.bytes();
    let _flavour = number(&mut digits, 0)?;
    let n_log2 = number(&mut digits, 1)?;
    let r = number(&mut digits, 1)?;
    let present = if digits.len() == 0 { 0 } else { number(&mut digits, 1)? };
    let p = if present & 1 == 0 { 1 } else { number(&mut digits, 2)? };
    let t = if present & 2 == 0 { 0 } else { number(&mut digits, 1)? };
    Some(of(n_log2, u64::from(r), u64::from(p), t))
}

fn of(n_log2: u32, r: u64, p: u64, t: u32) -> Load {
    let n = 1_u64.checked_shl(n_log2).unwrap_or(u64::MAX);
    // Each lane may get memory of its own. `t` repeats the second half of the work, roughly that many times.
    let blocks = n.saturating_mul(r).saturating_mul(p.max(1));
    let steps = blocks.saturating_mul(u64::from(t).saturating_add(1));
    Load::steps(steps, NANOSECONDS_PER_BLOCK).with_memory_kib(blocks / 8)
}

/// A number of variable length: the first digit says how many follow, and the shortest ones come first.
fn number(digits: &mut impl Iterator<Item = u8>, least: u32) -> Option<u32> {
    let first = digit(digits.next()?)?;
    let (mut start, mut end, mut bits, mut value) = (0_u32, 47_u32, 0_u32, least);
    while first > end {
        value = value.checked_add((end + 1 - start).checked_shl(bits)?)?;
        start = end + 1;
        end = start + (62 - end) / 2;
        bits += 6;
    }
    value = value.checked_add((first - start).checked_shl(bits)?)?;
    while bits > 0 {
        bits -= 6;
        value = value.checked_add(digit(digits.next()?)?.checked_shl(bits)?)?;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_that_of_the_parameters() {
        // As crypt_gensalt of libxcrypt 4.4.33 writes them for its cost factors 5, 6 and 11.
        for (parameters, memory_kib) in [("j9T$salt", 16 * 1024), ("jAT$salt", 32 * 1024), ("jFT$salt", 1024 * 1024)] {
            assert_eq!(load(parameters).map(|load| load.memory_kib), Some(memory_kib), "{parameters}");
        }
        for (parameters, memory_kib) in [("CU..../....salt", 64 * 1024), ("6U..../....salt", 1024)] {
            assert_eq!(scrypt_load(parameters).map(|load| load.memory_kib), Some(memory_kib), "{parameters}");
        }
    }

    #[test]
    fn lanes_and_passes_count() {
        let plain = load("j9T$").unwrap();
        let three_lanes = load("j9T./$").unwrap();
        let passes = load("j9T//$").unwrap();
        assert_eq!(three_lanes.memory_kib, plain.memory_kib * 3);
        assert_eq!((passes.memory_kib, passes.nanoseconds), (plain.memory_kib, plain.nanoseconds * 3));
    }

    #[test]
    fn a_demand_beyond_all_numbers_is_the_greatest_and_none_of_it_wraps() {
        assert_eq!(load("jzzzzzzzzzzzz$").map(|load| load.nanoseconds), Some(u64::MAX));
        assert_eq!(scrypt_load("zzzzzzzzzzz").map(|load| load.nanoseconds), Some(u64::MAX));
    }

    #[test]
    fn parameters_cut_short_are_none() {
        for parameters in ["", "$", "j$", "j9$", "z$", "j9T", "j9!$"] {
            assert_eq!(load(parameters), None, "{parameters}");
        }
        assert_eq!(scrypt_load("CU..../..."), None);
    }
}
