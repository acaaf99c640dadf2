//! Command: `gatepost`, its verbs and its exit codes.
//!
//! Every verb but `serve` and `check-config` is a call of the API over the admin socket.
//!
//! Fails:  with 1 for "no", 2 for a wrong command line or configuration, 75 (`EX_TEMPFAIL` of sysexits.h) for "not now";
//!         what happened and what to do goes to standard error.

mod account;
mod audit;
mod auth;
mod check_config;
mod client;
mod clients;
mod domain;
mod import;
mod output;
mod password;
mod receipt;
mod serve;
mod status;
mod token;
mod values;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub(crate) use self::client::{Client, Daemon};
use crate::config::{Config, Endpoint, Protocol};
use crate::store::Door;
use crate::web::Problem;

/// Where the daemon's admin socket is looked for when it is not where the configuration says.
const SYSTEM_SOCKET: &str = "/run/gatepost/admin";

/// Where a mail system's passwords live.
#[derive(Debug, Parser)]
#[command(name = "gatepost", version, arg_required_else_help = true)]
struct Arguments {
    /// The configuration; /etc/gatepost/gatepost.toml where it exists and nothing else is said.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The daemon's admin socket; without it the configuration's, else ./gatepost-data/run/admin, else
    /// /run/gatepost/admin.
    #[arg(long, global = true, value_name = "PATH")]
    socket: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the daemon.
    Serve,
    /// Say whether the configuration can be used, or all that is wrong with it.
    CheckConfig,
    #[command(flatten)]
    Call(Call),
}

/// What is done by the daemon, which is asked over its admin socket.
#[derive(Debug, Subcommand)]
enum Call {
    /// Domains: add, list, remove.
    #[command(subcommand)]
    Domain(domain::Verb),
    /// Accounts: add, list, show, set, disable, enable, remove.
    #[command(subcommand)]
    Account(account::Verb),
    /// Set the main password of an account.
    Passwd(password::Passwd),
    /// End whatever was granted to a user: sessions, remembered logins, logins on their way.
    Logout(password::Logout),
    /// Show the newest attempts to log in to an account.
    Logins(account::Logins),
    /// Show the programs and browsers that an account is used with.
    Clients(clients::Clients),
    /// Show what has become of a change: which sessions it ended, and what of it is still to be done.
    Receipt(receipt::Show),
    /// Show who changed what, through which door, from where, when.
    Audit(audit::List),
    /// Tokens for programs that use the HTTP API: add, list, revoke.
    #[command(subcommand)]
    Token(token::Verb),
    /// Try a login.
    #[command(subcommand)]
    Auth(auth::Verb),
    /// Bring the mailboxes of another system along.
    #[command(subcommand)]
    Import(import::Verb),
    /// Say whether the daemon is there and can work.
    Status(status::Status),
}

/// Why a verb did not do what it should.
#[derive(Debug)]
pub(crate) enum Failure {
    /// "No", as the API said it.
    Refused(Box<Problem>),
    /// "No", said here.
    No(String),
    /// The command line, or the configuration, cannot be followed.
    Usage(String),
    /// "Not now": daemon or store not there.
    Unavailable(String),
}

/// Reads the command line, does what it says, and says how it went.
#[must_use]
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    match perform(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Where standard error is closed, the exit code is all that is left to say it with.
            drop(write!(std::io::stderr(), "gatepost: {failure}"));
            failure.exit_code()
        }
    }
}

fn perform(arguments: Arguments) -> Result<(), Failure> {
    match arguments.verb {
        Verb::Serve => serve::run(arguments.config),
        Verb::CheckConfig => check_config::run(arguments.config.as_deref()),
        Verb::Call(call) => perform_call(call, find_daemon(arguments.config.as_deref(), arguments.socket)?),
    }
}

fn perform_call(call: Call, daemon: Daemon) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Unavailable(format!("cannot start: {error}")))?;
    runtime.block_on(async {
        let default_domain = daemon.default_domain.clone();
        let door = if matches!(call, Call::Import(_)) { Door::Import } else { Door::Command };
        let connect = Client::connect(daemon, door);
        match call {
            Call::Domain(verb) => verb.run(&mut connect.await?).await,
            Call::Account(verb) => verb.run(connect).await,
            Call::Passwd(passwd) => passwd.run(connect).await,
            Call::Logout(logout) => logout.run(&mut connect.await?).await,
            Call::Logins(logins) => logins.run(&mut connect.await?).await,
            Call::Clients(clients) => clients.run(&mut connect.await?).await,
            Call::Receipt(receipt) => receipt.run(&mut connect.await?).await,
            Call::Audit(list) => list.run(&mut connect.await?).await,
            Call::Token(verb) => verb.run(&mut connect.await?).await,
            Call::Auth(verb) => verb.run(connect).await,
            Call::Import(verb) => verb.run(default_domain, connect).await,
            Call::Status(status) => status.run(&mut connect.await?).await,
        }
    })
}

fn find_daemon(config: Option<&Path>, socket: Option<PathBuf>) -> Result<Daemon, Failure> {
    let config = match Config::load(config) {
        Ok(config) => config,
        // Whoever names the socket needs nothing of the system's file, and may not be allowed to read it.
        Err(_) if config.is_none() && socket.is_some() => Config::embedded(),
        Err(error) => return Err(Failure::Usage(error.to_string())),
    };
    let admin = config.fixed.listeners.into_iter().filter(|listener| listener.protocol == Protocol::Admin);
    let (paths, owners): (Vec<PathBuf>, Vec<Option<u32>>) = admin
        .filter_map(|listener| match listener.endpoint {
            Some(Endpoint::Unix { path, owner, .. }) => Some((path, owner)),
            _ => None,
        })
        .unzip();
    let socket = socket.unwrap_or_else(|| {
        let system = PathBuf::from(SYSTEM_SOCKET);
        let mut configured = paths.into_iter();
        match configured.next() {
            Some(first) if first.exists() || !system.exists() => first,
            _ => system,
        }
    });
    let trusted = owners.into_iter().flatten().collect();
    Ok(Daemon { socket, trusted, default_domain: config.live.default_domain })
}

impl Failure {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Refused(_) | Self::No(_) => ExitCode::FAILURE,
            Self::Usage(_) => ExitCode::from(2),
            Self::Unavailable(_) => ExitCode::from(75),
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(problem) => {
                writeln!(formatter, "{}", problem.detail)?;
                problem.reasons.iter().try_for_each(|reason| writeln!(formatter, "  {}", reason.text))
            }
            Self::No(text) | Self::Usage(text) | Self::Unavailable(text) => writeln!(formatter, "{text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
