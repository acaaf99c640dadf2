//! Two followers of one log, in pretend time.

mod commit;
mod schedule;
mod tail;

use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::account::{CredentialName, Generation};
use crate::store::{ChangeKind, Door, Row, RowNumber};

fn at(milliseconds: u64) -> BootTime {
    BootTime(Duration::from_millis(milliseconds))
}

fn bounds(subjects: usize) -> Bounds {
    Bounds { subjects, lifetime: Duration::from_hours(1) }
}

fn row(number: u64, subject: &str, kind: ChangeKind) -> Row {
    Row {
        number: RowNumber(number),
        subject: subject.to_owned(),
        credential: None,
        kind,
        who: "uid:0".to_owned(),
        door: Door::Command,
        origin: None,
        at: Timestamp::UNIX_EPOCH,
    }
}

/// A grant to `user` as of one number, for everything that has one.
fn grant(user: &str, number: u64, position: Position) -> Grant {
    Grant {
        user: user.parse().expect("a valid name"),
        generation: Generation(number),
        application: None,
        changed: RowNumber(number),
        domain_changed: RowNumber(number),
        position,
    }
}
