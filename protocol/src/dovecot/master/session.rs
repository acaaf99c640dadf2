//! One connection of a mail process.
//!
//! Trusts: nobody; who may connect at all, and whose session_pid is true, is the caller's to know.
//! Fails:  [`ProtocolError`], after which the connection is closed. Whatever ends it, every open command is
//!   answered as a temporary failure first.
//! Limits: one LIST at a time, as at Dovecot; a second one fails at once.

use std::collections::{BTreeMap, VecDeque};

use bytes::BytesMut;

use super::{
    super::{ProtocolError, escape::LineWriter, handshake::version},
    MasterEvent, Role,
    command::BadCookie,
};
use crate::line::{LineReader, TooLong, one_line};

/// The auth master protocol on one connection.
#[derive(Debug)]
pub struct MasterSession {
    lines: LineReader,
    talk: Talk,
}

/// All but the bytes not yet understood.
#[derive(Debug)]
struct Talk {
    role: Role,
    minor: Option<u32>,
    open: BTreeMap<u32, Kind>,
    events: VecDeque<MasterEvent>,
    output: BytesMut,
    hangs_up: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// USER and REQUEST.
    User,
    Pass,
    List,
    CacheFlush,
}

impl MasterSession {
    /// Dovecot takes 1024 bytes here; its own names and parameters may be longer.
    const LONGEST_LINE: usize = 8192;
    /// With its LF a reply fills the client's buffer (`AUTH_MASTER_MAX_LINE_LENGTH`).
    pub const LONGEST_REPLY: usize = 8191;
    /// Above as many open commands no more are read. Lookup clients up to 2.4.1 have one.
    const MANY_OPEN: usize = 256;
    /// As many may be open. A caller that heeds [`Self::wants_input`] never gets there.
    const MAX_OPEN: usize = 8192;
    /// A client that does not read is not read from, and should get no more rows.
    pub const MAX_UNREAD: usize = 50 * 1024;

    /// Begins; the greeting is in the output. A line more of it, and clients take the socket for another kind.
    #[must_use]
    pub fn new(role: Role, server_pid: u32) -> Self {
        let greeting = format!("VERSION\t1\t1\nSPID\t{server_pid}\n");
        Self {
            lines: LineReader::new(Self::LONGEST_LINE),
            talk: Talk {
                role,
                minor: None,
                open: BTreeMap::new(),
                events: VecDeque::new(),
                output: BytesMut::from(greeting.as_bytes()),
                hangs_up: false,
            },
        }
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
    pub fn next_event(&mut self) -> Option<MasterEvent> {
        self.talk.events.pop_front()
    }

    /// The user is found: the name, and the fields of the userdb.
    ///
    /// # Errors
    ///
    /// The client could not read so long a line. Nothing was written; answer with [`Self::fail`].
    pub fn user(&mut self, id: u32, name: &str, fields: &[(String, String)]) -> Result<(), TooLong> {
        self.talk.answer(id, Kind::User, |output| {
            let mut line = LineWriter::new(output, "USER").number(id).field(name);
            for (name, value) in fields {
                // The one flag that is read as such; any other bare field would be a setting of "yes".
                line = if name == "anonymous" { line.field(name) } else { line.pair(name, value) };
            }
            line.end(Self::LONGEST_REPLY)
        })
    }

    /// The user may log in: the name, and fields as in OK, an empty value making a flag.
    ///
    /// # Errors
    ///
    /// The client could not read so long a line. Nothing was written; answer with [`Self::fail`].
    pub fn pass(&mut self, id: u32, name: &str, fields: &[(String, String)]) -> Result<(), TooLong> {
        let minor = self.talk.minor.unwrap_or_default();
        self.talk.answer(id, Kind::Pass, |output| {
            let line = LineWriter::new(output, "PASS").number(id).pair("user", name);
            line.passdb_fields(fields, minor).end(Self::LONGEST_REPLY)
        })
    }

    /// There is no such user. Mail to it bounces.
    pub fn not_found(&mut self, id: u32) {
        if let Some(Kind::User | Kind::Pass) = self.talk.open.get(&id) {
            self.talk.open.remove(&id);
            let line = LineWriter::new(&mut self.talk.output, "NOTFOUND").number(id);
            let _ = line.end(Self::LONGEST_REPLY);
        }
    }

    /// Not now, or not this one; mail stays in the queue. Answers any command.
    pub fn fail(&mut self, id: u32, reason: Option<&str>) {
        self.talk.fail(id, reason);
    }

    /// One user of a LIST.
    pub fn list_row(&mut self, id: u32, name: &str) {
        if self.talk.open.get(&id) == Some(&Kind::List) {
            let line = LineWriter::new(&mut self.talk.output, "LIST").number(id).field(name);
            let _ = line.end(Self::LONGEST_REPLY);
        }
    }

    /// All users of a LIST were given, or that failed on the way.
    pub fn list_done(&mut self, id: u32, ok: bool) {
        if self.talk.open.get(&id) == Some(&Kind::List) {
            self.talk.open.remove(&id);
            self.talk.done(id, ok);
        }
    }

    /// How much of the cache was forgotten.
    pub fn flushed(&mut self, id: u32, count: u64) {
        let _ = self.talk.answer(id, Kind::CacheFlush, |output| {
            LineWriter::new(output, "OK").number(id).number(count).end(Self::LONGEST_REPLY)
        });
    }

    /// Ends the session; what is open fails for the moment.
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

    /// The client's minor version, once it said so.
    #[must_use]
    pub fn minor(&self) -> Option<u32> {
        self.talk.minor
    }

    /// Whether the client is a Dovecot of 2.4 or later, which wants other names in the userdb.
    #[must_use]
    pub fn dovecot_24(&self) -> bool {
        self.talk.minor.is_some_and(|minor| minor >= 3)
    }
}

impl Talk {
    fn line(&mut self, line: &[u8]) -> Result<(), ProtocolError> {
        if self.minor.is_none() {
            self.minor = Some(version(line)?);
            return Ok(());
        }
        match MasterEvent::parse(line, self.role)? {
            Ok(event) => self.open(event),
            Err(BadCookie { id }) => {
                self.write_fail(id, None);
                Ok(())
            }
        }
    }

