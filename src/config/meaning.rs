//! From the file as written to what it means, with everything that cannot be meant.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::thread::available_parallelism;
use std::time::Duration;

use super::{Config, DEFAULT_POLICY, Endpoint, Fixed, Listener, Live, dovecot, listener, raw, redis, users};
use crate::authenticate::cache;
use crate::hash_pool;
use crate::password::policy::{PASSWORD_LIMIT, Policy};
use crate::password::{Ceilings, Cost, STRONGEST};
use crate::revocation;
use crate::sessions::kick;
use crate::store::dict::DictBounds;
use crate::throttle;
use crate::userdb::{self, Template};

/// A login takes four seconds at most, for some clients give up at five; what is left is for verifying.
const LONGEST_FAILURE_DELAY: Duration = Duration::from_secs(3);
/// Failures are kept in memory only, and a clock cannot count for ever.
const LONGEST_WINDOW: Duration = Duration::from_hours(7 * 24);
/// An account's changes are remembered for as long, so an older entry could only be compared with the store.
const LONGEST_TTL: Duration = revocation::LIFETIME;
/// Room for it is made at the start.
const LONGEST_QUEUE: usize = 1_000_000;
/// What a thread hashes in three seconds at the default cost, so that who waits longest is still answered.
const QUEUE_PER_THREAD: usize = 100;

/// What is wrong, under the path of its key.
#[derive(Debug, Default)]
pub(super) struct Complaints(Vec<(Vec<String>, String)>);

impl Complaints {
    fn add(&mut self, key: &[&str], text: impl Into<String>) {
        self.0.push((key.iter().map(|part| (*part).to_owned()).collect(), text.into()));
    }

    pub(super) fn into_inner(self) -> Vec<(Vec<String>, String)> {
        self.0
    }
}

pub(super) fn of(written: &raw::File) -> (Config, Complaints) {
    let mut complaints = Complaints::default();
    if written.store.path.as_os_str().is_empty() {
        complaints.add(&["store", "path"], "is empty; name the SQLite file");
    }
    let fixed = Fixed {
        store_path: written.store.path.clone(),
        listeners: listeners(&written.listen, &mut complaints),
        hash: hash(&written.hash, &mut complaints),
        cache: cache(&written.cache, &mut complaints),
        fingerprint_key: written.previous_password.key_file.clone(),
        dovecots: dovecots(&written.dovecot, &mut complaints),
        redis: redis(&written.redis, &mut complaints),
        log_format: written.log.format,
    };
    let live = Live {
        default_domain: written.default_domain.clone(),
        throttle: throttle(&written.throttle, &mut complaints),
        previous_password_kept: written.previous_password.kept.0,
        userdb: userdb(&written.userdb, &mut complaints),
        dict: dict(&written.dict, &mut complaints),
        recipient_delimiter: recipient_delimiter(&written.socketmap, &mut complaints),
        policies: policies(&written.policy, &mut complaints),
        log_level: written.log.level,
    };
    (Config { fixed, live }, complaints)
}

fn listeners(written: &BTreeMap<String, raw::Listen>, complaints: &mut Complaints) -> Vec<Listener> {
    let mut listeners = listener::built_in();
    for (name, listen) in written {
        let mut found = Vec::new();
        let built_in = listeners.remove(name);
        let resolved = listener::resolve(name, listen, built_in.as_ref(), &mut found);
        listeners.extend(resolved.map(|listener| (name.clone(), listener)));
        for (key, text) in found {
            complaints.add(&["listen", name, key], text);
        }
    }
    let listeners: Vec<Listener> = listeners.into_values().collect();
    for (index, later) in listeners.iter().enumerate() {
        let earlier = listeners.iter().take(index).find(|earlier| clash(earlier, later));
        if let Some(earlier) = earlier {
            // A built-in one is not in the file, so the complaint goes to the other.
            let (named, other) = if written.contains_key(&later.name) { (later, earlier) } else { (earlier, later) };
            let text = format!("[listen.{}] listens there too; give each a place of its own", other.name);
            complaints.add(&["listen", &named.name], text);
        }
    }
    listeners
}

