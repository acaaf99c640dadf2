//! Whatever Postfix sends, however it is cut: the same queries, and answers that are netstrings.

#![no_main]

use gatepost_protocol::postfix::socketmap::{Answer, SocketmapSession};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (mut whole, ended) = received(data.chunks(data.len().max(1)));
    let (mut cut, ended_cut) = received(data.chunks(1));
    assert_eq!(ended, ended_cut);
    while let Some(query) = whole.next_query() {
        assert_eq!(Some(&query), cut.next_query().as_ref());
        for session in [&mut whole, &mut cut] {
            session.answer(if query.map.is_empty() {
                Answer::Temporary(query.key.clone())
            } else {
                Answer::Found(query.key.clone())
            });
        }
        let output = whole.output().split();
        let colon = output.iter().position(|&byte| byte == b':').expect("a length");
        let length: usize = String::from_utf8_lossy(&output[..colon]).parse().expect("a number");
        assert_eq!(output.len(), colon + 1 + length + 1);
        assert!(output.ends_with(b","));
    }
    assert_eq!(cut.next_query(), None);
});

fn received<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> (SocketmapSession, String) {
    let mut session = SocketmapSession::new();
    let mut ended = Ok(());
    for chunk in chunks {
        ended = ended.and_then(|()| session.receive(chunk));
    }
    (session, ended.map_or_else(|error| error.to_string(), |()| String::new()))
}
