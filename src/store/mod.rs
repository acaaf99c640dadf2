//! Store: the verbs that the use cases need of a database, and what each promises.
//!
//! Every change goes through [`Store::commit`], which makes it and appends the rows of the change log in one
//! transaction: a reader sees both or neither. What else is written is bookkeeping: logins, clients, dict keys,
//! fingerprints, how far a row was delivered.
//!
//! Trusts: nobody's text; names and numbers arrive parsed.
//! Fails:  with [`StoreError`], which always means "not now", or with a [`Conflict`], which is an answer.

pub mod change;
pub mod client;
pub mod delivery;
pub mod dict;
pub mod log;
pub mod sqlite;
#[cfg(test)]
pub(crate) mod testing;
pub mod token;

use std::fmt::Debug;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::account::{Account, Credential, CredentialName, DomainName, Fingerprint, Generation, Username};

pub use crate::account::RowNumber;
pub use change::{Change, NewAccount, Subject};
pub use client::{Client, ClientStore, Sighting};
pub use delivery::{Delivery, DeliveryStore, Raised, Step, StepKind, StepState};
pub use log::{AuditFilter, Author, ChangeKind, Door, EVERYONE, LogStore, Row};
pub use token::{Role, Token, TokenDigest, TokenStore};

/// The store could not answer. Never a verdict: whoever hears it says "not now".
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing}: {cause}")]
pub struct StoreError {
    /// What was being done, as a verb phrase: "read the account".
    pub doing: &'static str,
    pub cause: Box<dyn std::error::Error + Send + Sync>,
}

/// Why a change was not made. Nothing of it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    #[error("there is no such account")]
    NoAccount,
    #[error("there is no such domain; `gatepost domain list` shows those there are")]
    NoDomain,
    #[error("the account exists already")]
    AccountExists,
    #[error("the domain exists already")]
    DomainExists,
    #[error("the domain still has accounts; remove them first")]
    DomainInUse,
    #[error("the account has no such client")]
    NoClient,
    #[error("there is no such token; `gatepost token list` shows those there are")]
    NoToken,
    #[error("the token exists already")]
    TokenExists,
    /// Somebody else changed it first.
    #[error("the account was changed meanwhile")]
    Moved,
}

/// Why [`Store::commit`] committed nothing.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    #[error(transparent)]
    Conflict(#[from] Conflict),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A domain as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    pub name: DomainName,
    /// The name of the password policy that holds there.
    pub profile: String,
    /// In bytes, for accounts without a quota of their own; `None` and 0 are no limit.
    pub default_quota: Option<u64>,
    /// The newest row about it.
    pub changed: RowNumber,
}

/// An account with what is needed to judge a login to it, all of one moment.
#[derive(Clone, Debug)]
pub struct LoginRecord {
    pub account: Account,
    pub domain: Domain,
    /// The main password first.
    pub credentials: Vec<Credential>,
}

/// Which accounts to list: in the order of their names, after one, at most so many.
#[derive(Clone, Debug)]
pub struct AccountPage {
    pub domain: Option<DomainName>,
    /// Part of an address or of a person's name, case-insensitive.
    pub query: Option<String>,
    pub after: Option<Username>,
    pub limit: u32,
}

/// A committed change: its last row, and the account's generation after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    pub row: RowNumber,
    /// The last of its rows that raised a generation: the one whose delivery is to be waited for.
    pub raised: Option<RowNumber>,
    /// `None` where there is no account, or not one alone: of a domain, a token, everyone, a removed account.
    pub generation: Option<Generation>,
}

/// One attempt to log in, for its owner to read later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginEntry {
    pub user: Username,
    pub at: Timestamp,
    pub outcome: LoginOutcome,
    pub credential: Option<CredentialName>,
    /// `imap`, `smtp`, …, as the peer called it.
    pub service: String,
    /// An address, or `local:UID`.
    pub origin: String,
    pub session: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginOutcome {
    Accepted,
    Refused,
    /// Refused, with the password that was replaced lately: a device that has not heard of the new one.
    PreviousPassword,
}

/// What the rest of gatepost may ask of a database.
#[async_trait]
pub trait Store: LogStore + DeliveryStore + TokenStore + ClientStore + dict::DictStore + Debug + Send + Sync {
    async fn domains(&self) -> Result<Vec<Domain>, StoreError>;
    async fn domain(&self, name: &DomainName) -> Result<Option<Domain>, StoreError>;

    async fn account(&self, user: &Username) -> Result<Option<Account>, StoreError>;
    async fn accounts(&self, page: &AccountPage) -> Result<Vec<Account>, StoreError>;

    /// Hash, fields and generation in one select, so that they belong together.
    async fn login_record(&self, user: &Username) -> Result<Option<LoginRecord>, StoreError>;
    /// `None` when there is no such account (any more).
    async fn generation(&self, user: &Username) -> Result<Option<Generation>, StoreError>;

    /// All of the changes, in order, or none; one row of the log for each. They concern one subject.
    async fn commit(&self, changes: &[Change], author: &Author, now: Timestamp) -> Result<Committed, CommitError>;
    /// Takes down the fingerprint of a password that was right at that generation of its; at any other, nothing.
    async fn remember_fingerprint(
        &self,
        user: &Username,
        credential: CredentialName,
        generation: Generation,
        fingerprint: Fingerprint,
    ) -> Result<(), StoreError>;

    /// All of it in one write: the attempts, and the clients behind those that were accepted. What was tried with an
    /// account that is gone is not kept.
    async fn record_logins(&self, logins: &[LoginEntry], clients: &[Sighting]) -> Result<(), StoreError>;
    /// Newest first.
    async fn logins(&self, user: &Username, limit: u32) -> Result<Vec<LoginEntry>, StoreError>;

    /// Whether the store can be written to now; the error says why not.
    async fn check(&self) -> Result<(), StoreError>;

    /// Waits for what is under way and leaves the files tidy. Nothing is lost without it.
    async fn close(&self);
}
