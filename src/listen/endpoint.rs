//! Opening a socket: a path or an address, owner and mode set before anybody can connect, what a dead daemon left
//! behind taken away, what a living one holds left alone.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::net::sockopt::socket_peercred;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind as bind_to, connect, listen, socket_with,
};
use tokio::net::{TcpListener, UnixListener};

use crate::config::{Endpoint, Listener as Settings, Mode};

/// More than the kernel allows (`net.core.somaxconn`), so that it decides.
const BACKLOG: i32 = 65_535;

/// Why a listener could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the {name} listener{}: {reason}", at(place))]
pub struct ListenError {
    pub name: String,
    /// Its path or address, if it has one.
    pub place: Option<String>,
    pub reason: Reason,
}

#[derive(Debug, thiserror::Error)]
pub enum Reason {
    #[error("held by pid {pid}; stop it, or set `[listen.{name}] path`")]
    Held { name: String, pid: i32 },
    #[error("held by another process; stop it, or set `[listen.{name}] address`")]
    AddressInUse { name: String },
    #[error("there is a file that is not a socket; move it away, or set `[listen.{name}] path`")]
    NotASocket { name: String },
    #[error("cannot {doing}: {source}; see `[listen.{name}] {setting}`")]
    Io { name: String, doing: &'static str, setting: &'static str, source: io::Error },
    #[error("systemd handed over no socket of that name; set its `path` or `address`, or `FileDescriptorName={name}`")]
    Nowhere { name: String },
    #[error("systemd handed over a socket that no setting names; add `[listen.{name}]`, or drop the socket unit")]
    NotConfigured { name: String },
    #[error("what systemd handed over is {found}; {remedy}")]
    WrongKind { found: &'static str, remedy: String },
}

fn at(place: &Option<String>) -> String {
    place.as_ref().map(|place| format!(" at {place}")).unwrap_or_default()
}

#[derive(Debug)]
pub(super) enum Socket {
    Unix(UnixListener),
    Tcp(TcpListener),
}

impl Socket {
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Unix(_) => None,
            Self::Tcp(listener) => listener.local_addr().ok(),
        }
    }
}

/// A socket file that we made: removed on drop, if it is still the same.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn made(path: &Path) -> io::Result<Self> {
        let made = fs::symlink_metadata(path)?;
        Ok(Self { path: path.to_owned(), device: made.dev(), inode: made.ino() })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let same =
            fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode));
        if same && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the socket file; the next start will");
        }
    }
}

pub(super) fn make_directory(settings: &Settings) -> Result<(), ListenError> {
    let Some(Endpoint::Unix { path, .. }) = &settings.endpoint else { return Ok(()) };
    let name = settings.name.clone();
    make_parent(&name, path).map_err(|reason| ListenError { name, place: Some(path.display().to_string()), reason })
}

pub(super) fn bind(settings: &Settings) -> Result<(Socket, Option<SocketFile>), ListenError> {
    let name = &settings.name;
    let (place, opened) = match &settings.endpoint {
        None => (None, Err(Reason::Nowhere { name: name.clone() })),
        Some(Endpoint::Tcp(address)) => (Some(address.to_string()), bind_tcp(name, *address)),
        Some(Endpoint::Unix { path, mode, owner, group }) => {
            (Some(path.display().to_string()), bind_unix(name, path, *mode, *owner, *group))
        }
    };
    opened.map_err(|reason| ListenError { name: name.clone(), place, reason })
}

fn bind_tcp(name: &str, address: SocketAddr) -> Result<(Socket, Option<SocketFile>), Reason> {
    let failed = |source: io::Error| match source.kind() {
        ErrorKind::AddrInUse => Reason::AddressInUse { name: name.to_owned() },
        _ => Reason::Io { name: name.to_owned(), doing: "listen there", setting: "address", source },
    };
    let listener = std::net::TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok((Socket::Tcp(TcpListener::from_std(listener).map_err(failed)?), None))
}

/// Between bind and listen the file is there but nobody can connect; that is when it gets its owner and mode.
fn bind_unix(
    name: &str,
    path: &Path,
    mode: Mode,
    owner: Option<u32>,
    group: Option<u32>,
) -> Result<(Socket, Option<SocketFile>), Reason> {
    let failed = |doing, setting| move |source: io::Error| Reason::Io { name: name.to_owned(), doing, setting, source };
    make_parent(name, path)?;
    remove_stale(name, path)?;
    let socket = open_unix_socket().map_err(failed("make a socket", "path"))?;
    let address = SocketAddrUnix::new(path).map_err(|errno| failed("use that path", "path")(errno.into()))?;
    bind_to(&socket, &address).map_err(|errno| failed("make the socket file", "path")(errno.into()))?;
    let file = SocketFile::made(path).map_err(failed("find the socket file again", "path"))?;
    if owner.is_some() || group.is_some() {
        let setting = if owner.is_some() { "owner" } else { "group" };
        lchown(path, owner, group).map_err(failed("give it its owner and group", setting))?;
    }
    fs::set_permissions(path, Permissions::from_mode(mode.0)).map_err(failed("give it its mode", "mode"))?;
    listen(&socket, BACKLOG).map_err(|errno| failed("listen there", "path")(errno.into()))?;
    let listener = UnixListener::from_std(socket.into()).map_err(failed("listen there", "path"))?;
    Ok((Socket::Unix(listener), Some(file)))
}

fn make_parent(name: &str, path: &Path) -> Result<(), Reason> {
    let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) else { return Ok(()) };
    let made = DirBuilder::new().recursive(true).mode(0o755).create(directory);
    let (name, doing, setting) = (name.to_owned(), "make its directory", "path");
    made.map_err(|source| Reason::Io { name, doing, setting, source })
}

fn open_unix_socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?)
}

/// Removes a socket file that nobody answers at.
fn remove_stale(name: &str, path: &Path) -> Result<(), Reason> {
    let failed = |doing| move |source: io::Error| Reason::Io { name: name.to_owned(), doing, setting: "path", source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("look at what is there")(error)),
        Ok(found) if !found.file_type().is_socket() => return Err(Reason::NotASocket { name: name.to_owned() }),
        Ok(_) => {}
    }
    let probe = open_unix_socket().map_err(failed("make a socket"))?;
    let address = SocketAddrUnix::new(path).map_err(|errno| failed("use that path")(errno.into()))?;
    match connect(&probe, &address) {
        Err(Errno::CONNREFUSED) => fs::remove_file(path).map_err(failed("remove the socket file of a dead process")),
        Ok(()) => {
            let holder = socket_peercred(&probe).map_err(|errno| failed("ask who holds it")(errno.into()))?;
            Err(Reason::Held { name: name.to_owned(), pid: holder.pid.as_raw_nonzero().get() })
        }
        // Its backlog is full, so it lives.
        Err(errno) => Err(failed("find out whether its owner lives")(errno.into())),
    }
}
