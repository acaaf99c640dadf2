//! Name masks of LIST: `*` any run of bytes, `?` any one, letters in either case.
//!
//! Limits: the work is bounded by the product of the two lengths, and a mask that asks for more bytes than the name has
//! costs nothing.

/// A mask, taken apart.
#[derive(Clone, Debug)]
pub struct Mask {
    /// What stands between the stars; a single one if there is no star.
    pieces: Vec<Vec<u8>>,
    /// Bytes a name must have at least.
    shortest: usize,
}

impl Mask {
    /// From its text.
    #[must_use]
    pub fn new(mask: &str) -> Self {
        let bytes = mask.as_bytes();
        Self {
            pieces: bytes.split(|&byte| byte == b'*').map(<[u8]>::to_vec).collect(),
            shortest: bytes.iter().filter(|&&byte| byte != b'*').count(),
        }
    }

    /// Whether the whole name fits.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let mut name = name.as_bytes();
        if name.len() < self.shortest {
            return false;
        }
        let (first, last, middle) = match self.pieces.as_slice() {
            [] => return name.is_empty(),
            [only] => return fits(only, name),
            [first, middle @ .., last] => (first, last, middle),
        };
        // Both ends fit beside each other, for the name has the bytes of all pieces.
        let (start, rest) = name.split_at(first.len());
        let (rest, end) = rest.split_at(rest.len() - last.len());
        if !fits(first, start) || !fits(last, end) {
            return false;
        }
        name = rest;
        // The leftmost place for each piece leaves the most room to the next.
        for piece in middle.iter().filter(|piece| !piece.is_empty()) {
            let Some(at) = name.windows(piece.len()).position(|window| fits(piece, window)) else {
                return false;
            };
            name = name.split_at(at + piece.len()).1;
        }
        true
    }
}

fn fits(piece: &[u8], text: &[u8]) -> bool {
    let same = |(&wanted, found): (&u8, &u8)| wanted == b'?' || wanted.eq_ignore_ascii_case(found);
    piece.len() == text.len() && piece.iter().zip(text).all(same)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stars_and_question_marks() {
        let cases = [
            ("*", "", true),
            ("*", "ann@example.org", true),
            ("", "", true),
            ("", "a", false),
            ("ann@example.org", "ann@example.org", true),
            ("ANN@Example.org", "ann@example.ORG", true),
            ("ann@example.org", "joann@example.org", false),
            ("a*@example.org", "ann@example.org", true),
            ("a*@example.org", "bob@example.org", false),
            ("*@example.org", "ann@example.com", false),
            ("a?n@*", "ann@example.org", true),
            ("a?n@*", "an@example.org", false),
            ("*a*b*", "xaxbx", true),
            ("*a*b*", "xbxax", false),
            ("ab*ba", "aba", false),
            ("ab*ba", "abba", true),
            ("**a**", "a", true),
            ("*ab*ab", "ab", false),
            ("*ab", "aab", true),
        ];
        for (mask, name, expected) in cases {
            assert_eq!(Mask::new(mask).matches(name), expected, "{mask:?} against {name:?}");
        }
    }

    /// The definition, in exponential time.
    fn naive(mask: &[u8], name: &[u8]) -> bool {
        match (mask, name) {
            ([], _) => name.is_empty(),
            ([b'*', mask @ ..], _) => (0..=name.len()).any(|skipped| naive(mask, &name[skipped..])),
            ([b'?', mask @ ..], [_, name @ ..]) => naive(mask, name),
            ([wanted, mask @ ..], [found, name @ ..]) => wanted == found && naive(mask, name),
            (_, []) => false,
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_definition(mask in "[ab?*]{0,8}", name in "[ab]{0,10}") {
            prop_assert_eq!(Mask::new(&mask).matches(&name), naive(mask.as_bytes(), name.as_bytes()));
        }
    }
}
