//! What a file says, what it may not say, and what the operator is told then.

use super::*;
use crate::revocation::redis::{Address, Login, Place};

fn parse(document: &str) -> Result<Config, ConfigError> {
    Config::parse(document, Path::new("gatepost.toml"))
}

fn listener<'a>(config: &'a Config, name: &str) -> &'a Listener {
    config.fixed.listeners.iter().find(|listener| listener.name == name).expect("a listener of that name")
}

fn unix(path: &str, mode: u32) -> Option<Endpoint> {
    Some(Endpoint::Unix { path: PathBuf::from(path), mode: Mode(mode), owner: None, group: None })
}

#[test]
fn an_empty_file_is_the_built_in_default() {
    assert_eq!(parse("").expect("valid"), Config::embedded());
}

#[test]
fn the_built_in_default_is_below_one_directory_and_on_loopback() {
    let config = Config::embedded();
    assert_eq!(config.fixed.store_path, Path::new("gatepost-data/gatepost.db"));
    let endpoints: Vec<_> = config.fixed.listeners.iter().map(|found| (found.name.as_str(), &found.endpoint)).collect();
    let address = |text: &str| Some(Endpoint::Tcp(text.parse().expect("an address")));
    let expected = [
        ("admin", unix("gatepost-data/run/admin", 0o600)),
        ("auth", unix("gatepost-data/run/auth", 0o666)),
        ("dict", unix("gatepost-data/run/dict", 0o600)),
        ("http", address("127.0.0.1:8106")),
        ("login", unix("gatepost-data/run/login", 0o666)),
        ("master", unix("gatepost-data/run/master", 0o600)),
        ("poppassd", address("127.0.0.1:1106")),
        ("socketmap", unix("gatepost-data/run/socketmap", 0o666)),
        ("status", address("127.0.0.1:8107")),
        ("userdb", unix("gatepost-data/run/userdb", 0o666)),
    ];
    assert_eq!(endpoints, expected.iter().map(|(name, endpoint)| (*name, endpoint)).collect::<Vec<_>>());
    assert!(listener(&config, "dict").credentials);
}

#[test]
fn what_a_file_does_not_name_keeps_its_default() {
    let config = parse("[throttle]\nfailures = 7\n[listen.auth]\ntrust = [1234]\n").expect("valid");
    let mut expected = Config::embedded();
    expected.live.throttle.failures = 7;
    for listener in &mut expected.fixed.listeners {
        if listener.name == "auth" {
            listener.trust = [1234].into();
        }
    }
    assert_eq!(config, expected);
}

#[test]
fn a_listener_of_any_name_has_the_modes_of_its_protocol() {
    let cases = [
        ("[listen.postfix]\nprotocol = 'auth'\npath = '/p'", "postfix", unix("/p", 0o660)),
        ("[listen.auth]\npath = '/p'", "auth", unix("/p", 0o660)),
        ("[listen.auth]\npath = '/p'\nmode = '0600'", "auth", unix("/p", 0o600)),
        ("[listen.m]\nprotocol = 'master'\npath = '/p'", "m", unix("/p", 0o600)),
        ("[listen.u]\nprotocol = 'userdb'\npath = '/p'", "u", unix("/p", 0o666)),
        ("[listen.d]\nprotocol = 'dict'\npath = '/p'", "d", unix("/p", 0o660)),
        ("[listen.d]\nprotocol = 'dict'\npath = '/p'\ncredentials = true", "d", unix("/p", 0o600)),
        ("[listen.dict]\npath = '/p'", "dict", unix("/p", 0o600)),
        ("[listen.dict]\ncredentials = false", "dict", unix("gatepost-data/run/dict", 0o660)),
        ("[listen.handed]\nprotocol = 'auth'", "handed", None),
    ];
    for (document, name, endpoint) in cases {
        assert_eq!(listener(&parse(document).expect(document), name).endpoint, endpoint, "{document}");
    }
}

