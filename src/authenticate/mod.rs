//! Authenticate: throttle → cache → store → hash pool → generation again → verdict.
//!
//! Every door asks here, and the order of steps is decided here and only here. An unknown user costs the same work and
//! the same time as a wrong password. What could not be verified is [`Verdict::TryLater`], never a refusal. A refusal,
//! fresh or remembered, is of what the store says now.
//!
//! Trusts: the attempt's origin; the door has decided whom to believe.
//! Fails:  closed, with an [`Outage`] that says what was missing.

mod attempt;
pub mod cache;
mod network;
mod previous;
#[cfg(test)]
mod tests;
mod upgrade;
mod verdict;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};
use tracing::field::display;

use crate::account::{Account, Credential, CredentialName, NameError, Network, StoredHash, Username};
use crate::config::Live;
use crate::hash_pool::{HashPool, PoolError};
use crate::password;
use crate::password::fingerprint::FingerprintKey;
use crate::revocation::{Grant, Revocation, Standing};
use crate::sessions::history::History;
use crate::store::{LoginEntry, LoginOutcome, LoginRecord, Sighting, Store};
use crate::telemetry::logging::quoted;
use crate::telemetry::metrics;
use crate::throttle::{Admission, Throttle};
pub use attempt::{Attempt, Purpose};
use cache::{Cache, Key, Verified, Wrong};
use previous::Previous;
use upgrade::Upgrade;
pub use verdict::{Identity, Judgement, Outage, Refusal, Verdict};

/// From its arrival an attempt has so long to be decided; some clients give up at 5 s, Postfix at 10.
const PATIENCE: Duration = Duration::from_millis(3_900);

/// How many hash upgrades may be under way; a login above that leaves its hash to the next one.
const UPGRADES: usize = 4;

/// What an [`Authenticator`] works with.
#[derive(Debug)]
pub struct Needs {
    pub store: Arc<dyn Store>,
    pub revocation: Arc<Revocation>,
    pub cache: Cache,
    pub pool: Arc<HashPool>,
    pub throttle: Arc<Throttle>,
    pub history: History,
    pub live: watch::Receiver<Arc<Live>>,
    /// What previous passwords are known again by.
    pub fingerprint_key: Arc<FingerprintKey>,
}

#[derive(Debug)]
pub struct Authenticator {
    store: Arc<dyn Store>,
    revocation: Arc<Revocation>,
    cache: Arc<Cache>,
    pool: Arc<HashPool>,
    throttle: Arc<Throttle>,
    history: History,
    live: watch::Receiver<Arc<Live>>,
    previous: Previous,
    fingerprint_key: Arc<FingerprintKey>,
    upgrades: Arc<Semaphore>,
    /// What the password of an unknown user is verified against.
    nobody: StoredHash,
}

impl Authenticator {
    #[must_use]
    pub fn new(needs: Needs) -> Self {
        let Needs { store, revocation, cache, pool, throttle, history, live, fingerprint_key } = needs;
        let nobody = password::dummy(pool.cost());
        let previous = Previous::new(Arc::clone(&store), Arc::clone(&fingerprint_key));
        let (cache, upgrades) = (Arc::new(cache), Arc::new(Semaphore::new(UPGRADES)));
        Self { store, revocation, cache, pool, throttle, history, live, previous, fingerprint_key, upgrades, nobody }
    }

    /// Judges one attempt. The caller waits until `answer_at` before it answers: a refusal leaves at its time whatever its
    /// cause, and who is turned away for asking too much leaves no sooner.
    pub async fn authenticate(&self, attempt: &Attempt) -> Judgement {
        let user = self.username(&attempt.name).ok();
        // What is no name is nobody's: all such share one budget for each network.
        let account = user.as_ref().map_or("", Username::as_str);
        let admission = if attempt.no_penalty {
            self.throttle.wave_through(attempt.arrived)
        } else {
            self.throttle.admit(attempt.purpose.tally(), attempt.origin, account, attempt.arrived)
        };
        let refuse_at = match admission {
            Admission::Proceed { refuse_at } => refuse_at,
            Admission::Later { at } => {
                return self.conclude(attempt, user.as_ref(), Outage::Throttled { until: at }.into(), attempt.arrived);
            }
        };
        let deadline = attempt.arrived + PATIENCE;
        let verdict = tokio::time::timeout_at(deadline.into(), self.judge(attempt, user.as_ref(), deadline))
            .await
            .unwrap_or_else(|_| Outage::TooSlow.into());
        let waits = matches!(verdict, Verdict::Refuse(_) | Verdict::TryLater(Outage::Hash(PoolError::Full)));
        let answer_at = if waits { refuse_at } else { attempt.arrived };
        self.conclude(attempt, user.as_ref(), verdict, answer_at)
    }

