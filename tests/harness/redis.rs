//! A real Redis, alone, with a replica or under Sentinel, and everything that can go wrong with one.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::{LogMark, Process};
use crate::{PATIENCE, free_addresses, short_directory, wait_until};

/// A server of its own on a loopback port and a socket file. It keeps nothing unless it is told to.
#[derive(Debug)]
pub struct Redis {
    address: SocketAddr,
    /// What it was started with beside the usual, as on the command line.
    settings: Vec<String>,
    process: Option<Process>,
    frozen: bool,
    directory: TempDir,
}

impl Redis {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// With further settings, as on the command line: `["--requirepass", "x"]`.
    pub fn start_with(settings: &[&str]) -> Self {
        let [address] = free_addresses();
        let settings = settings.iter().map(|&setting| setting.to_owned()).collect();
        let mut redis = Self { address, settings, process: None, frozen: false, directory: short_directory() };
        redis.resume();
        redis
    }

    /// Beside everything else, speaks TLS at the address that comes with it.
    pub fn start_with_tls(certificate: &Certificate) -> (Self, SocketAddr) {
        let [address] = free_addresses();
        let (port, file, key) = (address.port().to_string(), certificate.file(), certificate.key());
        let [file, key] = [file, key].map(|path| path.display().to_string());
        let certificate = ["--tls-cert-file", &file, "--tls-key-file", &key, "--tls-ca-cert-file", &file];
        (Self::start_with(&[&["--tls-port", &port, "--tls-auth-clients", "no"], &certificate[..]].concat()), address)
    }

    /// One that copies `self`, and has.
    pub fn start_replica(&self) -> Self {
        let replica = Self::start();
        replica.follow(self);
        replica
    }

    /// On the same address, after [`Self::kill`] or [`Self::stop`]; with what [`Self::restore`] put there, else empty.
    pub fn resume(&mut self) {
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &self.address.port().to_string(), "--save", ""]);
        command.args(["--repl-diskless-sync-delay", "0"]);
        command.arg("--dir").arg(self.directory.path());
        command.arg("--unixsocket").arg(self.socket()).args(["--unixsocketperm", "777"]).args(&self.settings);
        let process = Process::start("redis-server", command);
        process.wait_for_log("The server is now ready to accept connections at", LogMark::default());
        self.process = Some(process);
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("redis")
    }

    /// Ends it as a power cut does.
    pub fn kill(&mut self) {
        self.end(Signal::KILL);
    }

    pub fn stop(&mut self) {
        self.end(Signal::TERM);
    }

    /// From here on it holds its connections, takes new ones, and answers none.
    pub fn freeze(&mut self) {
        self.process().signal(Signal::STOP);
        self.frozen = true;
    }

    pub fn thaw(&mut self) {
        self.process().signal(Signal::CONT);
        self.frozen = false;
    }

    /// Refuses every write that needs memory, or does no longer.
    pub fn set_out_of_memory(&self, out_of_memory: bool) {
        self.must(&["CONFIG", "SET", "maxmemory", if out_of_memory { "1" } else { "0" }]);
    }

    /// Makes it a replica of `master`, and waits until it has everything.
    pub fn follow(&self, master: &Self) {
        self.must(&["REPLICAOF", "127.0.0.1", &master.address.port().to_string()]);
        wait_until("the replica is connected", || self.must(&["ROLE"]).contains("connected"));
    }

    /// Makes it a replica of nobody: what it answers is old, and it can be asked to write nothing.
    pub fn demote(&self) {
        let [nobody] = free_addresses();
        self.must(&["REPLICAOF", "127.0.0.1", &nobody.port().to_string()]);
    }

    pub fn promote(&self) {
        self.must(&["REPLICAOF", "NO", "ONE"]);
    }

    /// Everything it holds now, for [`Self::restore`].
    pub fn snapshot(&self) -> Vec<u8> {
        self.must(&["SAVE"]);
        let file = self.dump();
        let snapshot = fs::read(&file).expect("the snapshot was written");
        fs::remove_file(file).expect("the snapshot can be taken away");
        snapshot
    }

    /// What it shall come back with; it must not be running.
    pub fn restore(&self, snapshot: &[u8]) {
        assert!(self.process.is_none(), "a snapshot is read at the start");
        fs::write(self.dump(), snapshot).expect("cannot write the snapshot");
    }

    /// What redis-cli prints for this command, without the last line end.
    pub fn must(&self, command: &[&str]) -> String {
        let output = Command::new("redis-cli").arg("-s").arg(self.socket()).arg("-e").args(command).output();
        let output = output.expect("cannot run redis-cli");
        assert!(output.status.success(), "redis-cli {command:?} said {output:?}");
        String::from_utf8(output.stdout).expect("text").trim_end().to_owned()
    }

    /// The string in `key`; empty if there is none.
    pub fn value(&self, key: &str) -> String {
        self.must(&["GET", key])
    }

    pub fn subscribe(&self, channel: &str) -> Subscriber {
        Subscriber::open(&self.socket(), channel)
    }

    fn dump(&self) -> PathBuf {
        self.directory.path().join("dump.rdb")
    }

    fn process(&self) -> &Process {
        self.process.as_ref().expect("this Redis was stopped")
    }

    fn end(&mut self, signal: Signal) {
        if let Some(mut process) = self.process.take() {
            process.end(signal);
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if self.frozen {
            self.thaw();
        }
    }
}

