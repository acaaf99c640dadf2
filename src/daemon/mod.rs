//! Daemon: build, wait, drain with a deadline. The only file that knows all the others.
//!
//! Fails:  at start with one error that says what to do; afterwards it stays up, and what is missing is told to each
//!         peer as "not now".

mod doors;
mod fingerprint_key;
mod notify;
mod signals;

use std::io;
use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::authenticate::cache::{self, Cache};
use crate::authenticate::{Authenticator, Needs};
use crate::change_password::ChangePassword;
use crate::config::{Config, ConfigError, Live};
use crate::hash_pool::HashPool;
use crate::listen::{self, Inherited, ListenError};
use crate::outbox::{Errands, Outbox};
use crate::revocation::counter::{self, Mirror};
use crate::revocation::{Revocation, Sharing};
use crate::serve::Gate;
use crate::serve::waiting::Waiting;
use crate::sessions::kick::{KickError, Kicker};
use crate::sessions::{self, history};
use crate::store::Store;
use crate::store::sqlite::{OpenError, SqliteOptions, SqliteStore};
use crate::telemetry::logging::Logging;
use crate::throttle::Throttle;
use crate::web::Web;
use doors::Doors;
use fingerprint_key::KeyError;
use signals::{Request, Signals};

/// Connections have so long to tell their clients what is decided.
const DRAIN: Duration = Duration::from_millis(3_200);
/// Login entries have so long to reach the store after that, and the store to close.
const LAST_WRITES: Duration = Duration::from_millis(1_300);
/// Whatever still runs then is given so long to notice.
const LAST_TASKS: Duration = Duration::from_millis(100);

/// With a start of its own a restart stays under five seconds, whoever does not read and whatever holds the store.
const _: () = assert!(DRAIN.as_millis() + LAST_WRITES.as_millis() + LAST_TASKS.as_millis() <= 4_600);

/// Why the daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Store(#[from] OpenError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    FingerprintKey(#[from] KeyError),
    #[error(transparent)]
    Dovecot(#[from] KickError),
    #[error("cannot {doing}: {cause}")]
    System { doing: &'static str, cause: io::Error },
}

/// Serves until it is told to stop. `file` is read again on HUP.
///
/// # Errors
/// When it cannot start.
pub fn run(config: Config, file: Option<PathBuf>, logging: Logging) -> Result<(), StartError> {
    forbid_cores().map_err(|cause| StartError::System { doing: "forbid core files", cause })?;
    let inherited = Inherited::from_environment();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|cause| StartError::System { doing: "start the runtime", cause })?;
    let outcome = runtime.block_on(serve(config, file, &logging, inherited));
    runtime.shutdown_timeout(LAST_TASKS);
    outcome
}

async fn serve(
    config: Config,
    file: Option<PathBuf>,
    logging: &Logging,
    inherited: Inherited,
) -> Result<(), StartError> {
    let mut signals = Signals::install().map_err(|cause| StartError::System { doing: "handle signals", cause })?;
    let (live, current) = watch::channel(Arc::new(config.live.clone()));
    let throttle = Arc::new(Throttle::new(config.live.throttle.clone(), Instant::now()));
    let (stop, stop_last) = (CancellationToken::new(), CancellationToken::new());
    let Parts { doors, entries, revocation, outbox, mirror } =
        build(&config, Arc::clone(&throttle), current, &stop_last).await?;
    if let Err(error) = listen::raise_open_files_limit() {
        tracing::warn!(%error, "cannot raise the limit of open files; connections above it wait");
    }
    let listeners = listen::bind_all(&config.fixed.listeners, inherited)?;

    let (accepting, connections) = (TaskTracker::new(), TaskTracker::new());
    let writer = tokio::spawn(entries.run(stop_last.clone()));
    for listener in listeners {
        accepting.spawn(doors.clone().accept(listener, connections.clone(), stop.clone()));
    }
    // Changes that are still made while the doors close are delivered too.
    tokio::spawn(outbox.run(stop_last.clone()));
    if let Some(mirror) = mirror {
        tokio::spawn(mirror.run(Arc::clone(&revocation)));
    }
    let stop_following = stop.clone();
    tokio::spawn(async move { revocation.follow(stop_following).await });
    tokio::spawn(notify::watchdog());
    notify::ready();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "ready");

    loop {
        match signals.next().await {
            Request::Stop => break,
            Request::Reload => reload(&config, file.as_deref(), &live, &throttle, logging),
        }
    }

    notify::stopping();
    tracing::info!("stopping");
    stop.cancel();
    accepting.close();
    connections.close();
    let drained = tokio::time::timeout(DRAIN, async { tokio::join!(accepting.wait(), connections.wait()) }).await;
    stop_last.cancel();
    let last_writes = async {
        let written = writer.await;
        doors.gate.store.close().await;
        written
    };
    let written = tokio::time::timeout(LAST_WRITES, last_writes).await;
    tracing::info!(connections_finished = drained.is_ok(), entries_written = written.is_ok(), "stopped");
    Ok(())
}

