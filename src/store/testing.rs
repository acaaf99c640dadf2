//! A store for tests of races: it stops, or fails, at the points where one is wanted, and counts how often it was asked.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::dict::{DictBounds, DictKey, DictOutcome, DictScan, DictStore, DictWrite};
use super::sqlite::SqliteStore;
use super::*;

/// Where a test may step in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Point {
    /// The account with its passwords has been read, and is about to be returned.
    LoginRecordRead,
    /// The account is about to be read.
    AccountAsked,
    /// A change is about to be committed.
    Committing,
    /// It is committed, and whoever asked for it does not know yet.
    Committed,
    /// The log is about to be read.
    LogAsked,
    /// How far changes have come is about to be written.
    Settling,
}

/// SQLite, with a hand on it.
#[derive(Debug)]
pub(crate) struct StagedStore {
    store: SqliteStore,
    stage: Mutex<Stage>,
    _directory: TempDir,
}

#[derive(Debug, Default)]
struct Stage {
    passed: HashMap<Point, usize>,
    /// In the order in which they were written.
    settled: Vec<RowNumber>,
    next: HashMap<Point, Step>,
}

#[derive(Debug)]
enum Step {
    Stop { reached: oneshot::Sender<()>, go_on: oneshot::Receiver<()> },
    Fail,
}

/// The next one to come to a point, who waits there until this is dropped.
#[derive(Debug)]
pub(crate) struct Stopped {
    reached: oneshot::Receiver<()>,
    _go_on: oneshot::Sender<()>,
}

impl Stopped {
    /// Waits until somebody has come to the point.
    pub(crate) async fn reached(&mut self) {
        (&mut self.reached).await.expect("the store is there");
    }
}

impl StagedStore {
    pub(crate) async fn new() -> Arc<Self> {
        let directory = tempfile::tempdir().expect("a directory");
        let file: &Path = &directory.path().join("gatepost.db");
        let store = SqliteStore::open(file, &Default::default()).await.expect("a new store");
        Arc::new(Self { store, stage: Mutex::default(), _directory: directory })
    }

    /// Stops the next one that comes there.
    pub(crate) fn stop(&self, point: Point) -> Stopped {
        let ((reached, is_reached), (go_on, may_go_on)) = (oneshot::channel(), oneshot::channel());
        self.stage().next.insert(point, Step::Stop { reached, go_on: may_go_on });
        Stopped { reached: is_reached, _go_on: go_on }
    }

    /// Fails the next one that comes there.
    pub(crate) fn fail(&self, point: Point) {
        self.stage().next.insert(point, Step::Fail);
    }

    /// How many have come there so far.
    pub(crate) fn passed(&self, point: Point) -> usize {
        self.stage().passed.get(&point).copied().unwrap_or(0)
    }

    /// The rows of which it was written how far they have come, each as often as it was.
    pub(crate) fn settled(&self) -> Vec<RowNumber> {
        self.stage().settled.clone()
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().expect("not poisoned")
    }

    async fn pass(&self, point: Point) -> Result<(), StoreError> {
        let next = {
            let mut stage = self.stage();
            *stage.passed.entry(point).or_default() += 1;
            stage.next.remove(&point)
        };
        match next {
            None => Ok(()),
            Some(Step::Fail) => Err(StoreError { doing: "do what a test fails", cause: "as it was told".into() }),
            Some(Step::Stop { reached, go_on }) => {
                // The test has gone on, or has ended.
                let _ = reached.send(());
                let _ = go_on.await;
                Ok(())
            }
        }
    }
}

#[async_trait]
impl Store for StagedStore {
    async fn domains(&self) -> Result<Vec<Domain>, StoreError> {
        self.store.domains().await
    }

    async fn domain(&self, name: &DomainName) -> Result<Option<Domain>, StoreError> {
        self.store.domain(name).await
    }

    async fn account(&self, user: &Username) -> Result<Option<Account>, StoreError> {
        self.pass(Point::AccountAsked).await?;
        self.store.account(user).await
    }

