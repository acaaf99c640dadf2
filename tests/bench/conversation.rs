//! What is said on one connection: questions with growing ids, and what the answers to them must be.
//!
//! Auth is asked as an imap-login of Dovecot 2.3.19 does, a dict as its auth does
//! (src/lib-auth/auth-client-request.c, src/lib-dict/dict-client.c).

use std::collections::HashMap;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::time::Instant;

use crate::accounts::{Accounts, PASSWORD, WRONG_PASSWORD};
use crate::store::user;
use crate::{Failure, Outcome};

/// The last line of a greeting.
const GREETED: &[u8] = b"DONE\n";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    RightPassword,
    WrongPassword,
    DictLookup,
}

/// What was heard, and it was right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Verdict,
    NotNow,
}

/// Questions and right answers about every account, made before anything is measured.
#[derive(Debug)]
pub(crate) struct Script {
    question: Question,
    /// What of a question depends on the account alone.
    tails: Vec<String>,
    /// What must be in an answer, about that account.
    expected: Vec<String>,
}

impl Script {
    /// `verified` is whether the server verifies; the floor says OK to everybody.
    pub(crate) fn new(question: Question, accounts: &Accounts, verified: bool) -> Self {
        let password = if question == Question::WrongPassword { WRONG_PASSWORD } else { PASSWORD };
        let (tails, expected) = (0..accounts.count)
            .map(user)
            .map(|user| match question {
                Question::DictLookup => {
                    let hash = if verified { accounts.hash.as_str() } else { "" };
                    (format!("Lshared/passdb/{user}\t{user}\n"), format!("O{{\"password\":\"{hash}\"}}"))
                }
                _ => {
                    let response = STANDARD.encode(format!("\0{user}\0{password}"));
                    let verdict = if question == Question::WrongPassword && verified { "FAIL" } else { "OK" };
                    (format!("\tresp={response}\n"), format!("{verdict}\tuser={user}"))
                }
            })
            .unzip();
        Self { question, tails, expected }
    }

    /// Whether the server, if it speaks first, has said all of its greeting.
    pub(crate) fn is_greeted(&self, heard: &[u8]) -> bool {
        self.question == Question::DictLookup || heard.ends_with(GREETED)
    }

    pub(crate) fn opening(&self, connection: usize) -> String {
        match self.question {
            Question::DictLookup => "H3\t2\t0\t\tauth\n".to_owned(),
            _ => format!("VERSION\t1\t2\nCPID\t{}\n", 1_000_000 + connection),
        }
    }
}

/// One connection's questions that have no answer yet.
#[derive(Debug)]
pub(crate) struct Conversation<'a> {
    script: &'a Script,
    open: HashMap<u32, Open>,
    asked: u32,
    answered: u32,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    account: usize,
    at: Instant,
}

impl<'a> Conversation<'a> {
    pub(crate) fn new(script: &'a Script) -> Self {
        Self { script, open: HashMap::new(), asked: 0, answered: 0 }
    }

    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }

    /// Asks about `account`, as if it came from the address number `number` of a large network.
    pub(crate) fn ask(&mut self, account: usize, number: usize, now: Instant, output: &mut Vec<u8>) -> Outcome<()> {
        let tail = self.script.tails.get(account).ok_or("there is no such account")?;
        self.asked += 1;
        self.open.insert(self.asked, Open { account, at: now });
        if self.script.question != Question::DictLookup {
            let [_, a, b, c, ..] = (number as u32).to_be_bytes();
            write!(
                output,
                "AUTH\t{}\tPLAIN\tservice=imap\tsecured\tsession=c2Vzc2lvbg{number}\tlip=192.0.2.1\trip=10.{a}.{b}.{c}\t\
                 lport=143\trport=40000",
                self.asked
            )?;
        }
        output.extend_from_slice(tail.as_bytes());
        Ok(())
    }

    /// What a line without its ending says, and when it had been asked for; `None` when it says nothing yet.
    pub(crate) fn hear(&mut self, line: &[u8]) -> Outcome<Option<(Heard, Instant)>> {
        let line = str::from_utf8(line)?;
        let (id, answer) = match self.script.question {
            Question::DictLookup => match (line.strip_prefix('+'), line.starts_with('*')) {
                (_, true) => return Ok(None),
                (Some(framed), _) => framed.split_once('\t').ok_or_else(|| wrong("nothing", line))?,
                (None, _) => ("", line),
            },
            _ => {
                let mut fields = line.splitn(3, '\t');
                let (Some(_), Some(id)) = (fields.next(), fields.next()) else { return Err(wrong("nothing", line)) };
                (id, line)
            }
        };
        self.answered += 1;
        let id = if id.is_empty() { self.answered } else { id.parse()? };
        let Open { account, at } = self.open.remove(&id).ok_or_else(|| wrong("no open question", line))?;
        let expected = self.script.expected.get(account).ok_or("there is no such account")?;
        if is_not_now(answer) {
            Ok(Some((Heard::NotNow, at)))
        } else if self.is_right(answer, expected) {
            Ok(Some((Heard::Verdict, at)))
        } else {
            Err(wrong(expected, line))
        }
    }

    fn is_right(&self, answer: &str, expected: &str) -> bool {
        if self.script.question == Question::DictLookup {
            return answer.split('\t').next() == Some(expected);
        }
        let Some((verdict, user)) = expected.split_once('\t') else { return false };
        let mut fields = answer.split('\t');
        // Of a refusal nobody needs to be told whom it is about.
        fields.next() == Some(verdict) && (verdict == "FAIL" || fields.nth(1) == Some(user))
    }
}

fn is_not_now(answer: &str) -> bool {
    answer.starts_with("FAIL\t") && answer.split('\t').any(|field| field == "code=temp_fail")
}

fn wrong(expected: &str, heard: &str) -> Failure {
    format!("wrong answer: {heard:?} where {expected:?} was due").into()
}
