//! `[listen.NAME]`: what a listener is, the built-in ones, and how a file changes them or adds to them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::raw;
use super::users;
use super::values::{Mode, Protocol};

/// Longest path of a unix socket, in bytes (`sun_path` of unix(7), without the final NUL).
const SOCKET_PATH_LIMIT: usize = 107;
const DEFAULT_CONNECTIONS: u32 = 4096;
const DEFAULT_CONNECTIONS_PER_USER: u32 = 2048;
const BUILT_IN_DIRECTORY: &str = "gatepost-data/run";

/// A listener as it shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    pub name: String,
    pub protocol: Protocol,
    /// Where to listen. `None`: only where systemd hands over a socket of that name.
    pub endpoint: Option<Endpoint>,
    /// Uids that are believed in what they say of their clients, or allowed what a stranger is not.
    pub trust: BTreeSet<u32>,
    /// Whether stored hashes may leave through it.
    pub credentials: bool,
    /// Whether passwords may come in over a network that anybody could listen on.
    pub cleartext: bool,
    /// Connections at a time.
    pub connections: u32,
    /// Connections at a time of one uid.
    pub connections_per_user: u32,
}

impl Listener {
    /// Whether passwords would come in unprotected over this address of ours, and nobody said that they may.
    #[must_use]
    pub fn forbids(&self, address: IpAddr) -> bool {
        self.protocol == Protocol::Poppassd && !self.cleartext && !address.to_canonical().is_loopback()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    Unix { path: PathBuf, mode: Mode, owner: Option<u32>, group: Option<u32> },
    Tcp(SocketAddr),
}

impl Endpoint {
    /// The permissions of the socket file, if it is one.
    #[must_use]
    pub fn mode(&self) -> Option<Mode> {
        match self {
            Self::Unix { mode, .. } => Some(*mode),
            Self::Tcp(_) => None,
        }
    }
}

/// The listeners of a daemon without a configuration, all reachable by everybody who may know what they tell.
pub(super) fn built_in() -> BTreeMap<String, Listener> {
    let unix = |protocol: Protocol, mode: u32| {
        let path = Path::new(BUILT_IN_DIRECTORY).join(protocol.as_str());
        (protocol, Endpoint::Unix { path, mode: Mode(mode), owner: None, group: None })
    };
    let loopback = |protocol, port| (protocol, Endpoint::Tcp(SocketAddr::from(([127, 0, 0, 1], port))));
    [
        unix(Protocol::Auth, 0o666),
        unix(Protocol::Login, 0o666),
        unix(Protocol::Master, 0o600),
        unix(Protocol::Userdb, 0o666),
        unix(Protocol::Dict, 0o600),
        unix(Protocol::Socketmap, 0o666),
        unix(Protocol::Admin, 0o600),
        loopback(Protocol::Http, 8106),
        loopback(Protocol::Status, 8107),
        loopback(Protocol::Poppassd, 1106),
    ]
    .into_iter()
    .map(|(protocol, endpoint)| {
        let listener = Listener {
            name: protocol.to_string(),
            protocol,
            endpoint: Some(endpoint),
            trust: default_trust(protocol),
            credentials: protocol == Protocol::Dict,
            cleartext: false,
            connections: DEFAULT_CONNECTIONS,
            connections_per_user: DEFAULT_CONNECTIONS_PER_USER,
        };
        (listener.name.clone(), listener)
    })
    .collect()
}

/// Where a listener's settings are wrong: the key below `[listen.NAME]`, and why.
pub(super) type Complaint = (&'static str, String);

/// The listener that the file describes, over the built-in one of that name; `None` if it is switched off.
pub(super) fn resolve(
    name: &str,
    written: &raw::Listen,
    built_in: Option<&Listener>,
    complaints: &mut Vec<Complaint>,
) -> Option<Listener> {
    if written.enabled == Some(false) {
        return None;
    }
    let protocol =
        written.protocol.or_else(|| built_in.map(|listener| listener.protocol)).or_else(|| name.parse().ok());
    let Some(protocol) = protocol else {
        complaints.push(("", format!("{name:?} is not a protocol; say with `protocol` what is spoken here")));
        return None;
    };
    if !protocol.is_available() {
        complaints.push(("protocol", format!("{protocol} is not available in this version; remove this listener")));
        return None;
    }
    let built_in = built_in.filter(|listener| listener.protocol == protocol);
    let credentials = written.credentials.or_else(|| built_in.map(|listener| listener.credentials)).unwrap_or(false);
    let connections = written.connections.unwrap_or(DEFAULT_CONNECTIONS);
    let listener = Listener {
        name: name.to_owned(),
        protocol,
        endpoint: endpoint(written, protocol, credentials, built_in, complaints),
        trust: trust(written, protocol, complaints),
        credentials,
        cleartext: written.cleartext.unwrap_or(false),
        connections,
        connections_per_user: written
            .connections_per_user
            .unwrap_or_else(|| DEFAULT_CONNECTIONS_PER_USER.min(connections)),
    };
    check(&listener, complaints);
    Some(listener)
}

fn endpoint(
    written: &raw::Listen,
    protocol: Protocol,
    credentials: bool,
    built_in: Option<&Listener>,
    complaints: &mut Vec<Complaint>,
) -> Option<Endpoint> {
    if let Some(address) = written.address {
        if written.path.is_some() {
            complaints.push(("address", "a listener has `path` or `address`, not both; remove one".to_owned()));
        }
        for (key, is_set) in
            [("mode", written.mode.is_some()), ("owner", written.owner.is_some()), ("group", written.group.is_some())]
        {
            if is_set {
                complaints.push((key, "only a socket with a `path` has an owner and a mode; remove this".to_owned()));
            }
        }
        return Some(Endpoint::Tcp(address));
    }
    let inherited = built_in.and_then(|listener| listener.endpoint.clone());
    let (path, inherited_mode) = match (&written.path, inherited) {
        (Some(path), _) => (path.clone(), None),
        (None, Some(Endpoint::Unix { path, mode, .. })) => (path, Some(mode)),
        (None, other) => return other,
    };
    let inherited_mode =
        inherited_mode.filter(|_| built_in.is_some_and(|listener| listener.credentials == credentials));
    let mut number = |key, lookup: fn(&super::values::Id) -> Result<u32, String>, id: &Option<_>| {
        let found = id.as_ref().map(lookup)?;
        found.map_err(|text| complaints.push((key, text))).ok()
    };
    Some(Endpoint::Unix {
        path,
        owner: number("owner", users::uid, &written.owner),
        group: number("group", users::gid, &written.group),
        mode: written.mode.or(inherited_mode).unwrap_or_else(|| default_mode(protocol, credentials)),
    })
}

fn default_mode(protocol: Protocol, credentials: bool) -> Mode {
    match protocol {
        Protocol::Master | Protocol::Admin => Mode(0o600),
        Protocol::Dict if credentials => Mode(0o600),
        Protocol::Userdb => Mode(0o666),
        _ => Mode(0o660),
    }
}

fn trust(written: &raw::Listen, protocol: Protocol, complaints: &mut Vec<Complaint>) -> BTreeSet<u32> {
    let Some(ids) = &written.trust else { return default_trust(protocol) };
    let mut trusted = BTreeSet::new();
    for id in ids {
        match users::uid(id) {
            Ok(uid) => {
                trusted.insert(uid);
            }
            Err(text) => complaints.push(("trust", text)),
        }
    }
    trusted
}

/// Of the names that are usual, those that exist on this host; and our own.
fn default_trust(protocol: Protocol) -> BTreeSet<u32> {
    let names: &[&str] = match protocol {
        Protocol::Auth | Protocol::Login => &["root", "dovenull", "postfix", "Debian-exim"],
        // Dovecot gives its own userdb socket to that user, and some of its services ask as it.
        Protocol::Userdb => &["root", "dovecot"],
        _ => &["root"],
    };
    users::existing(names).into_iter().collect()
}

fn check(listener: &Listener, complaints: &mut Vec<Complaint>) {
    let Listener { protocol, connections, connections_per_user, .. } = listener;
    match &listener.endpoint {
        Some(Endpoint::Unix { path, mode, .. }) => {
            if path.as_os_str().is_empty() {
                complaints.push(("path", "is empty; name a socket file".to_owned()));
            }
            if path.as_os_str().as_bytes().len() > SOCKET_PATH_LIMIT {
                complaints.push(("path", format!("is longer than {SOCKET_PATH_LIMIT} bytes; use a shorter one")));
            }
            if matches!(protocol, Protocol::Master | Protocol::Admin) && mode.0 & 0o007 != 0 {
                complaints.push(("mode", format!("{mode:?} lets everybody on this host use {protocol}; use \"0600\"")));
            }
            if *protocol == Protocol::Dict && listener.credentials && mode.0 & 0o077 != 0 {
                complaints.push((
                    "mode",
                    format!("{mode:?} lets others read stored hashes; use \"0600\", or set `credentials = false`"),
                ));
            }
        }
        Some(Endpoint::Tcp(_)) if protocol.needs_peer_credentials() => {
            complaints.push(("address", format!("{protocol} needs a unix socket, which shows who asks; set `path`")));
        }
        Some(Endpoint::Tcp(address)) if listener.forbids(address.ip()) => complaints.push((
            "address",
            format!("{protocol} has no TLS; use 127.0.0.1, or set `cleartext = true` if nobody can listen in between"),
        )),
        Some(Endpoint::Tcp(_)) | None => {}
    }
    if listener.cleartext && *protocol != Protocol::Poppassd {
        complaints.push(("cleartext", "only a poppassd listener needs to be told so; remove this".to_owned()));
    }
    if listener.credentials && *protocol != Protocol::Dict {
        complaints.push(("credentials", "only a dict listener hands out stored hashes; remove this".to_owned()));
    }
    if *connections == 0 {
        complaints.push(("connections", "must be at least 1".to_owned()));
    } else if *connections_per_user == 0 || connections_per_user > connections {
        complaints.push((
            "connections_per_user",
            format!("{connections_per_user} is not between 1 and `connections`, which is {connections}"),
        ));
    }
}
