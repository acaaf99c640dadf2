//! The three that are measured, each a process of its own with sockets in a directory of its own.

use std::fmt::{self, Write as _};
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::accounts::Accounts;
use crate::conversation::Question;
use crate::{Failure, Outcome};

/// How long a server may take to listen, or to have nothing more to do.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(1);
/// A server that computes nothing for so long is idle.
const IDLE: Duration = Duration::from_millis(50);
/// What Linux counts processor time in for all to read (USER_HZ, proc(5)).
const TICK: Duration = Duration::from_millis(10);
/// What is shown of a log.
const LOG_LINES: usize = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Gatepost,
    Dovecot,
    Floor,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Gatepost, Self::Dovecot, Self::Floor];

    pub(crate) fn verifies(self) -> bool {
        self != Self::Floor
    }

    fn socket(self, question: Question) -> &'static str {
        match (self, question) {
            (Self::Gatepost, Question::DictLookup) => "gatepost-data/run/dict",
            (Self::Gatepost, _) => "gatepost-data/run/auth",
            (Self::Dovecot, Question::DictLookup) => "run/dict",
            (Self::Dovecot, _) => "run/auth-client",
            (Self::Floor, Question::DictLookup) => "dict",
            (Self::Floor, _) => "auth",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Gatepost => "gatepost",
            Self::Dovecot => "Dovecot",
            Self::Floor => "floor",
        })
    }
}

/// A directory that Dovecot's own users may enter, with a path so short that a socket anywhere below it can be bound.
pub(crate) fn directory() -> Outcome<TempDir> {
    let open_to_all = Permissions::from_mode(0o755);
    Ok(tempfile::Builder::new().prefix("gp").permissions(open_to_all).tempdir_in("/tmp")?)
}

/// When a refusal leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusals {
    Delayed,
    AtOnce,
}

/// A server that has all it needs and was not started yet.
#[derive(Debug)]
pub(crate) struct Prepared {
    kind: Kind,
    directory: PathBuf,
    command: Command,
}

/// A running server; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) kind: Kind,
    directory: PathBuf,
    child: Child,
}

impl Prepared {
    pub(crate) fn new(kind: Kind, parent: &Path, accounts: &Accounts, refusals: Refusals) -> Outcome<Self> {
        let directory = parent.join(kind.to_string());
        fs::create_dir(&directory)?;
        let arguments = match kind {
            Kind::Gatepost => prepare_gatepost(&directory, accounts, refusals)?,
            Kind::Dovecot => prepare_dovecot(&directory, accounts, refusals)?,
            Kind::Floor => {
                let program = std::env::current_exe()?;
                vec![program, PathBuf::from("--floor"), directory.clone()]
            }
        };
        let log = File::create(directory.join("log"))?;
        // Whatever becomes of this process, its servers do not outlive it.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "--"]).args(arguments).current_dir(&directory);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(Self { kind, directory, command })
    }

