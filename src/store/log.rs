//! The change log: what stands in a row, and which kinds raise the generation. Said here and only here.
//!
//! The log is the audit, the feed by which others hear of a change, and the outbox of what is still to be delivered.
//!
//! Limits: it grows for ever, by a few hundred bytes a change.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::account::{CredentialName, DomainName, Origin, RowNumber, Username};

/// The subject of a row that concerns all accounts.
pub const EVERYONE: &str = "*";

/// The log, read in the order of its numbers.
#[async_trait]
pub trait LogStore {
    /// Rows with a higher number than `after`, oldest first.
    async fn changes_since(&self, after: RowNumber, limit: u32) -> Result<Vec<Row>, StoreError>;
    /// Rows that pass the filter, newest first.
    async fn audit(&self, filter: &AuditFilter) -> Result<Vec<Row>, StoreError>;

    /// The number above which the next row's will be: the highest that was given, or passed by.
    async fn newest_row(&self) -> Result<RowNumber, StoreError>;
    /// From now on rows have numbers above this one; never goes back. For a store restored from a backup, when others
    /// remember numbers that it no longer knows.
    ///
    /// A number above [`HIGHEST_TO_PASS`] is an error, and changes nothing.
    async fn advance_past(&self, number: RowNumber) -> Result<(), StoreError>;
}

/// What [`LogStore::advance_past`] believes: beyond it JSON's numbers would soon be inexact. No store ever counts so far.
pub const HIGHEST_TO_PASS: RowNumber = RowNumber(1 << 52);

/// Which rows to read; what is `None` lets all pass.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    pub user: Option<Username>,
    /// Rows about the domain, and about accounts that are or were in it.
    pub domain: Option<DomainName>,
    pub kind: Option<ChangeKind>,
    pub who: Option<String>,
    pub door: Option<Door>,
    /// At this time or later.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
    /// Rows with a lower number: the last one of the page before.
    pub before: Option<RowNumber>,
    pub limit: u32,
}

/// The kind of a row, as it stands in the log and in a receipt's `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    DomainAdded,
    DomainSet,
    DomainRemoved,
    AccountAdded,
    NameSet,
    QuotaSet,
    TypeSet,
    FieldsSet,
    PasswordSet,
    HashUpgraded,
    LoggedOut,
    EveryoneLoggedOut,
    Disabled,
    Enabled,
    MainPasswordForMailOn,
    MainPasswordForMailOff,
    AccountRemoved,
    ClientForgotten,
    TokenAdded,
    TokenRevoked,
}

impl ChangeKind {
    const ALL: [(Self, &'static str); 20] = [
        (Self::DomainAdded, "domain-added"),
        (Self::DomainSet, "domain-set"),
        (Self::DomainRemoved, "domain-removed"),
        (Self::AccountAdded, "account-added"),
        (Self::NameSet, "name-set"),
        (Self::QuotaSet, "quota-set"),
        (Self::TypeSet, "type-set"),
        (Self::FieldsSet, "fields-set"),
        (Self::PasswordSet, "password-set"),
        (Self::HashUpgraded, "hash-upgraded"),
        (Self::LoggedOut, "logged-out"),
        (Self::EveryoneLoggedOut, "everyone-logged-out"),
        (Self::Disabled, "disabled"),
        (Self::Enabled, "enabled"),
        (Self::MainPasswordForMailOn, "main-password-for-mail-on"),
        (Self::MainPasswordForMailOff, "main-password-for-mail-off"),
        (Self::AccountRemoved, "account-removed"),
        (Self::ClientForgotten, "client-forgotten"),
        (Self::TokenAdded, "token-added"),
        (Self::TokenRevoked, "token-revoked"),
    ];

    /// Whether the row takes away or gives a right, so that what was granted before it is void.
    #[must_use]
    pub fn raises_generation(self) -> bool {
        match self {
            Self::AccountAdded
            | Self::PasswordSet
            | Self::LoggedOut
            | Self::EveryoneLoggedOut
            | Self::Disabled
            | Self::Enabled
            | Self::MainPasswordForMailOn
            | Self::MainPasswordForMailOff
            | Self::AccountRemoved => true,
            Self::DomainAdded
            | Self::DomainSet
            | Self::DomainRemoved
            | Self::NameSet
            | Self::QuotaSet
            | Self::TypeSet
            | Self::FieldsSet
            | Self::HashUpgraded
            | Self::ClientForgotten
            | Self::TokenAdded
            | Self::TokenRevoked => false,
        }
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("unknown", |(_, text)| text)
    }

    /// The kind that [`Self::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == text).map(|(kind, _)| *kind)
    }
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Through which door a change came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Door {
    Api,
    Command,
    Import,
    Login,
    Poppassd,
    /// The daemon itself: nobody asked for it.
    Gatepost,
}

impl Door {
    const ALL: [(Self, &'static str); 6] = [
        (Self::Api, "api"),
        (Self::Command, "command"),
        (Self::Import, "import"),
        (Self::Login, "login"),
        (Self::Poppassd, "poppassd"),
        (Self::Gatepost, "gatepost"),
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(door, _)| *door == self).map_or("unknown", |(_, text)| text)
    }

    /// The door that [`Self::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == text).map(|(door, _)| *door)
    }
}

/// Who makes a change, through which door, from where.
#[derive(Clone, Debug)]
pub struct Author {
    /// `uid:0`, a full address, or the name of a token.
    pub who: String,
    pub door: Door,
    pub origin: Option<Origin>,
}

/// A row as it stands in the log.
#[derive(Clone, Debug)]
pub struct Row {
    pub number: RowNumber,
    /// A full address, a bare domain, `token:NAME`, or [`EVERYONE`].
    pub subject: String,
    pub credential: Option<CredentialName>,
    pub kind: ChangeKind,
    pub who: String,
    pub door: Door,
    pub origin: Option<String>,
    pub at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read_back_as_it_was_written() {
        for (kind, text) in ChangeKind::ALL {
            assert_eq!(ChangeKind::parse(kind.as_str()), Some(kind));
            assert_eq!(serde_json::to_string(&kind).ok(), Some(format!("\"{text}\"")));
        }
        for (door, text) in Door::ALL {
            assert_eq!(Door::parse(door.as_str()), Some(door));
            assert_eq!(serde_json::to_string(&door).ok(), Some(format!("\"{text}\"")));
        }
    }

    #[test]
    fn only_rights_raise_the_generation() {
        assert!(ChangeKind::PasswordSet.raises_generation());
        assert!(ChangeKind::Enabled.raises_generation());
        assert!(ChangeKind::EveryoneLoggedOut.raises_generation());
        assert!(!ChangeKind::HashUpgraded.raises_generation());
        assert!(!ChangeKind::QuotaSet.raises_generation());
        assert!(!ChangeKind::TokenRevoked.raises_generation());
    }
}
