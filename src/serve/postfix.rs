//! The `socketmap` socket: Postfix asks whether a domain or a mailbox is ours.
//!
//! Postfix asks a socketmap for exactly the address that it has, so stripping the extension is done here
//! (Postfix 3.7 `proto/socketmap_table`).
//!
//! Trusts: nobody; the answers are what an SMTP client could find out.
//! Fails:  with TEMP, so that mail is deferred and never bounced.

use std::io;
use std::sync::Arc;

use gatepost_protocol::postfix::socketmap::{Answer, Query, SocketmapSession};
use tokio_util::sync::CancellationToken;

use super::{Gate, LOOKUP_PATIENCE, READ_SIZE, Stream, WRITE_PATIENCE, flush, read};
use crate::account::{DomainName, Username};
use crate::listen::Peer;
use crate::store::StoreError;

/// Serves one connection until either side ends it.
///
/// # Errors
/// The socket's own; what the peer said wrong is logged here.
pub async fn serve(
    mut stream: impl Stream,
    peer: Peer,
    gate: Arc<Gate>,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let mut session = SocketmapSession::new();
    let mut buffer = vec![0; READ_SIZE];
    loop {
        let Some(bytes) = read(&mut stream, &mut buffer, &shutdown).await? else { return Ok(()) };
        let received = session.receive(bytes);
        while let Some(query) = session.next_query() {
            let answer = match tokio::time::timeout(LOOKUP_PATIENCE, answer(&query, &gate)).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(error)) => {
                    tracing::warn!(%error, "socketmap look-up put off");
                    Answer::Temporary("the store cannot be read now".to_owned())
                }
                Err(_) => Answer::Temporary("the store did not answer in time".to_owned()),
            };
            session.answer(answer);
            flush(&mut stream, session.output(), WRITE_PATIENCE).await?;
        }
        if let Err(error) = received {
            tracing::warn!(%peer, %error, "socketmap client sent what the protocol does not have; connection closed");
            return Ok(());
        }
    }
}

async fn answer(query: &Query, gate: &Gate) -> Result<Answer, StoreError> {
    let found = match query.map.as_str() {
        "virtual_mailbox_domains" => domain(&query.key, gate).await?,
        "virtual_mailbox_maps" => mailbox(&query.key, gate).await?,
        _ => {
            return Ok(Answer::Permanent(
                "no such map; there are virtual_mailbox_domains and virtual_mailbox_maps".to_owned(),
            ));
        }
    };
    Ok(found.map_or(Answer::NotFound, Answer::Found))
}

async fn domain(key: &str, gate: &Gate) -> Result<Option<String>, StoreError> {
    let Ok(name) = key.parse::<DomainName>() else { return Ok(None) };
    Ok(gate.store.domain(&name).await?.map(|domain| domain.name.to_string()))
}

/// The mailbox of an address: as written, else without its extension.
async fn mailbox(key: &str, gate: &Gate) -> Result<Option<String>, StoreError> {
    let live = gate.live();
    let Ok(address) = Username::parse(key, live.default_domain.as_ref()) else { return Ok(None) };
    if let Some(account) = gate.store.account(&address).await? {
        return Ok(Some(account.username.to_string()));
    }
    let without = address.local_part().split(|character| live.recipient_delimiter.contains(character)).next();
    let Some(bare) = without.filter(|bare| *bare != address.local_part()) else { return Ok(None) };
    let Ok(address) = format!("{bare}@{}", address.domain()).parse::<Username>() else { return Ok(None) };
    Ok(gate.store.account(&address).await?.map(|account| account.username.to_string()))
}
