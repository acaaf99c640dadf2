//! The small pieces of a login, each alone: `cargo bench -p gatepost-bench --bench pieces`.

mod store;

use std::error::Error;
use std::hint::black_box;
use std::net::Ipv4Addr;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use criterion::Criterion;
use gatepost::account::{Origin, Username};
use gatepost::store::Store as _;
use gatepost::store::sqlite::{SqliteOptions, SqliteStore};
use gatepost::throttle::{Settings, Tally, Throttle};
use gatepost_protocol::dovecot::client::{ClientEvent, ClientSession, Reply};
use gatepost_protocol::dovecot::{Cookie, Handshake};
use tokio::runtime::Runtime;

use crate::store::{fill, user, workshop};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// As many as a small provider has mailboxes.
const ACCOUNTS: usize = 10_000;

fn main() -> Outcome<()> {
    let mut criterion = Criterion::default().configure_from_args();
    protocol(&mut criterion);
    throttle(&mut criterion);
    reads(&mut criterion)?;
    criterion.final_summary();
    Ok(())
}

/// The bytes of an AUTH to a login and its verdict to the bytes of an OK.
fn protocol(criterion: &mut Criterion) {
    let now = Instant::now();
    let handshake = Handshake { server_pid: 1, connection: 1, cookie: Cookie::new([0; 16]) };
    let mut session = ClientSession::new(handshake);
    let greeted = session.receive(b"VERSION\t1\t2\nCPID\t41\n", now);
    assert!(greeted.is_ok() && matches!(session.next_event(), Some(ClientEvent::Hello { .. })), "{greeted:?}");
    session.output().clear();
    let response = STANDARD.encode("\0ann@example.org\0Correct-horse-4");
    let line = format!(
        "AUTH\t1\tPLAIN\tservice=imap\tsecured\tsession=c2Vzc2lvbg\tlip=192.0.2.1\trip=192.0.2.9\tlport=143\t\
         rport=40000\tresp={response}\n"
    );
    criterion.bench_function("protocol: AUTH to OK", |bencher| {
        bencher.iter(|| {
            let received = session.receive(black_box(line.as_bytes()), now);
            let Some(ClientEvent::Login(login)) = session.next_event() else { panic!("no login: {received:?}") };
            session.reply(login.id, Reply::Accept { user: login.username, fields: Vec::new() });
            let output = session.output();
            assert!(output.starts_with(b"OK\t1\t"), "{output:?}");
            output.clear();
        });
    });
}

/// One attempt among as many networks as there are accounts, each with a failure on its account.
fn throttle(criterion: &mut Criterion) {
    let now = Instant::now();
    let throttle = Throttle::new(Settings::default(), now);
    let address = |number: usize| Origin::Address(Ipv4Addr::from_bits(number as u32).into());
    let pairs: Vec<_> = (0..ACCOUNTS).map(|number| (address(number), user(number))).collect();
    for (origin, account) in &pairs {
        throttle.record_failure(Tally::Logins, *origin, account, now);
    }
    let mut turn = pairs.iter().cycle();
    criterion.bench_function("throttle: admit", |bencher| {
        bencher.iter(|| {
            turn.next().map(|(origin, account)| throttle.admit(Tally::Logins, *origin, black_box(account), now))
        });
    });
}

/// What a login reads: its record, then its generation once more.
fn reads(criterion: &mut Criterion) -> Outcome<()> {
    let runtime = Runtime::new()?;
    let directory = workshop()?;
    let path = directory.path().join("gatepost.db");
    runtime.block_on(fill(&path, ACCOUNTS, "{PLAIN}Correct-horse-4"))?;
    let store = runtime.block_on(SqliteStore::open(&path, &SqliteOptions::default()))?;
    let users = (0..ACCOUNTS).map(|number| Username::parse(&user(number), None)).collect::<Result<Vec<_>, _>>()?;
    let mut turn = users.iter().cycle();
    criterion.bench_function("store: login_record", |bencher| {
        bencher.iter(|| {
            let record = turn.next().map(|user| runtime.block_on(store.login_record(user)));
            assert!(matches!(record, Some(Ok(Some(_)))), "{record:?}");
        });
    });
    criterion.bench_function("store: generation", |bencher| {
        bencher.iter(|| {
            let generation = turn.next().map(|user| runtime.block_on(store.generation(user)));
            assert!(matches!(generation, Some(Ok(Some(_)))), "{generation:?}");
        });
    });
    Ok(())
}
