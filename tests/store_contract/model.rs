//! Whatever is committed in whatever order: a store says and holds what a map in memory would.

use std::collections::BTreeMap;

use gatepost::account::{
    Account, AccountType, CredentialName, DomainName, Fingerprint, Fingerprints, Generation, Replaced, StoredHash,
    Username,
};
use gatepost::store::{AccountPage, Change, CommitError, Conflict, NewAccount, RowNumber, Store};
use jiff::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::sample::{author, hash, new_account};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

/// A change of which the tests know everything but the generation, which only the store can say.
#[derive(Clone, Debug)]
enum Step {
    Ready(Change),
    SetPassword { hash: StoredHash, fingerprint: Option<Fingerprint>, current: bool },
    UpgradeHash { verified: StoredHash, upgraded: StoredHash, fingerprint: Option<Fingerprint>, current: bool },
}

#[derive(Clone, Debug)]
struct Commit {
    user: Username,
    steps: Vec<Step>,
}

fn hashes() -> impl Strategy<Value = StoredHash> {
    prop_oneof![Just("a"), Just("b"), Just("c")].prop_map(hash)
}

fn fingerprints() -> impl Strategy<Value = Option<Fingerprint>> {
    prop::option::of((0_u8..3).prop_map(|bits| Fingerprint::new([bits; 3])))
}

fn steps(user: Username) -> impl Strategy<Value = Step> {
    let ready = |change: Change| Just(Step::Ready(change)).boxed();
    let account = user.clone();
    prop_oneof![
        4 => (hashes(), fingerprints(), any::<bool>(), any::<Option<u64>>())
            .prop_map(move |(hash, fingerprint, enabled, quota)| {
                let username = account.clone();
                let account = NewAccount { username, hash, fingerprint, enabled, quota, ..new_account("ann@a.example") };
                Step::Ready(Change::AddAccount(account))
            }),
        2 => ready(Change::RemoveAccount { user: user.clone() }),
        2 => ready(Change::LogOut { user: user.clone() }),
        2 => ready(Change::Disable { user: user.clone() }),
        2 => ready(Change::Enable { user: user.clone() }),
        1 => ready(Change::SetMainPasswordForMail { user: user.clone(), on: false }),
        1 => ready(Change::SetMainPasswordForMail { user: user.clone(), on: true }),
        1 => ready(Change::SetType { user: user.clone(), account_type: AccountType::Service }),
        1 => ready(Change::SetName { user: user.clone(), name: Some("Somebody".to_owned()) }),
        1 => ready(Change::SetFields { user, fields: [("userdb_uid".to_owned(), "1".to_owned())].into() }),
        4 => (hashes(), fingerprints(), prop::bool::weighted(0.8))
            .prop_map(|(hash, fingerprint, current)| Step::SetPassword { hash, fingerprint, current }),
        4 => (hashes(), hashes(), fingerprints(), prop::bool::weighted(0.8)).prop_map(
            |(verified, upgraded, fingerprint, current)| Step::UpgradeHash { verified, upgraded, fingerprint, current }
        ),
    ]
}

fn account_commits() -> impl Strategy<Value = Commit> {
    let users = prop_oneof![Just("ann@a.example"), Just("bob@a.example"), Just("ann@b.example")];
    users.prop_map(crate::sample::user).prop_flat_map(|user| {
        let steps = prop::collection::vec(steps(user.clone()), 1..4);
        steps.prop_map(move |steps| Commit { user: user.clone(), steps })
    })
}

#[derive(Clone, Debug)]
struct Kept {
    account: Account,
    hash: StoredHash,
    known: Fingerprints,
}

#[derive(Clone, Debug, Default)]
struct Model {
    accounts: BTreeMap<Username, Kept>,
}