#[test]
fn a_listener_can_be_switched_off() {
    let config = parse("[listen.http]\nenabled = false\n").expect("valid");
    assert!(config.fixed.listeners.iter().all(|listener| listener.name != "http"));
}

#[test]
fn only_a_dict_hands_out_hashes_by_default_and_only_to_its_owner() {
    let config = parse("[listen.second]\nprotocol = 'dict'\npath = '/p'\n").expect("valid");
    assert!(!listener(&config, "second").credentials);
}

#[test]
fn owner_and_trust_are_numbers_once_read() {
    let config = parse("[listen.auth]\nowner = 'root'\ngroup = 'root'\ntrust = ['root', 7]\n").expect("valid");
    let auth = listener(&config, "auth");
    assert!(matches!(auth.endpoint, Some(Endpoint::Unix { owner: Some(0), group: Some(0), .. })));
    assert_eq!(auth.trust, [0, 7].into());
}

#[test]
fn root_and_ourselves_are_trusted_by_default() {
    for listener in Config::embedded().fixed.listeners {
        assert!(listener.trust.contains(&0) && listener.trust.contains(&users::own_uid()), "{}", listener.name);
    }
}

#[test]
fn userdb_fields_come_together() {
    let document = "[userdb]\nuid = 5000\ngid = 'root'\nhome = '/srv/%d/%n'\n[userdb.fields]\nnice = '5'\n\
                    [userdb.dovecot_24]\nmail_path = '%{user | username}'\n";
    let userdb = parse(document).expect("valid").live.userdb;
    let pairs = |map: BTreeMap<String, String>| map.into_iter().collect::<Vec<_>>();
    let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    let common = [("gid", "0"), ("home", "/srv/%d/%n"), ("nice", "5"), ("uid", "5000")];
    assert_eq!(pairs(userdb.common), common.map(owned));
    assert_eq!(pairs(userdb.dovecot_24), [("mail_path", "%{user | username}")].map(owned));
}

#[test]
fn a_named_policy_differs_only_where_it_says_so() {
    let policies = parse("[policy.relaxed]\nspecial = false\n").expect("valid").live.policies;
    let default = policies.get(DEFAULT_POLICY).expect("always there");
    assert_eq!(policies.get("relaxed"), Some(&Policy { special: false, ..default.clone() }));
}

#[test]
fn an_address_is_a_network_of_its_own() {
    let document = "[throttle]\ntrusted_networks = ['192.0.2.10', '2001:db8::7', '198.51.100.0/24']";
    let networks = parse(document).expect("valid").live.throttle.trusted_networks;
    let expected = ["192.0.2.10/32", "2001:db8::7/128", "198.51.100.0/24"];
    assert_eq!(networks, expected.map(|text| text.parse().expect("a network")));
}

#[test]
fn poppassd_leaves_loopback_only_where_that_is_said_to_be_safe() {
    for (address, cleartext, allowed) in [
        ("127.0.0.1:106", false, true),
        ("127.8.9.1:106", false, true),
        ("[::1]:106", false, true),
        ("[::ffff:127.0.0.1]:106", false, true),
        ("0.0.0.0:106", false, false),
        ("[::]:106", false, false),
        ("192.0.2.1:106", false, false),
        ("192.0.2.1:106", true, true),
    ] {
        let document = format!("[listen.poppassd]\naddress = '{address}'\ncleartext = {cleartext}\n");
        assert_eq!(parse(&document).is_ok(), allowed, "{document}");
    }
}

