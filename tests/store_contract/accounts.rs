//! Promises about domains, accounts and the logins to them.

use std::time::Duration;

use gatepost::account::{Account, AccountType, CredentialName, DomainName, Generation, Username};
use gatepost::store::{
    AccountPage, Change, ChangeKind, CommitError, Committed, Conflict, Domain, LoginEntry, LoginOutcome, NewAccount,
    RowNumber, Store,
};

use crate::sample::{add_domain, at, author, commit, hash, new_account, raised, try_commit, user, with_ann};

pub(crate) async fn an_account_is_read_as_it_was_added(store: &dyn Store) {
    let name: DomainName = "example.org".parse().expect("a valid domain");
    let (profile, default_quota) = ("nist".to_owned(), Some(u64::MAX));
    let add = Change::AddDomain { domain: name.clone(), profile: profile.clone(), default_quota };
    let changed = commit(store, add).await.row;
    let domain = Domain { name: name.clone(), profile, default_quota, changed };
    let added = NewAccount {
        name: Some("Ann Önning".to_owned()),
        quota: Some(2 << 30),
        enabled: false,
        account_type: AccountType::Shared,
        main_password_for_mail: false,
        fields: [("userdb_home".to_owned(), "/srv/\"ann\"\n".to_owned()), ("nodelay".to_owned(), String::new())].into(),
        ..new_account("ann@example.org")
    };
    let committed = commit(store, Change::AddAccount(added.clone())).await;
    let generation = committed.generation;

    let record = store.login_record(&added.username).await.expect("a store").expect("a record");
    assert_eq!(record.domain, domain);
    assert_eq!(store.domain(&name).await.expect("a store"), Some(domain.clone()));
    assert_eq!(store.domains().await.expect("a store"), [domain]);
    assert_eq!(store.account(&added.username).await.expect("a store"), Some(record.account.clone()));
    let account = record.account;
    assert_eq!(account.username, added.username);
    assert_eq!(account.name, added.name);
    assert_eq!(account.quota, added.quota);
    assert_eq!(account.enabled, added.enabled);
    assert_eq!(account.account_type, added.account_type);
    assert_eq!(account.main_password_for_mail, added.main_password_for_mail);
    assert_eq!(account.fields, added.fields);
    assert_eq!(Some(account.generation), generation);
    assert_eq!(account.changed, committed.row);
    let [credential] = record.credentials.as_slice() else { panic!("one credential, not {:?}", record.credentials) };
    assert_eq!(credential.name, CredentialName::Main);
    assert_eq!(credential.hash, added.hash);
    assert_eq!(Some(credential.generation), generation);
}

pub(crate) async fn each_change_changes_what_it_names_and_nothing_else(store: &dyn Store) {
    let (ann, _) = with_ann(store).await;
    commit(store, Change::AddAccount(new_account("bob@example.org"))).await;
    let bob = store.account(&user("bob@example.org")).await.expect("a store");
    let fields: std::collections::BTreeMap<_, _> = [("userdb_uid".to_owned(), "5000".to_owned())].into();
    let mut expected = store.account(&ann).await.expect("a store").expect("Ann");

    expected.changed = commit(store, Change::SetName { user: ann.clone(), name: Some("Ann".to_owned()) }).await.row;
    expected.name = Some("Ann".to_owned());
    assert_eq!(store.account(&ann).await.expect("a store").as_ref(), Some(&expected));

    expected.changed = commit(store, Change::SetQuota { user: ann.clone(), quota: Some(7) }).await.row;
    expected.quota = Some(7);
    assert_eq!(store.account(&ann).await.expect("a store").as_ref(), Some(&expected));

    expected.changed =
        commit(store, Change::SetType { user: ann.clone(), account_type: AccountType::Service }).await.row;
    expected.account_type = AccountType::Service;
    assert_eq!(store.account(&ann).await.expect("a store").as_ref(), Some(&expected));

    expected.changed = commit(store, Change::SetFields { user: ann.clone(), fields: fields.clone() }).await.row;
    expected.fields = fields;
    assert_eq!(store.account(&ann).await.expect("a store").as_ref(), Some(&expected));

    raise(&mut expected, commit(store, Change::Disable { user: ann.clone() }).await);
    expected.enabled = false;
    assert_eq!(store.account(&ann).await.expect("a store").as_ref(), Some(&expected));

    raise(&mut expected, commit(store, Change::Enable { user: ann.clone() }).await);
    expected.enabled = true;
    assert_eq!(store.account(&ann).await.expect("a store").as_ref(), Some(&expected));

    let off = Change::SetMainPasswordForMail { user: ann.clone(), on: false };
    raise(&mut expected, commit(store, off).await);
    expected.main_password_for_mail = false;
    assert_eq!(store.account(&ann).await.expect("a store").as_ref(), Some(&expected));

    assert_eq!(store.account(&user("bob@example.org")).await.expect("a store"), bob);

    let domain = || "example.org".parse().expect("a valid domain");
    let set = |profile: Option<&str>, default_quota| Change::SetDomain {
        domain: domain(),
        profile: profile.map(str::to_owned),
        default_quota,
    };
    let steps = [
        (set(None, Some(Some(5))), "default", Some(5)),
        (set(Some("nist"), None), "nist", Some(5)),
        (set(None, Some(None)), "nist", None),
    ];
    for (change, profile, default_quota) in steps {
        let changed = commit(store, change).await.row;
        let expected = Domain { name: domain(), profile: profile.to_owned(), default_quota, changed };
        assert_eq!(store.domain(&domain()).await.expect("a store"), Some(expected));
    }
}

