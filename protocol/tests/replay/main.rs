//! Real conversations, recorded from Dovecot, Postfix, Exim and doveadm, replayed through the sessions.
//!
//! The client's bytes come in as recorded, cut at every point in turn and byte by byte. Each line of the recorded
//! server must be said by the session too, by itself or when answered accordingly; where we differ, `expected` of the
//! protocol says how.

mod auth_client;
mod auth_master;
mod dict;
mod socketmap;
mod transcript;

use std::path::Path;

use transcript::{Connection, Line, Peer};

/// A session under replay.
trait Replay {
    fn receive(&mut self, bytes: &[u8]);
    /// Answers what was asked so that the session says this line.
    fn answer(&mut self, recorded: &str);
    /// What of a recorded line is to be said, or nothing.
    fn expected(&self, recorded: &str) -> Option<String>;
    /// Takes the next line that the session has to write.
    fn said(&mut self) -> Option<String>;
}

/// Where the client's bytes are cut.
#[derive(Clone, Copy, Debug)]
enum Cut {
    At(usize),
    Everywhere,
}

impl Cut {
    /// What comes in of these bytes at a time; so many came before them.
    fn chunks(self, bytes: &[u8], before: usize) -> Vec<&[u8]> {
        match self {
            Self::At(at) => {
                let (first, second) = bytes.split_at(at.saturating_sub(before).min(bytes.len()));
                vec![first, second]
            }
            Self::Everywhere => bytes.chunks(1).collect(),
        }
    }
}

/// What the recorded server said after this word.
fn server_field<'a>(connection: &'a Connection, word: &str) -> Option<&'a str> {
    connection.lines.iter().find_map(|line| match line {
        Line::Server(line) => line.strip_prefix(word)?.strip_prefix('\t'),
        Line::Client(_) => None,
    })
}

fn begin(connection: &Connection) -> Box<dyn Replay> {
    match connection.peer {
        Peer::AuthClient => Box::new(auth_client::begin(connection)),
        Peer::AuthMaster => Box::new(auth_master::begin(connection)),
        Peer::Dict => Box::new(dict::begin()),
        Peer::Socketmap => Box::new(socketmap::begin()),
    }
}

fn replay(connection: &Connection, cut: Cut) {
    let mut session = begin(connection);
    let mut received = 0;
    for line in &connection.lines {
        match line {
            Line::Client(bytes) => {
                for chunk in cut.chunks(bytes, received) {
                    session.receive(chunk);
                }
                received += bytes.len();
            }
            Line::Server(recorded) => {
                let said = session.said().or_else(|| {
                    session.expected(recorded)?;
                    session.answer(recorded);
                    session.said()
                });
                let expected = session.expected(recorded);
                assert_eq!(said, expected, "{connection}, cut {cut:?}: recorded {recorded:?}");
            }
        }
    }
    assert_eq!(session.said(), None, "{connection}, cut {cut:?}: and nothing more");
}

fn replay_all(directory: &str, connections: usize) {
    let transcripts = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/transcripts"));
    let recorded = transcript::read(&transcripts.join(directory));
    assert_eq!(recorded.len(), connections, "connections recorded of {directory}");
    for connection in recorded {
        let sent = |line: &Line| if let Line::Client(bytes) = line { bytes.len() } else { 0 };
        let length = connection.lines.iter().map(sent).sum();
        for at in 0..=length {
            replay(&connection, Cut::At(at));
        }
        replay(&connection, Cut::Everywhere);
    }
}

#[test]
fn postfix_is_answered_as_by_dovecot() {
    replay_all("postfix", 9);
}

#[test]
fn exim_is_answered_as_by_dovecot() {
    replay_all("exim", 6);
}

#[test]
fn login_and_mail_processes_are_answered_as_by_dovecot() {
    replay_all("dovecot", 26);
}

#[test]
fn doveadm_is_answered_as_by_dovecot() {
    replay_all("doveadm", 17);
}

#[test]
fn dict_clients_are_answered_as_by_dovecot() {
    replay_all("dict", 38);
}

#[test]
fn socketmap_lookups_are_answered_as_postfix_wants_them() {
    replay_all("socketmap", 5);
}
