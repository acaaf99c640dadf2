//! Attempts to log in, the newest of each account. What an account that is gone did is not kept.

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection, Row as _};

use super::{SqliteOptions, clients, column};
use crate::account::Username;
use crate::store::{LoginEntry, LoginOutcome, Sighting};

pub(super) async fn record(
    connection: &mut SqliteConnection,
    logins: &[LoginEntry],
    sightings: &[Sighting],
    options: &SqliteOptions,
) -> sqlx::Result<()> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for entry in logins {
        sqlx::query(
            "INSERT INTO login (username, at, outcome, credential, service, origin, session) \
             SELECT username, ?, ?, ?, ?, ?, ? FROM account WHERE username = ?",
        )
        .bind(entry.at.as_microsecond())
        .bind(outcome_text(entry.outcome))
        .bind(entry.credential.map(column::credential_number))
        .bind(&entry.service)
        .bind(&entry.origin)
        .bind(&entry.session)
        .bind(entry.user.as_str())
        .execute(&mut *transaction)
        .await?;
        sqlx::query(
            "DELETE FROM login WHERE username = ?1 AND number <= \
             (SELECT number FROM login WHERE username = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)",
        )
        .bind(entry.user.as_str())
        .bind(options.logins_kept)
        .execute(&mut *transaction)
        .await?;
    }
    for sighting in sightings {
        clients::note(&mut transaction, sighting, options.clients_kept).await?;
    }
    transaction.commit().await
}

pub(super) async fn newest(
    connection: &mut SqliteConnection,
    user: &Username,
    limit: u32,
) -> sqlx::Result<Vec<LoginEntry>> {
    let query = sqlx::query("SELECT * FROM login WHERE username = ? ORDER BY number DESC LIMIT ?");
    query.bind(user.as_str()).bind(limit).fetch_all(connection).await?.iter().map(entry).collect()
}

fn entry(row: &SqliteRow) -> sqlx::Result<LoginEntry> {
    Ok(LoginEntry {
        user: column::parsed(row, "username")?,
        at: column::timestamp(row, "at")?,
        outcome: outcome(row, "outcome")?,
        credential: row.try_get::<Option<i64>, _>("credential")?.map(column::credential_name),
        service: row.try_get("service")?,
        origin: row.try_get("origin")?,
        session: row.try_get("session")?,
    })
}

fn outcome_text(outcome: LoginOutcome) -> &'static str {
    match outcome {
        LoginOutcome::Accepted => "accepted",
        LoginOutcome::Refused => "refused",
        LoginOutcome::PreviousPassword => "previous-password",
    }
}

fn outcome(row: &SqliteRow, column: &str) -> sqlx::Result<LoginOutcome> {
    match row.try_get(column)? {
        "accepted" => Ok(LoginOutcome::Accepted),
        "refused" => Ok(LoginOutcome::Refused),
        "previous-password" => Ok(LoginOutcome::PreviousPassword),
        _ => Err(column::undecodable(column, "unknown outcome")),
    }
}
