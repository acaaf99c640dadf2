//! Promises about what passwords are verified against.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use gatepost::account::{CredentialName, Generation, Username};
use gatepost::store::{Change, CommitError, Conflict, Store};

use crate::sample::{commit, hash, raised, try_commit, with_ann};

pub(crate) async fn of_two_changes_with_one_expectation_one_wins(store: &dyn Store) {
    let (ann, mut generation) = with_ann(store).await;
    for round in 0..20 {
        let texts = [format!("left {round}"), format!("right {round}")];
        let change = |text: &str| Change::SetPassword {
            user: ann.clone(),
            hash: hash(text),
            fingerprint: None,
            expected: Some(generation),
        };
        let results = tokio::join!(try_commit(store, change(&texts[0])), try_commit(store, change(&texts[1])));
        let (winner, committed) = match results {
            (Ok(committed), Err(CommitError::Conflict(Conflict::Moved))) => (0, committed),
            (Err(CommitError::Conflict(Conflict::Moved)), Ok(committed)) => (1, committed),
            both => panic!("{both:?}"),
        };
        generation = raised(committed.generation);
        assert_eq!(main_hash(store, &ann).await, (hash(&texts[winner]), generation));
    }
}

async fn main_hash(store: &dyn Store, user: &Username) -> (gatepost::account::StoredHash, Generation) {
    let record = store.login_record(user).await.expect("a store").expect("an account");
    (record.credentials[0].hash.clone(), record.account.generation)
}

pub(crate) async fn an_upgraded_hash_is_dropped_after_a_change(store: &dyn Store) {
    let (ann, generation) = with_ann(store).await;
    let upgrade = |generation| Change::UpgradeHash {
        user: ann.clone(),
        credential: CredentialName::Main,
        verified: hash("first"),
        upgraded: hash("upgraded"),
        fingerprint: None,
        generation,
    };
    // The same password set again: the string is equal, but it was verified for what held before.
    let again = Change::SetPassword { user: ann.clone(), hash: hash("first"), fingerprint: None, expected: None };
    let current = raised(commit(store, again).await.generation);
    let dropped = try_commit(store, upgrade(generation)).await;
    assert!(matches!(dropped, Err(CommitError::Conflict(Conflict::Moved))), "{dropped:?}");
    assert_eq!(main_hash(store, &ann).await, (hash("first"), current));

    let upgraded = commit(store, upgrade(current)).await;
    assert_eq!(upgraded.generation, Some(current));
    assert_eq!(main_hash(store, &ann).await, (hash("upgraded"), current));
    let twice = try_commit(store, upgrade(current)).await;
    assert!(matches!(twice, Err(CommitError::Conflict(Conflict::Moved))), "{twice:?}");
}

/// The password is set to a text that names its turn; a reader must find the text of the generation's own turn.
pub(crate) async fn hash_and_generation_are_of_one_moment(store: &dyn Store) {
    let (ann, first) = with_ann(store).await;
    let turns = gatepost_harness::times(30, 2000);
    let done = AtomicBool::new(false);
    let write = async {
        let mut written = HashMap::from([(first, hash("first"))]);
        for turn in 0..turns {
            let text = hash(&format!("turn {turn}"));
            let change =
                Change::SetPassword { user: ann.clone(), hash: text.clone(), fingerprint: None, expected: None };
            written.insert(raised(commit(store, change).await.generation), text);
        }
        done.store(true, Ordering::Relaxed);
        written
    };
    let read = || async {
        let mut seen = Vec::new();
        while !done.load(Ordering::Relaxed) {
            let record = store.login_record(&ann).await.expect("a store").expect("Ann");
            assert_eq!(record.account.generation, record.credentials[0].generation);
            seen.push((record.account.generation, record.credentials[0].hash.clone()));
        }
        seen
    };
    let (written, seen, seen_too) = tokio::join!(write, read(), read());
    assert!(seen.len() > turns, "{} reads of {turns} writes", seen.len());
    for (generation, hash) in seen.into_iter().chain(seen_too) {
        assert_eq!(written.get(&generation), Some(&hash), "at generation {generation}");
    }
}
