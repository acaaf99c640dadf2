//! The real `gatepost serve`, as its own user, its sockets handed over as systemd hands them over.
//!
//! The sockets are opened here, by root and where they belong, and stay open between two lives of the daemon, so a
//! client that comes in between waits instead of being refused: what the units in `systemd/` promise.

use std::fmt::Write as _;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use rustix::process::Signal;

use crate::process::Process;
use crate::{PATIENCE, User, directory_of, own_executable};

/// A unix socket that the daemon shall serve.
#[derive(Clone, Debug)]
pub struct Socket {
    pub name: &'static str,
    pub protocol: &'static str,
    pub path: PathBuf,
    pub owner: User,
    pub mode: u32,
}

#[derive(Debug)]
pub struct Gatepost {
    /// Where the panel and the API are.
    pub http: SocketAddr,
    /// Where `/healthz`, `/readyz` and `/metrics` are.
    pub status: SocketAddr,
    /// Where webmails change passwords.
    pub poppassd: SocketAddr,
    directory: PathBuf,
    sockets: Vec<Socket>,
    handed_over: Vec<(&'static str, OwnedFd)>,
    process: Option<Process>,
}

/// Settings of every daemon under test: mailboxes below `mail/` of its directory, and hashes that cost little.
const SETTINGS: &str = "
[hash]
memory_kib = 1024
iterations = 1

[throttle]
failure_delay = \"300ms\"
";

/// The first of the descriptors that sd_listen_fds(3) promises, and one that no other can be in the way of.
const FIRST_DESCRIPTOR: usize = 3;
const OUT_OF_THE_WAY: i32 = 100;

impl Gatepost {
    /// Starts it in `directory`, with its store and configuration there; `settings` is TOML beside the usual.
    pub fn start(directory: &Path, mut sockets: Vec<Socket>, settings: &str) -> Self {
        let home = directory.join("gatepost");
        directory_of(&home, User::named("gatepost"), 0o700);
        sockets.push(Socket {
            name: "admin",
            protocol: "admin",
            path: directory.join("admin"),
            owner: User::named("gatepost"),
            mode: 0o600,
        });
        let mail = directory.join("mail");
        let mut text = format!(
            "[store]\npath = \"{}\"\n\n[userdb]\nuid = \"vmail\"\ngid = \"vmail\"\nhome = \"{}/%u\"\n{SETTINGS}{settings}\n",
            home.join("gatepost.db").display(),
            mail.display(),
        );
        for Socket { name, protocol, .. } in &sockets {
            let _ = writeln!(text, "[listen.{name}]\nprotocol = \"{protocol}\"");
        }
        fs::write(directory.join("gatepost.toml"), text).expect("cannot write the configuration");
        let [http, status, poppassd] =
            [(); 3].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("no free port"));
        let address = |listener: &TcpListener| listener.local_addr().expect("a bound socket has an address");
        let mut gatepost = Self {
            http: address(&http),
            status: address(&status),
            poppassd: address(&poppassd),
            directory: directory.to_owned(),
            sockets,
            handed_over: vec![("http", http.into()), ("status", status.into()), ("poppassd", poppassd.into())],
            process: None,
        };
        gatepost.open_sockets();
        gatepost.resume();
        gatepost
    }

    /// Starts it again, on the same sockets, after [`Self::stop`] or [`Self::kill`].
    pub fn resume(&mut self) {
        let notified = NotifySocket::open(&self.directory.join("notify"));
        let parked: Vec<_> = self.handed_over.iter().map(|(_, descriptor)| park(descriptor)).collect();
        let mut process = Process::start("gatepost", self.serve_command(&parked, &notified));
        notified.wait_for_ready(&mut process);
        self.process = Some(process);
    }

    /// Ends it as systemd does, and waits.
    pub fn stop(&mut self) -> Option<ExitStatus> {
        self.process.take().map(|mut process| process.end(Signal::TERM))
    }