    fn open(&mut self, event: MasterEvent) -> Result<(), ProtocolError> {
        let id = event.id();
        if self.open.contains_key(&id) {
            return Err(ProtocolError::Reused { command: event.command(), id });
        }
        let kind = match event {
            MasterEvent::Request(_) | MasterEvent::User(_) => Kind::User,
            MasterEvent::Pass(_) => Kind::Pass,
            MasterEvent::List { .. } if self.open.values().any(|&kind| kind == Kind::List) => {
                self.done(id, false);
                return Ok(());
            }
            MasterEvent::List { .. } => Kind::List,
            MasterEvent::CacheFlush { .. } => Kind::CacheFlush,
        };
        if self.open.len() >= MasterSession::MAX_OPEN {
            return Err(ProtocolError::TooMany { what: "commands", limit: MasterSession::MAX_OPEN });
        }
        self.open.insert(id, kind);
        self.events.push_back(event);
        Ok(())
    }

    /// Writes the answer if the command is open and of this kind; it stays open if the answer was too long.
    fn answer(
        &mut self,
        id: u32,
        kind: Kind,
        write: impl FnOnce(&mut BytesMut) -> Result<(), TooLong>,
    ) -> Result<(), TooLong> {
        if self.open.get(&id) != Some(&kind) {
            return Ok(());
        }
        write(&mut self.output)?;
        self.open.remove(&id);
        Ok(())
    }

    fn fail(&mut self, id: u32, reason: Option<&str>) {
        match self.open.remove(&id) {
            Some(Kind::List) => self.done(id, false),
            Some(Kind::User | Kind::Pass | Kind::CacheFlush) => self.write_fail(id, reason),
            None => {}
        }
    }

    fn write_fail(&mut self, id: u32, reason: Option<&str>) {
        let mut line = LineWriter::new(&mut self.output, "FAIL").number(id);
        if let Some(reason) = reason {
            line = line.pair("reason", &one_line(reason));
        }
        let _ = line.end(MasterSession::LONGEST_REPLY);
    }

    fn done(&mut self, id: u32, ok: bool) {
        let outcome = if ok { "" } else { "fail" };
        let line = LineWriter::new(&mut self.output, "DONE").number(id).field(outcome);
        let _ = line.end(MasterSession::LONGEST_REPLY);
    }

    fn close(&mut self) {
        while let Some((&id, _)) = self.open.first_key_value() {
            self.fail(id, None);
        }
        self.events.clear();
        self.hangs_up = true;
    }
}