fn raise(account: &mut Account, committed: Committed) {
    account.generation = raised(committed.generation);
    account.changed = committed.row;
}

pub(crate) async fn only_rights_raise_the_generation(store: &dyn Store) {
    let (ann, mut generation) = with_ann(store).await;
    let changes = [
        Change::SetName { user: ann.clone(), name: None },
        Change::SetPassword { user: ann.clone(), hash: hash("second"), fingerprint: None, expected: None },
        Change::SetQuota { user: ann.clone(), quota: None },
        Change::LogOut { user: ann.clone() },
        Change::SetType { user: ann.clone(), account_type: AccountType::Person },
        Change::Disable { user: ann.clone() },
        Change::SetFields { user: ann.clone(), fields: [].into() },
        Change::Enable { user: ann.clone() },
        Change::SetMainPasswordForMail { user: ann.clone(), on: true },
        Change::SetMainPasswordForMail { user: ann.clone(), on: false },
    ];
    for change in changes {
        let raises = change.kind().raises_generation();
        let committed = commit(store, change.clone()).await;
        assert!(committed.row.0 > generation.0, "{change:?}");
        if raises {
            generation = Generation(committed.row.0);
        }
        assert_eq!(committed.generation, Some(generation), "{change:?}");
        assert_eq!(store.generation(&ann).await.expect("a store"), Some(generation), "{change:?}");
    }
}

pub(crate) async fn a_commit_of_several_changes_is_all_or_nothing(store: &dyn Store) {
    let (ann, generation) = with_ann(store).await;
    let before = store.account(&ann).await.expect("a store");
    let rows = store.changes_since(RowNumber(0), 100).await.expect("a store").len();
    let renamed = Change::SetName { user: ann.clone(), name: Some("Ann".to_owned()) };
    let password =
        |expected| Change::SetPassword { user: ann.clone(), hash: hash("second"), fingerprint: None, expected };

    let refused = [renamed.clone(), password(Some(Generation(generation.0 + 1)))];
    let result = store.commit(&refused, &author(), at(1)).await;
    assert!(matches!(result, Err(CommitError::Conflict(Conflict::Moved))), "{result:?}");
    assert_eq!(store.account(&ann).await.expect("a store"), before);
    assert_eq!(store.changes_since(RowNumber(0), 100).await.expect("a store").len(), rows);

    let committed = store.commit(&[renamed, password(Some(generation))], &author(), at(1)).await.expect("both fit");
    let account = store.account(&ann).await.expect("a store").expect("Ann");
    assert_eq!(account.name.as_deref(), Some("Ann"));
    assert_eq!(account.generation, Generation(committed.row.0));
    assert_eq!(store.changes_since(RowNumber(0), 100).await.expect("a store").len(), rows + 2);

    for nonsense in [vec![], vec![Change::LogOut { user: ann }, Change::LogOut { user: user("bob@example.org") }]] {
        let result = store.commit(&nonsense, &author(), at(1)).await;
        assert!(matches!(result, Err(CommitError::Store(_))), "{result:?}");
    }
}

