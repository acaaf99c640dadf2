//! What the pool promises to those who wait, and to those who have left.

use std::sync::mpsc;
use std::time::Duration;

use super::*;

fn pool(threads: usize, queue: usize) -> HashPool {
    let threads = NonZeroUsize::new(threads).unwrap();
    let cost = Cost::new(64, 1, 1).unwrap();
    HashPool::start(Settings { threads, queue, cost, ceilings: Ceilings::default() }).unwrap()
}

const HERE: Network = Network::Local(0);

fn far() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// Keeps the only thread busy until the sender is dropped; returns once it is.
async fn occupy(pool: &Arc<HashPool>) -> (mpsc::Sender<()>, tokio::task::JoinHandle<Result<(), PoolError>>) {
    let (release, released) = mpsc::channel::<()>();
    let (begun, beginning) = oneshot::channel();
    let busy = Arc::clone(pool);
    let job = tokio::spawn(async move {
        let wait = move |_: &mut Workspace| {
            begun.send(()).unwrap();
            released.recv().unwrap_err();
        };
        busy.run(None, far(), wait).await
    });
    beginning.await.unwrap();
    (release, job)
}

#[tokio::test]
async fn a_hash_made_by_the_pool_is_verified_by_it() {
    let pool = pool(2, 4);
    let hash = pool.hash(Secret::from("right"), [1; 16], far()).await.unwrap();
    for (password, fits) in [("right", true), ("wrong", false)] {
        let verdict = pool.verify(HERE, Secret::from(password), "ann@example.org".into(), hash.clone(), far()).await;
        assert_eq!(verdict.unwrap(), fits, "{password}");
    }
}

#[tokio::test]
async fn hashes_and_those_turned_away_are_counted() {
    let pool = pool(1, 1);
    pool.hash(Secret::from("x"), [1; 16], far()).await.unwrap();
    pool.hash(Secret::from("x"), [1; 16], Instant::now()).await.unwrap_err();
    let text = metrics::encode();
    for name in ["gatepost_hash_seconds_count", "gatepost_hash_turned_away_total{reason=\"too-late\"}"] {
        let count = text.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        assert_ne!(count.trim(), "0", "{name}");
    }
}

#[tokio::test]
async fn a_hash_above_the_ceiling_is_not_computed() {
    let pool = pool(1, 1);
    let greedy = password::dummy(&Cost::new(u32::MAX, 1, 1).unwrap());
    let verdict = pool.verify(HERE, Secret::from("x"), "ann@example.org".into(), greedy, far()).await;
    assert!(matches!(verdict, Err(PoolError::Unverifiable(VerifyError::TooMuchMemory { .. }))), "{verdict:?}");
}

#[tokio::test]
async fn one_job_more_than_the_queue_holds_is_refused_at_once() {
    let pool = Arc::new(pool(1, 1));
    let (release, busy) = occupy(&pool).await;
    let mut waiting = Box::pin(pool.run(None, far(), |_| 7));
    assert!(poll_once(&mut waiting).is_pending());
    assert_eq!(pool.waiting(), 1);
    assert!(matches!(pool.run(None, far(), |_| ()).await, Err(PoolError::Full)));
    drop(release);
    busy.await.unwrap().unwrap();
    assert_eq!(waiting.await.unwrap(), 7);
}

#[tokio::test]
async fn a_caller_who_left_makes_room_in_a_full_queue() {
    let pool = Arc::new(pool(1, 1));
    let (release, busy) = occupy(&pool).await;
    let mut impatient = Box::pin(pool.run(None, far(), |_| ()));
    assert!(poll_once(&mut impatient).is_pending());
    drop(impatient);
    let mut patient = Box::pin(pool.run(None, far(), |_| 7));
    assert!(poll_once(&mut patient).is_pending());
    drop(release);
    busy.await.unwrap().unwrap();
    assert_eq!(patient.await.unwrap(), 7);
}

#[tokio::test]
async fn a_job_whose_deadline_passed_is_too_late_and_never_run() {
    let pool = Arc::new(pool(1, 4));
    let (release, busy) = occupy(&pool).await;
    let (ran, running) = mpsc::channel();
    let late = pool.run(None, Instant::now(), move |_| ran.send(()).unwrap()).await;
    assert!(matches!(late, Err(PoolError::TooLate)), "{late:?}");
    drop(release);
    busy.await.unwrap().unwrap();
    pool.run(None, far(), |_| ()).await.unwrap();
    assert_eq!(running.try_recv(), Err(mpsc::TryRecvError::Disconnected));
}

#[tokio::test]
async fn a_panic_ends_one_job_and_not_the_thread() {
    let pool = pool(1, 1);
    let panicked = pool.run(None, far(), |_| panic!("on purpose")).await;
    assert!(matches!(panicked, Err(PoolError::Panicked)), "{panicked:?}");
    assert_eq!(pool.run(None, far(), |_| 7).await.unwrap(), 7);
}

#[tokio::test]
async fn the_end_of_the_pool_waits_for_the_job_begun_and_refuses_the_others() {
    let pool = Arc::new(pool(1, 4));
    let (release, busy) = occupy(&pool).await;
    let waiting = pool.run(None, far(), |_| ());
    let mut waiting = Box::pin(waiting);
    assert!(poll_once(&mut waiting).is_pending());
    pool.shared.close();
    assert!(matches!(waiting.await, Err(PoolError::ShutDown)));
    assert!(matches!(pool.run(None, far(), |_| ()).await, Err(PoolError::ShutDown)));
    drop(release);
    busy.await.unwrap().unwrap();
    let shared = Arc::downgrade(&pool.shared);
    drop(pool);
    assert_eq!(shared.strong_count(), 0, "a thread outlived its pool");
}

fn poll_once<F: Future + Unpin>(future: &mut F) -> std::task::Poll<F::Output> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    std::pin::Pin::new(future).poll(&mut context)
}
