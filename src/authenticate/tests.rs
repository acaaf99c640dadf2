//! Races between a login and a change, each forced once: the store stops where the other is to go first.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use gatepost_protocol::Secret;
use jiff::Timestamp;

use super::*;
use crate::account::{AccountType, Origin};
use crate::config::Config;
use crate::hash_pool;
use crate::password::{Ceilings, Cost, fingerprint};
use crate::revocation::{Recorded, Sharing};
use crate::sessions::history::history;
use crate::store::testing::{Point, StagedStore};
use crate::store::{Author, Change, CommitError, Door, NewAccount};
use crate::throttle;

const ANN: &str = "ann@example.org";

/// One account, `ann@example.org`, whose password is `old`.
struct House {
    store: Arc<StagedStore>,
    revocation: Arc<Revocation>,
    authenticator: Arc<Authenticator>,
    pool: Arc<HashPool>,
}

impl House {
    async fn new() -> Self {
        Self::of(Sharing::Sole).await
    }

    async fn of(sharing: Sharing) -> Self {
        let store = StagedStore::new().await;
        let shared: Arc<dyn Store> = store.clone();
        let settings = hash_pool::Settings {
            threads: NonZeroUsize::MIN,
            queue: 16,
            cost: Cost::new(64, 1, 1).expect("a cost"),
            ceilings: Ceilings { memory_kib: 1024, time: Duration::from_secs(1) },
        };
        let pool = Arc::new(HashPool::start(settings).expect("a thread"));
        let revocation = Arc::new(Revocation::new(shared.clone(), sharing));
        let throttle = Arc::new(Throttle::new(throttle::Settings::default(), Instant::now()));
        let (_, live) = watch::channel(Arc::new(Config::embedded().live));
        let (history, _) = history(shared.clone());
        let cache = Cache::new(&Default::default(), [7; cache::KEY_LENGTH]);
        let authenticator = Authenticator::new(Needs {
            store: shared,
            revocation: revocation.clone(),
            cache,
            pool: pool.clone(),
            throttle,
            history,
            live,
            fingerprint_key: Arc::new(FingerprintKey::new([7; fingerprint::KEY_LENGTH])),
        });
        let house = Self { store, revocation, authenticator: Arc::new(authenticator), pool };
        let domain = "example.org".parse().expect("a domain");
        house.commit(Change::AddDomain { domain, profile: "default".to_owned(), default_quota: None }).await;
        house.add_account("old").await;
        house
    }

    async fn try_commit(&self, change: Change) -> Result<Recorded, CommitError> {
        let author = Author { who: "uid:0".to_owned(), door: Door::Command, origin: None };
        self.revocation.commit(vec![change], &author, Timestamp::now()).await
    }

    async fn commit(&self, change: Change) -> Recorded {
        self.try_commit(change).await.expect("it fits")
    }

    async fn hash(&self, password: &str) -> StoredHash {
        let hashed = self.pool.hash(secret(password), [7; 16], Instant::now() + PATIENCE).await;
        hashed.expect("a hash")
    }

    async fn add_account(&self, password: &str) {
        let account = NewAccount {
            username: ann(),
            hash: self.hash(password).await,
            fingerprint: None,
            name: None,
            quota: None,
            enabled: true,
            account_type: AccountType::Person,
            main_password_for_mail: true,
            fields: BTreeMap::new(),
        };
        self.commit(Change::AddAccount(account)).await;
    }

    async fn password(&self, password: &str) -> Change {
        Change::SetPassword { user: ann(), hash: self.hash(password).await, fingerprint: None, expected: None }
    }

    async fn set_password(&self, password: &str) {
        self.commit(self.password(password).await).await;
    }

    /// `accepted`, `wrong-password`, …, or `put-off`.
    async fn log_in(&self, password: &str) -> &'static str {
        outcome(&self.authenticator, password).await
    }

    /// A login that goes on by itself.
    fn begin_login(&self, password: &'static str) -> tokio::task::JoinHandle<&'static str> {
        let authenticator = self.authenticator.clone();
        tokio::spawn(async move { outcome(&authenticator, password).await })
    }

    async fn stored_hash(&self) -> StoredHash {
        let record = self.store.login_record(&ann()).await.expect("it is read").expect("it is there");
        record.credentials.into_iter().next().expect("a main password").hash
    }
}

fn ann() -> Username {
    ANN.parse().expect("a valid name")
}

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

fn attempt(password: &str) -> Attempt {
    Attempt {
        name: ANN.to_owned(),
        authzid: None,
        password: secret(password),
        purpose: Purpose::Mail,
        service: "imap".to_owned(),
        origin: Origin::Address([192, 0, 2, 7].into()),
        no_penalty: false,
        session: None,
        user_agent: None,
        arrived: Instant::now(),
        at: Timestamp::now(),
    }
}

async fn outcome(authenticator: &Authenticator, password: &str) -> &'static str {
    match authenticator.authenticate(&attempt(password)).await.verdict {
        Verdict::Accept(_) => "accepted",
        Verdict::Refuse(refusal) => refusal.as_str(),
        Verdict::TryLater(_) => "put-off",
    }
}

