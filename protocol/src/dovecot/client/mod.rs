//! The auth client protocol: imap-login and its kin, `doveadm auth`, Postfix smtpd and Exim ask who may log in.
//!
//! Two audiences read our answers. A Dovecot client unescapes, understands codes and takes a closed connection for a
//! refusal (2.3). An MTA, known by the `nologin` of its AUTH, does the opposite in all three, so "not now" is
//! a code to the one and a closed connection to the other.

mod command;
mod reply;
mod session;

pub use reply::{FailCode, Reply};
pub use session::ClientSession;

use super::ClientInfo;
use crate::{Secret, sasl::Mechanism};

/// What a client wants.
#[derive(Debug)]
pub enum ClientEvent {
    /// The handshake is done.
    Hello {
        /// The client's process. On a login socket, what REQUEST will name.
        pid: u32,
        /// Minor version of the client: 0 Postfix and Exim, 2 Dovecot 2.3, 3 and 4 Dovecot 2.4.
        minor: u32,
    },
    /// Someone wants to log in; answer with [`ClientSession::reply`].
    Login(Box<Login>),
    /// The client is no longer interested in this login, answered or not: a success must not be claimed. It may also
    /// name one that was never handed out. A login that is not answered yet still has to be, for that frees its number;
    /// [`ClientSession::awaits`] tells that nobody will hear it.
    Cancel {
        /// As in [`Login`].
        id: u32,
    },
}

/// A name and a password, and where they come from.
#[derive(Debug)]
pub struct Login {
    /// Names the login among the open ones of this connection.
    pub id: u32,
    /// How they were sent.
    pub mechanism: Mechanism,
    /// Whom the user wants to act as, when that is somebody else.
    pub authzid: Option<String>,
    /// The user's name as sent; what was no UTF-8 in it is replaced.
    pub username: String,
    /// The password.
    pub password: Secret,
    /// What the mail server says of its client.
    pub info: ClientInfo,
}
