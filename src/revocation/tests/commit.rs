//! What becomes of a commit that goes well, or fails, or of which nobody knows.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::account::{AccountType, StoredHash, Username};
use crate::store::testing::{Point, StagedStore};
use crate::store::{
    Author, Change, CommitError, Conflict, Delivery, DeliveryStore as _, NewAccount, Step, StepKind, StepState,
    Store as _,
};

fn ann() -> Username {
    "ann@example.org".parse().expect("a valid name")
}

/// With one account, ann's.
async fn house() -> (Arc<StagedStore>, Arc<Revocation>) {
    let store = StagedStore::new().await;
    let revocation = Arc::new(Revocation::new(store.clone(), Sharing::Sole));
    let domain = "example.org".parse().expect("a domain");
    let account = NewAccount {
        username: ann(),
        hash: StoredHash::new("{PLAIN}Gate-post-8".to_owned()),
        fingerprint: None,
        name: None,
        quota: None,
        enabled: true,
        account_type: AccountType::Person,
        main_password_for_mail: true,
        fields: BTreeMap::new(),
    };
    let changes =
        [Change::AddDomain { domain, profile: "default".to_owned(), default_quota: None }, Change::AddAccount(account)];
    for change in changes {
        commit(&revocation, change).await.expect("it fits");
    }
    (store, revocation)
}

async fn commit(revocation: &Arc<Revocation>, change: Change) -> Result<Recorded, CommitError> {
    let author = Author { who: "uid:0".to_owned(), door: Door::Command, origin: None };
    revocation.commit(vec![change], &author, Timestamp::UNIX_EPOCH).await
}

async fn read_grant(store: &StagedStore, revocation: &Revocation) -> Grant {
    let position = revocation.position();
    let record = store.login_record(&ann()).await.expect("it is read");
    Grant::of(ann(), record.as_ref(), position)
}

#[tokio::test]
async fn a_doubt_lasts_until_the_log_has_been_read() {
    for (point, then) in [(Point::Committing, Standing::Current), (Point::Committed, Standing::Outdated)] {
        let (store, revocation) = house().await;
        let mut follower = None;
        revocation.follow_once(&mut follower).await.expect("it begins");
        let granted = read_grant(&store, &revocation).await;
        assert_eq!(revocation.standing(&granted), Standing::Current);

        store.fail(point);
        let failed = commit(&revocation, Change::LogOut { user: ann() }).await;
        assert!(matches!(failed, Err(CommitError::Store(_))), "{failed:?}");
        assert_eq!(revocation.standing(&granted), Standing::Unknown, "{point:?}");

        store.fail(Point::LogAsked);
        revocation.follow_once(&mut follower).await.expect_err("it was told to fail");
        assert_eq!(revocation.standing(&granted), Standing::Unknown, "{point:?}: the log was not read");
        revocation.follow_once(&mut follower).await.expect("it is read");
        assert_eq!(revocation.standing(&granted), then, "{point:?}");
    }
}

#[tokio::test]
async fn a_change_that_was_refused_leaves_no_doubt() {
    let (store, revocation) = house().await;
    let granted = read_grant(&store, &revocation).await;
    let stale = Some(Generation(1));
    let hash = StoredHash::new("{PLAIN}x".to_owned());
    let change = Change::SetPassword { user: ann(), hash, fingerprint: None, expected: stale };
    let refused = commit(&revocation, change).await;
    assert!(matches!(refused, Err(CommitError::Conflict(Conflict::Moved))), "{refused:?}");
    assert!(revocation.vouches_for(&granted));
}

#[tokio::test]
async fn a_receipt_waits_for_its_own_row_to_be_attempted() {
    let (store, revocation) = house().await;
    let recorded = commit(&revocation, Change::LogOut { user: ann() }).await.expect("it fits");
    let other = commit(&revocation, Change::LogOut { user: ann() }).await.expect("it fits");
    revocation.woken().await;
    let row = recorded.committed.row;
    let kicked = Step {
        what: StepKind::Kick,
        place: "imap1".to_owned(),
        state: StepState::Pending,
        count: Some(3),
        ms: None,
        note: None,
    };
    let mut attempted = store.delivery(row).await.expect("it is read").expect("it raised");
    attempted.steps = vec![kicked];
    revocation.announce(other.committed.row);
    let announced = async {
        store.settle(&[attempted.clone()]).await.expect("it is written");
        revocation.announce(row);
    };
    let (receipt, ()) = tokio::join!(revocation.receipt(recorded), announced);
    assert_eq!((receipt.row.number, receipt.complete, receipt.steps), (row, false, attempted.steps));
}

#[tokio::test]
async fn a_receipt_that_nobody_attempts_says_what_is_sure_and_no_sooner_than_its_patience_ends() {
    let (_store, revocation) = house().await;
    let recorded = commit(&revocation, Change::Disable { user: ann() }).await.expect("it fits");
    let (row, begun) = (recorded.committed.row, BootTime::now());
    let receipt = revocation.receipt(recorded).await;
    assert!(BootTime::now().since(begun) >= DELIVERY_PATIENCE);
    assert_stored(&receipt, row, ChangeKind::Disabled, false);
}

#[tokio::test]
async fn what_raised_nothing_is_complete_at_once() {
    let (_store, revocation) = house().await;
    let recorded = commit(&revocation, Change::SetQuota { user: ann(), quota: Some(7) }).await.expect("it fits");
    let row = recorded.committed.row;
    assert_stored(&revocation.receipt(recorded).await, row, ChangeKind::QuotaSet, true);
}

fn assert_stored(receipt: &Delivery, row: RowNumber, kind: ChangeKind, complete: bool) {
    assert_eq!((receipt.row.number, receipt.row.kind, receipt.complete), (row, kind, complete));
    assert_eq!((receipt.row.subject.as_str(), receipt.row.who.as_str()), ("ann@example.org", "uid:0"));
    let steps: Vec<_> = receipt.steps.iter().map(|step| (step.what, step.state)).collect();
    assert_eq!(steps, [(StepKind::Stored, StepState::Done)]);
}