impl Model {
    fn apply(&mut self, change: &Change, row: RowNumber, domain: &DomainName) -> Result<(), Conflict> {
        if let Change::AddAccount(new) = change {
            return self.add(new, row, domain);
        }
        let user: Username = change.subject().text().parse().expect("a name");
        if matches!(change, Change::RemoveAccount { .. }) {
            return self.accounts.remove(&user).map(drop).ok_or(Conflict::NoAccount);
        }
        let Kept { account, hash, known } = self.accounts.get_mut(&user).ok_or(Conflict::NoAccount)?;
        match change.clone() {
            Change::SetName { name, .. } => account.name = name,
            Change::SetType { account_type, .. } => account.account_type = account_type,
            Change::SetFields { fields, .. } => account.fields = fields,
            Change::Disable { .. } => account.enabled = false,
            Change::Enable { .. } => account.enabled = true,
            Change::SetMainPasswordForMail { on, .. } => account.main_password_for_mail = on,
            Change::LogOut { .. } => {}
            Change::SetPassword { expected, .. } if expected.is_some_and(|expected| expected != account.generation) => {
                return Err(Conflict::Moved);
            }
            Change::SetPassword { hash: new, fingerprint, .. } => {
                *hash = new;
                let before = std::mem::replace(&mut known.current, fingerprint);
                if let Some(before) = before.filter(|_| before != fingerprint) {
                    known.previous = Some(Replaced { fingerprint: before, at: NOW });
                }
            }
            Change::UpgradeHash { verified, generation, .. }
                if verified != *hash || generation != account.generation =>
            {
                return Err(Conflict::Moved);
            }
            Change::UpgradeHash { upgraded, fingerprint, .. } => {
                *hash = upgraded;
                known.current = fingerprint.or(known.current);
            }
            other => panic!("no step makes {other:?}"),
        }
        if change.kind().raises_generation() {
            account.generation = Generation(row.0);
        }
        account.changed = row;
        Ok(())
    }

    fn add(&mut self, new: &NewAccount, row: RowNumber, domain: &DomainName) -> Result<(), Conflict> {
        if new.username.domain() != *domain {
            return Err(Conflict::NoDomain);
        }
        if self.accounts.contains_key(&new.username) {
            return Err(Conflict::AccountExists);
        }
        let NewAccount {
            username,
            hash,
            fingerprint,
            name,
            quota,
            enabled,
            account_type,
            main_password_for_mail,
            fields,
        } = new.clone();
        let account = Account {
            username: username.clone(),
            name,
            quota,
            enabled,
            account_type,
            main_password_for_mail,
            fields,
            generation: Generation(row.0),
            changed: row,
        };
        let known = Fingerprints { current: fingerprint, previous: None };
        self.accounts.insert(username, Kept { account, hash, known });
        Ok(())
    }
}

/// Only `a.example` is there, so that an account at `b.example` never comes to be.
pub(crate) async fn a_store_holds_what_a_map_would(store: &dyn Store) {
    let handle = tokio::runtime::Handle::current();
    let cases = if std::env::var_os("GATEPOST_TEST_LONG").is_some() { 500 } else { 40 };
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let commits = prop::collection::vec(account_commits(), 1..25);
    tokio::task::block_in_place(|| {
        let test = |commits: Vec<Commit>| handle.block_on(replay(store, &commits));
        if let Err(failure) = TestRunner::new(config).run(&commits, test) {
            panic!("{failure}");
        }
    });
}

async fn replay(store: &dyn Store, commits: &[Commit]) -> Result<(), TestCaseError> {
    let domain = empty(store).await;
    let mut model = Model::default();
    let mut newest = newest_row(store).await;
    for commit in commits {
        newest = replay_one(store, &domain, &mut model, commit, newest).await?;
        compare(store, &model, &domain).await?;
    }
    Ok(())
}

/// Removes what the case before has left.
async fn empty(store: &dyn Store) -> DomainName {
    let domain: DomainName = "a.example".parse().expect("a domain");
    for account in store.accounts(&everybody()).await.expect("a store") {
        crate::sample::commit(store, Change::RemoveAccount { user: account.username }).await;
    }
    if store.domain(&domain).await.expect("a store").is_none() {
        crate::sample::commit(store, crate::sample::add_domain("a.example")).await;
    }
    domain
}

