//! A row of the change log, what may stand in one, and which kinds raise the generation: said here and only here.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::account::{AccountType, CredentialName, DomainName, Generation, Origin, StoredHash, Username};

/// One write to the store. Every one becomes one row of the log, in the same transaction.
#[derive(Clone, Debug)]
pub enum Change {
    AddDomain {
        domain: DomainName,
        profile: String,
        default_quota: Option<u64>,
    },
    SetDomain {
        domain: DomainName,
        profile: Option<String>,
        default_quota: Option<Option<u64>>,
    },
    /// Refused while the domain has accounts.
    RemoveDomain {
        domain: DomainName,
    },
    AddAccount(NewAccount),
    SetName {
        user: Username,
        name: Option<String>,
    },
    SetQuota {
        user: Username,
        quota: Option<u64>,
    },
    SetType {
        user: Username,
        account_type: AccountType,
    },
    /// The whole map: what is not in it is gone.
    SetFields {
        user: Username,
        fields: BTreeMap<String, String>,
    },
    /// With `expected`, only if that is still the generation: two changes at once, one wins.
    SetPassword {
        user: Username,
        hash: StoredHash,
        expected: Option<Generation>,
    },
    /// Replaces exactly the string that was verified, at the generation it was read with, or is dropped.
    UpgradeHash {
        user: Username,
        credential: CredentialName,
        verified: StoredHash,
        upgraded: StoredHash,
        generation: Generation,
    },
    LogOut {
        user: Username,
    },
    Disable {
        user: Username,
    },
    Enable {
        user: Username,
    },
    SetMainPasswordForMail {
        user: Username,
        on: bool,
    },
    /// Takes everything of the account along, and leaves its name in the log.
    RemoveAccount {
        user: Username,
    },
}

/// An account to be made, with its main password.
#[derive(Clone, Debug)]
pub struct NewAccount {
    pub username: Username,
    pub hash: StoredHash,
    pub name: Option<String>,
    pub quota: Option<u64>,
    pub enabled: bool,
    pub account_type: AccountType,
    pub main_password_for_mail: bool,
    pub fields: BTreeMap<String, String>,
}

impl Change {
    #[must_use]
    pub fn kind(&self) -> ChangeKind {
        match self {
            Self::AddDomain { .. } => ChangeKind::DomainAdded,
            Self::SetDomain { .. } => ChangeKind::DomainSet,
            Self::RemoveDomain { .. } => ChangeKind::DomainRemoved,
            Self::AddAccount(_) => ChangeKind::AccountAdded,
            Self::SetName { .. } => ChangeKind::NameSet,
            Self::SetQuota { .. } => ChangeKind::QuotaSet,
            Self::SetType { .. } => ChangeKind::TypeSet,
            Self::SetFields { .. } => ChangeKind::FieldsSet,
            Self::SetPassword { .. } => ChangeKind::PasswordSet,
            Self::UpgradeHash { .. } => ChangeKind::HashUpgraded,
            Self::LogOut { .. } => ChangeKind::LoggedOut,
            Self::Disable { .. } => ChangeKind::Disabled,
            Self::Enable { .. } => ChangeKind::Enabled,
            Self::SetMainPasswordForMail { on: true, .. } => ChangeKind::MainPasswordForMailOn,
            Self::SetMainPasswordForMail { on: false, .. } => ChangeKind::MainPasswordForMailOff,
            Self::RemoveAccount { .. } => ChangeKind::AccountRemoved,
        }
    }

    /// What the row is about: a full address, or a bare domain.
    #[must_use]
    pub fn subject(&self) -> &str {
        match self {
            Self::AddDomain { domain, .. } | Self::SetDomain { domain, .. } | Self::RemoveDomain { domain } => {
                domain.as_str()
            }
            Self::AddAccount(account) => account.username.as_str(),
            Self::SetName { user, .. }
            | Self::SetQuota { user, .. }
            | Self::SetType { user, .. }
            | Self::SetFields { user, .. }
            | Self::SetPassword { user, .. }
            | Self::UpgradeHash { user, .. }
            | Self::LogOut { user }
            | Self::Disable { user }
            | Self::Enable { user }
            | Self::SetMainPasswordForMail { user, .. }
            | Self::RemoveAccount { user } => user.as_str(),
        }
    }

    /// Which password the row is about, where it is not the account as a whole.
    #[must_use]
    pub fn credential(&self) -> Option<CredentialName> {
        match self {
            Self::UpgradeHash { credential, .. } => Some(*credential),
            _ => None,
        }
    }
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
    Disabled,
    Enabled,
    MainPasswordForMailOn,
    MainPasswordForMailOff,
    AccountRemoved,
}

impl ChangeKind {
    const ALL: [(Self, &'static str); 16] = [
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
        (Self::Disabled, "disabled"),
        (Self::Enabled, "enabled"),
        (Self::MainPasswordForMailOn, "main-password-for-mail-on"),
        (Self::MainPasswordForMailOff, "main-password-for-mail-off"),
        (Self::AccountRemoved, "account-removed"),
    ];

    /// Whether the row takes away or gives a right, so that what was granted before it is void.
    #[must_use]
    pub fn raises_generation(self) -> bool {
        match self {
            Self::AccountAdded
            | Self::PasswordSet
            | Self::LoggedOut
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
            | Self::HashUpgraded => false,
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
}

impl Door {
    const ALL: [(Self, &'static str); 4] =
        [(Self::Api, "api"), (Self::Command, "command"), (Self::Import, "import"), (Self::Login, "login")];

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

/// The number of a row: one sequence of the whole store, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RowNumber(pub u64);

/// A row as it stands in the log.
#[derive(Clone, Debug)]
pub struct Row {
    pub number: RowNumber,
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
        assert!(!ChangeKind::HashUpgraded.raises_generation());
        assert!(!ChangeKind::QuotaSet.raises_generation());
    }
}
