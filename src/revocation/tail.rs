//! The tail: what this process knows of the newest rows of the change log.
//!
//! Of every subject it keeps the newest number, so that a grant is held against it without asking the store. Own commits
//! are in it before they are acknowledged; those of other processes come with each reading of the log, and messages only
//! hurry them. Pure: no lock, no clock.
//!
//! Trusts: the log. A message is hearsay: it can make a grant look outdated, which sends whoever asks to the store, and
//!         can never make one current.
//! Fails:  to the safe side. What was forgotten, is being committed, or may have been, is [`Standing::Unknown`].
//! Limits: [`Bounds`]. When a subject is forgotten, every grant from before it was learned becomes unknown.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::clock::BootTime;
use crate::account::{CredentialName, Generation, Username};
use crate::store::{EVERYONE, LoginRecord, Row, RowNumber};

/// A tail that was read longer ago is not trusted.
pub const FRESH: Duration = Duration::from_secs(3);
/// A writing transaction is ended long before this: rows may become visible so much later than higher numbers.
pub const OVERLAP: Duration = Duration::from_secs(10);
/// Subjects whose commits came to no known end; above that, everything is in doubt.
const DOUBTS: usize = 10_000;

/// Who else writes to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Nobody: what this process did not commit did not happen.
    Sole,
    /// Other processes, whose commits are known after the next reading.
    Shared,
}

/// What is kept at most.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub subjects: usize,
    /// Nothing that was granted is honoured for longer, so a number that is older has no grant left to outdate.
    pub lifetime: Duration,
}

/// A point in the order in which this process learned things. Means nothing to any other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(u64);

/// What was granted remembers what the store said then. A number of 0 stands for what was not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub user: Username,
    pub generation: Generation,
    /// The application password that it was granted to, and that one's own generation.
    pub application: Option<(CredentialName, Generation)>,
    /// The newest row of any kind about the account, and about its domain.
    pub changed: RowNumber,
    pub domain_changed: RowNumber,
    /// The tail's, from before the store was asked.
    pub position: Position,
}

impl Grant {
    /// As of what was read of `user`, if there was anything, after the tail was at `position`.
    #[must_use]
    pub fn of(user: Username, record: Option<&LoginRecord>, position: Position) -> Self {
        let number = |read: fn(&LoginRecord) -> u64| record.map_or(0, read);
        Self {
            user,
            generation: Generation(number(|record| record.account.generation.0)),
            application: None,
            changed: RowNumber(number(|record| record.account.changed.0)),
            domain_changed: RowNumber(number(|record| record.domain.changed.0)),
            position,
        }
    }
}

/// How a grant stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing of it has changed.
    Current,
    /// Something has, or is said to have: the store knows.
    Outdated,
    /// Nothing is known to have changed, but the log was not read for too long.
    Stale,
    /// Only the store can say.
    Unknown,
}

/// The newest numbers of every subject that changed lately.
#[derive(Debug)]
pub struct Tail {
    sharing: Sharing,
    bounds: Bounds,
    /// By subject as it stands in the log, and by `USER/ID` for an application password.
    known: HashMap<Arc<str>, Known>,
    /// The same subjects, first learned first.
    learned: BTreeMap<Position, Arc<str>>,
    position: Position,
    /// What was granted before it may have been outdated by something forgotten.
    floor: Position,
    under_way: HashMap<String, UnderWay>,
    following: Following,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    generation: u64,
    changed: u64,
    position: Position,
    at: BootTime,
}

/// Commits of a subject whose end is not known.
#[derive(Clone, Copy, Debug, Default)]
struct UnderWay {
    commits: usize,
    /// One ended so that nobody knows whether it took place.
    doubted: Option<BootTime>,
}

#[derive(Clone, Copy, Debug)]
enum Following {
    NotYet,
    /// Rows that were on their way at the beginning may still appear below what is read.
    Since(BootTime),
    /// The last complete reading was sent then.
    ReadAt(BootTime),
}

impl Tail {
    #[must_use]
    pub fn new(sharing: Sharing, bounds: Bounds) -> Self {
        Self {
            sharing,
            bounds,
            known: HashMap::new(),
            learned: BTreeMap::new(),
            position: Position::default(),
            floor: Position::default(),
            under_way: HashMap::new(),
            following: Following::NotYet,
        }
    }

    #[must_use]
    pub fn sharing(&self) -> Sharing {
        self.sharing
    }

    /// To be taken before the store is asked, for the [`Grant`] that comes of its answer.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// How a grant stands at `now`.
    #[must_use]
    pub fn standing(&self, grant: &Grant, now: BootTime) -> Standing {
        let user = grant.user.as_str();
        let domain = user.rsplit_once('@').map_or("", |(_, domain)| domain);
        let generation = |subject: &str| self.known.get(subject).map_or(0, |known| known.generation);
        let changed = |subject: &str| self.known.get(subject).map_or(0, |known| known.changed);
        let own = |(name, own): (CredentialName, Generation)| generation(&subject_of(user, name)) > own.0;
        if generation(user).max(generation(EVERYONE)) > grant.generation.0
            || changed(user) > grant.changed.0
            || changed(domain) > grant.domain_changed.0
            || grant.application.is_some_and(own)
        {
            return Standing::Outdated;
        }
        let in_doubt = [user, domain, EVERYONE].into_iter().any(|subject| self.under_way.contains_key(subject));
        if in_doubt || grant.position < self.floor {
            return Standing::Unknown;
        }
        match (self.sharing, self.following) {
            (Sharing::Sole, _) => Standing::Current,
            (Sharing::Shared, Following::ReadAt(sent)) if now.since(sent) <= FRESH => Standing::Current,
            (Sharing::Shared, _) => Standing::Stale,
        }
    }

