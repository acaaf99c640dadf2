//! socketmap: Postfix looks up a key in a map of ours (src/util/dict_sockmap.c, src/util/netstring.c).
//!
//! A query is the netstring `<map> <key>`, an answer the netstring `OK <data>`, `NOTFOUND `, `TEMP <text>` or
//! `PERM <text>`. The key is the whole address: Postfix tries no parts of it, so catch-alls are the server's job.
//!
//! Trusts: nobody.
//! Fails:  [`Malformed`]; close the connection, and Postfix asks again on a new one or defers the mail.
//! Limits: one query at a time is handed out, since answers carry no name; Postfix asks one at a time.

use std::collections::VecDeque;

use bytes::{Buf, BufMut, BytesMut};
use nom::{
    IResult, Parser,
    bytes::streaming::{tag, take_while_m_n},
    combinator::{map_opt, verify},
    multi::length_data,
    sequence::terminated,
};

use crate::line::one_line;

/// A lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Which map; what follows the last colon of Postfix's `socketmap:unix:/path:name`.
    pub map: String,
    /// The key; it may hold spaces.
    pub key: String,
}

/// The answer to a lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The data. Postfix refuses empty data, so that is as if nothing were found.
    Found(String),
    /// The key is not there.
    NotFound,
    /// Not now; the mail is deferred.
    Temporary(String),
    /// Something must be configured first; the mail is deferred, with a warning.
    Permanent(String),
}

/// What came is no query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It is no netstring, or one too long.
    #[error("expected a netstring of at most {} bytes", SocketmapSession::LONGEST_QUERY)]
    NoNetstring,
    /// It has no space between map and key.
    #[error("expected a map, a space and a key in the netstring")]
    NoKey,
    /// More wait than a session keeps.
    #[error("more than {} queries at once", SocketmapSession::MAX_WAITING)]
    TooMany,
}

/// socketmap on one connection.
#[derive(Debug, Default)]
pub struct SocketmapSession {
    unread: BytesMut,
    waiting: VecDeque<Query>,
    asked: bool,
    output: BytesMut,
}

impl SocketmapSession {
    const LONGEST_QUERY: usize = 8192;
    /// What Postfix reads (`DICT_SOCKMAP_MAX_REPLY`).
    const LONGEST_REPLY: usize = 100_000;
    /// A caller that heeds [`Self::wants_input`] never gets there.
    const MAX_WAITING: usize = 8192;

    /// Begins. There is no greeting.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what Postfix sent.
    ///
    /// # Errors
    ///
    /// It is no query. Write the output and close the connection.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        self.unread.extend_from_slice(bytes);
        loop {
            let (rest, text) = match netstring(&self.unread) {
                Ok((rest, text)) => (rest.len(), text),
                Err(nom::Err::Incomplete(_)) => return Ok(()),
                Err(_) => return Err(Malformed::NoNetstring),
            };
            if self.waiting.len() >= Self::MAX_WAITING {
                return Err(Malformed::TooMany);
            }
            self.waiting.push_back(Query::parse(text)?);
            self.unread.advance(self.unread.len() - rest);
        }
    }

    /// The next query, once the last one is answered.
    pub fn next_query(&mut self) -> Option<Query> {
        if self.asked {
            return None;
        }
        let query = self.waiting.pop_front()?;
        self.asked = true;
        Some(query)
    }

    /// Answers the query handed out, if there is one.
    pub fn answer(&mut self, answer: Answer) {
        if std::mem::take(&mut self.asked) {
            let text = answer.text();
            self.output.put_slice(format!("{}:{text},", text.len()).as_bytes());
        }
    }

    /// Whether to read on: not while queries wait.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        self.waiting.is_empty()
    }

    /// What to write; the writer takes it away.
    pub fn output(&mut self) -> &mut BytesMut {
        &mut self.output
    }
}

impl Query {
    fn parse(text: &[u8]) -> Result<Self, Malformed> {
        let text = String::from_utf8_lossy(text);
        let (map, key) = text.split_once(' ').ok_or(Malformed::NoKey)?;
        Ok(Self { map: map.to_owned(), key: key.to_owned() })
    }
}

impl Answer {
    fn text(self) -> String {
        match self {
            Self::Found(data) if data.is_empty() => "NOTFOUND ".to_owned(),
            Self::Found(data) if data.len() > SocketmapSession::LONGEST_REPLY - "OK ".len() => {
                "PERM the result is too long".to_owned()
            }
            Self::Found(data) => format!("OK {data}"),
            Self::NotFound => "NOTFOUND ".to_owned(),
            Self::Temporary(text) => format!("TEMP {}", one_line(&text)),
            Self::Permanent(text) => format!("PERM {}", one_line(&text)),
        }
    }
}