/// What is to be run.
struct Parts {
    doors: Doors,
    entries: history::Writer,
    revocation: Arc<Revocation>,
    outbox: Outbox,
    /// `None` without Redis.
    mirror: Option<Mirror>,
}

/// Joins the parts. Nothing runs yet but the hash threads.
async fn build(
    config: &Config,
    throttle: Arc<Throttle>,
    live: watch::Receiver<Arc<Live>>,
    stop_last: &CancellationToken,
) -> Result<Parts, StartError> {
    // The store makes its directory for nobody else, and in the default the sockets are below it.
    listen::make_directories(&config.fixed.listeners)?;
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&config.fixed.store_path, &SqliteOptions::default()).await?);
    let fingerprint_key = Arc::new(fingerprint_key::load_or_make(&config.fixed.fingerprint_key())?);
    let pool = HashPool::start(config.fixed.hash.clone())
        .map_err(|cause| StartError::System { doing: "start the hash threads", cause })?;
    let pool = Arc::new(pool);
    let (history, entries) = history::history(Arc::clone(&store));
    let revocation = Revocation::new(Arc::clone(&store), Sharing::Sole);
    let (revocation, counter, mirror) = match config.fixed.redis.clone() {
        Some(redis) => {
            let (counters, mirror) = counter::mirror(redis, Arc::clone(&store), stop_last.clone());
            let counter = counters.counter();
            (revocation.with_counters(counters), Some(counter), Some(mirror))
        }
        None => (revocation, None, None),
    };
    let revocation = Arc::new(revocation);
    let mut cache_key = [0; cache::KEY_LENGTH];
    getrandom::fill(&mut cache_key)
        .map_err(|error| StartError::System { doing: "draw the cache's key", cause: error.into() })?;
    let authenticator = Arc::new(Authenticator::new(Needs {
        store: Arc::clone(&store),
        revocation: Arc::clone(&revocation),
        cache: Cache::new(&config.fixed.cache, cache_key),
        pool: Arc::clone(&pool),
        throttle,
        history,
        live: live.clone(),
        fingerprint_key: Arc::clone(&fingerprint_key),
    }));
    let change_password = ChangePassword::new(
        Arc::clone(&store),
        Arc::clone(&revocation),
        Arc::clone(&authenticator),
        pool,
        live.clone(),
        config.fixed.hash.ceilings,
        fingerprint_key,
    );
    let web = Web::new(
        Arc::clone(&store),
        Arc::clone(&revocation),
        Arc::clone(&authenticator),
        change_password.clone(),
        live.clone(),
    );
    let claims = Arc::new(sessions::live::Live::new(Instant::now()));
    let kickers = config.fixed.dovecots.iter().cloned().map(|dovecot| Kicker::new(dovecot).map(Arc::new));
    let outbox = Outbox::new(Errands {
        store: Arc::clone(&store),
        revocation: Arc::clone(&revocation),
        counter,
        kickers: kickers.collect::<Result<_, _>>()?,
        claims: Arc::clone(&claims),
    });
    let gate = Arc::new(Gate {
        authenticator,
        change_password,
        store,
        revocation: Arc::clone(&revocation),
        waiting: Arc::new(Waiting::default()),
        claims,
        live,
        server_pid: process::id(),
        connections: AtomicU32::new(1),
    });
    Ok(Parts { doors: Doors { gate, web }, entries, revocation, outbox, mirror })
}

/// A core would hold the passwords of whoever is logging in.
fn forbid_cores() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Takes over what may change while the daemon runs; a bad file changes nothing.
fn reload(
    started_with: &Config,
    file: Option<&std::path::Path>,
    live: &watch::Sender<Arc<Live>>,
    throttle: &Throttle,
    logging: &Logging,
) {
    notify::reloading();
    match Config::load(file) {
        Ok(config) => {
            let differences = started_with.fixed.differences(&config.fixed);
            if !differences.is_empty() {
                tracing::warn!(settings = differences.join(", "), "these settings take effect only after a restart");
            }
            logging.set_level(config.live.log_level);
            throttle.reconfigure(config.live.throttle.clone());
            live.send_replace(Arc::new(config.live));
            tracing::info!("configuration read again");
        }
        Err(error) => tracing::error!(%error, "configuration not taken over; the old one stays in force"),
    }
    notify::ready();
}
