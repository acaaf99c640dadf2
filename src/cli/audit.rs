//! `gatepost audit`: the change log, newest first.

use clap::Args;
use jiff::Timestamp;

use super::client::segment;
use super::values::parse_time;
use super::{Client, Failure, output};
use crate::web::{Audit, RowView};

/// Rows that are shown unless more are asked for.
const SHOWN: usize = 100;
/// Rows that one answer may have.
const PAGE: usize = 1000;

#[derive(Debug, Args)]
pub(super) struct List {
    /// Only what happened to this account.
    #[arg(long)]
    user: Option<String>,
    /// Only what happened to this domain and its accounts.
    #[arg(long)]
    domain: Option<String>,
    /// Only changes of this kind: password-set, logged-out, disabled, …
    #[arg(long)]
    kind: Option<String>,
    /// Only what this author did: uid:0, token:NAME, or an address.
    #[arg(long)]
    who: Option<String>,
    /// Only what came through this door: api, command, poppassd, import, login, gatepost.
    #[arg(long)]
    door: Option<String>,
    /// At this time or later: 2026-01-31, or 2026-01-31T12:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<Timestamp>,
    /// Before this time.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: Option<Timestamp>,
    /// At most so many rows, the newest.
    #[arg(long, value_name = "ROWS", default_value_t = SHOWN)]
    limit: usize,
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) async fn run(self, client: &mut Client) -> Result<(), Failure> {
        let mut rows: Vec<RowView> = Vec::new();
        let mut before = None;
        while rows.len() < self.limit {
            let page: Audit = client.get(&self.path(before, self.limit - rows.len())).await?;
            rows.extend(page.rows);
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        rows.truncate(self.limit);
        if self.json { output::json(&rows) } else { print(rows) }
    }

    fn path(&self, before: Option<u64>, wanted: usize) -> String {
        let parameters = [
            ("user", self.user.clone()),
            ("domain", self.domain.clone()),
            ("kind", self.kind.clone()),
            ("who", self.who.clone()),
            ("door", self.door.clone()),
            ("since", self.since.map(|time| time.to_string())),
            ("until", self.until.map(|time| time.to_string())),
            ("before", before.map(|number| number.to_string())),
            ("limit", Some(wanted.min(PAGE).to_string())),
        ];
        let given = parameters.iter().filter_map(|(key, value)| Some(format!("{key}={}", segment(value.as_ref()?))));
        format!("/audit?{}", given.collect::<Vec<_>>().join("&"))
    }
}

fn print(rows: Vec<RowView>) -> Result<(), Failure> {
    let row = |row: RowView| {
        let subject = match row.credential {
            Some(credential) => format!("{} ({credential})", row.subject),
            None => row.subject,
        };
        [
            row.number.to_string(),
            row.at,
            row.kind.to_string(),
            subject,
            row.who,
            row.door.as_str().to_owned(),
            row.origin.unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = rows.into_iter().map(row).collect();
    output::table(["ROW", "AT", "CHANGE", "OF", "BY", "DOOR", "FROM"], &rows)
}
