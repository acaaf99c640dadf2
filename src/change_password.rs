//! Change a password: the right to → policy, all reasons at once → hash → one transaction → receipt.
//!
//! Every door calls this, so none can forget a step. What makes an account hashes its first password here too.
//!
//! Trusts: the door that calls [`ChangePassword::reset`] to have checked that its caller may.
//! Fails:  with [`NotDone`], which keeps "no" apart from "not now"; in both cases nothing was written.

use std::sync::Arc;
use std::time::Instant;

use gatepost_protocol::Secret;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::account::{Fingerprint, Generation, StoredHash, Username};
use crate::authenticate::{Attempt, Authenticator, Judgement, Outage, Refusal, Verdict};
use crate::config::{DEFAULT_POLICY, Live};
use crate::hash_pool::{HashPool, PoolError};
use crate::password::fingerprint::FingerprintKey;
use crate::password::policy::{Policy, Reason};
use crate::password::{self, Ceilings, VerifyError, generator};
use crate::revocation::Revocation;
use crate::store::{Author, Change, CommitError, Conflict, Delivery, Door, Store, StoreError};

/// When something was asked for, and until when hashing for it is worth the while.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub now: Timestamp,
    pub deadline: Instant,
}

/// A password to be set.
#[derive(Debug)]
pub enum NewPassword {
    Chosen(Secret),
    /// Made here, and told once in the answer.
    Generated,
    /// Made elsewhere. No policy can look into it; its scheme must be known and its cost within the ceilings.
    Hashed(StoredHash),
}

/// What came of a change by someone who had to know the current password, and when it may be told.
#[derive(Debug)]
pub struct Answer {
    pub outcome: Result<PasswordSet, NotChanged>,
    pub answer_at: Instant,
}

/// Why the password is as it was.
#[derive(Debug)]
pub enum NotChanged {
    /// The current password was refused.
    Current(Refusal),
    /// The current password could not be verified.
    Unverified(Outage),
    NotDone(NotDone),
}

/// Somebody who knew the current password, and may set another while it is the current one.
#[derive(Debug)]
pub struct Owner {
    user: Username,
    generation: Generation,
    author: Author,
}

/// Whether somebody knew the current password, and when that may be told.
#[derive(Debug)]
pub struct Proof {
    pub outcome: Result<Owner, NotProven>,
    pub answer_at: Instant,
}

/// Why nobody was found to know the current password.
#[derive(Debug)]
pub enum NotProven {
    Refused(Refusal),
    Unverified(Outage),
}

/// A password that has been set.
#[derive(Debug)]
pub struct PasswordSet {
    /// What was generated, for the one who asked to hear it.
    pub generated: Option<Secret>,
    pub generation: Generation,
    pub receipt: Delivery,
}

/// Why nothing was changed: only one of the two is worth trying again.
#[derive(Debug, thiserror::Error)]
pub enum NotDone {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    NotNow(#[from] NotNow),
}

/// "No": what was asked for cannot be.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error(transparent)]
    Conflict(#[from] Conflict),
    #[error("the password does not meet the policy")]
    Policy(Vec<Reason>),
    #[error("the hash cannot be used: {0}")]
    Hash(VerifyError),
    #[error("there is no password profile of that name; the configuration's `[policy.NAME]` sections name them")]
    NoProfile,
    /// A value that no account can have; the text says which and why.
    #[error("{0}")]
    Invalid(String),
}

/// "Not now": the same may work in a moment.
#[derive(Debug, thiserror::Error)]
pub enum NotNow {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot check the password: {0}")]
    Checking(PoolError),
    #[error("cannot hash the password: {0}")]
    Hashing(PoolError),
    #[error("cannot draw random bytes: {0}")]
    Randomness(getrandom::Error),
}

impl From<Conflict> for NotDone {
    fn from(conflict: Conflict) -> Self {
        Self::Refused(conflict.into())
    }
}

impl From<StoreError> for NotDone {
    fn from(error: StoreError) -> Self {
        Self::NotNow(error.into())
    }
}

impl From<CommitError> for NotDone {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Conflict(conflict) => conflict.into(),
            CommitError::Store(error) => error.into(),
        }
    }
}

/// A password that may be set, hashed.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) hash: StoredHash,
    /// `None` where only the hash is known.
    pub(crate) fingerprint: Option<Fingerprint>,
    pub(crate) generated: Option<Secret>,
}

/// The use case, with what it needs.
#[derive(Clone, Debug)]
pub struct ChangePassword {
    store: Arc<dyn Store>,
    revocation: Arc<Revocation>,
    authenticator: Arc<Authenticator>,
    hash_pool: Arc<HashPool>,
    live: watch::Receiver<Arc<Live>>,
    ceilings: Ceilings,
    fingerprint_key: Arc<FingerprintKey>,
}

