//! Reading domains and accounts. Each function is one statement, so what it returns is of one moment.

use sqlx::sqlite::{Sqlite, SqliteConnection, SqliteRow};
use sqlx::{QueryBuilder, Row as _};

use super::column;
use crate::account::{Account, Credential, DomainName, Generation, StoredHash, Username};
use crate::store::{AccountPage, Domain, LoginRecord};

pub(super) async fn domains(connection: &mut SqliteConnection) -> sqlx::Result<Vec<Domain>> {
    let rows = sqlx::query("SELECT * FROM domain ORDER BY name").fetch_all(connection).await?;
    rows.iter().map(|row| column::domain(row, "name")).collect()
}

pub(super) async fn domain(connection: &mut SqliteConnection, name: &DomainName) -> sqlx::Result<Option<Domain>> {
    let row = sqlx::query("SELECT * FROM domain WHERE name = ?").bind(name.as_str()).fetch_optional(connection).await?;
    row.map(|row| column::domain(&row, "name")).transpose()
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
        "SELECT account.*, domain.profile, domain.default_quota, credential.number, credential.hash, \
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
        domain: column::domain(first, "domain")?,
        credentials: rows.iter().map(credential).collect::<sqlx::Result<_>>()?,
    }))
}

fn credential(row: &SqliteRow) -> sqlx::Result<Credential> {
    Ok(Credential {
        name: column::credential_name(row.try_get("number")?),
        hash: StoredHash::new(row.try_get("hash")?),
        generation: column::generation(row, "credential_generation")?,
    })
}

pub(super) async fn generation(connection: &mut SqliteConnection, user: &Username) -> sqlx::Result<Option<Generation>> {
    let query = sqlx::query("SELECT generation FROM account WHERE username = ?").bind(user.as_str());
    query.fetch_optional(connection).await?.map(|row| column::generation(&row, "generation")).transpose()
}