/// Somebody else who listens to a channel.
#[derive(Debug)]
pub struct Subscriber {
    reader: BufReader<UnixStream>,
    channel: String,
}

impl Subscriber {
    fn open(socket: &Path, channel: &str) -> Self {
        let mut stream = UnixStream::connect(socket).expect("cannot connect to Redis");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        write!(stream, "SUBSCRIBE {channel}\r\n").expect("cannot ask Redis");
        let mut subscriber = Self { reader: BufReader::new(stream), channel: channel.to_owned() };
        assert_eq!(subscriber.header('*'), 3, "the subscription is confirmed");
        assert_eq!((subscriber.text(), subscriber.text()), ("subscribe".to_owned(), channel.to_owned()));
        assert_eq!(subscriber.header(':'), 1);
        subscriber
    }

    /// The next message; there must be one.
    pub fn next_message(&mut self) -> String {
        assert_eq!(self.header('*'), 3, "a message has three parts");
        assert_eq!((self.text(), self.text()), ("message".to_owned(), self.channel.clone()));
        self.text()
    }

    /// Every message that was published before now.
    pub fn messages(&mut self, redis: &Redis) -> Vec<String> {
        const END: &str = "the last of these messages";
        redis.must(&["PUBLISH", &self.channel, END]);
        std::iter::from_fn(|| Some(self.next_message()).filter(|message| message != END)).collect()
    }

    /// A text with its length before it (RESP2).
    fn text(&mut self) -> String {
        let mut text = vec![0; self.header('$') + 2];
        self.reader.read_exact(&mut text).expect("Redis says as much as it announced");
        text.truncate(text.len() - 2);
        String::from_utf8(text).expect("text")
    }

    fn header(&mut self, kind: char) -> usize {
        let mut line = String::new();
        self.reader.read_line(&mut line).expect("Redis says something");
        let number = line.trim_end().strip_prefix(kind).and_then(|number| number.parse().ok());
        number.unwrap_or_else(|| panic!("{line:?} is no {kind}"))
    }
}

/// One Sentinel, which decides alone.
#[derive(Debug)]
pub struct Sentinel {
    address: SocketAddr,
    process: Process,
    /// Where it keeps what it knows; removed after it ended.
    _directory: TempDir,
}

