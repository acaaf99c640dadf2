//! Measuring: the servers take turns in each workload, so that what disturbs one disturbs all.

use std::sync::Arc;
use std::time::Duration;

use crate::accounts::Accounts;
use crate::conversation::{Question, Script};
use crate::load::{Load, Turn};
use crate::server::{Kind, Prepared, Refusals, Server, directory};
use crate::workload::Workload;
use crate::{Arguments, Outcome};

/// One workload, and how each server did in each round.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) servers: Vec<(Kind, Vec<Cell>)>,
}

/// One server in one round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    pub(crate) verdicts_per_second: f64,
    pub(crate) not_now_per_second: f64,
    pub(crate) median: Duration,
    pub(crate) tail: Duration,
    pub(crate) processor_time: Duration,
}

/// What share of the verdicts is faster than the tail.
const TAIL: f64 = 0.99;

pub(crate) async fn workloads(arguments: &Arguments) -> Outcome<Vec<Row>> {
    let mut rows = Vec::new();
    let mut accounts: Option<Accounts> = None;
    for workload in Workload::all().filter(|workload| arguments.wants(&workload.name())) {
        let made = match accounts.take().filter(|accounts| accounts.scheme == workload.scheme) {
            Some(made) => made,
            None => Accounts::make(workload.scheme, arguments.accounts).await?,
        };
        rows.push(measure(&workload, accounts.insert(made), arguments).await?);
    }
    Ok(rows)
}

async fn measure(workload: &Workload, accounts: &Accounts, arguments: &Arguments) -> Outcome<Row> {
    let directory = directory()?;
    let window = Duration::try_from_secs_f64(arguments.seconds)?;
    let refusals = if workload.question == Question::WrongPassword { Refusals::AtOnce } else { Refusals::Delayed };
    let mut contestants = Vec::new();
    for kind in Kind::ALL {
        let server = Prepared::new(kind, directory.path(), accounts, refusals)?.start().await?;
        let load = Load {
            script: Arc::new(Script::new(workload.question, accounts, kind.verifies())),
            connections: workload.connections,
            in_flight: workload.in_flight,
            warm_up: window / 4,
            window,
        };
        let once = kind == Kind::Gatepost && workload.scheme.is_replaced_at_login();
        contestants.push((server, load, Turn::new(accounts.count, once), Vec::new()));
    }
    for _ in 0..arguments.rounds {
        for (server, load, turn, cells) in &mut contestants {
            let cell = take_turn(server, load, turn, workload).await;
            cells.push(cell.map_err(|error| server.explain(format!("{}: {error}", workload.name()).into()))?);
        }
    }
    let servers = contestants.into_iter().map(|(server, _, _, cells)| (server.kind, cells)).collect();
    Ok(Row { name: workload.name(), servers })
}

async fn take_turn(server: &Server, load: &Load, turn: &Arc<Turn>, workload: &Workload) -> Outcome<Cell> {
    let before = server.settle().await?;
    let mut tally = load.run(&server.socket(workload.question), turn).await?;
    let spent = server.settle().await?.saturating_sub(before);
    tally.latencies.sort_unstable();
    let per_second = |count: usize| count as f64 / load.window.as_secs_f64();
    Ok(Cell {
        verdicts_per_second: per_second(tally.latencies.len()),
        not_now_per_second: per_second(tally.not_now),
        median: quantile(&tally.latencies, 0.5),
        tail: quantile(&tally.latencies, TAIL),
        processor_time: spent.div_f64(tally.answers.max(1) as f64),
    })
}

/// Zero when there was no verdict.
fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let index = (sorted.len().saturating_sub(1)) as f64 * share;
    sorted.get(index.round() as usize).copied().unwrap_or_default()
}
