//! Administer: domains and mailboxes made, changed and removed. The API and the command call it.
//!
//! Trusts: the door that calls it to have checked that its caller may administer the domain.
//! Fails:  with [`NotDone`]; nothing was written then.
//! Limits: a setting that is already so is no change: no row, and nobody is logged out by it.

mod settings;
#[cfg(test)]
mod tests;
mod tokens;
mod values;

use std::collections::BTreeMap;
use std::sync::Arc;

use gatepost_protocol::Secret;
use jiff::Timestamp;

use crate::account::{Account, AccountType, DomainName, Generation, Username};
use crate::change_password::{ChangePassword, Moment, NewPassword, NotDone, Prepared, Refused};
use crate::revocation::{Recorded, Revocation};
use crate::store::{
    AccountPage, AuditFilter, Author, Change, Client, Conflict, Delivery, Domain, LoginEntry, NewAccount, Row,
    RowNumber, Sighting, Store,
};

pub use settings::AccountSettings;
pub use tokens::{TokenMade, TokenText};

/// A domain to be made.
#[derive(Clone, Debug)]
pub struct DomainRequest {
    pub name: DomainName,
    pub profile: String,
    pub default_quota: Option<u64>,
}

/// A mailbox to be made.
#[derive(Debug)]
pub struct AccountRequest {
    pub username: Username,
    pub password: NewPassword,
    pub name: Option<String>,
    pub quota: Option<u64>,
    pub enabled: bool,
    pub account_type: AccountType,
    pub main_password_for_mail: bool,
    pub fields: BTreeMap<String, String>,
}

/// A mailbox that was made.
#[derive(Debug)]
pub struct AccountMade {
    pub account: Account,
    /// What was generated, for the one who asked to hear it.
    pub generated: Option<Secret>,
    pub receipt: Delivery,
}

/// A mailbox as it was set.
#[derive(Debug)]
pub struct AccountSet {
    pub account: Account,
    /// Of what gave or took a right; other settings have nobody to hear of them.
    pub receipt: Option<Delivery>,
}

/// What took rights away, and the generation that it left.
#[derive(Debug)]
pub struct LoggedOut {
    pub generation: Generation,
    pub receipt: Delivery,
}

/// The use cases, with what they need.
#[derive(Clone, Debug)]
pub struct Administer {
    store: Arc<dyn Store>,
    revocation: Arc<Revocation>,
    passwords: ChangePassword,
}

impl Administer {
    #[must_use]
    pub fn new(store: Arc<dyn Store>, revocation: Arc<Revocation>, passwords: ChangePassword) -> Self {
        Self { store, revocation, passwords }
    }

    /// All domains.
    ///
    /// # Errors
    /// Only "not now".
    pub async fn domains(&self) -> Result<Vec<Domain>, NotDone> {
        Ok(self.store.domains().await?)
    }

    /// Makes a domain.
    ///
    /// # Errors
    /// Refused when it exists, or its profile does not.
    pub async fn add_domain(&self, request: DomainRequest, author: &Author, now: Timestamp) -> Result<Domain, NotDone> {
        self.require_profile(&request.profile)?;
        values::check_quota(request.default_quota)?;
        let DomainRequest { name, profile, default_quota } = request.clone();
        let change = Change::AddDomain { domain: name, profile, default_quota };
        let Recorded { committed, .. } = self.revocation.commit(vec![change], author, now).await?;
        let DomainRequest { name, profile, default_quota } = request;
        Ok(Domain { name, profile, default_quota, changed: committed.row })
    }

    /// Changes a domain's profile, default quota, or both.
    ///
    /// # Errors
    /// Refused when there is no such domain or profile.
    pub async fn set_domain(
        &self,
        name: &DomainName,
        profile: Option<String>,
        default_quota: Option<Option<u64>>,
        author: &Author,
        now: Timestamp,
    ) -> Result<Domain, NotDone> {
        if let Some(profile) = &profile {
            self.require_profile(profile)?;
        }
        values::check_quota(default_quota.flatten())?;
        let domain = self.store.domain(name).await?.ok_or(Conflict::NoDomain)?;
        if profile.is_none() && default_quota.is_none() {
            return Ok(domain);
        }
        let mut wanted = Domain {
            name: domain.name,
            profile: profile.clone().unwrap_or(domain.profile),
            default_quota: default_quota.unwrap_or(domain.default_quota),
            changed: domain.changed,
        };
        let change = Change::SetDomain { domain: name.clone(), profile, default_quota };
        wanted.changed = self.revocation.commit(vec![change], author, now).await?.committed.row;
        // It is set now, whether or not the store still answers.
        Ok(self.store.domain(name).await.ok().flatten().unwrap_or(wanted))
    }

