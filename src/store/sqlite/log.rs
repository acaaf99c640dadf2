//! The change log: appended to by a commit, read by everybody else.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::sqlite::{Sqlite, SqliteConnection, SqliteRow};
use sqlx::{Connection as _, QueryBuilder, Row as _};

use super::{SqliteStore, column, failure};
use crate::account::RowNumber;
use crate::store::log::HIGHEST_TO_PASS;
use crate::store::{AuditFilter, Author, Change, ChangeKind, Door, LogStore, Row, StoreError};

#[async_trait]
impl LogStore for SqliteStore {
    async fn changes_since(&self, after: RowNumber, limit: u32) -> Result<Vec<Row>, StoreError> {
        let mut lease = self.reader("read the change log").await?;
        let rows = rows_since(&mut lease, after, limit).await;
        lease.end(rows)
    }

    async fn audit(&self, filter: &AuditFilter) -> Result<Vec<Row>, StoreError> {
        let mut lease = self.reader("search the change log").await?;
        let rows = filtered(&mut lease, filter).await;
        lease.end(rows)
    }

    async fn newest_row(&self) -> Result<RowNumber, StoreError> {
        let mut lease = self.reader("read the newest row's number").await?;
        let newest = newest(&mut lease).await;
        lease.end(newest)
    }

    async fn advance_past(&self, number: RowNumber) -> Result<(), StoreError> {
        const DOING: &str = "advance the change log's numbers";
        if number > HIGHEST_TO_PASS {
            return Err(failure(DOING, format!("no store has ever given {number}; remove whatever says so")));
        }
        let mut lease = self.writer(DOING).await?;
        let advanced = advance(&mut lease, number).await;
        lease.end(advanced)
    }
}

/// Part of the caller's transaction. A row that raises is open: somebody has to hear of it.
pub(super) async fn append(
    connection: &mut SqliteConnection,
    change: &Change,
    author: &Author,
    now: Timestamp,
) -> sqlx::Result<RowNumber> {
    let query = sqlx::query(
        "INSERT INTO change_log (subject, credential, kind, who, door, origin, at, raises, open) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)",
    );
    let inserted = query
        .bind(change.subject().text())
        .bind(change.credential().map(column::credential_number))
        .bind(change.kind().as_str())
        .bind(&author.who)
        .bind(author.door.as_str())
        .bind(author.origin.map(|origin| origin.to_string()))
        .bind(now.as_microsecond())
        .bind(change.kind().raises_generation())
        .execute(connection)
        .await?;
    Ok(RowNumber(inserted.last_insert_rowid().cast_unsigned()))
}

async fn rows_since(connection: &mut SqliteConnection, after: RowNumber, limit: u32) -> sqlx::Result<Vec<Row>> {
    let query = sqlx::query("SELECT * FROM change_log WHERE number > ? ORDER BY number LIMIT ?");
    query.bind(column::signed(after)).bind(limit).fetch_all(connection).await?.iter().map(row).collect()
}

async fn filtered(connection: &mut SqliteConnection, filter: &AuditFilter) -> sqlx::Result<Vec<Row>> {
    let mut query = QueryBuilder::<Sqlite>::new("SELECT * FROM change_log WHERE TRUE");
    if let Some(user) = &filter.user {
        query.push(" AND subject = ").push_bind(user.as_str());
    }
    if let Some(domain) = &filter.domain {
        // A user's own rows are fewer than the domain's: `+` keeps its index for those.
        query.push(if filter.user.is_some() { " AND +domain = " } else { " AND domain = " });
        query.push_bind(domain.as_str());
    }
    if let Some(kind) = filter.kind {
        query.push(" AND kind = ").push_bind(kind.as_str());
    }
    if let Some(who) = &filter.who {
        query.push(" AND who = ").push_bind(who);
    }
    if let Some(door) = filter.door {
        query.push(" AND door = ").push_bind(door.as_str());
    }
    if let Some(since) = filter.since {
        query.push(" AND at >= ").push_bind(since.as_microsecond());
    }
    if let Some(until) = filter.until {
        query.push(" AND at < ").push_bind(until.as_microsecond());
    }
    if let Some(before) = filter.before {
        query.push(" AND number < ").push_bind(column::signed(before));
    }
    query.push(" ORDER BY number DESC LIMIT ").push_bind(filter.limit);
    query.build().fetch_all(connection).await?.iter().map(row).collect()
}

/// SQLite itself keeps the highest number that an AUTOINCREMENT table has given, from the first row on.
async fn newest(connection: &mut SqliteConnection) -> sqlx::Result<RowNumber> {
    let query = sqlx::query("SELECT seq FROM sqlite_sequence WHERE name = 'change_log'");
    let row = query.fetch_optional(connection).await?;
    row.map_or(Ok(RowNumber(0)), |row| column::row_number(&row, "seq"))
}

async fn advance(connection: &mut SqliteConnection, number: RowNumber) -> sqlx::Result<()> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let query = sqlx::query("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'change_log'");
    let updated = query.bind(column::signed(number)).execute(&mut *transaction).await?;
    if updated.rows_affected() == 0 {
        let query = sqlx::query("INSERT INTO sqlite_sequence (name, seq) VALUES ('change_log', ?)");
        query.bind(column::signed(number)).execute(&mut *transaction).await?;
    }
    transaction.commit().await
}

pub(super) fn row(row: &SqliteRow) -> sqlx::Result<Row> {
    Ok(Row {
        number: column::row_number(row, "number")?,
        subject: row.try_get("subject")?,
        credential: row.try_get::<Option<i64>, _>("credential")?.map(column::credential_name),
        kind: kind(row)?,
        who: row.try_get("who")?,
        door: Door::parse(row.try_get("door")?).ok_or_else(|| unknown("door"))?,
        origin: row.try_get("origin")?,
        at: column::timestamp(row, "at")?,
    })
}

pub(super) fn kind(row: &SqliteRow) -> sqlx::Result<ChangeKind> {
    ChangeKind::parse(row.try_get("kind")?).ok_or_else(|| unknown("kind"))
}

fn unknown(column: &str) -> sqlx::Error {
    column::undecodable(column, "written by a newer gatepost")
}
