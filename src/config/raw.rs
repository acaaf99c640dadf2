//! The file as it is written, table by table, with every default. What it means is worked out in `meaning`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::values::{Id, LogFormat, LogLevel, Mode, Network, Password, Period, Protocol};
use crate::account::DomainName;
use crate::authenticate::cache;
use crate::password::policy::Policy;
use crate::password::{Ceilings, Cost};
use crate::sessions::kick::endpoint::Endpoint;
use crate::throttle;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct File {
    pub(super) default_domain: Option<DomainName>,
    pub(super) store: Store,
    pub(super) listen: BTreeMap<String, Listen>,
    pub(super) hash: Hash,
    pub(super) cache: Cache,
    pub(super) throttle: Throttle,
    pub(super) previous_password: PreviousPassword,
    pub(super) redis: Redis,
    pub(super) userdb: Userdb,
    pub(super) dict: Dict,
    pub(super) dovecot: BTreeMap<String, Dovecot>,
    pub(super) socketmap: Socketmap,
    pub(super) policy: BTreeMap<String, Policy>,
    pub(super) log: Log,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Store {
    pub(super) path: PathBuf,
}

impl Default for Store {
    fn default() -> Self {
        Self { path: PathBuf::from("gatepost-data/gatepost.db") }
    }
}

/// What is absent is taken from the built-in listener of that name, or from the protocol's defaults.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Listen {
    pub(super) enabled: Option<bool>,
    pub(super) protocol: Option<Protocol>,
    pub(super) path: Option<PathBuf>,
    pub(super) address: Option<SocketAddr>,
    pub(super) mode: Option<Mode>,
    pub(super) owner: Option<Id>,
    pub(super) group: Option<Id>,
    pub(super) trust: Option<Vec<Id>>,
    pub(super) credentials: Option<bool>,
    pub(super) cleartext: Option<bool>,
    pub(super) connections: Option<u32>,
    pub(super) connections_per_user: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Hash {
    pub(super) memory_kib: u32,
    pub(super) iterations: u32,
    pub(super) parallelism: u32,
    pub(super) ceiling_memory_kib: u64,
    pub(super) ceiling_time: Period,
    /// Absent is one a core.
    pub(super) threads: Option<usize>,
    /// Absent is a hundred for each thread.
    pub(super) queue: Option<usize>,
}

impl Default for Hash {
    fn default() -> Self {
        let (cost, ceilings) = (Cost::default(), Ceilings::default());
        Self {
            memory_kib: cost.memory_kib(),
            iterations: cost.iterations(),
            parallelism: cost.lanes(),
            ceiling_memory_kib: ceilings.memory_kib,
            ceiling_time: Period(ceilings.time),
            threads: None,
            queue: None,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Cache {
    pub(super) entries: u64,
    pub(super) ttl: Period,
    pub(super) negative_ttl: Period,
}

impl Default for Cache {
    fn default() -> Self {
        let cache::Settings { entries, ttl, negative_ttl } = Default::default();
        Self { entries, ttl: Period(ttl), negative_ttl: Period(negative_ttl) }
    }
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Throttle {
    pub(super) failure_delay: Period,
    pub(super) failures: u32,
    pub(super) window: Period,
    pub(super) entries: usize,
    pub(super) trusted_networks: Vec<Network>,
}

impl Default for Throttle {
    fn default() -> Self {
        let throttle::Settings { failure_delay, failures, window, entries, trusted_networks } = Default::default();
        let trusted_networks = trusted_networks.into_iter().map(Network).collect();
        Self { failure_delay: Period(failure_delay), failures, window: Period(window), entries, trusted_networks }
    }
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PreviousPassword {
    pub(super) kept: Period,
    /// Absent is beside the store.
    pub(super) key_file: Option<PathBuf>,
}

impl Default for PreviousPassword {
    fn default() -> Self {
        Self { kept: Period(Duration::from_hours(7 * 24)), key_file: None }
    }
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Redis {
    pub(super) addresses: Vec<String>,
    pub(super) sentinels: Vec<String>,
    pub(super) master: Option<String>,
    pub(super) username: Option<String>,
    pub(super) password: Option<Password>,
    pub(super) password_file: Option<PathBuf>,
    pub(super) sentinel_username: Option<String>,
    pub(super) sentinel_password: Option<Password>,
    pub(super) sentinel_password_file: Option<PathBuf>,
    pub(super) tls: bool,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) database: u32,
    pub(super) prefix: String,
    pub(super) connect_timeout: Period,
    pub(super) response_timeout: Period,
    pub(super) horizon: Period,
}

impl Default for Redis {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            sentinels: Vec::new(),
            master: None,
            username: None,
            password: None,
            password_file: None,
            sentinel_username: None,
            sentinel_password: None,
            sentinel_password_file: None,
            tls: false,
            ca_file: None,
            database: 0,
            prefix: "gatepost".to_owned(),
            connect_timeout: Period(Duration::from_secs(1)),
            response_timeout: Period(Duration::from_millis(250)),
            horizon: Period(Duration::from_hours(30 * 24)),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Userdb {
    pub(super) uid: Option<Id>,
    pub(super) gid: Option<Id>,
    pub(super) home: Option<String>,
    pub(super) fields: BTreeMap<String, String>,
    pub(super) dovecot_23: BTreeMap<String, String>,
    pub(super) dovecot_24: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Dict {
    pub(super) key: usize,
    pub(super) value: usize,
    pub(super) keys: u64,
}

impl Default for Dict {
    fn default() -> Self {
        Self { key: 1024, value: 65_536, keys: 1_000_000 }
    }
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Dovecot {
    pub(super) url: Option<Endpoint>,
    pub(super) api_key: Option<Password>,
    pub(super) api_key_file: Option<PathBuf>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) flush_cache: bool,
    pub(super) timeout: Period,
}

impl Default for Dovecot {
    fn default() -> Self {
        Self {
            url: None,
            api_key: None,
            api_key_file: None,
            ca_file: None,
            flush_cache: false,
            timeout: Period(Duration::from_secs(2)),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Socketmap {
    pub(super) recipient_delimiter: String,
}

impl Default for Socketmap {
    fn default() -> Self {
        Self { recipient_delimiter: "+".to_owned() }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Log {
    pub(super) level: LogLevel,
    pub(super) format: LogFormat,
}
