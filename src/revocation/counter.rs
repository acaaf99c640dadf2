//! Counter: Redis' part in revocation. What it says hurries the tail; what it lacks is told it again.
//!
//! Whatever was raised within the horizon is raised again on each new connection, and each login that was hashed has its
//! account's number compared, so a Redis that came back empty or old mends itself. A number above the store's own means
//! that the store was restored from a backup: its sequence moves past it, and the account is logged out, so that nothing
//! that was granted under the lost rows is honoured.
//!
//! Trusts: Redis to deny a grant, never to make one good that the store would not.
//! Fails:  by doing nothing; the log says the same a second later, and the outbox delivers what is not in Redis.
//! Limits: a login is not compared while [`LOGINS`] others wait. A Redis that came back older than the horizon is mended
//!         account by account, at the next login.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::Revocation;
use super::clock::BootTime;
use super::redis::{Counter, CounterError, Event, Raised, Revoked, Settings};
use super::tail::Grant;
use crate::account::{CredentialName, Generation, RowNumber, Username};
use crate::store::{self, AccountPage, Author, Change, ChangeKind, CommitError, Door, EVERYONE, Store, StoreError};
use crate::telemetry::metrics;

/// Logins that may wait to be compared.
const LOGINS: usize = 1_024;
/// Subjects, or accounts, that are read and raised at a time.
const PAGE: u32 = 500;
/// Pauses after a failure to raise everything again, while the connection lasts.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// What the rest of revocation needs of Redis.
#[derive(Clone, Debug)]
pub struct Counters {
    counter: Counter,
    logins: mpsc::Sender<(Username, Generation)>,
}

/// The tasks that keep Redis and this process at one; they are run as one.
pub struct Mirror {
    store: Arc<dyn Store>,
    counter: Counter,
    keeper: Pin<Box<dyn Future<Output = ()> + Send>>,
    events: mpsc::Receiver<Event>,
    logins: mpsc::Receiver<(Username, Generation)>,
    horizon: Duration,
    stop: CancellationToken,
}

impl std::fmt::Debug for Mirror {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Mirror").field("counter", &self.counter).finish_non_exhaustive()
    }
}

