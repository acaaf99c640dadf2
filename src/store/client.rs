//! Clients: the programs and browsers that an account is used with, by what they said of themselves.
//!
//! Two logins are of one client when kind, password, origin and user agent are the same.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{LoginEntry, StoreError};
use crate::account::{CredentialName, Username};

/// A client as it was seen once: it logged in, or a webmail reports its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    pub user: Username,
    pub at: Timestamp,
    /// `imap`, `smtp`, …, as the peer called it, or what a webmail calls itself.
    pub kind: String,
    /// `None` where a webmail reports.
    pub credential: Option<CredentialName>,
    /// An address, or `local:UID`.
    pub origin: String,
    /// What the client calls itself, if it does.
    pub user_agent: Option<String>,
    pub session: Option<String>,
}

/// A client of an account, with all that was seen of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Never used twice.
    pub id: u64,
    pub kind: String,
    pub credential: Option<CredentialName>,
    pub origin: String,
    pub user_agent: Option<String>,
    /// The newest.
    pub session: Option<String>,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    /// A session that is reported again is no further login.
    pub logins: u64,
}

/// The clients of each account; of too many those go that were not seen for longest. One is forgotten by
/// [`Store::commit`](super::Store::commit).
#[async_trait]
pub trait ClientStore {
    /// Last seen first.
    async fn clients(&self, user: &Username) -> Result<Vec<Client>, StoreError>;
    /// The client as it is known now; `None` when there is no such account.
    async fn record_client(&self, sighting: &Sighting) -> Result<Option<Client>, StoreError>;
}

impl Sighting {
    /// The client behind a login that was accepted.
    #[must_use]
    pub fn of_login(login: &LoginEntry, user_agent: Option<String>) -> Self {
        Self {
            user: login.user.clone(),
            at: login.at,
            kind: login.service.clone(),
            credential: login.credential,
            origin: login.origin.clone(),
            user_agent,
            session: login.session.clone(),
        }
    }
}
