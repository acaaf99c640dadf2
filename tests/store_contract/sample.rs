//! The people of the tests, and how they come into a store.

use gatepost::account::{AccountType, Generation, StoredHash, Username};
use gatepost::store::{Author, Change, CommitError, Committed, Door, NewAccount, Store};
use jiff::Timestamp;

pub(crate) fn user(text: &str) -> Username {
    text.parse().expect("a valid name")
}

pub(crate) fn hash(text: &str) -> StoredHash {
    StoredHash::new(format!("{{PLAIN}}{text}"))
}

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a valid time")
}

pub(crate) fn author() -> Author {
    Author { who: "uid:0".to_owned(), door: Door::Command, origin: None }
}

pub(crate) fn add_domain(domain: &str) -> Change {
    let domain = domain.parse().expect("a valid domain");
    Change::AddDomain { domain, profile: "default".to_owned(), default_quota: None }
}

pub(crate) fn new_account(name: &str) -> NewAccount {
    NewAccount {
        username: user(name),
        hash: hash("first"),
        fingerprint: None,
        name: None,
        quota: None,
        enabled: true,
        account_type: AccountType::Person,
        main_password_for_mail: true,
        fields: [].into(),
    }
}

pub(crate) async fn try_commit(store: &dyn Store, change: Change) -> Result<Committed, CommitError> {
    store.commit(&[change], &author(), at(1)).await
}

pub(crate) async fn commit(store: &dyn Store, change: Change) -> Committed {
    try_commit(store, change).await.expect("a change that fits")
}

/// Ann has an account at example.org.
pub(crate) async fn with_ann(store: &dyn Store) -> (Username, Generation) {
    commit(store, add_domain("example.org")).await;
    let committed = commit(store, Change::AddAccount(new_account("ann@example.org"))).await;
    (user("ann@example.org"), committed.generation.expect("the generation of an account"))
}

pub(crate) fn raised(generation: Option<Generation>) -> Generation {
    generation.expect("the generation of an account")
}
