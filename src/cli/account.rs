//! `gatepost account` and `gatepost logins`: accounts, and who tried to log in to them.

use std::collections::BTreeMap;
use std::future::Future;

use clap::{Args, Subcommand};
use hyper::Method;
use serde::Serialize;

use super::client::segment;
use super::password::{PasswordSource, announce};
use super::values::{Quota, parse_field, parse_quota, parse_size, parse_type};
use super::{Client, Failure, output, receipt};
use crate::account::AccountType;
use crate::web::{AccountList, AccountMade, AccountSet, AccountView, Ended, LoginList};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Make an account.
    Add(Add),
    /// List accounts.
    List(List),
    /// Show one account.
    Show(One),
    /// Change what the options name; the rest stays as it is.
    Set(Set),
    /// Refuse all logins, and end what was granted.
    Disable(One),
    /// Let the user log in again.
    Enable(One),
    /// Remove an account and everything of it but its name in the log.
    Remove(One),
}

#[derive(Debug, Args)]
pub(super) struct One {
    user: String,
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Add {
    user: String,
    #[command(flatten)]
    password: PasswordSource,
    /// The owner's name.
    #[arg(long)]
    name: Option<String>,
    /// Bytes, or with K, M, G, T; 0 is no limit. Without it the domain's default holds.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    quota: Option<u64>,
    /// Make it, but let nobody log in yet.
    #[arg(long)]
    disabled: bool,
    /// person, shared or service.
    #[arg(long = "type", value_name = "TYPE", value_parser = parse_type)]
    account_type: Option<AccountType>,
    /// Refuse the main password to mail programs.
    #[arg(long)]
    no_main_password_for_mail: bool,
    /// A field, `userdb_home=/srv/ann` or `nodelay=`; may be given more than once.
    #[arg(long = "field", value_name = "KEY=VALUE", value_parser = parse_field)]
    fields: Vec<(String, String)>,
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// Only this domain's.
    #[arg(long)]
    domain: Option<String>,
    /// Part of an address or of a name.
    #[arg(long)]
    query: Option<String>,
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Set {
    user: String,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct Settings {
    /// The owner's name; empty for none.
    #[arg(long)]
    name: Option<String>,
    /// Bytes, or with K, M, G, T; 0 is no limit, `default` is the domain's default.
    #[arg(long, value_name = "SIZE", value_parser = parse_quota)]
    quota: Option<Quota>,
    /// person, shared or service.
    #[arg(long = "type", value_name = "TYPE", value_parser = parse_type)]
    account_type: Option<AccountType>,
    /// Whether mail programs may use the main password: true or false.
    #[arg(long, value_name = "BOOL")]
    main_password_for_mail: Option<bool>,
    /// Set a field, `userdb_home=/srv/ann`; may be given more than once.
    #[arg(long = "field", value_name = "KEY=VALUE", value_parser = parse_field)]
    fields: Vec<(String, String)>,
    /// Remove a field; may be given more than once.
    #[arg(long = "remove-field", value_name = "KEY")]
    removed_fields: Vec<String>,
}

/// `gatepost logins USER`.
#[derive(Debug, Args)]
pub(super) struct Logins {
    user: String,
    #[arg(long)]
    json: bool,
}

/// What a PATCH sends; absent is left as it is.
#[derive(Debug, Default, Serialize)]
struct Patch {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quota: Option<Option<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none", rename = "type")]
    account_type: Option<AccountType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    main_password_for_mail: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<BTreeMap<String, String>>,
}

impl Verb {
    pub(super) async fn run(self, connect: impl Future<Output = Result<Client, Failure>>) -> Result<(), Failure> {
        match self {
            Self::Add(add) => add.run(connect).await,
            Self::List(list) => list.run(&mut connect.await?).await,
            Self::Show(One { user, json }) => {
                let account: AccountView = connect.await?.get(&path(&user)).await?;
                if json { output::json(&account) } else { show(&account) }
            }
            Self::Set(set) => set.run(&mut connect.await?).await,
            Self::Disable(one) => one.enable(&mut connect.await?, false).await,
            Self::Enable(one) => one.enable(&mut connect.await?, true).await,
            Self::Remove(one) => one.remove(&mut connect.await?).await,
        }
    }
}

impl One {
    async fn enable(self, client: &mut Client, enabled: bool) -> Result<(), Failure> {
        let patch = Patch { enabled: Some(enabled), ..Patch::default() };
        let set: AccountSet = client.send(Method::PATCH, &path(&self.user), &patch).await?;
        if self.json {
            return output::json(&set);
        }
        output::line(&format!("{} {}", set.account.user, state(&set.account)))?;
        set.receipt.as_ref().map_or(Ok(()), receipt::print)
    }

    async fn remove(self, client: &mut Client) -> Result<(), Failure> {
        let ended: Ended = client.send(Method::DELETE, &path(&self.user), &()).await?;
        if self.json {
            return output::json(&ended);
        }
        output::line(&format!("{} removed", ended.receipt.user))?;
        receipt::print(&ended.receipt)
    }
}

impl Add {
    /// The daemon is there before a password is asked for.
    async fn run(self, connect: impl Future<Output = Result<Client, Failure>>) -> Result<(), Failure> {
        #[derive(Serialize)]
        struct Request<'a> {
            user: &'a str,
            #[serde(flatten)]
            password: super::password::Given,
            name: Option<&'a str>,
            quota: Option<u64>,
            enabled: bool,
            #[serde(rename = "type")]
            account_type: AccountType,
            main_password_for_mail: bool,
            fields: BTreeMap<String, String>,
        }
        let mut client = connect.await?;
        let request = Request {
            user: &self.user,
            password: self.password.read("password")?,
            name: self.name.as_deref(),
            quota: self.quota,
            enabled: !self.disabled,
            account_type: self.account_type.unwrap_or_default(),
            main_password_for_mail: !self.no_main_password_for_mail,
            fields: self.fields.into_iter().collect(),
        };
        let made: AccountMade = client.send(Method::POST, "/accounts", &request).await?;
        announce(made.password.as_deref())?;
        output::line(&format!("{} added", made.account.user))
    }
}

impl List {
    async fn run(self, client: &mut Client) -> Result<(), Failure> {
        let mut accounts = Vec::new();
        let mut after = None;
        loop {
            let mut parameters = Vec::new();
            for (key, value) in [("domain", &self.domain), ("q", &self.query), ("after", &after)] {
                parameters.extend(value.as_ref().map(|value| format!("{key}={}", segment(value))));
            }
            let page: AccountList = client.get(&format!("/accounts?{}", parameters.join("&"))).await?;
            accounts.extend(page.accounts);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        if self.json {
            return output::json(&accounts);
        }
        let row = |account: &AccountView| {
            [
                account.user.clone(),
                state(account).to_owned(),
                quota(account.quota),
                account.name.clone().unwrap_or_default(),
            ]
        };
        let rows: Vec<_> = accounts.iter().map(row).collect();
        output::table(["USER", "STATE", "QUOTA", "NAME"], &rows)
    }
}

impl Set {
    async fn run(self, client: &mut Client) -> Result<(), Failure> {
        let Settings { name, quota, account_type, main_password_for_mail, fields, removed_fields } = self.settings;
        let fields = if fields.is_empty() && removed_fields.is_empty() {
            None
        } else {
            let AccountView { fields: mut map, .. } = client.get(&path(&self.user)).await?;
            map.retain(|key, _| !removed_fields.contains(key));
            map.extend(fields);
            Some(map)
        };
        let patch = Patch {
            name: name.map(|name| Some(name).filter(|name| !name.is_empty())),
            quota: quota.map(|Quota(quota)| quota),
            account_type,
            main_password_for_mail,
            fields,
            ..Patch::default()
        };
        let set: AccountSet = client.send(Method::PATCH, &path(&self.user), &patch).await?;
        show(&set.account)?;
        set.receipt.as_ref().map_or(Ok(()), receipt::print)
    }
}

impl Logins {
    pub(super) async fn run(self, client: &mut Client) -> Result<(), Failure> {
        let LoginList { logins } = client.get(&format!("{}/logins", path(&self.user))).await?;
        if self.json {
            return output::json(&logins);
        }
        let rows: Vec<_> = logins
            .into_iter()
            .map(|login| {
                let outcome = match (login.accepted, login.previous_password) {
                    (true, _) => "accepted",
                    (false, true) => "refused: previous password",
                    (false, false) => "refused",
                };
                [login.at, outcome.to_owned(), login.service, login.origin, login.credential.unwrap_or_default()]
            })
            .collect();
        output::table(["AT", "OUTCOME", "SERVICE", "FROM", "PASSWORD"], &rows)
    }
}

fn show(account: &AccountView) -> Result<(), Failure> {
    let type_text = format!("{:?}", account.account_type).to_lowercase();
    let mut rows = vec![
        ["state".to_owned(), state(account).to_owned()],
        ["name".to_owned(), account.name.clone().unwrap_or_default()],
        ["quota".to_owned(), quota(account.quota)],
        ["type".to_owned(), type_text],
        ["main password for mail".to_owned(), account.main_password_for_mail.to_string()],
        ["generation".to_owned(), account.generation.to_string()],
    ];
    rows.extend(account.fields.iter().map(|(key, value)| [format!("field {key}"), value.clone()]));
    output::table(["user", &account.user], &rows)
}

fn path(user: &str) -> String {
    format!("/accounts/{}", segment(user))
}

fn state(account: &AccountView) -> &'static str {
    if account.enabled { "enabled" } else { "disabled" }
}

fn quota(quota: Option<u64>) -> String {
    match quota {
        None => "default".to_owned(),
        Some(0) => "none".to_owned(),
        Some(bytes) => output::size(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_sends_only_what_was_said() {
        let patch = Patch { name: Some(None), quota: Some(None), ..Patch::default() };
        assert_eq!(serde_json::to_string(&patch).ok().as_deref(), Some(r#"{"name":null,"quota":null}"#));
        assert_eq!(serde_json::to_string(&Patch::default()).ok().as_deref(), Some("{}"));
    }
}
