//! Writes what the recorded clients sent as seeds of the fuzz targets.

#[path = "../tests/replay/transcript.rs"]
mod transcript;

use std::{fs, io, path::Path};

use transcript::{Line, Peer};

/// As Roundcube says it; no transcript has that.
const CHANGE: &[u8] = b"user ann@example.org\r\npass Secret-a1\r\nnewpass Secret-a2\r\nquit\r\n";

/// An answer to who, with the tag that is asked for.
const SESSIONS: &[u8] =
    br#"[["doveadmResponse",[{"username":"ann@example.org","service":"imap","pid":"41","ip":"192.0.2.1"}],"0"]]"#;

fn main() -> io::Result<()> {
    let transcripts = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/transcripts"));
    let corpus = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus"));
    for directory in ["postfix", "exim", "dovecot", "doveadm", "dict", "socketmap"] {
        for (number, connection) in transcript::read(&transcripts.join(directory)).into_iter().enumerate() {
            println!("{connection}");
            let target = corpus.join(match connection.peer {
                Peer::AuthClient => "client_session",
                Peer::AuthMaster => "master_session",
                Peer::Dict => "dict_session",
                Peer::Socketmap => "socketmap",
            });
            let mut sent = Vec::new();
            for line in connection.lines {
                match line {
                    Line::Client(bytes) => sent.extend(bytes),
                    // The codecs get what servers write.
                    Line::Server(line) => {
                        write(&corpus.join("codecs"), &line.replace(['\t', '\x01'], "-"), line.as_bytes())?
                    }
                }
            }
            write(&target, &format!("{directory}-{number}"), &sent)?;
        }
    }
    write(&corpus.join("codecs"), "sessions", SESSIONS)?;
    write(&corpus.join("poppassd"), "change", CHANGE)
}

fn write(directory: &Path, name: &str, seed: &[u8]) -> io::Result<()> {
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(80).collect();
    fs::create_dir_all(directory)?;
    fs::write(directory.join(name), seed)
}
