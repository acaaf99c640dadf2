//! Cache: passwords that were verified lately, right or wrong, so that a client that comes every minute costs no hash.
//!
//! An entry carries what the store said when it was verified, and is good for nothing once that has changed; so nothing
//! has to be found and removed when a password changes. What depends on the request is never in an entry.
//!
//! Trusts: itself in nothing: whoever uses an entry asks whether its grant still stands.
//! Fails:  never. What is not remembered is verified.
//! Limits: entries are found by HMAC-SHA-256 under a key that this process drew; neither password nor hash is kept.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gatepost_protocol::Secret;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use moka::sync::Cache as Table;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{Identity, Purpose};
use crate::account::{Credential, CredentialName, Username};
use crate::revocation::{Grant, Position};
use crate::store::LoginRecord;

/// Bytes of a key: what HMAC-SHA-256 takes as it is.
pub const KEY_LENGTH: usize = 64;
/// Passwords that can be waited for while they are verified; beyond that, each attempt hashes for itself.
const TURNS: u64 = 10_000;
/// No attempt is under way for longer.
const LONGEST_TURN: Duration = Duration::from_secs(10);

/// `[cache]` of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Right passwords that are remembered at most, and again as many wrong ones.
    pub entries: u64,
    /// A right password is verified anew after so long, a wrong one after `negative_ttl`.
    pub ttl: Duration,
    pub negative_ttl: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { entries: 100_000, ttl: Duration::from_hours(1), negative_ttl: Duration::from_mins(1) }
    }
}

/// Who a right password belongs to, and as of what.
#[derive(Clone, Debug)]
pub(super) struct Verified {
    pub(super) identity: Identity,
    /// When the password was verified, however often the rest was read anew.
    at: Instant,
}

impl Verified {
    pub(super) fn new(record: &LoginRecord, credential: &Credential, position: Position, at: Instant) -> Self {
        let LoginRecord { account, domain, .. } = record;
        let application = (credential.name != CredentialName::Main).then_some((credential.name, credential.generation));
        let grant = Grant { application, ..Grant::of(account.username.clone(), Some(record), position) };
        let identity = Identity {
            account: account.clone(),
            quota: account.effective_quota(domain.default_quota),
            credential: credential.name,
            generation: account.generation,
            grant,
        };
        Self { identity, at }
    }

    pub(super) fn grant(&self) -> &Grant {
        &self.identity.grant
    }

    /// As the store has it now, if the password is still the one that was verified.
    pub(super) fn renewed(&self, record: &LoginRecord, position: Position) -> Option<Self> {
        let credential = record.credentials.iter().find(|credential| credential.name == self.identity.credential)?;
        let renewed = Self::new(record, credential, position, self.at);
        let same = |grant: &Grant| (grant.generation, grant.application);
        (same(renewed.grant()) == same(self.grant())).then_some(renewed)
    }
}

/// As of what a password was wrong.
#[derive(Clone, Debug)]
pub(super) struct Wrong {
    pub(super) grant: Grant,
    /// When it was replaced, if it is the previous one.
    pub(super) replaced: Option<Timestamp>,
}

/// Stands for one password of one user, given for one purpose.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key([u8; 32]);

/// The passwords that are remembered.
pub struct Cache {
    key: Zeroizing<[u8; KEY_LENGTH]>,
    ttl: Duration,
    right: Table<Key, Arc<Verified>>,
    wrong: Table<Key, Arc<Wrong>>,
    turns: Table<Key, Turn>,
    /// A table without room keeps what it was given for a moment all the same.
    remembers: bool,
}

/// Held by the one that verifies a password; who asks for the same meanwhile waits for it, and finds it remembered.
pub(super) type Turn = Arc<tokio::sync::Mutex<()>>;