/// `<length>:<bytes>,`
fn netstring(input: &[u8]) -> IResult<&[u8], &[u8]> {
    terminated(length_data(terminated(length, tag(":"))), tag(",")).parse(input)
}

fn length(input: &[u8]) -> IResult<&[u8], usize> {
    let digits = take_while_m_n(1, 5, |byte: u8| byte.is_ascii_digit());
    let number = map_opt(digits, |digits| std::str::from_utf8(digits).ok()?.parse().ok());
    verify(number, |&length| length <= SocketmapSession::LONGEST_QUERY).parse(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(map: &str, key: &str) -> Query {
        Query { map: map.to_owned(), key: key.to_owned() }
    }

    #[test]
    fn queries_are_the_same_at_every_split_point() {
        let sent = b"22:virt alice@example.org,8:virt a b,5:virt ,";
        for split in 0..=sent.len() {
            let mut session = SocketmapSession::new();
            for chunk in [&sent[..split], &sent[split..]] {
                assert_eq!(session.receive(chunk), Ok(()));
            }
            for expected in [query("virt", "alice@example.org"), query("virt", "a b"), query("virt", "")] {
                assert_eq!(session.next_query(), Some(expected), "split at {split}");
                session.answer(Answer::NotFound);
            }
            assert_eq!(session.next_query(), None);
        }
    }

    #[test]
    fn answers_say_what_postfix_understands() {
        let long = "x".repeat(SocketmapSession::LONGEST_REPLY - 3);
        let cases = [
            (Answer::Found("bob@example.org, carl".to_owned()), "24:OK bob@example.org, carl,".to_owned()),
            (Answer::Found(String::new()), "9:NOTFOUND ,".to_owned()),
            (Answer::NotFound, "9:NOTFOUND ,".to_owned()),
            (Answer::Temporary("back\nsoon".to_owned()), "14:TEMP back soon,".to_owned()),
            (Answer::Permanent("no such map".to_owned()), "16:PERM no such map,".to_owned()),
            (Answer::Found(long.clone()), format!("100000:OK {long},")),
            (Answer::Found(format!("{long}x")), "27:PERM the result is too long,".to_owned()),
        ];
        for (answer, expected) in cases {
            let mut session = SocketmapSession::new();
            assert_eq!(session.receive(b"3:v k,"), Ok(()));
            assert!(session.next_query().is_some());
            session.answer(answer.clone());
            session.answer(answer);
            assert_eq!(session.output(), &expected, "and only once");
        }
    }

    #[test]
    fn one_query_is_handed_out_at_a_time() {
        let mut session = SocketmapSession::new();
        assert_eq!(session.receive(b"3:v a,3:v b,"), Ok(()));
        session.answer(Answer::NotFound);
        assert!(session.output().is_empty(), "nothing was asked yet");
        assert_eq!(session.next_query(), Some(query("v", "a")));
        assert_eq!(session.next_query(), None);
        assert!(!session.wants_input());
        session.answer(Answer::NotFound);
        assert_eq!(session.next_query(), Some(query("v", "b")));
        assert!(session.wants_input());
    }

    #[test]
    fn what_is_no_query_ends_the_session() {
        let cases = [
            (&b"get alice\n"[..], Malformed::NoNetstring),
            (b":", Malformed::NoNetstring),
            (b"3:v kx", Malformed::NoNetstring),
            (b"8193:", Malformed::NoNetstring),
            (b"000003:", Malformed::NoNetstring),
            (b"-1:", Malformed::NoNetstring),
            (b"4:virt,", Malformed::NoKey),
            (b"0:,", Malformed::NoKey),
        ];
        for (sent, expected) in cases {
            assert_eq!(SocketmapSession::new().receive(sent), Err(expected), "{}", sent.escape_ascii());
        }
        assert_eq!(SocketmapSession::new().receive(&b"3:v k,".repeat(9000)), Err(Malformed::TooMany));
    }

    #[test]
    fn a_query_of_the_longest_length_is_taken() {
        let mut session = SocketmapSession::new();
        assert_eq!(session.receive(format!("8192:v {},", "k".repeat(8190)).as_bytes()), Ok(()));
        assert_eq!(session.next_query().map(|query| query.key.len()), Some(8190));
    }
}
