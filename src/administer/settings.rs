//! Settings: what of a mailbox is to be changed, and the changes that this takes.

use std::collections::BTreeMap;

use crate::account::{Account, AccountType};
use crate::store::Change;

/// What to change of a mailbox; `None` leaves as it is.
#[derive(Debug, Default)]
pub struct AccountSettings {
    pub name: Option<Option<String>>,
    pub quota: Option<Option<u64>>,
    pub enabled: Option<bool>,
    pub account_type: Option<AccountType>,
    pub main_password_for_mail: Option<bool>,
    /// The whole map: what is not in it is gone.
    pub fields: Option<BTreeMap<String, String>>,
}

impl AccountSettings {
    /// The account as it shall be.
    pub(super) fn applied_to(self, account: &Account) -> Account {
        let Self { name, quota, enabled, account_type, main_password_for_mail, fields } = self;
        let account = account.clone();
        Account {
            name: name.unwrap_or(account.name),
            quota: quota.unwrap_or(account.quota),
            enabled: enabled.unwrap_or(account.enabled),
            account_type: account_type.unwrap_or(account.account_type),
            main_password_for_mail: main_password_for_mail.unwrap_or(account.main_password_for_mail),
            fields: fields.unwrap_or(account.fields),
            ..account
        }
    }
}

/// What makes the account what it shall be; what is so already is no change.
pub(super) fn changes(account: &Account, wanted: &Account) -> Vec<Change> {
    let user = || account.username.clone();
    let mut changes = Vec::new();
    if wanted.name != account.name {
        changes.push(Change::SetName { user: user(), name: wanted.name.clone() });
    }
    if wanted.quota != account.quota {
        changes.push(Change::SetQuota { user: user(), quota: wanted.quota });
    }
    if wanted.account_type != account.account_type {
        changes.push(Change::SetType { user: user(), account_type: wanted.account_type });
    }
    if wanted.fields != account.fields {
        changes.push(Change::SetFields { user: user(), fields: wanted.fields.clone() });
    }
    if wanted.main_password_for_mail != account.main_password_for_mail {
        changes.push(Change::SetMainPasswordForMail { user: user(), on: wanted.main_password_for_mail });
    }
    match (account.enabled, wanted.enabled) {
        (false, true) => changes.push(Change::Enable { user: user() }),
        (true, false) => changes.push(Change::Disable { user: user() }),
        _ => {}
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{Generation, RowNumber};
    use crate::store::ChangeKind;

    fn account() -> Account {
        Account {
            username: "ann@example.org".parse().expect("a valid name"),
            name: Some("Ann".to_owned()),
            quota: Some(7),
            enabled: true,
            account_type: AccountType::Person,
            main_password_for_mail: true,
            fields: BTreeMap::new(),
            generation: Generation(1),
            changed: RowNumber(1),
        }
    }

    #[test]
    fn what_is_so_already_is_no_change() {
        let settings = AccountSettings {
            name: Some(Some("Ann".to_owned())),
            quota: Some(Some(7)),
            enabled: Some(true),
            account_type: Some(AccountType::Person),
            main_password_for_mail: Some(true),
            fields: Some(BTreeMap::new()),
        };
        assert!(changes(&account(), &settings.applied_to(&account())).is_empty());
    }

    #[test]
    fn each_setting_is_a_row_of_its_own() {
        let settings = AccountSettings {
            name: Some(None),
            quota: Some(None),
            enabled: Some(false),
            account_type: Some(AccountType::Shared),
            main_password_for_mail: Some(false),
            fields: Some(BTreeMap::from([("nodelay".to_owned(), String::new())])),
        };
        let kinds: Vec<ChangeKind> =
            changes(&account(), &settings.applied_to(&account())).iter().map(Change::kind).collect();
        assert_eq!(
            kinds,
            [
                ChangeKind::NameSet,
                ChangeKind::QuotaSet,
                ChangeKind::TypeSet,
                ChangeKind::FieldsSet,
                ChangeKind::MainPasswordForMailOff,
                ChangeKind::Disabled,
            ]
        );
    }
}
