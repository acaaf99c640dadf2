//! doveadm's HTTP API, of which we are the client: who is in, out with them, forget what is cached.
//!
//! A request is a JSON array of `[command, parameters, tag]`, an answer one of `["doveadmResponse", rows, tag]` or
//! `["error", {type, exitCode}, tag]` (2.3.19 and 2.4.1 `src/doveadm/client-connection-http.c`). It is JSON, so serde
//! reads and writes it.
//!
//! Trusts: nobody's text: an answer that is no answer to what was asked is [`Failure::Unreadable`].
//! Fails:  per command with [`Refusal`], as a whole with [`Failure`]; neither ever means that nobody is in.
//! Limits: no other command, and none of those parameters that only one version has.
//!
//! What they do differs. 2.3 ends the processes of a user (SIGTERM), always as with the command's `-f`, so in a process
//! that serves several users all of them leave; its answer names them all. 2.4 ends the user's connections, and counts
//! them, but those in a process of several users as none (both tried). Hence sessions are counted by who, not by kick.

use serde::Deserialize;
use serde_json::{Value, json};

/// Where requests are POSTed to.
pub const PATH: &str = "/doveadm/v1";
/// The word before the base64 of the key in `Authorization`.
pub const AUTHORIZATION_SCHEME: &str = "X-Dovecot-API";
/// What 2.3's doveadm exits with when nobody was kicked: its DOVEADM_EX_NOTFOUND.
const NOT_FOUND: i64 = 68;

/// A user's name that doveadm takes for itself alone, and never for a pattern or for a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiteralName(String);

impl LiteralName {
    /// `None` for what could mean somebody else: wildcards (`src/lib/wildcard-match.c`), and whatever has no `@`, since
    /// doveadm reads an address or a network as such before it thinks of names (`src/doveadm/doveadm-who.c`).
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let literal = name.contains('@') && !name.contains(['*', '?', '\\']) && !name.contains(char::is_control);
        literal.then(|| Self(name.to_owned()))
    }

    /// The name as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One thing asked of doveadm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// The connections of one user or of all, each by itself.
    Who(Option<LiteralName>),
    /// Ends every connection of the user.
    Kick(LiteralName),
    /// Dovecot's auth service forgets what it cached of one user or of all. 2.4.1 and 2.4.2 crash of it.
    FlushCache(Option<LiteralName>),
}

/// What a command came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To [`Command::Who`].
    Who(Vec<Session>),
    /// To [`Command::Kick`].
    Kicked(Kicked),
    /// To [`Command::FlushCache`]: how many entries there were.
    Flushed(u64),
}

/// One connection of a user, as a mail process registered it. lmtp registers its deliveries alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// As the auth service called the user.
    pub username: String,
    /// `imap`, `pop3`, `submission`, `sieve` (2.3) or `managesieve` (2.4), `lmtp`, …
    pub service: String,
    /// The process that serves it, perhaps among others.
    pub pid: u32,
}

/// Whom a kick reached, as far as doveadm says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kicked {
    /// 2.3, exit code 68.
    Nobody,
    /// 2.3: everybody whose processes were ended.
    Users(Vec<String>),
    /// 2.4: how many connections; 0 also where they were among those of others in one process.
    Connections(u64),
}

/// doveadm did not do it, and says why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The command ran and failed; what it said is in Dovecot's log.
    #[error("the command failed with exit code {0}; Dovecot's log says why")]
    Failed(i64),
    /// `doveadm_allowed_commands` does not name the command.
    #[error("Dovecot's `doveadm_allowed_commands` leaves the command out")]
    NotAllowed,
    /// A command or a parameter that this version does not have.
    #[error("this Dovecot does not know the command or a parameter of it ({0})")]
    Unknown(String),
}

/// The request as a whole came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// 401.
    #[error("the key was not accepted")]
    WrongKey,
    /// Any other status but 200.
    #[error("the answer was HTTP status {0}")]
    Status(u16),
    /// Not what doveadm says.
    #[error("the answer is none of doveadm's: {0}")]
    Unreadable(String),
}

/// The body of a request for all of these.
#[must_use]
pub fn request(commands: &[Command]) -> String {
    let calls: Vec<Value> = commands.iter().zip(0_usize..).map(|(command, tag)| call(command, tag)).collect();
    Value::Array(calls).to_string()
}

