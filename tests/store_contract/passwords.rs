//! Promises about what passwords are verified against.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use gatepost::account::{CredentialName, Fingerprint, Fingerprints, Generation, Replaced, Username};
use gatepost::store::{Change, CommitError, Conflict, NewAccount, Store};

use crate::sample::{add_domain, at, author, commit, hash, new_account, raised, try_commit, user, with_ann};

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

fn fingerprint(byte: u8) -> Fingerprint {
    Fingerprint::new([byte; 3])
}

async fn known(store: &dyn Store, user: &Username) -> (Option<Fingerprint>, Option<Replaced>) {
    let record = store.login_record(user).await.expect("a store").expect("an account");
    let Fingerprints { current, previous } = record.credentials[0].known.clone();
    (current, previous)
}

pub(crate) async fn the_password_before_is_known_by_its_fingerprint(store: &dyn Store) {
    commit(store, add_domain("example.org")).await;
    let account = NewAccount { fingerprint: Some(fingerprint(1)), ..new_account("ann@example.org") };
    commit(store, Change::AddAccount(account)).await;
    let ann = user("ann@example.org");
    assert_eq!(known(store, &ann).await, (Some(fingerprint(1)), None));

    let replaced = |byte, second| Some(Replaced { fingerprint: fingerprint(byte), at: at(second) });
    // What is set at which second; what is known afterwards.
    let steps = [
        (10, Some(2), Some(2), replaced(1, 10)),
        // The same one again replaces none.
        (20, Some(2), Some(2), replaced(1, 10)),
        (30, None, None, replaced(2, 30)),
        // What was not known cannot be the one before: the last that was known stays so.
        (40, None, None, replaced(2, 30)),
        (50, Some(3), Some(3), replaced(2, 30)),
        (60, Some(1), Some(1), replaced(3, 60)),
    ];
    for (second, set, current, previous) in steps {
        let set = set.map(fingerprint);
        let change = Change::SetPassword { user: ann.clone(), hash: hash("x"), fingerprint: set, expected: None };
        store.commit(&[change], &author(), at(second)).await.expect("it fits");
        assert_eq!(known(store, &ann).await, (current.map(fingerprint), previous), "at {second}");
    }
}

pub(crate) async fn a_fingerprint_is_remembered_only_at_its_generation(store: &dyn Store) {
    let (ann, before) = with_ann(store).await;
    let current = raised(commit(store, Change::LogOut { user: ann.clone() }).await.generation);
    let row = store.account(&ann).await.expect("a store").expect("Ann").changed;
    let remember = async |user: &Username, credential, generation, byte| {
        store.remember_fingerprint(user, credential, generation, fingerprint(byte)).await.expect("a store");
    };
    for generation in [before, Generation(0), Generation(current.0 + 1)] {
        remember(&ann, CredentialName::Main, generation, 1).await;
        assert_eq!(known(store, &ann).await, (None, None), "{generation}");
    }
    remember(&ann, CredentialName::Application(1), current, 1).await;
    remember(&user("bob@example.org"), CredentialName::Main, current, 1).await;
    assert_eq!(known(store, &ann).await, (None, None));

    // The second as if the key had been changed meanwhile: it is of the same password.
    for byte in [1, 2] {
        remember(&ann, CredentialName::Main, current, byte).await;
        assert_eq!(known(store, &ann).await, (Some(fingerprint(byte)), None));
    }
    let account = store.account(&ann).await.expect("a store").expect("Ann");
    assert_eq!((account.changed, account.generation), (row, current), "it is no change");
}

pub(crate) async fn an_upgraded_hash_keeps_or_brings_the_fingerprint(store: &dyn Store) {
    let (ann, generation) = with_ann(store).await;
    let upgrade = async |[verified, upgraded]: [&str; 2], fingerprint| {
        let change = Change::UpgradeHash {
            user: ann.clone(),
            credential: CredentialName::Main,
            verified: hash(verified),
            upgraded: hash(upgraded),
            fingerprint,
            generation,
        };
        commit(store, change).await;
        known(store, &ann).await
    };
    assert_eq!(upgrade(["first", "second"], Some(fingerprint(1))).await, (Some(fingerprint(1)), None));
    assert_eq!(upgrade(["second", "third"], None).await, (Some(fingerprint(1)), None));
}