    /// Starts it and waits until it listens.
    pub(crate) async fn start(mut self) -> Outcome<Server> {
        let child = self.command.spawn()?;
        let mut server = Server { kind: self.kind, directory: self.directory, child };
        let deadline = Instant::now() + PATIENCE;
        while UnixStream::connect(server.socket(Question::RightPassword)).is_err() {
            if server.child.try_wait()?.is_some() || Instant::now() > deadline {
                return Err(server.explain("it does not listen".into()));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(server)
    }
}

impl Server {
    pub(crate) fn socket(&self, question: Question) -> PathBuf {
        self.directory.join(self.kind.socket(question))
    }

    /// What `error` means once the log has been read.
    pub(crate) fn explain(&self, error: Failure) -> Failure {
        let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
        let mut text = format!("{}: {error}; its log ends:", self.kind);
        let lines: Vec<_> = log.lines().collect();
        for line in lines.iter().skip(lines.len().saturating_sub(LOG_LINES)) {
            let _ = write!(text, "\n  {line}");
        }
        text.into()
    }

    /// Of all its processes, since they began.
    pub(crate) fn processor_time(&self) -> Outcome<Duration> {
        let ticks: u32 = self.processes()?.iter().filter_map(|process| Status::of(*process)).map(|it| it.ticks).sum();
        Ok(TICK * ticks)
    }

    /// Waits until it has nothing to do any more, and gives its processor time.
    pub(crate) async fn settle(&self) -> Outcome<Duration> {
        let deadline = Instant::now() + PATIENCE;
        let mut before = self.processor_time()?;
        loop {
            tokio::time::sleep(IDLE).await;
            let now = self.processor_time()?;
            if now == before {
                return Ok(now);
            }
            if Instant::now() > deadline {
                return Err(self.explain("it is asked nothing and still at work".into()));
            }
            before = now;
        }
    }

    /// Memory in use by the process that answers, in KiB.
    pub(crate) fn resident_kib(&self) -> Outcome<u64> {
        for process in self.processes()? {
            if self.kind == Kind::Dovecot && Status::of(process).is_none_or(|it| it.name != "auth") {
                continue;
            }
            let status = fs::read_to_string(format!("/proc/{process}/status"))?;
            let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            let number = resident.and_then(|text| text.split_whitespace().next());
            return Ok(number.ok_or("a process without VmRSS")?.parse()?);
        }
        Err(self.explain("no process of it answers".into()))
    }

    /// The one that was started, and whatever that one started.
    fn processes(&self) -> Outcome<Vec<u32>> {
        let mut processes = vec![self.child.id()];
        for entry in fs::read_dir("/proc")? {
            let Some(process) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            if Status::of(process).is_some_and(|it| it.parent == self.child.id()) {
                processes.push(process);
            }
        }
        Ok(processes)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Who has ended by itself has been waited for, and nobody else has its number yet.
        if let Ok(None) = self.child.try_wait() {
            let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        }
        drop(self.child.wait());
    }
}

/// What the system says of a process.
struct Status {
    name: String,
    parent: u32,
    /// Of processor time, its own and the kernel's for it.
    ticks: u32,
}

impl Status {
    /// `None` when there is no such process any more.
    fn of(process: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        let (start, rest) = text.rsplit_once(')')?;
        let (_, name) = start.split_once('(')?;
        // From the third field of proc(5) on.
        let rest: Vec<_> = rest.split_whitespace().collect();
        let number = |field: usize| rest.get(field - 3)?.parse::<u32>().ok();
        Some(Self { name: name.to_owned(), parent: number(4)?, ticks: number(14)? + number(15)? })
    }
}

/// As it is without any configuration, but for ports that might be taken, and that each login is verified: what is remembered
/// of those before would be measured in its place.
fn prepare_gatepost(directory: &Path, accounts: &Accounts, refusals: Refusals) -> Outcome<Vec<PathBuf>> {
    let configuration = directory.join("gatepost.toml");
    let mut text = "[cache]\nentries = 0\n".to_owned();
    for port in ["http", "status", "poppassd"] {
        let _ = writeln!(text, "[listen.{port}]\nenabled = false");
    }
    if refusals == Refusals::AtOnce {
        text.push_str("\n[throttle]\nfailure_delay = \"0 s\"\n");
    }
    fs::write(&configuration, text)?;
    let data = directory.join("gatepost-data");
    fs::create_dir(&data)?;
    fs::copy(accounts.store(), data.join("gatepost.db"))?;
    Ok(vec![gatepost()?, "serve".into(), "--config".into(), configuration])
}

/// As `cargo build --release --bin gatepost` made it, two directories above this benchmark.
fn gatepost() -> Outcome<PathBuf> {
    let own = std::env::current_exe()?;
    let built = own.ancestors().nth(2).unwrap_or(&own).join("gatepost");
    if built.exists() {
        Ok(built)
    } else {
        Err(format!("there is no {}; run `cargo build --release --bin gatepost`", built.display()).into())
    }
}

/// In a passdb that knows nobody, for what one says that refuses is forgotten; `auth_failure_delay = 0` alone lets
/// refusals leave twice a second (2.3.19: src/auth/auth-request.c, src/auth/auth-request-handler.c).
const DOVECOT_REFUSES_AT_ONCE: &str = "passdb {\n  driver = static\n  args = noauthenticate nodelay\n}\n";

/// Its auth service alone, as it is without any configuration, but that a thousand may connect; and its dict service.
fn prepare_dovecot(directory: &Path, accounts: &Accounts, refusals: Refusals) -> Outcome<Vec<PathBuf>> {
    let configuration = directory.join("dovecot.conf");
    let [users, dict] = [("users", accounts.passwd_file()), ("dict", accounts.dict_file())].map(|(name, from)| {
        let path = directory.join(name);
        fs::copy(from, &path).map(|_| path.display().to_string())
    });
    let place = directory.display();
    let nodelay = if refusals == Refusals::AtOnce { DOVECOT_REFUSES_AT_ONCE } else { "" };
    let text = format!(
        "base_dir = {place}/run\nstate_dir = {place}/state\nlog_path = {place}/log\nprotocols = none\nssl = no\n\
         auth_mechanisms = plain\n{nodelay}\
         passdb {{\n  driver = passwd-file\n  args = {}\n}}\n\
         dict {{\n  auth = file:{}\n}}\n\
         service auth {{\n  client_limit = 4096\n}}\nservice dict {{\n  client_limit = 4096\n}}\n\
         service anvil {{\n  unix_listener anvil-auth-penalty {{\n    mode = 0\n  }}\n}}\n",
        users?, dict?,
    );
    fs::write(&configuration, text)?;
    Ok(vec!["dovecot".into(), "-F".into(), "-c".into(), configuration])
}
