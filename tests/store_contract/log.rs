//! Promises about the change log.

use gatepost::account::{CredentialName, Origin, RowNumber};
use gatepost::store::log::HIGHEST_TO_PASS;
use gatepost::store::{AuditFilter, Author, Change, ChangeKind, Door, Row, Store};

use crate::sample::{add_domain, at, commit, hash, new_account, user, with_ann};

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

/// Everything there is to filter by, each by itself and together, against a filter written here.
pub(crate) async fn an_audit_finds_what_its_filter_names(store: &dyn Store) {
    let rows = a_varied_log(store).await;
    let all = AuditFilter { limit: 100, ..AuditFilter::default() };
    let domain = |text: &str| text.parse().ok();
    let cases: [(AuditFilter, Passes); 14] = [
        (all.clone(), |_| true),
        (AuditFilter { user: Some(user("ann@example.org")), ..all.clone() }, |row| row.subject == "ann@example.org"),
        (AuditFilter { domain: domain("example.org"), ..all.clone() }, |row| {
            row.subject == "example.org" || row.subject.ends_with("@example.org")
        }),
        (AuditFilter { domain: domain("ample.org"), ..all.clone() }, |row| {
            row.subject == "ample.org" || row.subject.ends_with("@ample.org")
        }),
        (AuditFilter { domain: domain("example"), ..all.clone() }, |_| false),
        (AuditFilter { kind: Some(ChangeKind::LoggedOut), ..all.clone() }, |row| row.kind == ChangeKind::LoggedOut),
        (AuditFilter { who: Some("ann@example.org".to_owned()), ..all.clone() }, |row| row.who == "ann@example.org"),
        (AuditFilter { who: Some("ann".to_owned()), ..all.clone() }, |_| false),
        (AuditFilter { door: Some(Door::Poppassd), ..all.clone() }, |row| row.door == Door::Poppassd),
        (AuditFilter { since: Some(at(12)), ..all.clone() }, |row| row.at >= at(12)),
        (AuditFilter { until: Some(at(12)), ..all.clone() }, |row| row.at < at(12)),
        (AuditFilter { since: Some(at(11)), until: Some(at(14)), ..all.clone() }, |row| {
            (at(11)..at(14)).contains(&row.at)
        }),
        (AuditFilter { user: Some(user("ann@example.org")), domain: domain("example.org"), ..all.clone() }, |row| {
            row.subject == "ann@example.org"
        }),
        (
            AuditFilter {
                domain: domain("example.org"),
                kind: Some(ChangeKind::LoggedOut),
                who: Some("uid:0".to_owned()),
                door: Some(Door::Api),
                since: Some(at(5)),
                until: Some(at(20)),
                ..all.clone()
            },
            |row| row.kind == ChangeKind::LoggedOut && row.at == at(10),
        ),
    ];
    for (filter, passes) in cases {
        let expected = numbers(rows.iter().rev().filter(|row| passes(row)));
        assert_eq!(audit(store, &filter).await, expected, "{filter:?}");
    }
    let foreign = AuditFilter { user: Some(user("ann@example.org")), domain: domain("ample.org"), ..all };
    assert_eq!(audit(store, &foreign).await, [], "both must hold");
}

type Passes = fn(&Row) -> bool;

fn numbers<'a>(rows: impl Iterator<Item = &'a Row>) -> Vec<RowNumber> {
    rows.map(|row| row.number).collect()
}

async fn audit(store: &dyn Store, filter: &AuditFilter) -> Vec<RowNumber> {
    numbers(store.audit(filter).await.expect("a store").iter())
}

/// Two domains of which one's name ends like the other's, three accounts, a token, everyone; several hands and doors.
async fn a_varied_log(store: &dyn Store) -> Vec<Row> {
    with_ann(store).await;
    commit(store, add_domain("ample.org")).await;
    for name in ["bob@example.org", "ann@ample.org"] {
        commit(store, Change::AddAccount(new_account(name))).await;
    }
    let changes = [
        (Change::LogOut { user: user("bob@example.org") }, "uid:0", Door::Api),
        (Change::LogOut { user: user("bob@example.org") }, "uid:0", Door::Command),
        (Change::LogOut { user: user("bob@example.org") }, "token:web", Door::Api),
        (Change::SetQuota { user: user("bob@example.org"), quota: None }, "uid:0", Door::Api),
        (Change::LogOut { user: user("ann@ample.org") }, "uid:0", Door::Api),
        (Change::LogOut { user: user("ann@example.org") }, "ann@example.org", Door::Poppassd),
        (Change::RemoveAccount { user: user("bob@example.org") }, "uid:0", Door::Command),
        (Change::LogOutEveryone, "uid:0", Door::Command),
    ];
    for (second, (change, who, door)) in (10..).zip(changes) {
        let author = Author { who: who.to_owned(), door, origin: None };
        store.commit(&[change], &author, at(second)).await.expect("it fits");
    }
    store.changes_since(RowNumber(0), 100).await.expect("a store")
}

pub(crate) async fn an_audit_is_read_page_by_page(store: &dyn Store) {
    a_varied_log(store).await;
    for limit in [1, 2, 3, 100] {
        let filter = AuditFilter { domain: "example.org".parse().ok(), limit: 100, ..AuditFilter::default() };
        let whole = audit(store, &filter).await;
        let mut paged = Vec::new();
        loop {
            let page = audit(store, &AuditFilter { before: paged.last().copied(), limit, ..filter.clone() }).await;
            if page.is_empty() {
                break;
            }
            paged.extend(page);
        }
        assert_eq!(paged, whole, "{limit} at a time");
    }
}

pub(crate) async fn numbers_move_past_what_others_remember_and_never_back(store: &dyn Store) {
    assert_eq!(store.newest_row().await.expect("a store"), RowNumber(0));
    // Each number to pass, and the number of the row after it.
    for (past, next) in
        [(7, 8), (8, 9), (1000, 1001), (5, 1002), (1001, 1003), (u64::from(u32::MAX) * 8, 34_359_738_361)]
    {
        store.advance_past(RowNumber(past)).await.expect("a store");
        assert_eq!(store.newest_row().await.expect("a store"), RowNumber(next - 1), "past {past}");
        let row = commit(store, add_domain(&format!("d{next}.example"))).await.row;
        assert_eq!(row, RowNumber(next), "past {past}");
        assert_eq!(store.newest_row().await.expect("a store"), row, "past {past}");
    }
    let newest = store.newest_row().await.expect("a store");
    for absurd in [HIGHEST_TO_PASS.0 + 1, i64::MAX.unsigned_abs(), u64::MAX] {
        let error = store.advance_past(RowNumber(absurd)).await.expect_err("nobody counts so far");
        assert!(error.to_string().contains(&absurd.to_string()), "{error}");
    }
    assert_eq!(store.newest_row().await.expect("a store"), newest);
    store.advance_past(HIGHEST_TO_PASS).await.expect("a store");
    assert_eq!(commit(store, add_domain("last.example")).await.row, RowNumber(HIGHEST_TO_PASS.0 + 1));
}
