//! A real Postfix 3.7, Debian's, in a directory of its own.
//!
//! It is started from the very sample that `config/postfix/` offers; what this file adds is where things are and that
//! only this host may speak to it. Its services are chrooted where Debian chroots them.
//!
//! Limits: no TLS, loopback only, mail to domains that are not known here stays in the queue.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::confined::Confined;
use crate::gatepost::Socket;
use crate::process::{LogMark, Process};
use crate::{User, directory_of, free_addresses};

#[derive(Debug)]
pub struct Postfix {
    pub smtp: SocketAddr,
    daemon: Confined,
}

impl Postfix {
    /// Writes its configuration into `directory` and starts it.
    pub fn start(directory: &Path) -> Self {
        let [smtp] = free_addresses();
        let (configuration, data) = (directory.join("postfix/etc"), directory.join("postfix/data"));
        fs::create_dir_all(&configuration).expect("cannot make Postfix' configuration directory");
        directory_of(&data, User::named("postfix"), 0o700);
        let settings = [local_settings(directory), sample()].concat();
        fs::write(configuration.join("main.cf"), settings).expect("cannot write main.cf");
        fs::write(configuration.join("master.cf"), services(smtp)).expect("cannot write master.cf");
        let mut command = Command::new("postfix");
        command.arg("-c").arg(&configuration).arg("start-fg");
        Self { smtp, daemon: Confined::start("postfix", &command, "daemon started") }
    }

    /// Waits until a mail to `recipient` was taken from the queue, whatever became of it.
    pub fn wait_until_handed_over(&self, recipient: &str) {
        self.daemon.process().wait_for_log(&format!("to=<{recipient}>, relay="), LogMark::default());
    }

    pub fn process(&self) -> &Process {
        self.daemon.process()
    }
}

/// The sockets that the Postfix started in `directory` asks, and the directory they are in.
pub fn sockets(directory: &Path) -> Vec<Socket> {
    let owner = User::named("postfix");
    let private = queue_below(directory).join("private");
    directory_of(&private, User { gid: 0, ..owner }, 0o700);
    let socket = |name, protocol, file| Socket { name, protocol, path: private.join(file), owner, mode: 0o600 };
    vec![socket("postfix", "auth", "auth-gatepost"), socket("postfix-socketmap", "socketmap", "socketmap-gatepost")]
}

/// Where it hands over mail: a socket that Dovecot opens.
pub fn lmtp_socket(directory: &Path) -> PathBuf {
    queue_below(directory).join("private/dovecot-lmtp")
}

fn queue_below(directory: &Path) -> PathBuf {
    directory.join("postfix/queue")
}

fn sample() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/postfix/main.cf");
    fs::read_to_string(path).expect("cannot read the sample")
}

/// No client is trusted for its address, so that only a login lets mail out; without delays, since wrong passwords are
/// what the tests are made of.
fn local_settings(directory: &Path) -> String {
    format!(
        "compatibility_level = 3.6\nqueue_directory = {queue}\ndata_directory = {data}\nmaillog_file = /dev/stdout\n\
         myhostname = mx.example.org\nmynetworks =\nmydestination =\nalias_maps =\nalias_database =\n\
         inet_protocols = ipv4\nsmtpd_error_sleep_time = 0\nrelayhost = [127.0.0.1]:9\n",
        queue = queue_below(directory).display(),
        data = directory.join("postfix/data").display(),
    )
}

/// Debian's master.cf, as far as is needed here.
fn services(smtp: SocketAddr) -> String {
    format!(
        "{smtp}    inet       n - y -    - smtpd\n\
         cleanup   unix       n - y -    0 cleanup\n\
         qmgr      unix       n - n 300  1 qmgr\n\
         rewrite   unix       - - y -    - trivial-rewrite\n\
         bounce    unix       - - y -    0 bounce\n\
         defer     unix       - - y -    0 bounce\n\
         trace     unix       - - y -    0 bounce\n\
         proxymap  unix       - - n -    - proxymap\n\
         retry     unix       - - y -    - error\n\
         error     unix       - - y -    - error\n\
         lmtp      unix       - - y -    - lmtp\n\
         smtp      unix       - - y -    - smtp\n\
         anvil     unix       - - y -    1 anvil\n\
         postlog   unix-dgram n - n -    1 postlogd\n"
    )
}
