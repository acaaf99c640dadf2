//! The `auth` and `login` sockets: Postfix, Exim and Dovecot's login processes ask whether a password is right.
//!
//! Trusts: the client's address, `secured` and `no-penalty` only from a peer whose uid the listener trusts; for anybody
//!         else the client is the local user itself.
//! Fails:  "not now" is `code=temp_fail` to a Dovecot client and a closed connection to an MTA; the session knows which.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gatepost_protocol::dovecot::client::{ClientEvent, ClientSession, FailCode, Login, Reply};
use gatepost_protocol::dovecot::{Cookie, Handshake};
use jiff::Timestamp;
use tokio::io::AsyncReadExt;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::waiting::{Grant, Registration};
use super::{Gate, READ_SIZE, Stream, WRITE_PATIENCE, flush};
use crate::account::Origin;
use crate::authenticate::{Attempt, Judgement, Purpose, Refusal, Verdict};
use crate::client_text;
use crate::listen::Peer;
use crate::userdb;

/// On shutdown, verdicts under way have so long to be told; a refusal's delay fits in.
const DRAIN: Duration = Duration::from_millis(2_500);
/// Reads of what has arrived by then; a client that never stops sending is cut off.
const LAST_READS: usize = 16;

/// Longest name that a refusal repeats, in bytes; no account has a longer one.
const NAMED: usize = 320;

/// What an accepted login on the socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only the verdict matters.
    Auth,
    /// The login is kept for a mail process to claim.
    Login,
}

/// Serves one connection until either side ends it.
///
/// # Errors
/// The socket's own; what the peer said wrong is logged here.
pub async fn serve(
    stream: impl Stream,
    peer: Peer,
    kind: Kind,
    gate: Arc<Gate>,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let cookie = Cookie::new(random()?);
    let handshake =
        Handshake { server_pid: gate.server_pid, connection: gate.next_connection(), cookie: cookie.clone() };
    let conversation = Conversation {
        registration: None,
        stream,
        session: ClientSession::new(handshake),
        cookie,
        peer,
        kind,
        verdicts: JoinSet::new(),
        gate,
    };
    conversation.run(shutdown).await
}

fn random() -> io::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

struct Conversation<S> {
    /// Dropped before the stream: nobody sees the connection end while its logins can still be claimed.
    registration: Option<Registration>,
    stream: S,
    session: ClientSession,
    cookie: Cookie,
    peer: Peer,
    kind: Kind,
    verdicts: JoinSet<Answered>,
    gate: Arc<Gate>,
}

/// A verdict whose time to leave has come.
struct Answered {
    id: u32,
    mechanism: &'static str,
    /// As the client wrote it; a refusal names it, for the peer's log.
    name: String,
    verdict: Verdict,
}

impl<S: Stream> Conversation<S> {
    async fn run(mut self, shutdown: CancellationToken) -> io::Result<()> {
        let mut buffer = Zeroizing::new(vec![0; READ_SIZE]);
        loop {
            flush(&mut self.stream, self.session.output(), WRITE_PATIENCE).await?;
            if self.session.hangs_up() {
                return Ok(());
            }
            let expiry = self.session.next_expiry();
            tokio::select! {
                read = self.stream.read(&mut buffer), if self.session.wants_input() => {
                    let Some(bytes) = buffer.get(..read?).filter(|bytes| !bytes.is_empty()) else { return Ok(()) };
                    self.receive(bytes);
                }
                Some(answered) = self.verdicts.join_next() => self.answer(answered),
                () = at(expiry), if expiry.is_some() => self.session.expire(Instant::now()),
                () = shutdown.cancelled() => return self.drain(&mut buffer).await,
            }
        }
    }

    fn receive(&mut self, bytes: &[u8]) {
        let received = self.session.receive(bytes, Instant::now());
        self.take_events();
        if let Err(error) = received {
            tracing::warn!(peer = %self.peer, %error, "auth client sent what the protocol does not have; connection closed");
            self.session.close();
        }
    }

    /// The session hands out only so many logins at once, so there may be more after each answer.
    fn take_events(&mut self) {
        while let Some(event) = self.session.next_event() {
            match event {
                ClientEvent::Hello { pid, .. } if self.kind == Kind::Login => {
                    self.registration = Some(self.gate.waiting.register(pid, self.cookie.clone()));
                }
                ClientEvent::Hello { .. } => {}
                ClientEvent::Login(login) => self.judge(*login),
                ClientEvent::Cancel { id } => {
                    if let Some(registration) = &self.registration {
                        registration.cancel(id);
                    }
                }
            }
        }
    }