    /// Forgets the remembered passwords of these users, as a peer names them, or of all if none is named. How many those
    /// were, right and wrong. It makes no verdict newer, for none is older than the store.
    pub async fn forget(&self, names: &[String]) -> u64 {
        let users: Vec<Username> = names.iter().filter_map(|name| self.username(name).ok()).collect();
        if users.is_empty() && !names.is_empty() {
            return 0;
        }
        let cache = Arc::clone(&self.cache);
        // It looks at every entry.
        tokio::task::spawn_blocking(move || cache.flush(&users)).await.unwrap_or(0)
    }

    fn username(&self, text: &str) -> Result<Username, NameError> {
        Username::parse(text, self.live.borrow().default_domain.as_ref())
    }

    /// Starts over once if the account changes while its password is verified.
    async fn judge(&self, attempt: &Attempt, user: Option<&Username>, deadline: Instant) -> Verdict {
        for _ in 0..2 {
            match self.judge_once(attempt, user, deadline).await {
                Ok(Some(verdict)) => return verdict,
                Ok(None) => {}
                Err(outage) => return outage.into(),
            }
        }
        Outage::Moving.into()
    }

    /// `None` when the account moved between the two readings.
    async fn judge_once(
        &self,
        attempt: &Attempt,
        user: Option<&Username>,
        deadline: Instant,
    ) -> Result<Option<Verdict>, Outage> {
        let Some(user) = user else {
            self.matches(attempt, &attempt.name, &self.nobody, deadline).await?;
            return Ok(Some(Refusal::Wrong.into()));
        };
        let key = self.cache.key(user, &attempt.password, attempt.purpose);
        if let Some(verdict) = self.recall(attempt, &key).await? {
            return Ok(Some(verdict));
        }
        // Ten connections of one client cost one hash.
        let turn = self.cache.turn(&key);
        let free = turn.try_lock();
        let waits = free.is_err();
        let _taken = match free {
            Ok(taken) => taken,
            Err(_) => turn.lock().await,
        };
        if waits && let Some(verdict) = self.recall(attempt, &key).await? {
            return Ok(Some(verdict));
        }
        let position = self.revocation.position();
        let record = self.store.login_record(user).await?;
        let credential = self.verify(attempt, user, record.as_ref(), deadline).await?;
        let Some((record, credential)) = record.as_ref().zip(credential) else {
            let grant = Grant::of(user.clone(), record.as_ref(), position);
            let unmoved = self.is_unmoved(&grant, true).await?;
            let replaced = record.as_ref().and_then(|record| self.previous.replaced(record, &attempt.password));
            let wrong = Wrong { grant, replaced };
            let refusal = self.refuse(attempt, &wrong).await;
            self.cache.remember_wrong(key, wrong);
            return Ok(unmoved.then(|| refusal.into()));
        };
        let verified = Verified::new(record, credential, position, attempt.arrived);
        let verdict = self.permit(attempt, &verified.identity);
        if !self.is_unmoved(verified.grant(), matches!(verdict, Verdict::Refuse(_))).await? {
            return Ok(None);
        }
        self.cache.remember_right(key, verified);
        if let Verdict::Accept(identity) = &verdict {
            self.revocation.compare(user, identity.generation);
            self.take_down(attempt, &identity.account, credential);
        }
        Ok(Some(verdict))
    }

