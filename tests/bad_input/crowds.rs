//! Peers that are many, slow, half gone, or do not read what they asked for: what they hold, and what others notice.

use std::fs;
use std::thread;
use std::time::Instant;

use gatepost_harness::PATIENCE;
use gatepost_harness::alone::Alone;
use gatepost_harness::mailhost::ALICE;
use gatepost_harness::raw::{Connection, auth, hello};
use gatepost_harness::times;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::assert_unharmed;

const MIB_IN_KIB: u64 = 1024;

/// A peer that may connect, and no more.
const NOBODY: u32 = 65_534;

/// What a whole conversation of a good client is on each socket, and how its answer ends.
fn conversations() -> [(&'static str, String, &'static str); 7] {
    let user = "VERSION\t1\t0\nUSER\t1\tnobody@example.org\tservice=lmtp\n";
    let login = hello(2) + &auth(1, "", ALICE.user, ALICE.password);
    let query = "virtual_mailbox_maps alice@example.org";
    [
        ("auth", login.clone(), "OK\t1\tuser=alice@example.org\n"),
        ("login", login, "OK\t1\tuser=alice@example.org\n"),
        ("master", user.to_owned(), "NOTFOUND\t1\n"),
        ("userdb", user.to_owned(), "NOTFOUND\t1\n"),
        ("keys", "H3\t0\t0\t\tkeys\nLpriv/nothing\tann\n".to_owned(), "N\n"),
        ("socketmap", format!("{}:{query},", query.len()), "20:OK alice@example.org,"),
        ("admin", "GET /api/v1/status HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), "\"problem\":null}"),
    ]
}

#[test]
fn a_byte_at_a_time_is_understood_like_any_other_way_of_sending() {
    let alone = Alone::start("");
    for (socket, said, answer) in conversations() {
        let mut slow = alone.connect(socket);
        let (last, others) = said.as_bytes().split_last().expect("something is said");
        others.iter().for_each(|byte| slow.send([*byte]));
        alone.assert_others_log_in(socket);
        slow.send([*last]);
        let heard = slow.heard_up_to(answer);
        assert!(heard.ends_with(answer), "{socket}: {heard}");
    }
    assert_unharmed(&alone);
}

/// More logins than may wait for the hash threads, each of them a long one: no password is tried twice, since that would
/// be remembered.
#[test]
fn a_flood_of_logins_from_one_network_leaves_the_others_their_turn() {
    const SLOW: &str = "slow@example.org";
    let alone = Alone::start("");
    let hash = xcrypt::crypt(ALICE.password, "$6$rounds=100000$saltsalt").expect("libxcrypt hashes");
    alone.gatepost.must(&["account", "add", SLOW, "--hash-stdin"], &format!("{{SHA512-CRYPT}}{hash}\n"));
    let mut flood = alone.auth_client("auth");
    flood.send((1..=1024).map(|id| auth(id, "\trip=203.0.113.7", SLOW, &format!("wrong {id}"))).collect::<String>());
    // Who is turned away leaves at the time of a refusal, and a few were hashed by then.
    assert!((1..=1024).any(|_| flood.line().ends_with("\tcode=temp_fail")), "there was room for all of them");
    for _ in 0..5 {
        alone.assert_others_log_in("one network asks for more than is there");
    }
}

#[test]
fn a_peer_that_says_no_more_is_let_go() {
    let alone = Alone::start("");
    for (socket, said, _) in conversations() {
        for length in [0, 1, said.len() / 2, said.len() - 1, said.len()] {
            let mut half = alone.connect(socket);
            half.send(&said[..length]);
            half.end_sending();
            alone.assert_others_log_in(socket);
            half.rest();
        }
    }
    wait_for_connections(&alone, 0);
    assert_unharmed(&alone);
}

