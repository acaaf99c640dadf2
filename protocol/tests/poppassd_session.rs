//! The poppassd session, told what webmails say, and what they do not.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use gatepost_protocol::Secret;
use gatepost_protocol::poppassd::{OutOfPlace, PoppassdEvent, PoppassdSession};

/// An event that can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Asked {
    Current(String, Vec<u8>),
    New(Vec<u8>),
}

impl From<PoppassdEvent> for Asked {
    fn from(event: PoppassdEvent) -> Self {
        let bytes = |password: Secret| password.expose().to_vec();
        match event {
            PoppassdEvent::Current { user, password } => Self::Current(user, bytes(password)),
            PoppassdEvent::New { password } => Self::New(bytes(password)),
        }
    }
}

fn current(user: &str, password: &[u8]) -> Option<Asked> {
    Some(Asked::Current(user.to_owned(), password.to_vec()))
}

fn new(password: &[u8]) -> Option<Asked> {
    Some(Asked::New(password.to_vec()))
}

struct Talk(PoppassdSession);

impl Talk {
    /// Past the greeting.
    fn begin() -> Self {
        let mut talk = Self(PoppassdSession::new());
        assert!(talk.heard().starts_with("200 "));
        talk
    }

    fn says(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), OutOfPlace> {
        self.0.receive(bytes.as_ref())
    }

    fn asked(&mut self) -> Option<Asked> {
        self.0.next_event().map(Asked::from)
    }

    fn heard(&mut self) -> String {
        String::from_utf8(self.0.output().split().to_vec()).expect("replies are text")
    }

    /// The codes of the lines that were heard; each line is one that webmails can show.
    fn codes(&mut self) -> Vec<String> {
        let heard = self.heard();
        assert!(heard.is_empty() || heard.ends_with("\r\n"), "{heard:?}");
        let code = |line: &str| {
            let (code, text) = line.split_once(' ').expect("a code and a text");
            assert!(!text.trim().is_empty() && !text.contains(char::is_control), "{line:?}");
            code.to_owned()
        };
        heard.split_terminator("\r\n").map(code).collect()
    }
}

#[test]
fn a_webmail_is_led_from_name_to_new_password() {
    for end in ["\n", "\r\n"] {
        let mut talk = Talk::begin();
        assert_eq!(talk.says(format!("user ann@example.org{end}")), Ok(()));
        assert_eq!((talk.asked(), talk.codes()), (None, vec!["300".to_owned()]));
        assert_eq!(talk.says(format!("pass Secret-a1{end}")), Ok(()));
        assert_eq!(talk.asked(), current("ann@example.org", b"Secret-a1"));
        talk.0.accept("Yes.");
        assert_eq!(talk.codes(), ["200"]);
        assert_eq!(talk.says(format!("newpass Secret-a2{end}")), Ok(()));
        assert_eq!(talk.asked(), new(b"Secret-a2"));
        talk.0.accept("Yes.");
        assert_eq!((talk.codes(), talk.0.hangs_up()), (vec!["200".to_owned()], false));
        assert_eq!(talk.says(format!("quit{end}")), Ok(()));
        assert_eq!((talk.codes(), talk.0.hangs_up()), (vec!["200".to_owned()], true));
    }
}

#[test]
fn a_password_is_all_that_follows_the_one_space() {
    let cases: [(&[u8], &[u8]); 8] = [
        (b"pass s3cret", b"s3cret"),
        (b"PASS  two  words ", b" two  words "),
        (b"Pass \"quoted\"", b"\"quoted\""),
        (b"pass pass newpass", b"pass newpass"),
        (b"pass \ttab", b"\ttab"),
        (b"pass \xff\x00\r", b"\xff\x00"),
        (b"pass ", b""),
        (b"pass", b""),
    ];
    for (line, password) in cases {
        let mut talk = Talk::begin();
        assert_eq!(talk.says(b"USER  ann \n"), Ok(()));
        assert_eq!(talk.says([line, b"\n"].concat()), Ok(()));
        assert_eq!(talk.asked(), current("ann", password), "{}", line.escape_ascii());
    }
}

