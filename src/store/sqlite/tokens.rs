//! Tokens, one row each.

use async_trait::async_trait;
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::{SqliteStore, column};
use crate::store::{Role, StoreError, Token, TokenDigest, TokenStore};

#[async_trait]
impl TokenStore for SqliteStore {
    async fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        let mut lease = self.reader("list the tokens").await?;
        let tokens = all(&mut lease).await;
        lease.end(tokens)
    }

    async fn token(&self, digest: &TokenDigest) -> Result<Option<Token>, StoreError> {
        let mut lease = self.reader("look for the token").await?;
        let token = find(&mut lease, digest).await;
        lease.end(token)
    }
}

/// Part of the caller's transaction. Whether there was room for it: no other token has its name or digest.
pub(super) async fn add(connection: &mut SqliteConnection, token: &Token, digest: &TokenDigest) -> sqlx::Result<bool> {
    let query = sqlx::query(
        "INSERT INTO token (name, role, domains, digest, created) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    );
    let inserted = query
        .bind(&token.name)
        .bind(token.role.as_str())
        .bind(column::json(&token.domains)?)
        .bind(digest.as_bytes())
        .bind(token.created.as_microsecond())
        .execute(connection)
        .await?;
    Ok(inserted.rows_affected() != 0)
}

async fn all(connection: &mut SqliteConnection) -> sqlx::Result<Vec<Token>> {
    sqlx::query("SELECT * FROM token ORDER BY name").fetch_all(connection).await?.iter().map(token).collect()
}

async fn find(connection: &mut SqliteConnection, digest: &TokenDigest) -> sqlx::Result<Option<Token>> {
    let query = sqlx::query("SELECT * FROM token WHERE digest = ?").bind(digest.as_bytes());
    query.fetch_optional(connection).await?.as_ref().map(token).transpose()
}

fn token(row: &SqliteRow) -> sqlx::Result<Token> {
    Ok(Token {
        name: row.try_get("name")?,
        role: Role::parse(row.try_get("role")?).ok_or_else(|| column::undecodable("role", "unknown role"))?,
        domains: column::from_json(row, "domains")?,
        created: column::timestamp(row, "created")?,
    })
}
