//! The `dict` socket: keys that Dovecot's plugins and doveadm keep with us, and accounts for a 2.3's dict passdb and
//! userdb.
//!
//! Dovecot 2.3 verifies the password itself there, so the dict named `auth` hands out stored hashes. It exists only on
//! a listener with `credentials = true`, and nothing can be written to it.
//!
//! Trusts: whoever may open the socket, with the keys of every user: mail processes name the user themselves.
//! Fails:  with F, which Dovecot's auth takes for an internal failure, never for an unknown user.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use gatepost_protocol::dovecot::dict::{Change, Commit, DictEvent, DictSession, Iterate};
use gatepost_protocol::dovecot::mask::Mask;
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::{Gate, LOOKUP_PATIENCE, READ_SIZE, Stream, UNWRITTEN, WRITE_PATIENCE, flush, read};
use crate::account::{CredentialName, Username};
use crate::listen::Peer;
use crate::store::dict::{DictKey, DictOrder, DictOutcome, DictScan, DictScanKind, DictWrite};
use crate::store::{AccountPage, LoginRecord, StoreError};
use crate::telemetry::logging::quoted;
use crate::userdb::{self, Dialect};

/// The dict that is no dict: accounts, as Dovecot 2.3's auth asks for them.
const AUTH: &str = "auth";
const PASSDB: &str = "shared/passdb/";
const USERDB: &str = "shared/userdb/";
/// Accounts fetched at once for an iteration.
const PAGE: u32 = 500;

/// Serves one connection until either side ends it.
///
/// # Errors
/// The socket's own; what the peer said wrong is logged here.
pub async fn serve(
    stream: impl Stream,
    peer: Peer,
    credentials: bool,
    gate: Arc<Gate>,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let session = DictSession::new();
    Conversation { stream, session, dict: String::new(), credentials, peer, gate }.run(shutdown).await
}

struct Conversation<S> {
    stream: S,
    session: DictSession,
    /// What the hello named.
    dict: String,
    credentials: bool,
    peer: Peer,
    gate: Arc<Gate>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the store did not answer in time")]
    TooSlow,
    #[error("{0}")]
    Refused(&'static str),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Failure {
    /// For the client, who may be anybody on this host: what the store says of itself names paths, and is in the log.
    fn told(&self) -> String {
        match self {
            Self::Store(_) => "the store cannot answer now".to_owned(),
            told => told.to_string(),
        }
    }
}

impl<S: Stream> Conversation<S> {
    async fn run(mut self, shutdown: CancellationToken) -> io::Result<()> {
        let mut buffer = vec![0; READ_SIZE];
        loop {
            flush(&mut self.stream, self.session.output(), WRITE_PATIENCE).await?;
            if self.session.hangs_up() {
                return Ok(());
            }
            let Some(bytes) = read(&mut self.stream, &mut buffer, &shutdown).await? else { return Ok(()) };
            let received = self.session.receive(bytes);
            while let Some(event) = self.session.next_event() {
                self.handle(event).await?;
                if self.session.output().len() > UNWRITTEN {
                    flush(&mut self.stream, self.session.output(), WRITE_PATIENCE).await?;
                }
            }
            if let Err(error) = received {
                tracing::warn!(peer = %self.peer, %error, "dict client sent what the protocol does not have; connection closed");
                self.session.close();
            }
        }
    }

