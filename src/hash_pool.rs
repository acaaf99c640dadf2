//! The hash pool: a fixed number of threads that verify, check and hash passwords, behind a bounded queue.
//!
//! Hashing is what a login costs; here it can neither stall the threads that talk to clients nor grow without bounds, and
//! networks take turns at it. Each thread keeps argon2's memory from one hash to the next.
//!
//! Trusts: its callers, to have asked the throttle first; and their deadlines.
//! Fails:  with [`PoolError`], which always means "not now". A panic ends one job, never a thread.
//! Limits: a hash that has begun is computed to its end, even if nobody waits for it any more.

mod lanes;

use std::fmt;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use gatepost_protocol::Secret;
use tokio::sync::oneshot;

use crate::account::{Network, StoredHash, Username};
use crate::password::policy::{Policy, Reason};
use crate::password::{self, Ceilings, Cost, HashError, VerifyError, Workspace};
use crate::telemetry::metrics;
use lanes::{Lane, Lanes};

/// How large the pool is and what a hash may cost there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub threads: NonZeroUsize,
    /// Jobs that may wait; one more is refused at once, or takes the place of one from a network with more of them.
    pub queue: usize,
    pub cost: Cost,
    pub ceilings: Ceilings,
}

impl Default for Settings {
    /// A thread for each core, and for each of them as many waiting as it hashes in three seconds.
    fn default() -> Self {
        let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let queue = threads.get().saturating_mul(100);
        Self { threads, queue, cost: Cost::default(), ceilings: Ceilings::default() }
    }
}

/// Why there is no answer now. None of these says anything of the password.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    #[error("the queue of the hash pool is full; if this lasts, raise `[hash] threads` or `queue`")]
    Full,
    #[error("the hash pool did not come to it in time; if this lasts, raise `[hash] threads` or lower `memory_kib`")]
    TooLate,
    #[error(transparent)]
    Unverifiable(#[from] VerifyError),
    #[error(transparent)]
    Unhashable(#[from] HashError),
    #[error("hashing failed by a fault of gatepost's own; the log has it, please report it")]
    Panicked,
    #[error("the hash pool is shut down")]
    ShutDown,
}

/// The threads and their queue. Dropping it ends them, after the hashes they have begun.
pub struct HashPool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    settings: Settings,
}

impl HashPool {
    /// Starts the threads and allocates their memory.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub fn start(settings: Settings) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::new(settings.queue));
        let mut pool = Self { shared, threads: Vec::new(), settings };
        for number in 0..pool.settings.threads.get() {
            let (shared, cost) = (Arc::clone(&pool.shared), pool.settings.cost.clone());
            let thread = thread::Builder::new().name(format!("hash-{number}")).spawn(move || shared.work(&cost))?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// Whether `secret`, which came from there, is what `hash` was made from, for the account `user`; before `deadline`
    /// or not at all.
    ///
    /// # Errors
    /// [`PoolError`]: the password is neither right nor wrong then.
    pub async fn verify(
        &self,
        from: Network,
        secret: Secret,
        user: String,
        hash: StoredHash,
        deadline: Instant,
    ) -> Result<bool, PoolError> {
        let ceilings = self.settings.ceilings;
        let verify = move |workspace: &mut Workspace| password::verify(&secret, &user, &hash, &ceilings, workspace);
        Ok(self.run(Some(from), deadline, verify).await??)
    }

    /// A new hash of `secret`, at the configured cost; before `deadline` or not at all.
    ///
    /// # Errors
    /// [`PoolError`]: nothing has been hashed then.
    pub async fn hash(&self, secret: Secret, salt: [u8; 16], deadline: Instant) -> Result<StoredHash, PoolError> {
        let cost = self.settings.cost.clone();
        let hash = move |workspace: &mut Workspace| password::hash(&secret, &cost, &salt, workspace);
        Ok(self.run(None, deadline, hash).await??)
    }

    /// Whether `policy` allows `secret` as a new password of `user`; before `deadline` or not at all.
    ///
    /// # Errors
    /// [`PoolError`]: the password is neither allowed nor forbidden then.
    pub async fn check(
        &self,
        policy: Policy,
        secret: Secret,
        user: Username,
        deadline: Instant,
    ) -> Result<Result<(), Vec<Reason>>, PoolError> {
        self.run(None, deadline, move |_: &mut Workspace| policy.check(&secret, &user)).await
    }

    /// What new hashes cost.
    #[must_use]
    pub fn cost(&self) -> &Cost {
        &self.settings.cost
    }

    /// How many jobs wait, for metrics.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shared.lock().jobs.len()
    }