fn call(command: &Command, tag: usize) -> Value {
    let (name, parameters) = match command {
        Command::Who(None) => ("who", json!({"separateConnections": true})),
        Command::Who(Some(user)) => ("who", json!({"mask": [user.as_str()], "separateConnections": true})),
        Command::Kick(user) => ("kick", json!({"mask": [user.as_str()]})),
        Command::FlushCache(None) => ("authCacheFlush", json!({})),
        Command::FlushCache(Some(user)) => ("authCacheFlush", json!({"user": [user.as_str()]})),
    };
    json!([name, parameters, tag.to_string()])
}

/// What came back for `commands`, one for each and in their order.
///
/// # Errors
/// When it is no answer to all of them.
pub fn answers(status: u16, body: &[u8], commands: &[Command]) -> Result<Vec<Result<Answer, Refusal>>, Failure> {
    match status {
        200 => {}
        401 => return Err(Failure::WrongKey),
        other => return Err(Failure::Status(other)),
    }
    let said: Vec<Said> = serde_json::from_slice(body).map_err(unreadable)?;
    if said.len() != commands.len() {
        return Err(Failure::Unreadable(format!("{} answers to {} commands", said.len(), commands.len())));
    }
    let paired = commands.iter().zip(0_usize..).zip(said);
    paired.map(|((command, tag), said)| answer(command, tag, said)).collect()
}

/// `[kind, content, tag]`.
#[derive(Deserialize)]
struct Said(String, Value, String);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Error {
    r#type: String,
    exit_code: i64,
}

/// Numbers are written as text (`src/doveadm/doveadm-print-json.c`).
#[derive(Deserialize)]
struct WhoRow {
    username: String,
    service: String,
    pid: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum KickRow {
    Result(String),
    Count(String),
}

#[derive(Deserialize)]
struct FlushRow {
    entries: String,
}

fn answer(
    command: &Command,
    tag: usize,
    Said(kind, content, echoed): Said,
) -> Result<Result<Answer, Refusal>, Failure> {
    if echoed != tag.to_string() {
        return Err(Failure::Unreadable(format!("an answer to {echoed:?} where {tag} was asked")));
    }
    match kind.as_str() {
        "doveadmResponse" => rows(command, content).map(Ok),
        "error" => {
            let error = serde_json::from_value(content).map_err(unreadable)?;
            Ok(refusal(command, error))
        }
        other => Err(Failure::Unreadable(format!("an answer called {other:?}"))),
    }
}

fn refusal(command: &Command, error: Error) -> Result<Answer, Refusal> {
    match (error.r#type.as_str(), error.exit_code, command) {
        ("exitCode", NOT_FOUND, Command::Kick(_)) => Ok(Answer::Kicked(Kicked::Nobody)),
        ("exitCode", code, _) => Err(Refusal::Failed(code)),
        ("unAuthorized", ..) => Err(Refusal::NotAllowed),
        (other, ..) => Err(Refusal::Unknown(other.to_owned())),
    }
}

fn rows(command: &Command, content: Value) -> Result<Answer, Failure> {
    match command {
        Command::Who(_) => {
            let rows: Vec<WhoRow> = serde_json::from_value(content).map_err(unreadable)?;
            rows.into_iter().map(session).collect::<Result<_, _>>().map(Answer::Who)
        }
        Command::Kick(_) => {
            let rows: Vec<KickRow> = serde_json::from_value(content).map_err(unreadable)?;
            kicked(rows).map(Answer::Kicked)
        }
        Command::FlushCache(_) => {
            let [FlushRow { entries }] = serde_json::from_value(content).map_err(unreadable)?;
            number(&entries).map(Answer::Flushed)
        }
    }
}

fn session(row: WhoRow) -> Result<Session, Failure> {
    let pid = number(&row.pid)?;
    Ok(Session { username: row.username, service: row.service, pid })
}

fn kicked(rows: Vec<KickRow>) -> Result<Kicked, Failure> {
    if let [KickRow::Count(count)] = rows.as_slice() {
        return number(count).map(Kicked::Connections);
    }
    let users = rows.into_iter().map(|row| match row {
        KickRow::Result(user) => Ok(user),
        KickRow::Count(_) => Err(Failure::Unreadable("a count among names".to_owned())),
    });
    users.collect::<Result<_, _>>().map(Kicked::Users)
}

fn number<N: std::str::FromStr>(text: &str) -> Result<N, Failure> {
    text.parse().map_err(|_| Failure::Unreadable(format!("{text:?} is no number")))
}

fn unreadable(error: serde_json::Error) -> Failure {
    Failure::Unreadable(error.to_string())
}