    async fn handle(&mut self, event: DictEvent) -> io::Result<()> {
        match event {
            DictEvent::Hello { name, .. } => self.hello(name),
            DictEvent::Lookup { serial, key, user } => match bounded(self.look_up(&key, &user)).await {
                Ok(Some(value)) => self.session.found(serial, value.as_bytes()),
                Ok(None) => self.session.not_found(serial),
                Err(failure) => self.fail(serial, failure)?,
            },
            DictEvent::Iterate(iterate) => match self.iterate(&iterate).await {
                Ok(()) => self.session.finished(iterate.serial),
                Err(failure) => self.fail(iterate.serial, failure)?,
            },
            DictEvent::Commit(commit) => {
                let serial = commit.serial;
                let adds = commit.changes.iter().any(|change| matches!(change, Change::Add { .. }));
                match bounded(self.commit(commit)).await {
                    Ok(DictOutcome::Committed) => self.session.committed(serial),
                    // doveadm takes N for a failure; to Dovecot's own dict server it is none to unset nothing.
                    Ok(DictOutcome::NotFound) if !adds => self.session.committed(serial),
                    Ok(DictOutcome::NotFound) => self.session.not_found(serial),
                    Ok(DictOutcome::NotANumber) => self.session.failed(serial, "the value is not a number"),
                    Ok(DictOutcome::TooMuch) => {
                        self.session
                            .failed(serial, "key, value or dict too large; see `[dict]` of gatepost's configuration");
                    }
                    // A commit that failed half-way may yet be found to have been made.
                    Err(failure @ (Failure::TooSlow | Failure::Store(_))) => {
                        tracing::warn!(peer = %self.peer, dict = %quoted(&self.dict), error = %failure, "dict commit uncertain");
                        self.session.uncertain(serial, &failure.told());
                    }
                    Err(failure) => self.fail(serial, failure)?,
                }
            }
        }
        Ok(())
    }

    fn hello(&mut self, name: String) {
        if name == AUTH && !self.credentials {
            tracing::warn!(peer = %self.peer, "the dict \"auth\" was asked for where `credentials = true` is not set; connection closed");
            self.session.close();
        }
        self.dict = name;
    }

    fn fail(&mut self, serial: u32, failure: Failure) -> io::Result<()> {
        if let Failure::Io(error) = failure {
            return Err(error);
        }
        tracing::warn!(peer = %self.peer, dict = %quoted(&self.dict), error = %failure, "dict command failed");
        self.session.failed(serial, &failure.told());
        Ok(())
    }

    async fn look_up(&self, key: &str, user: &str) -> Result<Option<String>, Failure> {
        if self.dict != AUTH {
            return Ok(self.gate.store.dict_value(&self.key(key, user), Timestamp::now()).await?);
        }
        let default_domain = self.gate.live().default_domain.clone();
        let record = async |name: &str| match Username::parse(name, default_domain.as_ref()) {
            Ok(user) => self.gate.store.login_record(&user).await,
            Err(_) => Ok(None),
        };
        if let Some(name) = key.strip_prefix(PASSDB) {
            Ok(record(name).await?.map(|record| passdb_entry(&record)))
        } else if let Some(name) = key.strip_prefix(USERDB) {
            Ok(record(name).await?.map(|record| self.userdb_entry(&record)))
        } else {
            Ok(None)
        }
    }

    async fn iterate(&mut self, iterate: &Iterate) -> Result<(), Failure> {
        if self.dict == AUTH {
            return self.iterate_accounts(iterate).await;
        }
        let scan = DictScan {
            dict: self.dict.clone(),
            user: owner(&iterate.path, &iterate.user).to_owned(),
            prefix: iterate.path.clone(),
            kind: match (iterate.exact, iterate.recurse) {
                (true, _) => DictScanKind::Exact,
                (false, true) => DictScanKind::Recursive,
                (false, false) => DictScanKind::Children,
            },
            order: match (iterate.sort_by_key, iterate.sort_by_value) {
                (true, _) => DictOrder::ByKey,
                (false, true) => DictOrder::ByValue,
                (false, false) => DictOrder::Any,
            },
            limit: iterate.max_rows,
        };
        let store = Arc::clone(&self.gate.store);
        let rows = bounded(async { Ok(store.dict_scan(&scan, Timestamp::now()).await?) }).await?;
        for (key, value) in rows {
            self.row(iterate, &key, &value).await?;
        }
        Ok(())
    }

    /// `doveadm user '*'` on a 2.3 with dict userdb; the mask comes in the user's place.
    async fn iterate_accounts(&mut self, iterate: &Iterate) -> Result<(), Failure> {
        if iterate.path != USERDB {
            return Ok(());
        }
        let mask = Some(iterate.user.as_str()).filter(|mask| !mask.is_empty()).map(Mask::new);
        let store = Arc::clone(&self.gate.store);
        let mut page = AccountPage { domain: None, query: None, after: None, limit: PAGE };
        let mut rows = 0;
        loop {
            let accounts = bounded(async { Ok(store.accounts(&page).await?) }).await?;
            let Some(last) = accounts.last() else { return Ok(()) };
            page.after = Some(last.username.clone());
            for account in accounts {
                if mask.as_ref().is_some_and(|mask| !mask.matches(account.username.as_str())) {
                    continue;
                }
                if iterate.max_rows != 0 && rows == iterate.max_rows {
                    return Ok(());
                }
                let user = account.username;
                let value = if iterate.no_value {
                    String::new()
                } else {
                    let record = bounded(async { Ok(store.login_record(&user).await?) }).await?;
                    let Some(record) = record else { continue };
                    self.userdb_entry(&record)
                };
                self.row(iterate, &format!("{USERDB}{user}"), &value).await?;
                rows += 1;
            }
        }
    }

