//! The judge of the load tests is itself tried: it finds each planted fault, and none where nothing is wrong.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::time::Duration;

use gatepost_harness::checker::judge::{FaultKind, judge};
use gatepost_harness::checker::{Heard, Operation, Password, Told, What};
use proptest::prelude::*;

const FIRST: u64 = 0;
const SECOND: u64 = 1;
const THIRD: u64 = 2;

/// In tenths of a second.
const fn at(tenths: u64) -> Duration {
    Duration::from_millis(tenths * 100)
}

const fn operation(began: u64, ended: u64, what: What) -> Operation {
    Operation { account: 7, began: at(began), ended: at(ended), what }
}

const fn accepted(password: u64, began: u64, ended: u64) -> Operation {
    operation(began, ended, What::Login { password: Password(password), heard: Heard::Accepted })
}

const fn refused(password: u64, began: u64, ended: u64) -> Operation {
    operation(began, ended, What::Login { password: Password(password), heard: Heard::Refused })
}

const fn not_now(password: u64, began: u64, ended: u64) -> Operation {
    operation(began, ended, What::Login { password: Password(password), heard: Heard::NotNow })
}

/// A reset by an administrator.
const fn set(new: u64, generation: u64, began: u64, ended: u64) -> Operation {
    let told = Told::Acknowledged { generation };
    operation(began, ended, What::Change { current: None, new: Password(new), told })
}

const fn changed(current: u64, new: u64, told: Told, began: u64, ended: u64) -> Operation {
    operation(began, ended, What::Change { current: Some(Password(current)), new: Password(new), told })
}

/// The first password is there from the beginning.
fn faults_of(rest: &[Operation]) -> Vec<FaultKind> {
    let history = [&[set(FIRST, 1, 0, 0)], rest].concat();
    judge(&history).iter().map(|fault| fault.kind).collect()
}

const fn made(generation: u64) -> Told {
    Told::Acknowledged { generation }
}

#[test]
fn each_planted_fault_is_found() {
    for (what, history, expected) in [
        ("accepted, never set", vec![accepted(9, 10, 11)], FaultKind::NeverSet),
        ("accepted before it was set", vec![accepted(SECOND, 5, 6), set(SECOND, 2, 10, 11)], FaultKind::NeverSet),
        (
            "accepted after it was replaced",
            vec![set(SECOND, 2, 10, 11), accepted(FIRST, 12, 13)],
            FaultKind::StaleAccept,
        ),
        (
            "accepted after a change in doubt was seen to be made",
            vec![changed(FIRST, SECOND, Told::Unknown, 10, 11), accepted(SECOND, 12, 13), accepted(FIRST, 14, 15)],
            FaultKind::StaleAccept,
        ),
        (
            "good for a change after it was replaced",
            vec![set(SECOND, 2, 10, 11), changed(FIRST, THIRD, made(3), 12, 13)],
            FaultKind::StaleAccept,
        ),
        (
            "accepted after it had been refused",
            vec![set(SECOND, 2, 10, 11), refused(FIRST, 12, 13), accepted(SECOND, 12, 13), accepted(FIRST, 14, 15)],
            FaultKind::OldPasswordBack,
        ),
        ("refused now, accepted then", vec![refused(FIRST, 1, 2), accepted(FIRST, 3, 4)], FaultKind::WrongRefusal),
        (
            "refused beside a change that was refused",
            vec![changed(THIRD, SECOND, Told::WrongPassword, 0, 9), refused(FIRST, 1, 2), accepted(FIRST, 3, 4)],
            FaultKind::WrongRefusal,
        ),
        (
            "refused at a change",
            vec![changed(FIRST, SECOND, Told::WrongPassword, 1, 2), accepted(FIRST, 3, 4)],
            FaultKind::WrongRefusal,
        ),
        (
            "refused after a change in doubt was seen not to be made",
            vec![
                changed(FIRST, SECOND, Told::Unknown, 1, 2),
                accepted(FIRST, 3, 4),
                refused(FIRST, 5, 6),
                accepted(FIRST, 7, 8),
            ],
            FaultKind::WrongRefusal,
        ),
        ("acknowledged and lost", vec![set(SECOND, 2, 10, 11), refused(SECOND, 12, 13)], FaultKind::LostUpdate),
        (
            "neither made nor not made",
            vec![changed(FIRST, SECOND, Told::Unknown, 1, 2), refused(FIRST, 3, 4), refused(SECOND, 3, 4)],
            FaultKind::NoneRight,
        ),
        (
            "two winners",
            vec![changed(FIRST, SECOND, made(2), 10, 12), changed(FIRST, THIRD, made(3), 11, 13)],
            FaultKind::TwoWinners,
        ),
        ("a number given twice", vec![set(SECOND, 2, 10, 12), set(THIRD, 2, 11, 13)], FaultKind::OutOfOrder),
        ("a number gone back", vec![set(SECOND, 3, 10, 11), set(THIRD, 2, 12, 13)], FaultKind::OutOfOrder),
    ] {
        assert_eq!(faults_of(&history), [expected], "{what}");
    }
}

