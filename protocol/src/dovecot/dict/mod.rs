//! The dict protocol, version 3 (Dovecot 2.3) and 4 (2.4): keys and values, for Dovecot's auth, plugins and doveadm
//! (src/lib-dict/dict-client.c, src/dict/dict-commands.c).
//!
//! A 2.3.19 client crashes on a reply it does not know, and its auth worker aborts on an iterated key outside the path
//! that was asked for; neither can be written here.

mod command;
mod session;
mod transaction;

pub use session::DictSession;

/// What a client wants. All but the first are answered once, by their serial number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DictEvent {
    /// Which dict this connection is for. There is no answer; for a name that is not ours,
    /// [`DictSession::close`] and hang up.
    Hello {
        /// What follows the last colon of `proxy:/path:name`.
        name: String,
        /// 3 for Dovecot 2.3, 4 for 2.4.
        major: u32,
        /// Minor version of the client.
        minor: u32,
    },
    /// Answered by `found`, `not_found` or `failed`.
    Lookup {
        /// Names the command on this connection.
        serial: u32,
        /// `priv/…`, the user's own, or `shared/…`.
        key: String,
        /// The user; may be empty.
        user: String,
    },
    /// Answered by `row` for each, then `finished` or `failed`.
    Iterate(Iterate),
    /// Answered by `committed`, `not_found`, `failed` or `uncertain`.
    Commit(Commit),
}

/// Which keys to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Iterate {
    /// Names the command on this connection.
    pub serial: u32,
    /// What the keys begin with, down to a last `/`; or the key itself.
    pub path: String,
    /// The user; for a list of users, the mask.
    pub user: String,
    /// At most so many rows; 0 for all.
    pub max_rows: u64,
    /// Keys below further `/` too.
    pub recurse: bool,
    /// Only the key that is the path.
    pub exact: bool,
    /// Keys only.
    pub no_value: bool,
    /// Ordered by key.
    pub sort_by_key: bool,
    /// Ordered by value.
    pub sort_by_value: bool,
}

/// Changes to be made together or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Names the command on this connection.
    pub serial: u32,
    /// The user; may be empty.
    pub user: String,
    /// Seconds after which what is set may be forgotten; 0 for never (from 2.4).
    pub expire: u32,
    /// The changes, in their order.
    pub changes: Vec<Change>,
}

/// One change of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The key gets this value.
    Set {
        /// The key.
        key: String,
        /// Its value, any bytes.
        value: Vec<u8>,
    },
    /// The key goes, if it is there.
    Unset {
        /// The key.
        key: String,
    },
    /// The number under the key grows by this. A key that is missing stays so, and the commit is `not_found`.
    Add {
        /// The key.
        key: String,
        /// May be negative.
        difference: i64,
    },
}

impl DictEvent {
    /// The number of the command that it is.
    const fn serial(&self) -> Option<u32> {
        match self {
            Self::Hello { .. } => None,
            Self::Lookup { serial, .. }
            | Self::Iterate(Iterate { serial, .. })
            | Self::Commit(Commit { serial, .. }) => Some(*serial),
        }
    }
}

impl Iterate {
    /// Whether the key is one of those asked for.
    #[must_use]
    pub fn matches(&self, key: &str) -> bool {
        match key.strip_prefix(self.path.as_str()) {
            Some("") => true,
            Some(below) => !self.exact && (self.recurse || !below.contains('/')),
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_iteration_knows_its_keys() {
        // path, recurse, exact, key, whether it matches
        let cases = [
            ("priv/", false, false, "priv/color", true),
            ("priv/", false, false, "priv/a/b", false),
            ("priv/", true, false, "priv/a/b", true),
            ("priv/", true, false, "shared/a", false),
            ("priv/color", false, true, "priv/color", true),
            ("priv/color", true, true, "priv/colors", false),
            ("shared/userdb/", false, false, "something/else", false),
        ];
        for (path, recurse, exact, key, expected) in cases {
            let iterate = Iterate {
                serial: 1,
                path: path.to_owned(),
                user: String::new(),
                max_rows: 0,
                recurse,
                exact,
                no_value: false,
                sort_by_key: false,
                sort_by_value: false,
            };
            assert_eq!(iterate.matches(key), expected, "{iterate:?} and {key}");
        }
    }
}
