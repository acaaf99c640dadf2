//! Promises about dict keys.

use gatepost::store::Store;
use gatepost::store::dict::{DictBounds, DictKey, DictOrder, DictOutcome, DictScan, DictScanKind, DictWrite};
use jiff::Timestamp;

use crate::sample::{at, commit, with_ann};

const ROOMY: DictBounds = DictBounds { key: 1024, value: 65536, keys: 1000 };

fn key_of(dict: &str, user: &str, key: &str) -> DictKey {
    DictKey { dict: dict.to_owned(), user: user.to_owned(), key: key.to_owned() }
}

fn key(key: &str) -> DictKey {
    key_of("quota", "ann", key)
}

fn set(key: DictKey, value: &str) -> DictWrite {
    DictWrite::Set { key, value: value.to_owned(), expires: None }
}

async fn write(store: &dyn Store, writes: &[DictWrite]) -> DictOutcome {
    store.dict_commit(writes, ROOMY, at(1)).await.expect("a store")
}

async fn value(store: &dyn Store, key: &DictKey, now: Timestamp) -> Option<String> {
    store.dict_value(key, now).await.expect("a store")
}

pub(crate) async fn each_dict_and_user_is_a_space_of_its_own(store: &dyn Store) {
    let keys = [
        key_of("quota", "ann", "priv/x"),
        key_of("quota", "bob", "priv/x"),
        key_of("lastlogin", "ann", "priv/x"),
        key_of("quota", "", "shared/x"),
        key_of("quota", "ann", "priv/x\0y"),
        key_of("quota", "ann", "priv/X"),
        key_of("quota", "Ann", "priv/x"),
    ];
    let writes: Vec<_> = keys.iter().enumerate().map(|(index, key)| set(key.clone(), &index.to_string())).collect();
    assert_eq!(write(store, &writes).await, DictOutcome::Committed);
    for (index, key) in keys.iter().enumerate() {
        assert_eq!(value(store, key, at(1)).await, Some(index.to_string()), "{key:?}");
    }
    assert_eq!(value(store, &key("priv/none"), at(1)).await, None);
    for strange in ["", "\0", "tab\tand\nline", "ünïcode"] {
        write(store, &[set(key("priv/x"), strange)]).await;
        assert_eq!(value(store, &key("priv/x"), at(1)).await.as_deref(), Some(strange));
    }
}

pub(crate) async fn a_dict_transaction_is_all_or_nothing(store: &dyn Store) {
    write(
        store,
        &[set(key("priv/count"), "5"), set(key("priv/text"), "five"), set(key("priv/most"), &i64::MAX.to_string())],
    )
    .await;
    let increment = |name: &str, by| DictWrite::Increment { key: key(name), by };
    let unset = |name: &str| DictWrite::Unset { key: key(name) };
    let refused = [
        (increment("priv/none", 1), DictOutcome::NotFound),
        (increment("priv/text", 1), DictOutcome::NotANumber),
        (increment("priv/most", 1), DictOutcome::NotANumber),
        (set(key("priv/big"), &"v".repeat(65537)), DictOutcome::TooMuch),
        (set(key(&"k".repeat(1025)), ""), DictOutcome::TooMuch),
    ];
    for (last, outcome) in refused {
        assert_eq!(
            write(store, &[set(key("priv/new"), "1"), unset("priv/count"), last.clone()]).await,
            outcome,
            "{last:?}"
        );
        assert_eq!(value(store, &key("priv/new"), at(1)).await, None, "{last:?}");
        assert_eq!(value(store, &key("priv/count"), at(1)).await.as_deref(), Some("5"), "{last:?}");
    }
    assert_eq!(value(store, &key("priv/none"), at(1)).await, None, "an increment makes nothing");

    assert_eq!(write(store, &[increment("priv/count", -7), increment("priv/count", 1)]).await, DictOutcome::Committed);
    assert_eq!(value(store, &key("priv/count"), at(1)).await.as_deref(), Some("-1"));

    let outcome = write(store, &[unset("priv/none"), set(key("priv/new"), "1")]).await;
    assert_eq!(outcome, DictOutcome::NotFound, "an unset of nothing says so");
    assert_eq!(value(store, &key("priv/new"), at(1)).await.as_deref(), Some("1"), "and hinders nothing");
    assert_eq!(write(store, &[unset("priv/new")]).await, DictOutcome::Committed);
    assert_eq!(value(store, &key("priv/new"), at(1)).await, None);
}