#[test]
fn a_dovecot_is_reached_with_its_key_which_is_not_shown() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "from-a-file\nand more\n").expect("it can be written");
    let document = format!(
        "[dovecot.imap2]\nurl = 'https://imap2.example.org:8443'\napi_key_file = '{}'\ntimeout = '5 s'\n\
         [dovecot.imap1]\nurl = 'unix:/run/dovecot/http'\napi_key = 'marker-key'\nflush_cache = true\n",
        file.path().display(),
    );
    let config = parse(&document).expect("valid");
    let found: Vec<_> =
        config.fixed.dovecots.iter().map(|dovecot| (dovecot.name.as_str(), dovecot.key.expose())).collect();
    assert_eq!(found, [("imap1", "marker-key"), ("imap2", "from-a-file")]);
    assert!(config.fixed.dovecots[0].flush_cache && !config.fixed.dovecots[1].flush_cache);
    assert!(!format!("{config:?}").contains("marker-key"));
}

#[test]
fn every_mistake_names_its_line_its_key_and_the_remedy() {
    let long = format!("[listen.auth]\npath = '/{}'", "x".repeat(107));
    let cases: &[(&str, &str)] = &[
        ("x = 1", "1: x: unknown field `x`, expected one of `default_domain`, `store`, `listen`"),
        ("\n[store]\npth = 'x'", "3: store.pth: unknown field `pth`, expected `path`"),
        ("[listen.auth]\nmod = '0600'", "2: listen.auth.mod: unknown field `mod`"),
        ("[store]\npath = 3", "2: store.path: invalid type: integer `3`"),
        ("[store]\npath = ''", "2: store.path: is empty; name the SQLite file"),
        ("[store\n", "1: unclosed table"),
        ("default_domain = 'exa mple'", "1: default_domain: has a domain that is not a valid domain name"),
        (
            "[listen.auth]\nmode = 'rw'",
            "2: listen.auth.mode: \"rw\" is not a file mode; write it in octal, like \"0660\"",
        ),
        ("[listen.auth]\nmode = 0o660", "2: listen.auth.mode: invalid type: integer `432`, expected a string"),
        ("[listen.auth]\nprotocol = 'imap'", "2: listen.auth.protocol: unknown variant `imap`"),
        (
            "[listen.imap]\npath = '/p'",
            "1: listen.imap: \"imap\" is not a protocol; say with `protocol` what is spoken",
        ),
        ("[listen.policy]\npath = '/p'", "1: listen.policy.protocol: policy is not available in this version; remove"),
        (
            "[listen.poppassd]\naddress = '[::]:106'",
            "2: listen.poppassd.address: poppassd has no TLS; use 127.0.0.1, or",
        ),
        ("[listen.http]\ncleartext = true", "2: listen.http.cleartext: only a poppassd listener needs to be told so"),
        ("[listen.auth]\npath = ''", "2: listen.auth.path: is empty; name a socket file"),
        (&long, "2: listen.auth.path: is longer than 107 bytes; use a shorter one"),
        ("[listen.x]\nprotocol='auth'\npath='/p'\naddress='[::1]:1'", "4: listen.x.address: a listener has `path` or"),
        ("[listen.http]\nmode = '0600'\naddress='[::1]:1'", "2: listen.http.mode: only a socket with a `path` has an"),
        ("[listen.master]\naddress = '127.0.0.1:1'", "2: listen.master.address: master needs a unix socket"),
        ("[listen.http]\naddress = 'localhost'", "2: listen.http.address: invalid socket address syntax"),
        ("[listen.master]\nmode = '0666'", "2: listen.master.mode: 0666 lets everybody on this host use master"),
        ("[listen.dict]\nmode = '0660'", "2: listen.dict.mode: 0660 lets others read stored hashes; use \"0600\", or"),
        ("[listen.auth]\ncredentials = true", "2: listen.auth.credentials: only a dict listener hands out stored"),
        ("[listen.auth]\nowner = 'nobody-here'", "2: listen.auth.owner: there is no user \"nobody-here\" on this host"),
        (
            "[listen.auth]\ngroup = 'nobody-here'",
            "2: listen.auth.group: there is no group \"nobody-here\" on this host",
        ),
        (
            "[listen.auth]\ntrust = ['nobody-here']",
            "2: listen.auth.trust: there is no user \"nobody-here\" on this host",
        ),
        ("[listen.auth]\ntrust = [true]", "2: listen.auth.trust: expected the name or the number of a user or a group"),
        ("[listen.auth]\nconnections = 0", "2: listen.auth.connections: must be at least 1"),
        (
            "[listen.auth]\nconnections_per_user = 9999",
            "2: listen.auth.connections_per_user: 9999 is not between 1 and",
        ),
        ("[listen.x]\nprotocol='auth'\npath='gatepost-data/run/auth'", "1: listen.x: [listen.auth] listens there too"),
        ("[listen.http]\naddress='127.0.0.1:8107'", "1: listen.http: [listen.status] listens there too"),
        ("[hash]\nthreads = 0", "2: hash.threads: must be at least 1; leave it out for one thread a core"),
        ("[hash]\nqueue = 0", "2: hash.queue: must be at least 1"),
        (
            "[hash]\niterations = 0",
            "1: hash: `memory_kib`, `iterations`, `parallelism`: Argon2 needs at least one pass",
        ),
        ("[hash]\nparallelism = 0", "1: hash: `memory_kib`, `iterations`, `parallelism`: Argon2 needs at least one"),
        ("[hash]\nmemory_kib = 7", "1: hash: `memory_kib`, `iterations`, `parallelism`: Argon2 needs at least one"),
        ("[hash]\niterations = 9999", "1: hash: new hashes would be above `ceiling_memory_kib` or `ceiling_time`"),
        ("[hash]\nceiling_memory_kib = 9", "1: hash: new hashes would be above `ceiling_memory_kib` or"),
        ("[hash]\nceiling_time = '2'", "2: hash.ceiling_time: \"2\" is not a length of time; write it like \"2 s\""),
        ("[cache]\nttl = '25 h'", "2: cache.ttl: is longer than \"24 h\"; write less, like \"1 h\""),
        ("[cache]\nnegative_ttl = '25 h'", "2: cache.negative_ttl: is longer than \"24 h\""),
        ("[throttle]\nfailure_delay = '4 s'", "2: throttle.failure_delay: is longer than \"3 s\"; mail clients"),
        ("[throttle]\nwindow = '0 s'", "2: throttle.window: must be longer than nothing, like \"10 min\""),
        ("[throttle]\nwindow = '9999999999999 h'", "2: throttle.window: is longer than \"168 h\""),
        ("[hash]\nqueue = 9000000000000000000", "2: hash.queue: is more than 1000000"),
        ("[throttle]\nfailures = 0", "2: throttle.failures: must be at least 1"),
        ("[throttle]\nentries = 0", "2: throttle.entries: must be at least 1"),
        (
            "[throttle]\ntrusted_networks = ['x']",
            "2: throttle.trusted_networks: \"x\" is neither a network nor an address",
        ),
        (
            "[redis]\naddresses = ['redis://x']",
            "2: redis.addresses: \"redis://x\" is a URL; write HOST:PORT (and set `tls` ",
        ),
        ("[redis]\nsentinels = ['a b']\nmaster = 'm'", "2: redis.sentinels: \"a b\" is no address; write HOST:PORT, ["),
        ("[redis]\nsentinels = ['a']", "2: redis.sentinels: needs `master`, the name by which they know it"),
        ("[redis]\naddresses = ['a']\nsentinels = ['b']\nmaster = 'm'", "2: redis.addresses: the master's address is"),
        ("[redis]\nmaster = 'm'", "2: redis.master: is of no use without a server; set `addresses` or `sentinels`"),
        ("[redis]\npassword = 'x'", "2: redis.password: is of no use without a server; set `addresses` or"),
        ("[redis]\naddresses = ['a']\nusername = 'x'", "3: redis.username: needs a password beside it"),
        ("[redis]\naddresses = ['a']\npassword = ''", "3: redis.password: is empty; remove it if Redis asks for none"),
        ("[redis]\naddresses = ['a']\npassword = 31337", "3: redis.password: must be text in quotes"),
        (
            "[redis]\naddresses = ['a']\npassword = 'x'\npassword_file = '/p'",
            "4: redis.password_file: the password is set beside it too; remove one",
        ),
        (
            "[redis]\naddresses = ['a']\npassword_file = '/nonexistent/p'",
            "3: redis.password_file: cannot read /nonexistent/p: No such file or directory",
        ),
        (
            "[redis]\naddresses = ['a']\ntls = true\nca_file = '/nonexistent/p'",
            "4: redis.ca_file: cannot read /nonexistent/p: No such file or directory",
        ),
        ("[redis]\ntls = true\nca_file = '/dev/null'", "3: redis.ca_file: /dev/null holds no certificate in PEM"),
        ("[redis]\nprefix = ''", "2: redis.prefix: must be 1 to 64 visible ASCII characters"),
        ("[redis]\nprefix = 'a b'", "2: redis.prefix: must be 1 to 64 visible ASCII characters"),
        ("[redis]\ndatabase = -1", "2: redis.database: invalid value: integer `-1`, expected u32"),
        ("[redis]\nresponse_timeout = '2 s'", "2: redis.response_timeout: is longer than \"1 s\""),
        ("[redis]\nconnect_timeout = '0 s'", "2: redis.connect_timeout: must be longer than nothing"),
        ("[redis]\nhorizon = '9000 h'", "2: redis.horizon: is longer than \"8784 h\""),
        ("[userdb]\nuid = 0", "2: userdb.uid: is root, which Dovecot refuses; name the user that owns the mail"),
        ("[userdb]\ngid = 'nobody-here'", "2: userdb.gid: there is no group \"nobody-here\" on this host"),
        ("[userdb]\nhome = '/srv/%h'", "2: userdb.home: \"%h\" is no variable here; there are %{user}, %{user | user"),
        ("[userdb.fields]\nmail = '%{pid}'", "2: userdb.fields.mail: \"%{pid}\" is no variable here"),
        ("[userdb.dovecot_23]\nmail = '50%'", "2: userdb.dovecot_23.mail: \"%\" is no variable here"),
        ("[userdb.fields]\nuid = '5'", "2: userdb.fields.uid: belongs directly below [userdb], as `uid = …`"),
        ("[dict]\nkey = 0", "2: dict.key: must be at least 1"),
        ("[dict]\nvalue = 0", "2: dict.value: must be at least 1"),
        ("[dovecot.a]\napi_key = 'k'", "1: dovecot.a.url: needs `url`: where its doveadm answers over HTTP"),
        ("[dovecot.a]\nurl = 'imap1:8080'", "2: dovecot.a.url: \"imap1:8080\" is no place of Dovecot's doveadm; write"),
        ("[dovecot.a]\nurl = 'unix:/p'", "1: dovecot.a.api_key: needs `api_key` or `api_key_file`"),
        ("[dovecot.a]\nurl = 'unix:/p'\napi_key = ''", "3: dovecot.a.api_key: is empty"),
        ("[dovecot.a]\nurl = 'unix:/p'\napi_key = 77", "3: dovecot.a.api_key: must be text in quotes"),
        (
            "[dovecot.a]\nurl = 'unix:/p'\napi_key = 'k'\napi_key_file = '/p'",
            "3: dovecot.a.api_key: is set beside `api_key_file`; leave one out",
        ),
        ("[dovecot.a]\nurl = 'unix:/p'\napi_key_file = '/nowhere'", "3: dovecot.a.api_key_file: cannot read /nowhere"),
        ("[dovecot.a]\nurl='unix:/p'\napi_key='k'\nca_file='/nowhere'", "4: dovecot.a.ca_file: cannot be read"),
        ("[dovecot.a]\nurl='unix:/p'\napi_key='k'\ntimeout='0 s'", "4: dovecot.a.timeout: is not between nothing and"),
        ("[socketmap]\nrecipient_delimiter = 'a'", "2: socketmap.recipient_delimiter: may hold ASCII punctuation"),
        ("[policy.default]\nmin_length = 0", "2: policy.default.min_length: is not between 1 and 256"),
        ("[policy.x]\nmin_strength = 5", "2: policy.x.min_strength: is not between 0, which asks for nothing, and 4"),
        ("[log]\nlevel = 'loud'", "2: log.level: unknown variant `loud`, expected one of `error`, `warn`, `info`"),
    ];
    for (document, expected) in cases {
        let error = parse(document).expect_err(document).to_string();
        assert!(error.starts_with(&format!("gatepost.toml:{expected}")), "{document}\nsays {error}\nnot  {expected}");
        assert!(!error.contains('\n'), "{document}: one mistake, not {error}");
    }
}

