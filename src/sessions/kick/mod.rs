//! Kick: ends an account's sessions in one Dovecot, through the HTTP API of its doveadm.
//!
//! Trusts: whoever answers there, with the key, and in that it lists every session.
//! Fails:  with [`KickError`], which says what to do; whether what was asked was done is not known then. It never waits
//!         longer than its patience.
//! Limits: Dovecot 2.3 ends whole processes, and with `client_limit` above 1 for imap and its kin everybody in them;
//!         a delivery by lmtp to the account may be among them, which the sender repeats. What 2.3 proxies to other
//!         hosts is not in its list.

mod connection;
pub mod endpoint;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use gatepost_protocol::dovecot::doveadm::{self, Answer, Command, Failure, LiteralName, Refusal, Session};
use hyper::header::HeaderValue;
use tokio::sync::Semaphore;

use super::live::Live;
use super::pursuit::{Next, Pursuit, Strangers};
use crate::account::{Generation, Username};
use crate::config::Password;
use connection::{Broken, Connector};
use endpoint::Endpoint;

/// Requests under way to one Dovecot: each is a process of its own there.
const REQUESTS: usize = 8;
/// Users kicked by one request.
const BATCH: usize = 100;
/// Services that register an account for other work than a session of its owner (2.3.19 and 2.4.1 `src/lmtp`, 2.4.1
/// `src/indexer`).
const NO_SESSIONS: [&str; 3] = ["lmtp", "indexer", "indexer-worker"];

/// `[dovecot.NAME]` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub name: String,
    pub endpoint: Endpoint,
    /// Its `doveadm_api_key`.
    pub key: Password,
    /// Whom to believe over TLS, instead of the authorities that the host knows.
    pub authorities: Option<PathBuf>,
    /// It verifies passwords itself and remembers verdicts.
    pub flush_cache: bool,
    pub timeout: Duration,
}

/// A Dovecot whose sessions can be ended.
#[derive(Debug)]
pub struct Kicker {
    settings: Settings,
    connector: Connector,
    requests: Semaphore,
    /// The last time it could not be asked.
    failing: AtomicBool,
}

/// It was not done, or is not known to have been done.
#[derive(Debug, thiserror::Error)]
#[error("Dovecot at {endpoint}: {cause}; {advice}")]
pub struct KickError {
    endpoint: Endpoint,
    cause: String,
    advice: String,
}

/// Whose sessions are ended: those of before a generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `None` is everybody.
    pub user: Option<Username>,
    pub generation: Generation,
    /// The store had it by then.
    pub known: Instant,
}

/// How far a pursuit has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    Done,
    /// There is more to do, from then on.
    Again(Instant),
}

impl Kicker {
    /// # Errors
    /// When the key cannot be sent or the authorities cannot be read.
    pub fn new(settings: Settings) -> Result<Self, KickError> {
        let name = settings.name.clone();
        let refuse = |cause: String, key: &str| KickError {
            endpoint: settings.endpoint.clone(),
            cause,
            advice: format!("see `[dovecot.{name}] {key}`"),
        };
        let key = STANDARD.encode(settings.key.expose());
        let mut authorization = HeaderValue::try_from(format!("{} {key}", doveadm::AUTHORIZATION_SCHEME))
            .map_err(|error| refuse(error.to_string(), "api_key"))?;
        authorization.set_sensitive(true);
        let authorities = settings.authorities.as_deref();
        let connector = Connector::new(settings.endpoint.clone(), &authorization, authorities)
            .map_err(|error| refuse(format!("cannot read the authorities: {error}"), "ca_file"))?;
        Ok(Self { settings, connector, requests: Semaphore::new(REQUESTS), failing: AtomicBool::new(false) })
    }

    /// As the configuration calls it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Whether it remembers verdicts that have to be flushed first.
    #[must_use]
    pub fn flushes(&self) -> bool {
        self.settings.flush_cache
    }

    /// Does what is next until that is to rest, or nothing.
    ///
    /// # Errors
    /// When Dovecot could not be asked; the pursuit knows, and goes on when it is advanced again.
    pub async fn advance(&self, pursuit: &mut Pursuit, target: &Target, live: &Live) -> Result<Progress, KickError> {
        loop {
            let now = Instant::now();
            let done = match pursuit.next(now) {
                Next::Done => return Ok(Progress::Done),
                Next::Rest(until) => return Ok(Progress::Again(until)),
                Next::Flush => self.flush(target.user.as_ref()).await.map(|()| pursuit.flushed(Instant::now())),
                Next::Look => {
                    let quiet = live.quiet_since(target.user.as_ref(), target.generation, target.known);
                    self.look(target.user.as_ref()).await.map(|sessions| {
                        let strangers = strangers(&sessions, target, live, pursuit.last_kick());
                        pursuit.looked(now, quiet, strangers);
                    })
                }
                Next::Kick(users) => self.kick(&users).await.map(|()| pursuit.kicked(now, Instant::now())),
            };
            self.tell(done.as_ref().err());
            if let Err(error) = done {
                pursuit.failed();
                return Err(error);
            }
        }
    }

