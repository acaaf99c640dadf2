//! What is answered when the store fails between a change and the look at it.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::*;
use crate::account::{AccountType, StoredHash};
use crate::authenticate::cache::{self, Cache};
use crate::authenticate::{Authenticator, Needs};
use crate::config::Config;
use crate::hash_pool::{self, HashPool};
use crate::password::fingerprint::{self, FingerprintKey};
use crate::password::{Ceilings, Cost};
use crate::revocation::Sharing;
use crate::sessions::history::history;
use crate::store::Door;
use crate::store::testing::{Point, StagedStore};
use crate::throttle::{self, Throttle};

fn administer(staged: &Arc<StagedStore>) -> Administer {
    let store: Arc<dyn Store> = staged.clone();
    let settings = hash_pool::Settings {
        threads: NonZeroUsize::MIN,
        queue: 16,
        cost: Cost::new(64, 1, 1).expect("a cost"),
        ceilings: Ceilings { memory_kib: 1024, time: Duration::from_secs(1) },
    };
    let ceilings = settings.ceilings;
    let pool = Arc::new(HashPool::start(settings).expect("a thread"));
    let revocation = Arc::new(Revocation::new(store.clone(), Sharing::Sole));
    let (_, live) = watch::channel(Arc::new(Config::embedded().live));
    let key = Arc::new(FingerprintKey::new([7; fingerprint::KEY_LENGTH]));
    let authenticator = Arc::new(Authenticator::new(Needs {
        store: store.clone(),
        revocation: revocation.clone(),
        cache: Cache::new(&Default::default(), [7; cache::KEY_LENGTH]),
        pool: pool.clone(),
        throttle: Arc::new(Throttle::new(throttle::Settings::default(), Instant::now())),
        history: history(store.clone()).0,
        live: live.clone(),
        fingerprint_key: key.clone(),
    }));
    let passwords = ChangePassword::new(store.clone(), revocation.clone(), authenticator, pool, live, ceilings, key);
    Administer::new(store, revocation, passwords)
}

fn author() -> Author {
    Author { who: "uid:0".to_owned(), door: Door::Command, origin: None }
}

#[tokio::test]
async fn what_was_set_is_answered_even_if_the_store_does_not_answer_afterwards() {
    let store = StagedStore::new().await;
    let administer = administer(&store);
    let (now, ann): (_, Username) = (Timestamp::now(), "ann@example.org".parse().expect("a name"));
    let domain = DomainRequest { name: ann.domain(), profile: "default".to_owned(), default_quota: None };
    administer.add_domain(domain, &author(), now).await.expect("a domain");
    let request = AccountRequest {
        username: ann.clone(),
        password: NewPassword::Hashed(StoredHash::new("{PLAIN}secret".to_owned())),
        name: None,
        quota: None,
        enabled: true,
        account_type: AccountType::Person,
        main_password_for_mail: true,
        fields: BTreeMap::new(),
    };
    let moment = Moment { now, deadline: Instant::now() + Duration::from_secs(30) };
    let made = administer.add_account(request, &author(), moment).await.expect("an account");

    let mut committing = store.stop(Point::Committing);
    let setting = tokio::spawn({
        let (administer, ann) = (administer.clone(), ann.clone());
        async move {
            let settings = AccountSettings { enabled: Some(false), quota: Some(Some(7)), ..AccountSettings::default() };
            administer.set_account(&ann, settings, &author(), now).await
        }
    });
    committing.reached().await;
    store.fail(Point::AccountAsked);
    drop(committing);
    let set = setting.await.expect("it ends").expect("it was set, so nobody is told that it was not");
    assert!(set.receipt.is_some());
    let stored = administer.account(&ann).await.expect("an account");
    assert!(!stored.enabled && stored.generation > made.account.generation);
    assert_eq!(set.account, stored);
}
