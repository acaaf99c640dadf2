//! Opening: who may use the file, whether this gatepost understands it, and the migrations that bring it up to date.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::SqlSafeStr;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};

use super::{SqliteOptions, SqliteStore};

/// Forward only: what is here has been run somewhere and never changes again.
const MIGRATIONS: [(i64, &str, &str); 3] = [
    (1, "accounts", include_str!("../migrations/sqlite/0001_accounts.sql")),
    (2, "dict", include_str!("../migrations/sqlite/0002_dict.sql")),
    (3, "clients", include_str!("../migrations/sqlite/0003_clients.sql")),
];

/// The first connection makes the write-ahead log, which on a busy disk takes longer than a login may wait.
const OPENING_PATIENCE: Duration = Duration::from_secs(30);

/// Left over of the write-ahead log on disk once it has been copied into the database.
const JOURNAL_SIZE_LIMIT: u32 = 64 << 20;

/// Why a database file cannot be this daemon's store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot open the store {}: held by {}; stop it, or set `[store] path`", path.display(), holder(*pid))]
    Held { path: PathBuf, pid: Option<u32> },
    #[error("cannot open the store {}: made by a newer gatepost (schema {version}); run that one", path.display())]
    Newer { path: PathBuf, version: i64 },
    #[error("cannot {doing} {}: {cause}; check owner, mode and free space, or set `[store] path`", path.display())]
    File { doing: &'static str, path: PathBuf, cause: io::Error },
    #[error("cannot open the store {}: {cause}", path.display())]
    Database { path: PathBuf, cause: sqlx::Error },
    #[error("cannot bring the store {} up to date: {cause}", path.display())]
    Migration { path: PathBuf, cause: Box<MigrateError> },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another gatepost".to_owned(), |pid| format!("pid {pid}"))
}

impl SqliteStore {
    /// Opens the database at `path`, or makes it: mode 0600, in a directory of mode 0711 if that is made too.
    ///
    /// # Errors
    /// If another daemon has it, if a newer gatepost made it, or if it cannot be read and written now.
    pub async fn open(path: &Path, options: &SqliteOptions) -> Result<Self, OpenError> {
        let path = create(path)?;
        let lock = lock(&path)?;
        let connect = connect_options(&path, options.patience);
        let database = |cause| OpenError::Database { path: path.clone(), cause };
        let opener = pool(1, OPENING_PATIENCE).connect_with(connect.clone()).await.map_err(database)?;
        migrate(&opener, &path).await?;
        let writer = pool(1, options.patience).connect_with(connect.clone()).await.map_err(database)?;
        let readers = pool(options.readers, options.patience).connect_with(connect).await.map_err(database)?;
        opener.close().await;
        let identity =
            identity(&path).map_err(|cause| OpenError::File { doing: "look at", path: path.clone(), cause })?;
        Ok(Self { path, identity, readers, writer, options: *options, _lock: lock })
    }
}

/// Device and inode: what makes a file at a path the same one.
pub(super) fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Returns the path without symbolic links, so that two names of one file have one lock.
fn create(path: &Path) -> Result<PathBuf, OpenError> {
    let failed = |doing, path: &Path| {
        let path = path.to_owned();
        move |cause| OpenError::File { doing, path, cause }
    };
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // Whoever may use a socket below it must get past; the store's own files are nobody else's to read.
    DirBuilder::new()
        .recursive(true)
        .mode(0o711)
        .create(directory)
        .map_err(failed("create the store's directory", directory))?;
    // SQLite would open a file that may only be read, and leave journals beside it that may only be read too.
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(failed("open the store", path))?;
    // A new name must be on disk before anything in the file counts as kept.
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(failed("sync the store's directory", directory))?;
    path.canonicalize().map_err(failed("find the store", path))
}

/// The lock file stays behind when the daemon ends: removing it would let two daemons lock two files of one name.
fn lock(path: &Path) -> Result<File, OpenError> {
    let mut lock_path = path.as_os_str().to_owned();
    lock_path.push(".lock");
    let lock_path = PathBuf::from(lock_path);
    let failed = |cause| OpenError::File { doing: "lock", path: lock_path.clone(), cause };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&lock_path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(OpenError::Held { path: path.to_owned(), pid: pid_in(&file) }),
        Err(TryLockError::Error(cause)) => return Err(failed(cause)),
    }
    // Only for the message above, so a full disk is no reason to stay away.
    let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(file)
}

fn pid_in(file: &File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn connect_options(path: &Path, patience: Duration) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(patience)
        .pragma("journal_size_limit", JOURNAL_SIZE_LIMIT.to_string())
        .pragma("trusted_schema", "OFF")
}

/// Connections stay for good; one that fails is closed where it failed, so none needs a test before its use.
fn pool(size: u32, patience: Duration) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .min_connections(size)
        .max_connections(size)
        .acquire_timeout(patience)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

async fn migrate(writer: &SqlitePool, path: &Path) -> Result<(), OpenError> {
    let migrations = MIGRATIONS.map(|(version, description, sql)| {
        Migration::new(version, description.into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(migrations.into()).run(writer).await.map_err(|cause| match cause {
        MigrateError::VersionMissing(version) => OpenError::Newer { path: path.to_owned(), version },
        cause => OpenError::Migration { path: path.to_owned(), cause: Box::new(cause) },
    })
}
