//! `gatepost domain`: add, list, remove.

use clap::Subcommand;
use hyper::Method;
use serde_json::json;

use super::client::segment;
use super::values::parse_size;
use super::{Client, Failure, output};
use crate::web::{DomainList, DomainView};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Make a domain.
    Add {
        domain: String,
        /// The password policy that holds there: a `[policy.NAME]` of the configuration.
        #[arg(long)]
        profile: Option<String>,
        /// For accounts without a quota of their own: bytes, or with K, M, G, T; 0 is no limit.
        #[arg(long, value_name = "SIZE", value_parser = parse_size)]
        default_quota: Option<u64>,
    },
    /// List all domains.
    List {
        #[arg(long)]
        json: bool,
    },
    /// Remove a domain that has no accounts.
    Remove { domain: String },
}

impl Verb {
    pub(super) async fn run(self, client: &mut Client) -> Result<(), Failure> {
        match self {
            Self::Add { domain, profile, default_quota } => {
                let body = json!({ "domain": domain, "profile": profile, "default_quota": default_quota });
                let made: DomainView = client.send(Method::POST, "/domains", &body).await?;
                output::line(&format!("{} added", made.domain))
            }
            Self::List { json } => {
                let list: DomainList = client.get("/domains").await?;
                if json { output::json(&list.domains) } else { print(&list.domains) }
            }
            Self::Remove { domain } => {
                client.delete(&format!("/domains/{}", segment(&domain))).await?;
                output::line(&format!("{domain} removed"))
            }
        }
    }
}

fn print(domains: &[DomainView]) -> Result<(), Failure> {
    let row = |domain: &DomainView| {
        let quota = domain.default_quota.filter(|bytes| *bytes != 0);
        [domain.domain.clone(), domain.profile.clone(), quota.map_or_else(|| "none".to_owned(), output::size)]
    };
    let rows: Vec<_> = domains.iter().map(row).collect();
    output::table(["DOMAIN", "PROFILE", "DEFAULT QUOTA"], &rows)
}
