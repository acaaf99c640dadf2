//! The one way to change an account: rows of the change log and what they say, in one transaction.
//!
//! `BEGIN IMMEDIATE` takes the write lock before anything is read, so what a change was checked against still holds
//! when it is written.

use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnection, SqliteQueryResult, SqliteRow};
use sqlx::{Connection, Row as _};

use super::{accounts, column};
use crate::account::{CredentialName, DomainName, Generation, StoredHash, Username};
use crate::store::{Author, Change, ChangeKind, Committed, Conflict, Door, NewAccount, Row, RowNumber};

/// Why nothing was committed.
pub(super) enum Failure {
    Conflict(Conflict),
    Database(sqlx::Error),
}

impl From<Conflict> for Failure {
    fn from(conflict: Conflict) -> Self {
        Self::Conflict(conflict)
    }
}

impl From<sqlx::Error> for Failure {
    fn from(cause: sqlx::Error) -> Self {
        Self::Database(cause)
    }
}

pub(super) async fn commit(
    connection: &mut SqliteConnection,
    changes: &[Change],
    author: &Author,
    now: Timestamp,
) -> Result<Committed, Failure> {
    let subject = one_subject(changes)?;
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let mut row = RowNumber(0);
    for change in changes {
        row = append(&mut transaction, change, author, now).await?;
        apply(&mut transaction, change, row).await?;
        if change.kind().raises_generation() {
            raise(&mut transaction, subject, row).await?;
        }
    }
    let query = sqlx::query("SELECT generation FROM account WHERE username = ?").bind(subject);
    let generation = query.fetch_optional(&mut *transaction).await?;
    let generation = generation.map(|row| column::generation(&row, "generation")).transpose()?;
    transaction.commit().await?;
    Ok(Committed { row, generation })
}

fn one_subject(changes: &[Change]) -> sqlx::Result<&str> {
    match changes {
        [first, others @ ..] if others.iter().all(|other| other.subject() == first.subject()) => Ok(first.subject()),
        _ => Err(sqlx::Error::Protocol("a commit needs changes of one subject".to_owned())),
    }
}

async fn append(
    connection: &mut SqliteConnection,
    change: &Change,
    author: &Author,
    now: Timestamp,
) -> sqlx::Result<RowNumber> {
    let query = sqlx::query(
        "INSERT INTO change_log (subject, credential, kind, who, door, origin, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
    );
    let inserted = query
        .bind(change.subject())
        .bind(change.credential().map(column::credential_number))
        .bind(change.kind().as_str())
        .bind(&author.who)
        .bind(author.door.as_str())
        .bind(author.origin.map(|origin| origin.to_string()))
        .bind(now.as_microsecond())
        .execute(connection)
        .await?;
    Ok(RowNumber(inserted.last_insert_rowid().cast_unsigned()))
}

async fn raise(connection: &mut SqliteConnection, subject: &str, row: RowNumber) -> sqlx::Result<()> {
    let query = sqlx::query("UPDATE account SET generation = ? WHERE username = ?");
    query.bind(row.0.cast_signed()).bind(subject).execute(connection).await.map(drop)
}

