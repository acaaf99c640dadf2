//! Opening: whether this gatepost understands the database, and the migrations that bring it up to date.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::SqlSafeStr;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};

use super::file::DatabaseFile;
use super::{SqliteOptions, SqliteStore};

/// Forward only: what is here has been run somewhere and never changes again.
const MIGRATIONS: [(i64, &str, &str); 4] = [
    (1, "accounts", include_str!("../migrations/sqlite/0001_accounts.sql")),
    (2, "dict", include_str!("../migrations/sqlite/0002_dict.sql")),
    (3, "clients", include_str!("../migrations/sqlite/0003_clients.sql")),
    (4, "delivery", include_str!("../migrations/sqlite/0004_delivery.sql")),
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
        let file = DatabaseFile::open(path)?;
        let connect = connect_options(file.path(), options.patience);
        let database = |cause| OpenError::Database { path: file.path().to_owned(), cause };
        let opener = pool(1, OPENING_PATIENCE).connect_with(connect.clone()).await.map_err(database)?;
        migrate(&opener, file.path()).await?;
        let writer = pool(1, options.patience).connect_with(connect.clone()).await.map_err(database)?;
        let readers = pool(options.readers, options.patience).connect_with(connect).await.map_err(database)?;
        opener.close().await;
        Ok(Self { file, readers, writer, options: *options })
    }
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