    /// A commit is about to begin: until its end is known, its subject is nobody's to judge but the store's.
    pub fn begin(&mut self, subject: &str) {
        self.under_way.entry(subject.to_owned()).or_default().commits += 1;
    }

    /// It took place: `raised` is its last row that raised a generation, `changed` its last.
    pub fn enter(
        &mut self,
        subject: &str,
        credential: CredentialName,
        raised: Option<RowNumber>,
        changed: RowNumber,
        now: BootTime,
    ) {
        self.learn(subject, credential, raised, changed, now);
        self.end(subject, None);
    }

    /// It did not take place.
    pub fn abandon(&mut self, subject: &str) {
        self.end(subject, None);
    }

    /// Nobody knows whether it did, until the log has been read after `now`.
    pub fn doubt(&mut self, subject: &str, now: BootTime) {
        self.end(subject, Some(now));
        if self.under_way.len() > DOUBTS {
            self.under_way.retain(|_, under_way| under_way.commits > 0);
            self.under_way.entry(EVERYONE.to_owned()).or_default().doubted = Some(now);
        }
    }

    /// A message says that a generation was raised.
    pub fn heard(&mut self, user: &str, credential: CredentialName, generation: Generation, now: BootTime) {
        let row = RowNumber(generation.0);
        self.learn(user, credential, Some(row), row, now);
    }

    /// Following begins: at `now` it was already known where the log ends. Who shares the store trusts the tail only
    /// once it has been followed for the overlap.
    pub fn follow(&mut self, now: BootTime) {
        if self.sharing == Sharing::Shared {
            self.following = Following::Since(now);
        }
    }

    /// Rows of the log, in whatever order, however often.
    pub fn read(&mut self, rows: &[Row], now: BootTime) {
        for row in rows {
            let raised = row.kind.raises_generation().then_some(row.number);
            self.learn(&row.subject, row.credential.unwrap_or(CredentialName::Main), raised, row.number, now);
        }
    }

    /// All rows have been read that could be seen at `sent`, when the store was asked.
    pub fn complete(&mut self, sent: BootTime, now: BootTime) {
        let settled = match self.sharing {
            Sharing::Sole => Duration::ZERO,
            Sharing::Shared => OVERLAP,
        };
        self.under_way.retain(|_, under_way| {
            under_way.doubted = under_way.doubted.filter(|doubted| sent.0 < doubted.0 + settled);
            under_way.commits > 0 || under_way.doubted.is_some()
        });
        match self.following {
            Following::ReadAt(before) => self.following = Following::ReadAt(before.max(sent)),
            Following::Since(beginning) if sent.0 >= beginning.0 + OVERLAP => {
                // What was granted until here may lack a row that appeared below what has been read.
                self.position.0 += 1;
                self.floor = self.position;
                self.following = Following::ReadAt(sent);
            }
            Following::Since(_) | Following::NotYet => {}
        }
        self.forget(now);
    }

    fn learn(
        &mut self,
        subject: &str,
        credential: CredentialName,
        raised: Option<RowNumber>,
        changed: RowNumber,
        now: BootTime,
    ) {
        let subject = subject_of(subject, credential);
        let raised = raised.map_or(0, |row| row.0);
        let known = self.known.get(&*subject).copied();
        if known.is_some_and(|known| known.generation >= raised && known.changed >= changed.0) {
            return;
        }
        let name = match known.and_then(|known| self.learned.remove(&known.position)) {
            Some(name) => name,
            None => Arc::from(&*subject),
        };
        self.position.0 += 1;
        let newest = Known {
            generation: known.map_or(0, |known| known.generation).max(raised),
            changed: known.map_or(0, |known| known.changed).max(changed.0),
            position: self.position,
            at: now,
        };
        self.known.insert(Arc::clone(&name), newest);
        self.learned.insert(self.position, name);
        self.forget(now);
    }

    fn forget(&mut self, now: BootTime) {
        while let Some(oldest) = self.learned.first_entry() {
            let aged = self.known.get(oldest.get()).is_none_or(|known| now.since(known.at) > self.bounds.lifetime);
            if !aged && self.known.len() <= self.bounds.subjects {
                return;
            }
            let (position, subject) = oldest.remove_entry();
            self.known.remove(&subject);
            self.floor = self.floor.max(position);
        }
    }

    fn end(&mut self, subject: &str, doubted: Option<BootTime>) {
        let Some(under_way) = self.under_way.get_mut(subject) else { return };
        under_way.commits = under_way.commits.saturating_sub(1);
        under_way.doubted = under_way.doubted.max(doubted);
        if under_way.commits == 0 && under_way.doubted.is_none() {
            self.under_way.remove(subject);
        }
    }
}

/// An application password has numbers of its own. No name holds a slash.
fn subject_of(subject: &str, credential: CredentialName) -> Cow<'_, str> {
    match credential {
        CredentialName::Main => Cow::Borrowed(subject),
        CredentialName::Application(number) => Cow::Owned(format!("{subject}/{number}")),
    }
}
