//! Sockets that systemd opened for us (sd_listen_fds(3)), found by their `FileDescriptorName`.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;

use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;
use tokio::net::{TcpListener, UnixListener};

use super::endpoint::{ListenError, Reason, Socket};
use crate::config::{Listener as Settings, Mode, Protocol};

/// What was handed over, by name; a name may have several sockets.
#[derive(Debug, Default)]
pub struct Inherited(BTreeMap<String, Vec<Handed>>);

#[derive(Debug)]
enum Handed {
    Unix(std::os::unix::net::UnixListener),
    Tcp(std::net::TcpListener),
    Unusable(&'static str),
}

impl Inherited {
    /// Takes what the environment names, and takes it out of the environment: call before there are threads.
    #[must_use]
    pub fn from_environment() -> Self {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut descriptors = ListenFd::from_env();
        let mut inherited = Self::default();
        for index in 0..descriptors.len() {
            // sd_listen_fds_with_names(3) calls what has no name so.
            let name = names.next().filter(|name| !name.is_empty()).unwrap_or("unknown");
            inherited.0.entry(name.to_owned()).or_default().push(take(&mut descriptors, index));
        }
        inherited
    }

    pub(super) fn take(&mut self, name: &str) -> Result<Vec<Socket>, ListenError> {
        let handed = self.0.remove(name).unwrap_or_default();
        handed.into_iter().map(|handed| handed.open().map_err(|reason| error(name, reason))).collect()
    }

