//! Configuration: the built-in default, and what a TOML file says otherwise.
//!
//! What the file does not name keeps the default, so an empty file is the default. [`Fixed`] holds until the next
//! start; [`Live`] is taken from the file again on HUP.
//!
//! Trusts: the file. Names of users are looked up on this host as it is read.
//! Fails:  with every problem of meaning at once, but only the first of spelling; each names file, line and key.
//! Limits: paths are taken as written, so relative ones depend on where the daemon was started.

mod dovecot;
mod listener;
mod meaning;
mod problem;
mod raw;
mod redis;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;
mod users;
mod values;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::account::DomainName;
use crate::authenticate::cache;
use crate::hash_pool;
use crate::password::policy::Policy;
use crate::revocation;
use crate::sessions::kick;
use crate::store::dict::DictBounds;
use crate::throttle;
use crate::userdb::Template;
pub use listener::{Endpoint, Listener};
pub use problem::{ConfigError, Problem};
pub use values::{LogFormat, LogLevel, Mode, Password, Protocol};

/// Read where it exists and no `--config` names another.
pub const SYSTEM_FILE: &str = "/etc/gatepost/gatepost.toml";
/// The profile of a domain that names none.
pub const DEFAULT_POLICY: &str = "default";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub fixed: Fixed,
    pub live: Live,
}

/// What is settled for as long as the process lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// The SQLite file.
    pub store_path: PathBuf,
    pub listeners: Vec<Listener>,
    /// Threads keep the memory of their hashes, so the cost is as fixed as they are.
    pub hash: hash_pool::Settings,
    pub cache: cache::Settings,
    /// The file of what the fingerprints of previous passwords are made under; `None` is beside the store.
    pub fingerprint_key: Option<PathBuf>,
    /// Those whose sessions a change ends, in the order of their names.
    pub dovecots: Vec<kick::Settings>,
    /// `None` where no server is named.
    pub redis: Option<revocation::redis::Settings>,
    pub log_format: LogFormat,
}

/// What a HUP may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// Completes a name without `@`.
    pub default_domain: Option<DomainName>,
    pub throttle: throttle::Settings,
    /// For how long a password that was replaced is known again.
    pub previous_password_kept: Duration,
    pub userdb: Template,
    pub dict: DictBounds,
    /// Each of these characters parts a mailbox from an extension; none does if it is empty.
    pub recipient_delimiter: String,
    /// By name; `default` is always there.
    pub policies: BTreeMap<String, Policy>,
    pub log_level: LogLevel,
}

impl Config {
    /// The configuration of a daemon that was given none: everything below `./gatepost-data`.
    #[must_use]
    pub fn embedded() -> Self {
        let (config, _) = meaning::of(&raw::File::default());
        config
    }

    /// Reads `file`, or else [`SYSTEM_FILE`] where that exists, or else takes the built-in default.
    ///
    /// # Errors
    /// When the file cannot be read, or says what cannot be done.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let path = file.unwrap_or_else(|| Path::new(SYSTEM_FILE));
        match std::fs::read_to_string(path) {
            Ok(document) => Self::parse(&document, path),
            Err(error) if file.is_none() && error.kind() == ErrorKind::NotFound => Ok(Self::embedded()),
            Err(source) => Err(ConfigError::Read { file: path.to_owned(), source }),
        }
    }

    /// The configuration that `document` describes; `file` is only named in problems.
    ///
    /// # Errors
    /// With everything that is wrong in it.
    pub fn parse(document: &str, file: &Path) -> Result<Self, ConfigError> {
        let written: raw::File = toml::from_str(document)
            .map_err(|error| ConfigError::Wrong { problems: vec![Problem::from_toml(&error, file, document)] })?;
        let (config, complaints) = meaning::of(&written);
        let problems: Vec<_> =
            complaints.into_inner().into_iter().map(|(key, text)| Problem::at(&key, text, file, document)).collect();
        if problems.is_empty() { Ok(config) } else { Err(ConfigError::Wrong { problems }) }
    }
}

impl Fixed {
    /// The file of what the fingerprints of previous passwords are made under.
    #[must_use]
    pub fn fingerprint_key(&self) -> PathBuf {
        self.fingerprint_key.clone().unwrap_or_else(|| self.store_path.with_file_name("fingerprint.key"))
    }

    /// The settings that differ in `other`, which a restart would bring into force.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut names = Vec::new();
        let mut compare = |name: &str, differs: bool| {
            if differs {
                names.push(name.to_owned());
            }
        };
        compare("[store] path", self.store_path != other.store_path);
        compare("[hash]", self.hash != other.hash);
        compare("[cache]", self.cache != other.cache);
        compare("[previous_password] key_file", self.fingerprint_key != other.fingerprint_key);
        compare("[dovecot]", self.dovecots != other.dovecots);
        compare("[redis]", self.redis != other.redis);
        compare("[log] format", self.log_format != other.log_format);
        let listeners = |fixed: &Self| -> BTreeMap<String, Listener> {
            fixed.listeners.iter().map(|listener| (listener.name.clone(), listener.clone())).collect()
        };
        let (ours, theirs) = (listeners(self), listeners(other));
        for name in ours.keys().chain(theirs.keys().filter(|name| !ours.contains_key(*name))) {
            compare(&format!("[listen.{name}]"), ours.get(name) != theirs.get(name));
        }
        names
    }
}
