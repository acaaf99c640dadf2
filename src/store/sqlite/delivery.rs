//! What has become of the rows that raised a generation: columns of the change log.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection as _, Row as _};

use super::{SqliteStore, column, log};
use crate::account::RowNumber;
use crate::store::{Delivery, DeliveryStore, Raised, StoreError};

#[async_trait]
impl DeliveryStore for SqliteStore {
    async fn delivery(&self, row: RowNumber) -> Result<Option<Delivery>, StoreError> {
        let mut lease = self.reader("read the receipt").await?;
        let delivery = one(&mut lease, row).await;
        lease.end(delivery)
    }

    async fn undelivered(&self, after: RowNumber, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        let mut lease = self.reader("read what is still to be delivered").await?;
        let deliveries = open(&mut lease, after, limit).await;
        lease.end(deliveries)
    }

    async fn settle(&self, deliveries: &[Delivery]) -> Result<(), StoreError> {
        let mut lease = self.writer("keep what was delivered").await?;
        let settled = settle(&mut lease, deliveries).await;
        lease.end(settled)
    }

    async fn raised_since(&self, since: Timestamp, after: &str, subjects: u32) -> Result<Vec<Raised>, StoreError> {
        let mut lease = self.reader("read which generations were raised").await?;
        let raised = raised_since(&mut lease, since, after, subjects).await;
        lease.end(raised)
    }
}

async fn one(connection: &mut SqliteConnection, number: RowNumber) -> sqlx::Result<Option<Delivery>> {
    let query = sqlx::query("SELECT * FROM change_log WHERE number = ? AND raises = 1").bind(column::signed(number));
    query.fetch_optional(connection).await?.as_ref().map(delivery).transpose()
}

async fn open(connection: &mut SqliteConnection, after: RowNumber, limit: u32) -> sqlx::Result<Vec<Delivery>> {
    let query = sqlx::query("SELECT * FROM change_log WHERE open = 1 AND number > ? ORDER BY number LIMIT ?");
    query.bind(column::signed(after)).bind(limit).fetch_all(connection).await?.iter().map(delivery).collect()
}

async fn settle(connection: &mut SqliteConnection, deliveries: &[Delivery]) -> sqlx::Result<()> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for delivery in deliveries {
        sqlx::query("UPDATE change_log SET steps = ?, open = ? WHERE number = ? AND raises = 1")
            .bind(column::json(&delivery.steps)?)
            .bind(!delivery.complete)
            .bind(column::signed(delivery.row.number))
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await
}

async fn raised_since(
    connection: &mut SqliteConnection,
    since: Timestamp,
    after: &str,
    subjects: u32,
) -> sqlx::Result<Vec<Raised>> {
    // NULL, the account as a whole, sorts before every number. Beside a max() SQLite takes the other columns from the
    // row that has it.
    let query = sqlx::query(
        "SELECT subject, credential, kind, at, max(number) AS number FROM change_log \
         WHERE raises = 1 AND at >= ?1 AND subject IN (\
             SELECT DISTINCT subject FROM change_log WHERE raises = 1 AND at >= ?1 AND subject > ?2 \
             ORDER BY subject LIMIT ?3) \
         GROUP BY subject, credential ORDER BY subject, credential",
    );
    let rows = query.bind(since.as_microsecond()).bind(after).bind(subjects).fetch_all(connection).await?;
    rows.iter().map(raised).collect()
}

fn delivery(row: &SqliteRow) -> sqlx::Result<Delivery> {
    let attempted = row.try_get::<Option<&str>, _>("steps")?.is_some();
    Ok(Delivery {
        row: log::row(row)?,
        complete: !row.try_get::<bool, _>("open")?,
        steps: if attempted { column::from_json(row, "steps")? } else { Vec::new() },
    })
}

fn raised(row: &SqliteRow) -> sqlx::Result<Raised> {
    Ok(Raised {
        subject: row.try_get("subject")?,
        credential: row.try_get::<Option<i64>, _>("credential")?.map(column::credential_name),
        generation: column::generation(row, "number")?,
        kind: log::kind(row)?,
        at: column::timestamp(row, "at")?,
    })
}
