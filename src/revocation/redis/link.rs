//! One connection to one server, from its greeting to the first sign that it cannot be relied on.

use std::sync::{Arc, LazyLock, OnceLock};

use ::redis::aio::MultiplexedConnection;
use ::redis::io::tcp::TcpSettings;
use ::redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, ProtocolVersion, PushInfo, PushKind, RedisError,
    Script, TlsCertificates, Value, cmd,
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::inbox::Inbox;
use super::{Address, CounterError, Login, Raised, Revoked, Settings, Tls, message};
use crate::account::Generation;

static RAISE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("raise.lua")));

/// What a server says when it is not, or not yet, or no longer, the one to ask. The connection is of no use then; after
/// anything else it is, and so would be the next.
const NOT_THE_ONE: [&str; 4] = ["READONLY", "LOADING", "MASTERDOWN", "NOAUTH"];
/// Characters of a server's text that are passed on.
const TEXT_LIMIT: usize = 200;

/// Why there is no connection, and what to do.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error("no server is named; set `[redis] addresses` or `sentinels`")]
    NoAddress,
    #[error(
        "cannot reach {address}: {cause}; start Redis there, or correct `addresses`, `sentinels` or `tls` of [redis]"
    )]
    Unreachable { address: Address, cause: String },
    #[error("{address} did not greet us within `[redis] connect_timeout`; it hangs, or is too far away")]
    Late { address: Address },
    #[error("{address} does not let us in: {cause}; correct `username` and `password` of [redis], or what they may do")]
    Refused { address: Address, cause: String },
    #[error("{address} is no master; name the master in `[redis] addresses`, or set `sentinels` and `master`")]
    NotMaster { address: Address },
    #[error("Sentinel at {address} knows no master called {master:?}; correct `[redis] master`")]
    UnknownMaster { address: Address, master: String },
}

/// A connection that is open and subscribed.
#[derive(Debug)]
pub(super) struct Link {
    connection: MultiplexedConnection,
    address: Address,
    /// Whose word it was that this is the master.
    sentinel: Option<Address>,
    fate: Arc<Fate>,
}

/// Whether a connection can still be relied on, and if not, why.
#[derive(Debug, Default)]
struct Fate {
    lost: CancellationToken,
    why: OnceLock<String>,
}

/// What the script did with one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was this high already.
    Kept(Generation),
    Raised,
    /// Something stood there that is no number.
    Replaced,
}

impl Outcome {
    pub(super) fn of(self, asked: Generation) -> Raised {
        match self {
            Self::Kept(now) => Raised { now, published: false },
            Self::Raised | Self::Replaced => Raised { now: asked, published: true },
        }
    }

    /// The label of this outcome in the metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Kept(_) => "kept",
            Self::Raised => "raised",
            Self::Replaced => "replaced",
        }
    }
}

impl Link {
    pub(super) async fn open(address: &Address, settings: &Settings, inbox: Arc<Inbox>) -> Result<Self, OpenError> {
        let fate = Arc::new(Fate::default());
        let ended = Arc::clone(&fate);
        let config = AsyncConnectionConfig::new().set_push_sender(move |push: PushInfo| {
            if push.kind == PushKind::Disconnection {
                ended.lose("it was closed".to_owned());
            }
            inbox.take(&push);
            Ok::<(), ()>(())
        });
        let greeting = async {
            let connection =
                connect(address, &settings.login, settings.database, settings.tls.as_ref(), config).await?;
            let mut link = Self { connection, address: address.clone(), sentinel: None, fate };
            let ready = async {
                RAISE.load_async(&mut link.connection).await?;
                link.connection.subscribe(message::channel(&settings.prefix)).await?;
                link.is_master().await
            };
            match ready.await {
                Ok(true) => Ok(link),
                Ok(false) => Err(OpenError::NotMaster { address: address.clone() }),
                Err(error) => Err(open_error(address, &error)),
            }
        };
        timeout(settings.connect_timeout, greeting)
            .await
            .unwrap_or_else(|_| Err(OpenError::Late { address: address.clone() }))
    }

