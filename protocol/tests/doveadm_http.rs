//! doveadm's HTTP API as recorded from Dovecot 2.3.19 and 2.4.1: what we send is what was sent, what came is understood.

use std::fs;
use std::path::Path;

use gatepost_protocol::dovecot::doveadm::{
    Answer, Command, Failure, Kicked, LiteralName, Refusal, Session, answers, request,
};

/// A recorded request and its answer.
struct Recorded {
    sent: String,
    status: u16,
    body: String,
}

fn recorded(name: &str) -> Recorded {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/transcripts/doveadm-http")).join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {path:?}: {error}"));
    let between = |start: &str, end: &str| {
        let found = text.split_once(start).and_then(|(_, rest)| rest.split_once(end));
        found.unwrap_or_else(|| panic!("nothing between {start:?} and {end:?} in {path:?}")).0
    };
    Recorded {
        sent: between(" -d ", " http://").to_owned(),
        status: between("< HTTP/1.1 ", " ").parse().unwrap_or_default(),
        body: text.split_once("\n< \n").map(|(_, body)| body.trim().to_owned()).unwrap_or_default(),
    }
}

fn name(text: &str) -> LiteralName {
    LiteralName::new(text).unwrap_or_else(|| panic!("{text:?} is not literal"))
}

/// The recordings have tags of their own.
fn retagged(text: &str) -> String {
    ["\"w\"", "\"k\"", "\"t\"", "\"f\""].iter().fold(text.to_owned(), |text, tag| text.replace(tag, "\"0\""))
}

fn ask(file: &str, commands: &[Command]) -> Result<Vec<Result<Answer, Refusal>>, Failure> {
    let Recorded { status, body, .. } = recorded(file);
    answers(status, retagged(&body).as_bytes(), commands)
}

fn alice() -> LiteralName {
    name("alice@example.org")
}

#[test]
fn what_is_sent_is_what_was_sent() {
    let cases = [
        ("who-user.txt", vec![Command::Who(Some(alice()))]),
        ("who-everybody.txt", vec![Command::Who(None)]),
        ("kick.txt", vec![Command::Kick(alice())]),
        ("kick-batch.txt", vec![Command::Kick(name("bob@example.org")), Command::Kick(alice())]),
    ];
    for (file, commands) in cases {
        for version in ["2.3", "2.4"] {
            let sent: serde_json::Value = serde_json::from_str(&retagged(&recorded(&format!("{version}-{file}")).sent))
                .expect("what was sent is JSON");
            let ours: serde_json::Value = serde_json::from_str(&request(&commands)).expect("what we send is JSON");
            assert_eq!(ours, sent, "{version} {file}");
        }
    }
    let flush: serde_json::Value =
        serde_json::from_str(&request(&[Command::FlushCache(Some(alice()))])).expect("what we send is JSON");
    let sent = retagged(&recorded("2.3-cache-flush.txt").sent);
    assert_eq!(flush, serde_json::from_str::<serde_json::Value>(&sent).expect("what was sent is JSON"));
}

#[test]
fn every_connection_is_listed_with_its_process() {
    let session =
        |username: &str, service: &str, pid| Session { username: username.into(), service: service.into(), pid };
    let alice_is = "alice@example.org";
    let cases = [
        (
            "2.3-who-user.txt",
            Some(alice()),
            vec![
                session(alice_is, "sieve", 12479),
                session(alice_is, "pop3", 12477),
                session(alice_is, "imap", 12473),
                session(alice_is, "imap", 12475),
            ],
        ),
        (
            "2.4-who-user.txt",
            Some(alice()),
            vec![
                session(alice_is, "pop3", 12528),
                session(alice_is, "managesieve", 12539),
                session(alice_is, "imap", 12526),
                session(alice_is, "imap", 12524),
            ],
        ),
        ("2.3-who-nobody.txt", Some(alice()), vec![]),
        ("2.4-who-nobody.txt", Some(alice()), vec![]),
    ];
    for (file, user, sessions) in cases {
        assert_eq!(ask(file, &[Command::Who(user)]), Ok(vec![Ok(Answer::Who(sessions))]), "{file}");
    }
}