    /// Removes a domain without accounts.
    ///
    /// # Errors
    /// Refused when there is none, or it has accounts.
    pub async fn remove_domain(&self, name: &DomainName, author: &Author, now: Timestamp) -> Result<(), NotDone> {
        self.revocation.commit(vec![Change::RemoveDomain { domain: name.clone() }], author, now).await?;
        Ok(())
    }

    /// A page of accounts. Of a domain that is not there, that is said rather than "none".
    ///
    /// # Errors
    /// Refused when the page names a domain that does not exist.
    pub async fn accounts(&self, page: &AccountPage) -> Result<Vec<Account>, NotDone> {
        if let Some(name) = &page.domain {
            self.store.domain(name).await?.ok_or(Conflict::NoDomain)?;
        }
        Ok(self.store.accounts(page).await?)
    }

    /// One account.
    ///
    /// # Errors
    /// Refused when there is none.
    pub async fn account(&self, user: &Username) -> Result<Account, NotDone> {
        Ok(self.store.account(user).await?.ok_or(Conflict::NoAccount)?)
    }

    /// Makes an account with its main password.
    ///
    /// # Errors
    /// Refused when it exists, its domain does not, the password or one of the values may not be.
    pub async fn add_account(
        &self,
        request: AccountRequest,
        author: &Author,
        moment: Moment,
    ) -> Result<AccountMade, NotDone> {
        values::check_name(request.name.as_deref())?;
        values::check_quota(request.quota)?;
        values::check_fields(&request.fields)?;
        let domain = self.store.domain(&request.username.domain()).await?.ok_or(Conflict::NoDomain)?;
        if self.store.generation(&request.username).await?.is_some() {
            return Err(Conflict::AccountExists.into());
        }
        let Prepared { hash, fingerprint, generated } =
            self.passwords.prepare(&request.username, request.password, &domain.profile, moment.deadline).await?;
        let new_account = NewAccount {
            username: request.username,
            hash,
            fingerprint,
            name: request.name,
            quota: request.quota,
            enabled: request.enabled,
            account_type: request.account_type,
            main_password_for_mail: request.main_password_for_mail,
            fields: request.fields,
        };
        let mut account = Account {
            username: new_account.username.clone(),
            name: new_account.name.clone(),
            quota: new_account.quota,
            enabled: new_account.enabled,
            account_type: new_account.account_type,
            main_password_for_mail: new_account.main_password_for_mail,
            fields: new_account.fields.clone(),
            generation: Generation(0),
            changed: RowNumber(0),
        };
        let recorded = self.revocation.commit(vec![Change::AddAccount(new_account)], author, moment.now).await?;
        // It is made now: whatever could fail from here on would lose the password that was generated.
        account.generation = recorded.committed.generation.unwrap_or(account.generation);
        account.changed = recorded.committed.row;
        // Nobody is logged in to a new account, so nobody waits for that to end; an import makes thousands.
        Ok(AccountMade { account, generated, receipt: Revocation::receipt_at_once(recorded) })
    }

    /// Changes what the settings name, all of it or nothing.
    ///
    /// # Errors
    /// Refused when there is no such account, or one of the values may not be.
    pub async fn set_account(
        &self,
        user: &Username,
        settings: AccountSettings,
        author: &Author,
        now: Timestamp,
    ) -> Result<AccountSet, NotDone> {
        values::check_name(settings.name.as_ref().and_then(Option::as_deref))?;
        values::check_quota(settings.quota.flatten())?;
        if let Some(fields) = &settings.fields {
            values::check_fields(fields)?;
        }
        let account = self.account(user).await?;
        let mut wanted = settings.applied_to(&account);
        let changes = settings::changes(&account, &wanted);
        if changes.is_empty() {
            return Ok(AccountSet { account, receipt: None });
        }
        let recorded = self.revocation.commit(changes, author, now).await?;
        wanted.changed = recorded.committed.row;
        wanted.generation = recorded.committed.generation.unwrap_or(wanted.generation);
        let receipt = match recorded.committed.raised {
            Some(_) => Some(self.revocation.receipt(recorded).await),
            None => None,
        };
        // It is set now: a store that does not answer any more must not make that a failure.
        let account = self.store.account(user).await.ok().flatten().unwrap_or(wanted);
        Ok(AccountSet { account, receipt })
    }

