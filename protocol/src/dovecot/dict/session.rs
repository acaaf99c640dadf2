//! One connection of a dict client.
//!
//! Trusts: nobody. Which keys may be read or written by whom is the caller's to know.
//! Fails:  [`ProtocolError`], after which the connection is closed, and with it every open transaction.
//! Limits: a client of version 3.0 knows no serial numbers, so it is served one command at a time; the others are
//!   told the number of each command as it is accepted, and may be answered in any order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::BytesMut;

use super::{
    super::{ProtocolError, escape::LineWriter},
    Commit, DictEvent, Iterate,
    command::{Command, Hello},
    transaction::{Transaction, Transactions},
};
use crate::line::{LineReader, one_line};

/// The dict protocol on one connection.
#[derive(Debug)]
pub struct DictSession {
    lines: LineReader,
    talk: Talk,
}

/// All but the bytes not yet understood.
#[derive(Debug, Default)]
struct Talk {
    framing: Option<Framing>,
    transactions: Transactions,
    last_serial: u32,
    last_handed_out: u32,
    open: BTreeMap<u32, Open>,
    events: VecDeque<DictEvent>,
    output: BytesMut,
    hangs_up: bool,
}

/// How replies are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// By their order.
    Ordered,
    /// `*serial` when a command is accepted, `+serial⇥reply` when it is answered.
    Numbered,
}

/// A command not yet answered.
#[derive(Debug)]
enum Open {
    Lookup,
    Iterate(Iterate),
    Commit { transaction: u32, too_large: bool },
}

impl DictSession {
    /// Dovecot's limit.
    const LONGEST_LINE: usize = 65_536;
    /// Above as many open commands no more are read.
    const MANY_OPEN: usize = 256;
    /// As many may be open. A caller that heeds [`Self::wants_input`] never gets there.
    const MAX_OPEN: usize = 16_384;
    /// A client that does not read is not read from, and should get no more rows.
    pub const MAX_UNREAD: usize = 50 * 1024;

    /// Begins. There is no greeting.
    #[must_use]
    pub fn new() -> Self {
        Self { lines: LineReader::new(Self::LONGEST_LINE), talk: Talk::default() }
    }

    /// Takes what the client sent.
    ///
    /// # Errors
    ///
    /// The client broke the protocol. Write the output and close the connection.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), ProtocolError> {
        let Self { lines, talk } = self;
        if talk.hangs_up {
            return Ok(());
        }
        lines.receive(bytes);
        while let Some(line) = lines.next_line() {
            let understood = line.map_err(ProtocolError::from).and_then(|line| talk.line(line));
            if let Err(error) = understood {
                talk.close();
                return Err(error);
            }
        }
        Ok(())
    }

    /// What the client wants, in the order it came.
    pub fn next_event(&mut self) -> Option<DictEvent> {
        self.talk.next_event()
    }

    /// A lookup has this value.
    pub fn found(&mut self, serial: u32, value: &[u8]) {
        if self.talk.take(serial, |open| matches!(open, Open::Lookup)).is_some() {
            self.talk.reply(serial, "O", |line| line.append(value));
        }
    }

    /// A lookup has none; or a commit would have changed what is not there.
    pub fn not_found(&mut self, serial: u32) {
        match self.talk.take(serial, |open| !matches!(open, Open::Iterate(_))) {
            Some(Open::Commit { transaction, .. }) => {
                self.talk.reply(serial, "N", |line| line.append(transaction.to_string()));
            }
            Some(_) => self.talk.reply(serial, "N", |line| line),
            None => {}
        }
    }

    /// One key of an iteration, and its value if that was asked for. Keys outside the path are left out.
    pub fn row(&mut self, serial: u32, key: &str, value: &[u8]) {
        if let Some(Open::Iterate(iterate)) = self.talk.open.get(&serial)
            && iterate.matches(key)
        {
            // The TAB after the key must be there.
            let value = if iterate.no_value { &[] } else { value };
            self.talk.reply(serial, "O", |line| line.append(key).field(value));
        }
    }

    /// An iteration gave all its rows.
    pub fn finished(&mut self, serial: u32) {
        if self.talk.take(serial, |open| matches!(open, Open::Iterate(_))).is_some() {
            self.talk.reply(serial, "", |line| line);
        }
    }

    /// The changes of a commit are made.
    pub fn committed(&mut self, serial: u32) {
        self.talk.end_commit(serial, "O", None);
    }

    /// A commit may or may not have made its changes.
    pub fn uncertain(&mut self, serial: u32, error: &str) {
        self.talk.end_commit(serial, "W", Some(error));
    }

    /// Not now, or not this; answers any command. Nothing of a commit was done.
    pub fn failed(&mut self, serial: u32, error: &str) {
        self.talk.fail(serial, error);
    }

    /// Ends the session: what is open fails, and commits handed out are uncertain.
    pub fn close(&mut self) {
        self.talk.close();
    }

    /// Whether to write the output and close the connection.
    #[must_use]
    pub fn hangs_up(&self) -> bool {
        self.talk.hangs_up
    }

    /// Whether to read on: not while many commands are open, nor while the client leaves answers unread.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        let talk = &self.talk;
        !talk.hangs_up && talk.open.len() < Self::MANY_OPEN && talk.output.len() <= Self::MAX_UNREAD
    }

    /// What to write; the writer takes it away.
    pub fn output(&mut self) -> &mut BytesMut {
        &mut self.talk.output
    }

    /// How many commands are not yet answered.
    #[must_use]
    pub fn open(&self) -> usize {
        self.talk.open.len()
    }
}

