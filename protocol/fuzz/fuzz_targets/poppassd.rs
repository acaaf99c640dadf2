//! Whatever a webmail sends, however it is cut: the same questions, and replies of one line that can be shown.

#![no_main]

use gatepost_protocol::poppassd::{PoppassdEvent, PoppassdSession};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (mut whole, ended) = received(data.chunks(data.len().max(1)));
    let (mut cut, ended_cut) = received(data.chunks(1));
    assert_eq!(ended, ended_cut);
    while let Some(event) = whole.next_event() {
        let other = cut.next_event().expect("as many questions");
        for session in [&mut whole, &mut cut] {
            match &event {
                PoppassdEvent::Current { user, .. } if user.is_empty() => session.put_off(""),
                PoppassdEvent::Current { .. } => session.accept("c\u{85}"),
                PoppassdEvent::New { password } if password.expose().is_empty() => session.refuse("a\r\n200 b"),
                PoppassdEvent::New { .. } => session.accept("c\u{85}"),
            }
        }
        assert_eq!(shown(event), shown(other));
    }
    assert!(cut.next_event().is_none());
    assert_eq!(whole.hangs_up(), cut.hangs_up());
    assert_eq!(whole.output(), cut.output());
    let replies = whole.output().split();
    assert!(replies.ends_with(b"\r\n"));
    for reply in String::from_utf8_lossy(&replies).split_terminator("\r\n") {
        let code = ["200 ", "300 ", "400 ", "500 "].iter().any(|code| reply.starts_with(code));
        assert!(code && !reply.contains(char::is_control), "{reply:?}");
    }
});

fn received<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> (PoppassdSession, String) {
    let mut session = PoppassdSession::new();
    let mut ended = Ok(());
    for chunk in chunks {
        ended = ended.and_then(|()| session.receive(chunk));
    }
    (session, ended.map_or_else(|error| error.to_string(), |()| String::new()))
}

fn shown(event: PoppassdEvent) -> (Option<String>, Vec<u8>) {
    match event {
        PoppassdEvent::Current { user, password } => (Some(user), password.expose().to_vec()),
        PoppassdEvent::New { password } => (None, password.expose().to_vec()),
    }
}
