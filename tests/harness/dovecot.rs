//! A real Dovecot, 2.3 from this Debian 12 or 2.4 from a Debian 13 root, in a directory of its own.
//!
//! It answers logins from a passwd-file itself or asks gatepost, and in the latter case is started from the very
//! sample that `config/dovecot/` offers; what this file adds is where things are and nothing of how they work.
//!
//! Trusts: that `tests/run` made the Debian 13 root, and the users.
//! Limits: no TLS, loopback only; the penalty that Dovecot's own auth gives an address is off, for all come from one.

mod settings;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rustix::process::Signal;

use crate::gatepost::Socket;
use crate::process::{LogMark, Process};
use crate::{User, cache, directory_of, free_addresses};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V2_3,
    V2_4,
}

/// Who answers a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answerer {
    Dovecot,
    Gatepost,
}

/// How gatepost is asked: which of the samples puts it in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipe {
    /// In the place of Dovecot's auth process.
    AuthSockets,
    /// By Dovecot 2.3's auth process, for the hash and the record.
    DictPassdb,
}

/// What a Dovecot is started with.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    pub version: Version,
    pub answerer: Answerer,
    /// Of no account where Dovecot answers for itself.
    pub recipe: Recipe,
    /// Whether last_login and quota_clone are on. Their dict is whoever answers logins.
    pub plugins: bool,
    /// Whether doveadm's HTTP API is there, as in the sample.
    pub doveadm: bool,
    /// Settings besides.
    pub more: &'a str,
    pub mailboxes: &'a [Mailbox],
}

/// A mailbox that the passwd-file of a Dovecot answering for itself holds.
#[derive(Clone, Copy, Debug)]
pub struct Mailbox {
    pub user: &'static str,
    pub password: &'static str,
    pub enabled: bool,
}

impl<'a> Setup<'a> {
    pub fn plain(version: Version, answerer: Answerer, mailboxes: &'a [Mailbox]) -> Self {
        Self { version, answerer, recipe: Recipe::AuthSockets, plugins: false, doveadm: false, more: "", mailboxes }
    }
}

/// Where it listens.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    pub imap: SocketAddr,
    pub pop3: SocketAddr,
    pub submission: SocketAddr,
    pub sieve: SocketAddr,
    pub lmtp: SocketAddr,
}

#[derive(Debug)]
pub struct Dovecot {
    pub addresses: Addresses,
    version: Version,
    directory: PathBuf,
    process: Option<Process>,
}

impl Dovecot {
    /// Writes its configuration into `directory`, whose mail is in `mail/`, and starts it. What a test needs besides
    /// it has written to `local.conf` there.
    pub fn start(directory: &Path, setup: Setup<'_>) -> Self {
        let [imap, pop3, submission, sieve, lmtp] = free_addresses();
        let addresses = Addresses { imap, pop3, submission, sieve, lmtp };
        directory_of(&directory.join("mail"), User::named("vmail"), 0o700);
        settings::write(directory, &setup, &addresses);
        let mut dovecot = Self { addresses, version: setup.version, directory: directory.to_owned(), process: None };
        dovecot.resume();
        dovecot
    }