    async fn row(&mut self, iterate: &Iterate, key: &str, value: &str) -> io::Result<()> {
        self.session.row(iterate.serial, key, value.as_bytes());
        if self.session.output().len() > UNWRITTEN {
            flush(&mut self.stream, self.session.output(), WRITE_PATIENCE).await?;
        }
        Ok(())
    }

    async fn commit(&self, commit: Commit) -> Result<DictOutcome, Failure> {
        if self.dict == AUTH {
            return Err(Failure::Refused("accounts are not written by dict; use gatepost's API or command"));
        }
        let live = self.gate.live();
        if commit.user.len().max(self.dict.len()) > live.dict.key {
            return Ok(DictOutcome::TooMuch);
        }
        let now = Timestamp::now();
        let expires = (commit.expire != 0)
            .then(|| now.saturating_add(SignedDuration::from_secs(commit.expire.into())))
            .transpose()
            .map_err(|_| Failure::Refused("the expiry is out of range"))?;
        let mut writes = Vec::with_capacity(commit.changes.len());
        for change in commit.changes {
            writes.push(match change {
                Change::Set { key, value } => DictWrite::Set {
                    key: self.key(&key, &commit.user),
                    value: String::from_utf8(value).map_err(|_| Failure::Refused("the value is not UTF-8"))?,
                    expires,
                },
                Change::Unset { key } => DictWrite::Unset { key: self.key(&key, &commit.user) },
                Change::Add { key, difference } => {
                    DictWrite::Increment { key: self.key(&key, &commit.user), by: difference }
                }
            });
        }
        Ok(self.gate.store.dict_commit(&writes, live.dict, now).await?)
    }

    fn key(&self, key: &str, user: &str) -> DictKey {
        DictKey { dict: self.dict.clone(), user: owner(key, user).to_owned(), key: key.to_owned() }
    }

    fn userdb_entry(&self, record: &LoginRecord) -> String {
        let quota = record.account.effective_quota(record.domain.default_quota);
        let fields = self.gate.live().userdb.fields(&record.account, quota, Dialect::Dovecot23);
        json(fields.into_iter().collect())
    }
}

/// Whose key it is: a shared one is nobody's.
fn owner<'a>(key: &str, user: &'a str) -> &'a str {
    if key.starts_with("priv/") { user } else { "" }
}

/// What Dovecot needs to verify a password by itself.
fn passdb_entry(record: &LoginRecord) -> String {
    let account = &record.account;
    let mut fields: BTreeMap<String, String> = userdb::passdb_fields(account).into_iter().collect();
    // Dovecot enforces it here, since it verifies here.
    fields.extend(account.fields.get("allow_nets").map(|networks| ("allow_nets".to_owned(), networks.clone())));
    let main = record.credentials.iter().find(|credential| credential.name == CredentialName::Main);
    if let Some(main) = main {
        fields.insert("password".to_owned(), main.hash.as_str().to_owned());
    }
    if !account.enabled || !account.main_password_for_mail || main.is_none() {
        let reason = if account.enabled { "Please use an application password." } else { "This mailbox is disabled." };
        fields.insert("nologin".to_owned(), String::new());
        fields.insert("reason".to_owned(), reason.to_owned());
    }
    json(fields)
}

fn json(fields: BTreeMap<String, String>) -> String {
    serde_json::Value::from(
        fields.into_iter().map(|(key, value)| (key, value.into())).collect::<serde_json::Map<_, _>>(),
    )
    .to_string()
}

async fn bounded<T>(asked: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::time::timeout(LOOKUP_PATIENCE, asked).await.unwrap_or(Err(Failure::TooSlow))
}