async fn apply(connection: &mut SqliteConnection, change: &Change, row: RowNumber) -> Result<(), Failure> {
    let set = |sql: &'static str| sqlx::query(sql);
    let query = match change {
        Change::AddDomain { domain, profile, default_quota } => {
            return add_domain(connection, domain, profile, *default_quota).await;
        }
        Change::SetDomain { domain, profile, default_quota } => {
            return set_domain(connection, domain, profile.as_deref(), *default_quota).await;
        }
        Change::RemoveDomain { domain } => return remove_domain(connection, domain).await,
        Change::AddAccount(account) => return add_account(connection, account, row).await,
        Change::RemoveAccount { user } => return remove_account(connection, user).await,
        Change::SetPassword { user, hash, expected } => {
            return set_password(connection, user, hash, *expected).await;
        }
        Change::UpgradeHash { user, credential, verified, upgraded, generation } => {
            return upgrade_hash(connection, user, *credential, [verified, upgraded], *generation).await;
        }
        Change::SetName { name, .. } => set("UPDATE account SET name = ?, name_folded = ? WHERE username = ?")
            .bind(name)
            .bind(name.as_deref().map(str::to_lowercase)),
        Change::SetQuota { quota, .. } => {
            set("UPDATE account SET quota = ? WHERE username = ?").bind(quota.map(u64::cast_signed))
        }
        Change::SetType { account_type, .. } => {
            set("UPDATE account SET account_type = ? WHERE username = ?").bind(column::account_type_text(*account_type))
        }
        Change::SetFields { fields, .. } => {
            set("UPDATE account SET fields = ? WHERE username = ?").bind(column::fields_text(fields)?)
        }
        Change::Disable { .. } => set("UPDATE account SET enabled = ? WHERE username = ?").bind(false),
        Change::Enable { .. } => set("UPDATE account SET enabled = ? WHERE username = ?").bind(true),
        Change::SetMainPasswordForMail { on, .. } => {
            set("UPDATE account SET main_password_for_mail = ? WHERE username = ?").bind(*on)
        }
        // Its whole effect is the row.
        Change::LogOut { .. } => set("UPDATE account SET username = username WHERE username = ?"),
    };
    touched(query.bind(change.subject()).execute(connection).await?, Conflict::NoAccount)
}

fn touched(result: SqliteQueryResult, otherwise: Conflict) -> Result<(), Failure> {
    if result.rows_affected() == 0 { Err(otherwise.into()) } else { Ok(()) }
}

async fn add_domain(
    connection: &mut SqliteConnection,
    domain: &DomainName,
    profile: &str,
    default_quota: Option<u64>,
) -> Result<(), Failure> {
    let query =
        sqlx::query("INSERT INTO domain (name, profile, default_quota) VALUES (?, ?, ?) ON CONFLICT DO NOTHING");
    let query = query.bind(domain.as_str()).bind(profile).bind(default_quota.map(u64::cast_signed));
    touched(query.execute(connection).await?, Conflict::DomainExists)
}

async fn set_domain(
    connection: &mut SqliteConnection,
    domain: &DomainName,
    profile: Option<&str>,
    default_quota: Option<Option<u64>>,
) -> Result<(), Failure> {
    let query = sqlx::query(
        "UPDATE domain SET profile = coalesce(?, profile), \
             default_quota = CASE WHEN ? THEN ? ELSE default_quota END WHERE name = ?",
    );
    let query = query
        .bind(profile)
        .bind(default_quota.is_some())
        .bind(default_quota.flatten().map(u64::cast_signed))
        .bind(domain.as_str());
    touched(query.execute(connection).await?, Conflict::NoDomain)
}

async fn remove_domain(connection: &mut SqliteConnection, domain: &DomainName) -> Result<(), Failure> {
    match sqlx::query("DELETE FROM domain WHERE name = ?").bind(domain.as_str()).execute(connection).await {
        Err(sqlx::Error::Database(cause)) if cause.is_foreign_key_violation() => Err(Conflict::DomainInUse.into()),
        result => touched(result?, Conflict::NoDomain),
    }
}