#[test]
fn questions_are_handed_out_one_by_one_however_the_bytes_come() {
    let sent = b"user ann\r\npass one\nnewpass two\r\nquit\nuser eve\npass x\n";
    for first in 0..=sent.len() {
        for second in [first, sent.len()] {
            let mut talk = Talk::begin();
            for chunk in [&sent[..first], &sent[first..second], &sent[second..]] {
                assert_eq!(talk.says(chunk), Ok(()));
            }
            assert_eq!(talk.codes(), ["300"]);
            assert_eq!((talk.asked(), talk.asked()), (current("ann", b"one"), None));
            talk.0.accept("Yes.");
            assert_eq!((talk.codes(), talk.0.hangs_up()), (vec!["200".to_owned()], false));
            assert_eq!((talk.asked(), talk.asked()), (new(b"two"), None));
            talk.0.accept("Yes.");
            assert_eq!((talk.codes(), talk.0.hangs_up()), (vec!["200".to_owned(); 2], true), "changed, and goodbye");
            assert_eq!(talk.asked(), None, "what comes after quit is not heard");
        }
    }
}

#[test]
fn no_and_not_now_end_the_session_with_what_is_still_to_be_asked() {
    type Answer = fn(&mut PoppassdSession);
    let answers: [(Answer, &str); 2] = [
        (|session| session.refuse("The current password\r\nis wrong."), "500 The current password  is wrong.\r\n"),
        (|session| session.put_off("Try again."), "400 Try again.\r\n"),
    ];
    for (answer, expected) in answers {
        let mut talk = Talk::begin();
        assert_eq!(talk.says("user ann\npass one\nnewpass two\nquit\n"), Ok(()));
        assert!(talk.asked().is_some());
        talk.heard();
        answer(&mut talk.0);
        assert_eq!((talk.heard().as_str(), talk.0.hangs_up(), talk.asked()), (expected, true, None));
        assert_eq!(talk.says("quit\nuser ann\nGET / HTTP/1.1\n"), Ok(()));
        talk.0.accept("Yes.");
        assert_eq!(talk.heard(), "", "nothing is said after it");
    }
}

#[test]
fn a_line_out_of_place_is_refused_and_ends_the_session() {
    let cases = [
        ("", "GET / HTTP/1.1\r\nHost: x\r\n\r\nuser ann\npass one\nnewpass two\n", "user"),
        ("", "\n", "user"),
        ("", "pass one\n", "user"),
        ("", "newpass two\n", "user"),
        ("", "user\tann\n", "user"),
        ("", " user ann\n", "user"),
        ("", "help\n", "user"),
        ("user ann\n", "user eve\n", "pass"),
        ("user ann\n", "newpass two\n", "pass"),
        ("user ann\npass one\n", "pass one\n", "newpass"),
        ("user ann\npass one\n", "user eve\n", "newpass"),
        ("user ann\npass one\nnewpass two\n", "newpass three\n", "quit"),
        ("user ann\npass one\nnewpass two\n", "user ann\n", "quit"),
    ];
    for (before, line, turn) in cases {
        let mut talk = Talk::begin();
        assert_eq!(talk.says(before), Ok(()));
        talk.heard();
        match talk.says(line) {
            Err(OutOfPlace::Unexpected { expected, .. }) => assert_eq!(expected, turn, "{before:?} {line:?}"),
            other => panic!("{before:?} {line:?}: {other:?}"),
        }
        assert_eq!((talk.codes(), talk.0.hangs_up()), (vec!["500".to_owned()], true), "{before:?} {line:?}");
        assert_eq!(talk.asked(), None, "nothing is asked any more: {before:?} {line:?}");
    }
}

#[test]
fn a_line_without_end_is_refused() {
    let mut talk = Talk::begin();
    assert_eq!(talk.says("user ann\n"), Ok(()));
    talk.heard();
    assert!(matches!(talk.says(format!("pass {}", "x".repeat(4096))), Err(OutOfPlace::TooLong(_))));
    assert_eq!((talk.heard().as_str(), talk.0.hangs_up()), ("500 That is too long.\r\n", true));
}

#[test]
fn quit_is_answered_at_any_time() {
    for before in ["", "user ann\n"] {
        let mut talk = Talk::begin();
        assert_eq!(talk.says(before), Ok(()));
        talk.heard();
        assert_eq!(talk.says("QUIT now\n"), Ok(()));
        assert_eq!((talk.heard().as_str(), talk.0.hangs_up()), ("200 Goodbye.\r\n", true), "{before:?}");
    }
}

/// A line out of its turn may be a password.
#[test]
fn neither_a_session_nor_an_error_shows_what_was_sent() {
    let mut session = PoppassdSession::new();
    session.receive(b"user ann\npass s3cret\nnewpass s3cret\n").expect("in order");
    assert!(!format!("{session:?} {:?}", session.next_event()).contains("s3cret"));
    let error = session.receive(b"s3cret\n").expect_err("out of place");
    assert_eq!(error.to_string(), "expected `quit`, not a line of 6 bytes that begins otherwise");
}
