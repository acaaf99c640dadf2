//! Dict keys: what Dovecot's plugins keep with us, each dict name a key space of its own.

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;

/// Where a key lives. `priv/…` keys belong to a user, `shared/…` keys to everybody, so their `user` is empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DictKey {
    /// The dict's name, as the client's hello gave it.
    pub dict: String,
    pub user: String,
    /// The whole key, `priv/` or `shared/` included.
    pub key: String,
}

/// One step of a dict transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DictWrite {
    Set {
        key: DictKey,
        value: String,
        expires: Option<Timestamp>,
    },
    Unset {
        key: DictKey,
    },
    /// Adds to a number in one step. A missing key is not created, and nothing of the transaction is kept.
    Increment {
        key: DictKey,
        by: i64,
    },
}

/// What became of a dict transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DictOutcome {
    Committed,
    /// An increment of a key that is not there, to which Dovecot answers `N`; or an unset of one, to which it answers `O`.
    NotFound,
    /// A value to be incremented is not a number, or the sum does not fit.
    NotANumber,
    /// The bounds on keys, values or the total of the key space do not allow it.
    TooMuch,
}

/// Which keys to iterate over.
#[derive(Clone, Debug)]
pub struct DictScan {
    pub dict: String,
    pub user: String,
    /// Keys that begin with it; a trailing `/` is part of it.
    pub prefix: String,
    pub kind: DictScanKind,
    pub order: DictOrder,
    /// 0 is no limit of the client's.
    pub limit: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DictScanKind {
    /// Exactly the prefix as a key.
    Exact,
    /// Only keys directly below: no further `/`.
    Children,
    /// Everything below.
    Recursive,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DictOrder {
    Any,
    ByKey,
    ByValue,
}

/// Bounds on what one key space may hold, from `[dict]` of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DictBounds {
    /// Bytes of one key.
    pub key: usize,
    /// Bytes of one value.
    pub value: usize,
    /// Keys in one dict name, over all users.
    pub keys: u64,
}

/// The dict half of a store.
#[async_trait]
pub trait DictStore {
    /// `None` also for what has expired at `now`.
    async fn dict_value(&self, key: &DictKey, now: Timestamp) -> Result<Option<String>, StoreError>;
    /// Keys and values that have not expired at `now`.
    async fn dict_scan(&self, scan: &DictScan, now: Timestamp) -> Result<Vec<(String, String)>, StoreError>;
    /// All of it or nothing; only [`DictOutcome::Committed`] and an unset of nothing have written.
    async fn dict_commit(
        &self,
        writes: &[DictWrite],
        bounds: DictBounds,
        now: Timestamp,
    ) -> Result<DictOutcome, StoreError>;
}