impl Cache {
    /// Empty; `key` is random, and for nothing else.
    #[must_use]
    pub fn new(settings: &Settings, key: [u8; KEY_LENGTH]) -> Self {
        Self {
            key: Zeroizing::new(key),
            ttl: settings.ttl,
            right: Table::builder().max_capacity(settings.entries).time_to_live(settings.ttl).build(),
            wrong: Table::builder().max_capacity(settings.entries).time_to_live(settings.negative_ttl).build(),
            turns: Table::builder().max_capacity(TURNS).time_to_live(LONGEST_TURN).build(),
            remembers: settings.entries > 0,
        }
    }

    pub(super) fn key(&self, user: &Username, password: &Secret, purpose: Purpose) -> Key {
        let purpose = match purpose {
            Purpose::Mail => 0,
            Purpose::Account => 1,
        };
        let mac = Hmac::<Sha256>::new(&(*self.key).into())
            .chain_update([purpose])
            .chain_update(user.as_str())
            // No name holds a zero.
            .chain_update([0])
            .chain_update(password.expose())
            .finalize();
        Key(mac.into_bytes().into())
    }

    pub(super) fn turn(&self, key: &Key) -> Turn {
        if self.remembers { self.turns.get_with(*key, Turn::default) } else { Turn::default() }
    }

    pub(super) fn right(&self, key: &Key, now: Instant) -> Option<Arc<Verified>> {
        self.right.get(key).filter(|verified| now.saturating_duration_since(verified.at) < self.ttl)
    }

    pub(super) fn wrong(&self, key: &Key) -> Option<Arc<Wrong>> {
        self.wrong.get(key)
    }

    pub(super) fn remember_right(&self, key: Key, verified: Verified) -> Arc<Verified> {
        let verified = Arc::new(verified);
        if self.remembers {
            self.right.insert(key, Arc::clone(&verified));
        }
        verified
    }

    pub(super) fn remember_wrong(&self, key: Key, wrong: Wrong) {
        if self.remembers {
            self.wrong.insert(key, Arc::new(wrong));
        }
    }