    /// Says in the log that it cannot be asked, and that it can again: once each.
    fn tell(&self, error: Option<&KickError>) {
        let dovecot = self.name();
        match (error, self.failing.swap(error.is_some(), Ordering::Relaxed)) {
            (Some(error), false) => tracing::warn!(dovecot, %error, "sessions cannot be ended now; tried again"),
            (None, true) => tracing::info!(dovecot, "sessions can be ended again"),
            (Some(_), true) | (None, false) => {}
        }
    }

    /// The sessions of one account or of all, one for each connection.
    async fn look(&self, user: Option<&Username>) -> Result<Vec<Session>, KickError> {
        let mut found = Vec::new();
        for answer in self.ask(&[Command::Who(user.map(|user| self.literal(user)).transpose()?)]).await? {
            if let Answer::Who(sessions) = answer {
                found.extend(sessions);
            }
        }
        found.retain(|session| !NO_SESSIONS.contains(&session.service.as_str()));
        Ok(found)
    }

    async fn kick(&self, users: &[Username]) -> Result<(), KickError> {
        for users in users.chunks(BATCH) {
            let commands = users.iter().map(|user| self.literal(user).map(Command::Kick));
            self.ask(&commands.collect::<Result<Vec<_>, _>>()?).await?;
        }
        Ok(())
    }

    async fn flush(&self, user: Option<&Username>) -> Result<(), KickError> {
        let user = user.map(|user| self.literal(user)).transpose()?;
        self.ask(&[Command::FlushCache(user)]).await.map(drop)
    }

    async fn ask(&self, commands: &[Command]) -> Result<Vec<Answer>, KickError> {
        let _permit = self.requests.acquire().await;
        let posted = self.connector.post(doveadm::request(commands), self.settings.timeout).await;
        let (status, body) = posted.map_err(|broken| self.broken(&broken))?;
        let answers = doveadm::answers(status, &body, commands).map_err(|failure| self.failure(&failure))?;
        answers.into_iter().map(|answer| answer.map_err(|refusal| self.refusal(&refusal))).collect()
    }

    fn literal(&self, user: &Username) -> Result<LiteralName, KickError> {
        LiteralName::new(user.as_str()).ok_or_else(|| {
            self.error("a name that could mean other users was not sent".to_owned(), "end its sessions by hand")
        })
    }

    fn broken(&self, broken: &Broken) -> KickError {
        let name = self.name();
        let advice = match broken {
            Broken::Connect(_) => {
                format!("is it running, and does its doveadm listen where `[dovecot.{name}] url` says?")
            }
            Broken::Cut(_) if self.flushes() => {
                format!("its log says why; Dovecot 2.4 wants `[dovecot.{name}] flush_cache = false`")
            }
            Broken::Cut(_) => "its log says why".to_owned(),
            Broken::Slow(_) => format!("`[dovecot.{name}] timeout` may be raised"),
        };
        self.error(broken.to_string(), &advice)
    }

    fn failure(&self, failure: &Failure) -> KickError {
        let name = self.name();
        let advice = match failure {
            Failure::WrongKey => format!("`[dovecot.{name}] api_key` has to be its `doveadm_api_key`"),
            Failure::Status(_) | Failure::Unreadable(_) => {
                format!("is that the HTTP listener of doveadm at `[dovecot.{name}] url`?")
            }
        };
        self.error(failure.to_string(), &advice)
    }

    fn refusal(&self, refusal: &Refusal) -> KickError {
        let advice = match refusal {
            Refusal::NotAllowed => "it has to name who, kick and, for flush_cache, auth cache flush",
            Refusal::Failed(_) | Refusal::Unknown(_) => "Dovecot 2.3.19 and 2.4.1 are known to do it",
        };
        self.error(refusal.to_string(), advice)
    }

    fn error(&self, cause: String, advice: &str) -> KickError {
        KickError { endpoint: self.settings.endpoint.clone(), cause, advice: advice.to_owned() }
    }
}

/// Those sessions that are not known to be of the target's generation. Names that are none of ours are left alone.
fn strangers(sessions: &[Session], target: &Target, live: &Live, last_kick: Option<Instant>) -> Strangers {
    let mut strangers = Strangers::new();
    for session in sessions {
        let Ok(user) = Username::parse(&session.username, None) else { continue };
        if !live.is_current(&user, session.pid, target.generation, last_kick) {
            *strangers.entry((user, session.pid)).or_default() += 1;
        }
    }
    strangers
}
