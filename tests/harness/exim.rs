//! A real Exim 4.96, Debian's exim4-daemon-heavy, in a directory of its own.
//!
//! It asks for logins as the samples in `config/exim/` have it; what this file adds is where things are, and that who
//! is logged in may send. Mail is taken and kept.
//!
//! Trusts: that `tests/run` unpacked the daemon. It is not installed, since it conflicts with Postfix.
//! Limits: no TLS, loopback only.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::confined::Confined;
use crate::process::Process;
use crate::{User, cache, directory_of, free_addresses};

#[derive(Debug)]
pub struct Exim {
    pub smtp: SocketAddr,
    daemon: Confined,
}

impl Exim {
    /// Writes its configuration into `directory` and starts it; `auth` is the socket it asks.
    pub fn start(directory: &Path, auth: &Path) -> Self {
        let [smtp] = free_addresses();
        let home = directory.join("exim");
        directory_of(&home, User::named("Debian-exim"), 0o700);
        let configuration = directory.join("exim.conf");
        fs::write(&configuration, settings(&home, smtp, auth)).expect("cannot write Exim's configuration");
        let mut command = Command::new(binary());
        command.arg("-C").arg(&configuration).args(["-v", "-bdf"]);
        Self { smtp, daemon: Confined::start("exim", &command, "listening for SMTP") }
    }

    pub fn process(&self) -> &Process {
        self.daemon.process()
    }
}

fn settings(home: &Path, smtp: SocketAddr, auth: &Path) -> String {
    format!(
        "AUTH_SERVER_ALLOW_NOTLS_PASSWORDS = yes\n\
         GATEPOST_AUTH = {auth}\n\
         {where_gatepost_is}\n\
         spool_directory = {home}\n\
         log_file_path = {home}/%slog\n\
         keep_environment =\n\
         primary_hostname = mx.example.org\n\
         local_interfaces = {ip}\n\
         daemon_smtp_ports = {port}\n\
         tls_advertise_hosts =\n\
         acl_smtp_rcpt = senders\n\
         queue_only\n\
         begin acl\n\
         senders:\n\
         \x20 accept authenticated = *\n\
         \x20 deny\n\
         begin authenticators\n\
         {authenticators}\n",
        auth = auth.display(),
        where_gatepost_is = sample("main/00_gatepost"),
        home = home.display(),
        ip = smtp.ip(),
        port = smtp.port(),
        authenticators = sample("auth/30_gatepost"),
    )
}

fn sample(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/exim/conf.d").join(name);
    fs::read_to_string(path).expect("cannot read the sample")
}

fn binary() -> PathBuf {
    let binary = cache().join("exim/usr/sbin/exim4");
    assert!(binary.exists(), "no Exim at {}; tests/run unpacks it", binary.display());
    binary
}
