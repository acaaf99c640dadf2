//! poppassd: a webmail changes the password of the user who is logged in to it.
//!
//! `user`, `pass`, `newpass` and `quit`, in that order, each answered by one line of a code and a text, which webmails
//! show to people. 2xx and 3xx is "go on", 4xx "not now", 5xx "no" (Steve Dorner's description, in `poppassd.c` of
//! poppassd-ceti).
//!
//! Trusts: nobody.
//! Fails:  [`OutOfPlace`] at the first line that is not the next one: a browser that is made to send HTTP here never
//!         gets to a password.
//! Limits: one attempt and one change a connection, as with the first poppassd. Some webmails read on until the
//!         connection is closed, so every "no" and "not now" closes it.

use std::collections::VecDeque;

use bytes::{BufMut, BytesMut};

use crate::Secret;
use crate::line::{LineReader, TooLong, one_line};

/// What the webmail asks.
#[derive(Debug)]
pub enum PoppassdEvent {
    /// Is this the user's password?
    Current {
        /// The name, without the blanks around it.
        user: String,
        /// What the user says is the password.
        password: Secret,
    },
    /// Set this one instead, of the user whose password was accepted.
    New {
        /// What shall be the password.
        password: Secret,
    },
}

/// A line was not the one whose turn it was. Its text is not shown: it may be a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutOfPlace {
    /// It passed the limit.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// It began with another word.
    #[error("expected `{expected}`, not a line of {length} bytes that begins otherwise")]
    Unexpected {
        /// The word whose turn it was.
        expected: &'static str,
        /// How long the line was.
        length: usize,
    },
}

/// poppassd on one connection.
#[derive(Debug)]
pub struct PoppassdSession {
    lines: LineReader,
    /// What the next line must be, whatever is still to be answered.
    turn: Turn,
    /// Not yet handed out; the order of lines bounds them.
    events: VecDeque<PoppassdEvent>,
    /// Whether one is handed out and not yet answered.
    asked: bool,
    output: BytesMut,
    hangs_up: bool,
}

#[derive(Debug)]
enum Turn {
    User,
    Pass {
        user: String,
    },
    NewPass,
    Quit,
    /// The webmail has said `quit`.
    Nothing,
}

impl PoppassdSession {
    /// Room for a new password that is longer than allowed, so that its user is told so.
    const LONGEST_LINE: usize = 4096;

    /// Begins; the greeting is in the output.
    #[must_use]
    pub fn new() -> Self {
        let mut session = Self {
            lines: LineReader::new(Self::LONGEST_LINE),
            turn: Turn::User,
            events: VecDeque::new(),
            asked: false,
            output: BytesMut::new(),
            hangs_up: false,
        };
        session.say(200, "gatepost changes passwords. Who are you?");
        session
    }

    /// Takes what the webmail sent.
    ///
    /// # Errors
    ///
    /// It is out of place, and the webmail is told so. Write the output and close the connection.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), OutOfPlace> {
        if self.hangs_up {
            return Ok(());
        }
        self.lines.receive(bytes);
        loop {
            let taken = match self.lines.next_line() {
                None => return Ok(()),
                Some(Ok(line)) => {
                    let (line, length) = (Line::of(line), line.len());
                    self.take(line, length)
                }
                Some(Err(too_long)) => Err(too_long.into()),
            };
            if let Err(error) = taken {
                self.end(500, error.told());
                return Err(error);
            }
        }
    }

    /// The next question, once the last one is answered.
    pub fn next_event(&mut self) -> Option<PoppassdEvent> {
        if self.asked {
            return None;
        }
        let event = self.events.pop_front()?;
        self.asked = true;
        Some(event)
    }

    /// Yes, to the question handed out, if there is one.
    pub fn accept(&mut self, text: &str) {
        if std::mem::take(&mut self.asked) {
            self.say(200, text);
        }
        self.part();
    }

    /// No, and why, for the user to read; ends the session.
    pub fn refuse(&mut self, why: &str) {
        self.end(500, why);
    }

    /// Not now, and why, for the user to read; ends the session.
    pub fn put_off(&mut self, why: &str) {
        self.end(400, why);
    }

    /// Whether to write the output and close the connection.
    #[must_use]
    pub fn hangs_up(&self) -> bool {
        self.hangs_up
    }

    /// What to write; the writer takes it away.
    pub fn output(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    fn take(&mut self, line: Line, length: usize) -> Result<(), OutOfPlace> {
        let turn = std::mem::replace(&mut self.turn, Turn::Nothing);
        self.turn = match (turn, line) {
            (Turn::Nothing, _) | (_, Line::Quit) => Turn::Nothing,
            (Turn::User, Line::User(user)) => {
                self.say(300, "Your current password, please.");
                Turn::Pass { user }
            }
            (Turn::Pass { user }, Line::Pass(password)) => {
                self.events.push_back(PoppassdEvent::Current { user, password });
                Turn::NewPass
            }
            (Turn::NewPass, Line::NewPass(password)) => {
                self.events.push_back(PoppassdEvent::New { password });
                Turn::Quit
            }
            (turn, _) => return Err(OutOfPlace::Unexpected { expected: turn.verb(), length }),
        };
        self.part();
        Ok(())
    }

    /// Says goodbye to who said `quit`, once all is answered.
    fn part(&mut self) {
        if matches!(self.turn, Turn::Nothing) && !self.asked && self.events.is_empty() {
            self.end(200, "Goodbye.");
        }
    }

    fn end(&mut self, code: u16, text: &str) {
        self.say(code, text);
        self.asked = false;
        self.events.clear();
        self.hangs_up = true;
    }

    fn say(&mut self, code: u16, text: &str) {
        if !self.hangs_up {
            self.output.put_slice(format!("{code} {}\r\n", one_line(text)).as_bytes());
        }
    }
}

impl Default for PoppassdSession {
    fn default() -> Self {
        Self::new()
    }
}

impl OutOfPlace {
    /// What the webmail is told, and may show.
    fn told(self) -> &'static str {
        match self {
            Self::TooLong(_) => "That is too long.",
            Self::Unexpected { .. } => "First `user`, then `pass`, then `newpass`, then `quit`.",
        }
    }
}

impl Turn {
    fn verb(&self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Pass { .. } => "pass",
            Self::NewPass => "newpass",
            Self::Quit | Self::Nothing => "quit",
        }
    }
}

/// A line by its first word, in whatever case. A password is all that follows the one space, blanks included.
enum Line {
    User(String),
    Pass(Secret),
    NewPass(Secret),
    Quit,
    Other,
}

impl Line {
    fn of(line: &[u8]) -> Self {
        let (verb, rest) = match line.iter().position(|&byte| byte == b' ') {
            Some(space) => line.split_at(space),
            None => (line, &b""[..]),
        };
        let rest = rest.strip_prefix(b" ").unwrap_or_default();
        let is = |word: &[u8]| verb.eq_ignore_ascii_case(word);
        if is(b"user") {
            Self::User(String::from_utf8_lossy(rest.trim_ascii()).into_owned())
        } else if is(b"pass") {
            Self::Pass(Secret::new(rest.to_vec()))
        } else if is(b"newpass") {
            Self::NewPass(Secret::new(rest.to_vec()))
        } else if is(b"quit") {
            Self::Quit
        } else {
            Self::Other
        }
    }
}
