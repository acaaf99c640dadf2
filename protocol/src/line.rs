//! Bytes in, bounded lines out, whatever the chunks they come in.
//!
//! Trusts: nobody. A line is complete at its LF; one CR before it is dropped, as Dovecot's readers do.
//! Fails:  [`TooLong`] once a line passes the limit, whole or not; then for ever. The caller hangs up.
//! Limits: lines may carry passwords, so what was read is wiped once no whole line is left, and on drop.

use zeroize::{Zeroize, Zeroizing};

/// Splits a stream into lines of at most `limit` bytes, the LF not counted.
pub struct LineReader {
    buffer: Zeroizing<Vec<u8>>,
    /// Where the first line not yet given away begins.
    start: usize,
    /// Up to here there is no LF, so that no byte is looked at twice.
    scanned: usize,
    limit: usize,
    overlong: bool,
}

/// A line passed the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a line is longer than {limit} bytes")]
pub struct TooLong {
    /// The limit that it passed.
    pub limit: usize,
}

impl LineReader {
    /// A reader of lines of at most `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { buffer: Zeroizing::default(), start: 0, scanned: 0, limit, overlong: false }
    }

    /// Takes what the peer sent.
    pub fn receive(&mut self, bytes: &[u8]) {
        if self.overlong {
            return;
        }
        let needed = self.buffer.len() + bytes.len();
        if needed > self.buffer.capacity() {
            // Growing in place would leave the old bytes behind, unwiped.
            let mut larger = Zeroizing::new(Vec::with_capacity(needed.next_power_of_two()));
            larger.extend_from_slice(&self.buffer);
            self.buffer = larger;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole line, without its end.
    pub fn next_line(&mut self) -> Option<Result<&[u8], TooLong>> {
        if self.overlong {
            return Some(Err(TooLong { limit: self.limit }));
        }
        let unseen = self.buffer.get(self.scanned..).unwrap_or_default();
        let found = unseen.iter().position(|&byte| byte == b'\n');
        let end = self.scanned + found.unwrap_or(unseen.len());
        if end - self.start > self.limit {
            self.overlong = true;
            self.buffer.zeroize();
            return Some(Err(TooLong { limit: self.limit }));
        }
        if found.is_none() {
            self.forget_read();
            return None;
        }
        let line = self.start..end;
        self.start = end + 1;
        self.scanned = self.start;
        let line = self.buffer.get(line).unwrap_or_default();
        Some(Ok(line.strip_suffix(b"\r").unwrap_or(line)))
    }

    /// Moves the unfinished line to the front and wipes the rest.
    fn forget_read(&mut self) {
        let left = self.buffer.len() - self.start;
        if self.start > 0 {
            self.buffer.copy_within(self.start.., 0);
            if let Some(read) = self.buffer.get_mut(left..) {
                read.zeroize();
            }
            self.buffer.truncate(left);
            self.start = 0;
        }
        self.scanned = left;
    }
}

impl std::fmt::Debug for LineReader {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("LineReader")
            .field("buffered", &(self.buffer.len() - self.start.min(self.buffer.len())))
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// A reason as it can be told to a user: it ends up in one line of some other protocol, whoever reads it first.
pub(crate) fn one_line(reason: &str) -> String {
    const LONGEST: usize = 512;
    let (cut, _) = reason.split_at(reason.floor_char_boundary(LONGEST));
    cut.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(reader: &mut LineReader) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| reader.next_line().map(|line| line.expect("short lines").to_vec())).collect()
    }

    #[test]
    fn lines_are_the_same_at_every_split_point() {
        let sent = b"VERSION\t1\t2\r\n\nCPID\t41\n\r\rx\r\nrest";
        let expected: [&[u8]; 4] = [b"VERSION\t1\t2", b"", b"CPID\t41", b"\r\rx"];
        for first in 0..=sent.len() {
            for second in first..=sent.len() {
                let mut reader = LineReader::new(100);
                let mut lines = Vec::new();
                for chunk in [&sent[..first], &sent[first..second], &sent[second..]] {
                    reader.receive(chunk);
                    lines.extend(drain(&mut reader));
                }
                assert_eq!(lines, expected, "split at {first} and {second}");
            }
        }
    }

    #[test]
    fn a_line_may_be_as_long_as_the_limit_and_no_longer() {
        let mut reader = LineReader::new(4);
        reader.receive(b"1234\n123");
        assert_eq!(reader.next_line(), Some(Ok(&b"1234"[..])));
        assert_eq!(reader.next_line(), None);
        reader.receive(b"45");
        assert_eq!(reader.next_line(), Some(Err(TooLong { limit: 4 })));
    }

    #[test]
    fn a_line_too_long_is_refused_even_when_it_ends() {
        let mut reader = LineReader::new(4);
        reader.receive(b"12345\nok\n");
        assert_eq!(reader.next_line(), Some(Err(TooLong { limit: 4 })));
        assert_eq!(reader.next_line(), Some(Err(TooLong { limit: 4 })), "and nothing comes after it");
    }

    #[test]
    fn an_endless_line_is_not_kept() {
        let mut reader = LineReader::new(4);
        for _ in 0..1000 {
            reader.receive(&[b'x'; 1000]);
            assert!(reader.next_line().is_some());
        }
        assert!(reader.buffer.capacity() < 2048);
    }

    #[test]
    fn what_was_read_is_wiped() {
        let mut reader = LineReader::new(100);
        reader.receive(b"resp=c2VjcmV0\nnext");
        drain(&mut reader);
        assert_eq!(*reader.buffer, b"next");
        assert!(!format!("{reader:?}").contains("next"));
    }

    #[test]
    fn a_reason_is_one_short_line() {
        assert_eq!(one_line("a\r\nb\tc"), "a  b c");
        assert_eq!(one_line(&"ä".repeat(300)), "ä".repeat(256));
        assert_eq!(one_line(&format!("x{}", "ä".repeat(300))).len(), 511);
    }
}
