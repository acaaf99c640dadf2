//! Attempt: a password that somebody gives, as a door understood it.

use std::time::Instant;

use gatepost_protocol::Secret;
use jiff::Timestamp;

use crate::account::Origin;
use crate::throttle::Tally;

/// What a password is given for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To read and send mail.
    Mail,
    /// To change it: asks for the main password, whether or not mail programs may use that.
    Account,
}

/// One login attempt, as a door understood it.
#[derive(Debug)]
pub struct Attempt {
    /// As the client wrote it.
    pub name: String,
    /// Whom the client wants to be, if it said so: only itself is allowed.
    pub authzid: Option<String>,
    pub password: Secret,
    pub purpose: Purpose,
    /// `imap`, `smtp`, …, as the peer calls it.
    pub service: String,
    pub origin: Origin,
    /// A trusted peer asks not to count it (Dovecot does for webmails): it neither owes nor pays.
    pub no_penalty: bool,
    pub session: Option<String>,
    /// What the client calls itself.
    pub user_agent: Option<String>,
    pub arrived: Instant,
    pub at: Timestamp,
}

impl Purpose {
    pub(super) fn tally(self) -> Tally {
        match self {
            Self::Mail => Tally::Logins,
            Self::Account => Tally::Changes,
        }
    }
}
