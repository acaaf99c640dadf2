//! `gatepost status`: is the daemon there, and can it work.

use clap::Args;

use super::{Client, Failure, output};
use crate::web::StatusView;

#[derive(Debug, Args)]
pub(super) struct Status {
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) async fn run(self, client: &mut Client) -> Result<(), Failure> {
        let status: StatusView = client.get("/status").await?;
        if self.json {
            output::json(&status)?;
        } else {
            output::line(&format!(
                "gatepost {} is {}",
                status.version,
                if status.ready { "ready" } else { "not ready" }
            ))?;
        }
        match status.problem {
            None => Ok(()),
            Some(problem) => Err(Failure::No(problem)),
        }
    }
}
