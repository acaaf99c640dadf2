//! One connection of an auth client, from the greeting to the last answer.
//!
//! Trusts: nobody. Dialogues, base64 and identifiers are dealt with here; only whole logins come out.
//! Fails:  [`ProtocolError`], after which the connection is closed. Whatever ends it, what was decided stays in the
//!   output and every open request of a Dovecot client is answered "not now": 2.3 would take the hang-up for a refusal.
//! Limits: every login handed out must be answered, a cancelled one too. That answer goes nowhere, but only it frees the
//!   number, so that no verdict is ever told about another login; and until then the work for it counts.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    mem,
    time::{Duration, Instant},
};

use bytes::BytesMut;

use super::{
    super::{ClientInfo, Handshake, ProtocolError, handshake::version},
    ClientEvent, Login, Reply,
    command::{Auth, Command, client_pid},
    reply::{Audience, cancelled, challenge, fail, greet, try_later},
};
use crate::{
    line::LineReader,
    sasl::{self, Exchange, Mechanism, Step},
};

/// The auth client protocol on one connection.
#[derive(Debug)]
pub struct ClientSession {
    lines: LineReader,
    talk: Talk,
}

/// All but the bytes not yet understood.
#[derive(Debug)]
struct Talk {
    phase: Phase,
    requests: BTreeMap<u32, Request>,
    /// When the dialogues end, soonest first.
    deadlines: BTreeSet<(Instant, u32)>,
    handed_out: usize,
    events: VecDeque<ClientEvent>,
    output: BytesMut,
    hangs_up: bool,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Version,
    Pid { minor: u32 },
    Requests { minor: u32 },
}

#[derive(Debug)]
struct Request {
    audience: Audience,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// The client is to send CONT.
    Dialogue(Opening, Exchange),
    /// A whole login, not yet taken.
    Waiting,
    /// A login that is being decided.
    HandedOut,
    /// A login that is being decided though nobody waits for it.
    Abandoned,
}

/// What AUTH said, kept for the login that comes of it.
#[derive(Debug)]
struct Opening {
    mechanism: Mechanism,
    info: Box<ClientInfo>,
    deadline: Instant,
}

impl ClientSession {
    /// Dovecot's limit on both sides.
    const LONGEST_LINE: usize = 16_384;
    /// As many logins are handed out at once; more wait.
    pub const MAX_HANDED_OUT: usize = 1024;
    /// As many dialogues wait for their CONT; one more and the oldest is forgotten.
    pub const MAX_DIALOGUES: usize = 1024;
    /// As many events wait to be taken. A caller that heeds [`Self::wants_input`] never gets there.
    const MAX_EVENTS: usize = 8192;
    /// A client that does not read is not read from (Dovecot's own figure).
    const MAX_UNREAD: usize = 50 * 1024;
    /// How long a dialogue waits for its CONT (Dovecot's own figure). Postfix never cancels what it gave up.
    const PATIENCE: Duration = Duration::from_secs(150);

    /// Begins; the greeting is in the output.
    #[must_use]
    pub fn new(handshake: Handshake) -> Self {
        let mut output = BytesMut::new();
        greet(&mut output, &handshake);
        Self {
            lines: LineReader::new(Self::LONGEST_LINE),
            talk: Talk {
                phase: Phase::Version,
                requests: BTreeMap::new(),
                deadlines: BTreeSet::new(),
                handed_out: 0,
                events: VecDeque::new(),
                output,
                hangs_up: false,
            },
        }
    }

    /// Takes what the client sent.
    ///
    /// # Errors
    ///
    /// The client broke the protocol. Write the output and close the connection.
    pub fn receive(&mut self, bytes: &[u8], now: Instant) -> Result<(), ProtocolError> {
        let Self { lines, talk } = self;
        if talk.hangs_up {
            return Ok(());
        }
        lines.receive(bytes);
        while let Some(line) = lines.next_line() {
            let understood = line.map_err(ProtocolError::from).and_then(|line| talk.line(line, now));
            if let Err(error) = understood {
                talk.close();
                return Err(error);
            }
        }
        Ok(())
    }

    /// What the client wants, in the order it came.
    pub fn next_event(&mut self) -> Option<ClientEvent> {
        self.talk.next_event()
    }

