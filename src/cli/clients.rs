//! `gatepost clients`: what an account is used with.

use clap::Args;

use super::client::segment;
use super::{Client, Failure, output};
use crate::web::{ClientList, ClientView};

/// `gatepost clients USER`.
#[derive(Debug, Args)]
pub(super) struct Clients {
    user: String,
    #[arg(long)]
    json: bool,
}

impl Clients {
    pub(super) async fn run(self, client: &mut Client) -> Result<(), Failure> {
        let ClientList { clients } = client.get(&format!("/accounts/{}/clients", segment(&self.user))).await?;
        if self.json {
            return output::json(&clients);
        }
        let row = |client: ClientView| {
            [
                client.id.to_string(),
                client.last_seen,
                client.logins.to_string(),
                client.kind,
                client.origin,
                client.credential.unwrap_or_default(),
                client.user_agent.unwrap_or_default(),
            ]
        };
        let rows: Vec<_> = clients.into_iter().map(row).collect();
        output::table(["ID", "LAST SEEN", "LOGINS", "KIND", "FROM", "PASSWORD", "CLIENT"], &rows)
    }
}
