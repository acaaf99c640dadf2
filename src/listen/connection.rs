//! An accepted connection: its bytes, who is at the other end, and the permit that goes back when it ends.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::unix::UCred;
use tokio::net::{TcpStream, UnixStream};

use super::permits::Permit;
use crate::account::Origin;

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A process of this host, as it was when it connected.
    Process { uid: u32, gid: u32, pid: Option<u32>, trusted: bool },
    /// Whoever is at that address; never trusted.
    Remote(SocketAddr),
}

impl Peer {
    pub(super) fn of_process(credentials: UCred, trust: &BTreeSet<u32>) -> Self {
        let uid = credentials.uid();
        let pid = credentials.pid().and_then(|pid| u32::try_from(pid).ok());
        Self::Process { uid, gid: credentials.gid(), pid, trusted: trust.contains(&uid) }
    }

    #[must_use]
    pub fn uid(&self) -> Option<u32> {
        match self {
            Self::Process { uid, .. } => Some(*uid),
            Self::Remote(_) => None,
        }
    }

    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        match self {
            Self::Process { pid, .. } => *pid,
            Self::Remote(_) => None,
        }
    }

    /// Whether the listener's `trust` names its user.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        matches!(self, Self::Process { trusted: true, .. })
    }

    /// Where it comes from itself, whatever it says of its clients.
    #[must_use]
    pub fn origin(&self) -> Origin {
        match self {
            Self::Process { uid, .. } => Origin::Local(*uid),
            Self::Remote(address) => Origin::Address(address.ip().to_canonical()),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process { uid, pid: Some(pid), .. } => write!(formatter, "uid {uid} (pid {pid})"),
            Self::Process { uid, pid: None, .. } => write!(formatter, "uid {uid}"),
            Self::Remote(address) => address.fmt(formatter),
        }
    }
}

#[derive(Debug)]
pub(super) enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// Bytes both ways. Its permit goes back when it is dropped, both halves of it where it was split.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    peer: Peer,
    /// Held for its drop.
    _permit: Permit,
}

impl Connection {
    pub(super) fn new(stream: Stream, peer: Peer, permit: Permit) -> Self {
        Self { stream, peer, _permit: permit }
    }

    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.peer
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Unix(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