    /// Whether the client still waits for the answer to this login.
    #[must_use]
    pub fn awaits(&self, id: u32) -> bool {
        self.talk.requests.get(&id).is_some_and(|request| matches!(request.stage, Stage::HandedOut))
    }

    /// Answers a login. For one that was cancelled meanwhile, or never was, nothing is written.
    pub fn reply(&mut self, id: u32, reply: Reply) {
        self.talk.reply(id, &reply);
    }

    /// Forgets the dialogues that got no CONT in time, without a word, as Dovecot does.
    pub fn expire(&mut self, now: Instant) {
        self.talk.expire(now);
    }

    /// When [`Self::expire`] has something to do.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Instant> {
        self.talk.deadlines.first().map(|&(deadline, _)| deadline)
    }

    /// Ends the session: what is open is answered "not now" where that can be said.
    pub fn close(&mut self) {
        self.talk.close();
    }

    /// Whether to write the output and close the connection.
    #[must_use]
    pub fn hangs_up(&self) -> bool {
        self.talk.hangs_up
    }

    /// Whether to read on: not while logins wait for others to be answered, nor while the client leaves answers unread.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        let talk = &self.talk;
        let crowded = talk.handed_out >= Self::MAX_HANDED_OUT && !talk.events.is_empty();
        !talk.hangs_up && !crowded && talk.output.len() <= Self::MAX_UNREAD
    }

    /// What to write; the writer takes it away.
    pub fn output(&mut self) -> &mut BytesMut {
        &mut self.talk.output
    }

    /// How many requests are open: in dialogue, waiting to be taken, or taken and not answered, cancelled ones included.
    #[must_use]
    pub fn open(&self) -> usize {
        self.talk.requests.len()
    }

    /// The client's minor version, once it said so.
    #[must_use]
    pub fn minor(&self) -> Option<u32> {
        match self.talk.phase {
            Phase::Version => None,
            Phase::Pid { minor } | Phase::Requests { minor } => Some(minor),
        }
    }

    /// Whether the client is a Dovecot of 2.4 or later.
    #[must_use]
    pub fn dovecot_24(&self) -> bool {
        self.minor().is_some_and(|minor| minor >= 3)
    }
}

impl Talk {
    fn line(&mut self, line: &[u8], now: Instant) -> Result<(), ProtocolError> {
        match self.phase {
            Phase::Version => {
                let minor = version(line)?;
                self.phase = Phase::Pid { minor };
            }
            Phase::Pid { minor } => {
                let pid = client_pid(line)?;
                self.phase = Phase::Requests { minor };
                self.events.push_back(ClientEvent::Hello { pid, minor });
            }
            Phase::Requests { minor } => match Command::parse(line)? {
                Command::Auth(auth) => self.begin(*auth, minor, now)?,
                Command::Continue { id, response } => self.go_on(id, response),
                Command::Cancel { id } => self.cancel(id, minor),
            },
        }
        if self.events.len() > ClientSession::MAX_EVENTS {
            let limit = ClientSession::MAX_EVENTS;
            return Err(ProtocolError::TooMany { what: "requests", limit });
        }
        Ok(())
    }

    fn begin(&mut self, auth: Auth<'_>, minor: u32, now: Instant) -> Result<(), ProtocolError> {
        let id = auth.id;
        if self.requests.contains_key(&id) {
            return Err(ProtocolError::Reused { command: "AUTH", id });
        }
        let Some(mechanism) = auth.mechanism else {
            fail(&mut self.output, id, None, Some("Unsupported authentication mechanism"));
            return Ok(());
        };
        let Ok(initial) = auth.initial_response(minor) else {
            let reason = "Invalid base64 data in initial response";
            fail(&mut self.output, id, Some("invalid_base64"), Some(reason));
            return Ok(());
        };
        let audience = if auth.info.nologin { Audience::Mta } else { Audience::Dovecot { minor } };
        let step = Exchange::start(mechanism, initial);
        let opening = Opening { mechanism, info: Box::new(auth.info), deadline: now + ClientSession::PATIENCE };
        self.proceed(id, audience, opening, step);
        Ok(())
    }

