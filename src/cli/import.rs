//! `gatepost import`: the mailboxes of another system, made through the API.
//!
//! The file is read to its end before the first account is made. Each account is a call of its own, so an import that
//! was cut short goes on where it stopped: what is there already is compared and left alone.
//!
//! Limits: the API shows no hash, so the password of an account that is there is not compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::future::Future;
use std::io::BufReader;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use hyper::Method;
use nix::unistd::{Group, User};
use serde::Serialize;

use super::client::segment;
use super::{Client, Failure, output};
use crate::account::{DomainName, StoredHash};
use crate::import::passwd_file::{Reading, plan};
use crate::import::{LeftOut, Mailbox, Plan, PlanError};
use crate::web::{AccountMade, AccountView, DomainList, DomainView, PasswordSet};

/// How many lines of progress a long import prints.
const PROGRESS_LINES: usize = 20;
/// Accounts that go without a line of progress.
const SILENT: usize = 100;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Dovecot's: user:password:uid:gid:gecos:home:shell:extra fields.
    PasswdFile(PasswdFile),
}

#[derive(Debug, Args)]
pub(super) struct PasswdFile {
    file: PathBuf,
    /// Completes names without @; else the configuration's `default_domain`.
    #[arg(long)]
    domain: Option<DomainName>,
    /// Of passwords without a {SCHEME}, as `scheme=` of Dovecot's passdb.
    #[arg(long, default_value = "CRYPT")]
    scheme: String,
    /// Make the domains that are not there yet.
    #[arg(long)]
    create_domains: bool,
    /// Give accounts that are there already the file's name, quota, state and fields.
    #[arg(long)]
    update: bool,
    /// Give accounts that are there already the file's password; whoever is logged in to them must log in again.
    #[arg(long)]
    update_passwords: bool,
}

impl Verb {
    pub(super) async fn run(
        self,
        default_domain: Option<DomainName>,
        connect: impl Future<Output = Result<Client, Failure>>,
    ) -> Result<(), Failure> {
        let Self::PasswdFile(options) = self;
        let plan = options.read(default_domain)?;
        let mut import = Import { options, client: connect.await?, done: Summary::default() };
        import.run(plan).await
    }
}

impl PasswdFile {
    fn read(&self, default_domain: Option<DomainName>) -> Result<Plan, Failure> {
        let file = File::open(&self.file)
            .map_err(|error| Failure::Usage(format!("cannot open {}: {error}", self.file.display())))?;
        let reading = Reading {
            default_domain: self.domain.clone().or(default_domain),
            default_scheme: &self.scheme,
            uid_of: |name| User::from_name(name).ok().flatten().map(|user| user.uid.as_raw()),
            gid_of: |name| Group::from_name(name).ok().flatten().map(|group| group.gid.as_raw()),
        };
        plan(BufReader::new(file), &reading).map_err(|error| match &error {
            PlanError::Read(_) => Failure::Usage(format!("{}: {error}", self.file.display())),
            PlanError::TooMany(_) => Failure::No(format!("{error}; nothing was imported")),
            PlanError::Twins(twins) => {
                twins.iter().for_each(|twin| output::note(&twin.to_string()));
                Failure::No(format!("{error}; nothing was imported"))
            }
        })
    }
}

/// How many lines came to what.
#[derive(Debug, Default)]
struct Summary {
    imported: usize,
    already_there: usize,
    updated: usize,
    passwords_set: usize,
    different: usize,
    left_out: usize,
    without_password: usize,
    domains: usize,
}

/// What became of one account.
enum Outcome {
    Imported,
    AlreadyThere,
    Updated,
    /// What differs.
    Different(Vec<&'static str>),
}

struct Import {
    options: PasswdFile,
    client: Client,
    done: Summary,
}

#[derive(Serialize)]
struct NewAccount<'a> {
    user: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generate: Option<bool>,
    name: Option<&'a str>,
    quota: Option<u64>,
    enabled: bool,
    fields: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Settings<'a> {
    name: Option<&'a str>,
    quota: Option<u64>,
    enabled: bool,
    fields: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
struct NewPassword<'a> {
    hash: &'a str,
}

#[derive(Serialize)]
struct NewDomain<'a> {
    domain: &'a DomainName,
}

impl Import {
    async fn run(&mut self, plan: Plan) -> Result<(), Failure> {
        plan.left_out.iter().for_each(|left_out| self.leave_out(left_out));
        let mailboxes = self.with_domain(plan.mailboxes).await?;
        let step = mailboxes.len().div_ceil(PROGRESS_LINES).max(SILENT);
        for (index, mailbox) in mailboxes.iter().enumerate() {
            if index > 0 && index % step == 0 {
                output::note(&format!("{index} of {}", mailboxes.len()));
            }
            match self.bring(mailbox).await {
                Ok(outcome) => self.count(mailbox, &outcome),
                Err(Failure::Refused(problem)) => self.leave_out(&left_out(mailbox, problem.detail)),
                Err(Failure::Unavailable(detail)) => {
                    return Err(Failure::Unavailable(format!(
                        "stopped at line {}, after {index} of {} accounts: {detail}\nthe same command goes on from there",
                        mailbox.line,
                        mailboxes.len()
                    )));
                }
                Err(failure) => return Err(failure),
            }
        }
        self.conclude()
    }

