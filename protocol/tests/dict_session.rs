//! The dict session, told what Dovecot's auth worker, plugins and doveadm say.

use gatepost_protocol::dovecot::{
    ProtocolError,
    dict::{Change, Commit, DictEvent, DictSession},
};

const DOVECOT_2_3: &str = "H3\t2\t0\t\tauth\n";
/// The first version with numbers.
const NUMBERED: &str = "H3\t1\t0\t\tauth\n";
const DOVECOT_2_4: &str = "H4\t0\t0\t\tauth\n";
/// Knows no numbers.
const ANCIENT: &str = "H3\t0\t0\t\tauth\n";

/// A session past its hello, with these commands received.
fn session(hello: &str, commands: &str) -> DictSession {
    let mut session = DictSession::new();
    assert_eq!(session.receive(format!("{hello}{commands}").as_bytes()), Ok(()));
    assert!(matches!(session.next_event(), Some(DictEvent::Hello { .. })));
    session
}

fn taken(session: &mut DictSession) -> Vec<u32> {
    std::iter::from_fn(|| session.next_event())
        .map(|event| match event {
            DictEvent::Lookup { serial, .. } => serial,
            DictEvent::Iterate(iterate) => iterate.serial,
            DictEvent::Commit(commit) => commit.serial,
            DictEvent::Hello { .. } => 0,
        })
        .collect()
}

fn written(session: &mut DictSession) -> String {
    String::from_utf8_lossy(&session.output().split()).into_owned()
}

#[test]
fn the_hello_is_not_answered() {
    for (hello, major, minor) in [(DOVECOT_2_3, 3, 2), (DOVECOT_2_4, 4, 0)] {
        let mut session = DictSession::new();
        assert_eq!(session.receive(hello.as_bytes()), Ok(()));
        assert_eq!(session.next_event(), Some(DictEvent::Hello { name: "auth".to_owned(), major, minor }));
        assert_eq!(written(&mut session), "");
    }
}

#[test]
fn lookups_are_numbered_as_they_come_and_answered_in_any_order() {
    for hello in [NUMBERED, DOVECOT_2_3, DOVECOT_2_4] {
        let mut session = session(hello, "Lpriv/a\tann\nLpriv/b\tann\nLpriv/c\tann\n");
        assert_eq!(taken(&mut session), [1, 2, 3]);
        assert_eq!(written(&mut session), "*1\n*2\n*3\n");
        session.not_found(3);
        session.found(1, b"blue\ttab\nnl");
        session.failed(2, "out\nof order");
        assert_eq!(written(&mut session), "+3\tN\n+1\tOblue\x01ttab\x01nnl\n+2\tFout of order\n");
        assert_eq!(session.open(), 0);
    }
}

#[test]
fn a_client_without_numbers_is_served_one_at_a_time() {
    let mut session = session(ANCIENT, "Lpriv/a\tann\nLpriv/b\tann\nB1\tann\nC1\n");
    assert_eq!(taken(&mut session), [1]);
    session.found(1, b"1");
    assert_eq!(taken(&mut session), [2]);
    session.not_found(2);
    assert_eq!(taken(&mut session), [3]);
    session.committed(3);
    assert_eq!(written(&mut session), "O1\nN\nO1\n");
}

#[test]
fn an_iteration_gives_rows_and_an_empty_end() {
    for (hello, expected) in [
        (DOVECOT_2_3, "*1\n+1\tOshared/userdb/ann\t{}\n+1\tOshared/userdb/a\x01tb\ta\x01nb\n+1\t\n"),
        (ANCIENT, "Oshared/userdb/ann\t{}\nOshared/userdb/a\x01tb\ta\x01nb\n\n"),
    ] {
        let mut session = session(hello, "I0\t0\tshared/userdb/\t*\n");
        assert_eq!(taken(&mut session), [1]);
        session.row(1, "shared/userdb/ann", b"{}");
        session.row(1, "something/else", b"which would abort the auth worker");
        session.row(1, "shared/userdb/a\tb", b"a\nb");
        session.finished(1);
        session.row(1, "shared/userdb/late", b"");
        assert_eq!(written(&mut session), expected);
    }
}

#[test]
fn an_iteration_without_values_keeps_the_tab() {
    let mut session = session(DOVECOT_2_3, "I8\t0\tpriv/\tann\n");
    session.row(1, "priv/color", b"blue");
    session.failed(1, "enough");
    assert_eq!(written(&mut session), "*1\n+1\tOpriv/color\t\n+1\tFenough\n");
}

#[test]
fn a_transaction_comes_out_whole() {
    let commands = concat!(
        "B7\tann\t60\nT7\t1795508404\t5\nV7\tno\nS7\tpriv/color\tblue\x01ttab\nB8\t\nU7\tpriv/old\n",
        "A7\tpriv/count\t-5\nS8\tshared/x\t1\nR8\nC7\n"
    );
    let mut session = session(DOVECOT_2_4, commands);
    let expected = Commit {
        serial: 1,
        user: "ann".to_owned(),
        expire: 60,
        changes: vec![
            Change::Set { key: "priv/color".to_owned(), value: b"blue\ttab".to_vec() },
            Change::Unset { key: "priv/old".to_owned() },
            Change::Add { key: "priv/count".to_owned(), difference: -5 },
        ],
    };
    assert_eq!(session.next_event(), Some(DictEvent::Commit(expected)));
    assert_eq!(session.next_event(), None, "what was rolled back never happened");
    session.committed(1);
    assert_eq!(written(&mut session), "*1\n+1\tO7\n");
}

