//! Promises about what is still to be delivered of a change, and what became of it.

use gatepost::account::{Generation, RowNumber, Username};
use gatepost::store::{
    Change, ChangeKind, CommitError, Conflict, Delivery, EVERYONE, Raised, Step, StepKind, StepState, Store,
};

use crate::sample::{at, author, commit, hash, new_account, raised, try_commit, user, with_ann};

fn step(what: StepKind, state: StepState) -> Step {
    Step { what, place: "imap1".to_owned(), state, count: Some(3), ms: Some(12), note: None }
}

async fn delivery(store: &dyn Store, row: RowNumber) -> Delivery {
    store.delivery(row).await.expect("a store").expect("a row that raises")
}

async fn undelivered(store: &dyn Store, after: RowNumber, limit: u32) -> Vec<RowNumber> {
    let deliveries = store.undelivered(after, limit).await.expect("a store");
    assert!(deliveries.iter().all(|delivery| !delivery.complete), "{deliveries:?}");
    deliveries.into_iter().map(|delivery| delivery.row.number).collect()
}

async fn log_out(store: &dyn Store, user: &Username) -> RowNumber {
    commit(store, Change::LogOut { user: user.clone() }).await.row
}

pub(crate) async fn a_row_that_raises_is_open_until_all_of_it_has_arrived(store: &dyn Store) {
    let (ann, generation) = with_ann(store).await;
    let row = RowNumber(generation.0);
    let new = delivery(store, row).await;
    assert_eq!((new.row.number, new.row.kind), (row, ChangeKind::AccountAdded));
    assert_eq!((new.generation(), new.complete, new.steps.as_slice()), (Some(generation), false, [].as_slice()));

    let stored = step(StepKind::Stored, StepState::Done);
    let waiting =
        Step { note: Some("refused the key".to_owned()), ms: None, ..step(StepKind::Kick, StepState::Pending) };
    let steps = vec![stored, waiting, step(StepKind::Counter, StepState::Failed)];
    store.settle(&[Delivery { steps: steps.clone(), ..new.clone() }]).await.expect("a store");
    let tried = delivery(store, row).await;
    assert_eq!((tried.complete, &tried.steps), (false, &steps));
    assert_eq!(undelivered(store, RowNumber(0), 10).await, [row]);

    let next = log_out(store, &ann).await;
    let steps = vec![step(StepKind::CacheFlush, StepState::Done)];
    let both = [Delivery { steps: steps.clone(), complete: true, ..tried }, delivery(store, next).await];
    store.settle(&both).await.expect("a store");
    let done = delivery(store, row).await;
    assert_eq!((done.complete, done.steps), (true, steps));
    assert_eq!(undelivered(store, RowNumber(0), 10).await, [next]);
}

pub(crate) async fn what_raised_nothing_has_no_delivery(store: &dyn Store) {
    let (ann, generation) = with_ann(store).await;
    let renamed = commit(store, Change::SetName { user: ann, name: None }).await.row;
    for row in [RowNumber(generation.0 - 1), renamed, RowNumber(renamed.0 + 1), RowNumber(u64::MAX)] {
        assert!(store.delivery(row).await.expect("a store").is_none(), "{row}");
    }
    let mut forged = delivery(store, RowNumber(generation.0)).await;
    forged.row.number = renamed;
    store.settle(&[forged]).await.expect("a store");
    assert_eq!(undelivered(store, RowNumber(0), 10).await, [RowNumber(generation.0)]);
}

pub(crate) async fn what_is_undelivered_comes_in_order_and_page_by_page(store: &dyn Store) {
    let (ann, generation) = with_ann(store).await;
    let bob = user("bob@example.org");
    let mut rows =
        vec![RowNumber(generation.0), commit(store, Change::AddAccount(new_account(bob.as_str()))).await.row];
    for turn in 0..4 {
        let who = if turn % 2 == 0 { &ann } else { &bob };
        commit(store, Change::SetQuota { user: who.clone(), quota: Some(turn) }).await;
        rows.push(log_out(store, who).await);
    }
    let settled = Delivery { complete: true, ..delivery(store, rows.remove(3)).await };
    store.settle(&[settled]).await.expect("a store");

    assert_eq!(undelivered(store, RowNumber(0), 100).await, rows);
    assert_eq!(undelivered(store, RowNumber(0), 2).await, rows[..2]);
    assert_eq!(undelivered(store, rows[1], 2).await, rows[2..4]);
    assert_eq!(undelivered(store, rows[4], 2).await, []);
}

