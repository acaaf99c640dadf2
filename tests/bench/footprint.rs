//! What a server takes without being asked anything: memory for connections that idle, time until the first answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::accounts::{Accounts, Scheme};
use crate::conversation::{Question, Script};
use crate::load::{ask_once, connect};
use crate::server::{Kind, Prepared, Refusals, directory};

/// Connections that idle.
pub(crate) const CONNECTIONS: usize = 1_000;
/// Accounts that a server starts with.
const SIZES: [usize; 2] = [1_000, 100_000];

/// Resident memory of one server, in KiB.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) kind: Kind,
    /// After one login.
    pub(crate) alone_kib: u64,
    /// With [`CONNECTIONS`] that have been greeted and say nothing.
    pub(crate) connected_kib: u64,
}

/// One server's starts with so many accounts.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) kind: Kind,
    pub(crate) accounts: usize,
    /// From before it was started until it had answered a login, each time.
    pub(crate) times: Vec<Duration>,
    /// Resident then, the last time.
    pub(crate) resident_kib: u64,
}

pub(crate) async fn memory() -> Outcome<Vec<Memory>> {
    let accounts = Accounts::make(Scheme::Argon2id, 1).await?;
    let directory = directory()?;
    let mut all = Vec::new();
    for kind in Kind::ALL {
        let server = Prepared::new(kind, directory.path(), &accounts, Refusals::Delayed)?.start().await?;
        let script = Arc::new(Script::new(Question::RightPassword, &accounts, kind.verifies()));
        let socket = server.socket(Question::RightPassword);
        let mut connections = vec![ask_once(connect(&socket, &script, 0).await?, &script).await?];
        server.settle().await?;
        let alone_kib = server.resident_kib()?;
        for number in 1..=CONNECTIONS {
            connections.push(connect(&socket, &script, number).await?);
        }
        server.settle().await?;
        all.push(Memory { kind, alone_kib, connected_kib: server.resident_kib()? });
    }
    Ok(all)
}

/// The floor has no accounts to start with.
pub(crate) async fn start(rounds: usize) -> Outcome<Vec<Start>> {
    let mut all = Vec::new();
    for count in SIZES {
        let accounts = Accounts::make(Scheme::Plain, count).await?;
        let mut starts = [Kind::Gatepost, Kind::Dovecot].map(|kind| Start {
            kind,
            accounts: count,
            times: Vec::new(),
            resident_kib: 0,
        });
        let script = Arc::new(Script::new(Question::RightPassword, &accounts, true));
        for _ in 0..rounds {
            for start in &mut starts {
                let directory = directory()?;
                let prepared = Prepared::new(start.kind, directory.path(), &accounts, Refusals::Delayed)?;
                let began = Instant::now();
                let server = prepared.start().await?;
                let stream = connect(&server.socket(Question::RightPassword), &script, 0).await?;
                let stream = ask_once(stream, &script).await?;
                start.times.push(began.elapsed());
                start.resident_kib = server.resident_kib()?;
                drop(stream);
            }
        }
        all.extend(starts);
    }
    Ok(all)
}