#[test]
fn a_kick_says_whom_it_reached_and_nobody_is_no_error() {
    let users = |names: &[&str]| Kicked::Users(names.iter().map(|name| (*name).to_owned()).collect());
    let bob = || name("bob@example.org");
    let cases = [
        ("2.3-kick.txt", vec![alice()], vec![users(&["alice@example.org"])]),
        ("2.3-kick-nobody.txt", vec![alice()], vec![Kicked::Nobody]),
        ("2.3-kick-batch.txt", vec![bob(), alice()], vec![users(&["bob@example.org"]), Kicked::Nobody]),
        ("2.4-kick.txt", vec![alice()], vec![Kicked::Connections(4)]),
        ("2.4-kick-nobody.txt", vec![alice()], vec![Kicked::Connections(0)]),
        ("2.4-kick-batch.txt", vec![bob(), alice()], vec![Kicked::Connections(1), Kicked::Connections(0)]),
    ];
    for (file, names, kicked) in cases {
        let commands: Vec<_> = names.into_iter().map(Command::Kick).collect();
        let expected = kicked.into_iter().map(|kicked| Ok(Answer::Kicked(kicked))).collect();
        assert_eq!(ask(file, &commands), Ok(expected), "{file}");
    }
}

#[test]
fn a_flush_says_how_many_entries_there_were() {
    assert_eq!(ask("2.3-cache-flush.txt", &[Command::FlushCache(Some(alice()))]), Ok(vec![Ok(Answer::Flushed(0))]));
}

#[test]
fn what_went_wrong_is_told_apart() {
    let refused = |refusal| Ok(vec![Err(refusal)]);
    for version in ["2.3", "2.4"] {
        let cases = [
            ("not-allowed", refused(Refusal::NotAllowed)),
            ("bad-command", refused(Refusal::Unknown("unknownMethod".to_owned()))),
            ("bad-parameter", refused(Refusal::Unknown("invalidRequest".to_owned()))),
            ("no-key", Err(Failure::WrongKey)),
            ("wrong-key", Err(Failure::WrongKey)),
        ];
        for (case, expected) in cases {
            assert_eq!(ask(&format!("{version}-{case}.txt"), &[Command::Kick(alice())]), expected, "{version} {case}");
        }
    }
}

#[test]
fn nobody_in_is_only_said_by_doveadm_itself() {
    let who = [Command::Who(Some(alice()))];
    let failed = br#"[["error",{"type":"exitCode","exitCode":68},"0"]]"#;
    assert_eq!(answers(200, failed, &who), Ok(vec![Err(Refusal::Failed(68))]), "68 is nobody to a kick alone");
    assert_eq!(answers(500, b"", &who), Err(Failure::Status(500)));
    for body in [
        &b""[..],
        b"[]",
        b"{}",
        b"[[]]",
        b"[[\"doveadmResponse\",[],\"1\"]]",
        b"[[\"doveadmResponse\",{},\"0\"]]",
        b"[[\"doveadmResponse\",[{\"username\":\"a@b\"}],\"0\"]]",
        b"[[\"doveadmResponse\",[{\"username\":\"a@b\",\"service\":\"imap\",\"pid\":\"-1\"}],\"0\"]]",
        b"[[\"doveadmResponse\",[],\"0\"],[\"doveadmResponse\",[],\"1\"]]",
        b"[[\"somethingElse\",[],\"0\"]]",
        b"[[\"doveadmResponse\",[],\"0\"]",
        b"\xff",
    ] {
        let heard = answers(200, body, &who);
        assert!(matches!(heard, Err(Failure::Unreadable(_))), "{:?}: {heard:?}", String::from_utf8_lossy(body));
    }
}

#[test]
fn a_name_that_could_mean_others_is_never_sent() {
    for text in ["*@example.org", "a?@example.org", "a\\@example.org", "192.0.2.1", "192.0.2.0/24", "::1", "", "a\n@b"]
    {
        assert_eq!(LiteralName::new(text), None, "{text:?}");
    }
    let quoting = name("o\"neil@example.org");
    assert!(request(&[Command::Kick(quoting)]).contains(r#""o\"neil@example.org""#));
}
