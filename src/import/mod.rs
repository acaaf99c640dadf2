//! Import: what another system's file says of its mailboxes, as accounts to be made.
//!
//! The whole file is read before anything is made, so that what would make one mailbox of two stops in time.
//! Pure: the file's bytes come in, a [`Plan`] comes out.
//!
//! Trusts: nobody's text. Whether a hash can be verified, and a field be sent, is judged by the one who makes accounts.
//! Fails:  line by line: what cannot be an account is left out with its number and a reason.
//! Limits: a line of 64 KiB, a million lines.

pub mod passwd_file;
mod quota;
mod variables;

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use crate::account::{DomainName, StoredHash, Username};

/// A mailbox as the file describes it.
#[derive(Clone, Debug)]
pub struct Mailbox {
    /// Where the file says so, from 1.
    pub line: u64,
    pub username: Username,
    /// `None` where nobody could log in with what the file has.
    pub hash: Option<StoredHash>,
    pub enabled: bool,
    pub name: Option<String>,
    /// In bytes; 0 is no limit.
    pub quota: Option<u64>,
    pub fields: BTreeMap<String, String>,
}

/// A line that becomes no account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    pub line: u64,
    /// As written, but not longer than a name can be.
    pub name: String,
    pub reason: String,
}

/// What a file comes to.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub mailboxes: Vec<Mailbox>,
    pub left_out: Vec<LeftOut>,
}

/// One name on two lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Twin {
    pub username: Username,
    pub lines: [u64; 2],
}

impl fmt::Display for Twin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second] = self.lines;
        write!(formatter, "lines {first} and {second} are both {}", self.username)
    }
}

/// Why there is no plan at all.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error("cannot read the file: {0}")]
    Read(#[from] io::Error),
    #[error("the file has more than {0} lines; import it in parts")]
    TooMany(usize),
    #[error("one name stands on two lines, and only one of them can have the mailbox; remove the other")]
    Twins(Vec<Twin>),
}

/// Finds the names that are equal once they are folded, on lines that become accounts and on those left out.
fn require_no_twins(plan: Plan, default_domain: Option<&DomainName>) -> Result<Plan, PlanError> {
    let made = plan.mailboxes.iter().map(|mailbox| (mailbox.line, mailbox.username.clone()));
    let left_out = plan
        .left_out
        .iter()
        .filter_map(|left_out| Some((left_out.line, Username::parse(&left_out.name, default_domain).ok()?)));
    let mut named: Vec<_> = made.chain(left_out).collect();
    named.sort_unstable();
    let mut lines = BTreeMap::new();
    let mut twins = Vec::new();
    for (line, username) in named {
        if let Some(first) = lines.insert(username.clone(), line) {
            twins.push(Twin { username, lines: [first, line] });
        }
    }
    if twins.is_empty() { Ok(plan) } else { Err(PlanError::Twins(twins)) }
}