impl Sentinel {
    /// Watches `master` under the name `name`, and knows its replicas.
    pub fn start(name: &str, master: &Redis, replicas: usize) -> Self {
        let [address] = free_addresses();
        let directory = short_directory();
        let settings = format!(
            "bind 127.0.0.1\nport {}\ndir {}\nsentinel monitor {name} 127.0.0.1 {} 1\n\
             sentinel down-after-milliseconds {name} 1000\nsentinel failover-timeout {name} 2000\n",
            address.port(),
            directory.path().display(),
            master.address.port(),
        );
        let file = directory.path().join("sentinel.conf");
        fs::write(&file, settings).expect("cannot write Sentinel's configuration");
        let mut command = Command::new("redis-server");
        command.arg(file).arg("--sentinel");
        let process = Process::start("redis-sentinel", command);
        process.wait_for_log("+monitor master", LogMark::default());
        let sentinel = Self { address, process, _directory: directory };
        // Otherwise it takes ten seconds until it knows that a replica is fit to be a master, eight until it tells the old
        // one that it is none, and where it was kept waiting for two it does nothing for thirty.
        let hurry = ["info-period", "100", "publish-period", "100", "tilt-trigger", "30000", "tilt-period", "100"];
        sentinel.ask(&[&["SENTINEL", "DEBUG"], &hurry[..]].concat()).expect("Sentinel can be hurried");
        let known =
            || sentinel.ask(&["SENTINEL", "REPLICAS", name]).map(|list| list.matches("master-link-status").count());
        wait_until("Sentinel knows the replicas", || known() == Some(replicas));
        sentinel
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes a replica the master, though there is nothing wrong with the present one.
    pub fn fail_over(&self, name: &str) {
        let mark = self.process.mark();
        // A replica is fit for it once Sentinel has heard enough of it.
        wait_until("a failover begins", || self.ask(&["SENTINEL", "FAILOVER", name]).is_some());
        self.process.wait_for_log("+switch-master", mark);
    }

    /// From here on `master` is the one it names, and the former hears nothing of it.
    pub fn name_another(&self, name: &str, master: &Redis) {
        self.ask(&["SENTINEL", "REMOVE", name]).expect("Sentinel forgets the master");
        let port = master.address.port().to_string();
        self.ask(&["SENTINEL", "MONITOR", name, "127.0.0.1", &port, "1"]).expect("Sentinel takes another master");
    }

    /// What it prints for this command; `None` if it refuses.
    fn ask(&self, command: &[&str]) -> Option<String> {
        let port = self.address.port().to_string();
        let output = Command::new("redis-cli").args(["-p", &port, "-e"]).args(command).output();
        let output = output.expect("cannot run redis-cli");
        output.status.success().then(|| String::from_utf8(output.stdout).expect("text"))
    }
}

/// What is left out, openssl would make a certificate for an authority, and no server may show one.
const CERTIFICATE: &str = "[req]\ndistinguished_name = name\nx509_extensions = server\n[name]\n\
                           [server]\nbasicConstraints = CA:FALSE\nsubjectAltName = IP:127.0.0.1\n";

/// A server certificate for 127.0.0.1, and the authority that issued it: itself.
#[derive(Debug)]
pub struct Certificate {
    directory: TempDir,
}

impl Certificate {
    pub fn make() -> Self {
        let certificate = Self { directory: short_directory() };
        let settings = certificate.directory.path().join("openssl.cnf");
        fs::write(&settings, CERTIFICATE).expect("cannot write the certificate's settings");
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
        command.args(["-subj", "/CN=redis", "-config"]).arg(settings);
        command.arg("-keyout").arg(certificate.key()).arg("-out").arg(certificate.file());
        let output = command.output().expect("cannot run openssl");
        assert!(output.status.success(), "openssl said {output:?}");
        certificate
    }

    /// In PEM.
    pub fn file(&self) -> PathBuf {
        self.directory.path().join("certificate.pem")
    }

    fn key(&self) -> PathBuf {
        self.directory.path().join("key.pem")
    }
}