/// Why not everything was raised.
#[derive(Debug, thiserror::Error)]
enum MirrorError {
    #[error(transparent)]
    Counter(#[from] CounterError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Both ends, for as long as `stop` has not come.
pub fn mirror(settings: Settings, store: Arc<dyn Store>, stop: CancellationToken) -> (Counters, Mirror) {
    let horizon = settings.horizon;
    let (counter, events, keeper) = Counter::start(settings, stop.clone());
    let (sender, logins) = mpsc::channel(LOGINS);
    let counters = Counters { counter: counter.clone(), logins: sender };
    (counters, Mirror { store, counter, keeper: Box::pin(keeper), events, logins, horizon, stop })
}

impl Counters {
    #[must_use]
    pub fn counter(&self) -> Counter {
        self.counter.clone()
    }
}

impl Revocation {
    #[must_use]
    pub fn with_counters(mut self, counters: Counters) -> Self {
        self.counters = Some(counters);
        self
    }

    /// A login was verified at this generation: whether Redis knows it is looked at by and by. Never waits.
    pub fn compare(&self, user: &Username, generation: Generation) {
        if let Some(counters) = &self.counters
            && counters.logins.try_send((user.clone(), generation)).is_err()
        {
            metrics::redis_login_dropped();
        }
    }

    /// Whether Redis holds exactly the generations of the grant: what may be asked when the tail is not to be trusted.
    pub async fn is_confirmed(&self, grant: &Grant) -> bool {
        let Some(Counters { counter, .. }) = &self.counters else { return false };
        let holds = async |credential, generation| {
            counter.ask(&grant.user, credential).await.is_ok_and(|held| held == Some(generation))
        };
        holds(CredentialName::Main, grant.generation).await
            && match grant.application {
                Some((name, own)) => holds(name, own).await,
                None => true,
            }
    }

    /// Redis holds a number for this password that is higher than the one it was asked to hold. Unless the store knows
    /// better by now, the row that gave it is lost: the next row's number will be above it, and the account's is.
    ///
    /// # Errors
    /// When the store could not be moved past it.
    pub async fn catch_up(
        self: &Arc<Self>,
        user: &Username,
        credential: CredentialName,
        held: Generation,
    ) -> Result<(), CommitError> {
        let known = self.store.generation(user).await?;
        if credential == CredentialName::Main && known.is_some_and(|known| known >= held) {
            return Ok(());
        }
        if self.store.newest_row().await? < RowNumber(held.0) {
            self.store.advance_past(RowNumber(held.0)).await?;
            tracing::warn!(
                %user,
                held = held.0,
                "Redis knows of later changes than the store, which was restored from a backup; run `gatepost logout --all`"
            );
        }
        if known.is_none() || credential != CredentialName::Main {
            return Ok(());
        }
        let author = Author { who: "gatepost".to_owned(), door: Door::Gatepost, origin: None };
        match self.commit(vec![Change::LogOut { user: user.clone() }], &author, Timestamp::now()).await {
            // Removed meanwhile: made again, it begins above the sequence.
            Ok(_) | Err(CommitError::Conflict(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn heard(&self, revoked: &Revoked) {
        self.tail().heard(revoked.user.as_str(), revoked.credential, revoked.generation, BootTime::now());
    }
}

impl Mirror {
    /// Until it is told to stop.
    pub async fn run(self, revocation: Arc<Revocation>) {
        let Self { store, counter, keeper, mut events, mut logins, horizon, stop } = self;
        let again = Again { store, counter, revocation: Arc::clone(&revocation), horizon };
        let listen = async {
            let mut raising = None;
            while let Some(event) = events.recv().await {
                match event {
                    Event::Message(revoked) => revocation.heard(&revoked),
                    Event::Connected => {
                        raising = Some(AbortOnDropHandle::new(tokio::spawn(again.clone().everything())));
                    }
                    Event::Disconnected => raising = None,
                    Event::Lagged => tracing::debug!("messages of changes were missed; the log has them"),
                }
            }
            drop(raising);
        };
        let compare = async {
            while let Some((user, generation)) = logins.recv().await {
                if let Err(error) = again.login(&user, generation).await {
                    tracing::debug!(%user, %error, "a login was not compared with Redis");
                }
            }
        };
        let together = async { tokio::join!(keeper, listen, compare) };
        stop.run_until_cancelled(together).await;
    }
}

/// Tells Redis again what it may have lost.
#[derive(Clone)]
struct Again {
    store: Arc<dyn Store>,
    counter: Counter,
    revocation: Arc<Revocation>,
    horizon: Duration,
}

impl Again {
    /// What was raised within the horizon; tried until it is done.
    async fn everything(self) {
        let pauses = ExponentialBuilder::new().with_min_delay(FIRST_PAUSE).with_max_delay(LAST_PAUSE);
        let mut pauses = pauses.without_max_times().with_jitter().build();
        loop {
            let error = match self.once().await {
                Ok(raised) => return tracing::info!(raised, "Redis has every change of the horizon"),
                Err(error) => error,
            };
            tracing::warn!(%error, "not every change of the horizon could be raised in Redis; trying again");
            sleep(pauses.next().unwrap_or(LAST_PAUSE)).await;
        }
    }

    /// How many numbers Redis lacked.
    async fn once(&self) -> Result<usize, MirrorError> {
        let horizon = SignedDuration::try_from(self.horizon).unwrap_or(SignedDuration::MAX);
        let since = Timestamp::now().checked_sub(horizon).unwrap_or(Timestamp::MIN);
        let mut lacked = 0;
        let mut everyone = None;
        let mut after = String::new();
        loop {
            let page = self.store.raised_since(since, &after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after.clone_from(&last.subject);
            let mut revoked = Vec::with_capacity(page.len());
            for raised in page {
                if raised.subject == EVERYONE {
                    everyone = Some(raised);
                } else {
                    revoked.extend(revoked_of(&raised));
                }
            }
            lacked += self.raise(&revoked).await?;
        }
        if let Some(everyone) = everyone {
            lacked += self.everyone(&everyone).await?;
        }
        Ok(lacked)
    }

    /// All accounts whose generation is that row; the others' are of later rows of their own.
    async fn everyone(&self, row: &store::Raised) -> Result<usize, MirrorError> {
        let mut lacked = 0;
        let mut page = AccountPage { domain: None, query: None, after: None, limit: PAGE };
        loop {
            let accounts = self.store.accounts(&page).await?;
            let Some(last) = accounts.last() else { return Ok(lacked) };
            page.after = Some(last.username.clone());
            let concerned = accounts.into_iter().filter(|account| account.generation == row.generation);
            let revoked: Vec<_> =
                concerned.map(|account| of_account(account.username, row.generation, row.kind, row.at)).collect();
            lacked += self.raise(&revoked).await?;
        }
    }

    async fn login(&self, user: &Username, generation: Generation) -> Result<(), MirrorError> {
        match self.counter.ask(user, CredentialName::Main).await? {
            Some(held) if held == generation => Ok(()),
            Some(held) if held > generation => {
                self.catch_up(user, CredentialName::Main, held).await;
                Ok(())
            }
            _ => {
                // The row that gave the generation, perhaps everybody's.
                let Some(delivery) = self.store.delivery(RowNumber(generation.0)).await? else { return Ok(()) };
                let revoked = of_account(user.clone(), generation, delivery.row.kind, delivery.row.at);
                self.raise(&[revoked]).await.map(drop)
            }
        }
    }

    /// One that cannot be passed must not hold up the others.
    async fn catch_up(&self, user: &Username, credential: CredentialName, held: Generation) {
        if let Err(error) = self.revocation.catch_up(user, credential, held).await {
            let held = held.0;
            tracing::warn!(%user, held, %error, "Redis holds a number that the store never gave and cannot pass; delete the key");
        }
    }

    async fn raise(&self, revoked: &[Revoked]) -> Result<usize, MirrorError> {
        let answers = self.counter.raise_all(revoked).await?;
        for (asked, Raised { now, .. }) in revoked.iter().zip(&answers) {
            if *now > asked.generation {
                self.catch_up(&asked.user, asked.credential, *now).await;
            }
        }
        Ok(answers.iter().filter(|raised| raised.published).count())
    }
}

/// `None` for a subject that is no account.
fn revoked_of(raised: &store::Raised) -> Option<Revoked> {
    let user = raised.subject.parse().ok()?;
    let credential = raised.credential.unwrap_or(CredentialName::Main);
    Some(Revoked { credential, ..of_account(user, raised.generation, raised.kind, raised.at) })
}

fn of_account(user: Username, generation: Generation, kind: ChangeKind, at: Timestamp) -> Revoked {
    Revoked { user, credential: CredentialName::Main, generation, reason: kind.to_string(), at }
}