    fn go_on(&mut self, id: u32, response: &[u8]) {
        let Some(request) = self.withdraw(id) else {
            fail(&mut self.output, id, None, Some("Authentication request timed out"));
            return;
        };
        let Stage::Dialogue(opening, exchange) = request.stage else {
            fail(&mut self.output, id, None, Some("Unexpected continuation"));
            return;
        };
        let Some(response) = sasl::decode(response) else {
            let reason = "Invalid base64 data in continued response";
            fail(&mut self.output, id, Some("invalid_base64"), Some(reason));
            return;
        };
        self.proceed(id, request.audience, opening, exchange.respond(response));
    }

    fn proceed(&mut self, id: u32, audience: Audience, opening: Opening, step: Step) {
        let stage = match step {
            Step::Challenge(text, exchange) => {
                challenge(&mut self.output, id, text);
                self.make_room();
                self.deadlines.insert((opening.deadline, id));
                Stage::Dialogue(opening, exchange)
            }
            Step::Done(credentials) => {
                self.events.push_back(ClientEvent::Login(Box::new(Login {
                    id,
                    mechanism: opening.mechanism,
                    authzid: credentials.authzid,
                    username: credentials.username,
                    password: credentials.password,
                    info: *opening.info,
                })));
                Stage::Waiting
            }
            Step::Malformed => {
                fail(&mut self.output, id, None, None);
                return;
            }
        };
        self.requests.insert(id, Request { audience, stage });
    }

    /// The oldest dialogue makes room for a new one.
    fn make_room(&mut self) {
        if self.deadlines.len() >= ClientSession::MAX_DIALOGUES
            && let Some(&(_, oldest)) = self.deadlines.first()
        {
            self.withdraw(oldest);
        }
    }

    fn cancel(&mut self, id: u32, minor: u32) {
        if self.withdraw(id).is_none() {
            // Whoever answered it long ago may still keep the success for a REQUEST.
            self.events.push_back(ClientEvent::Cancel { id });
        } else if minor >= 4 {
            cancelled(&mut self.output, id);
        }
    }

    /// What the client waits for no more. A login that is being decided stays until it is.
    fn withdraw(&mut self, id: u32) -> Option<Request> {
        let request = self.requests.remove(&id)?;
        match &request.stage {
            Stage::Dialogue(opening, _) => {
                self.deadlines.remove(&(opening.deadline, id));
            }
            Stage::Waiting => self.events.retain(|event| !matches!(event, ClientEvent::Login(login) if login.id == id)),
            Stage::HandedOut => {
                self.requests.insert(id, Request { stage: Stage::Abandoned, ..request });
                self.events.push_back(ClientEvent::Cancel { id });
            }
            Stage::Abandoned => {
                self.requests.insert(id, request);
                return None;
            }
        }
        Some(request)
    }

    fn next_event(&mut self) -> Option<ClientEvent> {
        if self.handed_out >= ClientSession::MAX_HANDED_OUT {
            // Logins wait; what else there is passes them by.
            let passing = self.events.iter().position(|event| !matches!(event, ClientEvent::Login(_)))?;
            return self.events.remove(passing);
        }
        let event = self.events.pop_front()?;
        if let ClientEvent::Login(login) = &event
            && let Some(request) = self.requests.get_mut(&login.id)
        {
            request.stage = Stage::HandedOut;
            self.handed_out += 1;
        }
        Some(event)
    }

    fn reply(&mut self, id: u32, reply: &Reply) {
        let Some(Request { audience, stage: stage @ (Stage::HandedOut | Stage::Abandoned) }) = self.requests.get(&id)
        else {
            return;
        };
        let (audience, is_awaited) = (*audience, matches!(stage, Stage::HandedOut));
        self.requests.remove(&id);
        self.handed_out -= 1;
        if is_awaited && reply.write(&mut self.output, id, audience).is_err() {
            match audience {
                Audience::Dovecot { .. } => try_later(&mut self.output, id),
                Audience::Mta => self.close(),
            }
        }
    }

    fn expire(&mut self, now: Instant) {
        while let Some(&(deadline, id)) = self.deadlines.first()
            && deadline <= now
        {
            self.withdraw(id);
        }
    }

    fn close(&mut self) {
        for (id, request) in mem::take(&mut self.requests) {
            if request.audience != Audience::Mta && !matches!(request.stage, Stage::Abandoned) {
                try_later(&mut self.output, id);
            }
        }
        self.deadlines.clear();
        self.events.clear();
        self.handed_out = 0;
        self.hangs_up = true;
    }
}