pub(crate) async fn an_address_made_again_starts_higher(store: &dyn Store) {
    let (ann, _) = with_ann(store).await;
    let last = commit(store, Change::LogOut { user: ann.clone() }).await.generation;
    store.record_logins(&[login(&ann, 1)], &[]).await.expect("a store");
    let removed = commit(store, Change::RemoveAccount { user: ann.clone() }).await;
    assert_eq!(removed.generation, None);
    assert_eq!(store.generation(&ann).await.expect("a store"), None);
    assert!(store.login_record(&ann).await.expect("a store").is_none());

    let again = commit(store, Change::AddAccount(new_account("ann@example.org"))).await;
    assert!(again.generation > last);
    assert!(again.row > removed.row);
    assert_eq!(store.logins(&ann, 10).await.expect("a store"), []);
    let kinds: Vec<_> = rows_of(store, &ann).await.into_iter().map(|row| row.kind).collect();
    let expected =
        [ChangeKind::AccountAdded, ChangeKind::LoggedOut, ChangeKind::AccountRemoved, ChangeKind::AccountAdded];
    assert_eq!(kinds, expected);
}

async fn rows_of(store: &dyn Store, user: &Username) -> Vec<gatepost::store::Row> {
    let rows = store.changes_since(RowNumber(0), 1000).await.expect("a store");
    rows.into_iter().filter(|row| row.subject == user.as_str()).collect()
}

pub(crate) async fn conflicts_are_told_apart(store: &dyn Store) {
    let (ann, generation) = with_ann(store).await;
    let nobody = || user("nobody@example.org");
    let domain = |text: &str| text.parse().expect("a valid domain");
    let upgrade = |user: Username| Change::UpgradeHash {
        user,
        credential: CredentialName::Main,
        verified: hash("other"),
        upgraded: hash("better"),
        fingerprint: None,
        generation,
    };
    let cases = [
        (add_domain("example.org"), Conflict::DomainExists),
        (Change::AddAccount(new_account("ann@example.org")), Conflict::AccountExists),
        (Change::AddAccount(new_account("ann@example.net")), Conflict::NoDomain),
        (Change::RemoveDomain { domain: domain("example.org") }, Conflict::DomainInUse),
        (Change::RemoveDomain { domain: domain("example.net") }, Conflict::NoDomain),
        (Change::SetDomain { domain: domain("example.net"), profile: None, default_quota: None }, Conflict::NoDomain),
        (Change::SetName { user: nobody(), name: None }, Conflict::NoAccount),
        (
            Change::SetPassword { user: nobody(), hash: hash("x"), fingerprint: None, expected: None },
            Conflict::NoAccount,
        ),
        (Change::LogOut { user: nobody() }, Conflict::NoAccount),
        (Change::Disable { user: nobody() }, Conflict::NoAccount),
        (Change::RemoveAccount { user: nobody() }, Conflict::NoAccount),
        (upgrade(nobody()), Conflict::NoAccount),
        (upgrade(ann.clone()), Conflict::Moved),
    ];
    let rows = store.changes_since(RowNumber(0), 100).await.expect("a store").len();
    for (change, expected) in cases {
        match try_commit(store, change.clone()).await {
            Err(CommitError::Conflict(conflict)) => assert_eq!(conflict, expected, "{change:?}"),
            other => panic!("{change:?}: {other:?}"),
        }
    }
    assert_eq!(store.changes_since(RowNumber(0), 100).await.expect("a store").len(), rows);
    commit(store, Change::RemoveAccount { user: ann }).await;
    let removed = commit(store, Change::RemoveDomain { domain: domain("example.org") }).await;
    assert_eq!(removed.generation, None);
    assert_eq!(store.domains().await.expect("a store"), []);
}

