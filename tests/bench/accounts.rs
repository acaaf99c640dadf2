//! The accounts that log in, as each server wants to find them.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use gatepost::password::{self, Cost, Workspace};
use gatepost_protocol::Secret;
use tempfile::TempDir;

use crate::Outcome;
use crate::store::{self, user};

/// Everybody's password.
pub(crate) const PASSWORD: &str = "Correct-horse-4";

/// Nobody's.
pub(crate) const WRONG_PASSWORD: &str = "incorrect-horse";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// A comparison and no hash. Not `{PLAIN}`, which gatepost replaces by a hash at the first login: of what is stored
    /// truncated it cannot.
    Plain,
    /// Each account logs in once, for gatepost replaces this one as well.
    Sha512Crypt,
    /// As gatepost makes them unless it is told otherwise.
    Argon2id,
}

impl Scheme {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "{PLAIN-TRUNC}",
            Self::Sha512Crypt => "{SHA512-CRYPT}, first login",
            Self::Argon2id => "{ARGON2ID}",
        }
    }

    /// Whether an account is not the same any more once it has logged in.
    pub(crate) fn is_replaced_at_login(self) -> bool {
        self == Self::Sha512Crypt
    }

    /// [`PASSWORD`], in the words of `doveadm pw`.
    fn hash(self) -> Outcome<String> {
        Ok(match self {
            Self::Plain => "{PLAIN-TRUNC}14-Correct-horse-".to_owned(),
            Self::Sha512Crypt => concat!(
                "{SHA512-CRYPT}$6$7a1rqyWYHRbeuFv0$",
                "Dn5r8yelA.ePoyw3cj/.sKNj0pD9XKFAQZYKb3IU5Iol3CNA5vlF41/xPkssjHWHHh4IWAopEpZk.2zQwA38M/",
            )
            .to_owned(),
            Self::Argon2id => {
                let cost = Cost::default();
                let hash = password::hash(&Secret::from(PASSWORD), &cost, &[7; 16], &mut Workspace::new(&cost))?;
                hash.as_str().to_owned()
            }
        })
    }
}

/// Accounts written down for every server; copied from here for each run.
#[derive(Debug)]
pub(crate) struct Accounts {
    pub(crate) count: usize,
    pub(crate) scheme: Scheme,
    /// What everybody's password is stored as.
    pub(crate) hash: String,
    workshop: TempDir,
}

impl Accounts {
    pub(crate) async fn make(scheme: Scheme, count: usize) -> Outcome<Self> {
        let workshop = store::workshop()?;
        let accounts = Self { count, scheme, hash: scheme.hash()?, workshop };
        store::fill(&accounts.store(), count, &accounts.hash).await?;
        let (mut passwd_file, mut dict_file) = (String::new(), String::new());
        for user in (0..count).map(user) {
            let _ = writeln!(passwd_file, "{user}:{}::::::", accounts.hash);
            let _ = writeln!(dict_file, "shared/passdb/{user}\n{{\"password\":\"{}\"}}", accounts.hash);
        }
        fs::write(accounts.passwd_file(), passwd_file)?;
        fs::write(accounts.dict_file(), dict_file)?;
        Ok(accounts)
    }

    /// gatepost's store.
    pub(crate) fn store(&self) -> PathBuf {
        self.workshop.path().join("gatepost.db")
    }

    /// Of Dovecot's passdb.
    pub(crate) fn passwd_file(&self) -> PathBuf {
        self.workshop.path().join("users")
    }

    /// Of Dovecot's dict, by the file driver.
    pub(crate) fn dict_file(&self) -> PathBuf {
        self.workshop.path().join("dict")
    }
}
