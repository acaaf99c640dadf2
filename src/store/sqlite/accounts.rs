//! Domains and accounts. Each function is one statement, so what it returns is of one moment.

use sqlx::sqlite::{Sqlite, SqliteConnection, SqliteRow};
use sqlx::{QueryBuilder, Row as _};

use super::column;
use crate::account::{Account, Credential, CredentialName, DomainName, Fingerprint, Generation, StoredHash, Username};
use crate::store::{AccountPage, Domain, LoginRecord};

pub(super) async fn domains(connection: &mut SqliteConnection) -> sqlx::Result<Vec<Domain>> {
    let rows = sqlx::query("SELECT * FROM domain ORDER BY name").fetch_all(connection).await?;
    rows.iter().map(|row| column::domain(row, ["name", "changed"])).collect()
}

pub(super) async fn domain(connection: &mut SqliteConnection, name: &DomainName) -> sqlx::Result<Option<Domain>> {
    let row = sqlx::query("SELECT * FROM domain WHERE name = ?").bind(name.as_str()).fetch_optional(connection).await?;
    row.map(|row| column::domain(&row, ["name", "changed"])).transpose()
}

pub(super) async fn account(connection: &mut SqliteConnection, user: &Username) -> sqlx::Result<Option<Account>> {
    let query = sqlx::query("SELECT * FROM account WHERE username = ?").bind(user.as_str());
    query.fetch_optional(connection).await?.as_ref().map(column::account).transpose()
}

pub(super) async fn accounts(connection: &mut SqliteConnection, page: &AccountPage) -> sqlx::Result<Vec<Account>> {
    let mut query = QueryBuilder::<Sqlite>::new("SELECT * FROM account WHERE TRUE");
    if let Some(domain) = &page.domain {
        query.push(" AND domain = ").push_bind(domain.as_str());
    }
    if let Some(after) = &page.after {
        query.push(" AND username > ").push_bind(after.as_str());
    }
    if let Some(text) = page.query.as_deref().map(str::to_lowercase) {
        query.push(" AND (instr(username, ").push_bind(text.clone());
        query.push(") OR instr(name_folded, ").push_bind(text).push("))");
    }
    query.push(" ORDER BY username LIMIT ").push_bind(page.limit);
    query.build().fetch_all(connection).await?.iter().map(column::account).collect()
}

pub(super) async fn login_record(
    connection: &mut SqliteConnection,
    user: &Username,
) -> sqlx::Result<Option<LoginRecord>> {
    let rows = sqlx::query(
        "SELECT account.*, domain.profile, domain.default_quota, domain.changed AS domain_changed, \
             credential.number, credential.hash, \
             credential.fingerprint, credential.previous_fingerprint, credential.replaced, \
             coalesce(credential.generation, account.generation) AS credential_generation \
         FROM account \
         JOIN domain ON domain.name = account.domain \
         JOIN credential ON credential.username = account.username \
         WHERE account.username = ? ORDER BY credential.number",
    )
    .bind(user.as_str())
    .fetch_all(connection)
    .await?;
    let Some(first) = rows.first() else { return Ok(None) };
    Ok(Some(LoginRecord {
        account: column::account(first)?,
        domain: column::domain(first, ["domain", "domain_changed"])?,
        credentials: rows.iter().map(credential).collect::<sqlx::Result<_>>()?,
    }))
}

fn credential(row: &SqliteRow) -> sqlx::Result<Credential> {
    Ok(Credential {
        name: column::credential_name(row.try_get("number")?),
        hash: StoredHash::new(row.try_get("hash")?),
        generation: column::generation(row, "credential_generation")?,
        known: column::fingerprints(row)?,
    })
}

pub(super) async fn generation(connection: &mut SqliteConnection, user: &Username) -> sqlx::Result<Option<Generation>> {
    let query = sqlx::query("SELECT generation FROM account WHERE username = ?").bind(user.as_str());
    query.fetch_optional(connection).await?.map(|row| column::generation(&row, "generation")).transpose()
}

/// One made with a key of before gives way to one made with today's.
pub(super) async fn remember(
    connection: &mut SqliteConnection,
    user: &Username,
    credential: CredentialName,
    generation: Generation,
    fingerprint: Fingerprint,
) -> sqlx::Result<()> {
    let query = sqlx::query(
        "UPDATE credential SET fingerprint = ?1 WHERE username = ?2 AND number = ?3 AND fingerprint IS NOT ?1 \
         AND coalesce(generation, (SELECT account.generation FROM account WHERE account.username = ?2)) = ?4",
    );
    let query = query
        .bind(fingerprint.as_bytes().to_vec())
        .bind(user.as_str())
        .bind(column::credential_number(credential))
        .bind(generation.0.cast_signed());
    query.execute(connection).await.map(drop)
}
