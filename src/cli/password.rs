//! `gatepost passwd` and `gatepost logout`; and where a password comes from: never the command line, which others see.

use std::collections::BTreeMap;
use std::future::Future;
use std::io::BufRead;

use clap::Args;
use hyper::Method;
use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

use super::client::segment;
use super::{Client, Failure, output, receipt};
use crate::web::{Ended, PasswordSet};

/// Longest line that is read; the longest password and the longest hash are shorter.
const LINE_LIMIT: u64 = 8192;

/// Without any of these the password is asked for, twice.
#[derive(Clone, Copy, Debug, Args)]
#[group(multiple = false)]
pub(super) struct PasswordSource {
    /// Read the password from one line of standard input.
    #[arg(long)]
    stdin: bool,
    /// Make a password and print it.
    #[arg(long)]
    generate: bool,
    /// Read a `{SCHEME}…` hash from one line of standard input.
    #[arg(long)]
    hash_stdin: bool,
}

/// `gatepost passwd USER`.
#[derive(Debug, Args)]
pub(super) struct Passwd {
    user: String,
    #[command(flatten)]
    password: PasswordSource,
    #[arg(long)]
    json: bool,
}

/// `gatepost logout USER`.
#[derive(Debug, Args)]
pub(super) struct Logout {
    #[command(flatten)]
    whom: Whom,
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Whom {
    user: Option<String>,
    /// Everyone, of all domains: after a store was restored from a backup.
    #[arg(long)]
    all: bool,
}

/// A password as the API takes it: one field, under the name that fits.
pub(super) struct Given {
    field: &'static str,
    /// `None` asks for one to be generated.
    text: Option<Zeroizing<String>>,
}

impl Serialize for Given {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.text {
            Some(text) => BTreeMap::from([(self.field, text.as_str())]).serialize(serializer),
            None => BTreeMap::from([(self.field, true)]).serialize(serializer),
        }
    }
}

impl PasswordSource {
    /// `chosen` is what the API calls a password in the clear here.
    pub(super) fn read(self, chosen: &'static str) -> Result<Given, Failure> {
        if self.generate {
            Ok(Given { field: "generate", text: None })
        } else if self.hash_stdin {
            Ok(Given { field: "hash", text: Some(read_line(std::io::stdin().lock())?) })
        } else if self.stdin {
            Ok(Given { field: chosen, text: Some(read_line(std::io::stdin().lock())?) })
        } else {
            Ok(Given { field: chosen, text: Some(ask_twice()?) })
        }
    }
}

impl Passwd {
    pub(super) async fn run(self, connect: impl Future<Output = Result<Client, Failure>>) -> Result<(), Failure> {
        let mut client = connect.await?;
        let given = self.password.read("new")?;
        let path = format!("/accounts/{}/password", segment(&self.user));
        let set: PasswordSet = client.send(Method::PUT, &path, &given).await?;
        if self.json {
            return output::json(&set);
        }
        announce(set.password.as_deref())?;
        output::line(&format!("password of {} set, generation {}", self.user, set.generation))?;
        receipt::print(&set.receipt)
    }
}

impl Logout {
    pub(super) async fn run(self, client: &mut Client) -> Result<(), Failure> {
        let path = match &self.whom.user {
            Some(user) => format!("/accounts/{}/logout", segment(user)),
            None => "/logout".to_owned(),
        };
        let ended: Ended = client.send(Method::POST, &path, &()).await?;
        if self.json {
            return output::json(&ended);
        }
        let whom = self.whom.user.as_deref().unwrap_or("everyone");
        output::line(&format!("{whom} logged out everywhere, generation {}", ended.generation))?;
        receipt::print(&ended.receipt)
    }
}

/// Prints a password that was generated, on a line of its own, first.
pub(super) fn announce(generated: Option<&str>) -> Result<(), Failure> {
    generated.map_or(Ok(()), output::line)
}

/// One line; one trailing LF or CRLF is not part of it.
pub(super) fn read_line(input: impl BufRead) -> Result<Zeroizing<String>, Failure> {
    let mut bytes = Zeroizing::new(Vec::new());
    input
        .take(LINE_LIMIT)
        .read_until(b'\n', &mut bytes)
        .map_err(|error| Failure::Usage(format!("cannot read standard input: {error}")))?;
    if bytes.is_empty() {
        return Err(Failure::Usage("standard input is empty; one line with the password was expected".to_owned()));
    }
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let line = line.strip_suffix(b"\r").filter(|_| bytes.ends_with(b"\n")).unwrap_or(line);
    let text = std::str::from_utf8(line)
        .map_err(|_| Failure::No("a password is UTF-8; what came on standard input is not".to_owned()))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// Asks for a password on the terminal.
pub(super) fn ask(prompt: &str) -> Result<Zeroizing<String>, Failure> {
    rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(|error| {
        Failure::Usage(format!("cannot ask for the password on the terminal: {error}; use --stdin or --generate"))
    })
}

fn ask_twice() -> Result<Zeroizing<String>, Failure> {
    let first = ask("New password: ")?;
    if *first == *ask("The same again: ")? {
        Ok(first)
    } else {
        Err(Failure::No("the two passwords are not the same; nothing was changed".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_end_is_removed_and_nothing_else() {
        for (input, password) in [
            ("secret", "secret"),
            ("secret\n", "secret"),
            ("secret\r\n", "secret"),
            ("secret\r", "secret\r"),
            (" secret \nmore\n", " secret "),
            ("secret\r\r\n", "secret\r"),
            ("\n", ""),
        ] {
            let line = read_line(input.as_bytes());
            assert_eq!(line.ok().as_deref().map(String::as_str), Some(password), "{input:?}");
        }
    }

    #[test]
    fn no_line_is_not_an_empty_password() {
        assert!(matches!(read_line(&b""[..]), Err(Failure::Usage(_))));
    }

    #[test]
    fn what_is_not_utf_8_is_said_to_be_so() {
        assert!(matches!(read_line(&b"\xff\n"[..]), Err(Failure::No(_))));
    }

    #[test]
    fn a_password_is_sent_under_its_name() {
        let text = |given: &Given| serde_json::to_string(given).ok();
        let chosen = Given { field: "new", text: Some(Zeroizing::new("s".to_owned())) };
        assert_eq!(text(&chosen).as_deref(), Some(r#"{"new":"s"}"#));
        assert_eq!(text(&Given { field: "generate", text: None }).as_deref(), Some(r#"{"generate":true}"#));
    }
}