fn everybody() -> AccountPage {
    AccountPage { domain: None, query: None, after: None, limit: 100 }
}

async fn replay_one(
    store: &dyn Store,
    domain: &DomainName,
    model: &mut Model,
    commit: &Commit,
    newest: RowNumber,
) -> Result<RowNumber, TestCaseError> {
    let changes = changes(commit, model);
    let committed = store.commit(&changes, &author(), NOW).await;
    let rows = store.changes_since(newest, 100).await.expect("a store");

    // A refused commit has no rows to take numbers from, and needs none to be refused.
    let mut next = model.clone();
    let numbers = rows.iter().map(|row| row.number).chain(std::iter::repeat(RowNumber(u64::MAX)));
    let expected = changes.iter().zip(numbers).try_for_each(|(change, row)| next.apply(change, row, domain));
    match (committed, expected) {
        (Ok(committed), Ok(())) => {
            prop_assert_eq!(rows.len(), changes.len());
            prop_assert_eq!(Some(committed.row), rows.last().map(|row| row.number));
            let raising = rows.iter().rev().find(|row| row.kind.raises_generation());
            prop_assert_eq!(committed.raised, raising.map(|row| row.number));
            let generation = next.accounts.get(&commit.user).map(|kept| kept.account.generation);
            prop_assert_eq!(committed.generation, generation);
            *model = next;
        }
        (Err(CommitError::Conflict(conflict)), Err(expected)) => {
            prop_assert_eq!(conflict, expected);
            prop_assert_eq!(rows.len(), 0);
        }
        (committed, expected) => prop_assert!(false, "{committed:?} instead of {expected:?}"),
    }
    Ok(rows.last().map_or(newest, |row| row.number))
}

fn changes(commit: &Commit, model: &Model) -> Vec<Change> {
    let user = &commit.user;
    let known = model.accounts.get(user).map_or(Generation(0), |kept| kept.account.generation);
    // One below is stale for ever; one above may be the row that this very commit writes.
    let generation = |current| if current { known } else { Generation(known.0.saturating_sub(1)) };
    let change = |step: &Step| match step.clone() {
        Step::Ready(change) => change,
        Step::SetPassword { hash, fingerprint, current } => {
            Change::SetPassword { user: user.clone(), hash, fingerprint, expected: Some(generation(current)) }
        }
        Step::UpgradeHash { verified, upgraded, fingerprint, current } => Change::UpgradeHash {
            user: user.clone(),
            credential: CredentialName::Main,
            verified,
            upgraded,
            fingerprint,
            generation: generation(current),
        },
    };
    commit.steps.iter().map(change).collect()
}

async fn newest_row(store: &dyn Store) -> RowNumber {
    let mut newest = RowNumber(0);
    while let Some(row) = store.changes_since(newest, 1000).await.expect("a store").last() {
        newest = row.number;
    }
    newest
}

async fn compare(store: &dyn Store, model: &Model, domain: &DomainName) -> Result<(), TestCaseError> {
    let accounts = store.accounts(&everybody()).await.expect("a store");
    let expected: Vec<_> = model.accounts.values().map(|kept| kept.account.clone()).collect();
    prop_assert_eq!(accounts, expected);
    for (user, kept) in &model.accounts {
        let record = store.login_record(user).await.expect("a store").expect("an account");
        prop_assert_eq!(&record.account, &kept.account);
        prop_assert_eq!(record.credentials.len(), 1);
        prop_assert_eq!(&record.credentials[0].hash, &kept.hash);
        prop_assert_eq!(&record.credentials[0].known, &kept.known);
    }
    let domains = store.domains().await.expect("a store");
    let [found] = domains.as_slice() else { return Err(TestCaseError::fail(format!("{domains:?}"))) };
    prop_assert_eq!(&found.name, domain);
    prop_assert_eq!((found.profile.as_str(), found.default_quota), ("default", None));
    Ok(())
}