#[test]
fn mistakes_of_meaning_are_told_all_at_once() {
    let error = parse("[dict]\nkey = 0\nvalue = 0\n").expect_err("two mistakes");
    let expected = "gatepost.toml:2: dict.key: must be at least 1\ngatepost.toml:3: dict.value: must be at least 1";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_file_that_was_asked_for_must_be_there() {
    let error = Config::load(Some(Path::new("/nonexistent/gatepost.toml"))).expect_err("not there");
    let expected = "cannot read the configuration /nonexistent/gatepost.toml: No such file or directory";
    assert!(error.to_string().starts_with(expected), "{error}");
}

#[test]
fn without_a_server_there_is_no_redis() {
    assert_eq!(parse("[redis]\nprefix = 'x'\n").expect("valid").fixed.redis, None);
}

#[test]
fn redis_is_named_by_its_servers_or_by_those_who_know() {
    let redis = |document: &str| parse(document).expect(document).fixed.redis.expect("there is one");
    let address = |host: &str, port| Address::Tcp { host: host.to_owned(), port };
    let one = redis("[redis]\naddresses = ['a', '/run/redis']\nusername = 'u'\npassword = 'p'\n");
    assert_eq!(one.place, Place::Servers(vec![address("a", 6379), Address::Unix("/run/redis".into())]));
    assert_eq!(one.login, Login { username: Some("u".to_owned()), password: Some(Password::from("p")) });
    let other = redis("[redis]\nsentinels = ['a']\nmaster = 'm'\nsentinel_password = 's'\n");
    let login = Login { username: None, password: Some(Password::from("s")) };
    assert_eq!(other.place, Place::Sentinels { sentinels: vec![address("a", 26379)], master: "m".to_owned(), login });
    assert_eq!(other.login, Login::default());
}

#[test]
fn a_password_is_shown_by_nothing() {
    let config = parse("[redis]\naddresses = ['a']\npassword = 's3cret'\n").expect("valid");
    assert!(!format!("{config:?}").contains("s3cret"));
    let wrong = parse("[redis]\npassword = ['s3cret']\n").expect_err("no text").to_string();
    assert!(!wrong.contains("s3cret"), "{wrong}");
}

#[test]
fn what_needs_a_restart_is_named() {
    let before = Config::embedded();
    let document = "[store]\npath = 'x'\n[hash]\nthreads = 77\n[cache]\nentries = 7\n[throttle]\nfailures = 1\n\
                    [listen.auth]\nmode = '0600'\n[listen.status]\nenabled = false\n[listen.x]\nprotocol = 'auth'\n[redis]\naddresses = ['a']\n";
    let after = parse(document).expect("valid");
    let named = ["[store] path", "[hash]", "[cache]", "[redis]", "[listen.auth]", "[listen.status]", "[listen.x]"];
    assert_eq!(before.fixed.differences(&after.fixed), named);
    assert!(before.fixed.differences(&before.fixed).is_empty());
}
