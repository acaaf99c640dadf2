//! Whatever a dict client sends, however it is cut: the same commands, and no reply that would crash it.

#![no_main]

use gatepost_protocol::dovecot::dict::{DictEvent, DictSession};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (mut whole, ended) = received(data.chunks(data.len().max(1)));
    let (mut cut, ended_cut) = received(data.chunks(1));
    assert_eq!(ended, ended_cut);
    assert_eq!(whole.output(), cut.output());
    let mut numbered = false;
    while let Some(event) = whole.next_event() {
        match &event {
            DictEvent::Hello { major, minor, .. } => numbered = *major > 3 || *minor > 0,
            DictEvent::Lookup { serial, key, .. } => whole.found(*serial, key.as_bytes()),
            DictEvent::Iterate(iterate) => {
                whole.row(iterate.serial, &format!("{}x", iterate.path), iterate.user.as_bytes());
                let written = whole.output().len();
                if !iterate.path.is_empty() {
                    whole.row(iterate.serial, "", b"outside the path");
                    assert_eq!(whole.output().len(), written);
                }
                whole.finished(iterate.serial);
            }
            DictEvent::Commit(commit) if commit.changes.is_empty() => whole.uncertain(commit.serial, &commit.user),
            DictEvent::Commit(commit) => whole.committed(commit.serial),
        }
        if numbered {
            assert_eq!(Some(event), cut.next_event());
        }
    }
    assert_eq!(whole.open(), 0, "all is answered");
    for line in whole.output().split_inclusive(|&byte| byte == b'\n') {
        assert!(matches!(line.first(), Some(b'*' | b'+' | b'O' | b'N' | b'F' | b'W' | b'\n')));
        assert!(line.ends_with(b"\n") && !line.contains(&0) && !line.contains(&b'\r'));
    }
});

fn received<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> (DictSession, String) {
    let mut session = DictSession::new();
    let mut ended = Ok(());
    for chunk in chunks {
        ended = ended.and_then(|()| session.receive(chunk));
    }
    (session, ended.map_or_else(|error| error.to_string(), |()| String::new()))
}
