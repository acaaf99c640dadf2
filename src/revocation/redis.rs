//! Redis: the outside's copy of every generation, and the quickest word of a change. Never the only truth.
//!
//! # What others may rely on
//!
//! - The string `PREFIX:generation:USER` is the generation of an account, `PREFIX:generation:USER/ID` that of one of its
//!   application passwords: a decimal number, which only grows. An absent key says nothing: ask the API.
//! - On the channel `PREFIX:revoked` one JSON object is published whenever such a number grows: `{"user", "credential",
//!   "generation", "reason", "at"}`. `credential` is `null` for the account as a whole and its main password, else the
//!   number of an application password; `reason` is the kind of change; `at` is when it was made, after RFC 3339.
//!
//! A number is raised to a value and published by one script, so that doing it twice is doing it once, and nobody who
//! heard the message still reads the old number.
//!
//! # One connection
//!
//! It speaks RESP3, so that messages and answers share it, and is dropped at the first answer that is late or comes from
//! a server that is no longer a master; [`Event`] tells whoever follows. Where the master is, is asked anew each time.
//! redis 1.8 has a client-side cache, which may keep an old value for ever when the answer and the invalidation cross,
//! and a connection manager, which does not reconnect after a timeout, does not tell that it did otherwise, and follows
//! no failover: neither is used.
//!
//! Trusts: Redis to be no louder than a message at a time. A number in it that cannot be one of ours is replaced, a
//!         message that cannot be read is skipped, and no message can do more than make us look.
//! Fails:  with [`CounterError`], which always means "not now" and comes within twice the response timeout.
//! Limits: one master, so no Redis Cluster; no client certificates. The client library keeps a copy of the password that
//!         is not wiped.

mod inbox;
mod keeper;
mod link;
mod locate;
mod message;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::account::{CredentialName, Generation, Username};
use crate::config::Password;
use crate::telemetry::metrics;
use keeper::Keeper;
use link::{Link, Outcome};
pub use message::Revoked;

/// Messages that may wait for whoever follows.
const EVENTS: usize = 4_096;
/// Questions under way at a time; more wait for their turn.
const QUESTIONS: usize = 256;
/// Numbers raised by one run of the script, during which Redis does nothing else.
const BATCH: usize = 64;

/// Where Redis is and how to speak to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub place: Place,
    pub login: Login,
    /// For every address that is no socket file, those of Sentinels too.
    pub tls: Option<Tls>,
    pub database: u32,
    /// Comes before every key and channel.
    pub prefix: String,
    /// To reach one server and greet it.
    pub connect_timeout: Duration,
    /// For each answer.
    pub response_timeout: Duration,
    /// How far back changes are raised again on a new connection.
    pub horizon: Duration,
}

/// Who knows where the master is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Of these, the first that says it is one.
    Servers(Vec<Address>),
    /// Redis Sentinel: the first of these whose word proves true.
    Sentinels { sentinels: Vec<Address>, master: String, login: Login },
}

/// A server, by name or number, or by its socket file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(formatter, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(formatter, "{host}:{port}"),
            Self::Unix(path) => path.display().fmt(formatter),
        }
    }
}

/// TLS: the certificate must be for the name or number that the address has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Certificates of whoever may have issued it, in PEM; without, those that this host trusts.
    pub authorities: Option<Vec<u8>>,
}

/// How to log in; neither is needed where Redis asks for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Login {
    pub username: Option<String>,
    pub password: Option<Password>,
}

/// Why Redis could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum CounterError {
    #[error("there is no connection to Redis now")]
    NotConnected,
    #[error("too much is being asked of Redis at once")]
    Busy,
    #[error("Redis did not answer within {}", milliseconds(.0))]
    Late(Duration),
    /// It is there, and would not: it is out of memory, or cannot write its disk.
    #[error("Redis refused: {0}")]
    Refused(String),
    #[error("the connection to Redis was lost: {0}")]
    Lost(String),
}

impl CounterError {
    /// The label of this error in the metrics.
    fn kind(&self) -> &'static str {
        match self {
            Self::NotConnected => "not-connected",
            Self::Busy => "busy",
            Self::Late(_) => "late",
            Self::Refused(_) => "refused",
            Self::Lost(_) => "lost",
        }
    }
}

/// What [`Counter::raise`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raised {
    /// The number in Redis afterwards. Higher than what was asked: Redis knows of a change that we do not.
    pub now: Generation,
    /// Whether it grew, and the message went out.
    pub published: bool,
}