impl Default for DictSession {
    fn default() -> Self {
        Self::new()
    }
}

impl Talk {
    fn line(&mut self, line: &[u8]) -> Result<(), ProtocolError> {
        if self.framing.is_none() {
            let Hello { name, major, minor } = Hello::parse(line)?;
            let numbered = major > 3 || minor >= 1;
            self.framing = Some(if numbered { Framing::Numbered } else { Framing::Ordered });
            self.events.push_back(DictEvent::Hello { name, major, minor });
            return Ok(());
        }
        match Command::parse(line)? {
            Command::Lookup { key, user } => {
                let serial = self.accept(Open::Lookup)?;
                self.events.push_back(DictEvent::Lookup { serial, key, user });
            }
            Command::Iterate(iterate) => {
                let serial = self.accept(Open::Iterate(iterate.clone()))?;
                self.events.push_back(DictEvent::Iterate(Iterate { serial, ..iterate }));
            }
            Command::Begin { transaction, user, expire } => self.transactions.begin(transaction, user, expire)?,
            Command::Change { transaction, change } => self.transactions.change(transaction, change)?,
            Command::Remark { transaction } => self.transactions.check(transaction)?,
            Command::RollBack { transaction } => drop(self.transactions.end(transaction)?),
            Command::Commit { transaction } => self.commit(transaction)?,
        }
        Ok(())
    }

    fn commit(&mut self, transaction: u32) -> Result<(), ProtocolError> {
        let Transaction { user, expire, changes, too_large, .. } = self.transactions.end(transaction)?;
        let serial = self.accept(Open::Commit { transaction, too_large })?;
        self.events.push_back(DictEvent::Commit(Commit { serial, user, expire, changes }));
        Ok(())
    }

    fn accept(&mut self, command: Open) -> Result<u32, ProtocolError> {
        if self.open.len() >= DictSession::MAX_OPEN {
            return Err(ProtocolError::TooMany { what: "commands", limit: DictSession::MAX_OPEN });
        }
        self.last_serial = self.last_serial.checked_add(1).unwrap_or(1);
        let serial = self.last_serial;
        if self.framing == Some(Framing::Numbered) {
            let _ = LineWriter::new(&mut self.output, "*").append(serial.to_string()).end(usize::MAX);
        }
        self.open.insert(serial, command);
        Ok(serial)
    }

    fn next_event(&mut self) -> Option<DictEvent> {
        loop {
            if self.framing == Some(Framing::Ordered) && self.open.contains_key(&self.last_handed_out) {
                return None;
            }
            let event = self.events.pop_front()?;
            let Some(serial) = event.serial() else {
                return Some(event);
            };
            if let Some(Open::Commit { too_large: true, .. }) = self.open.get(&serial) {
                self.fail(serial, "the transaction is too large");
                continue;
            }
            self.last_handed_out = serial;
            return Some(event);
        }
    }

    fn take(&mut self, serial: u32, is_of_kind: impl Fn(&Open) -> bool) -> Option<Open> {
        self.open.get(&serial).filter(|open| is_of_kind(open))?;
        self.open.remove(&serial)
    }

    fn end_commit(&mut self, serial: u32, outcome: &str, error: Option<&str>) {
        if let Some(Open::Commit { transaction, .. }) = self.take(serial, |open| matches!(open, Open::Commit { .. })) {
            self.reply(serial, outcome, |line| {
                let line = line.append(transaction.to_string());
                error.into_iter().fold(line, |line, error| line.field(one_line(error)))
            });
        }
    }

    fn fail(&mut self, serial: u32, error: &str) {
        if let Some(Open::Commit { .. }) = self.open.get(&serial) {
            self.end_commit(serial, "F", Some(error));
        } else if self.open.remove(&serial).is_some() {
            self.reply(serial, "F", |line| line.append(one_line(error)));
        }
    }

    fn reply(&mut self, serial: u32, letter: &str, write: impl FnOnce(LineWriter<'_>) -> LineWriter<'_>) {
        let line = match self.framing {
            Some(Framing::Numbered) => LineWriter::new(&mut self.output, "+").append(serial.to_string()).field(letter),
            Some(Framing::Ordered) | None => LineWriter::new(&mut self.output, letter),
        };
        // The client takes lines of any length.
        let _ = write(line).end(usize::MAX);
    }

    fn close(&mut self) {
        const CLOSING: &str = "the server is closing the connection";
        let waiting: BTreeSet<u32> = self.events.drain(..).filter_map(|event| event.serial()).collect();
        while let Some((&serial, _)) = self.open.first_key_value() {
            if !waiting.contains(&serial) {
                self.end_commit(serial, "W", Some(CLOSING));
            }
            self.fail(serial, CLOSING);
        }
        self.hangs_up = true;
    }
}