    async fn accounts(&self, page: &AccountPage) -> Result<Vec<Account>, StoreError> {
        self.store.accounts(page).await
    }

    async fn login_record(&self, user: &Username) -> Result<Option<LoginRecord>, StoreError> {
        let record = self.store.login_record(user).await;
        self.pass(Point::LoginRecordRead).await?;
        record
    }

    async fn generation(&self, user: &Username) -> Result<Option<Generation>, StoreError> {
        self.store.generation(user).await
    }

    async fn commit(&self, changes: &[Change], author: &Author, now: Timestamp) -> Result<Committed, CommitError> {
        self.pass(Point::Committing).await?;
        let committed = self.store.commit(changes, author, now).await;
        self.pass(Point::Committed).await?;
        committed
    }

    async fn remember_fingerprint(
        &self,
        user: &Username,
        credential: CredentialName,
        generation: Generation,
        fingerprint: Fingerprint,
    ) -> Result<(), StoreError> {
        self.store.remember_fingerprint(user, credential, generation, fingerprint).await
    }

    async fn record_logins(&self, logins: &[LoginEntry], clients: &[Sighting]) -> Result<(), StoreError> {
        self.store.record_logins(logins, clients).await
    }

    async fn logins(&self, user: &Username, limit: u32) -> Result<Vec<LoginEntry>, StoreError> {
        self.store.logins(user, limit).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.store.check().await
    }

    async fn close(&self) {
        self.store.close().await;
    }
}

#[async_trait]
impl LogStore for StagedStore {
    async fn changes_since(&self, after: RowNumber, limit: u32) -> Result<Vec<Row>, StoreError> {
        self.pass(Point::LogAsked).await?;
        self.store.changes_since(after, limit).await
    }

    async fn audit(&self, filter: &AuditFilter) -> Result<Vec<Row>, StoreError> {
        self.store.audit(filter).await
    }

    async fn newest_row(&self) -> Result<RowNumber, StoreError> {
        self.store.newest_row().await
    }

    async fn advance_past(&self, number: RowNumber) -> Result<(), StoreError> {
        self.store.advance_past(number).await
    }
}

#[async_trait]
impl DeliveryStore for StagedStore {
    async fn delivery(&self, row: RowNumber) -> Result<Option<Delivery>, StoreError> {
        self.store.delivery(row).await
    }

    async fn undelivered(&self, after: RowNumber, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        self.store.undelivered(after, limit).await
    }

    async fn settle(&self, deliveries: &[Delivery]) -> Result<(), StoreError> {
        self.pass(Point::Settling).await?;
        self.stage().settled.extend(deliveries.iter().map(|delivery| delivery.row.number));
        self.store.settle(deliveries).await
    }

    async fn raised_since(&self, since: Timestamp, after: &str, subjects: u32) -> Result<Vec<Raised>, StoreError> {
        self.store.raised_since(since, after, subjects).await
    }
}

#[async_trait]
impl TokenStore for StagedStore {
    async fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        self.store.tokens().await
    }

    async fn token(&self, digest: &TokenDigest) -> Result<Option<Token>, StoreError> {
        self.store.token(digest).await
    }
}

#[async_trait]
impl ClientStore for StagedStore {
    async fn clients(&self, user: &Username) -> Result<Vec<Client>, StoreError> {
        self.store.clients(user).await
    }

    async fn record_client(&self, sighting: &Sighting) -> Result<Option<Client>, StoreError> {
        self.store.record_client(sighting).await
    }
}

#[async_trait]
impl DictStore for StagedStore {
    async fn dict_value(&self, key: &DictKey, now: Timestamp) -> Result<Option<String>, StoreError> {
        self.store.dict_value(key, now).await
    }

    async fn dict_scan(&self, scan: &DictScan, now: Timestamp) -> Result<Vec<(String, String)>, StoreError> {
        self.store.dict_scan(scan, now).await
    }

    async fn dict_commit(
        &self,
        writes: &[DictWrite],
        bounds: DictBounds,
        now: Timestamp,
    ) -> Result<DictOutcome, StoreError> {
        self.store.dict_commit(writes, bounds, now).await
    }
}