/// What whoever follows hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// From here on messages come. What was raised before may be missing in this Redis.
    Connected,
    Message(Revoked),
    /// Messages came faster than they were taken, and some were dropped: look elsewhere for what they said.
    Lagged,
    /// From here on no messages come.
    Disconnected,
}

/// The counters in Redis. Clones share one connection.
#[derive(Clone, Debug)]
pub struct Counter {
    settings: Arc<Settings>,
    link: watch::Receiver<Option<Arc<Link>>>,
    questions: Arc<Semaphore>,
}

impl Counter {
    /// The counters, what is heard, and the task that keeps the connection until `stop`. To be called on a runtime.
    pub fn start(
        settings: Settings,
        stop: CancellationToken,
    ) -> (Self, mpsc::Receiver<Event>, impl Future<Output = ()> + Send + 'static) {
        let settings = Arc::new(settings);
        let (events, heard) = mpsc::channel(EVENTS);
        let (slot, link) = watch::channel(None);
        let counter = Self { settings: Arc::clone(&settings), link, questions: Arc::new(Semaphore::new(QUESTIONS)) };
        (counter, heard, Keeper::new(settings, slot, events, stop).run())
    }

    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.link.borrow().as_ref().is_some_and(|link| !link.is_lost())
    }

    /// Raises one number, and publishes it if it grew.
    ///
    /// # Errors
    /// When it is not known to have happened. Doing it again is harmless.
    pub async fn raise(&self, revoked: &Revoked) -> Result<Raised, CounterError> {
        let raised = self.raise_batch(std::slice::from_ref(revoked)).await?.pop();
        raised.ok_or_else(|| CounterError::Lost("the script answered nothing".to_owned()))
    }

    /// The same for many, in their order, a batch at a time.
    ///
    /// # Errors
    /// At the first batch that failed; those before it are raised.
    pub async fn raise_all(&self, revoked: &[Revoked]) -> Result<Vec<Raised>, CounterError> {
        let mut raised = Vec::with_capacity(revoked.len());
        for batch in revoked.chunks(BATCH) {
            raised.extend(self.raise_batch(batch).await?);
        }
        Ok(raised)
    }

    /// The number in Redis; `None` where there is none that could be ours.
    ///
    /// # Errors
    /// When it is not known.
    pub async fn ask(&self, user: &Username, credential: CredentialName) -> Result<Option<Generation>, CounterError> {
        let key = message::key(&self.settings.prefix, user, credential);
        self.with_link(async |link| link.ask(&key).await).await
    }

    async fn raise_batch(&self, batch: &[Revoked]) -> Result<Vec<Raised>, CounterError> {
        let prefix = &self.settings.prefix;
        let outcomes = self.with_link(async |link| link.raise(prefix, batch).await).await?;
        for (revoked, outcome) in batch.iter().zip(&outcomes) {
            metrics::redis_raise(outcome.as_str());
            if *outcome == Outcome::Replaced {
                let key = message::key(prefix, &revoked.user, revoked.credential);
                tracing::warn!(key, "replaced what stood in Redis and was no generation; find out who writes there");
            }
        }
        Ok(outcomes.into_iter().zip(batch).map(|(outcome, revoked)| outcome.of(revoked.generation)).collect())
    }

    /// Asks over the present connection, which is given up unless the answer proves that it is sound.
    async fn with_link<T>(
        &self,
        question: impl AsyncFnOnce(&Link) -> Result<T, CounterError>,
    ) -> Result<T, CounterError> {
        let answer = self.attempt(question).await;
        if let Err(error) = &answer {
            metrics::redis_error(error.kind());
        }
        answer
    }

    async fn attempt<T>(
        &self,
        question: impl AsyncFnOnce(&Link) -> Result<T, CounterError>,
    ) -> Result<T, CounterError> {
        let patience = self.settings.response_timeout;
        let Ok(Ok(_turn)) = timeout(patience, self.questions.acquire()).await else { return Err(CounterError::Busy) };
        let link = self.link.borrow().clone().filter(|link| !link.is_lost()).ok_or(CounterError::NotConnected)?;
        let error = match timeout(patience, question(&link)).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => error,
            Err(_) => CounterError::Late(patience),
        };
        if !matches!(error, CounterError::Refused(_)) {
            link.lose(error.to_string());
        }
        Err(error)
    }
}

fn milliseconds(duration: &Duration) -> String {
    format!("{} ms", duration.as_millis())
}