#[test]
fn what_may_have_been_is_no_fault() {
    for (what, history) in [
        ("old or new during a change", vec![set(SECOND, 2, 10, 20), accepted(FIRST, 11, 12), accepted(SECOND, 13, 14)]),
        ("refused during a change", vec![set(SECOND, 2, 10, 20), refused(FIRST, 11, 12), refused(SECOND, 5, 12)]),
        ("begun before a change, told after it", vec![set(SECOND, 2, 10, 11), accepted(FIRST, 9, 15)]),
        ("not now, whatever it was", vec![set(SECOND, 2, 10, 11), not_now(FIRST, 12, 13), not_now(SECOND, 12, 13)]),
        ("never set, and refused", vec![refused(9, 10, 11)]),
        (
            "two at once, of which one wins",
            vec![
                changed(FIRST, SECOND, made(2), 10, 12),
                changed(FIRST, THIRD, Told::WrongPassword, 9, 13),
                accepted(SECOND, 14, 15),
            ],
        ),
        (
            "made, though nobody heard",
            vec![changed(FIRST, SECOND, Told::Unknown, 10, 11), refused(FIRST, 12, 13), accepted(SECOND, 12, 13)],
        ),
        (
            "not made, as nobody heard",
            vec![changed(FIRST, SECOND, Told::Unknown, 10, 11), accepted(FIRST, 12, 13), refused(SECOND, 12, 13)],
        ),
    ] {
        assert_eq!(faults_of(&history), [], "{what}");
    }
}

#[test]
fn a_fault_says_how_late_it_was() {
    let faults = judge(&[set(FIRST, 1, 0, 0), set(SECOND, 2, 10, 11), accepted(FIRST, 14, 15)]);
    assert_eq!(faults.len(), 1);
    assert_eq!((faults[0].account, faults[0].password), (7, Password(FIRST)));
    assert_eq!((faults[0].at, faults[0].late), (at(14), at(3)));
}

/// One thing asked of a password that is what it should be: begun, true of a moment, and answered.
#[derive(Clone, Debug)]
struct Asked {
    began: u64,
    happens: u64,
    ended: u64,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// With the newest password but so many.
    Login {
        back: usize,
    },
    Reset {
        heard: bool,
    },
    Change {
        back: usize,
        heard: bool,
        made: bool,
    },
}

fn asked() -> impl Strategy<Value = Asked> {
    let kind = prop_oneof![
        4 => (0_usize..4).prop_map(|back| Kind::Login { back }),
        1 => any::<bool>().prop_map(|heard| Kind::Reset { heard }),
        2 => (0_usize..3, any::<bool>(), any::<bool>()).prop_map(|(back, heard, made)| Kind::Change { back, heard, made }),
    ];
    (0_u64..300, 1_u64..20, 1_u64..20, kind).prop_map(|(began, until, after, kind)| Asked {
        began,
        happens: began + until,
        ended: began + until + after,
        kind,
    })
}

/// What a single daemon that makes no mistakes answers.
fn answered(mut asked: Vec<Asked>) -> Vec<Operation> {
    asked.sort_by_key(|asked| asked.happens);
    let mut history = vec![set(FIRST, 1, 0, 0)];
    let mut set_so_far = vec![FIRST];
    let mut tried = FIRST;
    for Asked { began, ended, kind, .. } in asked {
        let back = |number: usize| set_so_far[set_so_far.len().saturating_sub(1 + number)];
        let newest = back(0);
        let generation = set_so_far.len() as u64 + 1;
        tried += 1;
        let (current, is_made, heard) = match kind {
            Kind::Login { back: number } => {
                let is_right = back(number) == newest;
                history.push(if is_right {
                    accepted(newest, began, ended)
                } else {
                    refused(back(number), began, ended)
                });
                continue;
            }
            Kind::Reset { heard } => (None, true, heard),
            Kind::Change { back: number, heard, made } => {
                (Some(back(number)), back(number) == newest && (made || heard), heard)
            }
        };
        let told = match (heard, is_made) {
            (false, _) => Told::Unknown,
            (true, true) => made(generation),
            (true, false) => Told::WrongPassword,
        };
        let current = current.map(Password);
        history.push(operation(began, ended, What::Change { current, new: Password(tried), told }));
        if is_made {
            set_so_far.push(tried);
        }
    }
    history
}

proptest! {
    #[test]
    fn a_daemon_without_mistakes_is_never_blamed(asked in prop::collection::vec(asked(), 1..60)) {
        let history = answered(asked);
        prop_assert_eq!(judge(&history), [], "{:#?}", history);
    }

    #[test]
    fn the_password_before_the_last_is_found_when_it_comes_back(asked in prop::collection::vec(asked(), 1..60)) {
        let mut history = answered(asked);
        history.extend([set(1_000, 1_000, 400, 401), set(1_001, 1_001, 402, 403), accepted(1_000, 404, 405)]);
        let kinds: Vec<_> = judge(&history).iter().map(|fault| fault.kind).collect();
        prop_assert_eq!(kinds, [FaultKind::StaleAccept]);
    }

    #[test]
    fn the_last_password_is_missed_when_it_is_gone(asked in prop::collection::vec(asked(), 1..60)) {
        let mut history = answered(asked);
        history.extend([set(1_000, 1_000, 400, 401), refused(1_000, 402, 403)]);
        let kinds: Vec<_> = judge(&history).iter().map(|fault| fault.kind).collect();
        prop_assert_eq!(kinds, [FaultKind::LostUpdate]);
    }
}
