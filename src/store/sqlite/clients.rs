//! Clients of an account, one row each.

use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection, Row as _};

use super::{SqliteStore, column};
use crate::account::Username;
use crate::store::StoreError;
use crate::store::client::{Client, ClientStore, Sighting};

#[async_trait]
impl ClientStore for SqliteStore {
    async fn clients(&self, user: &Username) -> Result<Vec<Client>, StoreError> {
        let mut lease = self.reader("read the account's clients").await?;
        let clients = newest(&mut lease, user).await;
        lease.end(clients)
    }

    async fn record_client(&self, sighting: &Sighting) -> Result<Option<Client>, StoreError> {
        let mut lease = self.writer("record the client").await?;
        let recorded = record(&mut lease, sighting, self.options.clients_kept).await;
        lease.end(recorded)
    }
}

async fn record(connection: &mut SqliteConnection, sighting: &Sighting, kept: u32) -> sqlx::Result<Option<Client>> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let client = note(&mut transaction, sighting, kept).await?;
    transaction.commit().await?;
    Ok(client)
}

/// Part of the caller's transaction.
pub(super) async fn note(
    connection: &mut SqliteConnection,
    sighting: &Sighting,
    kept: u32,
) -> sqlx::Result<Option<Client>> {
    let row = sqlx::query(
        "INSERT INTO client (username, kind, credential, origin, user_agent, session, first_seen, last_seen, logins) \
         SELECT username, ?2, ?3, ?4, ?5, ?6, ?7, ?7, 1 FROM account WHERE username = ?1 \
         ON CONFLICT (username, kind, coalesce(credential, -1), origin, coalesce(user_agent, '')) DO UPDATE SET \
             session = coalesce(excluded.session, session), \
             first_seen = min(first_seen, excluded.first_seen), \
             last_seen = max(last_seen, excluded.last_seen), \
             logins = logins + (excluded.session IS NULL OR excluded.session IS NOT session) \
         RETURNING *",
    )
    .bind(sighting.user.as_str())
    .bind(&sighting.kind)
    .bind(sighting.credential.map(column::credential_number))
    .bind(&sighting.origin)
    .bind(&sighting.user_agent)
    .bind(&sighting.session)
    .bind(sighting.at.as_microsecond())
    .fetch_optional(&mut *connection)
    .await?;
    let Some(client) = row.as_ref().map(client).transpose()? else { return Ok(None) };
    // Only a client that is new can be one too many.
    if client.logins == 1 {
        sqlx::query(
            "DELETE FROM client WHERE id IN \
             (SELECT id FROM client WHERE username = ? ORDER BY last_seen DESC, id DESC LIMIT -1 OFFSET ?)",
        )
        .bind(sighting.user.as_str())
        .bind(kept)
        .execute(connection)
        .await?;
    }
    Ok(Some(client))
}

async fn newest(connection: &mut SqliteConnection, user: &Username) -> sqlx::Result<Vec<Client>> {
    let query = sqlx::query("SELECT * FROM client WHERE username = ? ORDER BY last_seen DESC, id DESC");
    query.bind(user.as_str()).fetch_all(connection).await?.iter().map(client).collect()
}

/// Part of the caller's transaction. Whether the account had such a client.
pub(super) async fn forget(connection: &mut SqliteConnection, user: &Username, id: u64) -> sqlx::Result<bool> {
    let query = sqlx::query("DELETE FROM client WHERE username = ? AND id = ?");
    let deleted = query.bind(user.as_str()).bind(id.cast_signed()).execute(connection).await?;
    Ok(deleted.rows_affected() != 0)
}

fn client(row: &SqliteRow) -> sqlx::Result<Client> {
    Ok(Client {
        id: row.try_get::<i64, _>("id")?.cast_unsigned(),
        kind: row.try_get("kind")?,
        credential: row.try_get::<Option<i64>, _>("credential")?.map(column::credential_name),
        origin: row.try_get("origin")?,
        user_agent: row.try_get("user_agent")?,
        session: row.try_get("session")?,
        first_seen: column::timestamp(row, "first_seen")?,
        last_seen: column::timestamp(row, "last_seen")?,
        logins: row.try_get::<i64, _>("logins")?.cast_unsigned(),
    })
}