    /// Ends it as a power cut does.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.end(Signal::KILL);
        }
    }

    /// Opens every unix socket anew, as after a reboot.
    pub fn open_sockets(&mut self) {
        let units: Vec<_> = self.sockets.iter().map(|socket| socket.name).collect();
        self.handed_over.retain(|(name, _)| !units.contains(name));
        for socket in &self.sockets {
            self.handed_over.push((socket.name, socket.open().into()));
        }
    }

    /// Runs the command against this daemon; what it asks for on standard input is `input`.
    pub fn command(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = Command::new(self.executable());
        command.arg("--socket").arg(self.directory.join("admin")).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("cannot start the command");
        let mut stdin = child.stdin.take().expect("its input was asked for");
        match stdin.write_all(input.as_bytes()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => panic!("the command does not read: {error}"),
            _ => drop(stdin),
        }
        child.wait_with_output().expect("the command can be waited for")
    }

    /// The same, and it must succeed; gives what it printed.
    pub fn must(&self, arguments: &[&str], input: &str) -> String {
        let output = self.command(arguments, input);
        assert!(output.status.success(), "gatepost {arguments:?} said {output:?}");
        String::from_utf8(output.stdout).expect("the command prints text")
    }

    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("this gatepost was stopped")
    }

    pub fn path_of(&self, name: &str) -> &Path {
        let socket = self.sockets.iter().find(|socket| socket.name == name);
        &socket.unwrap_or_else(|| panic!("no socket is called {name}")).path
    }

    fn executable(&self) -> PathBuf {
        own_executable("gatepost", &self.directory)
    }

    /// Descriptors cross the start of a program only by number, and a shell can put them where they are expected.
    fn serve_command(&self, parked: &[OwnedFd], notified: &NotifySocket) -> Command {
        let numbers = || parked.iter().map(AsRawFd::as_raw_fd);
        let taken: String =
            numbers().enumerate().map(|(index, from)| format!(" {}<&{from}", FIRST_DESCRIPTOR + index)).collect();
        let let_go: String = numbers().map(|number| format!(" {number}<&-")).collect();
        let names: Vec<_> = self.handed_over.iter().map(|(name, _)| *name).collect();
        let mut command = Command::new("bash");
        command
            .arg("-c")
            .arg(format!("exec{taken}; exec{let_go}; LISTEN_PID=$$ exec setpriv --reuid=gatepost --regid=gatepost --init-groups \"$@\""))
            .arg("bash")
            .arg(self.executable())
            .args(["serve", "--config"])
            .arg(self.directory.join("gatepost.toml"))
            .current_dir(self.directory.join("gatepost"))
            .env("LISTEN_FDS", names.len().to_string())
            .env("LISTEN_FDNAMES", names.join(":"))
            .env("NOTIFY_SOCKET", &notified.path);
        command
    }
}

impl Socket {
    fn open(&self) -> UnixListener {
        let _ = fs::remove_file(&self.path);
        let listener = UnixListener::bind(&self.path)
            .unwrap_or_else(|error| panic!("cannot open the {} socket {}: {error}", self.name, self.path.display()));
        chown(&self.path, Some(self.owner.uid), Some(self.owner.gid)).expect("cannot give the socket away");
        fs::set_permissions(&self.path, fs::Permissions::from_mode(self.mode)).expect("cannot set the socket's mode");
        listener
    }
}

/// A copy that a started program inherits.
fn park(descriptor: &OwnedFd) -> OwnedFd {
    let parked = fcntl_dupfd_cloexec(descriptor.as_fd(), OUT_OF_THE_WAY).expect("cannot copy a descriptor");
    fcntl_setfd(&parked, FdFlags::empty()).expect("cannot make a descriptor inheritable");
    parked
}

/// Where the daemon says what systemd would be told (sd_notify(3)).
#[derive(Debug)]
struct NotifySocket {
    path: PathBuf,
    socket: UnixDatagram,
}

impl NotifySocket {
    fn open(path: &Path) -> Self {
        let _ = fs::remove_file(path);
        let socket = UnixDatagram::bind(path).expect("cannot open the notify socket");
        fs::set_permissions(path, fs::Permissions::from_mode(0o666)).expect("cannot open the notify socket to all");
        socket.set_read_timeout(Some(LOOK_AT_THE_PROCESS)).expect("a timeout can be set");
        Self { path: path.to_owned(), socket }
    }

    fn wait_for_ready(&self, process: &mut Process) {
        let deadline = Instant::now() + PATIENCE;
        let mut message = [0; 4096];
        while Instant::now() < deadline && process.is_running() {
            let length = self.socket.recv(&mut message).unwrap_or(0);
            if message[..length].split(|byte| *byte == b'\n').any(|line| line == b"READY=1") {
                return;
            }
        }
        panic!("gatepost was never ready; it said:\n{}", process.log());
    }
}

/// How often somebody who waits for word from a process makes sure that it is still there.
const LOOK_AT_THE_PROCESS: Duration = Duration::from_millis(200);
