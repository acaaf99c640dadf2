//! Reads transcripts: `[connection +seconds] C: line`, or `C: …` without LF for netstrings.

use std::{fmt, fs, path::Path};

/// One connection of a transcript.
pub(crate) struct Connection {
    file: String,
    name: String,
    pub(crate) peer: Peer,
    pub(crate) lines: Vec<Line>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    AuthClient,
    AuthMaster,
    Dict,
    Socketmap,
}

pub(crate) enum Line {
    /// With its end.
    Client(Vec<u8>),
    /// Without.
    Server(String),
}

impl fmt::Display for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.file, self.name)
    }
}

/// All connections of the transcripts in a directory, by file and in their order. What was recorded of a connection
/// only from its middle on is left out.
pub(crate) fn read(directory: &Path) -> Vec<Connection> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("cannot list {directory:?}: {error}"));
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    files.iter().flat_map(|file| read_file(file)).filter(Connection::is_whole).collect()
}

fn read_file(file: &Path) -> Vec<Connection> {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("cannot read {file:?}: {error}"));
    let mut connections: Vec<Connection> = Vec::new();
    for line in text.lines() {
        let (name, line) = match line.strip_prefix('[').and_then(|line| line.split_once("] ")) {
            Some((name, line)) => (name.split(' ').next().unwrap_or_default(), line),
            None => ("socketmap", line),
        };
        let Some(side) = ["C: ", "S: "].into_iter().find(|side| line.starts_with(side)) else {
            continue;
        };
        let mut bytes = unescape(&line[side.len()..]);
        if name != "socketmap" && side == "C: " {
            bytes.push(b'\n');
        }
        let said = if side == "C: " {
            Line::Client(bytes)
        } else {
            Line::Server(String::from_utf8_lossy(&bytes).into_owned())
        };
        match connections.iter_mut().find(|connection| connection.name == name) {
            Some(connection) => connection.lines.push(said),
            None => connections.push(Connection {
                file: file.display().to_string(),
                name: name.to_owned(),
                peer: peer(name),
                lines: vec![said],
            }),
        }
    }
    connections
}

fn peer(name: &str) -> Peer {
    match name.split('#').next() {
        Some("auth-client" | "auth-login") => Peer::AuthClient,
        Some("auth-master" | "auth-userdb") => Peer::AuthMaster,
        Some("dict" | "dictm") => Peer::Dict,
        Some("socketmap") => Peer::Socketmap,
        _ => panic!("unknown kind of connection {name:?}"),
    }
}

impl Connection {
    fn is_whole(&self) -> bool {
        let first: &[u8] = match self.peer {
            Peer::AuthClient | Peer::AuthMaster => b"VERSION\t",
            Peer::Dict => b"H",
            Peer::Socketmap => b"",
        };
        let client = self.lines.iter().find_map(|line| if let Line::Client(bytes) = line { Some(bytes) } else { None });
        client.is_some_and(|bytes| bytes.starts_with(first))
    }
}

/// `\t`, `\n`, `\r`, `\\` and `\xNN`.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend(before.bytes());
        let (escaped, length) = match after.as_bytes() {
            [b't', ..] => (b'\t', 1),
            [b'n', ..] => (b'\n', 1),
            [b'r', ..] => (b'\r', 1),
            [b'\\', ..] => (b'\\', 1),
            [b'x', ..] => match after.get(1..3).map(|digits| u8::from_str_radix(digits, 16)) {
                Some(Ok(byte)) => (byte, 3),
                _ => panic!("no hexadecimal digits in {text:?}"),
            },
            _ => panic!("unknown escape in {text:?}"),
        };
        bytes.push(escaped);
        rest = &after[length..];
    }
    bytes.extend(rest.bytes());
    bytes
}
