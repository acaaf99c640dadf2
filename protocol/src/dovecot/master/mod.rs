//! The auth master protocol: mail processes claim the login they were handed, lmtp and doveadm look users up.
//!
//! A reply to a lookup is one line of at most 8192 bytes, or the client leaves. "No such user" bounces mail; it is
//! never the answer to an outage, which is [`MasterSession::fail`].

mod command;
mod session;

pub use session::MasterSession;

use super::{ClientInfo, Cookie};

/// What a socket may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything; for root's processes only.
    Master,
    /// Lookups and lists: REQUEST and CACHE-FLUSH are unknown commands.
    Userdb,
}

/// What a mail process wants; each is answered once, by its `id`.
#[derive(Debug, PartialEq, Eq)]
pub enum MasterEvent {
    /// Who logged in? Answered by `user`, `not_found` or `fail`.
    Request(HandOff),
    /// Where does this user's mail live? Answered by `user`, `not_found` or `fail`.
    User(Lookup),
    /// May this user log in, and where? Answered by `pass`, `not_found` or `fail`.
    Pass(Lookup),
    /// Which users are there? Answered by `list_row` for each, then `list_done`.
    List {
        /// Names the command on this connection.
        id: u32,
        /// Only those that fit this mask (see [`super::mask::Mask`]).
        mask: Option<String>,
    },
    /// Forget what is cached of these users, of all if there are none. Answered by `flushed`.
    CacheFlush {
        /// Names the command on this connection.
        id: u32,
        /// Users, or masks.
        users: Vec<String>,
    },
}

/// A mail process was handed a client by a login process and asks who it is.
#[derive(Debug, PartialEq, Eq)]
pub struct HandOff {
    /// Names the command on this connection; large and random in practice.
    pub id: u32,
    /// The login process, as its CPID said.
    pub client_pid: u32,
    /// The login's id on that process's connection.
    pub auth_id: u32,
    /// What that connection was given, to prove the hand-off.
    pub cookie: Cookie,
    /// The asking process, which must be the peer of the socket.
    pub session_pid: Option<u32>,
    /// It wants `auth_token` in the reply (imap and submission do).
    pub wants_token: bool,
}

/// A lookup of one user.
#[derive(Debug, PartialEq, Eq)]
pub struct Lookup {
    /// Names the command on this connection: 1, 2, 3 …
    pub id: u32,
    /// The user's name as sent, not escaped; what was no UTF-8 in it is replaced.
    pub user: String,
    /// On whose behalf.
    pub info: ClientInfo,
}
