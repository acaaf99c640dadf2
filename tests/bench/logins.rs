//! Logins a second, tail latency, memory and start-up, end to end: gatepost, the auth service of the real Dovecot 2.3,
//! and a floor that verifies nothing, asked the same over sockets of their own.
//!
//!     cargo build --release --bin gatepost && cargo bench -p gatepost-bench --bench logins -- --out FILE
//!
//! One thread asks; it and whoever answers share the same two cores, and the three take turns, so that whatever else the
//! machine does meets them alike. Every answer is checked.
//!
//! Trusts: nothing it measures.
//! Fails:  at the first wrong answer or broken connection, with the end of that server's log. "Not now" is no wrong
//!         answer: it is counted apart from the verdicts.
//! Limits: figures are of the machine and its moment; nothing here judges them. The page cache is warm.

mod accounts;
mod conversation;
mod floor;
mod footprint;
mod load;
mod measure;
mod report;
mod server;
mod store;
mod workload;

use std::error::Error;
use std::path::PathBuf;
use std::process::{self, Command, ExitCode};
use std::{fs, io::Write as _};

use clap::Parser;

/// What stops a run; whoever started it is told.
type Failure = Box<dyn Error + Send + Sync>;

type Outcome<T> = Result<T, Failure>;

/// Cores that the servers and the one who asks share.
const CORES: usize = 2;

/// Measures gatepost's logins beside those of Dovecot 2.3.
#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    /// Write the tables to this file, too.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// How long one cell is measured, each time, after a quarter of that to warm up.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// How often each server is measured in each workload.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Accounts that log in in turn.
    #[arg(long, default_value_t = 10_000)]
    accounts: usize,
    /// Only what has this in its name; `memory` and `start` are names, too.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Be the floor, with sockets in this directory.
    #[arg(long, value_name = "DIRECTORY", hide = true)]
    floor: Option<PathBuf>,
    /// What cargo tells every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Arguments {
    fn wants(&self, name: &str) -> bool {
        self.only.as_deref().is_none_or(|text| name.contains(text))
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(std::io::stderr(), "logins: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if let Some(directory) = &arguments.floor {
        return runtime.block_on(floor::serve(directory));
    }
    if cfg!(debug_assertions) {
        return Err("built without optimisation; run `cargo bench -p gatepost-bench --bench logins`".into());
    }
    // Before it is spent on a run.
    let out = arguments.out.as_ref().map(fs::File::create).transpose()?;
    let cores = pin()?;
    let text = runtime.block_on(measure_all(arguments, &cores))?;
    if let Some(mut out) = out {
        out.write_all(text.as_bytes())?;
    }
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

async fn measure_all(arguments: &Arguments, cores: &str) -> Outcome<String> {
    let mut text = report::heading(arguments, cores)?;
    text += &report::logins(&measure::workloads(arguments).await?);
    if arguments.wants("memory") {
        text += &report::memory(&footprint::memory().await?);
    }
    if arguments.wants("start") {
        text += &report::start(&footprint::start(arguments.rounds).await?);
    }
    Ok(text)
}

/// Keeps this process, and so whatever it starts, on the first cores it may use.
fn pin() -> Outcome<String> {
    let status = fs::read_to_string("/proc/self/status")?;
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).ok_or("no list of cores")?;
    let mut cores = Vec::new();
    for range in allowed.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        cores.extend(first.parse::<usize>()?..=last.parse()?);
    }
    let cores: Vec<_> = cores.iter().take(CORES).map(usize::to_string).collect();
    let cores = cores.join(",");
    let pinned = Command::new("taskset").args(["-pc", &cores, &process::id().to_string()]).output()?;
    if !pinned.status.success() {
        return Err(format!("taskset: {}", String::from_utf8_lossy(&pinned.stderr)).into());
    }
    Ok(cores)
}
