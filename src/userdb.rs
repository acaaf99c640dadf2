//! Userdb: what a mail process is told of a mailbox, from the configured template and the account's own fields.
//!
//! Fails:  never; what neither the template nor the account says is left out, so that Dovecot's own settings hold.
//! Limits: of 2.3's settings only `mail` and `quota_rule` are translated for 2.4; others are passed on as written.

use std::collections::BTreeMap;

use crate::account::{Account, Username};

/// Fields of an account with this prefix override the template; the others are passdb fields.
const USERDB_PREFIX: &str = "userdb_";

/// Passdb fields that Dovecot's own auth service acts on and never puts on the wire
/// (Dovecot 2.3.19 `src/auth/auth-request.c`), and `shell`, a column of its passwd-file that it reads past.
const NEVER_ON_THE_WIRE: [&str; 11] = [
    "password",
    "allow_nets",
    "allow_real_nets",
    "login_user",
    "fail",
    "delay_until",
    "nopassword",
    "noauthenticate",
    "nodelay",
    "user",
    "shell",
];

/// What a template's values may hold, in the notation of Dovecot 2.4 and in that of all before.
pub const VARIABLES: &str = "%{user}, %{user | username}, %{user | domain}, %u, %n, %d, and %% for a percent sign";

/// Whose setting names a client understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Dovecot23,
    Dovecot24,
}

/// `[userdb]` of the configuration: what a mail process is told of every mailbox. Values may hold [`VARIABLES`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    /// For both dialects: `uid`, `gid`, `home` and whatever is named alike in both.
    pub common: BTreeMap<String, String>,
    pub dovecot_23: BTreeMap<String, String>,
    pub dovecot_24: BTreeMap<String, String>,
}

impl Template {
    /// Everything to be said of the mailbox, in the client's dialect. `quota` is in bytes, 0 is no limit.
    #[must_use]
    pub fn fields(&self, account: &Account, quota: u64, dialect: Dialect) -> Vec<(String, String)> {
        let versioned = match dialect {
            Dialect::Dovecot23 => &self.dovecot_23,
            Dialect::Dovecot24 => &self.dovecot_24,
        };
        let mut fields: BTreeMap<String, String> = BTreeMap::new();
        for (key, pattern) in self.common.iter().chain(versioned) {
            fields.insert(key.clone(), expand(pattern, &account.username));
        }
        if quota > 0 {
            let (key, value) = quota_field(quota, dialect);
            fields.insert(key.to_owned(), value);
        }
        let own = account.fields.iter().filter_map(|(key, value)| Some((key.strip_prefix(USERDB_PREFIX)?, value)));
        for (key, value) in own {
            insert_translated(&mut fields, key, value, dialect);
        }
        fields.into_iter().collect()
    }
}