impl ChangePassword {
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        revocation: Arc<Revocation>,
        authenticator: Arc<Authenticator>,
        hash_pool: Arc<HashPool>,
        live: watch::Receiver<Arc<Live>>,
        ceilings: Ceilings,
        fingerprint_key: Arc<FingerprintKey>,
    ) -> Self {
        Self { store, revocation, authenticator, hash_pool, live, ceilings, fingerprint_key }
    }

    /// Sets the main password of whoever knows the current one. The caller waits until `answer_at` before it answers.
    ///
    /// Of two such changes at once one wins; the other begins once more, and hears that the current password is not
    /// right any longer.
    pub async fn change(&self, current: &Attempt, new: Secret, door: Door, deadline: Instant) -> Answer {
        let answer = self.change_once(current, new.clone(), door, deadline).await;
        if let Err(NotChanged::NotDone(NotDone::Refused(Refused::Conflict(Conflict::Moved)))) = answer.outcome {
            return self.change_once(current, new, door, deadline).await;
        }
        answer
    }

    async fn change_once(&self, current: &Attempt, new: Secret, door: Door, deadline: Instant) -> Answer {
        let Proof { outcome, answer_at } = self.prove(current, door).await;
        let outcome = match outcome {
            Ok(owner) => {
                let moment = Moment { now: current.at, deadline };
                self.change_own(owner, new, moment).await.map_err(NotChanged::NotDone)
            }
            Err(NotProven::Refused(refusal)) => Err(NotChanged::Current(refusal)),
            Err(NotProven::Unverified(outage)) => Err(NotChanged::Unverified(outage)),
        };
        Answer { outcome, answer_at }
    }

    /// The first half of [`Self::change`], for a door that hears the current password before the new one. The caller
    /// waits until `answer_at` before it answers.
    pub async fn prove(&self, current: &Attempt, door: Door) -> Proof {
        let Judgement { verdict, answer_at } = self.authenticator.authenticate(current).await;
        let outcome = match verdict {
            Verdict::Accept(identity) => {
                let user = identity.account.username.clone();
                let author = Author { who: user.to_string(), door, origin: Some(current.origin) };
                Ok(Owner { user, generation: identity.generation, author })
            }
            Verdict::Refuse(refusal) => Err(NotProven::Refused(refusal)),
            Verdict::TryLater(outage) => Err(NotProven::Unverified(outage)),
        };
        Proof { outcome, answer_at }
    }

    /// The second half: whatever has changed the account since the proof voids it.
    ///
    /// # Errors
    /// [`Conflict::Moved`] when the proof is void; else as [`Self::reset`].
    pub async fn change_own(&self, owner: Owner, new: Secret, moment: Moment) -> Result<PasswordSet, NotDone> {
        let Owner { user, generation, author } = owner;
        self.set(&user, NewPassword::Chosen(new), Some(generation), &author, moment).await
    }

    /// Sets the main password without asking for the current one.
    ///
    /// # Errors
    /// [`Refused`] when there is no such account or the password may not be; [`NotNow`] when it could not be tried.
    pub async fn reset(
        &self,
        user: &Username,
        password: NewPassword,
        author: &Author,
        moment: Moment,
    ) -> Result<PasswordSet, NotDone> {
        self.set(user, password, None, author, moment).await
    }

    /// With `expected`, only if that is still the account's generation.
    async fn set(
        &self,
        user: &Username,
        password: NewPassword,
        expected: Option<Generation>,
        author: &Author,
        moment: Moment,
    ) -> Result<PasswordSet, NotDone> {
        let domain = self.store.domain(&user.domain()).await?.ok_or(Conflict::NoAccount)?;
        self.store.generation(user).await?.ok_or(Conflict::NoAccount)?;
        let Prepared { hash, fingerprint, generated } =
            self.prepare(user, password, &domain.profile, moment.deadline).await?;
        let change = Change::SetPassword { user: user.clone(), hash, fingerprint, expected };
        let recorded = self.revocation.commit(vec![change], author, moment.now).await?;
        let generation = recorded.committed.generation.ok_or(Conflict::NoAccount)?;
        Ok(PasswordSet { generated, generation, receipt: self.revocation.receipt(recorded).await })
    }

    /// Checks the password against the profile's policy and hashes it.
    pub(crate) async fn prepare(
        &self,
        user: &Username,
        password: NewPassword,
        profile: &str,
        deadline: Instant,
    ) -> Result<Prepared, NotDone> {
        let policy = self.policy(profile);
        let (secret, generated) = match password {
            NewPassword::Hashed(hash) => {
                password::inspect(&hash, &self.ceilings).map_err(Refused::Hash)?;
                return Ok(Prepared { hash, fingerprint: None, generated: None });
            }
            NewPassword::Generated => {
                let secret = generator::generate(&policy, &random()?);
                (secret.clone(), Some(secret))
            }
            NewPassword::Chosen(secret) => (secret, None),
        };
        let checked = self.hash_pool.check(policy, secret.clone(), user.clone(), deadline).await;
        checked.map_err(NotNow::Checking)?.map_err(Refused::Policy)?;
        let fingerprint = Some(self.fingerprint_key.fingerprint(user, &secret));
        let hash = self.hash_pool.hash(secret, random()?, deadline).await.map_err(NotNow::Hashing)?;
        Ok(Prepared { hash, fingerprint, generated })
    }

    /// Whether a domain may name this profile.
    pub(crate) fn has_profile(&self, profile: &str) -> bool {
        self.live.borrow().policies.contains_key(profile)
    }

    /// A profile that has gone from the configuration leaves its domains with the default, never with no policy.
    fn policy(&self, profile: &str) -> Policy {
        let policies = &self.live.borrow().policies;
        policies.get(profile).or_else(|| policies.get(DEFAULT_POLICY)).cloned().unwrap_or_default()
    }
}

fn random() -> Result<[u8; 16], NotNow> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(NotNow::Randomness)?;
    Ok(bytes)
}
