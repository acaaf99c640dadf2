//! The counter's part of a change: raises Redis' number, and mends the store's sequence where Redis knows a higher one.

use jiff::Timestamp;

use super::{Errands, Subject};
use crate::account::{CredentialName, Generation, RowNumber, Username};
use crate::revocation::redis::{Counter, CounterError, Raised, Revoked};
use crate::store::{AccountPage, Author, Change, CommitError, Door, StoreError};

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
    let mut page = AccountPage { domain: None, query: None, after: None, limit: PAGE };
    loop {
        let accounts = errands.store.accounts(&page).await?;
        let Some(last) = accounts.last() else { return Ok(()) };
        page.after = Some(last.username.clone());
        let revoked = accounts.iter().map(|account| Revoked {
            user: account.username.clone(),
            credential: CredentialName::Main,
            // Perhaps it was raised further meanwhile.
            generation: account.generation,
            reason: row.kind.to_string(),
            at: row.at,
        });
        raise_all(errands, counter, &revoked.collect::<Vec<_>>()).await?;
    }
}

async fn raise_all(errands: &Errands, counter: &Counter, revoked: &[Revoked]) -> Result<(), NotRaised> {
    let raised = counter.raise_all(revoked).await?;
    for (asked, Raised { now, .. }) in revoked.iter().zip(raised) {
        if now > asked.generation {
            catch_up(errands, &asked.user, asked.credential, now).await?;
        }
    }
    Ok(())
}

/// Redis' number only ever came of a row, so if the store has no such row it was restored from a backup. The account
/// gets a generation above it, and everybody who compares with Redis is right again.
async fn catch_up(
    errands: &Errands,
    user: &Username,
    credential: CredentialName,
    held: Generation,
) -> Result<(), NotRaised> {
    let store = &errands.store;
    let known = store.generation(user).await?;
    if credential == CredentialName::Main && known.is_some_and(|known| known >= held) {
        return Ok(());
    }
    if store.newest_row().await? < RowNumber(held.0) {
        let cause = |cause: StoreError| NotRaised::Behind { held, cause: cause.into() };
        store.advance_past(RowNumber(held.0)).await.map_err(cause)?;
        tracing::warn!(%user, held = held.0, "Redis knows of later changes than the store, which was restored from a backup; run `gatepost logout --all`");
    }
    if known.is_none() || credential != CredentialName::Main {
        return Ok(());
    }
    let author = Author { who: "gatepost".to_owned(), door: Door::Gatepost, origin: None };
    let log_out = vec![Change::LogOut { user: user.clone() }];
    match errands.revocation.commit(log_out, &author, Timestamp::now()).await {
        // Removed meanwhile: made again, it begins above the sequence.
        Ok(_) | Err(CommitError::Conflict(_)) => Ok(()),
        Err(cause) => Err(NotRaised::Behind { held, cause }),
    }
}
