//! The auth master session, told what Dovecot's mail processes and doveadm say.

use gatepost_protocol::dovecot::{
    ProtocolError,
    master::{MasterEvent, MasterSession, Role},
};

const HELLO: &str = "VERSION\t1\t0\n";
const HELLO_2_4: &str = "VERSION\t1\t3\n";
const REQUEST: &str = "REQUEST\t2528641025\t13761\t1\t5fc6b06b47332b9f7c7d69eadae6b41d\tsession_pid=13761\n";

/// A session past its handshake, with these commands taken.
fn session(role: Role, hello: &str, commands: &str) -> MasterSession {
    let mut session = MasterSession::new(role, 7);
    session.output().clear();
    assert_eq!(session.receive(format!("{hello}{commands}").as_bytes()), Ok(()));
    session
}

fn taken(session: &mut MasterSession) -> Vec<u32> {
    std::iter::from_fn(|| session.next_event())
        .map(|event| match event {
            MasterEvent::Request(hand_off) => hand_off.id,
            MasterEvent::User(lookup) | MasterEvent::Pass(lookup) => lookup.id,
            MasterEvent::List { id, .. } | MasterEvent::CacheFlush { id, .. } => id,
        })
        .collect()
}

fn written(session: &mut MasterSession) -> String {
    String::from_utf8_lossy(&session.output().split()).into_owned()
}