async fn add_account(connection: &mut SqliteConnection, account: &NewAccount, row: RowNumber) -> Result<(), Failure> {
    let user = account.username.as_str();
    let query = sqlx::query(
        "INSERT INTO account (username, domain, name, name_folded, quota, enabled, account_type, \
             main_password_for_mail, fields, generation) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    );
    let inserted = query
        .bind(user)
        .bind(String::from(account.username.domain()))
        .bind(&account.name)
        .bind(account.name.as_deref().map(str::to_lowercase))
        .bind(account.quota.map(u64::cast_signed))
        .bind(account.enabled)
        .bind(column::account_type_text(account.account_type))
        .bind(account.main_password_for_mail)
        .bind(column::fields_text(&account.fields)?)
        .bind(row.0.cast_signed())
        .execute(&mut *connection)
        .await;
    match inserted {
        Err(sqlx::Error::Database(cause)) if cause.is_foreign_key_violation() => return Err(Conflict::NoDomain.into()),
        result => touched(result?, Conflict::AccountExists)?,
    }
    let query = sqlx::query("INSERT INTO credential (username, number, hash) VALUES (?, 0, ?)");
    query.bind(user).bind(account.hash.as_str()).execute(connection).await?;
    Ok(())
}

/// Where Dovecot's last_login plugin keeps what it knows of a user, unless it is configured otherwise: nobody's key.
const LAST_LOGIN: &str = "shared/last-login/";

/// Credentials and logins go with the account; dict keys know their user only as text.
async fn remove_account(connection: &mut SqliteConnection, user: &Username) -> Result<(), Failure> {
    let query = sqlx::query("DELETE FROM account WHERE username = ?").bind(user.as_str());
    touched(query.execute(&mut *connection).await?, Conflict::NoAccount)?;
    sqlx::query("DELETE FROM dict_key WHERE user = ?").bind(user.as_str()).execute(&mut *connection).await?;
    let query =
        sqlx::query("DELETE FROM dict_key WHERE dict IN (SELECT dict FROM dict_size) AND user = '' AND key = ?");
    query.bind(format!("{LAST_LOGIN}{user}").into_bytes()).execute(connection).await?;
    Ok(())
}

async fn set_password(
    connection: &mut SqliteConnection,
    user: &Username,
    hash: &StoredHash,
    expected: Option<Generation>,
) -> Result<(), Failure> {
    let current = accounts::generation(connection, user).await?.ok_or(Conflict::NoAccount)?;
    if expected.is_some_and(|expected| expected != current) {
        return Err(Conflict::Moved.into());
    }
    let query = sqlx::query("UPDATE credential SET hash = ? WHERE username = ? AND number = 0");
    touched(query.bind(hash.as_str()).bind(user.as_str()).execute(connection).await?, Conflict::NoAccount)
}

async fn upgrade_hash(
    connection: &mut SqliteConnection,
    user: &Username,
    credential: CredentialName,
    [verified, upgraded]: [&StoredHash; 2],
    generation: Generation,
) -> Result<(), Failure> {
    let account = accounts::generation(connection, user).await?.ok_or(Conflict::NoAccount)?;
    let query = sqlx::query(
        "UPDATE credential SET hash = ? \
         WHERE username = ? AND number = ? AND hash = ? AND coalesce(generation, ?) = ?",
    );
    let query = query
        .bind(upgraded.as_str())
        .bind(user.as_str())
        .bind(column::credential_number(credential))
        .bind(verified.as_str())
        .bind(account.0.cast_signed())
        .bind(generation.0.cast_signed());
    touched(query.execute(connection).await?, Conflict::Moved)
}

pub(super) async fn rows_since(
    connection: &mut SqliteConnection,
    after: RowNumber,
    limit: u32,
) -> sqlx::Result<Vec<Row>> {
    let query = sqlx::query("SELECT * FROM change_log WHERE number > ? ORDER BY number LIMIT ?");
    query.bind(after.0.cast_signed()).bind(limit).fetch_all(connection).await?.iter().map(row).collect()
}

fn row(row: &SqliteRow) -> sqlx::Result<Row> {
    let unknown = |column| move || column::undecodable(column, "written by a newer gatepost");
    Ok(Row {
        number: RowNumber(row.try_get::<i64, _>("number")?.cast_unsigned()),
        subject: row.try_get("subject")?,
        credential: row.try_get::<Option<i64>, _>("credential")?.map(column::credential_name),
        kind: ChangeKind::parse(row.try_get("kind")?).ok_or_else(unknown("kind"))?,
        who: row.try_get("who")?,
        door: Door::parse(row.try_get("door")?).ok_or_else(unknown("door"))?,
        origin: row.try_get("origin")?,
        at: column::timestamp(row, "at")?,
    })
}