#[tokio::test]
async fn a_password_that_was_right_or_wrong_is_known_again_without_the_store() {
    let house = House::new().await;
    let asked = || [Point::LoginRecordRead, Point::AccountAsked].map(|point| house.store.passed(point));
    for (password, verdict) in [("old", "accepted"), ("guess", "wrong-password")] {
        assert_eq!(house.log_in(password).await, verdict);
        let once = asked();
        assert_eq!(house.log_in(password).await, verdict);
        assert_eq!(asked(), once, "{password}");
    }
}

#[tokio::test]
async fn a_change_between_reading_and_hashing_voids_the_old_password_and_admits_the_new() {
    for (password, verdict) in [("old", "wrong-password"), ("new", "accepted")] {
        let house = House::new().await;
        let mut read = house.store.stop(Point::LoginRecordRead);
        let login = house.begin_login(password);
        read.reached().await;
        house.set_password("new").await;
        drop(read);
        assert_eq!(login.await.expect("it ends"), verdict, "{password}");
    }
}

#[tokio::test]
async fn who_asks_for_the_same_at_the_same_time_shares_a_hash() {
    let house = House::new().await;
    for (password, verdict) in [("old", "accepted"), ("guess", "wrong-password")] {
        let before = house.store.passed(Point::LoginRecordRead);
        let logins = std::array::from_fn::<_, 5, _>(|_| house.begin_login(password));
        for login in logins {
            assert_eq!(login.await.expect("it ends"), verdict);
        }
        assert_eq!(house.store.passed(Point::LoginRecordRead), before + 1, "{password}");
    }
}

#[tokio::test]
async fn a_hash_that_a_change_overtook_is_shared_with_nobody() {
    for (password, verdict) in [("old", "wrong-password"), ("new", "accepted")] {
        let house = House::new().await;
        let mut read = house.store.stop(Point::LoginRecordRead);
        let first = house.begin_login(password);
        read.reached().await;
        let second = house.begin_login(password);
        house.set_password("new").await;
        drop(read);
        for login in [first, second] {
            assert_eq!(login.await.expect("it ends"), verdict, "{password}");
        }
    }
}

#[tokio::test]
async fn a_change_acknowledged_between_verifying_and_accepting_is_noticed() {
    let house = House::new().await;
    let mut committing = house.store.stop(Point::Committing);
    let change = house.password("new").await;
    let committed = house.try_commit(change);
    tokio::pin!(committed);
    tokio::select! {
        () = committing.reached() => {}
        _ = &mut committed => panic!("it was to stop"),
    }
    // The password is verified, and whether that still holds only the store can say while the commit is under way.
    let mut asking = house.store.stop(Point::AccountAsked);
    let login = house.begin_login("old");
    asking.reached().await;
    drop(committing);
    committed.await.expect("it fits");
    drop(asking);
    assert_eq!(login.await.expect("it ends"), "wrong-password");
}

#[tokio::test]
async fn a_remembered_password_is_refused_from_the_commit_on() {
    let house = House::new().await;
    assert_eq!(house.log_in("old").await, "accepted");
    let change = house.password("new").await;
    let [mut before, mut after] = [Point::Committing, Point::Committed].map(|point| house.store.stop(point));
    let committed = house.try_commit(change);
    let observed = async {
        before.reached().await;
        assert_eq!(house.log_in("old").await, "accepted", "nothing is committed yet");
        drop(before);
        after.reached().await;
        assert_eq!(house.log_in("old").await, "wrong-password", "committed, and not even acknowledged");
        assert_eq!(house.log_in("new").await, "accepted", "committed");
        drop(after);
    };
    let (committed, ()) = tokio::join!(committed, observed);
    committed.expect("it fits");
    assert_eq!(house.log_in("old").await, "wrong-password");
}

#[tokio::test]
async fn a_password_remembered_as_wrong_is_right_once_it_is_set() {
    let house = House::new().await;
    assert_eq!(house.log_in("new").await, "wrong-password");
    assert_eq!(house.log_in("new").await, "wrong-password");
    house.set_password("new").await;
    assert_eq!(house.log_in("new").await, "accepted");
}

#[tokio::test]
async fn an_account_made_again_knows_nothing_of_the_one_before() {
    let house = House::new().await;
    assert_eq!(house.log_in("old").await, "accepted");
    assert_eq!(house.log_in("new").await, "wrong-password");
    house.commit(Change::RemoveAccount { user: ann() }).await;
    assert_eq!(house.log_in("old").await, "wrong-password", "removed");
    assert_eq!(house.log_in("old").await, "wrong-password", "removed, and remembered as nobody's");
    house.add_account("new").await;
    assert_eq!(house.log_in("old").await, "wrong-password", "made again");
    assert_eq!(house.log_in("new").await, "accepted", "made again");
}

#[tokio::test]
async fn an_account_made_while_it_is_found_missing_is_not_refused() {
    let house = House::new().await;
    house.commit(Change::RemoveAccount { user: ann() }).await;
    let mut read = house.store.stop(Point::LoginRecordRead);
    let login = house.begin_login("new");
    read.reached().await;
    house.add_account("new").await;
    drop(read);
    assert_eq!(login.await.expect("it ends"), "accepted");
}

