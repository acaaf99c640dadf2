//! The counter's part of a change: raises Redis' number, and has the store catch up where Redis knows a higher one.

use super::{Errands, Subject};
use crate::account::{CredentialName, Generation};
use crate::revocation::redis::{Counter, CounterError, Raised, Revoked};
use crate::store::{AccountPage, CommitError, StoreError};

/// Accounts whose numbers are raised together when everybody's are.
const PAGE: u32 = 500;

/// The number is not where it has to be.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotRaised {
    #[error("{0}; it is raised once Redis is back")]
    Counter(#[from] CounterError),
    #[error("{0}; it is raised once the store is back")]
    Store(#[from] StoreError),
    #[error("Redis holds the higher number {}, from before the store was restored, and it could not be passed: {cause}", .held.0)]
    Behind { held: Generation, cause: CommitError },
}

pub(super) async fn raise(errands: &Errands, subject: &Subject) -> Result<(), NotRaised> {
    let Some(counter) = &errands.counter else { return Ok(()) };
    match &subject.user {
        Some(user) => {
            let rows = subject.newest.iter().map(|(credential, row)| Revoked {
                user: user.clone(),
                credential: *credential,
                generation: Generation(row.number.0),
                reason: row.kind.to_string(),
                at: row.at,
            });
            raise_all(errands, counter, &rows.collect::<Vec<_>>()).await
        }
        None => raise_everybody(errands, counter, subject).await,
    }
}

async fn raise_everybody(errands: &Errands, counter: &Counter, subject: &Subject) -> Result<(), NotRaised> {
    let Some(row) = subject.newest.get(&CredentialName::Main) else { return Ok(()) };
    let mut outcome = Ok(());
    let mut page = AccountPage { domain: None, query: None, after: None, limit: PAGE };
    loop {
        let accounts = errands.store.accounts(&page).await?;
        let Some(last) = accounts.last() else { return outcome };
        page.after = Some(last.username.clone());
        let revoked = accounts.iter().map(|account| Revoked {
            user: account.username.clone(),
            credential: CredentialName::Main,
            // Perhaps it was raised further meanwhile.
            generation: account.generation,
            reason: row.kind.to_string(),
            at: row.at,
        });
        match raise_all(errands, counter, &revoked.collect::<Vec<_>>()).await {
            Err(behind @ NotRaised::Behind { .. }) => outcome = Err(behind),
            raised => raised?,
        }
    }
}

/// One that cannot be passed does not hold up the others.
async fn raise_all(errands: &Errands, counter: &Counter, revoked: &[Revoked]) -> Result<(), NotRaised> {
    let raised = counter.raise_all(revoked).await?;
    let mut outcome = Ok(());
    for (asked, Raised { now, .. }) in revoked.iter().zip(raised) {
        if now > asked.generation
            && let Err(cause) = errands.revocation.catch_up(&asked.user, asked.credential, now).await
        {
            outcome = Err(NotRaised::Behind { held: now, cause });
        }
    }
    outcome
}
