//! What a peer did wrong. The connection is closed; the text is for the log.

use std::fmt;

use crate::line::TooLong;

/// A peer broke the protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A line passed the limit.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// The first line was not VERSION.
    #[error("expected VERSION first, not {0}")]
    NoVersion(CommandName),
    /// The major version is not one that we speak.
    #[error("the peer speaks version {0} of the protocol, which is not ours")]
    Major(u32),
    /// The second line of an auth client was not CPID.
    #[error("expected CPID after VERSION, not {0}")]
    NoPid(CommandName),
    /// The first line of a dict client was not its hello.
    #[error("expected H first, not {0}")]
    NoHello(CommandName),
    /// A command that we do not know, or not on this socket, or not now.
    #[error("unknown command {0}")]
    UnknownCommand(CommandName),
    /// A known command whose arguments are not as they must be.
    #[error("bad {command}: {problem}")]
    BadArguments {
        /// The command.
        command: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// An identifier that is still in use.
    #[error("{command} uses {id} again while it is open")]
    Reused {
        /// The command.
        command: &'static str,
        /// The identifier.
        id: u32,
    },
    /// A change to a transaction, or the end of one, that did not begin.
    #[error("transaction {0} is not open")]
    NoTransaction(u32),
    /// More is waiting than a session keeps.
    #[error("more than {limit} {what} at once")]
    TooMany {
        /// Of what there are too many.
        what: &'static str,
        /// How many are allowed.
        limit: usize,
    },
}

pub(super) const fn bad(command: &'static str, problem: &'static str) -> ProtocolError {
    ProtocolError::BadArguments { command, problem }
}

/// The word a line began with, as far as it can be shown: a line out of place may be somebody's password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandName(Shown);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Shown {
    Word(String),
    Bytes(usize),
}

impl CommandName {
    const LONGEST: usize = 16;

    pub(crate) fn of(line: &[u8]) -> Self {
        let word = line.split(|&byte| byte == b'\t').next().unwrap_or_default();
        let speaks = |&byte: &u8| byte.is_ascii_uppercase() || byte == b'-' || byte == b'_';
        Self(if word.len() <= Self::LONGEST && word.iter().all(speaks) {
            Shown::Word(String::from_utf8_lossy(word).into_owned())
        } else {
            Shown::Bytes(line.len())
        })
    }
}

impl fmt::Display for CommandName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Shown::Word(word) if word.is_empty() => formatter.write_str("an empty line"),
            Shown::Word(word) => formatter.write_str(word),
            Shown::Bytes(length) => write!(formatter, "(a line of {length} bytes)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_looks_like_a_command_is_shown() {
        let cases: [(&[u8], &str); 5] = [
            (b"CACHE-FLUSH\t1\tann", "CACHE-FLUSH"),
            (b"", "an empty line"),
            (b"AGFubgBz", "(a line of 8 bytes)"),
            (b"pass s3cret", "(a line of 11 bytes)"),
            (b"ABCDEFGHIJKLMNOPQ", "(a line of 17 bytes)"),
        ];
        for (line, shown) in cases {
            assert_eq!(CommandName::of(line).to_string(), shown);
        }
    }
}