    fn judge(&mut self, login: Login) {
        let gate = Arc::clone(&self.gate);
        let (id, mechanism) = (login.id, login.mechanism.name());
        let attempt = attempt(login, &self.peer);
        self.verdicts.spawn(async move {
            let Judgement { verdict, answer_at } = gate.authenticator.authenticate(&attempt).await;
            // The timer's tick is a millisecond, even for what is past.
            if answer_at > Instant::now() {
                tokio::time::sleep_until(answer_at.into()).await;
            }
            Answered { id, mechanism, name: attempt.name, verdict }
        });
    }

    fn answer(&mut self, answered: Result<Answered, tokio::task::JoinError>) {
        match answered {
            Ok(answered) => {
                let id = answered.id;
                let reply = self.reply(answered);
                self.session.reply(id, reply);
                self.take_events();
            }
            // A request without an answer must not stay open: better a closed connection than a wrong word.
            Err(error) => {
                tracing::error!(%error, "a login's task ended without a verdict; connection closed");
                self.session.close();
            }
        }
    }

    fn reply(&self, Answered { id, mechanism, name, verdict }: Answered) -> Reply {
        match verdict {
            Verdict::TryLater(_) => Reply::TryLater,
            Verdict::Refuse(refusal) => refuse(name, &refusal),
            Verdict::Accept(identity) => {
                let fields = userdb::passdb_fields(&identity.account);
                let user = identity.account.username.to_string();
                // A login that was cancelled meanwhile must not be claimed.
                if let Some(registration) = self.registration.as_ref().filter(|_| self.session.awaits(id)) {
                    registration.grant(id, Grant { identity: *identity, mechanism }, Instant::now());
                }
                Reply::Accept { user, fields }
            }
        }
    }

    /// What is decided in time is told; what is not, and what came meanwhile, is "not now".
    async fn drain(mut self, buffer: &mut [u8]) -> io::Result<()> {
        let deadline = tokio::time::Instant::now() + DRAIN;
        while let Ok(Some(answered)) = tokio::time::timeout_at(deadline, self.verdicts.join_next()).await {
            self.answer(answered);
            flush(&mut self.stream, self.session.output(), DRAIN).await?;
        }
        self.receive_unread(buffer).await;
        self.session.close();
        flush(&mut self.stream, self.session.output(), DRAIN).await
    }

    /// A request that arrived is open, read or not: Dovecot 2.3 takes a connection that closes on it for a refusal.
    async fn receive_unread(&mut self, buffer: &mut [u8]) {
        for _ in 0..LAST_READS {
            match tokio::time::timeout(Duration::ZERO, self.stream.read(buffer)).await {
                Ok(Ok(read @ 1..)) => {
                    let bytes = buffer.get(..read).unwrap_or_default();
                    if self.session.receive(bytes, Instant::now()).is_err() {
                        return;
                    }
                }
                // Nothing more, or nobody there any more.
                Ok(_) | Err(_) => return,
            }
        }
    }
}

async fn at(expiry: Option<Instant>) {
    match expiry {
        Some(expiry) => tokio::time::sleep_until(expiry.into()).await,
        None => std::future::pending().await,
    }
}

fn attempt(login: Login, peer: &Peer) -> Attempt {
    let believed = login.info.remote_ip.filter(|_| peer.is_trusted()).map(Origin::Address);
    Attempt {
        name: login.username,
        authzid: login.authzid,
        password: login.password,
        purpose: Purpose::Mail,
        service: client_text::service(&login.info.service),
        origin: believed.unwrap_or_else(|| peer.origin()),
        no_penalty: login.info.no_penalty && peer.is_trusted(),
        session: login.info.session.as_deref().and_then(client_text::session),
        user_agent: login.info.client_id.as_deref().and_then(client_text::user_agent),
        arrived: Instant::now(),
        at: Timestamp::now(),
    }
}

fn refuse(name: String, refusal: &Refusal) -> Reply {
    let (code, reason) = match refusal {
        Refusal::Wrong | Refusal::Previous | Refusal::Network => (None, None),
        Refusal::Disabled => (Some(FailCode::UserDisabled), Some("This mailbox is disabled.".to_owned())),
        Refusal::Authorization => (Some(FailCode::AuthzFail), None),
    };
    Reply::Refuse { user: Some(name).filter(|name| name.len() <= NAMED), code, reason }
}