    /// The verdict on a password that is remembered, if what that rests on still holds.
    async fn recall(&self, attempt: &Attempt, key: &Key) -> Result<Option<Verdict>, Outage> {
        if let Some(verified) = self.cache.right(key, attempt.arrived) {
            let Some(verified) = self.renew(key, verified).await? else { return Ok(None) };
            let verdict = self.permit(attempt, &verified.identity);
            let holds = matches!(verdict, Verdict::Accept(_)) || self.is_unmoved(verified.grant(), true).await?;
            metrics::cache(if holds { "right" } else { "none" });
            return Ok(holds.then_some(verdict));
        }
        if let Some(wrong) = self.cache.wrong(key)
            && self.is_unmoved(&wrong.grant, true).await?
        {
            metrics::cache("wrong");
            return Ok(Some(self.refuse(attempt, &wrong).await.into()));
        }
        metrics::cache("none");
        Ok(None)
    }

    /// Tells the previous password from one that is merely wrong.
    async fn refuse(&self, attempt: &Attempt, wrong: &Wrong) -> Refusal {
        let Some(replaced) = wrong.replaced else { return Refusal::Wrong };
        let kept = self.live.borrow().previous_password_kept;
        let excused = self.previous.is_excused(&wrong.grant.user, replaced, attempt, kept).await;
        if excused { Refusal::Previous } else { Refusal::Wrong }
    }

    /// A remembered password as of now. While its generation is the account's it is right, whatever else has changed.
    async fn renew(&self, key: &Key, verified: Arc<Verified>) -> Result<Option<Arc<Verified>>, Outage> {
        match self.revocation.standing(verified.grant()) {
            Standing::Current => return Ok(Some(verified)),
            Standing::Stale if self.revocation.is_confirmed(verified.grant()).await => return Ok(Some(verified)),
            Standing::Stale | Standing::Outdated | Standing::Unknown => {}
        }
        let position = self.revocation.position();
        let record = self.store.login_record(&verified.grant().user).await?;
        let renewed = record.and_then(|record| verified.renewed(&record, position));
        let Some(renewed) = renewed else {
            metrics::cache("none");
            return Ok(None);
        };
        Ok(Some(self.cache.remember_right(*key, renewed)))
    }

    /// Whether the store still says what it said when the grant was read: its generation, or `all` of it.
    async fn is_unmoved(&self, grant: &Grant, all: bool) -> Result<bool, Outage> {
        if self.revocation.vouches_for(grant) {
            return Ok(true);
        }
        let account = self.store.account(&grant.user).await?;
        let now = account.map_or((0, 0), |account| (account.generation.0, account.changed.0));
        Ok(now.0 == grant.generation.0 && (!all || now.1 == grant.changed.0))
    }

