//! Whatever a client sends, however it is cut: the same logins, and lines that every client can read.

#![no_main]

use std::time::{Duration, Instant};

use gatepost_protocol::dovecot::{
    Cookie, Handshake,
    client::{ClientEvent, ClientSession, Reply},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let now = Instant::now();
    let (mut whole, ended) = received(data.chunks(data.len().max(1)), now);
    let (mut cut, ended_cut) = received(data.chunks(1), now);
    assert_eq!(ended, ended_cut);
    assert_eq!(whole.output(), cut.output());
    while let Some(event) = whole.next_event() {
        assert_eq!(format!("{event:?}"), format!("{:?}", cut.next_event().expect("as many events")));
        if let ClientEvent::Login(login) = event {
            let reply = match login.id % 3 {
                0 => Reply::TryLater,
                1 => Reply::Refuse { user: Some(login.username), code: None, reason: login.info.session },
                _ => Reply::Accept { user: login.username, fields: vec![("nologin".to_owned(), String::new())] },
            };
            whole.reply(login.id, reply);
        }
    }
    whole.expire(now + Duration::from_secs(150));
    assert_eq!(whole.open(), 0, "all is answered or forgotten");
    for line in whole.output().split_inclusive(|&byte| byte == b'\n') {
        let words = [&b"OK\t"[..], b"FAIL\t", b"CONT\t", b"CANCELLED\t"];
        assert!(words.iter().any(|word| line.starts_with(word)), "{}", line.escape_ascii());
        assert!(line.ends_with(b"\n") && line.len() <= 16_385 && !line.contains(&0) && !line.contains(&b'\r'));
    }
});

fn received<'a>(chunks: impl Iterator<Item = &'a [u8]>, now: Instant) -> (ClientSession, String) {
    let mut session = ClientSession::new(Handshake { server_pid: 7, connection: 1, cookie: Cookie::new([0; 16]) });
    session.output().clear();
    let mut ended = Ok(());
    for chunk in chunks {
        ended = ended.and_then(|()| session.receive(chunk, now));
    }
    (session, ended.map_or_else(|error| error.to_string(), |()| String::new()))
}
