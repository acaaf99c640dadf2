//! How soon a change is felt: from its commit to the refusal of a second client, and to the end of an IMAP session in IDLE.
//!
//!     cargo build --release --bin gatepost && cargo bench -p gatepost-bench --bench changes -- --out FILE
//!
//! Each round changes the password of an account of its own by the administrator's API, while one client logs in with the
//! old one without pause, another idles in a real Dovecot, and a third reads the change log in the store until the change
//! is in it: that is the commit.
//!
//! Trusts: nothing it measures.
//! Fails:  at the first wrong answer, and when a session does not end.
//! Limits: the commit is seen as late as the store is read, some 0.1 ms; all share the machine's cores.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use clap::Parser;
use gatepost_harness::api::Api;
use gatepost_harness::client::Protocol;
use gatepost_harness::dovecot::Version;
use gatepost_harness::raw::{Connection, auth};
use gatepost_harness::session::Session;
use gatepost_harness::site::Site;
use gatepost_harness::{joined, wait_until};
use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, SqliteConnection};

type Failure = Box<dyn Error + Send + Sync>;

const OLD: &str = "Secret-a1";
const NEW: &str = "Another-b2";

/// Measures how soon a change of password is felt.
#[derive(Debug, Parser)]
struct Arguments {
    /// Write the table to this file, too.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Changes beside each Dovecot.
    #[arg(long, default_value_t = 200)]
    rounds: usize,
    /// What cargo tells every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What was seen of one change, counted from its commit.
struct Round {
    refused: Duration,
    answered: Duration,
    ended: Duration,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(std::io::stderr(), "changes: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    if cfg!(debug_assertions) {
        return Err("built without optimisation; run `cargo bench -p gatepost-bench --bench changes`".into());
    }
    let mut text = format!(
        "From the commit of a change, with a Redis and a Dovecot it has to reach; {} rounds each. Load average at the start: {}.\n\n\
         | until | Dovecot | p50 | p99 | longest |\n|---|---|---|---|---|\n",
        arguments.rounds,
        fs::read_to_string("/proc/loadavg")?.split(' ').next().unwrap_or_default(),
    );
    for version in [Version::V2_3, Version::V2_4] {
        let site = Site::start(version, &[], "");
        let rounds: Result<Vec<_>, _> = (0..arguments.rounds).map(|number| round(&site, number)).collect();
        let rounds = rounds?;
        for (until, of) in [
            ("a second client's login is refused", (|round| round.refused) as fn(&Round) -> Duration),
            ("whoever changed it is answered, with the receipt", |round| round.answered),
            ("an IMAP client in IDLE has read BYE and is disconnected", |round| round.ended),
        ] {
            let mut times: Vec<_> = rounds.iter().map(of).collect();
            times.sort_unstable();
            let [p50, p99, longest] = [50, 99, 100].map(|percent| milliseconds(&times, percent));
            writeln!(text, "| {until} | {} | {p50} | {p99} | {longest} |", version.name())?;
        }
    }
    if let Some(out) = &arguments.out {
        fs::write(out, &text)?;
    }
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

fn round(site: &Site, number: usize) -> Result<Round, Failure> {
    let user = format!("user{number}@example.org");
    let admin = Api::admin(&site.gatepost);
    admin.must("POST", "/accounts", &json!({"user": user, "password": OLD}));
    let idle = Session::open(Protocol::Imap, &site.dovecot, &user, OLD);
    wait_until("Dovecot lists the session", || {
        let listed = site.dovecot.doveadm(&["who", "-1", &user]);
        String::from_utf8_lossy(&listed.stdout).contains(&user)
    });
    let store = site.directory.path().join("gatepost/gatepost.db");
    let newest = newest_row(&store, |_| true)?.0;
    let ([committed, refused, ended], answered) = thread::scope(|scope| {
        let commit = scope.spawn(|| newest_row(&store, |number| number > newest).map(|(_, at)| at));
        let refused = scope.spawn(|| refusal(site, &user));
        let ended = scope.spawn(|| {
            let heard = idle.last_words();
            if heard.starts_with("* BYE ") { Ok(Instant::now()) } else { Err(format!("heard {heard:?}").into()) }
        });
        admin.must("PUT", &format!("/accounts/{user}/password"), &json!({"new": NEW}));
        let answered = Instant::now();
        let seen: [ScopedJoinHandle<'_, Result<Instant, Failure>>; 3] = [commit, refused, ended];
        (seen.map(joined), answered)
    });
    let committed = committed?;
    let after = |at: Instant| at.saturating_duration_since(committed);
    Ok(Round { refused: after(refused?), answered: after(answered), ended: after(ended?) })
}

/// Reads until the number of the newest row is as wanted; when that was.
fn newest_row(store: &Path, wanted: impl Fn(i64) -> bool) -> Result<(i64, Instant), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let options = SqliteConnectOptions::new().filename(store).read_only(true);
        let mut connection = SqliteConnection::connect_with(&options).await?;
        loop {
            let newest = sqlx::query_scalar("SELECT max(number) FROM change_log").fetch_one(&mut connection).await?;
            if wanted(newest) {
                return Ok((newest, Instant::now()));
            }
        }
    })
}

/// Logs in with the old password until that is refused; when the first such login was sent.
fn refusal(site: &Site, user: &str) -> Result<Instant, Failure> {
    let mut client = Connection::to_auth(site.gatepost.path_of("auth"), 2);
    for request in 1.. {
        let sent = Instant::now();
        client.send(auth(request, "", user, OLD));
        let heard = client.line();
        match heard.split('\t').next() {
            Some("OK") => {}
            Some("FAIL") if !heard.contains("temp_fail") => return Ok(sent),
            _ => return Err(format!("a login of {user} heard {heard:?}").into()),
        }
    }
    Err("the old password was never refused".into())
}

fn milliseconds(sorted: &[Duration], percent: usize) -> String {
    let index = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(index).map_or_else(|| "–".to_owned(), |time| format!("{:.1} ms", time.as_secs_f64() * 1_000.0))
}