pub(crate) async fn no_increment_is_lost(store: &dyn Store) {
    write(store, &[set(key("priv/count"), "0")]).await;
    let count = || async {
        for _ in 0..50 {
            assert_eq!(
                write(store, &[DictWrite::Increment { key: key("priv/count"), by: 3 }]).await,
                DictOutcome::Committed
            );
        }
    };
    tokio::join!(count(), count(), count());
    assert_eq!(value(store, &key("priv/count"), at(1)).await.as_deref(), Some("450"));
}

pub(crate) async fn what_has_expired_is_gone(store: &dyn Store) {
    let until =
        |name: &str, second| DictWrite::Set { key: key(name), value: "1".to_owned(), expires: Some(at(second)) };
    write(store, &[until("priv/a", 10), until("priv/b", 20), set(key("priv/c"), "1")]).await;
    let names =
        |now| async move { names(store, &scan("priv/", DictScanKind::Recursive, DictOrder::ByKey, 0), now).await };
    assert_eq!(names(at(9)).await, ["priv/a", "priv/b", "priv/c"]);
    assert_eq!(value(store, &key("priv/a"), at(9)).await.as_deref(), Some("1"));
    assert_eq!(names(at(10)).await, ["priv/b", "priv/c"]);
    assert_eq!(value(store, &key("priv/a"), at(10)).await, None);

    let increment = [DictWrite::Increment { key: key("priv/a"), by: 1 }];
    assert_eq!(store.dict_commit(&increment, ROOMY, at(10)).await.expect("a store"), DictOutcome::NotFound);
    let increment = [DictWrite::Increment { key: key("priv/b"), by: 1 }];
    assert_eq!(store.dict_commit(&increment, ROOMY, at(10)).await.expect("a store"), DictOutcome::Committed);
    assert_eq!(names(at(19)).await, ["priv/b", "priv/c"]);
    assert_eq!(names(at(20)).await, ["priv/c"], "an increment does not prolong");

    write(store, &[until("priv/d", 30)]).await;
    write(store, &[set(key("priv/d"), "1")]).await;
    assert_eq!(names(at(40)).await, ["priv/c", "priv/d"], "a set without an expiry stays");
}

fn scan(prefix: &str, kind: DictScanKind, order: DictOrder, limit: u64) -> DictScan {
    DictScan { dict: "quota".to_owned(), user: "ann".to_owned(), prefix: prefix.to_owned(), kind, order, limit }
}

async fn names(store: &dyn Store, scan: &DictScan, now: Timestamp) -> Vec<String> {
    let rows = store.dict_scan(scan, now).await.expect("a store");
    rows.into_iter().map(|(key, _)| key).collect()
}

pub(crate) async fn a_scan_finds_what_begins_with_its_prefix(store: &dyn Store) {
    let written = [
        ("priv/a", "3"),
        ("priv/a/", "9"),
        ("priv/a/b", "2"),
        ("priv/a/b/c", "1"),
        ("priv/a/ü", "0"),
        ("priv/a/ü/x", "0"),
        ("priv/a0", "4"),
        ("priv/a%_*", "5"),
        ("priv/\u{10ffff}", "7"),
    ];
    write(store, &written.map(|(name, value)| set(key(name), value))).await;
    write(store, &[set(key_of("quota", "bob", "priv/a/bob"), "1"), set(key_of("other", "ann", "priv/a/other"), "1")])
        .await;
    use DictOrder::{ByKey, ByValue};
    use DictScanKind::{Children, Exact, Recursive};
    let cases: [(DictScan, &[&str]); 10] = [
        (scan("priv/a", Exact, ByKey, 0), &["priv/a"]),
        (scan("priv/none", Exact, ByKey, 0), &[]),
        (scan("priv/a/", Children, ByKey, 0), &["priv/a/", "priv/a/b", "priv/a/ü"]),
        (scan("priv/a/", Recursive, ByKey, 0), &["priv/a/", "priv/a/b", "priv/a/b/c", "priv/a/ü", "priv/a/ü/x"]),
        (scan("priv/a/", Recursive, ByValue, 0), &["priv/a/ü", "priv/a/ü/x", "priv/a/b/c", "priv/a/b", "priv/a/"]),
        (scan("priv/a/", Recursive, ByValue, 3), &["priv/a/ü", "priv/a/ü/x", "priv/a/b/c"]),
        (scan("priv/a%", Recursive, ByKey, 0), &["priv/a%_*"]),
        (scan("priv/\u{10ffff}", Recursive, ByKey, 0), &["priv/\u{10ffff}"]),
        (scan("", Recursive, ByKey, 2), &["priv/a", "priv/a%_*"]),
        (scan("shared/", Recursive, ByKey, 0), &[]),
    ];
    for (scan, expected) in cases {
        assert_eq!(names(store, &scan, at(1)).await, expected, "{scan:?}");
    }
    assert_eq!(names(store, &scan("", Recursive, DictOrder::Any, 0), at(1)).await.len(), written.len());
}

