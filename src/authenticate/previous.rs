//! Previous: the password that was replaced some days ago, tried again by a device that has not heard of the new one.
//!
//! It is refused like any other that is wrong, after the same delay. It is only not counted against a network from
//! which the account was used before the change: an office is not shut out for one telephone in a drawer.
//!
//! Trusts: the list of clients, for where an account was used from.
//! Fails:  never; what cannot be read excuses nobody.
//! Limits: of several passwords replaced in a row only the last is known. One wrong guess in 16 million is taken for it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use gatepost_protocol::Secret;
use jiff::{SignedDuration, Timestamp};

use super::Attempt;
use crate::account::{CredentialName, Network, Origin, Username};
use crate::password::fingerprint::FingerprintKey;
use crate::store::{Client, LoginRecord, Store};

#[derive(Debug)]
pub(super) struct Previous {
    store: Arc<dyn Store>,
    key: Arc<FingerprintKey>,
}

impl Previous {
    pub(super) fn new(store: Arc<dyn Store>, key: Arc<FingerprintKey>) -> Self {
        Self { store, key }
    }

    /// When a password that is wrong now was replaced, if it is the previous one.
    pub(super) fn replaced(&self, record: &LoginRecord, password: &Secret) -> Option<Timestamp> {
        let main = record.credentials.iter().find(|credential| credential.name == CredentialName::Main)?;
        let replaced = main.known.previous.as_ref()?;
        let is_previous = self.key.fingerprint(&record.account.username, password) == replaced.fingerprint;
        is_previous.then_some(replaced.at)
    }

    /// Whether the previous password was replaced at most `kept` ago, and is tried from where it was used.
    pub(super) async fn is_excused(
        &self,
        user: &Username,
        replaced: Timestamp,
        attempt: &Attempt,
        kept: Duration,
    ) -> bool {
        if is_over(replaced, kept, attempt.at) {
            return false;
        }
        let network = Network::of(attempt.origin);
        match self.store.clients(user).await {
            Ok(clients) => clients.iter().any(|client| used_from(client, network, replaced)),
            Err(error) => {
                tracing::debug!(%user, %error, "not known from where the previous password was used");
                false
            }
        }
    }
}

fn is_over(replaced: Timestamp, kept: Duration, now: Timestamp) -> bool {
    SignedDuration::try_from(kept).is_ok_and(|kept| now.duration_since(replaced) > kept)
}

/// A mail program that logged in from there, with the main password, before it was replaced.
fn used_from(client: &Client, network: Network, replaced: Timestamp) -> bool {
    client.credential == Some(CredentialName::Main)
        && client.first_seen <= replaced
        && origin_of(&client.origin).is_some_and(|origin| Network::of(origin) == network)
}

/// As [`Origin`] was written.
fn origin_of(text: &str) -> Option<Origin> {
    let address = || text.parse::<IpAddr>().ok().map(Origin::Address);
    text.strip_prefix("local:").map_or_else(address, |uid| uid.parse().ok().map(Origin::Local))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn client(origin: &str, credential: Option<CredentialName>, first_seen: i64) -> Client {
        Client {
            id: 1,
            kind: "imap".to_owned(),
            credential,
            origin: origin.to_owned(),
            user_agent: None,
            session: None,
            first_seen: at(first_seen),
            last_seen: at(first_seen),
            logins: 1,
        }
    }

    #[test]
    fn a_network_is_one_from_which_the_password_was_used_before_it_was_replaced() {
        let main = Some(CredentialName::Main);
        let cases = [
            (client("192.0.2.7", main, 10), "192.0.2.7", true),
            (client("192.0.2.7", main, 10), "192.0.2.8", false),
            (client("192.0.2.7", main, 30), "192.0.2.7", false),
            (client("192.0.2.7", Some(CredentialName::Application(1)), 10), "192.0.2.7", false),
            (client("192.0.2.7", None, 10), "192.0.2.7", false),
            (client("2001:db8:1:2::7", main, 10), "2001:db8:1:2::8", true),
            (client("local:1000", main, 10), "local:1000", true),
            (client("local:1000", main, 10), "local:1001", false),
            (client("local:", main, 10), "local:0", false),
        ];
        for (client, from, known) in cases {
            let network = Network::of(origin_of(from).expect("an origin"));
            assert_eq!(used_from(&client, network, at(20)), known, "{client:?} from {from}");
        }
    }

    #[test]
    fn it_is_over_after_its_time_and_nothing_is_kept_for_none() {
        let day = Duration::from_hours(24);
        assert!(!is_over(at(0), day, at(86_400)));
        assert!(is_over(at(0), day, at(86_401)));
        assert!(is_over(at(0), Duration::ZERO, at(1)));
    }
}