pub(crate) async fn the_removal_of_an_account_is_delivered_like_any_change(store: &dyn Store) {
    let (ann, _) = with_ann(store).await;
    let committed = commit(store, Change::RemoveAccount { user: ann.clone() }).await;
    assert_eq!((committed.raised, committed.generation), (Some(committed.row), None));
    let removed = delivery(store, committed.row).await;
    assert_eq!((removed.row.subject.as_str(), removed.complete), (ann.as_str(), false));
    assert_eq!(removed.generation(), Some(Generation(committed.row.0)));
    let raised = store.raised_since(at(0), "", 10).await.expect("a store");
    let expected = Raised {
        subject: ann.to_string(),
        credential: None,
        generation: Generation(committed.row.0),
        kind: ChangeKind::AccountRemoved,
        at: at(1),
    };
    assert_eq!(raised, [expected]);
}

pub(crate) async fn everyones_generation_moves_in_one_row(store: &dyn Store) {
    let (ann, before) = with_ann(store).await;
    commit(store, Change::AddAccount(new_account("bob@example.org"))).await;
    let domain = store.domains().await.expect("a store");
    let committed = commit(store, Change::LogOutEveryone).await;
    assert_eq!((committed.raised, committed.generation), (Some(committed.row), None));

    for name in ["ann@example.org", "bob@example.org"] {
        let record = store.login_record(&user(name)).await.expect("a store").expect("an account");
        assert_eq!(record.account.generation, Generation(committed.row.0), "{name}");
        assert_eq!(record.account.changed, committed.row, "{name}");
        assert_eq!(record.credentials[0].generation, Generation(committed.row.0), "{name}");
    }
    assert_eq!(store.domains().await.expect("a store"), domain);
    let stale =
        Change::SetPassword { user: ann.clone(), hash: hash("second"), fingerprint: None, expected: Some(before) };
    let stale = try_commit(store, stale).await;
    assert!(matches!(stale, Err(CommitError::Conflict(Conflict::Moved))), "{stale:?}");

    let rows = store.changes_since(RowNumber(committed.row.0 - 1), 10).await.expect("a store");
    let [row] = rows.as_slice() else { panic!("one row, not {rows:?}") };
    assert_eq!((row.subject.as_str(), row.kind), (EVERYONE, ChangeKind::EveryoneLoggedOut));
    assert_eq!(undelivered(store, RowNumber(committed.row.0 - 1), 10).await, [committed.row]);
    assert!(raised(commit(store, Change::LogOut { user: ann }).await.generation).0 > committed.row.0);
}

/// Four accounts, each logged out twice, and everyone once.
pub(crate) async fn what_was_raised_since_comes_subject_by_subject(store: &dyn Store) {
    with_ann(store).await;
    for name in ["dan@example.org", "cy@example.org", "bob@example.org"] {
        commit(store, Change::AddAccount(new_account(name))).await;
    }
    let mut newest = Vec::new();
    for (second, name) in [(10, "ann"), (20, "bob"), (30, "cy"), (40, "dan"), (15, "cy"), (50, "bob"), (60, "ann")] {
        let user = user(&format!("{name}@example.org"));
        let change = [Change::LogOut { user: user.clone() }];
        let row = store.commit(&change, &author(), at(second)).await.expect("it fits").row;
        // As a clock that is set back has it, a later row may have an earlier time.
        newest.retain(|(name, _, earlier)| *name != user.to_string() || *earlier > second);
        newest.push((user.to_string(), Generation(row.0), second));
        commit(store, Change::SetQuota { user, quota: None }).await;
    }
    let everyone = store.commit(&[Change::LogOutEveryone], &author(), at(70)).await.expect("it fits").row;
    newest.push((EVERYONE.to_owned(), Generation(everyone.0), 70));
    newest.sort();

    let read = async |since, after: &str, subjects| {
        let raised = store.raised_since(at(since), after, subjects).await.expect("a store");
        raised.into_iter().map(|raised| (raised.subject, raised.generation, raised.at.as_second())).collect::<Vec<_>>()
    };
    for since in [20, 30, 31, 50, 61, 71] {
        let expected: Vec<_> = newest.iter().filter(|(.., second)| *second >= since).cloned().collect();
        assert_eq!(read(since, "", 100).await, expected, "since {since}");
        let mut paged = Vec::new();
        loop {
            let after = paged.last().map_or(String::new(), |(subject, ..): &(String, _, _)| subject.clone());
            let page = read(since, &after, 2).await;
            assert!(page.len() <= 2, "{page:?}");
            if page.is_empty() {
                break;
            }
            paged.extend(page);
        }
        assert_eq!(paged, expected, "since {since}, by twos");
    }
}