    async fn run<T: Send + 'static>(
        &self,
        lane: Lane,
        deadline: Instant,
        compute: impl FnOnce(&mut Workspace) -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        let (answer, answered) = oneshot::channel();
        self.shared.push(lane, Box::new(Task { deadline, compute: Some(compute), answer: Some(answer) }))?;
        match tokio::time::timeout_at(deadline.into(), answered).await {
            Ok(Ok(outcome)) => outcome,
            // A stale job is dropped unanswered, and so is every job when the pool ends.
            Ok(Err(_)) if Instant::now() < deadline => Err(PoolError::ShutDown),
            Ok(Err(_)) | Err(_) => {
                metrics::hash_turned_away("too-late");
                Err(PoolError::TooLate)
            }
        }
    }
}

impl Drop for HashPool {
    fn drop(&mut self) {
        self.shared.close();
        for thread in self.threads.drain(..) {
            // A thread that ended by a panic outside of a job has nothing left to wait for.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for HashPool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("HashPool").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// A job in the queue, whatever it answers with.
trait Job: Send {
    /// Whether it is of no use any more, because its time has passed or its caller has left.
    fn is_stale(&self, now: Instant) -> bool;
    /// Computes and answers; `false` when it panicked and the workspace is in an unknown state.
    fn run(&mut self, workspace: &mut Workspace) -> bool;
    /// Answers that there is no room.
    fn turn_away(&mut self);
}

struct Task<T, F> {
    deadline: Instant,
    compute: Option<F>,
    answer: Option<oneshot::Sender<Result<T, PoolError>>>,
}

impl<T: Send, F: FnOnce(&mut Workspace) -> T + Send> Job for Task<T, F> {
    fn is_stale(&self, now: Instant) -> bool {
        self.deadline <= now || self.answer.as_ref().is_none_or(oneshot::Sender::is_closed)
    }

    fn run(&mut self, workspace: &mut Workspace) -> bool {
        let (Some(compute), Some(answer)) = (self.compute.take(), self.answer.take()) else {
            return true;
        };
        let begun = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| compute(workspace)));
        metrics::hash_took(begun.elapsed());
        let sound = outcome.is_ok();
        // The caller may have left meanwhile; then nobody wants the answer.
        let _ = answer.send(outcome.map_err(|_| PoolError::Panicked));
        sound
    }

    fn turn_away(&mut self) {
        metrics::hash_turned_away("full");
        if let Some(answer) = self.answer.take() {
            // The caller may have left meanwhile.
            let _ = answer.send(Err(PoolError::Full));
        }
    }
}

struct Shared {
    queue: Mutex<Queue>,
    arrived: Condvar,
}

struct Queue {
    jobs: Lanes<Box<dyn Job>>,
    open: bool,
}

impl Shared {
    fn new(capacity: usize) -> Self {
        Self { queue: Mutex::new(Queue { jobs: Lanes::new(capacity), open: true }), arrived: Condvar::new() }
    }

    fn push(&self, lane: Lane, job: Box<dyn Job>) -> Result<(), PoolError> {
        let mut queue = self.lock();
        if !queue.open {
            return Err(PoolError::ShutDown);
        }
        if queue.jobs.is_full() {
            let now = Instant::now();
            queue.jobs.retain(|waiting| !waiting.is_stale(now));
        }
        let turned_away = queue.jobs.push(lane, job);
        metrics::hash_queue(queue.jobs.len());
        drop(queue);
        self.arrived.notify_one();
        if let Some(mut job) = turned_away {
            job.turn_away();
        }
        Ok(())
    }

    /// The life of a thread.
    fn work(&self, cost: &Cost) {
        let mut workspace = Workspace::new(cost);
        while let Some(mut job) = self.next() {
            if !job.is_stale(Instant::now()) && !job.run(&mut workspace) {
                workspace = Workspace::new(cost);
            }
        }
    }

    fn next(&self) -> Option<Box<dyn Job>> {
        let idle = |queue: &mut Queue| queue.open && queue.jobs.is_empty();
        let mut queue = self.arrived.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
        let job = if queue.open { queue.jobs.pop() } else { None };
        metrics::hash_queue(queue.jobs.len());
        job
    }

    fn close(&self) {
        let mut queue = self.lock();
        queue.open = false;
        queue.jobs.clear();
        drop(queue);
        self.arrived.notify_all();
    }

    /// No panic can happen while the lock is held but by running out of memory; the queue is whole even then.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
