//! What a tail says of a grant, case by case.

use super::super::follow::{Follower, PAGE};
use super::super::tail::{FRESH, OVERLAP};
use super::*;

const ANN: &str = "ann@example.org";
const BOB: &str = "bob@example.org";

fn sole() -> Tail {
    Tail::new(Sharing::Sole, bounds(100))
}

/// Followed for long enough to be trusted, read at 20 s.
fn shared() -> Tail {
    let mut tail = Tail::new(Sharing::Shared, bounds(100));
    tail.follow(at(0));
    tail.complete(at(20_000), at(20_000));
    tail
}

#[test]
fn a_grant_is_outdated_by_what_concerns_it_and_by_nothing_else() {
    let cases = [
        (ANN, ChangeKind::PasswordSet, Standing::Outdated),
        (ANN, ChangeKind::QuotaSet, Standing::Outdated),
        ("example.org", ChangeKind::DomainSet, Standing::Outdated),
        ("*", ChangeKind::EveryoneLoggedOut, Standing::Outdated),
        (BOB, ChangeKind::PasswordSet, Standing::Current),
        ("example.net", ChangeKind::DomainSet, Standing::Current),
    ];
    for (subject, kind, standing) in cases {
        let mut tail = sole();
        let granted = grant(ANN, 6, tail.position());
        tail.read(&[row(7, subject, kind)], at(0));
        assert_eq!(tail.standing(&granted, at(0)), standing, "{subject} {kind}");
        assert_eq!(tail.standing(&grant(ANN, 7, tail.position()), at(0)), Standing::Current, "{subject} {kind}");
    }
}

#[test]
fn an_application_password_is_outdated_alone_but_falls_with_its_account() {
    let mut tail = sole();
    let to_main = grant(ANN, 6, tail.position());
    let to_application =
        |own| Grant { application: Some((CredentialName::Application(3), Generation(own))), ..to_main.clone() };
    tail.heard(ANN, CredentialName::Application(3), Generation(9), at(0));
    assert_eq!(tail.standing(&to_application(6), at(0)), Standing::Outdated);
    assert_eq!(tail.standing(&to_application(9), at(0)), Standing::Current);
    assert_eq!(tail.standing(&to_main, at(0)), Standing::Current);
    tail.heard(ANN, CredentialName::Main, Generation(10), at(0));
    assert_eq!(tail.standing(&to_application(9), at(0)), Standing::Outdated);
}

#[test]
fn nobody_judges_a_subject_while_it_is_committed_but_the_store() {
    for (subject, concerned) in [(ANN, true), ("example.org", true), ("*", true), (BOB, false)] {
        let mut tail = sole();
        let granted = grant(ANN, 6, tail.position());
        tail.begin(subject);
        tail.begin(subject);
        let meanwhile = if concerned { Standing::Unknown } else { Standing::Current };
        assert_eq!(tail.standing(&granted, at(0)), meanwhile, "{subject}");
        tail.abandon(subject);
        assert_eq!(tail.standing(&granted, at(0)), meanwhile, "{subject}: the other one is still under way");
        tail.enter(subject, CredentialName::Main, Some(RowNumber(8)), RowNumber(8), at(0));
        let then = if concerned { Standing::Outdated } else { Standing::Current };
        assert_eq!(tail.standing(&granted, at(0)), then, "{subject}");
    }
}

#[test]
fn a_commit_without_a_known_end_is_doubted_until_the_log_was_read_after_it() {
    for (mut tail, settled) in [(sole(), Duration::ZERO), (shared(), OVERLAP)] {
        let granted = grant(ANN, 6, tail.position());
        let doubted = at(20_000);
        tail.begin(ANN);
        tail.doubt(ANN, doubted);
        let standing = |tail: &mut Tail, sent: BootTime| {
            tail.complete(sent, sent);
            tail.standing(&granted, sent)
        };
        assert_eq!(standing(&mut tail, at(19_999)), Standing::Unknown, "read before");
        let cleared = BootTime(doubted.0 + settled);
        if !settled.is_zero() {
            let early = BootTime(cleared.0 - Duration::from_millis(1));
            assert_eq!(standing(&mut tail, early), Standing::Unknown, "it may still appear");
        }
        assert_eq!(standing(&mut tail, cleared), Standing::Current);
    }
}

#[test]
fn doubts_without_end_put_everything_in_doubt_and_stay_bounded() {
    let mut tail = sole();
    let granted = grant(ANN, 6, tail.position());
    for number in 0..=10_000 {
        let subject = format!("user{number}@example.net");
        tail.begin(&subject);
        tail.doubt(&subject, at(5));
    }
    assert_eq!(tail.standing(&granted, at(5)), Standing::Unknown);
    tail.complete(at(6), at(6));
    assert_eq!(tail.standing(&granted, at(6)), Standing::Current);
}