    /// The mailboxes whose domain is there, or has been made.
    async fn with_domain(&mut self, mailboxes: Vec<Mailbox>) -> Result<Vec<Mailbox>, Failure> {
        let list: DomainList = self.client.get("/domains").await?;
        let known: BTreeSet<DomainName> = list.domains.iter().filter_map(|view| view.domain.parse().ok()).collect();
        let mut missing: BTreeMap<DomainName, usize> = BTreeMap::new();
        for domain in mailboxes.iter().map(|mailbox| mailbox.username.domain()).filter(|name| !known.contains(name)) {
            *missing.entry(domain).or_default() += 1;
        }
        if self.options.create_domains {
            for domain in missing.keys() {
                let _: DomainView = self.client.send(Method::POST, "/domains", &NewDomain { domain }).await?;
                self.done.domains += 1;
            }
            return Ok(mailboxes);
        }
        for (domain, count) in &missing {
            self.done.left_out += count;
            output::note(&format!(
                "{domain} is no domain here, {count} accounts are left out: `gatepost domain add {domain}` first, or --create-domains"
            ));
        }
        Ok(mailboxes.into_iter().filter(|mailbox| !missing.contains_key(&mailbox.username.domain())).collect())
    }

    async fn bring(&mut self, mailbox: &Mailbox) -> Result<Outcome, Failure> {
        let hash = mailbox.hash.as_ref().map(StoredHash::as_str);
        let account = NewAccount {
            user: mailbox.username.as_str(),
            hash,
            // One that nobody has seen: the account is there for its mail, and disabled.
            generate: hash.is_none().then_some(true),
            name: mailbox.name.as_deref(),
            quota: mailbox.quota,
            enabled: mailbox.enabled,
            fields: &mailbox.fields,
        };
        match self.client.send::<AccountMade>(Method::POST, "/accounts", &account).await {
            Ok(_) => Ok(Outcome::Imported),
            Err(Failure::Refused(problem)) if problem.code == "account-exists" => self.meet(mailbox).await,
            Err(failure) => Err(failure),
        }
    }

    /// The account is there already.
    async fn meet(&mut self, mailbox: &Mailbox) -> Result<Outcome, Failure> {
        let path = format!("/accounts/{}", segment(mailbox.username.as_str()));
        let there: AccountView = self.client.get(&path).await?;
        if let Some(hash) = mailbox.hash.as_ref().filter(|_| self.options.update_passwords) {
            let password = NewPassword { hash: hash.as_str() };
            let _: PasswordSet = self.client.send(Method::PUT, &format!("{path}/password"), &password).await?;
            self.done.passwords_set += 1;
        }
        let differences = differences(mailbox, &there);
        if differences.is_empty() {
            return Ok(Outcome::AlreadyThere);
        }
        if !self.options.update {
            return Ok(Outcome::Different(differences));
        }
        let settings = Settings {
            name: mailbox.name.as_deref(),
            quota: mailbox.quota,
            enabled: mailbox.enabled,
            fields: &mailbox.fields,
        };
        let _: AccountView = self.client.send(Method::PATCH, &path, &settings).await?;
        Ok(Outcome::Updated)
    }

    fn count(&mut self, mailbox: &Mailbox, outcome: &Outcome) {
        match outcome {
            Outcome::Imported => {
                self.done.imported += 1;
                self.done.without_password += usize::from(mailbox.hash.is_none());
            }
            Outcome::AlreadyThere => self.done.already_there += 1,
            Outcome::Updated => self.done.updated += 1,
            Outcome::Different(differences) => {
                self.done.different += 1;
                output::note(&format!(
                    "line {}: {} is there with another {}; --update makes it the file's",
                    mailbox.line,
                    mailbox.username,
                    differences.join(", ")
                ));
            }
        }
    }

    fn leave_out(&mut self, left_out: &LeftOut) {
        self.done.left_out += 1;
        output::note(&format!("line {}: {} is left out: {}", left_out.line, left_out.name, left_out.reason));
    }

    fn conclude(&self) -> Result<(), Failure> {
        let done = &self.done;
        let rows = [
            ("imported", done.imported),
            ("  of them disabled, since the file has no password for them", done.without_password),
            ("already there", done.already_there),
            ("updated", done.updated),
            ("given the file's password", done.passwords_set),
            ("different, and left alone", done.different),
            ("left out", done.left_out),
            ("domains made", done.domains),
        ];
        let always = ["imported", "already there", "left out"];
        let rows = rows.into_iter().filter(|(what, count)| *count > 0 || always.contains(what));
        let rows: Vec<_> = rows.map(|(what, count)| [count.to_string(), what.to_owned()]).collect();
        output::table(["COUNT", ""], &rows)?;
        match done.left_out + done.different {
            0 => Ok(()),
            count => Err(Failure::No(format!("{count} accounts are not as the file has them; see above for each"))),
        }
    }
}

fn left_out(mailbox: &Mailbox, reason: String) -> LeftOut {
    LeftOut { line: mailbox.line, name: mailbox.username.to_string(), reason }
}

fn differences(mailbox: &Mailbox, there: &AccountView) -> Vec<&'static str> {
    [
        ("name", mailbox.name != there.name),
        ("quota", mailbox.quota != there.quota),
        ("state", mailbox.enabled != there.enabled),
        ("fields", mailbox.fields != there.fields),
    ]
    .into_iter()
    .filter_map(|(what, differs)| differs.then_some(what))
    .collect()
}
