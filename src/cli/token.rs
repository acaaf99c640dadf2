//! `gatepost token`: add, list, revoke.

use clap::Subcommand;
use hyper::Method;
use serde_json::json;

use super::client::segment;
use super::values::parse_role;
use super::{Client, Failure, output};
use crate::store::Role;
use crate::web::{NewToken, TokenList, TokenView};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Make a token and print it, this once.
    Add {
        /// One word: it stands in the log behind whatever is done with the token.
        name: String,
        /// admin: all calls. webmail: what a webmail does for its users. login: only asks whether a password is right.
        #[arg(long, value_name = "ROLE", value_parser = parse_role)]
        role: Role,
        /// Only for this domain; may be given more than once. Without it the token is for all of them.
        #[arg(long = "domain", value_name = "DOMAIN")]
        domains: Vec<String>,
    },
    /// List all tokens, but for their text, which nobody knows any more.
    List {
        #[arg(long)]
        json: bool,
    },
    /// Revoke a token: whoever still has it is unknown from now on.
    Revoke { name: String },
}

impl Verb {
    pub(super) async fn run(self, client: &mut Client) -> Result<(), Failure> {
        match self {
            Self::Add { name, role, domains } => {
                let body = json!({ "name": name, "role": role, "domains": domains });
                let made: NewToken = client.send(Method::POST, "/tokens", &body).await?;
                output::line(&made.token)?;
                output::line(&format!(
                    "token {} added ({role}, for {}); it is not shown again",
                    made.view.name,
                    reach(&made.view)
                ))
            }
            Self::List { json } => {
                let list: TokenList = client.get("/tokens").await?;
                if json { output::json(&list.tokens) } else { print(&list.tokens) }
            }
            Self::Revoke { name } => {
                client.delete(&format!("/tokens/{}", segment(&name))).await?;
                output::line(&format!("token {name} revoked"))
            }
        }
    }
}

fn print(tokens: &[TokenView]) -> Result<(), Failure> {
    let row = |token: &TokenView| [token.name.clone(), token.role.to_string(), token.created.clone(), reach(token)];
    let rows: Vec<_> = tokens.iter().map(row).collect();
    output::table(["NAME", "ROLE", "CREATED", "DOMAINS"], &rows)
}

fn reach(token: &TokenView) -> String {
    if token.domains.is_empty() { "all domains".to_owned() } else { token.domains.join(", ") }
}
