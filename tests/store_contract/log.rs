//! Promises about the change log.

use gatepost::account::{CredentialName, Origin};
use gatepost::store::{Author, Change, ChangeKind, Door, RowNumber, Store};

use crate::sample::{at, hash, with_ann};

pub(crate) async fn the_log_says_who_did_what_through_which_door(store: &dyn Store) {
    let (ann, generation) = with_ann(store).await;
    let address = "2001:db8::9".parse().expect("an address");
    let author = Author { who: ann.to_string(), door: Door::Login, origin: Some(Origin::Address(address)) };
    let upgrade = Change::UpgradeHash {
        user: ann.clone(),
        credential: CredentialName::Main,
        verified: hash("first"),
        upgraded: hash("upgraded"),
        fingerprint: None,
        generation,
    };
    let committed = store.commit(&[upgrade], &author, at(77)).await.expect("it fits");
    let rows = store.changes_since(RowNumber(generation.0), 10).await.expect("a store");
    let [row] = rows.as_slice() else { panic!("one row, not {rows:?}") };
    assert_eq!(row.number, committed.row);
    assert_eq!(row.subject, "ann@example.org");
    assert_eq!(row.credential, Some(CredentialName::Main));
    assert_eq!(row.kind, ChangeKind::HashUpgraded);
    assert_eq!((row.who.as_str(), row.door), ("ann@example.org", Door::Login));
    assert_eq!(row.origin.as_deref(), Some("2001:db8::9"));
    assert_eq!(row.at, at(77));

    let numbers: Vec<_> =
        store.changes_since(RowNumber(0), 2).await.expect("a store").iter().map(|row| row.number.0).collect();
    assert_eq!(numbers, [1, 2]);
}