    /// Starts it again after [`Self::stop`].
    pub fn resume(&mut self) {
        let mut command = self.command("dovecot");
        command.arg("-F").arg("-c").arg(self.configuration());
        let process = Process::start("dovecot", command);
        process.wait_for_log("starting up for", LogMark::default());
        self.process = Some(process);
    }

    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.end(Signal::TERM);
        }
    }

    /// `doveadm reload`, and waits until it is carried out.
    pub fn reload(&self) {
        let process = self.process();
        let mark = process.mark();
        self.doveadm(&["reload"]);
        process.wait_for_log("SIGHUP received", mark);
    }

    /// Runs doveadm against this Dovecot.
    pub fn doveadm(&self, arguments: &[&str]) -> Output {
        let mut command = self.command("doveadm");
        command.arg("-c").arg(self.configuration()).args(arguments);
        command.output().expect("cannot run doveadm")
    }

    /// Runs doveadm as a user of the system, in no group but its own.
    pub fn doveadm_as(&self, user: &str, arguments: &[&str]) -> Output {
        let mut command = self.command_as(user, "doveadm");
        command.args(arguments).output().expect("cannot run doveadm")
    }

    /// Runs `doveadm dict` on a dict of the plugins' sample: 2.3 is told where it is, 2.4 which setting says so.
    pub fn doveadm_dict(&self, name: &str, user: &str, arguments: &[&str]) -> Output {
        let dict = match (self.version, name) {
            (Version::V2_3, _) => {
                format!("proxy:{}:{name}", settings::run_gatepost_below(&self.directory).join("mail-dict").display())
            }
            (Version::V2_4, "last-login") => "last_login".to_owned(),
            (Version::V2_4, _) => "quota_clone".to_owned(),
        };
        let (command, arguments) = arguments.split_first().expect("doveadm dict wants a command");
        let options = arguments.iter().take_while(|argument| argument.starts_with('-')).count();
        let (options, arguments) = arguments.split_at(options);
        self.doveadm(&[&["dict", command, "-u", user], options, &[dict.as_str()], arguments].concat())
    }

    /// Hands `message` to dovecot-lda as vmail, the only user it may be run as when it is not root.
    pub fn lda(&self, user: &str, message: &str) -> Output {
        let mut command = self.command_as("vmail", "/usr/lib/dovecot/dovecot-lda");
        command.args(["-d", user]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut lda = command.spawn().expect("cannot start dovecot-lda");
        let mut input = lda.stdin.take().expect("its input was asked for");
        input.write_all(message.as_bytes()).expect("dovecot-lda reads the message");
        drop(input);
        lda.wait_with_output().expect("dovecot-lda can be waited for")
    }

    fn command_as(&self, user: &str, program: &str) -> Command {
        let User { uid, gid } = User::named(user);
        let mut command = self.command("setpriv");
        command.args([format!("--reuid={uid}"), format!("--regid={gid}")]).args(["--clear-groups", program, "-c"]);
        command.arg(self.configuration());
        command
    }

    /// `program` as it must be started to live beside this Dovecot: for 2.4 within the Debian 13 root.
    pub fn command(&self, program: &str) -> Command {
        match self.version {
            Version::V2_3 => Command::new(program),
            Version::V2_4 => {
                let mut command = Command::new("unshare");
                command.args(["--mount", "sh", "-euc", ENTER_ROOT, "sh"]).arg(debian_13_root()).arg(program);
                command
            }
        }
    }

    pub fn configuration(&self) -> PathBuf {
        settings::file_below(&self.directory)
    }

    /// Dovecot's base_dir, where its sockets are.
    pub fn base(&self) -> PathBuf {
        base_below(&self.directory)
    }

    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("this Dovecot was stopped")
    }
}

/// What `base_dir` is for a Dovecot in `directory`: known before it has started.
pub fn base_below(directory: &Path) -> PathBuf {
    directory.join("run")
}

/// The table by which gatepost finds the HTTP API of a Dovecot in `directory` that was set up with it.
pub fn doveadm_settings(directory: &Path, name: &str) -> String {
    let url = base_below(directory).join("http");
    format!("\n[dovecot.{name}]\nurl = \"unix:{}\"\napi_key = \"{DOVEADM_KEY}\"\n", url.display())
}

/// As in the sample.
pub const DOVEADM_KEY: &str = "change me";

/// Makes what `systemd-tmpfiles` makes at boot: the directories in which gatepost's sockets for Dovecot are.
pub fn make_run_directory(directory: &Path) {
    let base = base_below(directory);
    directory_of(&base, User::ROOT, 0o755);
    directory_of(&base.join("login"), User { uid: 0, gid: User::named("dovenull").gid }, 0o750);
    directory_of(&base.join("login/ext"), User::ROOT, 0o755);
    directory_of(&settings::run_gatepost_below(directory), User::ROOT, 0o755);
}

/// The sockets at which a Dovecot in `directory` looks for whoever answers its logins, and keeps its plugins' keys.
pub fn sockets_below(directory: &Path) -> Vec<Socket> {
    let base = base_below(directory);
    [
        ("login", "login", base.join("login/ext/login"), 0o666),
        ("master", "master", base.join("auth-master"), 0o600),
        ("userdb", "userdb", base.join("auth-userdb"), 0o666),
        ("doveadm", "auth", base.join("auth-client"), 0o600),
        ("dict", "dict", settings::run_gatepost_below(directory).join("dict"), 0o600),
        ("mail-dict", "dict", settings::run_gatepost_below(directory).join("mail-dict"), 0o666),
    ]
    .map(|(name, protocol, path, mode)| Socket { name, protocol, path, owner: User::ROOT, mode })
    .into()
}

impl Version {
    pub fn name(self) -> &'static str {
        match self {
            Self::V2_3 => "2.3",
            Self::V2_4 => "2.4",
        }
    }
}

/// Enters the Debian 13 root in this process' own mount namespace: the machine's users, processes and `/tmp` are
/// the same inside, everything else cannot be written to.
const ENTER_ROOT: &str = r#"
root=$1
shift
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
for shared in /dev /tmp /etc/passwd /etc/group; do mount --bind "$shared" "$root$shared"; done
mount -t proc proc "$root/proc"
exec chroot "$root" "$@"
"#;

fn debian_13_root() -> PathBuf {
    let root = cache().join("trixie");
    assert!(root.join(".complete").exists(), "no Debian 13 root at {}; tests/run makes it", root.display());
    root
}