    pub(super) fn named_by(mut self, sentinel: Address) -> Self {
        self.sentinel = Some(sentinel);
        self
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    pub(super) fn sentinel(&self) -> Option<&Address> {
        self.sentinel.as_ref()
    }

    /// Raises each counter to its number at least, in one run of the script.
    pub(super) async fn raise(&self, prefix: &str, batch: &[Revoked]) -> Result<Vec<Outcome>, CounterError> {
        let mut call = RAISE.prepare_invoke();
        call.arg(message::channel(prefix));
        for revoked in batch {
            call.key(message::key(prefix, &revoked.user, revoked.credential))
                .arg(revoked.generation.0)
                .arg(revoked.to_json());
        }
        let answers: Vec<(Vec<u8>, String)> =
            call.invoke_async(&mut self.connection.clone()).await.map_err(|error| judge(&error))?;
        let outcomes: Option<Vec<_>> = answers
            .iter()
            .map(|(held, done)| match done.as_str() {
                "kept" => message::generation(held).map(Outcome::Kept),
                "raised" => Some(Outcome::Raised),
                "replaced" => Some(Outcome::Replaced),
                _ => None,
            })
            .collect();
        outcomes
            .filter(|outcomes| outcomes.len() == batch.len())
            .ok_or_else(|| CounterError::Lost("the script answered what it cannot".to_owned()))
    }

    /// The number in `key`, as a master knows it.
    pub(super) async fn ask(&self, key: &str) -> Result<Option<Generation>, CounterError> {
        let mut connection = self.connection.clone();
        let question = cmd("GET").arg(key).to_owned();
        let held = question.query_async::<Option<Vec<u8>>>(&mut connection);
        let (is_master, held) = tokio::try_join!(self.is_master(), held).map_err(|error| judge(&error))?;
        if !is_master {
            return Err(CounterError::Lost("it is no longer a master".to_owned()));
        }
        Ok(held.and_then(|held| message::generation(&held)))
    }

    /// Whether the server is there, and still the one that decides.
    pub(super) async fn check(&self) -> Result<(), CounterError> {
        match self.is_master().await {
            Ok(true) => Ok(()),
            Ok(false) => Err(CounterError::Lost("it is no longer a master".to_owned())),
            Err(error) => Err(judge(&error)),
        }
    }

    pub(super) fn lose(&self, why: String) {
        self.fate.lose(why);
    }

    pub(super) fn is_lost(&self) -> bool {
        self.fate.lost.is_cancelled()
    }

    /// Waits until it is lost, and says why.
    pub(super) async fn lost(&self) -> &str {
        self.fate.lost.cancelled().await;
        self.fate.why.get().map_or("", String::as_str)
    }

    /// ROLE (Redis 2.8.12 and later) instead of PING, for it also tells a master from one that was demoted.
    async fn is_master(&self) -> Result<bool, RedisError> {
        let role: Value = cmd("ROLE").query_async(&mut self.connection.clone()).await?;
        let Value::Array(role) = role else { return Ok(false) };
        Ok(matches!(role.first(), Some(Value::BulkString(role)) if role == b"master"))
    }
}

impl Fate {
    fn lose(&self, why: String) {
        // Whoever is first knows best.
        let _ = self.why.set(why);
        self.lost.cancel();
    }
}

/// Connects and logs in. The waiting for answers is bounded by whoever asks.
pub(super) async fn connect(
    address: &Address,
    login: &Login,
    database: u32,
    tls: Option<&Tls>,
    config: AsyncConnectionConfig,
) -> Result<MultiplexedConnection, OpenError> {
    let (server, tls) = match (address, tls) {
        (Address::Unix(path), _) => (ConnectionAddr::Unix(path.clone()), None),
        (Address::Tcp { host, port }, None) => (ConnectionAddr::Tcp(host.clone(), *port), None),
        (Address::Tcp { host, port }, Some(tls)) => {
            let (host, port) = (host.clone(), *port);
            (ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }, Some(tls))
        }
    };
    let open = async {
        let info = server.into_connection_info()?.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        let mut greeting = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        greeting = greeting.set_db(database.into()).set_lib_name("gatepost", env!("CARGO_PKG_VERSION"));
        if let Some(username) = &login.username {
            greeting = greeting.set_username(username);
        }
        if let Some(password) = &login.password {
            greeting = greeting.set_password(password.expose());
        }
        let config = config.set_connection_timeout(None).set_response_timeout(None);
        let info = info.set_redis_settings(greeting);
        let client = match tls {
            Some(Tls { authorities }) => {
                let certificates = TlsCertificates { client_tls: None, root_cert: authorities.clone() };
                Client::build_with_tls(info, certificates)?
            }
            None => Client::open(info)?,
        };
        client.get_multiplexed_async_connection_with_config(&config).await
    };
    open.await.map_err(|error| open_error(address, &error))
}

/// What an error says of the server that gave it.
pub(super) fn judge(error: &RedisError) -> CounterError {
    match error.code() {
        Some(code) if !NOT_THE_ONE.contains(&code) => CounterError::Refused(text_of(error)),
        _ => CounterError::Lost(text_of(error)),
    }
}

pub(super) fn open_error(address: &Address, error: &RedisError) -> OpenError {
    let (address, cause) = (address.clone(), text_of(error));
    if error.is_io_error() { OpenError::Unreachable { address, cause } } else { OpenError::Refused { address, cause } }
}

/// One line, and no longer than a line.
fn text_of(error: &RedisError) -> String {
    let text = match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        _ => error.to_string(),
    };
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).take(TEXT_LIMIT).collect()
}
