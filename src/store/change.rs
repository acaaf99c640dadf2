//! What may be written to the store: each change becomes one row of the change log, in the same transaction.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::log::{ChangeKind, EVERYONE};
use super::token::{Token, TokenDigest};
use crate::account::{AccountType, CredentialName, DomainName, Fingerprint, Generation, StoredHash, Username};

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
        /// Of what is set now; the one that was known until now is kept as the previous one.
        fingerprint: Option<Fingerprint>,
        expected: Option<Generation>,
    },
    /// Replaces exactly the string that was verified, at the generation it was read with, or is dropped.
    UpgradeHash {
        user: Username,
        credential: CredentialName,
        verified: StoredHash,
        upgraded: StoredHash,
        fingerprint: Option<Fingerprint>,
        generation: Generation,
    },
    LogOut {
        user: Username,
    },
    /// One row for all accounts there are.
    LogOutEveryone,
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
    /// Takes a client off the list. Nothing that it was granted ends.
    ForgetClient {
        user: Username,
        id: u64,
    },
    AddToken(Token, TokenDigest),
    RevokeToken {
        name: String,
    },
}

/// An account to be made, with its main password.
#[derive(Clone, Debug)]
pub struct NewAccount {
    pub username: Username,
    pub hash: StoredHash,
    pub fingerprint: Option<Fingerprint>,
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
            Self::LogOutEveryone => ChangeKind::EveryoneLoggedOut,
            Self::Disable { .. } => ChangeKind::Disabled,
            Self::Enable { .. } => ChangeKind::Enabled,
            Self::SetMainPasswordForMail { on: true, .. } => ChangeKind::MainPasswordForMailOn,
            Self::SetMainPasswordForMail { on: false, .. } => ChangeKind::MainPasswordForMailOff,
            Self::RemoveAccount { .. } => ChangeKind::AccountRemoved,
            Self::ForgetClient { .. } => ChangeKind::ClientForgotten,
            Self::AddToken(..) => ChangeKind::TokenAdded,
            Self::RevokeToken { .. } => ChangeKind::TokenRevoked,
        }
    }

    #[must_use]
    pub fn subject(&self) -> Subject<'_> {
        match self {
            Self::AddDomain { domain, .. } | Self::SetDomain { domain, .. } | Self::RemoveDomain { domain } => {
                Subject::Domain(domain)
            }
            Self::AddAccount(account) => Subject::Account(&account.username),
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
            | Self::RemoveAccount { user }
            | Self::ForgetClient { user, .. } => Subject::Account(user),
            Self::LogOutEveryone => Subject::Everyone,
            Self::AddToken(token, _) => Subject::Token(&token.name),
            Self::RevokeToken { name } => Subject::Token(name),
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

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject<'a> {
    Account(&'a Username),
    Domain(&'a DomainName),
    Token(&'a str),
    Everyone,
}

impl<'a> Subject<'a> {
    /// As it stands in the log: a full address, a bare domain, `token:NAME`, or [`EVERYONE`].
    #[must_use]
    pub fn text(self) -> Cow<'a, str> {
        match self {
            Self::Account(user) => user.as_str().into(),
            Self::Domain(domain) => domain.as_str().into(),
            Self::Token(name) => format!("token:{name}").into(),
            Self::Everyone => EVERYONE.into(),
        }
    }
}