    /// Removes an account and everything of it.
    ///
    /// # Errors
    /// Refused when there is none.
    pub async fn remove_account(&self, user: &Username, author: &Author, now: Timestamp) -> Result<Delivery, NotDone> {
        let recorded = self.revocation.commit(vec![Change::RemoveAccount { user: user.clone() }], author, now).await?;
        Ok(self.revocation.receipt(recorded).await)
    }

    /// Voids everything that was granted to the user: sessions, cached logins, logins on their way.
    ///
    /// # Errors
    /// Refused when there is no such account.
    pub async fn log_out(&self, user: &Username, author: &Author, now: Timestamp) -> Result<LoggedOut, NotDone> {
        let recorded = self.revocation.commit(vec![Change::LogOut { user: user.clone() }], author, now).await?;
        let generation = recorded.committed.generation.ok_or(Conflict::NoAccount)?;
        Ok(LoggedOut { generation, receipt: self.revocation.receipt(recorded).await })
    }

    /// Voids everything that was granted to anybody.
    ///
    /// # Errors
    /// Only "not now".
    pub async fn log_out_everyone(&self, author: &Author, now: Timestamp) -> Result<Delivery, NotDone> {
        let recorded = self.revocation.commit(vec![Change::LogOutEveryone], author, now).await?;
        Ok(self.revocation.receipt(recorded).await)
    }

    /// The account's generation: what was granted under a lower one is void.
    ///
    /// # Errors
    /// Refused when there is no such account.
    pub async fn generation(&self, user: &Username) -> Result<Generation, NotDone> {
        Ok(self.store.generation(user).await?.ok_or(Conflict::NoAccount)?)
    }

    /// The newest attempts to log in to the account, newest first.
    ///
    /// # Errors
    /// Refused when there is no such account.
    pub async fn logins(&self, user: &Username, limit: u32) -> Result<Vec<LoginEntry>, NotDone> {
        self.generation(user).await?;
        Ok(self.store.logins(user, limit).await?)
    }

    /// The programs and browsers that the account is used with, last seen first.
    ///
    /// # Errors
    /// Refused when there is no such account.
    pub async fn clients(&self, user: &Username) -> Result<Vec<Client>, NotDone> {
        self.generation(user).await?;
        Ok(self.store.clients(user).await?)
    }

    /// Takes down a session that a webmail reports. Reported again it is seen again, and no further login.
    ///
    /// # Errors
    /// Refused when there is no such account.
    pub async fn report_client(&self, sighting: &Sighting) -> Result<Client, NotDone> {
        Ok(self.store.record_client(sighting).await?.ok_or(Conflict::NoAccount)?)
    }

    /// Takes a client off the list. Nothing that it was granted ends, and its next login lists it again.
    ///
    /// # Errors
    /// Refused when there is no such account, or it has no such client.
    pub async fn forget_client(
        &self,
        user: &Username,
        id: u64,
        author: &Author,
        now: Timestamp,
    ) -> Result<(), NotDone> {
        self.revocation.commit(vec![Change::ForgetClient { user: user.clone(), id }], author, now).await?;
        Ok(())
    }

    /// The rows of the log that pass the filter, newest first.
    ///
    /// # Errors
    /// Only "not now".
    pub async fn audit(&self, filter: &AuditFilter) -> Result<Vec<Row>, NotDone> {
        Ok(self.store.audit(filter).await?)
    }

    /// What has become of a change; `None` if it is not there, or gave and took no right.
    ///
    /// # Errors
    /// Only "not now".
    pub async fn receipt(&self, row: RowNumber) -> Result<Option<Delivery>, NotDone> {
        Ok(self.store.delivery(row).await?)
    }

    fn require_profile(&self, profile: &str) -> Result<(), Refused> {
        if self.passwords.has_profile(profile) { Ok(()) } else { Err(Refused::NoProfile) }
    }
}