pub(crate) async fn accounts_are_listed_page_by_page(store: &dyn Store) {
    commit(store, add_domain("example.org")).await;
    commit(store, add_domain("example.net")).await;
    for (name, person) in [("cy@example.org", "Çelik"), ("bob@example.net", "Bob"), ("ann@example.org", "Ann 100%")] {
        let account = NewAccount { name: Some(person.to_owned()), ..new_account(name) };
        commit(store, Change::AddAccount(account)).await;
    }
    commit(store, Change::SetName { user: user("bob@example.net"), name: Some("Robert".to_owned()) }).await;
    let all = AccountPage { domain: None, query: None, after: None, limit: 100 };
    let query = |text: &str| AccountPage { query: Some(text.to_owned()), ..all.clone() };
    let cases: [(AccountPage, &[&str]); 10] = [
        (all.clone(), &["ann@example.org", "bob@example.net", "cy@example.org"]),
        (AccountPage { limit: 2, ..all.clone() }, &["ann@example.org", "bob@example.net"]),
        (AccountPage { after: Some(user("bob@example.net")), ..all.clone() }, &["cy@example.org"]),
        (AccountPage { domain: "example.org".parse().ok(), ..all.clone() }, &["ann@example.org", "cy@example.org"]),
        (query("çEL"), &["cy@example.org"]),
        (query("EXAMPLE.NET"), &["bob@example.net"]),
        (query("bert"), &["bob@example.net"]),
        (query("bob"), &["bob@example.net"]),
        (query("%"), &["ann@example.org"]),
        (query("_"), &[]),
    ];
    for (page, expected) in cases {
        let names =
            store.accounts(&page).await.expect("a store").into_iter().map(|account| account.username.to_string());
        assert_eq!(names.collect::<Vec<_>>(), expected, "{page:?}");
    }
}

pub(crate) async fn the_newest_logins_are_kept(store: &dyn Store) {
    let (ann, _) = with_ann(store).await;
    commit(store, Change::AddAccount(new_account("bob@example.org"))).await;
    let bob = user("bob@example.org");
    let entries: Vec<_> = (0..130).map(|second| login(&ann, second)).collect();
    store.record_logins(&entries, &[]).await.expect("a store");
    store.record_logins(&[login(&bob, 1), login(&user("nobody@example.org"), 2)], &[]).await.expect("a store");

    let newest_first: Vec<_> = entries.into_iter().rev().collect();
    assert_eq!(store.logins(&ann, 5).await.expect("a store"), newest_first[..5]);
    assert_eq!(store.logins(&ann, 1000).await.expect("a store"), newest_first[..100]);
    assert_eq!(store.logins(&bob, 1000).await.expect("a store"), [login(&bob, 1)]);
    assert_eq!(store.logins(&user("nobody@example.org"), 1000).await.expect("a store"), []);
}

fn login(user: &Username, second: i64) -> LoginEntry {
    let accepted = second % 2 == 0;
    LoginEntry {
        user: user.clone(),
        at: at(second),
        outcome: if accepted { LoginOutcome::Accepted } else { LoginOutcome::Refused },
        credential: accepted.then_some(CredentialName::Main),
        service: "imap".to_owned(),
        origin: "192.0.2.9".to_owned(),
        session: accepted.then(|| format!("session {second}")),
    }
}

/// A web server drops the handler of a client that hangs up, at any of its awaits.
pub(crate) async fn a_cancelled_commit_leaves_the_store_usable(store: &dyn Store) {
    let (ann, _) = with_ann(store).await;
    for step in 0..200 {
        let rename = [Change::SetName { user: ann.clone(), name: Some(format!("Ann {step}")) }];
        let author = author();
        let commit = store.commit(&rename, &author, at(1));
        let _ = tokio::time::timeout(Duration::from_micros(step * 10), commit).await;
    }
    let committed = commit(store, Change::SetName { user: ann.clone(), name: Some("Ann".to_owned()) }).await;
    let account = store.account(&ann).await.expect("a store").expect("Ann");
    assert_eq!(account.name.as_deref(), Some("Ann"));
    let rows = rows_of(store, &ann).await;
    assert_eq!(rows.last().map(|row| row.number), Some(committed.row));
}