pub(crate) async fn a_scan_beyond_its_bounds_is_an_error_not_a_part(store: &dyn Store) {
    let bounds = DictBounds { key: 100, value: 5 << 20, keys: 100 };
    let value = "v".repeat(5 << 20);
    for name in ["priv/1", "priv/2", "priv/3"] {
        store.dict_commit(&[set(key(name), &value)], bounds, at(1)).await.expect("a store");
    }
    let all = scan("priv/", DictScanKind::Recursive, DictOrder::ByKey, 0);
    assert_eq!(names(store, &all, at(1)).await.len(), 3);
    store.dict_commit(&[set(key("priv/4"), &value)], bounds, at(1)).await.expect("a store");
    let error = store.dict_scan(&all, at(1)).await.expect_err("20 MiB");
    assert!(error.to_string().contains("limit"), "{error}");
    assert_eq!(names(store, &DictScan { limit: 3, ..all }, at(1)).await.len(), 3);
}

pub(crate) async fn a_dict_name_holds_so_many_keys(store: &dyn Store) {
    let bounds = DictBounds { keys: 3, ..ROOMY };
    let write = |writes: Vec<DictWrite>, now| async move {
        store.dict_commit(&writes, bounds, at(now)).await.expect("a store")
    };
    let until_10 = |name: &str| DictWrite::Set { key: key(name), value: String::new(), expires: Some(at(10)) };
    let three = vec![set(key("priv/1"), ""), set(key_of("quota", "bob", "priv/2"), ""), until_10("priv/3")];
    assert_eq!(write(three, 1).await, DictOutcome::Committed);
    assert_eq!(write(vec![set(key("priv/4"), "")], 1).await, DictOutcome::TooMuch);
    assert_eq!(value(store, &key("priv/4"), at(1)).await, None);
    assert_eq!(write(vec![set(key_of("other", "ann", "priv/4"), "")], 1).await, DictOutcome::Committed, "another dict");
    assert_eq!(write(vec![set(key("priv/1"), "again")], 1).await, DictOutcome::Committed, "no new key");
    let swap = vec![set(key("priv/4"), ""), DictWrite::Unset { key: key("priv/1") }];
    assert_eq!(write(swap, 1).await, DictOutcome::Committed, "one more, one less");
    assert_eq!(write(vec![set(key("priv/5"), "")], 10).await, DictOutcome::Committed, "one has expired");
    assert_eq!(write(vec![set(key("priv/6"), "")], 10).await, DictOutcome::TooMuch);

    let lowered = DictBounds { keys: 1, ..ROOMY };
    let outcome = store.dict_commit(&[set(key("priv/5"), "again")], lowered, at(10)).await.expect("a store");
    assert_eq!(outcome, DictOutcome::Committed, "what is there may change when the bound was lowered");
}

pub(crate) async fn a_removed_account_takes_its_keys_along(store: &dyn Store) {
    let (ann, _) = with_ann(store).await;
    let hers = key_of("lastlogin", ann.as_str(), "priv/last-login/imap");
    let bobs = key_of("lastlogin", "bob@example.org", "priv/last-login/imap");
    // Where Dovecot's last_login plugin keeps it.
    let her_last = key_of("lastlogin", "", "shared/last-login/ann@example.org");
    let joanns = key_of("lastlogin", "", "shared/last-login/jo-ann@example.org");
    for key in [&hers, &bobs, &her_last, &joanns] {
        write(store, &[set(key.clone(), "1")]).await;
    }
    commit(store, gatepost::store::Change::RemoveAccount { user: ann }).await;
    for gone in [&hers, &her_last] {
        assert_eq!(value(store, gone, at(1)).await, None, "{gone:?}");
    }
    for kept in [&bobs, &joanns] {
        assert_eq!(value(store, kept, at(1)).await.as_deref(), Some("1"), "{kept:?}");
    }
}