#[tokio::test]
async fn an_upgrade_that_comes_after_a_change_does_not_bring_the_old_password_back() {
    let house = House::new().await;
    let weak = StoredHash::new("{PLAIN}weak".to_owned());
    house.commit(Change::SetPassword { user: ann(), hash: weak, fingerprint: None, expected: None }).await;
    let change = house.password("new").await;
    let mut upgrading = house.store.stop(Point::Committing);
    assert_eq!(house.log_in("weak").await, "accepted");
    upgrading.reached().await;
    house.commit(change).await;
    let changed = house.stored_hash().await;
    drop(upgrading);
    // The writer takes turns: whatever the upgrade wrote was written before this.
    while house.authenticator.upgrades.available_permits() < UPGRADES {
        tokio::task::yield_now().await;
    }
    assert!(house.stored_hash().await == changed, "the upgrade replaced a newer hash");
    assert_eq!(house.log_in("weak").await, "wrong-password");
    assert_eq!(house.log_in("new").await, "accepted");
}

#[tokio::test]
async fn what_is_remembered_of_an_account_is_as_new_as_the_account() {
    let house = House::new().await;
    assert_eq!(house.log_in("old").await, "accepted");
    let domain = "example.org".parse().expect("a domain");
    let changes = [
        Change::SetQuota { user: ann(), quota: Some(7) },
        Change::SetDomain { domain, profile: None, default_quota: Some(Some(9)) },
        Change::SetQuota { user: ann(), quota: None },
        Change::LogOutEveryone,
    ];
    for (change, quota) in changes.into_iter().zip([7, 7, 9, 9]) {
        let kind = change.kind();
        house.commit(change).await;
        let Verdict::Accept(identity) = house.authenticator.authenticate(&attempt("old")).await.verdict else {
            panic!("{kind}: the right password is refused");
        };
        let account = house.store.account(&ann()).await.expect("it is read").expect("it is there");
        assert_eq!((identity.quota, identity.generation), (quota, account.generation), "{kind}");
    }
    house.commit(Change::Disable { user: ann() }).await;
    assert_eq!(house.log_in("old").await, "disabled");
    house.commit(Change::Enable { user: ann() }).await;
    assert_eq!(house.log_in("old").await, "accepted");
}

#[tokio::test]
async fn a_commit_of_which_nobody_knows_whether_it_took_place_leaves_the_store_to_decide() {
    for (point, old, new) in
        [(Point::Committing, "accepted", "wrong-password"), (Point::Committed, "wrong-password", "accepted")]
    {
        let house = House::new().await;
        for password in ["old", "new"] {
            house.log_in(password).await;
        }
        let change = house.password("new").await;
        house.store.fail(point);
        assert!(matches!(house.try_commit(change).await, Err(CommitError::Store(_))));
        assert_eq!((house.log_in("old").await, house.log_in("new").await), (old, new), "{point:?}");
    }
}

#[tokio::test]
async fn a_commit_goes_on_though_nobody_waits_for_it() {
    let house = House::new().await;
    assert_eq!(house.log_in("old").await, "accepted");
    let change = house.password("new").await;
    let mut committing = house.store.stop(Point::Committing);
    {
        let committed = house.try_commit(change);
        tokio::pin!(committed);
        tokio::select! {
            () = committing.reached() => {}
            _ = &mut committed => panic!("it was to stop"),
        }
    }
    let mut committed = house.store.stop(Point::Committed);
    drop(committing);
    committed.reached().await;
    drop(committed);
    assert_eq!(house.log_in("old").await, "wrong-password");
}

/// With a store that others write to too, and a log that was not read for long.
#[tokio::test]
async fn an_outage_is_neither_yes_nor_no_whatever_is_remembered() {
    let house = House::of(Sharing::Shared).await;
    let cases = [("old", "accepted", Point::LoginRecordRead), ("guess", "wrong-password", Point::AccountAsked)];
    for (password, verdict, point) in cases {
        assert_eq!(house.log_in(password).await, verdict);
        house.store.fail(point);
        assert_eq!(house.log_in(password).await, "put-off", "{password}");
        assert_eq!(house.log_in(password).await, verdict);
    }
}

#[tokio::test]
async fn what_is_forgotten_is_verified_anew_with_the_same_verdict() {
    let house = House::new().await;
    for password in ["old", "guess"] {
        house.log_in(password).await;
    }
    assert_eq!(house.authenticator.forget(&["nobody@example.org".to_owned(), "no name".to_owned()]).await, 0);
    assert_eq!(house.authenticator.forget(&["no name".to_owned()]).await, 0);
    assert_eq!(house.authenticator.forget(&["ANN@example.org".to_owned()]).await, 2);
    let read = house.store.passed(Point::LoginRecordRead);
    assert_eq!(house.log_in("old").await, "accepted");
    assert_eq!(house.store.passed(Point::LoginRecordRead), read + 1);
    assert_eq!(house.authenticator.forget(&[]).await, 1);
}
