//! Daemon: build, wait, drain with a deadline. The only file that knows all the others.
//!
//! Fails:  at start with one error that says what to do; afterwards it stays up, and what is missing is told to each
//!         peer as "not now".

mod notify;
mod signals;

use std::io;
use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use gatepost_protocol::dovecot::master::Role;
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::authenticate::Authenticator;
use crate::change_password::ChangePassword;
use crate::config::{self, Config, ConfigError, Live, Protocol};
use crate::hash_pool::HashPool;
use crate::listen::{self, Connection, Inherited, ListenError, Listener};
use crate::serve::waiting::Waiting;
use crate::serve::{Gate, dovecot_client, dovecot_dict, dovecot_master, postfix};
use crate::sessions::history::history;
use crate::store::Store;
use crate::store::sqlite::{OpenError, SqliteOptions, SqliteStore};
use crate::telemetry::logging::Logging;
use crate::throttle::Throttle;
use crate::web::{Surface, Web};
use signals::{Request, Signals};

/// Connections have so long to tell their clients what is decided; with it a restart stays under five seconds.
const DRAIN: Duration = Duration::from_secs(4);
/// Login entries have so long to reach the store after that.
const LAST_WRITES: Duration = Duration::from_secs(2);

/// Why the daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Store(#[from] OpenError),
    #[error(transparent)]
    Listen(#[from] ListenError),
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
    // Whatever still runs has had its time.
    runtime.shutdown_timeout(Duration::from_millis(100));
    outcome
}

async fn serve(
    config: Config,
    file: Option<PathBuf>,
    logging: &Logging,
    inherited: Inherited,
) -> Result<(), StartError> {
    let mut signals = Signals::install().map_err(|cause| StartError::System { doing: "handle signals", cause })?;
    // The store makes its directory for nobody else, and in the default the sockets are below it.
    listen::make_directories(&config.fixed.listeners)?;
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&config.fixed.store_path, &SqliteOptions::default()).await?);
    let pool = HashPool::start(config.fixed.hash.clone())
        .map_err(|cause| StartError::System { doing: "start the hash threads", cause })?;
    let pool = Arc::new(pool);
    let throttle = Arc::new(Throttle::new(config.live.throttle.clone(), Instant::now()));
    let (history, entries) = history(Arc::clone(&store));
    let (live, current) = watch::channel(Arc::new(config.live.clone()));
    let authenticator =
        Authenticator::new(Arc::clone(&store), Arc::clone(&pool), Arc::clone(&throttle), history, current.clone());
    let authenticator = Arc::new(authenticator);
    let change_password = ChangePassword::new(
        Arc::clone(&store),
        Arc::clone(&authenticator),
        pool,
        current.clone(),
        config.fixed.hash.ceilings,
    );
    let web = Web::new(Arc::clone(&store), Arc::clone(&authenticator), change_password, current.clone());
    let gate = Arc::new(Gate {
        authenticator,
        store,
        waiting: Arc::new(Waiting::default()),
        live: current,
        server_pid: process::id(),
        connections: AtomicU32::new(1),
    });
    if let Err(error) = listen::raise_open_files_limit() {
        tracing::warn!(%error, "cannot raise the limit of open files; connections above it wait");
    }
    let listeners = listen::bind_all(&config.fixed.listeners, inherited)?;

    let (stop, stop_history) = (CancellationToken::new(), CancellationToken::new());
    let (accepting, connections) = (TaskTracker::new(), TaskTracker::new());
    let writer = tokio::spawn(entries.run(stop_history.clone()));
    for listener in listeners {
        accepting.spawn(accept(listener, Arc::clone(&gate), web.clone(), connections.clone(), stop.clone()));
    }
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
    stop_history.cancel();
    let written = tokio::time::timeout(LAST_WRITES, writer).await;
    tracing::info!(connections_finished = drained.is_ok(), entries_written = written.is_ok(), "stopped");
    Ok(())
}

/// A core would hold the passwords of whoever is logging in.
fn forbid_cores() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Accepts until the daemon stops; the socket is closed then, so that nobody waits for a greeting in vain.
async fn accept(listener: Listener, gate: Arc<Gate>, web: Web, connections: TaskTracker, stop: CancellationToken) {
    let open_to_all = listener.mode().is_some_and(|mode| mode.0 & 0o002 != 0);
    let settings = Arc::new(listener.settings().clone());
    loop {
        let connection = tokio::select! {
            connection = listener.accept() => connection,
            () = stop.cancelled() => return,
        };
        let (settings, gate, web, stop) = (Arc::clone(&settings), Arc::clone(&gate), web.clone(), stop.clone());
        connections.spawn(async move {
            let peer = *connection.peer();
            if let Err(error) = serve_connection(connection, &settings, open_to_all, gate, web, stop).await {
                tracing::debug!(listener = settings.name, %peer, %error, "connection ended");
            }
        });
    }
}

/// Which conversation a listener's protocol means.
async fn serve_connection(
    connection: Connection,
    settings: &config::Listener,
    open_to_all: bool,
    gate: Arc<Gate>,
    web: Web,
    stop: CancellationToken,
) -> io::Result<()> {
    let peer = *connection.peer();
    match settings.protocol {
        Protocol::Auth => dovecot_client::serve(connection, peer, dovecot_client::Kind::Auth, gate, stop).await,
        Protocol::Login => dovecot_client::serve(connection, peer, dovecot_client::Kind::Login, gate, stop).await,
        Protocol::Master => dovecot_master::serve(connection, peer, Role::Master, false, gate, stop).await,
        Protocol::Userdb => dovecot_master::serve(connection, peer, Role::Userdb, open_to_all, gate, stop).await,
        Protocol::Dict => dovecot_dict::serve(connection, peer, settings.credentials, gate, stop).await,
        Protocol::Socketmap => postfix::serve(connection, peer, gate, stop).await,
        Protocol::Admin => {
            web.serve(connection, Surface::Admin(peer), stop.cancelled_owned()).await;
            Ok(())
        }
        Protocol::Http => {
            web.serve(connection, Surface::Public(peer), stop.cancelled_owned()).await;
            Ok(())
        }
        Protocol::Status => {
            web.serve_status(connection, stop.cancelled_owned()).await;
            Ok(())
        }
        // The configuration takes no listener of these.
        Protocol::Policy | Protocol::Poppassd => Ok(()),
    }
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
