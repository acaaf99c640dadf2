//! Whatever a mail process sends, however it is cut: the same commands, each answered in a line that fits its buffer.

#![no_main]

use gatepost_protocol::dovecot::master::{MasterEvent, MasterSession, Role};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (mut whole, ended) = received(data.chunks(data.len().max(1)));
    let (mut cut, ended_cut) = received(data.chunks(1));
    assert_eq!(ended, ended_cut);
    assert_eq!(whole.output(), cut.output());
    while let Some(event) = whole.next_event() {
        assert_eq!(Some(&event), cut.next_event().as_ref());
        match event {
            MasterEvent::Request(hand_off) => whole.fail(hand_off.id, Some("reason\nwith\tTAB")),
            MasterEvent::User(lookup) => {
                let fields = [("home".to_owned(), lookup.info.service.repeat(2))];
                if whole.user(lookup.id, &lookup.user, &fields).is_err() {
                    whole.not_found(lookup.id);
                }
            }
            MasterEvent::Pass(lookup) => {
                if whole.pass(lookup.id, &lookup.user, &[("nologin".to_owned(), String::new())]).is_err() {
                    whole.fail(lookup.id, None);
                }
            }
            MasterEvent::List { id, mask } => {
                whole.list_row(id, mask.as_deref().unwrap_or_default());
                whole.list_done(id, true);
            }
            MasterEvent::CacheFlush { id, users } => whole.flushed(id, users.len() as u64),
        }
    }
    assert_eq!(whole.open(), 0, "all is answered");
    for line in whole.output().split_inclusive(|&byte| byte == b'\n') {
        let words = [&b"USER\t"[..], b"PASS\t", b"NOTFOUND\t", b"FAIL\t", b"LIST\t", b"DONE\t", b"OK\t"];
        assert!(words.iter().any(|word| line.starts_with(word)), "{}", line.escape_ascii());
        assert!(line.ends_with(b"\n") && line.len() <= 8192 && !line.contains(&0) && !line.contains(&b'\r'));
    }
});

fn received<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> (MasterSession, String) {
    let mut session = MasterSession::new(Role::Master, 7);
    session.output().clear();
    let mut ended = Ok(());
    for chunk in chunks {
        ended = ended.and_then(|()| session.receive(chunk));
    }
    (session, ended.map_or_else(|error| error.to_string(), |()| String::new()))
}
