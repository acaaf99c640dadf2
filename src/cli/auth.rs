//! `gatepost auth test`: would this password be accepted? Prints what `doveadm auth test` prints.

use std::future::Future;
use std::net::IpAddr;

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::json;

use super::password::{ask, read_line};
use super::{Client, Failure, output};
use crate::web::LoginAccepted;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Log in as USER would; a wrong password counts and is recorded like any other.
    Test(Test),
}

#[derive(Debug, Args)]
pub(super) struct Test {
    user: String,
    /// Read the password from one line of standard input instead of asking for it.
    #[arg(long)]
    stdin: bool,
    /// What to log in to.
    #[arg(long, default_value = "gatepost")]
    service: String,
    /// Where the user comes from, for `allow_nets` and the throttle.
    #[arg(long, value_name = "ADDRESS")]
    remote_ip: Option<IpAddr>,
}

impl Verb {
    pub(super) async fn run(self, connect: impl Future<Output = Result<Client, Failure>>) -> Result<(), Failure> {
        let Self::Test(test) = self;
        let mut client = connect.await?;
        let password = if test.stdin { read_line(std::io::stdin().lock())? } else { ask("Password: ")? };
        let body = json!({
            "user": test.user, "password": *password, "service": test.service, "remote_ip": test.remote_ip,
        });
        match client.send::<LoginAccepted>(Method::POST, "/auth", &body).await {
            Ok(accepted) => {
                output::line(&format!("passdb: {} auth succeeded", test.user))?;
                output::line("extra fields:")?;
                output::line(&format!("  user={}", accepted.user))?;
                accepted.fields.iter().try_for_each(|(key, value)| match value.as_str() {
                    "" => output::line(&format!("  {key}")),
                    value => output::line(&format!("  {key}={value}")),
                })
            }
            Err(Failure::Refused(problem)) => {
                output::line(&format!("passdb: {} auth failed", test.user))?;
                Err(Failure::Refused(problem))
            }
            Err(failure) => Err(failure),
        }
    }
}
