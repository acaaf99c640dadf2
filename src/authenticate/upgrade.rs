//! Upgrade: a weak hash gives way to a strong one while the password is at hand.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gatepost_protocol::Secret;
use jiff::Timestamp;

use crate::account::{CredentialName, Fingerprint, Generation, Origin, StoredHash, Username};
use crate::hash_pool::HashPool;
use crate::revocation::Revocation;
use crate::store::{Author, Change, CommitError, Conflict, Door};

/// A hash that nobody waits for may take so long to be begun.
const PATIENCE: Duration = Duration::from_secs(4);

/// A hash to be replaced by a stronger one of the same password.
pub(super) struct Upgrade {
    pub(super) user: Username,
    pub(super) credential: CredentialName,
    pub(super) verified: StoredHash,
    pub(super) fingerprint: Fingerprint,
    pub(super) generation: Generation,
    pub(super) origin: Origin,
    pub(super) at: Timestamp,
}

impl Upgrade {
    pub(super) async fn run(self, password: Secret, pool: &HashPool, revocation: &Arc<Revocation>) {
        let mut salt = [0; 16];
        if let Err(error) = getrandom::fill(&mut salt) {
            tracing::warn!(user = %self.user, %error, "hash not upgraded: the system gives no randomness");
            return;
        }
        let upgraded = match pool.hash(password, salt, Instant::now() + PATIENCE).await {
            Ok(hash) => hash,
            Err(error) => {
                tracing::debug!(user = %self.user, %error, "hash not upgraded; the next login tries again");
                return;
            }
        };
        let author = Author { who: self.user.to_string(), door: Door::Login, origin: Some(self.origin) };
        let change = Change::UpgradeHash {
            user: self.user.clone(),
            credential: self.credential,
            verified: self.verified,
            upgraded,
            fingerprint: Some(self.fingerprint),
            generation: self.generation,
        };
        match revocation.commit(vec![change], &author, self.at).await {
            Ok(_) => tracing::info!(user = %self.user, "hash upgraded"),
            // The password was changed meanwhile: its hash is newer than ours.
            Err(CommitError::Conflict(Conflict::Moved | Conflict::NoAccount)) => {}
            Err(error) => tracing::warn!(user = %self.user, %error, "hash not upgraded; the next login tries again"),
        }
    }
}
