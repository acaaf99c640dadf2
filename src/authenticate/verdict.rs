//! Verdict: what comes of an attempt. "No" and "not now" are never the same.

use std::time::Instant;

use super::PATIENCE;
use crate::account::{Account, CredentialName, Generation};
use crate::hash_pool::PoolError;
use crate::revocation::Grant;
use crate::store::StoreError;

/// The answer to a login. A client that hears "no" may drop a stored password; one that hears "not now" retries.
#[derive(Debug)]
pub enum Verdict {
    Accept(Box<Identity>),
    Refuse(Refusal),
    TryLater(Outage),
}

/// Who logged in, with which password, as of which generation.
#[derive(Clone, Debug)]
pub struct Identity {
    pub account: Account,
    /// In bytes; 0 is no limit.
    pub quota: u64,
    pub credential: CredentialName,
    /// What is granted now is honoured only while this is the account's generation.
    pub generation: Generation,
    /// What that rests on.
    pub grant: Grant,
}

/// Why not. All but [`Refusal::Wrong`] and [`Refusal::Previous`] are told only to the right password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Wrong password or no such user: the two are never told apart.
    Wrong,
    Disabled,
    /// The password that was replaced lately, from where it was used: as wrong as any, and not counted.
    Previous,
    /// `allow_nets` does not allow the address.
    Network,
    /// The right password, but to be somebody else.
    Authorization,
}

/// What was missing for a verdict.
#[derive(Debug, thiserror::Error)]
pub enum Outage {
    #[error("too many wrong passwords from this network for this account; see `[throttle] failures`")]
    Throttled { until: Instant },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Hash(PoolError),
    #[error("no verdict within {PATIENCE:?}")]
    TooSlow,
    #[error("the account kept changing while the password was verified")]
    Moving,
}

/// A verdict, and when it may leave.
#[derive(Debug)]
pub struct Judgement {
    pub verdict: Verdict,
    pub answer_at: Instant,
}

impl Verdict {
    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Self::Accept(_) => "accepted",
            Self::Refuse(_) => "refused",
            Self::TryLater(_) => "put-off",
        }
    }
}

impl Refusal {
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Wrong => "wrong-password",
            Self::Previous => "previous-password",
            Self::Disabled => "disabled",
            Self::Network => "network",
            Self::Authorization => "authorization",
        }
    }
}

impl From<Refusal> for Verdict {
    fn from(refusal: Refusal) -> Self {
        Self::Refuse(refusal)
    }
}

impl From<Outage> for Verdict {
    fn from(outage: Outage) -> Self {
        Self::TryLater(outage)
    }
}