fn fields(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn the_greeting_is_two_lines_and_does_not_wait() {
    let mut session = MasterSession::new(Role::Master, 13597);
    assert_eq!(written(&mut session), "VERSION\t1\t1\nSPID\t13597\n");
    assert!(!session.dovecot_24());
    assert_eq!(session.minor(), None);
}

#[test]
fn version_comes_first_and_its_major_is_1() {
    for (first, expected) in [
        ("USER\t1\tann\tservice=lmtp\n", "expected VERSION first, not USER"),
        ("VERSION\t2\t0\n", "the peer speaks version 2 of the protocol, which is not ours"),
        ("\n", "expected VERSION first, not an empty line"),
    ] {
        let mut session = MasterSession::new(Role::Userdb, 7);
        let error = session.receive(first.as_bytes()).map_err(|error| error.to_string());
        assert_eq!(error, Err(expected.to_owned()));
        assert!(session.hangs_up());
    }
}

#[test]
fn a_claimed_login_is_answered_with_the_user() {
    let mut session = session(Role::Master, HELLO, REQUEST);
    assert_eq!(taken(&mut session), [2_528_641_025]);
    let user = fields(&[("uid", "5000"), ("home", "/srv/a\tb"), ("mail_plugins", ""), ("anonymous", "")]);
    assert_eq!(session.user(2_528_641_025, "ann", &user), Ok(()));
    let expected = "USER\t2528641025\tann\tuid=5000\thome=/srv/a\x01tb\tmail_plugins=\tanonymous\n";
    assert_eq!(written(&mut session), expected);
    assert_eq!(session.open(), 0);
}

#[test]
fn a_hand_off_without_a_proper_cookie_fails_by_itself() {
    let mut session = session(Role::Master, HELLO, "REQUEST\t9\t1\t1\tnonsense\n");
    assert!(taken(&mut session).is_empty());
    assert_eq!(written(&mut session), "FAIL\t9\n");
}

#[test]
fn each_command_is_answered_once_and_only_in_kind() {
    let commands = "USER\t1\tann\tservice=lmtp\nPASS\t2\tann\tservice=imap\nCACHE-FLUSH\t3\nLIST\t4\n";
    let mut session = session(Role::Master, HELLO, commands);
    assert_eq!(taken(&mut session), [1, 2, 3, 4]);
    assert_eq!(session.pass(1, "ann", &[]), Ok(()));
    assert_eq!(session.user(2, "ann", &[]), Ok(()));
    session.flushed(1, 1);
    session.list_row(3, "ann");
    session.list_done(2, true);
    session.not_found(3);
    session.not_found(4);
    session.fail(5, None);
    assert_eq!(written(&mut session), "", "no answer is of the kind that was asked for");

    session.not_found(1);
    session.fail(2, Some("Not\nnow"));
    session.flushed(3, 12);
    session.list_done(4, true);
    assert_eq!(written(&mut session), "NOTFOUND\t1\nFAIL\t2\treason=Not now\nOK\t3\t12\nDONE\t4\t\n");

    session.not_found(1);
    session.fail(2, None);
    session.flushed(3, 0);
    session.list_done(4, false);
    assert_eq!(written(&mut session), "", "and none is given twice");
}

#[test]
fn flags_of_a_pass_are_bare_to_2_3() {
    for (hello, nologin) in [(HELLO, "nologin"), (HELLO_2_4, "nologin=")] {
        let mut session = session(Role::Userdb, hello, "PASS\t1\tAnn\tservice=lmtp\n");
        assert_eq!(session.pass(1, "ann", &fields(&[("nologin", ""), ("reason", "Suspended")])), Ok(()));
        assert_eq!(written(&mut session), format!("PASS\t1\tuser=ann\t{nologin}\treason=Suspended\n"));
        assert_eq!(session.dovecot_24(), hello == HELLO_2_4);
    }
}

#[test]
fn a_reply_the_client_cannot_read_is_not_written() {
    let mut session = session(Role::Userdb, HELLO, "USER\t1\tann\tservice=lmtp\n");
    let most = MasterSession::LONGEST_REPLY - "USER\t1\tann\thome=".len();
    assert!(session.user(1, "ann", &fields(&[("home", &"x".repeat(most + 1))])).is_err());
    assert_eq!(written(&mut session), "");
    assert_eq!(session.open(), 1, "it is still to be answered");
    assert_eq!(session.user(1, "ann", &fields(&[("home", &"x".repeat(most))])), Ok(()));
    assert_eq!(written(&mut session).len(), 8192);
}

#[test]
fn users_are_listed_row_by_row() {
    let mut session = session(Role::Userdb, HELLO, "LIST\t1\tuser=a*\tservice=doveadm\n");
    let event = session.next_event();
    assert_eq!(event, Some(MasterEvent::List { id: 1, mask: Some("a*".to_owned()) }));
    session.list_row(1, "ann");
    session.list_row(1, "al\tex");
    session.list_done(1, true);
    assert_eq!(written(&mut session), "LIST\t1\tann\nLIST\t1\tal\x01tex\nDONE\t1\t\n");
}

#[test]
fn a_second_list_fails_while_the_first_goes_on() {
    let mut session = session(Role::Userdb, HELLO, "LIST\t1\nLIST\t2\n");
    assert_eq!(taken(&mut session), [1]);
    session.list_done(1, false);
    assert_eq!(written(&mut session), "DONE\t2\tfail\nDONE\t1\tfail\n");
    assert_eq!(session.receive(b"LIST\t2\n"), Ok(()));
    assert_eq!(taken(&mut session), [2]);
}

#[test]
fn whatever_ends_a_session_fails_what_is_open_for_the_moment() {
    let commands = "USER\t1\tann\tservice=lmtp\nLIST\t2\nPASS\t3\tann\tservice=imap\n";
    let expected = "FAIL\t1\nDONE\t2\tfail\nFAIL\t3\n";
    let mut drained = session(Role::Userdb, HELLO, commands);
    drained.close();
    assert_eq!(written(&mut drained), expected);
    assert!(drained.hangs_up());

    let mut broken = session(Role::Userdb, HELLO, commands);
    assert!(matches!(broken.receive(REQUEST.as_bytes()), Err(ProtocolError::UnknownCommand(_))));
    assert_eq!(written(&mut broken), expected);
    assert!(broken.hangs_up());
    assert!(broken.next_event().is_none());

    let mut broken = session(Role::Userdb, HELLO, commands);
    let reused = Err(ProtocolError::Reused { command: "USER", id: 3 });
    assert_eq!(broken.receive(b"USER\t3\tbob\tservice=lmtp\n"), reused);
}

#[test]
fn many_open_commands_stop_the_reading_and_too_many_the_session() {
    let mut session = session(Role::Userdb, HELLO, "");
    let lookups = |ids: std::ops::RangeInclusive<u32>| -> String {
        ids.map(|id| format!("USER\t{id}\tann\tservice=lmtp\n")).collect()
    };
    assert_eq!(session.receive(lookups(1..=256).as_bytes()), Ok(()));
    assert!(!session.wants_input());
    session.not_found(1);
    assert!(session.wants_input());
    let flood = session.receive(lookups(257..=9000).as_bytes());
    assert_eq!(flood, Err(ProtocolError::TooMany { what: "commands", limit: 8192 }));
}

#[test]
fn a_client_that_does_not_read_is_not_read_from() {
    let mut session = session(Role::Userdb, HELLO, "LIST\t1\n");
    while session.wants_input() {
        session.list_row(1, "ann@example.org");
    }
    assert!(session.output().len() > MasterSession::MAX_UNREAD);
    session.output().clear();
    assert!(session.wants_input());
}