/// Bound: 32 KiB for each connection: a read buffer, and as much again for the task and its session.
#[test]
fn idle_connections_cost_little_and_others_log_in() {
    let crowd = 2_000;
    raise_open_files_limit(crowd as u64 + 200);
    let alone = Alone::start("");
    let before = alone.memory();
    let idle: Vec<_> = (0..crowd)
        .map(|count| {
            let socket = ["auth", "login", "userdb", "keys", "socketmap", "admin"][count % 6];
            let mut connection = alone.connect(socket);
            if count % 3 == 0 {
                connection.send("V");
            }
            connection
        })
        .collect();
    wait_for_connections(&alone, crowd);
    alone.assert_others_log_in("a crowd is connected");
    let memory = alone.memory();
    let bound = before.now + crowd as u64 * 32;
    assert!(memory.peak < bound, "{memory:?} above {bound} KiB, from {before:?}");
    drop(idle);
    wait_for_connections(&alone, 0);
    assert_unharmed(&alone);
}

/// A user above its share is closed on; one that is not there yet is served.
#[test]
fn one_user_cannot_take_all_connections() {
    let directory = gatepost_harness::short_directory();
    let path = directory.path().join("gatepost/few");
    let settings = format!(
        "\n[listen.few]\nprotocol = \"auth\"\npath = \"{}\"\nmode = \"0666\"\nconnections = 10\nconnections_per_user = 4",
        path.display()
    );
    let alone = Alone::start_in(directory, &settings);
    // The directory that the daemon keeps its store in is nobody else's; this test lets others look for the socket.
    let open = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o711);
    fs::set_permissions(alone.directory.path().join("gatepost"), open).expect("opened");

    let held: Vec<_> = (0..4).map(|_| Connection::to_as(&path, NOBODY).greeted(2)).collect();
    for _ in 0..100 {
        assert_eq!(Connection::to_as(&path, NOBODY).rest(), "", "one above the share");
    }
    let mut other = Connection::to_auth(&path, 2);
    other.send(auth(1, "", ALICE.user, ALICE.password));
    assert_eq!(other.line(), "OK\t1\tuser=alice@example.org");
    drop(held);
    let served = || {
        let mut connection = Connection::to_as(&path, NOBODY);
        connection.line() == "VERSION\t1\t2"
    };
    let deadline = Instant::now() + PATIENCE;
    while !served() {
        assert!(Instant::now() < deadline, "the share never came back");
    }
}

/// Bound: 4 MiB for each peer. None is read from while it does not read, so all that waits is one answer in the making,
/// of which the largest are a value of a dict and a page of accounts.
#[test]
fn a_peer_that_does_not_read_is_not_read_from() {
    let alone = Alone::start("");
    add_many_accounts(&alone, times(500, 20_000));
    store_large_value(&alone);
    let numbered =
        |command: &str, rest: &str| (1..100_000).map(|id| format!("{command}\t{id}{rest}\n")).collect::<String>();
    let wrong_base64 = numbered("AUTH", "\tPLAIN\tservice=imap\tresp=%");
    let lookups = numbered("USER", "\talice@example.org\tservice=lmtp");
    let lists = numbered("LIST", "");
    let query = "virtual_mailbox_maps alice@example.org";
    let query = format!("{}:{query},", query.len()).repeat(100);
    let values = "Lpriv/large\tann\n".repeat(100);
    let scans = "I1\t0\tpriv/\tann\n".repeat(100);
    let numbered_hello = "H3\t2\t0\t\tkeys\n";
    let get = "GET /api/v1/accounts?limit=1000 HTTP/1.1\r\nhost: x\r\n\r\n".repeat(10);
    let floods: [(&str, &str, &str); 11] = [
        ("auth", &hello(2), &wrong_base64),
        ("login", &hello(2), &wrong_base64),
        ("master", "VERSION\t1\t0\n", &lookups),
        ("userdb", "VERSION\t1\t0\n", &lookups),
        ("master", "VERSION\t1\t0\n", &lists),
        ("keys", "H3\t0\t0\t\tkeys\n", &values),
        ("keys", numbered_hello, &values),
        ("keys", "H3\t0\t0\t\tkeys\n", &scans),
        ("keys", numbered_hello, &scans),
        ("socketmap", "", &query),
        ("admin", "", &get),
    ];
    let before = alone.memory();
    let most = times(16 << 20, 256 << 20);
    let deaf: Vec<_> = thread::scope(|scope| {
        let flooded = floods.map(|(socket, opening, flood)| {
            let mut deaf = alone.connect(socket);
            deaf.send(opening);
            scope.spawn(move || {
                let taken = deaf.flood(flood.as_bytes(), most);
                (socket, deaf, taken)
            })
        });
        alone.assert_others_log_in("floods begin");
        flooded.into_iter().map(|flooding| flooding.join().expect("a flood ends")).collect()
    });
    alone.assert_others_log_in("nobody reads");
    for (socket, _, taken) in &deaf {
        assert!(*taken < most, "{socket}: all of {taken} bytes were taken");
    }
    let (memory, bound) = (alone.memory(), before.peak + deaf.len() as u64 * 4 * MIB_IN_KIB);
    assert!(memory.peak < bound, "{memory:?} above {bound} KiB, from {before:?}");
    drop(deaf);
    wait_for_connections(&alone, 0);
    assert_unharmed(&alone);
}

