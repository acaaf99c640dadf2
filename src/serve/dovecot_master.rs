//! The `master` and `userdb` sockets: mail processes claim their login, LMTP, doveadm and kin look users up.
//!
//! Trusts: whoever may open the `master` socket. On a `userdb` socket that everybody may open, a peer that the listener
//!         does not trust learns only of records that carry its own uid, as Dovecot has it
//!         (2.3.19 `src/auth/auth-master-connection.c`).
//! Fails:  with FAIL, which is "not now"; NOTFOUND is only said of what the store says is not there.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gatepost_protocol::dovecot::mask::Mask;
use gatepost_protocol::dovecot::master::{HandOff, Lookup, MasterEvent, MasterSession, Role};
use tokio_util::sync::CancellationToken;

use super::{Gate, LOOKUP_PATIENCE, READ_SIZE, Stream, UNWRITTEN, WRITE_PATIENCE, flush, read};
use crate::account::{Account, Username};
use crate::authenticate::Identity;
use crate::listen::Peer;
use crate::store::{AccountPage, StoreError};
use crate::telemetry::logging::quoted;
use crate::userdb::{self, Dialect};

/// `doveadm -A` reads a row and then works on that mailbox for as long as it takes.
const LIST_PATIENCE: Duration = Duration::from_secs(3_600);
/// Names fetched at once for LIST.
const LIST_PAGE: u32 = 500;

/// Serves one connection until either side ends it.
///
/// # Errors
/// The socket's own; what the peer said wrong is logged here.
pub async fn serve(
    stream: impl Stream,
    peer: Peer,
    role: Role,
    open_to_all: bool,
    gate: Arc<Gate>,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let session = MasterSession::new(role, gate.server_pid);
    let own_records_only = peer.uid().filter(|_| open_to_all && !peer.is_trusted());
    Conversation { stream, session, own_records_only, peer, gate }.run(shutdown).await
}

struct Conversation<S> {
    stream: S,
    session: MasterSession,
    /// The uid of a stranger.
    own_records_only: Option<u32>,
    peer: Peer,
    gate: Arc<Gate>,
}

/// Why a look-up gave nothing.
enum Nothing {
    /// The store says that it is not there.
    Absent,
    /// Not now.
    Unknown,
}

impl<S: Stream> Conversation<S> {
    async fn run(mut self, shutdown: CancellationToken) -> io::Result<()> {
        let mut buffer = vec![0; READ_SIZE];
        loop {
            flush(&mut self.stream, self.session.output(), WRITE_PATIENCE).await?;
            let Some(bytes) = read(&mut self.stream, &mut buffer, &shutdown).await? else { return Ok(()) };
            let received = self.session.receive(bytes);
            while let Some(event) = self.session.next_event() {
                self.handle(event).await?;
                if self.session.output().len() > UNWRITTEN {
                    flush(&mut self.stream, self.session.output(), WRITE_PATIENCE).await?;
                }
            }
            if let Err(error) = received {
                tracing::warn!(peer = %self.peer, %error, "master client sent what the protocol does not have; connection closed");
                return flush(&mut self.stream, self.session.output(), WRITE_PATIENCE).await;
            }
        }
    }

    async fn handle(&mut self, event: MasterEvent) -> io::Result<()> {
        match event {
            MasterEvent::Request(hand_off) => self.request(&hand_off).await,
            MasterEvent::User(lookup) => self.user(&lookup).await,
            MasterEvent::Pass(lookup) => self.pass(&lookup).await,
            MasterEvent::List { id, mask } => self.list(id, mask.as_deref()).await?,
            MasterEvent::CacheFlush { id, users } => {
                let entries = self.gate.authenticator.forget(&users).await;
                self.session.flushed(id, entries);
            }
        }
        Ok(())
    }

    /// A mail process claims a login. What changed since the login voids it.
    async fn request(&mut self, hand_off: &HandOff) {
        let id = hand_off.id;
        if let (Some(claimed), Some(actual)) = (hand_off.session_pid, self.peer.pid())
            && claimed != actual
        {
            tracing::warn!(peer = %self.peer, claimed, "REQUEST for another process refused");
            return self.session.fail(id, None);
        }
        let claimed = self.gate.waiting.claim(hand_off.client_pid, hand_off.auth_id, &hand_off.cookie, Instant::now());
        let Some(grant) = claimed else {
            tracing::warn!(peer = %self.peer, client_pid = hand_off.client_pid, auth_id = hand_off.auth_id, "REQUEST for a login that is not waiting");
            return self.session.fail(id, None);
        };
        let user = &grant.identity.account.username;
        let pid = hand_off.session_pid.or_else(|| self.peer.pid());
        let claim = self.gate.claims.claim(user, pid, Instant::now());
        match self.granted(&grant.identity).await {
            Ok((account, quota)) if account.generation == grant.identity.generation => {
                let mut fields = self.userdb_fields(&account, quota);
                fields.push(("auth_mech".to_owned(), grant.mechanism.to_owned()));
                self.found(id, &account.username, &fields);
                claim.answered(account.generation, Instant::now());
            }
            Ok(_) | Err(Nothing::Absent) => {
                tracing::info!(%user, "login not handed over: the account was changed meanwhile");
                self.session.fail(id, Some("The account was changed meanwhile; please log in again."));
            }
            Err(Nothing::Unknown) => self.session.fail(id, None),
        }
    }

