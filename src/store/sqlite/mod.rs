//! SQLite: the store of one node, in one file, for one daemon.
//!
//! One connection writes; a few others read, each read one statement and so of one moment. A write is on disk
//! (write-ahead log, `synchronous=FULL`) before it is acknowledged. A connection that met an error is closed and the
//! next one opened anew, so that nothing has to be restarted when the disk has room or the lock is gone.
//!
//! Trusts: nobody's text; every value is bound, none is written into SQL.
//! Fails:  within twice [`SqliteOptions::patience`] when the file is locked; at once when it is full, unreadable,
//!         replaced or gone. A commit whose caller goes away is rolled back unless it had reached the disk.
//! Limits: one writer at a time; logging everyone out keeps it for half a second with 200,000 accounts (measured).
//!         A disk that neither answers nor fails is waited for.

mod accounts;
mod clients;
mod column;
mod commit;
mod delivery;
mod dict;
mod file;
mod log;
mod logins;
mod open;
mod tokens;

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{Sqlite, SqliteConnection, SqlitePool};

use super::{
    AccountPage, Author, Change, CommitError, Committed, Domain, LoginEntry, LoginRecord, Sighting, Store, StoreError,
};
use crate::account::{Account, CredentialName, DomainName, Fingerprint, Generation, Username};
use crate::telemetry::metrics;
use commit::Failure;
use file::DatabaseFile;

pub use open::OpenError;

/// What an operator may want different.
#[derive(Clone, Copy, Debug)]
pub struct SqliteOptions {
    /// Connections that read.
    pub readers: u32,
    /// How long to wait for a free connection, and again for a lock of another process.
    pub patience: Duration,
    /// Login attempts kept of each account: the newest.
    pub logins_kept: u32,
    /// Clients kept of each account: those seen last.
    pub clients_kept: u32,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { readers: 4, patience: Duration::from_secs(1), logins_kept: 100, clients_kept: 100 }
    }
}

/// An open database. Dropping it lets the next daemon in.
#[derive(Debug)]
pub struct SqliteStore {
    file: DatabaseFile,
    readers: SqlitePool,
    writer: SqlitePool,
    options: SqliteOptions,
}

impl SqliteStore {
    async fn reader(&self, doing: &'static str) -> Result<Lease, StoreError> {
        self.lease(&self.readers, doing).await
    }

    async fn writer(&self, doing: &'static str) -> Result<Lease, StoreError> {
        self.lease(&self.writer, doing).await
    }

    async fn lease(&self, pool: &SqlitePool, doing: &'static str) -> Result<Lease, StoreError> {
        self.file.require_usable().map_err(|cause| failure(doing, cause))?;
        match pool.acquire().await {
            Ok(connection) => Ok(Lease { connection, doing }),
            Err(cause) => Err(failure(doing, cause)),
        }
    }
}

fn failure(doing: &'static str, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    metrics::store_error();
    StoreError { doing, cause: cause.into() }
}

/// A connection for one errand.
struct Lease {
    connection: PoolConnection<Sqlite>,
    doing: &'static str,
}

impl Lease {
    /// Gives the connection back, or closes it if it may be the reason for the error.
    fn end<T>(mut self, result: sqlx::Result<T>) -> Result<T, StoreError> {
        result.map_err(|cause| {
            self.connection.close_on_drop();
            failure(self.doing, cause)
        })
    }
}

impl Deref for Lease {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.connection
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn domains(&self) -> Result<Vec<Domain>, StoreError> {
        let mut lease = self.reader("list the domains").await?;
        let domains = accounts::domains(&mut lease).await;
        lease.end(domains)
    }

    async fn domain(&self, name: &DomainName) -> Result<Option<Domain>, StoreError> {
        let mut lease = self.reader("read the domain").await?;
        let domain = accounts::domain(&mut lease, name).await;
        lease.end(domain)
    }

    async fn account(&self, user: &Username) -> Result<Option<Account>, StoreError> {
        let mut lease = self.reader("read the account").await?;
        let account = accounts::account(&mut lease, user).await;
        lease.end(account)
    }

    async fn accounts(&self, page: &AccountPage) -> Result<Vec<Account>, StoreError> {
        let mut lease = self.reader("list the accounts").await?;
        let accounts = accounts::accounts(&mut lease, page).await;
        lease.end(accounts)
    }

    async fn login_record(&self, user: &Username) -> Result<Option<LoginRecord>, StoreError> {
        let mut lease = self.reader("read the account's passwords").await?;
        let record = accounts::login_record(&mut lease, user).await;
        lease.end(record)
    }

    async fn generation(&self, user: &Username) -> Result<Option<Generation>, StoreError> {
        let mut lease = self.reader("read the account's generation").await?;
        let generation = accounts::generation(&mut lease, user).await;
        lease.end(generation)
    }

    async fn commit(&self, changes: &[Change], author: &Author, now: Timestamp) -> Result<Committed, CommitError> {
        let mut lease = self.writer("commit the change").await?;
        match commit::commit(&mut lease, changes, author, now).await {
            Ok(committed) => {
                changes.iter().for_each(|change| metrics::change(change.kind().as_str()));
                Ok(committed)
            }
            Err(Failure::Conflict(conflict)) => Err(conflict.into()),
            Err(Failure::Database(cause)) => Ok(lease.end(Err(cause))?),
        }
    }

    async fn remember_fingerprint(
        &self,
        user: &Username,
        credential: CredentialName,
        generation: Generation,
        fingerprint: Fingerprint,
    ) -> Result<(), StoreError> {
        let mut lease = self.writer("take down the password's fingerprint").await?;
        let remembered = accounts::remember(&mut lease, user, credential, generation, fingerprint).await;
        lease.end(remembered)
    }

    async fn record_logins(&self, logins: &[LoginEntry], clients: &[Sighting]) -> Result<(), StoreError> {
        let mut lease = self.writer("record the logins").await?;
        let recorded = logins::record(&mut lease, logins, clients, &self.options).await;
        lease.end(recorded)
    }

    async fn logins(&self, user: &Username, limit: u32) -> Result<Vec<LoginEntry>, StoreError> {
        let mut lease = self.reader("read the account's logins").await?;
        let logins = logins::newest(&mut lease, user, limit).await;
        lease.end(logins)
    }

    async fn check(&self) -> Result<(), StoreError> {
        let mut lease = self.writer("write to the store").await?;
        let written = sqlx::query("UPDATE probe SET written = written + 1").execute(&mut *lease).await.map(drop);
        lease.end(written)
    }

    /// The last connection to close copies the write-ahead log into the database.
    async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}
