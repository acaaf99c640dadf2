//! Dict keys on SQLite. A key space is a range of the primary key, so a prefix is a range too, in byte order.
//!
//! Expired keys are gone for every reader at once, and from the file little by little: each commit clears some.
//!
//! Limits: a scan of more than [`SCAN_ROWS`] rows or [`SCAN_BYTES`] bytes is an error, never a shorter answer.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::sqlite::{Sqlite, SqliteConnection, SqliteRow};
use sqlx::{Connection, QueryBuilder, Row as _};

use super::{SqliteStore, column};
use crate::store::StoreError;
use crate::store::dict::{DictBounds, DictKey, DictOrder, DictOutcome, DictScan, DictScanKind, DictStore, DictWrite};

/// Most rows of one scan.
const SCAN_ROWS: usize = 100_000;
/// Most bytes of one scan, keys and values together.
const SCAN_BYTES: usize = 16 << 20;
/// Most expired keys that one commit clears.
const CLEARED: u32 = 100;

#[async_trait]
impl DictStore for SqliteStore {
    async fn dict_value(&self, key: &DictKey, now: Timestamp) -> Result<Option<String>, StoreError> {
        let mut lease = self.reader("look up the dict key").await?;
        let value = value(&mut lease, key, now).await;
        lease.end(value)
    }

    async fn dict_scan(&self, scan: &DictScan, now: Timestamp) -> Result<Vec<(String, String)>, StoreError> {
        let mut lease = self.reader("iterate over the dict keys").await?;
        let rows = rows(&mut lease, scan, now).await;
        lease.end(rows)?.ok_or_else(|| StoreError {
            doing: "iterate over the dict keys",
            cause: format!("more than {SCAN_ROWS} rows or {SCAN_BYTES} bytes; ask for a longer prefix or a limit")
                .into(),
        })
    }

    async fn dict_commit(
        &self,
        writes: &[DictWrite],
        bounds: DictBounds,
        now: Timestamp,
    ) -> Result<DictOutcome, StoreError> {
        let mut lease = self.writer("commit the dict transaction").await?;
        let outcome = commit(&mut lease, writes, bounds, now).await;
        lease.end(outcome)
    }
}

async fn value(connection: &mut SqliteConnection, key: &DictKey, now: Timestamp) -> sqlx::Result<Option<String>> {
    let query = sqlx::query(
        "SELECT value FROM dict_key \
         WHERE dict = ? AND user = ? AND key = ? AND (expires IS NULL OR expires > ?)",
    );
    let row = query
        .bind(&key.dict)
        .bind(&key.user)
        .bind(key.key.as_bytes())
        .bind(now.as_microsecond())
        .fetch_optional(connection)
        .await?;
    row.map(|row| text(row.try_get("value")?, "value")).transpose()
}

fn text(bytes: Vec<u8>, column: &str) -> sqlx::Result<String> {
    String::from_utf8(bytes).map_err(|cause| column::undecodable(column, cause))
}

/// `None` if the answer would be out of bounds: it is measured first, in the same snapshot.
async fn rows(
    connection: &mut SqliteConnection,
    scan: &DictScan,
    now: Timestamp,
) -> sqlx::Result<Option<Vec<(String, String)>>> {
    let mut snapshot = connection.begin().await?;
    let mut measure = QueryBuilder::new("SELECT count(*), coalesce(sum(length(key) + length(value)), 0) FROM (");
    select(&mut measure, scan, now);
    let (count, bytes): (i64, i64) = measure.push(")").build_query_as().fetch_one(&mut *snapshot).await?;
    let fits = |measured: i64, bound| usize::try_from(measured).is_ok_and(|measured| measured <= bound);
    if !fits(count, SCAN_ROWS) || !fits(bytes, SCAN_BYTES) {
        return Ok(None);
    }
    let mut query = QueryBuilder::default();
    select(&mut query, scan, now);
    let rows = query.build().fetch_all(&mut *snapshot).await?;
    let pair = |row: &SqliteRow| Ok((text(row.try_get("key")?, "key")?, text(row.try_get("value")?, "value")?));
    rows.iter().map(pair).collect::<sqlx::Result<_>>().map(Some)
}

