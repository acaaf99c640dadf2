//! A gatepost store full of accounts that have the same password.

use std::collections::BTreeMap;
use std::path::Path;

use gatepost::account::{AccountType, StoredHash, Username};
use gatepost::store::sqlite::{SqliteOptions, SqliteStore};
use gatepost::store::{Author, Change, Door, NewAccount, Store as _};
use jiff::Timestamp;
use tempfile::TempDir;

use crate::Outcome;

const DOMAIN: &str = "example.org";

pub(crate) fn user(number: usize) -> String {
    format!("user{number:06}@{DOMAIN}")
}

/// A directory in memory, where a hundred thousand acknowledged writes are a matter of seconds.
pub(crate) fn workshop() -> Outcome<TempDir> {
    Ok(tempfile::tempdir_in("/dev/shm")?)
}

/// Makes a store with as many accounts, each with `hash` for its password.
pub(crate) async fn fill(path: &Path, accounts: usize, hash: &str) -> Outcome<()> {
    let store = SqliteStore::open(path, &SqliteOptions::default()).await?;
    let author = Author { who: "uid:0".to_owned(), door: Door::Command, origin: None };
    let now = Timestamp::now();
    let domain = Change::AddDomain { domain: DOMAIN.parse()?, profile: "default".to_owned(), default_quota: None };
    store.commit(&[domain], &author, now).await?;
    for user in (0..accounts).map(user) {
        let account = NewAccount {
            username: Username::parse(&user, None)?,
            hash: StoredHash::new(hash.to_owned()),
            fingerprint: None,
            name: None,
            quota: None,
            enabled: true,
            account_type: AccountType::Person,
            main_password_for_mail: true,
            fields: BTreeMap::new(),
        };
        store.commit(&[Change::AddAccount(account)], &author, now).await?;
    }
    store.close().await;
    Ok(())
}
