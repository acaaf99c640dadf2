//! Promises about the programs and browsers that an account is used with.

use gatepost::account::{CredentialName, Username};
use gatepost::store::{Change, ChangeKind, Client, CommitError, Conflict, RowNumber, Sighting, Store};

use crate::sample::{at, commit, new_account, try_commit, user, with_ann};

fn sighting(user: &Username, second: i64) -> Sighting {
    Sighting {
        user: user.clone(),
        at: at(second),
        kind: "imap".to_owned(),
        credential: Some(CredentialName::Main),
        origin: "192.0.2.9".to_owned(),
        user_agent: Some("\"name\" \"Thunderbird\"".to_owned()),
        session: None,
    }
}

async fn record(store: &dyn Store, sighting: &Sighting) -> Client {
    store.record_client(sighting).await.expect("a store").expect("an account")
}

async fn clients(store: &dyn Store, user: &Username) -> Vec<Client> {
    store.clients(user).await.expect("a store")
}

pub(crate) async fn the_logins_of_one_client_are_one_row(store: &dyn Store) {
    let (ann, _) = with_ann(store).await;
    let phone = sighting(&ann, 10);
    let others = [
        Sighting { kind: "smtp".to_owned(), ..phone.clone() },
        Sighting { credential: Some(CredentialName::Application(7)), ..phone.clone() },
        Sighting { credential: None, ..phone.clone() },
        Sighting { origin: "2001:db8::9".to_owned(), ..phone.clone() },
        Sighting { user_agent: None, ..phone.clone() },
    ];
    // Batches may arrive in any order.
    for second in [30, 20, 40] {
        let again = Sighting { at: at(second), session: Some(format!("at {second}")), ..phone.clone() };
        store.record_logins(&[], &[again]).await.expect("a store");
    }
    store.record_logins(&[], &others).await.expect("a store");
    store.record_logins(&[], &others).await.expect("a store");

    let [newest, rest @ ..] = &*clients(store, &ann).await else { panic!("no clients") };
    let expected = Client {
        id: newest.id,
        kind: phone.kind.clone(),
        credential: phone.credential,
        origin: phone.origin.clone(),
        user_agent: phone.user_agent.clone(),
        session: Some("at 40".to_owned()),
        first_seen: at(20),
        last_seen: at(40),
        logins: 3,
    };
    assert_eq!(*newest, expected);
    assert_eq!(rest.len(), others.len(), "{rest:?}");
    for other in others {
        let same = |client: &&Client| {
            (&client.kind, client.credential, &client.origin, &client.user_agent)
                == (&other.kind, other.credential, &other.origin, &other.user_agent)
        };
        let logins: Vec<_> = rest.iter().filter(same).map(|client| client.logins).collect();
        assert_eq!(logins, [2], "{other:?}");
    }
}

pub(crate) async fn a_session_that_is_reported_again_is_no_further_login(store: &dyn Store) {
    let (ann, _) = with_ann(store).await;
    let report = |session: &str, second| Sighting {
        session: Some(session.to_owned()),
        credential: None,
        ..sighting(&ann, second)
    };
    for (session, second, logins) in [("one", 1, 1), ("one", 2, 1), ("two", 3, 2), ("two", 4, 2)] {
        let client = record(store, &report(session, second)).await;
        assert_eq!((client.logins, client.last_seen), (logins, at(second)), "{session} at {second}");
        assert_eq!(client.session.as_deref(), Some(session));
        assert_eq!(clients(store, &ann).await, [client]);
    }
}

pub(crate) async fn of_too_many_clients_those_go_that_were_not_seen_for_longest(store: &dyn Store) {
    let (ann, _) = with_ann(store).await;
    commit(store, Change::AddAccount(new_account("bob@example.org"))).await;
    let bob = user("bob@example.org");
    record(store, &sighting(&bob, 1)).await;
    let from = |number: i64, second| Sighting { origin: format!("192.0.2.{number}"), ..sighting(&ann, second) };
    record(store, &from(0, 0)).await;
    let many: Vec<_> = (1..=120).map(|number| from(number, number)).collect();
    // The very first is in use all the time.
    let used: Vec<_> = many.iter().flat_map(|other| [other.clone(), Sighting { at: other.at, ..from(0, 0) }]).collect();
    store.record_logins(&[], &used).await.expect("a store");

    let kept = clients(store, &ann).await;
    assert_eq!(kept.len(), 100);
    let first = kept.iter().find(|client| client.origin == "192.0.2.0").expect("what was just used");
    assert_eq!((first.logins, first.first_seen, first.last_seen), (121, at(0), at(120)));
    assert!(kept.iter().all(|client| client.last_seen >= at(22)), "an older one was kept");
    assert_eq!(clients(store, &bob).await.len(), 1);
}

pub(crate) async fn a_forgotten_client_is_gone_and_its_number_with_it(store: &dyn Store) {
    let (ann, generation) = with_ann(store).await;
    commit(store, Change::AddAccount(new_account("bob@example.org"))).await;
    let client = record(store, &sighting(&ann, 1)).await;
    let forget = async |name: &str, id| try_commit(store, Change::ForgetClient { user: user(name), id }).await;
    let refused = [
        ("bob@example.org", client.id, Conflict::NoClient),
        ("ann@example.org", u64::MAX, Conflict::NoClient),
        ("nobody@example.org", client.id, Conflict::NoAccount),
    ];
    for (name, id, expected) in refused {
        let result = forget(name, id).await;
        assert!(matches!(result, Err(CommitError::Conflict(conflict)) if conflict == expected), "{name}: {result:?}");
    }
    assert_eq!(clients(store, &ann).await, std::slice::from_ref(&client));
    let committed = forget("ann@example.org", client.id).await.expect("it is hers");
    assert_eq!((committed.generation, committed.raised), (Some(generation), None), "nobody is logged out by it");
    assert!(forget("ann@example.org", client.id).await.is_err(), "a second time");
    assert_eq!(clients(store, &ann).await, []);
    let row = store.changes_since(RowNumber(committed.row.0 - 1), 1).await.expect("a store").pop().expect("its row");
    assert_eq!((row.kind, row.subject.as_str()), (ChangeKind::ClientForgotten, "ann@example.org"));

    let again = record(store, &sighting(&ann, 2)).await;
    assert!(again.id > client.id);
    assert_eq!((again.first_seen, again.logins), (at(2), 1));
}

pub(crate) async fn a_removed_account_takes_its_clients_along(store: &dyn Store) {
    let (ann, _) = with_ann(store).await;
    record(store, &sighting(&ann, 1)).await;
    commit(store, Change::RemoveAccount { user: ann.clone() }).await;
    assert_eq!(store.record_client(&sighting(&ann, 2)).await.expect("a store"), None);
    store.record_logins(&[], &[sighting(&ann, 3)]).await.expect("a store");
    commit(store, Change::AddAccount(new_account("ann@example.org"))).await;
    assert_eq!(clients(store, &ann).await, []);
}
