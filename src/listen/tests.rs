use std::collections::BTreeSet;
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{self, Command};

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{getegid, geteuid};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::*;
use crate::config::{Endpoint, Protocol};
use crate::telemetry::metrics;

fn settings(name: &str, endpoint: Option<Endpoint>) -> config::Listener {
    config::Listener {
        name: name.to_owned(),
        protocol: Protocol::Auth,
        endpoint,
        trust: BTreeSet::new(),
        credentials: false,
        connections: 8,
        connections_per_user: 8,
        cleartext: false,
    }
}

fn at_path(path: &Path) -> config::Listener {
    settings("auth", Some(Endpoint::Unix { path: path.to_owned(), mode: Mode(0o640), owner: None, group: None }))
}

fn directory() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn message(error: &ListenError) -> String {
    error.to_string()
}

#[tokio::test]
async fn a_socket_file_has_the_mode_and_owner_that_are_set() {
    let directory = directory();
    let path = directory.path().join("deeper/still/auth");
    let mut settings = at_path(&path);
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    settings.endpoint =
        Some(Endpoint::Unix { path: path.clone(), mode: Mode(0o617), owner: Some(uid), group: Some(gid) });
    let listener = Listener::bind(&settings).expect("bound");
    let found = fs::metadata(&path).expect("the socket file");
    assert_eq!((found.permissions().mode() & 0o777, found.uid(), found.gid()), (0o617, uid, gid));
    assert_eq!(listener.mode(), Some(Mode(0o617)));
}

#[tokio::test]
async fn what_a_dead_process_left_is_replaced() {
    let directory = directory();
    let path = directory.path().join("auth");
    drop(std::os::unix::net::UnixListener::bind(&path).expect("bound"));
    assert!(path.exists(), "the standard library leaves the file");
    let listener = Listener::bind(&at_path(&path)).expect("bound over it");
    let (client, _connection) = tokio::join!(UnixStream::connect(&path), listener.accept());
    client.expect("connected");
}

#[tokio::test]
async fn what_a_living_process_holds_is_left_and_its_pid_named() {
    let directory = directory();
    let path = directory.path().join("auth");
    let holder = Listener::bind(&at_path(&path)).expect("bound");
    let error = Listener::bind(&at_path(&path)).expect_err("held");
    let expected = format!(
        "cannot open the auth listener at {}: held by pid {}; stop it, or set `[listen.auth] path`",
        path.display(),
        process::id()
    );
    assert_eq!(message(&error), expected);
    let (client, _connection) = tokio::join!(UnixStream::connect(&path), holder.accept());
    client.expect("still connected to the holder");
}

#[tokio::test]
async fn a_file_that_is_not_a_socket_is_left() {
    let directory = directory();
    let path = directory.path().join("auth");
    fs::write(&path, "precious").expect("written");
    let error = Listener::bind(&at_path(&path)).expect_err("taken");
    assert!(message(&error).ends_with("not a socket; move it away, or set `[listen.auth] path`"), "{error}");
    assert_eq!(fs::read_to_string(&path).expect("still there"), "precious");
}

#[tokio::test]
async fn a_taken_address_names_the_setting() {
    let holder = Listener::bind(&settings("a", Some(Endpoint::Tcp(([127, 0, 0, 1], 0).into())))).expect("bound");
    let address = holder.address().expect("an address");
    let error = Listener::bind(&settings("http", Some(Endpoint::Tcp(address)))).expect_err("taken");
    let expected = format!(
        "cannot open the http listener at {address}: held by another process; stop it, or set `[listen.http] address`"
    );
    assert_eq!(message(&error), expected);
}