fn clash(one: &Listener, other: &Listener) -> bool {
    match (&one.endpoint, &other.endpoint) {
        (Some(Endpoint::Unix { path, .. }), Some(Endpoint::Unix { path: other, .. })) => path == other,
        (Some(Endpoint::Tcp(address)), Some(Endpoint::Tcp(other))) => address == other && address.port() != 0,
        _ => false,
    }
}

fn hash(written: &raw::Hash, complaints: &mut Complaints) -> hash_pool::Settings {
    let ceilings = Ceilings { memory_kib: written.ceiling_memory_kib, time: written.ceiling_time.0 };
    let cost = Cost::new(written.memory_kib, written.iterations, written.parallelism).unwrap_or_else(|error| {
        complaints.add(&["hash"], format!("`memory_kib`, `iterations`, `parallelism`: {error}"));
        Cost::default()
    });
    if !ceilings.allow(&cost) {
        let text = "new hashes would be above `ceiling_memory_kib` or `ceiling_time` and could never be verified; \
                    raise the ceiling, or lower `memory_kib` or `iterations`";
        complaints.add(&["hash"], text);
    }
    let threads = written.threads.map_or_else(one_a_core, |threads| {
        NonZero::new(threads).unwrap_or_else(|| {
            complaints.add(&["hash", "threads"], "must be at least 1; leave it out for one thread a core");
            one_a_core()
        })
    });
    let queue = written.queue.unwrap_or_else(|| threads.get().saturating_mul(QUEUE_PER_THREAD));
    if queue > LONGEST_QUEUE {
        complaints
            .add(&["hash", "queue"], format!("is more than {LONGEST_QUEUE}, of which none would be reached in time"));
    }
    hash_pool::Settings { threads, queue: at_least_one(&["hash", "queue"], queue, complaints), cost, ceilings }
}

fn dovecots(written: &BTreeMap<String, raw::Dovecot>, complaints: &mut Complaints) -> Vec<kick::Settings> {
    let mut dovecots = Vec::new();
    for (name, dovecot) in written {
        let mut found = Vec::new();
        dovecots.extend(dovecot::resolve(name, dovecot, &mut found));
        for (key, text) in found {
            complaints.add(&["dovecot", name, key], text);
        }
    }
    dovecots
}

fn one_a_core() -> NonZero<usize> {
    available_parallelism().unwrap_or(NonZero::<usize>::MIN)
}

fn redis(written: &raw::Redis, complaints: &mut Complaints) -> Option<revocation::redis::Settings> {
    let mut found = Vec::new();
    let settings = redis::resolve(written, &mut found);
    for (key, text) in found {
        complaints.add(&["redis", key], text);
    }
    settings
}

fn cache(written: &raw::Cache, complaints: &mut Complaints) -> cache::Settings {
    for (key, period) in [("ttl", &written.ttl), ("negative_ttl", &written.negative_ttl)] {
        if period.0 > LONGEST_TTL {
            complaints.add(&["cache", key], "is longer than \"24 h\"; write less, like \"1 h\"");
        }
    }
    cache::Settings { entries: written.entries, ttl: written.ttl.0, negative_ttl: written.negative_ttl.0 }
}

fn throttle(written: &raw::Throttle, complaints: &mut Complaints) -> throttle::Settings {
    if written.failure_delay.0 > LONGEST_FAILURE_DELAY {
        let text = "is longer than \"3 s\"; mail clients and Postfix would give up before the answer";
        complaints.add(&["throttle", "failure_delay"], text);
    }
    if written.window.0.is_zero() {
        complaints.add(&["throttle", "window"], "must be longer than nothing, like \"10 min\"");
    }
    if written.window.0 > LONGEST_WINDOW {
        complaints.add(&["throttle", "window"], "is longer than \"168 h\"; write less, like \"10 min\"");
    }
    throttle::Settings {
        failure_delay: written.failure_delay.0,
        failures: at_least_one(&["throttle", "failures"], written.failures, complaints),
        window: written.window.0,
        entries: at_least_one(&["throttle", "entries"], written.entries, complaints),
        trusted_networks: written.trusted_networks.iter().map(|network| network.0).collect(),
    }
}

