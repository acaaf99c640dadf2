//! What stands in a column, and what it means: one pair of functions for each kind of value.

use std::str::FromStr;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::account::{
    Account, AccountType, CredentialName, DomainName, Fingerprint, Fingerprints, Generation, Replaced, RowNumber,
    Username,
};
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

pub(super) fn row_number(row: &SqliteRow, column: &str) -> sqlx::Result<RowNumber> {
    Ok(RowNumber(row.try_get::<i64, _>(column)?.cast_unsigned()))
}

/// A number above the highest that SQLite can give comes after all of them.
pub(super) fn signed(number: RowNumber) -> i64 {
    i64::try_from(number.0).unwrap_or(i64::MAX)
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

pub(super) fn json(value: &impl Serialize) -> sqlx::Result<String> {
    serde_json::to_string(value).map_err(|cause| sqlx::Error::Encode(cause.into()))
}

/// What [`json`] wrote.
pub(super) fn from_json<T: DeserializeOwned>(row: &SqliteRow, column: &str) -> sqlx::Result<T> {
    serde_json::from_str(row.try_get(column)?).map_err(|cause| undecodable(column, cause))
}

/// From the columns of `credential`.
pub(super) fn fingerprints(row: &SqliteRow) -> sqlx::Result<Fingerprints> {
    let previous = match (fingerprint(row, "previous_fingerprint")?, row.try_get::<Option<i64>, _>("replaced")?) {
        (Some(fingerprint), Some(_)) => Some(Replaced { fingerprint, at: timestamp(row, "replaced")? }),
        _ => None,
    };
    Ok(Fingerprints { current: fingerprint(row, "fingerprint")?, previous })
}

pub(super) fn fingerprint_bytes(fingerprint: Option<Fingerprint>) -> Option<Vec<u8>> {
    fingerprint.map(|fingerprint| fingerprint.as_bytes().to_vec())
}

fn fingerprint(row: &SqliteRow, column: &str) -> sqlx::Result<Option<Fingerprint>> {
    let bits: Option<&[u8]> = row.try_get(column)?;
    let fingerprint = bits.map(|bits| bits.try_into().map(Fingerprint::new)).transpose();
    fingerprint.map_err(|cause| undecodable(column, cause))
}

/// From the columns of `domain`, two of them under other names where they stand beside those of `account`.
pub(super) fn domain(row: &SqliteRow, [name, changed]: [&str; 2]) -> sqlx::Result<Domain> {
    Ok(Domain {
        name: parsed::<DomainName>(row, name)?,
        profile: row.try_get("profile")?,
        default_quota: unsigned(row, "default_quota")?,
        changed: row_number(row, changed)?,
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
        fields: from_json(row, "fields")?,
        generation: generation(row, "generation")?,
        changed: row_number(row, "changed")?,
    })
}