fn select(query: &mut QueryBuilder<Sqlite>, scan: &DictScan, now: Timestamp) {
    let prefix = scan.prefix.as_bytes();
    query.push("SELECT key, value FROM dict_key WHERE dict = ").push_bind(scan.dict.clone());
    query.push(" AND user = ").push_bind(scan.user.clone());
    query.push(" AND (expires IS NULL OR expires > ").push_bind(now.as_microsecond()).push(")");
    match scan.kind {
        DictScanKind::Exact => {
            query.push(" AND key = ").push_bind(prefix.to_vec());
        }
        DictScanKind::Children | DictScanKind::Recursive => {
            query.push(" AND key >= ").push_bind(prefix.to_vec());
            query.push(" AND key < ").push_bind(end_of_range(prefix));
        }
    }
    if scan.kind == DictScanKind::Children {
        let below = i64::try_from(prefix.len()).unwrap_or(i64::MAX).saturating_add(1);
        query.push(" AND instr(substr(key, ").push_bind(below).push("), x'2f') = 0");
    }
    match scan.order {
        DictOrder::Any => {}
        DictOrder::ByKey => {
            query.push(" ORDER BY key");
        }
        DictOrder::ByValue => {
            query.push(" ORDER BY value, key");
        }
    }
    // One row more than is allowed is enough to know that it is too much.
    let bound = SCAN_ROWS as u64 + 1;
    let limit = if scan.limit == 0 { bound } else { scan.limit.min(bound) };
    query.push(" LIMIT ").push_bind(limit.cast_signed());
}

/// The first bytes beyond everything that begins with `prefix`. No byte of UTF-8 is 0xff.
fn end_of_range(prefix: &[u8]) -> Vec<u8> {
    match prefix {
        [] => vec![0xff],
        [start @ .., last] => [start, &[last.saturating_add(1)]].concat(),
    }
}

async fn commit(
    connection: &mut SqliteConnection,
    writes: &[DictWrite],
    bounds: DictBounds,
    now: Timestamp,
) -> sqlx::Result<DictOutcome> {
    let too_long = |write: &DictWrite| match write {
        DictWrite::Set { key, value, .. } => key.key.len() > bounds.key || value.len() > bounds.value,
        DictWrite::Unset { .. } | DictWrite::Increment { .. } => false,
    };
    if writes.iter().any(too_long) {
        return Ok(DictOutcome::TooMuch);
    }
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    clear_some_expired(&mut transaction, now).await?;
    let sizes = sizes(&mut transaction, writes).await?;
    let mut outcome = DictOutcome::Committed;
    for write in writes {
        match apply(&mut transaction, write, now).await? {
            DictOutcome::Committed => {}
            DictOutcome::NotFound if matches!(write, DictWrite::Unset { .. }) => outcome = DictOutcome::NotFound,
            refused => return Ok(refused),
        }
    }
    for (dict, before) in sizes {
        if !has_room(&mut transaction, dict, before, bounds.keys, now).await? {
            return Ok(DictOutcome::TooMuch);
        }
    }
    transaction.commit().await?;
    Ok(outcome)
}

async fn clear_some_expired(connection: &mut SqliteConnection, now: Timestamp) -> sqlx::Result<()> {
    let query = sqlx::query(
        "DELETE FROM dict_key WHERE (dict, user, key) IN \
         (SELECT dict, user, key FROM dict_key WHERE expires <= ? LIMIT ?)",
    );
    query.bind(now.as_microsecond()).bind(CLEARED).execute(connection).await.map(drop)
}

