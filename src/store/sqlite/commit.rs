//! The one way to change an account: rows of the change log and what they say, in one transaction.
//!
//! `BEGIN IMMEDIATE` takes the write lock before anything is read, so what a change was checked against still holds
//! when it is written.

use jiff::Timestamp;
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnection, SqliteQueryResult};

use super::{accounts, clients, column, log, tokens};
use crate::account::{CredentialName, DomainName, Fingerprint, Generation, RowNumber, StoredHash, Username};
use crate::store::{Author, Change, Committed, Conflict, NewAccount, Subject};

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
    let mut raised = None;
    for change in changes {
        let raises = change.kind().raises_generation();
        row = log::append(&mut transaction, change, author, now).await?;
        apply(&mut transaction, change, row, now).await?;
        mark(&mut transaction, subject, row, raises).await?;
        raised = raises.then_some(row).or(raised);
    }
    let generation = match subject {
        Subject::Account(user) => accounts::generation(&mut transaction, user).await?,
        Subject::Domain(_) | Subject::Token(_) | Subject::Everyone => None,
    };
    transaction.commit().await?;
    Ok(Committed { row, raised, generation })
}

fn one_subject(changes: &[Change]) -> sqlx::Result<Subject<'_>> {
    match changes {
        [first, others @ ..] if others.iter().all(|other| other.subject() == first.subject()) => Ok(first.subject()),
        _ => Err(sqlx::Error::Protocol("a commit needs changes of one subject".to_owned())),
    }
}

/// Who the row is about knows it as the newest; one that raises, as the generation too.
async fn mark(
    connection: &mut SqliteConnection,
    subject: Subject<'_>,
    row: RowNumber,
    raises: bool,
) -> sqlx::Result<()> {
    let query = match subject {
        Subject::Account(user) => sqlx::query(
            "UPDATE account SET changed = ?1, generation = CASE WHEN ?2 THEN ?1 ELSE generation END \
             WHERE username = ?3",
        )
        .bind(row.0.cast_signed())
        .bind(raises)
        .bind(user.as_str()),
        Subject::Everyone => sqlx::query("UPDATE account SET changed = ?1, generation = ?1").bind(row.0.cast_signed()),
        Subject::Domain(domain) => {
            sqlx::query("UPDATE domain SET changed = ? WHERE name = ?").bind(row.0.cast_signed()).bind(domain.as_str())
        }
        Subject::Token(_) => return Ok(()),
    };
    query.execute(connection).await.map(drop)
}

async fn apply(
    connection: &mut SqliteConnection,
    change: &Change,
    row: RowNumber,
    now: Timestamp,
) -> Result<(), Failure> {
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
        Change::SetPassword { user, hash, fingerprint, expected } => {
            return set_password(connection, user, hash, *fingerprint, *expected, now).await;
        }
        Change::UpgradeHash { user, credential, verified, upgraded, fingerprint, generation } => {
            let hashes = [verified, upgraded];
            return upgrade_hash(connection, user, *credential, hashes, *fingerprint, *generation).await;
        }
        Change::ForgetClient { user, id } => return forget_client(connection, user, *id).await,
        Change::AddToken(token, digest) => {
            return present(tokens::add(connection, token, digest).await?, Conflict::TokenExists);
        }
        Change::RevokeToken { name } => {
            let deleted = sqlx::query("DELETE FROM token WHERE name = ?").bind(name).execute(connection).await?;
            return touched(deleted, Conflict::NoToken);
        }
        // Its whole effect is the generation.
        Change::LogOutEveryone => return Ok(()),
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
            set("UPDATE account SET fields = ? WHERE username = ?").bind(column::json(fields)?)
        }
        Change::Disable { .. } => set("UPDATE account SET enabled = ? WHERE username = ?").bind(false),
        Change::Enable { .. } => set("UPDATE account SET enabled = ? WHERE username = ?").bind(true),
        Change::SetMainPasswordForMail { on, .. } => {
            set("UPDATE account SET main_password_for_mail = ? WHERE username = ?").bind(*on)
        }
        // Its whole effect is the row.
        Change::LogOut { .. } => set("UPDATE account SET username = username WHERE username = ?"),
    };
    touched(query.bind(change.subject().text()).execute(connection).await?, Conflict::NoAccount)
}

fn touched(result: SqliteQueryResult, otherwise: Conflict) -> Result<(), Failure> {
    present(result.rows_affected() != 0, otherwise)
}

fn present(found: bool, otherwise: Conflict) -> Result<(), Failure> {
    if found { Ok(()) } else { Err(otherwise.into()) }
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
        .bind(column::json(&account.fields)?)
        .bind(row.0.cast_signed())
        .execute(&mut *connection)
        .await;
    match inserted {
        Err(sqlx::Error::Database(cause)) if cause.is_foreign_key_violation() => return Err(Conflict::NoDomain.into()),
        result => touched(result?, Conflict::AccountExists)?,
    }
    let query = sqlx::query("INSERT INTO credential (username, number, hash, fingerprint) VALUES (?, 0, ?, ?)");
    let query = query.bind(user).bind(account.hash.as_str());
    query.bind(column::fingerprint_bytes(account.fingerprint)).execute(connection).await?;
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
    fingerprint: Option<Fingerprint>,
    expected: Option<Generation>,
    now: Timestamp,
) -> Result<(), Failure> {
    let current = accounts::generation(connection, user).await?.ok_or(Conflict::NoAccount)?;
    if expected.is_some_and(|expected| expected != current) {
        return Err(Conflict::Moved.into());
    }
    // The same password set again replaces none.
    let query = sqlx::query(
        "UPDATE credential SET hash = ?1, fingerprint = ?2, \
             previous_fingerprint = CASE WHEN fingerprint <> coalesce(?2, x'') THEN fingerprint \
                 ELSE previous_fingerprint END, \
             replaced = CASE WHEN fingerprint <> coalesce(?2, x'') THEN ?3 ELSE replaced END \
         WHERE username = ?4 AND number = 0",
    );
    let query = query
        .bind(hash.as_str())
        .bind(column::fingerprint_bytes(fingerprint))
        .bind(now.as_microsecond())
        .bind(user.as_str());
    touched(query.execute(connection).await?, Conflict::NoAccount)
}

async fn upgrade_hash(
    connection: &mut SqliteConnection,
    user: &Username,
    credential: CredentialName,
    [verified, upgraded]: [&StoredHash; 2],
    fingerprint: Option<Fingerprint>,
    generation: Generation,
) -> Result<(), Failure> {
    let account = accounts::generation(connection, user).await?.ok_or(Conflict::NoAccount)?;
    let query = sqlx::query(
        "UPDATE credential SET hash = ?, fingerprint = coalesce(?, fingerprint) \
         WHERE username = ? AND number = ? AND hash = ? AND coalesce(generation, ?) = ?",
    );
    let query = query
        .bind(upgraded.as_str())
        .bind(column::fingerprint_bytes(fingerprint))
        .bind(user.as_str())
        .bind(column::credential_number(credential))
        .bind(verified.as_str())
        .bind(account.0.cast_signed())
        .bind(generation.0.cast_signed());
    touched(query.execute(connection).await?, Conflict::Moved)
}

async fn forget_client(connection: &mut SqliteConnection, user: &Username, id: u64) -> Result<(), Failure> {
    accounts::generation(connection, user).await?.ok_or(Conflict::NoAccount)?;
    present(clients::forget(connection, user, id).await?, Conflict::NoClient)
}