    pub(super) fn refuse_rest(self) -> Result<(), ListenError> {
        match self.0.into_keys().next() {
            Some(name) => Err(error(&name, Reason::NotConfigured { name: name.clone() })),
            None => Ok(()),
        }
    }
}

fn take(descriptors: &mut ListenFd, index: usize) -> Handed {
    if let Ok(Some(listener)) = descriptors.take_unix_listener(index) {
        let listens = socket_acceptconn(&listener).unwrap_or(false);
        return if listens { Handed::Unix(listener) } else { Handed::Unusable("a unix socket that does not listen") };
    }
    if let Ok(Some(listener)) = descriptors.take_tcp_listener(index) {
        let listens = socket_acceptconn(&listener).unwrap_or(false);
        return if listens { Handed::Tcp(listener) } else { Handed::Unusable("a TCP socket that does not listen") };
    }
    Handed::Unusable("neither a unix stream socket nor a TCP socket")
}

impl Handed {
    fn open(self) -> Result<Socket, Reason> {
        let failed = |_| wrong("a socket that cannot be used", "see its socket unit");
        match self {
            Self::Unix(listener) => {
                listener.set_nonblocking(true).map_err(failed)?;
                UnixListener::from_std(listener).map(Socket::Unix).map_err(failed)
            }
            Self::Tcp(listener) => {
                listener.set_nonblocking(true).map_err(failed)?;
                TcpListener::from_std(listener).map(Socket::Tcp).map_err(failed)
            }
            Self::Unusable(found) => Err(wrong(found, "use `ListenStream=` and `Accept=no` in its socket unit")),
        }
    }
}

/// What the configuration asks of its own sockets is asked of these too. Gives the mode of the socket file.
pub(super) fn check(settings: &Settings, socket: &Socket) -> Result<Option<Mode>, ListenError> {
    let Socket::Unix(listener) = socket else {
        if settings.protocol.needs_peer_credentials() {
            let remedy = format!("{} needs a unix socket: give `ListenStream=` a path", settings.protocol);
            return Err(error(&settings.name, wrong("a TCP socket", remedy)));
        }
        if socket.address().is_some_and(|address| settings.forbids(address.ip())) {
            let remedy = format!(
                "{} has no TLS: give `ListenStream=` an address like 127.0.0.1:106, or set `[listen.{}] cleartext`",
                settings.protocol, settings.name
            );
            return Err(error(&settings.name, wrong("a TCP socket that is not on loopback", remedy)));
        }
        return Ok(None);
    };
    let path = listener.local_addr().ok().and_then(|address| address.as_pathname().map(ToOwned::to_owned));
    let mode = match path.map(fs::metadata) {
        Some(Ok(metadata)) => Mode(metadata.permissions().mode() & 0o777),
        // Dovecot lets nobody but its login processes look into `login/`.
        Some(Err(error)) if error.kind() == ErrorKind::PermissionDenied && !mode_matters(settings) => return Ok(None),
        _ => {
            let remedy = "give `ListenStream=` the path of a file that is there and that gatepost's user may look at";
            return Err(error(&settings.name, wrong("a unix socket without a file", remedy)));
        }
    };
    let closed = settings.credentials || matches!(settings.protocol, Protocol::Master | Protocol::Admin);
    let granted = if settings.credentials { mode.0 & 0o077 } else { mode.0 & 0o007 };
    if closed && granted != 0 {
        let remedy = "set `SocketMode=0600` in its socket unit";
        return Err(error(&settings.name, wrong("a socket that others may connect to", remedy)));
    }
    Ok(Some(mode))
}

/// Whether who may connect decides what is told: then it has to be known.
fn mode_matters(settings: &Settings) -> bool {
    settings.credentials || matches!(settings.protocol, Protocol::Master | Protocol::Userdb | Protocol::Admin)
}

fn wrong(found: &'static str, remedy: impl Into<String>) -> Reason {
    Reason::WrongKind { found, remedy: remedy.into() }
}

fn error(name: &str, reason: Reason) -> ListenError {
    ListenError { name: name.to_owned(), place: None, reason }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener as StdUnixListener;
    use std::path::Path;

    use super::*;
    use crate::config::Config;
    use crate::listen::bind_all;

    fn settings(name: &str) -> Settings {
        let listeners = Config::embedded().fixed.listeners;
        listeners.into_iter().find(|listener| listener.name == name).expect("a built-in listener")
    }

    fn unix(directory: &Path, mode: u32) -> Handed {
        let path = directory.join("handed");
        let listener = StdUnixListener::bind(&path).expect("bound");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("changed");
        Handed::Unix(listener)
    }

    fn tcp() -> Handed {
        Handed::Tcp(std::net::TcpListener::bind("127.0.0.1:0").expect("bound"))
    }

    #[tokio::test]
    async fn what_was_handed_over_in_the_wrong_shape_is_refused_with_the_remedy() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let inside = |name: &str| {
            let inner = directory.path().join(name);
            fs::create_dir(&inner).expect("made");
            inner
        };
        let everywhere = Handed::Tcp(std::net::TcpListener::bind("0.0.0.0:0").expect("bound"));
        let cases = [
            ("master", unix(&inside("a"), 0o666), "a socket that others may connect to; set `SocketMode=0600`"),
            ("dict", unix(&inside("b"), 0o660), "a socket that others may connect to; set `SocketMode=0600`"),
            ("master", tcp(), "a TCP socket; master needs a unix socket: give `ListenStream=` a path"),
            (
                "poppassd",
                everywhere,
                "not on loopback; poppassd has no TLS: give `ListenStream=` an address like 127.0.0.1",
            ),
            ("auth", Handed::Unusable("a unix socket that does not listen"), "does not listen; use `ListenStream=`"),
            ("other", tcp(), "no setting names; add `[listen.other]`, or drop the socket unit"),
        ];
        for (name, handed, expected) in cases {
            let inherited = Inherited(BTreeMap::from([(name.to_owned(), vec![handed])]));
            let configured: Vec<_> =
                [name].iter().filter(|name| **name != "other").map(|name| settings(name)).collect();
            let error = bind_all(&configured, inherited).expect_err(name).to_string();
            assert!(error.contains(expected), "{name}: {error}");
        }
    }

    #[tokio::test]
    async fn a_name_may_have_several_sockets() {
        let inherited = Inherited(BTreeMap::from([("auth".to_owned(), vec![tcp(), tcp()])]));
        assert_eq!(bind_all(&[settings("auth")], inherited).expect("taken over").len(), 2);
    }
}
