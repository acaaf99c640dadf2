//! Listening: sockets opened with their permissions, connections accepted only while there is room to serve them.
//!
//! A connection is accepted once a permit is there and not before: until then it waits in the kernel's backlog, where
//! its client waits for a greeting as it would on a busy host. Postfix takes one that is accepted and closed for a
//! broken service and stops offering AUTH altogether.
//!
//! Trusts: the kernel's word on who is at the other end of a unix socket; over TCP nobody.
//! Fails:  at the start, with what holds the place and which setting to change. Afterwards never: without file
//!         descriptors it waits and tries again.
//! Limits: the uid is known only after accepting, so a uid above its own share is closed on. A directory that others
//!         may write to lets them put their socket in the place of ours.

mod connection;
mod endpoint;
mod inherited;
mod permits;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

use crate::config;
use crate::config::Mode;
use connection::Stream;
pub use connection::{Connection, Peer};
pub use endpoint::{ListenError, Reason};
use endpoint::{Socket, SocketFile};
pub use inherited::Inherited;
use permits::Permits;

const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// An open socket and the right to accept from it. Its socket file goes when it is dropped, unless systemd made it.
#[derive(Debug)]
pub struct Listener {
    settings: config::Listener,
    socket: Socket,
    permits: Arc<Permits>,
    mode: Option<Mode>,
    /// Held for its drop.
    _file: Option<SocketFile>,
}

/// Opens everything that is configured, or takes it from systemd. Call inside the runtime.
///
/// # Errors
/// On the first that cannot be opened, and when systemd handed over a socket that no setting names.
pub fn bind_all(listeners: &[config::Listener], mut inherited: Inherited) -> Result<Vec<Listener>, ListenError> {
    let mut bound = Vec::new();
    for settings in listeners {
        let handed_over = inherited.take(&settings.name)?;
        if handed_over.is_empty() {
            bound.push(Listener::bind(settings)?);
            continue;
        }
        let permits = Permits::new(settings);
        for socket in handed_over {
            bound.push(Listener::inherit(settings, socket, Arc::clone(&permits))?);
        }
    }
    inherited.refuse_rest()?;
    Ok(bound)
}

/// Makes the directories that socket files go into, open to all as far as the umask allows. [`Listener::bind`] does so
/// too; this is for before something else makes one of them in a narrower way.
///
/// # Errors
/// On the first that cannot be made.
pub fn make_directories(listeners: &[config::Listener]) -> Result<(), ListenError> {
    listeners.iter().try_for_each(endpoint::make_directory)
}

/// Raises the limit of open files as far as this process may, and says how far that is: each connection needs one.
///
/// # Errors
/// When the kernel refuses.
pub fn raise_open_files_limit() -> io::Result<Option<u64>> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    Ok(limit.maximum)
}

impl Listener {
    /// Opens one listener where its settings say. Call inside the runtime.
    ///
    /// # Errors
    /// When the place is taken, or cannot be given its owner or mode.
    pub fn bind(settings: &config::Listener) -> Result<Self, ListenError> {
        let (socket, file) = endpoint::bind(settings)?;
        let mode = settings.endpoint.as_ref().and_then(config::Endpoint::mode);
        Ok(Self { settings: settings.clone(), socket, permits: Permits::new(settings), mode, _file: file })
    }

    fn inherit(settings: &config::Listener, socket: Socket, permits: Arc<Permits>) -> Result<Self, ListenError> {
        let mode = inherited::check(settings, &socket)?;
        Ok(Self { settings: settings.clone(), socket, permits, mode, _file: None })
    }

    #[must_use]
    pub fn settings(&self) -> &config::Listener {
        &self.settings
    }

    /// The permissions of the socket file, whoever made it; `None` over TCP.
    #[must_use]
    pub fn mode(&self) -> Option<Mode> {
        self.mode
    }

    /// Where it listens over TCP.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.socket.address()
    }

    /// The next connection there is room for. Nothing is lost when the future is dropped.
    pub async fn accept(&self) -> Connection {
        let mut pause = FIRST_PAUSE;
        loop {
            let permit = self.permits.acquire().await;
            let (stream, peer) = match self.accept_any().await {
                Ok(accepted) => accepted,
                Err(error) if is_the_clients(&error) => continue,
                Err(error) => {
                    drop(permit);
                    warn!(listener = self.settings.name, %error, "cannot accept a connection; trying again in {pause:?}");
                    tokio::time::sleep(pause).await;
                    pause = LONGEST_PAUSE.min(pause * 2);
                    continue;
                }
            };
            pause = FIRST_PAUSE;
            if let Some(permit) = permit.for_user(peer.uid()) {
                return Connection::new(stream, peer, permit);
            }
        }
    }

    async fn accept_any(&self) -> io::Result<(Stream, Peer)> {
        match &self.socket {
            Socket::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let peer = Peer::of_process(stream.peer_cred()?, &self.settings.trust);
                Ok((Stream::Unix(stream), peer))
            }
            Socket::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Stream::Tcp(stream), Peer::Remote(address)))
            }
        }
    }
}

/// Errors that concern the one connection, which is gone, and not the listener (accept(2), "Error handling").
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionAborted
            | Kind::ConnectionReset
            | Kind::Interrupted
            | Kind::InvalidInput
            | Kind::NotConnected
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable
            | Kind::NetworkDown
    )
}

#[cfg(test)]
mod tests;
