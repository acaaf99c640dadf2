//! What stands in a column, and what it means: one pair of functions for each kind of value.

use std::collections::BTreeMap;
use std::str::FromStr;

use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::account::{Account, AccountType, CredentialName, DomainName, Generation, Username};
use crate::store::Domain;

/// For what the database holds but this gatepost cannot have written.
pub(super) fn undecodable(column: &str, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: cause.into() }
}

pub(super) fn parsed<T>(row: &SqliteRow, column: &str) -> sqlx::Result<T>
where
    T: FromStr,
    T::Err: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let text: &str = row.try_get(column)?;
    text.parse().map_err(|cause: T::Err| undecodable(column, cause))
}

/// SQLite has no unsigned 64 bits: the same bits with a sign come back as they went in.
pub(super) fn unsigned(row: &SqliteRow, column: &str) -> sqlx::Result<Option<u64>> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(i64::cast_unsigned))
}

pub(super) fn generation(row: &SqliteRow, column: &str) -> sqlx::Result<Generation> {
    Ok(Generation(row.try_get::<i64, _>(column)?.cast_unsigned()))
}

pub(super) fn credential_number(name: CredentialName) -> i64 {
    match name {
        CredentialName::Main => 0,
        CredentialName::Application(number) => number.cast_signed(),
    }
}

pub(super) fn credential_name(number: i64) -> CredentialName {
    match number {
        0 => CredentialName::Main,
        number => CredentialName::Application(number.cast_unsigned()),
    }
}

pub(super) fn timestamp(row: &SqliteRow, column: &str) -> sqlx::Result<Timestamp> {
    Timestamp::from_microsecond(row.try_get(column)?).map_err(|cause| undecodable(column, cause))
}

pub(super) fn account_type_text(account_type: AccountType) -> &'static str {
    match account_type {
        AccountType::Person => "person",
        AccountType::Shared => "shared",
        AccountType::Service => "service",
    }
}

fn account_type(row: &SqliteRow, column: &str) -> sqlx::Result<AccountType> {
    match row.try_get(column)? {
        "person" => Ok(AccountType::Person),
        "shared" => Ok(AccountType::Shared),
        "service" => Ok(AccountType::Service),
        _ => Err(undecodable(column, "unknown type of account")),
    }
}

pub(super) fn fields_text(fields: &BTreeMap<String, String>) -> sqlx::Result<String> {
    serde_json::to_string(fields).map_err(|cause| sqlx::Error::Encode(cause.into()))
}

fn fields(row: &SqliteRow, column: &str) -> sqlx::Result<BTreeMap<String, String>> {
    serde_json::from_str(row.try_get(column)?).map_err(|cause| undecodable(column, cause))
}

/// From the columns of `domain`, the name's own called `name_column`.
pub(super) fn domain(row: &SqliteRow, name_column: &str) -> sqlx::Result<Domain> {
    Ok(Domain {
        name: parsed::<DomainName>(row, name_column)?,
        profile: row.try_get("profile")?,
        default_quota: unsigned(row, "default_quota")?,
    })
}

/// From the columns of `account`.
pub(super) fn account(row: &SqliteRow) -> sqlx::Result<Account> {
    Ok(Account {
        username: parsed::<Username>(row, "username")?,
        name: row.try_get("name")?,
        quota: unsigned(row, "quota")?,
        enabled: row.try_get("enabled")?,
        account_type: account_type(row, "account_type")?,
        main_password_for_mail: row.try_get("main_password_for_mail")?,
        fields: fields(row, "fields")?,
        generation: generation(row, "generation")?,
    })
}