    /// Drops what is remembered of these users, or of all if none is named. How many entries that were, right and wrong,
    /// whether or not they were still good for anything.
    pub(super) fn flush(&self, users: &[Username]) -> u64 {
        let concerned = |user: &Username| users.is_empty() || users.contains(user);
        let right: Vec<Key> =
            self.right.iter().filter(|(_, verified)| concerned(&verified.grant().user)).map(|(key, _)| *key).collect();
        let wrong: Vec<Key> =
            self.wrong.iter().filter(|(_, wrong)| concerned(&wrong.grant.user)).map(|(key, _)| *key).collect();
        right.iter().for_each(|key| self.right.invalidate(key));
        wrong.iter().for_each(|key| self.wrong.invalidate(key));
        u64::try_from(right.len() + wrong.len()).unwrap_or(u64::MAX)
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Cache")
            .field("right", &self.right.entry_count())
            .field("wrong", &self.wrong.entry_count())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{Account, AccountType, Generation, RowNumber, StoredHash};
    use crate::store::Domain;

    fn user(name: &str) -> Username {
        name.parse().expect("a valid name")
    }

    fn wrong(name: &str) -> Wrong {
        let grant = Grant {
            user: user(name),
            generation: Generation(1),
            application: None,
            changed: RowNumber(1),
            domain_changed: RowNumber(1),
            position: Position::default(),
        };
        Wrong { grant, replaced: None }
    }

    fn record(name: &str) -> LoginRecord {
        let (username, generation, changed) = (user(name), Generation(1), RowNumber(1));
        let domain = Domain { name: username.domain(), profile: "default".to_owned(), default_quota: None, changed };
        let main = Credential {
            name: CredentialName::Main,
            hash: StoredHash::new("{PLAIN}a".to_owned()),
            generation,
            known: Default::default(),
        };
        let account = Account {
            username,
            name: None,
            quota: None,
            enabled: true,
            account_type: AccountType::Person,
            main_password_for_mail: true,
            fields: [].into(),
            generation,
            changed,
        };
        LoginRecord { account, domain, credentials: vec![main] }
    }

    fn cache(settings: Settings) -> Cache {
        Cache::new(&settings, [7; KEY_LENGTH])
    }

    fn key(cache: &Cache, name: &str, password: &str) -> Key {
        cache.key(&user(name), &Secret::new(password.as_bytes().to_vec()), Purpose::Mail)
    }

    #[test]
    fn user_password_purpose_and_process_each_make_another_key() {
        let one = cache(Settings::default());
        let ann = user("ann@example.org");
        let secret = |text: &str| Secret::new(text.as_bytes().to_vec());
        let keys = [
            one.key(&ann, &secret("Gate-post-8"), Purpose::Mail),
            one.key(&ann, &secret("Gate-post-9"), Purpose::Mail),
            one.key(&ann, &secret("Gate-post-8"), Purpose::Account),
            one.key(&user("bob@example.org"), &secret("Gate-post-8"), Purpose::Mail),
            Cache::new(&Settings::default(), [8; KEY_LENGTH]).key(&ann, &secret("Gate-post-8"), Purpose::Mail),
        ];
        for (index, key) in keys.iter().enumerate() {
            assert!(keys.iter().skip(index + 1).all(|other| other != key), "{index}");
        }
        assert!(keys.first() == Some(&one.key(&ann, &secret("Gate-post-8"), Purpose::Mail)));
    }

    #[test]
    fn a_flush_drops_what_it_names_and_says_how_much() {
        let cache = cache(Settings::default());
        let remember = |name: &str, password: &str| cache.remember_wrong(key(&cache, name, password), wrong(name));
        for (name, password) in [("ann@example.org", "a"), ("ann@example.org", "b"), ("bob@example.org", "a")] {
            remember(name, password);
        }
        assert_eq!(cache.flush(&[user("ann@example.org"), user("carl@example.org")]), 2);
        assert!(cache.wrong(&key(&cache, "ann@example.org", "a")).is_none());
        assert!(cache.wrong(&key(&cache, "bob@example.org", "a")).is_some());
        assert_eq!(cache.flush(&[]), 1);
        assert!(cache.wrong(&key(&cache, "bob@example.org", "a")).is_none());
    }

    #[test]
    fn a_password_is_verified_anew_in_time_however_often_its_account_was_read() {
        let settings = Settings { ttl: Duration::from_mins(1), ..Settings::default() };
        let (cache, begun) = (cache(settings), Instant::now());
        let (key, record) = (key(&cache, "ann@example.org", "a"), record("ann@example.org"));
        let main = record.credentials.first().expect("a password");
        let mut verified = cache.remember_right(key, Verified::new(&record, main, Position::default(), begun));
        for second in [20, 40, 59] {
            assert!(cache.right(&key, begun + Duration::from_secs(second)).is_some(), "{second}");
            let renewed = verified.renewed(&record, Position::default()).expect("nothing has changed");
            verified = cache.remember_right(key, renewed);
        }
        assert!(cache.right(&key, begun + settings.ttl).is_none());
    }

    #[test]
    fn entries_are_bounded() {
        let cache = cache(Settings { entries: 50, ..Settings::default() });
        for number in 0..1_000 {
            let name = format!("user{number}@example.org");
            cache.remember_wrong(key(&cache, &name, "a"), wrong(&name));
        }
        cache.wrong.run_pending_tasks();
        assert!(cache.wrong.iter().count() <= 50);
    }

    #[test]
    fn without_room_nothing_is_remembered_and_nobody_waits() {
        let cache = cache(Settings { entries: 0, ..Settings::default() });
        let key = key(&cache, "ann@example.org", "a");
        cache.remember_wrong(key, wrong("ann@example.org"));
        assert!(cache.wrong(&key).is_none());
        let (first, second) = (cache.turn(&key), cache.turn(&key));
        let _taken = first.try_lock().expect("nobody has it");
        assert!(second.try_lock().is_ok());
    }

    #[test]
    fn a_cache_shows_nothing_it_holds() {
        let cache = cache(Settings::default());
        cache.remember_wrong(key(&cache, "ann@example.org", "Gate-post-8"), wrong("ann@example.org"));
        let shown = format!("{cache:?}");
        assert!(!shown.contains("ann") && !shown.contains('7'), "{shown}");
    }
}