fn userdb(written: &raw::Userdb, complaints: &mut Complaints) -> Template {
    let mut common = written.fields.clone();
    for key in ["uid", "gid", "home"] {
        if common.contains_key(key) {
            complaints.add(&["userdb", "fields", key], format!("belongs directly below [userdb], as `{key} = …`"));
        }
    }
    for (key, found) in [("uid", written.uid.as_ref().map(users::uid)), ("gid", written.gid.as_ref().map(users::gid))] {
        match found {
            Some(Ok(0)) if key == "uid" => {
                complaints.add(&["userdb", key], "is root, which Dovecot refuses; name the user that owns the mail");
            }
            Some(Ok(number)) => {
                common.insert(key.to_owned(), number.to_string());
            }
            Some(Err(text)) => complaints.add(&["userdb", key], text),
            None => {}
        }
    }
    common.extend(written.home.clone().map(|home| ("home".to_owned(), home)));
    for (table, fields) in [
        ("", &common),
        ("fields", &written.fields),
        ("dovecot_23", &written.dovecot_23),
        ("dovecot_24", &written.dovecot_24),
    ] {
        for (key, value) in fields {
            // What of `common` comes from `fields` is reported there.
            let own = table.is_empty() && written.fields.contains_key(key);
            if let Some(variable) = unknown_variable(value).filter(|_| !own) {
                let path = ["userdb", table, key].map(str::to_owned).into_iter().filter(|part| !part.is_empty());
                let text = format!("{variable:?} is no variable here; there are {}", userdb::VARIABLES);
                complaints.0.push((path.collect(), text));
            }
        }
    }
    Template { common, dovecot_23: written.dovecot_23.clone(), dovecot_24: written.dovecot_24.clone() }
}

/// The first `%…` of a template that would not be expanded.
fn unknown_variable(template: &str) -> Option<String> {
    let mut rest = template;
    while let Some((_, after)) = rest.split_once('%') {
        let (variable, tail) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some((inner, tail)) => (format!("{{{}}}", inner.replace(' ', "")), tail),
            None => {
                let (short, tail) = after.split_at_checked(1).unwrap_or((after, ""));
                (short.to_owned(), tail)
            }
        };
        if !["{user}", "{user|username}", "{user|domain}", "u", "n", "d", "%"].contains(&variable.as_str()) {
            return Some(format!("%{variable}"));
        }
        rest = tail;
    }
    None
}

fn dict(written: &raw::Dict, complaints: &mut Complaints) -> DictBounds {
    DictBounds {
        key: at_least_one(&["dict", "key"], written.key, complaints),
        value: at_least_one(&["dict", "value"], written.value, complaints),
        keys: written.keys,
    }
}

fn recipient_delimiter(written: &raw::Socketmap, complaints: &mut Complaints) -> String {
    let usable = |character: char| character.is_ascii_punctuation() && !"@.%".contains(character);
    if !written.recipient_delimiter.chars().all(usable) {
        let text = "may hold ASCII punctuation except @ . and %, like Postfix's `recipient_delimiter`";
        complaints.add(&["socketmap", "recipient_delimiter"], text);
    }
    written.recipient_delimiter.clone()
}

fn policies(written: &BTreeMap<String, Policy>, complaints: &mut Complaints) -> BTreeMap<String, Policy> {
    let mut policies = BTreeMap::from([(DEFAULT_POLICY.to_owned(), Policy::default())]);
    for (name, profile) in written {
        if !(1..=PASSWORD_LIMIT).contains(&profile.min_length) {
            let text = format!("is not between 1 and {PASSWORD_LIMIT}, the length of the longest password");
            complaints.add(&["policy", name, "min_length"], text);
        }
        if profile.min_strength > STRONGEST {
            let text = format!("is not between 0, which asks for nothing, and {STRONGEST}");
            complaints.add(&["policy", name, "min_strength"], text);
        }
        policies.insert(name.clone(), profile.clone());
    }
    policies
}

fn at_least_one<N: PartialEq + From<bool>>(key: &[&str], number: N, complaints: &mut Complaints) -> N {
    if number == N::from(false) {
        complaints.add(key, "must be at least 1");
    }
    number
}