#[tokio::test]
async fn a_listener_without_a_place_says_how_to_give_it_one() {
    let error = bind_all(&[settings("auth", None)], Inherited::default()).expect_err("nowhere to listen");
    let expected = "cannot open the auth listener: systemd handed over no socket of that name; \
                    set its `path` or `address`, or `FileDescriptorName=auth`";
    assert_eq!(message(&error), expected);
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_named_with_its_setting() {
    let directory = directory();
    fs::write(directory.path().join("file"), "").expect("written");
    let error = Listener::bind(&at_path(&directory.path().join("file/auth"))).expect_err("no directory");
    let text = message(&error);
    assert!(text.contains("cannot make its directory: ") && text.ends_with("; see `[listen.auth] path`"), "{text}");
}

#[test]
fn directories_for_sockets_let_others_through() {
    let directory = directory();
    make_directories(&[at_path(&directory.path().join("data/run/auth"))]).expect("made");
    for made in ["data", "data/run"] {
        let mode = fs::metadata(directory.path().join(made)).expect("made").permissions().mode();
        assert_eq!(mode & 0o011, 0o011, "{made}");
    }
}

#[tokio::test]
async fn connections_are_counted_until_they_end() {
    let directory = directory();
    let path = directory.path().join("counted");
    let settings = config::Listener { name: "counted".to_owned(), ..at_path(&path) };
    let listener = Listener::bind(&settings).expect("bound");
    let (_client, connection) = tokio::join!(UnixStream::connect(&path), listener.accept());
    assert!(metrics::encode().contains("gatepost_connections{listener=\"counted\"} 1\n"));
    drop(connection);
    assert!(metrics::encode().contains("gatepost_connections{listener=\"counted\"} 0\n"));
}

#[tokio::test]
async fn the_socket_file_goes_with_the_listener() {
    let directory = directory();
    let path = directory.path().join("auth");
    drop(Listener::bind(&at_path(&path)).expect("bound"));
    assert!(!path.exists());
}

#[tokio::test]
async fn a_socket_file_of_somebody_else_stays() {
    let directory = directory();
    let path = directory.path().join("auth");
    let listener = Listener::bind(&at_path(&path)).expect("bound");
    fs::rename(&path, directory.path().join("kept, so that its inode is not used again")).expect("moved");
    let _successor = std::os::unix::net::UnixListener::bind(&path).expect("bound");
    drop(listener);
    assert!(path.exists());
}

#[tokio::test]
async fn the_peer_is_who_the_kernel_says_and_trusted_if_named() {
    for (trust, trusted) in [(BTreeSet::from([geteuid().as_raw()]), true), (BTreeSet::from([4_000_000_000]), false)] {
        let directory = directory();
        let path = directory.path().join("auth");
        let listener = Listener::bind(&config::Listener { trust, ..at_path(&path) }).expect("bound");
        let (_client, connection) = tokio::join!(UnixStream::connect(&path), listener.accept());
        let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
        let expected = Peer::Process { uid, gid, pid: Some(process::id()), trusted };
        assert_eq!(connection.peer(), &expected);
    }
}

#[tokio::test]
async fn a_peer_over_tcp_is_never_trusted() {
    let listener = Listener::bind(&settings("auth", Some(Endpoint::Tcp(([127, 0, 0, 1], 0).into())))).expect("bound");
    let client = TcpStream::connect(listener.address().expect("an address")).await.expect("connected");
    let connection = listener.accept().await;
    assert_eq!(connection.peer(), &Peer::Remote(client.local_addr().expect("an address")));
    assert!(!connection.peer().is_trusted());
}

#[tokio::test]
async fn bytes_pass_both_ways() {
    let directory = directory();
    let path = directory.path().join("auth");
    let listener = Listener::bind(&at_path(&path)).expect("bound");
    let (client, mut connection) = tokio::join!(UnixStream::connect(&path), listener.accept());
    let mut client = client.expect("connected");
    client.write_all(b"ping").await.expect("written");
    let mut received = [0; 4];
    connection.read_exact(&mut received).await.expect("read");
    connection.write_all(&received).await.expect("written");
    connection.shutdown().await.expect("closed");
    let mut echoed = Vec::new();
    client.read_to_end(&mut echoed).await.expect("read");
    assert_eq!(echoed, b"ping");
}

/// Waits until the runtime has delivered what the kernel had to say: a connection made later has been accepted.
async fn io_has_turned(directory: &Path) {
    let path = directory.join("another");
    let another = Listener::bind(&at_path(&path)).expect("bound");
    let (client, _connection) = tokio::join!(UnixStream::connect(&path), another.accept());
    client.expect("connected");
}

#[tokio::test]
async fn without_a_permit_a_connection_waits_and_is_not_accepted() {
    let directory = directory();
    let path = directory.path().join("auth");
    let limits = config::Listener { connections: 1, connections_per_user: 1, ..at_path(&path) };
    let listener = Listener::bind(&limits).expect("bound");
    let (_first, held) = tokio::join!(UnixStream::connect(&path), listener.accept());
    let mut second = UnixStream::connect(&path).await.expect("in the backlog");
    tokio::select! {
        biased;
        _ = listener.accept() => panic!("accepted beyond the limit"),
        () = io_has_turned(directory.path()) => {}
    }
    drop(held);
    let mut connection = listener.accept().await;
    connection.write_all(b"greeting").await.expect("written");
    let mut greeting = [0; 8];
    second.read_exact(&mut greeting).await.expect("the same connection is served now");
}

#[tokio::test]
async fn one_user_cannot_take_every_permit() {
    let directory = directory();
    let path = directory.path().join("auth");
    let limits = config::Listener { connections: 2, connections_per_user: 1, ..at_path(&path) };
    let listener = Listener::bind(&limits).expect("bound");
    let (_first, held) = tokio::join!(UnixStream::connect(&path), listener.accept());
    let mut second = UnixStream::connect(&path).await.expect("in the backlog");
    let mut nothing = Vec::new();
    tokio::select! {
        biased;
        _ = listener.accept() => panic!("accepted beyond the user's share"),
        read = second.read_to_end(&mut nothing) => assert_eq!(read.expect("closed in order"), 0),
    }
    drop(held);
    let (third, _connection) = tokio::join!(UnixStream::connect(&path), listener.accept());
    third.expect("the share is free again");
}

#[tokio::test(start_paused = true)]
async fn without_file_descriptors_it_waits_and_tries_again() {
    let directory = directory();
    let path = directory.path().join("auth");
    let listener = Listener::bind(&at_path(&path)).expect("bound");
    let _client = UnixStream::connect(&path).await.expect("connected");
    let before = getrlimit(Resource::Nofile);
    let none_left = Rlimit { current: Some(0), ..before };
    setrlimit(Resource::Nofile, none_left).expect("lowered");
    let started = tokio::time::Instant::now();
    let accepted = tokio::time::timeout(Duration::from_secs(5), listener.accept()).await;
    setrlimit(Resource::Nofile, before).expect("raised");
    assert!(accepted.is_err() && started.elapsed() >= Duration::from_secs(5));
    listener.accept().await;
}

const INHERITED: &str = "listen::tests::sockets_of_systemd_are_used_by_name";

/// Runs itself once more as systemd would run a service, for only a new process can be handed sockets.
#[test]
fn sockets_of_systemd_are_used_by_name() {
    if std::env::var_os("LISTEN_FDS").is_some() {
        return serve_inherited();
    }
    let directory = directory();
    let path = directory.path().join("handed");
    let socket = std::os::unix::net::UnixListener::bind(&path).expect("bound");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).expect("changed");
    fcntl_setfd(&socket, FdFlags::empty()).expect("left open for the child");
    let run = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", INHERITED, "--nocapture"])
        .env("LISTEN_FDS", "1")
        .env("LISTEN_FDS_FIRST_FD", socket.as_raw_fd().to_string())
        .env("LISTEN_FDNAMES", "submission")
        .env("HANDED_PATH", &path)
        .output()
        .expect("run");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert!(path.exists(), "a socket file of systemd's is not ours to remove");
}

fn serve_inherited() {
    let inherited = Inherited::from_environment();
    assert!(std::env::var_os("LISTEN_FDS").is_none(), "not handed on to children");
    let path = std::env::var_os("HANDED_PATH").expect("set by the parent");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let elsewhere = Endpoint::Unix { path: "/nonexistent/auth".into(), mode: Mode(0), owner: None, group: None };
        let listeners = bind_all(&[settings("submission", Some(elsewhere))], inherited).expect("taken over");
        let [listener] = listeners.as_slice() else { panic!("one listener, not {listeners:?}") };
        assert_eq!(listener.mode(), Some(Mode(0o604)));
        let (client, _connection) = tokio::join!(UnixStream::connect(&path), listener.accept());
        client.expect("connected");
    });
}
