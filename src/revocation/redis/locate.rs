//! Where the master is: tried of the servers that are named, or asked of Redis Sentinel, anew for each connection.

use std::sync::Arc;

use ::redis::{AsyncConnectionConfig, cmd};
use tokio::time::timeout;

use super::inbox::Inbox;
use super::link::{self, Link, OpenError};
use super::{Address, Login, Place, Settings, Tls};

/// The first connection to a master that can be had; otherwise the last reason why not.
pub(super) async fn open(settings: &Settings, inbox: &Arc<Inbox>) -> Result<Link, OpenError> {
    let mut outcome = Err(OpenError::NoAddress);
    match &settings.place {
        Place::Servers(addresses) => {
            for address in addresses {
                outcome = Link::open(address, settings, Arc::clone(inbox)).await;
                if outcome.is_ok() {
                    break;
                }
            }
        }
        // One that was cut off may still name the master of yesterday, so its word is tried before the next is asked.
        Place::Sentinels { sentinels, master, login } => {
            for sentinel in sentinels {
                let asking = ask(sentinel, master, login, settings.tls.as_ref());
                let late = || Err(OpenError::Late { address: sentinel.clone() });
                outcome = match timeout(settings.connect_timeout, asking).await.unwrap_or_else(|_| late()) {
                    Ok(address) => Link::open(&address, settings, Arc::clone(inbox))
                        .await
                        .map(|link| link.named_by(sentinel.clone())),
                    Err(error) => Err(error),
                };
                if outcome.is_ok() {
                    break;
                }
            }
        }
    }
    outcome
}

/// Whether the Sentinel that named this master still does. Until it tells the old one, which takes it seconds, only it
/// knows; one that does not answer has changed nothing.
pub(super) async fn is_still_named(link: &Link, settings: &Settings) -> bool {
    let (Place::Sentinels { master, login, .. }, Some(sentinel)) = (&settings.place, link.sentinel()) else {
        return true;
    };
    let asking = ask(sentinel, master, login, settings.tls.as_ref());
    let named = timeout(settings.connect_timeout, asking).await;
    !matches!(named, Ok(Ok(address)) if address != *link.address())
}

async fn ask(sentinel: &Address, master: &str, login: &Login, tls: Option<&Tls>) -> Result<Address, OpenError> {
    let mut connection = link::connect(sentinel, login, 0, tls, AsyncConnectionConfig::new()).await?;
    let answer: Option<(String, u16)> = cmd("SENTINEL")
        .arg("GET-MASTER-ADDR-BY-NAME")
        .arg(master)
        .query_async(&mut connection)
        .await
        .map_err(|error| link::open_error(sentinel, &error))?;
    let unknown = || OpenError::UnknownMaster { address: sentinel.clone(), master: master.to_owned() };
    answer.map(|(host, port)| Address::Tcp { host, port }).ok_or_else(unknown)
}