/// The account's passdb fields, for OK and PASS.
#[must_use]
pub fn passdb_fields(account: &Account) -> Vec<(String, String)> {
    account
        .fields
        .iter()
        .filter(|(key, _)| !key.starts_with(USERDB_PREFIX) && !NEVER_ON_THE_WIRE.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn quota_field(bytes: u64, dialect: Dialect) -> (&'static str, String) {
    match dialect {
        Dialect::Dovecot23 => ("quota_rule", format!("*:bytes={bytes}")),
        Dialect::Dovecot24 => ("quota_storage_size", format!("{bytes}B")),
    }
}

/// An account may come from the passwd-file of a 2.3: a mailbox whose `mail` a 2.4 ignored would look empty.
fn insert_translated(fields: &mut BTreeMap<String, String>, key: &str, value: &str, dialect: Dialect) {
    match (dialect, key) {
        (Dialect::Dovecot24, "mail") => insert_mail_location(fields, value),
        (Dialect::Dovecot24, "quota_rule") => {
            if let Some(size) = storage_of_quota_rule(value) {
                fields.insert("quota_storage_size".to_owned(), size);
            }
        }
        _ => {
            fields.insert(key.to_owned(), value.to_owned());
        }
    }
}

/// `maildir:~/Maildir:INDEX=/var/index` as 2.4's separate settings.
fn insert_mail_location(fields: &mut BTreeMap<String, String>, location: &str) {
    let (driver, rest) = location.split_once(':').unwrap_or((location, ""));
    fields.insert("mail_driver".to_owned(), driver.to_ascii_lowercase());
    let mut parts = rest.split(':');
    if let Some(path) = parts.next().filter(|path| !path.is_empty()) {
        fields.insert("mail_path".to_owned(), path.to_owned());
    }
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        let setting = match name.to_ascii_uppercase().as_str() {
            "INDEX" => "mail_index_path",
            "CONTROL" => "mail_control_path",
            "INBOX" => "mail_inbox_path",
            "LAYOUT" => "mailbox_list_layout",
            "SUBSCRIPTIONS" => "mailbox_subscriptions_filename",
            _ => continue,
        };
        let value = if setting == "mailbox_list_layout" { value.to_ascii_lowercase() } else { value.to_owned() };
        fields.insert(setting.to_owned(), value);
    }
}

/// The size of a rule for the whole mailbox: `*:storage=1G` counts in KiB without a unit, `*:bytes=…` in bytes.
fn storage_of_quota_rule(rule: &str) -> Option<String> {
    let limits = rule.strip_prefix("*:")?;
    limits.split(':').find_map(|limit| {
        let (kind, size) = limit.split_once('=')?;
        let has_unit = size.bytes().last().is_some_and(|byte| byte.is_ascii_alphabetic());
        match kind {
            "storage" => Some(if has_unit { size.to_owned() } else { format!("{size}K") }),
            "bytes" => Some(if has_unit { size.to_owned() } else { format!("{size}B") }),
            _ => None,
        }
    })
}

/// One pass, so that nothing that a name contains is expanded again.
fn expand(pattern: &str, username: &Username) -> String {
    let domain = username.domain();
    let value_of = |variable: &str| match variable.replace(' ', "").as_str() {
        "user" => Some(username.as_str().to_owned()),
        "user|username" => Some(username.local_part().to_owned()),
        "user|domain" => Some(domain.as_str().to_owned()),
        _ => None,
    };
    let mut expanded = String::with_capacity(pattern.len() + username.as_str().len());
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('%') {
        expanded.push_str(before);
        let long = after.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let known = long.and_then(|(variable, tail)| Some((value_of(variable)?, tail)));
        let (value, tail) = known
            .or_else(|| short_variable(after, username, domain.as_str()))
            .unwrap_or_else(|| ("%".to_owned(), after));
        expanded.push_str(&value);
        rest = tail;
    }
    expanded.push_str(rest);
    expanded
}

fn short_variable<'a>(after: &'a str, username: &Username, domain: &str) -> Option<(String, &'a str)> {
    let mut rest = after.chars();
    let value = match rest.next()? {
        'u' => username.as_str(),
        'n' => username.local_part(),
        'd' => domain,
        '%' => "%",
        _ => return None,
    };
    Some((value.to_owned(), rest.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{AccountType, Generation, RowNumber};

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn account(fields: &[(&str, &str)]) -> Account {
        Account {
            username: "ann@example.org".parse().expect("a valid name"),
            name: None,
            quota: None,
            enabled: true,
            account_type: AccountType::Person,
            main_password_for_mail: true,
            fields: map(fields),
            generation: Generation(1),
            changed: RowNumber(1),
        }
    }

    #[test]
    fn variables_of_both_dialects_are_expanded_once() {
        let username: Username = "ann@example.org".parse().expect("a valid name");
        let cases = [
            ("/srv/%d/%n", "/srv/example.org/ann"),
            ("/srv/%{user | domain}/%{user|username}/%{user}", "/srv/example.org/ann/ann@example.org"),
            ("100%% of %u", "100% of ann@example.org"),
            ("%x %{other} %", "%x %{other} %"),
        ];
        for (pattern, expanded) in cases {
            assert_eq!(expand(pattern, &username), expanded);
        }
    }

    #[test]
    fn an_accounts_own_fields_override_the_template() {
        let template = Template { common: map(&[("uid", "5000"), ("home", "/srv/%u")]), ..Template::default() };
        let ann = account(&[("userdb_home", "/old/ann"), ("allow_nets", "10.0.0.0/8"), ("proxy_timeout", "5")]);
        assert_eq!(
            template.fields(&ann, 1024, Dialect::Dovecot23),
            [("home", "/old/ann"), ("quota_rule", "*:bytes=1024"), ("uid", "5000")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
        );
        assert_eq!(passdb_fields(&ann), [("proxy_timeout".to_owned(), "5".to_owned())]);
    }

    #[test]
    fn a_mailbox_that_came_from_2_3_is_found_by_2_4() {
        let ann = account(&[
            ("userdb_mail", "mdbox:~/box:INDEX=/idx:LAYOUT=FS"),
            ("userdb_quota_rule", "*:storage=100M:messages=5"),
        ]);
        let fields: BTreeMap<_, _> = Template::default().fields(&ann, 0, Dialect::Dovecot24).into_iter().collect();
        assert_eq!(
            fields,
            map(&[
                ("mail_driver", "mdbox"),
                ("mail_path", "~/box"),
                ("mail_index_path", "/idx"),
                ("mailbox_list_layout", "fs"),
                ("quota_storage_size", "100M"),
            ])
        );
    }

    #[test]
    fn nothing_is_invented() {
        assert!(Template::default().fields(&account(&[]), 0, Dialect::Dovecot23).is_empty());
    }
}
