//! A real Dovecot, 2.3 from this Debian 12 or 2.4 from a Debian 13 root, in a directory of its own.
//!
//! It answers logins from a passwd-file itself or asks gatepost, and in the latter case is started from the very
//! sample that `config/dovecot/` offers; what this file adds is where things are and nothing of how they work.
//!
//! Trusts: that `tests/run` made the Debian 13 root, and the users.
//! Limits: no TLS, loopback only; the penalty that Dovecot's own auth gives an address is off, for all come from one.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use base64::{Engine, engine::general_purpose::STANDARD};
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

/// A mailbox that the passwd-file of a Dovecot answering for itself holds.
#[derive(Clone, Copy, Debug)]
pub struct Mailbox {
    pub user: &'static str,
    pub password: &'static str,
    pub enabled: bool,
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
    pub fn start(directory: &Path, version: Version, answerer: Answerer, mailboxes: &[Mailbox]) -> Self {
        let [imap, pop3, submission, sieve, lmtp] = free_addresses();
        let mut dovecot = Self {
            addresses: Addresses { imap, pop3, submission, sieve, lmtp },
            version,
            directory: directory.to_owned(),
            process: None,
        };
        directory_of(&directory.join("mail"), User::named("vmail"), 0o700);
        let users = directory.join("users");
        fs::write(&users, passwd_file(directory, mailboxes)).expect("cannot write the passwd-file");
        let sample = directory.join("gatepost.conf");
        fs::copy(version.sample(), &sample).expect("cannot copy the sample");
        let answers = match (answerer, version) {
            (Answerer::Gatepost, _) => format!("!include {}\n", sample.display()),
            (Answerer::Dovecot, Version::V2_3) => format!(
                "passdb {{\n  driver = passwd-file\n  args = {0}\n}}\nuserdb {{\n  driver = passwd-file\n  args = {0}\n}}\n",
                users.display()
            ),
            (Answerer::Dovecot, Version::V2_4) => format!(
                "passdb passwd-file {{\n  passwd_file_path = {0}\n}}\nuserdb passwd-file {{\n  passwd_file_path = {0}\n}}\n",
                users.display()
            ),
        };
        let more = format!("!include_try {}\n", directory.join("local.conf").display());
        fs::write(dovecot.configuration(), dovecot.local_settings() + &answers + &more)
            .expect("cannot write the configuration");
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

    /// Hands `message` to dovecot-lda as vmail, the only user it may be run as when it is not root.
    pub fn lda(&self, user: &str, message: &str) -> Output {
        let mut command = self.command("setpriv");
        command.args(["--reuid=vmail", "--regid=vmail", "--clear-groups", "/usr/lib/dovecot/dovecot-lda", "-c"]);
        command.arg(self.configuration()).args(["-d", user]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut lda = command.spawn().expect("cannot start dovecot-lda");
        let mut input = lda.stdin.take().expect("its input was asked for");
        input.write_all(message.as_bytes()).expect("dovecot-lda reads the message");
        drop(input);
        lda.wait_with_output().expect("dovecot-lda can be waited for")
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
        self.directory.join("dovecot.conf")
    }

    /// Dovecot's base_dir, where its sockets are.
    pub fn base(&self) -> PathBuf {
        base_below(&self.directory)
    }

    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("this Dovecot was stopped")
    }

    fn local_settings(&self) -> String {
        let mut text = String::from(match self.version {
            Version::V2_3 => "disable_plaintext_auth = no\nmail_location = maildir:~/Maildir\n",
            Version::V2_4 => concat!(
                "dovecot_config_version = 2.4.1\ndovecot_storage_version = 2.4.1\n",
                "auth_allow_cleartext = yes\nmail_driver = maildir\nmail_path = ~/Maildir\n",
            ),
        });
        let base = self.base();
        let state = self.directory.join("state");
        let addresses = self.addresses;
        let _ = write!(
            text,
            "base_dir = {}\nstate_dir = {}\nlog_path = /dev/stderr\nprotocols = imap pop3 submission sieve lmtp\n\
             listen = 127.0.0.1\nssl = no\nauth_failure_delay = 0\nauth_mechanisms = plain login\nhostname = mail.example.org\n\
             submission_relay_host = 127.0.0.1\nsubmission_relay_port = 9\n\
             service anvil {{\n  unix_listener anvil-auth-penalty {{\n    mode = 0\n  }}\n}}\n",
            base.display(),
            state.display(),
        );
        for (service, listeners) in [
            ("imap-login", [("imap", addresses.imap.port()), ("imaps", 0)].as_slice()),
            ("pop3-login", &[("pop3", addresses.pop3.port()), ("pop3s", 0)]),
            ("submission-login", &[("submission", addresses.submission.port()), ("submissions", 0)]),
            ("managesieve-login", &[("sieve", addresses.sieve.port())]),
            ("lmtp", &[("lmtp", addresses.lmtp.port())]),
        ] {
            let _ = writeln!(text, "service {service} {{");
            for (listener, port) in listeners {
                let _ = writeln!(text, "  inet_listener {listener} {{\n    port = {port}\n  }}");
            }
            text.push_str("}\n");
        }
        text
    }
}

/// What `base_dir` is for a Dovecot in `directory`: known before it has started.
pub fn base_below(directory: &Path) -> PathBuf {
    directory.join("run")
}

/// Makes what `systemd-tmpfiles` makes at boot: the directories in which gatepost's sockets for Dovecot are.
pub fn make_run_directory(directory: &Path) {
    let base = base_below(directory);
    directory_of(&base, User::ROOT, 0o755);
    directory_of(&base.join("login"), User { uid: 0, gid: User::named("dovenull").gid }, 0o750);
    directory_of(&base.join("login/ext"), User::ROOT, 0o755);
}

/// The sockets at which a Dovecot in `directory` looks for whoever answers its logins.
pub fn sockets_below(directory: &Path) -> Vec<Socket> {
    let base = base_below(directory);
    let socket =
        |name, protocol, path: &str, mode| Socket { name, protocol, path: base.join(path), owner: User::ROOT, mode };
    vec![
        socket("login", "login", "login/ext/login", 0o666),
        socket("master", "master", "auth-master", 0o600),
        socket("userdb", "userdb", "auth-userdb", 0o666),
        socket("doveadm", "auth", "auth-client", 0o600),
    ]
}

impl Version {
    pub fn name(self) -> &'static str {
        match self {
            Self::V2_3 => "2.3",
            Self::V2_4 => "2.4",
        }
    }

    fn sample(self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/dovecot").join(self.name()).join("gatepost.conf")
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

fn passwd_file(directory: &Path, mailboxes: &[Mailbox]) -> String {
    let User { uid, gid } = User::named("vmail");
    let mut text = String::new();
    for Mailbox { user, password, enabled } in mailboxes {
        let extra = if *enabled { "" } else { "nologin reason=Ask_the_postmaster" };
        let home = directory.join("mail").join(user);
        let _ = writeln!(
            text,
            "{user}:{{PLAIN.B64}}{}:{uid}:{gid}::{}::{extra}",
            STANDARD.encode(password),
            home.display()
        );
    }
    text
}