/// How many keys each dict name has that is written to.
async fn sizes<'w>(connection: &mut SqliteConnection, writes: &'w [DictWrite]) -> sqlx::Result<BTreeMap<&'w str, i64>> {
    let mut sizes = BTreeMap::new();
    for write in writes {
        let (DictWrite::Set { key, .. } | DictWrite::Unset { key } | DictWrite::Increment { key, .. }) = write;
        if !sizes.contains_key(key.dict.as_str()) {
            sizes.insert(key.dict.as_str(), size(connection, &key.dict).await?);
        }
    }
    Ok(sizes)
}

async fn size(connection: &mut SqliteConnection, dict: &str) -> sqlx::Result<i64> {
    let query = sqlx::query_scalar("SELECT keys FROM dict_size WHERE dict = ?").bind(dict);
    Ok(query.fetch_optional(connection).await?.unwrap_or(0))
}

/// A dict name that is over the bound already, since the bound was lowered, may still change what it has.
async fn has_room(
    connection: &mut SqliteConnection,
    dict: &str,
    before: i64,
    bound: u64,
    now: Timestamp,
) -> sqlx::Result<bool> {
    let bound = i64::try_from(bound).unwrap_or(i64::MAX).max(before);
    if size(connection, dict).await? <= bound {
        return Ok(true);
    }
    let query = sqlx::query("DELETE FROM dict_key WHERE dict = ? AND expires <= ?");
    query.bind(dict).bind(now.as_microsecond()).execute(&mut *connection).await?;
    Ok(size(connection, dict).await? <= bound)
}

async fn apply(connection: &mut SqliteConnection, write: &DictWrite, now: Timestamp) -> sqlx::Result<DictOutcome> {
    match write {
        DictWrite::Set { key, value, expires } => set(connection, key, value, *expires).await,
        DictWrite::Unset { key } => unset(connection, key, now).await,
        DictWrite::Increment { key, by } => increment(connection, key, *by, now).await,
    }
}

async fn set(
    connection: &mut SqliteConnection,
    key: &DictKey,
    value: &str,
    expires: Option<Timestamp>,
) -> sqlx::Result<DictOutcome> {
    let query = sqlx::query(
        "INSERT INTO dict_key (dict, user, key, value, expires) VALUES (?, ?, ?, ?, ?) \
         ON CONFLICT (dict, user, key) DO UPDATE SET value = excluded.value, expires = excluded.expires",
    );
    query
        .bind(&key.dict)
        .bind(&key.user)
        .bind(key.key.as_bytes())
        .bind(value.as_bytes())
        .bind(expires.map(Timestamp::as_microsecond))
        .execute(connection)
        .await?;
    Ok(DictOutcome::Committed)
}

async fn unset(connection: &mut SqliteConnection, key: &DictKey, now: Timestamp) -> sqlx::Result<DictOutcome> {
    let query = sqlx::query(
        "DELETE FROM dict_key WHERE dict = ? AND user = ? AND key = ? AND (expires IS NULL OR expires > ?)",
    );
    let deleted = query
        .bind(&key.dict)
        .bind(&key.user)
        .bind(key.key.as_bytes())
        .bind(now.as_microsecond())
        .execute(connection)
        .await?;
    Ok(if deleted.rows_affected() == 0 { DictOutcome::NotFound } else { DictOutcome::Committed })
}

async fn increment(
    connection: &mut SqliteConnection,
    key: &DictKey,
    by: i64,
    now: Timestamp,
) -> sqlx::Result<DictOutcome> {
    let Some(value) = value(connection, key, now).await? else { return Ok(DictOutcome::NotFound) };
    let Some(sum) = value.parse::<i64>().ok().and_then(|value| value.checked_add(by)) else {
        return Ok(DictOutcome::NotANumber);
    };
    let query = sqlx::query("UPDATE dict_key SET value = ? WHERE dict = ? AND user = ? AND key = ?");
    query
        .bind(sum.to_string().into_bytes())
        .bind(&key.dict)
        .bind(&key.user)
        .bind(key.key.as_bytes())
        .execute(connection)
        .await?;
    Ok(DictOutcome::Committed)
}