#[test]
fn a_commit_ends_in_one_of_four_ways() {
    let mut session = session(DOVECOT_2_3, "B1\t\nC1\nB2\t\nC2\nB3\t\nC3\nB4\t\nD4\n");
    assert_eq!(taken(&mut session), [1, 2, 3, 4]);
    written(&mut session);
    session.committed(1);
    session.not_found(2);
    session.failed(3, "backend is down");
    session.uncertain(4, "no idea");
    assert_eq!(written(&mut session), "+1\tO1\n+2\tN2\n+3\tF3\tbackend is down\n+4\tW4\tno idea\n");
}

#[test]
fn each_command_is_answered_once_and_only_in_kind() {
    let mut session = session(DOVECOT_2_3, "Lpriv/a\t\nI0\t0\tpriv/\t\nB1\t\nC1\n");
    assert_eq!(taken(&mut session), [1, 2, 3]);
    written(&mut session);
    session.committed(1);
    session.row(1, "priv/a", b"");
    session.finished(1);
    session.found(2, b"");
    session.not_found(2);
    session.uncertain(2, "");
    session.found(3, b"");
    session.finished(3);
    session.failed(4, "");
    assert_eq!(written(&mut session), "", "no answer is of the kind that was asked for");
    session.found(1, b"");
    session.finished(2);
    session.committed(3);
    assert_eq!(written(&mut session), "+1\tO\n+2\t\n+3\tO1\n");
    session.found(1, b"");
    session.failed(2, "");
    session.committed(3);
    assert_eq!(written(&mut session), "", "and none is given twice");
}

#[test]
fn a_transaction_too_large_fails_in_its_turn() {
    let set = format!("S1\tpriv/x\t{}\n", "x".repeat(60_000));
    for (hello, expected) in [
        (DOVECOT_2_3, "*1\n*2\n*3\n+2\tF1\tthe transaction is too large\n"),
        (ANCIENT, "N\nF1\tthe transaction is too large\n"),
    ] {
        let commands = format!("Lpriv/a\t\nB1\tann\n{}C1\nLpriv/b\t\n", set.repeat(20));
        let mut session = session(hello, &commands);
        let first = taken(&mut session);
        if hello == ANCIENT {
            assert_eq!(first, [1]);
            session.not_found(1);
            assert_eq!(taken(&mut session), [3]);
        } else {
            assert_eq!(first, [1, 3]);
        }
        assert_eq!(written(&mut session), expected);
    }
}

#[test]
fn what_breaks_the_protocol_ends_the_session() {
    let cases = [
        ("Zjunk\n", "unknown command Z"),
        ("\n", "unknown command an empty line"),
        ("C1\n", "transaction 1 is not open"),
        ("S1\tpriv/x\ty\n", "transaction 1 is not open"),
        ("R1\n", "transaction 1 is not open"),
        ("T1\t0\t0\n", "transaction 1 is not open"),
        ("B1\t\nB1\t\n", "B uses 1 again while it is open"),
        ("B1\t\nS1\tpriv/x\n", "bad S: the value is missing"),
        (&format!("Lpriv/{}\n", "x".repeat(65_536)), "a line is longer than 65536 bytes"),
    ];
    for (broken, expected) in cases {
        let mut session = session(DOVECOT_2_3, "");
        let error = session.receive(broken.as_bytes()).map_err(|error| error.to_string());
        assert_eq!(error, Err(expected.to_owned()));
        assert!(session.hangs_up());
    }
    let mut unhelloed = DictSession::new();
    assert!(matches!(unhelloed.receive(b"Lpriv/x\tann\n"), Err(ProtocolError::NoHello(_))));
}

#[test]
fn a_closed_session_says_what_is_certain() {
    let mut session = session(DOVECOT_2_3, "Lpriv/a\t\nB1\t\nC1\n");
    assert_eq!(taken(&mut session), [1, 2]);
    assert_eq!(session.receive(b"B2\t\nC2\nB3\t\n"), Ok(()));
    written(&mut session);
    session.close();
    let closing = "the server is closing the connection";
    let expected = format!("+1\tF{closing}\n+2\tW1\t{closing}\n+3\tF2\t{closing}\n");
    assert_eq!(written(&mut session), expected);
    assert!(session.hangs_up());
    assert_eq!(session.next_event(), None);
    assert_eq!(session.receive(b"C3\n"), Ok(()));
    assert_eq!(written(&mut session), "");
}

#[test]
fn what_came_with_the_hello_of_a_dict_we_do_not_have_fails() {
    let mut session = session("H3\t2\t0\t\tnosuchdict\n", "Lpriv/x\tann\n");
    session.close();
    assert_eq!(written(&mut session), "*1\n+1\tFthe server is closing the connection\n");
}

#[test]
fn many_open_commands_stop_the_reading_and_too_many_the_session() {
    let mut session = session(DOVECOT_2_3, &"Lpriv/a\tann\n".repeat(256));
    session.output().clear();
    assert!(!session.wants_input());
    session.not_found(1);
    session.output().clear();
    assert!(session.wants_input());
    let flood = session.receive("Lpriv/a\tann\n".repeat(20_000).as_bytes());
    assert_eq!(flood, Err(ProtocolError::TooMany { what: "commands", limit: 16_384 }));
}