#[test]
fn a_shared_log_that_was_not_read_for_three_seconds_is_stale_and_a_sole_one_never() {
    let tail = shared();
    let granted = grant(ANN, 6, tail.position());
    let limit = BootTime(at(20_000).0 + FRESH);
    assert_eq!(tail.standing(&granted, limit), Standing::Current);
    assert_eq!(tail.standing(&granted, BootTime(limit.0 + Duration::from_millis(1))), Standing::Stale);

    let tail = sole();
    assert_eq!(tail.standing(&grant(ANN, 6, tail.position()), at(99_000_000)), Standing::Current);
}

#[test]
fn what_was_granted_while_following_began_is_never_trusted() {
    let mut tail = Tail::new(Sharing::Shared, bounds(100));
    let before = grant(ANN, 6, tail.position());
    assert_eq!(tail.standing(&before, at(0)), Standing::Stale, "not followed");
    tail.follow(at(0));
    tail.complete(at(9_999), at(9_999));
    assert_eq!(tail.standing(&before, at(9_999)), Standing::Stale, "a row may still appear below");
    tail.complete(at(10_000), at(10_000));
    assert_eq!(tail.standing(&before, at(10_000)), Standing::Unknown);
    assert_eq!(tail.standing(&grant(ANN, 6, tail.position()), at(10_000)), Standing::Current);
}

#[test]
fn what_is_forgotten_leaves_older_grants_unknown_and_newer_ones_current() {
    type Forget = fn(&mut Tail);
    let forgetting: [(&str, Forget); 2] = [
        ("too many", |tail| {
            for number in 0..100 {
                tail.heard(&format!("user{number}@example.net"), CredentialName::Main, Generation(8), at(1));
            }
        }),
        ("too old", |tail| tail.complete(at(3_600_002), at(3_600_002))),
    ];
    for (cause, forget) in forgetting {
        let mut tail = sole();
        let (older, untouched) = (grant(ANN, 6, tail.position()), grant(BOB, 6, tail.position()));
        tail.heard(ANN, CredentialName::Main, Generation(7), at(1));
        let newer = grant(ANN, 7, tail.position());
        assert_eq!(tail.standing(&older, at(1)), Standing::Outdated, "{cause}");
        forget(&mut tail);
        assert_eq!(tail.standing(&older, at(1)), Standing::Unknown, "{cause}");
        assert_eq!(tail.standing(&untouched, at(1)), Standing::Unknown, "{cause}");
        assert_eq!(tail.standing(&newer, at(1)), Standing::Current, "{cause}");
    }
}

#[test]
fn a_message_never_lowers_a_number_and_never_makes_a_tail_fresh() {
    let mut tail = shared();
    let granted = grant(ANN, 6, tail.position());
    tail.read(&[row(7, ANN, ChangeKind::PasswordSet)], at(20_000));
    tail.heard(ANN, CredentialName::Main, Generation(5), at(20_000));
    assert_eq!(tail.standing(&granted, at(20_000)), Standing::Outdated);
    tail.heard(BOB, CredentialName::Main, Generation(8), at(30_000));
    assert_eq!(tail.standing(&grant(ANN, 7, tail.position()), at(30_000)), Standing::Stale);
}

#[test]
fn a_sweep_goes_on_page_by_page_and_the_next_begins_where_the_log_ended_ten_seconds_before() {
    let mut follower = Follower::new(RowNumber(5), at(0));
    let mut sweep = follower.sweep(at(1_000));
    let full: Vec<Row> = (6..6 + u64::from(PAGE)).map(|number| row(number, ANN, ChangeKind::QuotaSet)).collect();
    assert!(!sweep.page(&full), "a full page may not be the last");
    assert_eq!(sweep.after(), RowNumber(5 + u64::from(PAGE)));
    assert!(sweep.page(&[row(2_000, ANN, ChangeKind::QuotaSet)]));
    follower.complete(&sweep, at(1_500));

    let begins_after = |follower: &Follower, now| follower.sweep(at(now)).after();
    for (now, begins) in [(2_000, 5), (11_000, 5), (11_499, 5), (11_500, 5), (12_000, 2_000)] {
        assert_eq!(begins_after(&follower, now), RowNumber(begins), "at {now}");
        let mut sweep = follower.sweep(at(now));
        assert!(sweep.page(&[]));
        follower.complete(&sweep, at(now));
    }
}