    /// The credential that the password is right for.
    async fn verify<'a>(
        &self,
        attempt: &Attempt,
        user: &Username,
        record: Option<&'a LoginRecord>,
        deadline: Instant,
    ) -> Result<Option<&'a Credential>, Outage> {
        let usable = record.map(|record| usable(record, attempt.purpose)).unwrap_or_default();
        for credential in &usable {
            if self.matches(attempt, user.as_str(), &credential.hash, deadline).await? {
                return Ok(Some(credential));
            }
        }
        if usable.is_empty() {
            self.matches(attempt, user.as_str(), &self.nobody, deadline).await?;
        }
        Ok(None)
    }

    async fn matches(
        &self,
        attempt: &Attempt,
        user: &str,
        hash: &StoredHash,
        deadline: Instant,
    ) -> Result<bool, Outage> {
        let (from, password) = (Network::of(attempt.origin), attempt.password.clone());
        let verified = self.pool.verify(from, password, user.to_owned(), hash.clone(), deadline).await;
        verified.map_err(Outage::Hash)
    }

    /// The password is right; may its owner come in?
    fn permit(&self, attempt: &Attempt, identity: &Identity) -> Verdict {
        let account = &identity.account;
        let asked_for = attempt.authzid.as_deref().filter(|authzid| !authzid.is_empty());
        let himself = |authzid| self.username(authzid).as_ref() == Ok(&account.username);
        if !account.enabled {
            return Refusal::Disabled.into();
        }
        if !asked_for.is_none_or(himself) {
            return Refusal::Authorization.into();
        }
        if let Some(networks) = account.fields.get("allow_nets")
            && !network::allows(networks, attempt.origin)
        {
            return Refusal::Network.into();
        }
        Verdict::Accept(Box::new(identity.clone()))
    }

    /// Takes down what only the clear password tells, off the login's path: its fingerprint, and a hash in the place of
    /// one weaker than the configured.
    fn take_down(&self, attempt: &Attempt, account: &Account, credential: &Credential) {
        let fingerprint = self.fingerprint_key.fingerprint(&account.username, &attempt.password);
        let is_weak = password::needs_rehash(&attempt.password, &credential.hash, self.pool.cost());
        if !is_weak && credential.known.current == Some(fingerprint) {
            return;
        }
        let Ok(permit) = Arc::clone(&self.upgrades).try_acquire_owned() else { return };
        if !is_weak {
            let (store, user) = (Arc::clone(&self.store), account.username.clone());
            let (credential, generation) = (credential.name, credential.generation);
            tokio::spawn(async move {
                if let Err(error) = store.remember_fingerprint(&user, credential, generation, fingerprint).await {
                    tracing::debug!(%user, %error, "fingerprint not taken down; the next login tries again");
                }
                drop(permit);
            });
            return;
        }
        let (pool, revocation) = (Arc::clone(&self.pool), Arc::clone(&self.revocation));
        let upgrade = Upgrade {
            user: account.username.clone(),
            credential: credential.name,
            verified: credential.hash.clone(),
            fingerprint,
            generation: account.generation,
            origin: attempt.origin,
            at: attempt.at,
        };
        let password = attempt.password.clone();
        tokio::spawn(async move {
            upgrade.run(password, &pool, &revocation).await;
            drop(permit);
        });
    }

    /// Tells throttle, history, metrics and log what came of it.
    fn conclude(&self, attempt: &Attempt, user: Option<&Username>, verdict: Verdict, answer_at: Instant) -> Judgement {
        let account = user.map_or("", Username::as_str);
        let (origin, service) = (attempt.origin, quoted(&attempt.service));
        let session = attempt.session.as_ref().map(|session| display(quoted(session)));
        let (outcome, credential) = match &verdict {
            Verdict::Accept(identity) => {
                self.throttle.record_success(attempt.purpose.tally(), origin, account);
                tracing::info!(user = %account, %origin, %service, session, "login accepted");
                (Some(LoginOutcome::Accepted), Some(identity.credential))
            }
            Verdict::Refuse(refusal) => {
                if *refusal == Refusal::Wrong && !attempt.no_penalty {
                    self.throttle.record_failure(attempt.purpose.tally(), origin, account, attempt.arrived);
                }
                tracing::info!(user = %quoted(&attempt.name), %origin, %service, session, reason = refusal.as_str(), "login refused");
                let outcome = match refusal {
                    Refusal::Previous => LoginOutcome::PreviousPassword,
                    _ => LoginOutcome::Refused,
                };
                (Some(outcome), None)
            }
            Verdict::TryLater(outage) => {
                tracing::warn!(user = %quoted(&attempt.name), %origin, %service, session, %outage, "login put off");
                (None, None)
            }
        };
        metrics::login(verdict.as_str(), &attempt.service);
        if let (Some(user), Some(outcome)) = (user, outcome) {
            let login = LoginEntry {
                user: user.clone(),
                at: attempt.at,
                outcome,
                credential,
                service: attempt.service.clone(),
                origin: origin.to_string(),
                session: attempt.session.clone(),
            };
            let is_client = outcome == LoginOutcome::Accepted && attempt.purpose == Purpose::Mail;
            let client = is_client.then(|| Sighting::of_login(&login, attempt.user_agent.clone()));
            self.history.record(login, client);
        }
        Judgement { verdict, answer_at }
    }
}

/// The passwords that may be given for a purpose.
fn usable(record: &LoginRecord, purpose: Purpose) -> Vec<&Credential> {
    let usable = |name| match (purpose, name) {
        (Purpose::Mail, CredentialName::Main) => record.account.main_password_for_mail,
        (Purpose::Mail, CredentialName::Application(_)) => true,
        (Purpose::Account, name) => name == CredentialName::Main,
    };
    record.credentials.iter().filter(|credential| usable(credential.name)).collect()
}