    /// The account of a login as it is now. Where nothing of it can have changed, the login knows, also while the store is
    /// away.
    async fn granted(&self, identity: &Identity) -> Result<(Account, u64), Nothing> {
        if self.gate.revocation.vouches_for(&identity.grant) {
            return Ok((identity.account.clone(), identity.quota));
        }
        self.find(&identity.account.username).await
    }

    async fn user(&mut self, lookup: &Lookup) {
        match self.look_up(&lookup.user).await {
            Ok((account, quota)) => {
                let fields = self.userdb_fields(&account, quota);
                let uid = fields.iter().find(|(key, _)| key == "uid").and_then(|(_, uid)| uid.parse().ok());
                if self.own_records_only.is_some() && self.own_records_only != uid {
                    tracing::warn!(peer = %self.peer, user = %account.username, "userdb look-up of another uid's record refused");
                    return self.session.fail(lookup.id, None);
                }
                self.found(lookup.id, &account.username, &fields);
            }
            Err(Nothing::Absent) => self.session.not_found(lookup.id),
            Err(Nothing::Unknown) => self.session.fail(lookup.id, None),
        }
    }

    async fn pass(&mut self, lookup: &Lookup) {
        if self.own_records_only.is_some() {
            return self.session.fail(lookup.id, None);
        }
        match self.look_up(&lookup.user).await {
            Ok((account, _)) if account.enabled => {
                let fields = userdb::passdb_fields(&account);
                let answered = self.session.pass(lookup.id, account.username.as_str(), &fields);
                if answered.is_err() {
                    self.too_long(lookup.id, &account.username);
                }
            }
            Ok(_) | Err(Nothing::Absent) => self.session.not_found(lookup.id),
            Err(Nothing::Unknown) => self.session.fail(lookup.id, None),
        }
    }

    async fn list(&mut self, id: u32, mask: Option<&str>) -> io::Result<()> {
        if self.own_records_only.is_some() {
            self.session.list_done(id, false);
            return Ok(());
        }
        let mask = mask.map(Mask::new);
        let mut page = AccountPage { domain: None, query: None, after: None, limit: LIST_PAGE };
        loop {
            let accounts = match bounded(self.gate.store.accounts(&page)).await {
                Ok(accounts) => accounts,
                Err(Nothing::Absent | Nothing::Unknown) => {
                    self.session.list_done(id, false);
                    return Ok(());
                }
            };
            for account in &accounts {
                if mask.as_ref().is_none_or(|mask| mask.matches(account.username.as_str())) {
                    self.session.list_row(id, account.username.as_str());
                }
            }
            flush(&mut self.stream, self.session.output(), LIST_PATIENCE).await?;
            let Some(last) = accounts.last() else { break };
            page.after = Some(last.username.clone());
        }
        self.session.list_done(id, true);
        Ok(())
    }

    async fn look_up(&self, name: &str) -> Result<(Account, u64), Nothing> {
        let live = self.gate.live();
        let user = Username::parse(name, live.default_domain.as_ref()).map_err(|_| Nothing::Absent)?;
        self.find(&user).await
    }

    /// The account and the quota that holds for it.
    async fn find(&self, user: &Username) -> Result<(Account, u64), Nothing> {
        let record = bounded(self.gate.store.login_record(user)).await?.ok_or(Nothing::Absent)?;
        let quota = record.account.effective_quota(record.domain.default_quota);
        Ok((record.account, quota))
    }

    fn userdb_fields(&self, account: &Account, quota: u64) -> Vec<(String, String)> {
        let dialect = if self.session.dovecot_24() { Dialect::Dovecot24 } else { Dialect::Dovecot23 };
        self.gate.live().userdb.fields(account, quota, dialect)
    }

    fn found(&mut self, id: u32, user: &Username, fields: &[(String, String)]) {
        if self.session.user(id, user.as_str(), fields).is_err() {
            self.too_long(id, user);
        }
    }

    fn too_long(&mut self, id: u32, user: &Username) {
        tracing::error!(user = %quoted(user.as_str()), "the account's fields do not fit the 8192 bytes that a mail process reads; shorten them");
        self.session.fail(id, None);
    }
}

/// A store's answer in time, or "not now".
async fn bounded<T>(asked: impl Future<Output = Result<T, StoreError>>) -> Result<T, Nothing> {
    match tokio::time::timeout(LOOKUP_PATIENCE, asked).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => {
            tracing::warn!(%error, "look-up put off");
            Err(Nothing::Unknown)
        }
        Err(_) => {
            tracing::warn!("look-up put off: the store did not answer within {LOOKUP_PATIENCE:?}");
            Err(Nothing::Unknown)
        }
    }
}