/// More logins at once than can be verified: each is answered, some with "not now", none with "no".
#[test]
fn a_flood_of_logins_is_answered_and_never_called_wrong() {
    let alone = Alone::start("");
    let before = alone.memory();
    let logins = times(4_000, 100_000);
    let mut flood = alone.auth_client("auth");
    let mut answered = 0;
    for batch in (0..logins).collect::<Vec<_>>().chunks(500) {
        let said: String = batch.iter().map(|id| auth(*id as u32 + 1, "", ALICE.user, ALICE.password)).collect();
        flood.send(said);
        for _ in batch {
            let line = flood.line();
            let later = line.starts_with("FAIL\t") && line.ends_with("\tcode=temp_fail");
            assert!(line.starts_with("OK\t") || later, "{line:?} after {answered} answers");
            answered += 1;
        }
        alone.assert_others_log_in("a flood of logins");
    }
    let (memory, bound) = (alone.memory(), before.peak + 32 * MIB_IN_KIB);
    assert!(memory.peak < bound, "{memory:?} above {bound} KiB, from {before:?}");
    assert_unharmed(&alone);
}

/// Waits until the daemon serves so many connections, those to `/metrics` not counted.
fn wait_for_connections(alone: &Alone, expected: usize) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut status = Connection::to_address(alone.gatepost.status);
        status.send("GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let metrics = status.rest();
        let counts = metrics.lines().filter_map(|line| line.strip_prefix("gatepost_connections{listener="));
        let counts = counts.filter(|line| !line.starts_with("\"status\""));
        let open: usize = counts.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).sum();
        if open == expected {
            return;
        }
        assert!(Instant::now() < deadline, "{open} connections instead of {expected}");
    }
}

fn raise_open_files_limit(needed: u64) {
    let limit = getrlimit(Resource::Nofile);
    assert!(limit.maximum.is_none_or(|maximum| maximum >= needed), "this needs {needed} open files, `ulimit -Hn`");
    if limit.current.is_some_and(|current| current < needed) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(needed), ..limit }).expect("raised");
    }
}

/// Names as long as they may be, so that a list of them does not fit into a socket's buffer.
fn add_many_accounts(alone: &Alone, count: usize) {
    let domain = format!("{}.example.org", ["d".repeat(60), "o".repeat(60), "m".repeat(60)].join("."));
    alone.gatepost.must(&["domain", "add", &domain], "");
    let mut api = alone.connect("admin");
    for number in 0..count {
        let body = format!("{{\"user\": \"{:0>64}@{domain}\", \"hash\": \"{{PLAIN}}x\"}}", number);
        let head = "POST /api/v1/accounts HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
        api.send(format!("{head}content-length: {}\r\n\r\n{body}", body.len()));
        let heard = api.heard_up_to("\"steps\":[") + &api.heard_up_to("]}}");
        assert!(heard.starts_with("HTTP/1.1 201 "), "{heard}");
    }
}

/// As large as a value may be.
fn store_large_value(alone: &Alone) {
    let mut dict = alone.connect("keys");
    dict.send(format!("H3\t0\t0\t\tkeys\nB1\tann\nS1\tpriv/large\t{}\nC1\n", "v".repeat(65_000)));
    assert_eq!(dict.line(), "O1");
}
