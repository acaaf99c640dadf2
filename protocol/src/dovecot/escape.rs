//! Fields between TABs, and the bytes that must be escaped inside them (src/lib/strescape.c).
//!
//! Split on TAB first, unescape each field after. Dovecot does both to every field in both directions;
//! Postfix and Exim do neither, so what [`needs_escaping`] cannot be told to them at all.

use std::borrow::Cow;

use bytes::{BufMut, BytesMut};

use crate::line::TooLong;

const ESCAPE: u8 = 0x01;

/// Whether the text changes by escaping.
#[must_use]
pub fn needs_escaping(text: &[u8]) -> bool {
    text.iter().any(|&byte| escaped(byte).is_some())
}

/// The text with its special bytes written in two.
#[must_use]
pub fn escape(text: &[u8]) -> Cow<'_, [u8]> {
    if !needs_escaping(text) {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len() + 8);
    for &byte in text {
        match escaped(byte) {
            Some(letter) => out.extend([ESCAPE, letter]),
            None => out.push(byte),
        }
    }
    Cow::Owned(out)
}

/// What was meant. An escape byte at the very end means nothing.
#[must_use]
pub fn unescape(field: &[u8]) -> Cow<'_, [u8]> {
    if !field.contains(&ESCAPE) {
        return Cow::Borrowed(field);
    }
    let mut out = Vec::with_capacity(field.len());
    let mut bytes = field.iter();
    while let Some(&byte) = bytes.next() {
        if byte == ESCAPE {
            out.extend(bytes.next().map(|&letter| unescaped(letter)));
        } else {
            out.push(byte);
        }
    }
    Cow::Owned(out)
}

const fn escaped(byte: u8) -> Option<u8> {
    match byte {
        0 => Some(b'0'),
        ESCAPE => Some(b'1'),
        b'\t' => Some(b't'),
        b'\r' => Some(b'r'),
        b'\n' => Some(b'n'),
        _ => None,
    }
}

const fn unescaped(letter: u8) -> u8 {
    match letter {
        b'0' => 0,
        b'1' => ESCAPE,
        b't' => b'\t',
        b'r' => b'\r',
        b'n' => b'\n',
        other => other,
    }
}

/// The fields of a line, still escaped. An empty line has none.
pub(crate) fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|&byte| byte == b'\t').filter(|_| !line.is_empty())
}

/// A field as text.
pub(crate) fn text(field: &[u8]) -> String {
    String::from_utf8_lossy(&unescape(field)).into_owned()
}

/// A field that must be a number and nothing else.
pub(crate) fn number(field: &[u8]) -> Option<u32> {
    use nom::{Parser, character::complete::u32, combinator::all_consuming};
    let parsed: nom::IResult<&[u8], u32> = all_consuming(u32).parse(field);
    parsed.ok().map(|(_, number)| number)
}

/// A line being written, each field escaped: as a whole or, if it gets too long, not at all.
#[must_use]
pub(crate) struct LineWriter<'a> {
    output: &'a mut BytesMut,
    start: usize,
}

impl<'a> LineWriter<'a> {
    pub(crate) fn new(output: &'a mut BytesMut, command: &str) -> Self {
        let start = output.len();
        output.put_slice(command.as_bytes());
        Self { output, start }
    }

    /// Goes on within the field.
    pub(crate) fn append(self, text: impl AsRef<[u8]>) -> Self {
        self.output.put_slice(&escape(text.as_ref()));
        self
    }

    pub(crate) fn field(self, text: impl AsRef<[u8]>) -> Self {
        self.output.put_u8(b'\t');
        self.append(text)
    }

    pub(crate) fn number(self, number: impl Into<u64>) -> Self {
        self.field(number.into().to_string())
    }

    pub(crate) fn pair(self, name: &str, value: &str) -> Self {
        self.field(name).append("=").append(value)
    }

    /// Fields of a passdb. To a client below minor 3 a flag must be bare: `nologin=` would let the user in.
    pub(crate) fn passdb_fields(self, fields: &[(String, String)], minor: u32) -> Self {
        fields.iter().fold(
            self,
            |line, (name, value)| {
                if value.is_empty() && minor < 3 { line.field(name) } else { line.pair(name, value) }
            },
        )
    }

    /// Ends the line, or takes it back when it has more than `limit` bytes.
    pub(crate) fn end(self, limit: usize) -> Result<(), TooLong> {
        if self.output.len() - self.start > limit {
            self.output.truncate(self.start);
            return Err(TooLong { limit });
        }
        self.output.put_u8(b'\n');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_bytes_are_written_in_two() {
        let cases: [(&[u8], &[u8]); 4] = [
            (b"", b""),
            (b"ann@example.org", b"ann@example.org"),
            (b"\0\x01\t\r\n", b"\x010\x011\x01t\x01r\x01n"),
            (b"a\tb\xff", b"a\x01tb\xff"),
        ];
        for (plain, wire) in cases {
            assert_eq!(&*escape(plain), wire);
            assert_eq!(&*unescape(wire), plain);
        }
    }

    #[test]
    fn an_escape_of_any_other_byte_is_that_byte() {
        assert_eq!(&*unescape(b"a\x01xb\x01\x01c\x01"), b"axb\x01c");
    }

    #[test]
    fn an_empty_line_has_no_fields() {
        assert_eq!(fields(b"").count(), 0);
        assert_eq!(fields(b"OK\t1\t").collect::<Vec<_>>(), [&b"OK"[..], b"1", b""]);
    }

    #[test]
    fn numbers_are_digits_only() {
        assert_eq!(number(b"4294967295"), Some(u32::MAX));
        for wrong in ["", "+1", "-1", "1 ", "0x1", "4294967296"] {
            assert_eq!(number(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn a_line_too_long_leaves_nothing_behind() {
        let mut output = BytesMut::from(&b"before\n"[..]);
        let line = LineWriter::new(&mut output, "USER").number(1_u32).pair("home", "/srv/ann");
        assert_eq!(line.end(10), Err(TooLong { limit: 10 }));
        assert_eq!(&output[..], b"before\n");
    }
}
