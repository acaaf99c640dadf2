//! Broken words, door by door.

use gatepost_harness::alone::Alone;
use gatepost_harness::client::encoded;
use gatepost_harness::mailhost::ALICE;
use gatepost_harness::raw::{Connection, auth, hello};

use crate::assert_unharmed;

/// How a conversation goes on after what was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Closed,
    GoesOn,
}
use Then::{Closed, GoesOn};

/// What is said after the daemon's greeting, how each line of the answer begins, and what comes then.
type Case<'a> = (&'a [u8], &'a [&'a str], Then);

struct Door {
    socket: &'static str,
    /// What the daemon says by itself.
    greeting_ends: Option<&'static str>,
    /// What a client says first, in order.
    opening: String,
    /// A question that is always answered, and how.
    question: String,
    answer: &'static str,
}

impl Door {
    fn client(socket: &'static str) -> Self {
        Self {
            socket,
            greeting_ends: Some("DONE"),
            opening: hello(2),
            question: auth(77, "", ALICE.user, ALICE.password),
            answer: "OK\t77\tuser=alice@example.org",
        }
    }

    fn master(socket: &'static str) -> Self {
        Self {
            socket,
            greeting_ends: Some("SPID"),
            opening: "VERSION\t1\t0\n".to_owned(),
            question: "USER\t77\talice@example.org\tservice=lmtp\n".to_owned(),
            answer: "USER\t77\talice@example.org\t",
        }
    }

    fn dict() -> Self {
        Self {
            socket: "keys",
            greeting_ends: None,
            opening: "H3\t0\t0\t\tkeys\n".to_owned(),
            question: "Lpriv/nothing\tann\n".to_owned(),
            answer: "N",
        }
    }

    fn greeted(&self, alone: &Alone) -> Connection {
        let mut connection = alone.connect(self.socket);
        if let Some(end) = self.greeting_ends {
            while !connection.line().starts_with(end) {}
        }
        connection
    }

    /// Says each of `cases`, behind the opening or in its place, on a connection of its own.
    fn answers(&self, alone: &Alone, opening: &str, cases: &[Case<'_>]) {
        for (said, expected, then) in cases {
            let what = format!("{}: {}", self.socket, said[..said.len().min(60)].escape_ascii());
            let mut connection = self.greeted(alone);
            connection.send([opening.as_bytes(), said].concat());
            alone.assert_others_log_in(&what);
            for start in *expected {
                let line = connection.line();
                assert!(line.starts_with(start), "{what}: {line:?} instead of {start:?}");
            }
            if *then == GoesOn {
                connection.send(&self.question);
                let line = connection.line();
                assert!(line.starts_with(self.answer), "{what}, and then {line:?} instead of {:?}", self.answer);
            } else {
                assert_eq!(connection.rest(), "", "{what}");
            }
        }
    }

    /// What no protocol of lines has, in place of the opening and after it.
    fn withstands_noise(&self, alone: &Alone) {
        let endless = vec![b'x'; 1 << 20];
        let long_line = [&endless[..], b"\n"].concat();
        let noise: [&[u8]; 7] = [
            &endless,
            &long_line,
            b"\0\n",
            b"\x01\x02\x1b[2J\x7f\n",
            b"\xff\xfe\x80\n",
            b"\n",
            b"GET / HTTP/1.1\r\n\r\n",
        ];
        for said in noise {
            for opening in ["", &self.opening] {
                self.answers(alone, opening, &[(said, &[], Closed)]);
            }
        }
    }
}

#[test]
fn broken_words_of_an_auth_client_fail_the_request_or_end_the_connection() {
    let alone = Alone::start("");
    for door in [Door::client("auth"), Door::client("login")] {
        door.withstands_noise(&alone);
        let instead: &[Case<'_>] = &[
            (b"VERSION\t2\t0\n", &[], Closed),
            (b"VERSION\t1\n", &[], Closed),
            (b"CPID\t1\n", &[], Closed),
            (b"VERSION\t1\t2\nCPID\t0\n", &[], Closed),
            (b"VERSION\t1\t2\nCPID\t4294967296\n", &[], Closed),
            (b"VERSION\t1\t2\nAUTH\t1\tPLAIN\tservice=imap\n", &[], Closed),
        ];
        door.answers(&alone, "", instead);
        let valid = gatepost_harness::client::plain(ALICE.user, ALICE.password);
        let line = |text: &str| text.replace('|', "\t").into_bytes();
        let ids = ["0", "4294967296", "-1", "", "1x", "\u{661}"];
        for id in ids {
            let said = line(&format!("AUTH|{id}|PLAIN|service=imap|resp={valid}\n"));
            door.answers(&alone, &door.opening, &[(&said, &[], Closed)]);
        }
        let long_password = encoded(&format!("\0{}\0{}", ALICE.user, "p".repeat(12_000)));
        let cases: [(String, &[&str], Then); 18] = [
            ("NOSUCH|1\n".to_owned(), &[], Closed),
            (
                "AUTH|1|PLAIN|service=imap\nAUTH|1|PLAIN|service=imap\n".to_owned(),
                &["CONT\t1\t", "FAIL\t1\tcode=temp_fail"],
                Closed,
            ),
            (format!("AUTH|1|PLAIN|resp={valid}\n"), &[], Closed),
            (format!("AUTH|1|PLAIN|service=imap|resp={valid}|secured\n"), &[], Closed),
            ("CONT|1\n".to_owned(), &[], Closed),
            ("CANCEL|0\n".to_owned(), &[], Closed),
            ("CANCEL|5\n".to_owned(), &[], GoesOn),
            ("CONT|5|\n".to_owned(), &["FAIL\t5\treason="], GoesOn),
            ("AUTH|1|CRAM-MD5|service=imap\n".to_owned(), &["FAIL\t1\treason="], GoesOn),
            ("AUTH|1||service=imap\n".to_owned(), &["FAIL\t1\treason="], GoesOn),
            ("AUTH|1|PLAIN|service=imap|resp=====\n".to_owned(), &["FAIL\t1\tcode=invalid_base64\t"], GoesOn),
            ("AUTH|1|PLAIN|service=imap|resp=\u{ff}\n".to_owned(), &["FAIL\t1\tcode=invalid_base64\t"], GoesOn),
            (format!("AUTH|1|PLAIN|service=imap|resp= {valid}\n"), &["FAIL\t1\tcode=invalid_base64\t"], GoesOn),
            (
                "AUTH|1|PLAIN|service=imap\nCONT|1|*\n".to_owned(),
                &["CONT\t1\t", "FAIL\t1\tcode=invalid_base64\t"],
                GoesOn,
            ),
            (format!("AUTH|1|PLAIN|service=imap|resp={}\n", encoded("no NUL")), &["FAIL\t1"], GoesOn),
            (format!("AUTH|1|PLAIN|service=imap|resp={}\n", encoded("\0\0\0\0\0")), &["FAIL\t1"], GoesOn),
            (format!("AUTH|1|PLAIN|service=imap|resp={long_password}\n"), &["FAIL\t1"], GoesOn),
            // A name that is not UTF-8.
            ("AUTH|1|PLAIN|service=imap|resp=AP/+AHA=\n".to_owned(), &["FAIL\t1"], GoesOn),
        ];
        for (said, expected, then) in cases {
            door.answers(&alone, &door.opening, &[(&line(&said), expected, then)]);
        }
    }
    assert_unharmed(&alone);
}

#[test]
fn broken_words_of_a_mail_process_fail_the_command_or_end_the_connection() {
    let alone = Alone::start("");
    for door in [Door::master("master"), Door::master("userdb")] {
        door.withstands_noise(&alone);
        let cases: &[Case<'_>] = &[
            (b"USER\n", &[], Closed),
            (b"USER\t-1\tann\tservice=lmtp\n", &[], Closed),
            (b"USER\t4294967296\tann\tservice=lmtp\n", &[], Closed),
            (b"USER\t1\tann\n", &[], Closed),
            (b"USER\t1\t\tservice=lmtp\n", &[], Closed),
            (b"USER\t1\tann\tservice=lmtp\nUSER\t1\tann\tservice=lmtp\n", &["FAIL\t1"], Closed),
            (b"AUTH\t1\tPLAIN\tservice=imap\n", &[], Closed),
            (b"USER\t0\tann\tservice=lmtp\n", &["NOTFOUND\t0"], GoesOn),
            (b"USER\t1\t\xff\xfe@example.org\tservice=lmtp\n", &["NOTFOUND\t1"], GoesOn),
            (b"USER\t1\ta\x01tb\x01n\x1b\0@example.org\tservice=lmtp\n", &["NOTFOUND\t1"], GoesOn),
            (b"USER\t1\t../../etc/passwd\tservice=lmtp\n", &["NOTFOUND\t1"], GoesOn),
            (b"PASS\t1\t%\tservice=lmtp\n", &["NOTFOUND\t1"], GoesOn),
            (b"LIST\t1\tuser=\xff\x01n*\n", &["DONE\t1\t"], GoesOn),
            (b"LIST\t1\nLIST\t2\n", &["DONE\t2\tfail", "LIST\t1\talice@example.org", "DONE\t1\t"], GoesOn),
        ];
        door.answers(&alone, &door.opening, cases);
        let hand_off = format!("REQUEST\t1\t{}\t1\t{}\n", std::process::id(), "0".repeat(32));
        let (refused, then): (&[&str], _) =
            if door.socket == "master" { (&["FAIL\t1"], GoesOn) } else { (&[], Closed) };
        let cases: &[Case<'_>] = &[(hand_off.as_bytes(), refused, then), (b"REQUEST\t1\t1\t1\tzz\n", refused, then)];
        door.answers(&alone, &door.opening, cases);
    }
    assert_unharmed(&alone);
}

#[test]
fn broken_words_of_a_dict_client_fail_the_command_or_end_the_connection() {
    let alone = Alone::start("");
    let door = Door::dict();
    door.withstands_noise(&alone);
    let many: Vec<u8> = (0..300).flat_map(|number| format!("B{number}\tann\n").into_bytes()).collect();
    let large = [b"B1\tann\nS1\tpriv/large\t", &vec![b'x'; 65_000][..], b"\n"].concat();
    let repeated = b"S1\tpriv/key\tvalue\n".repeat(1_100);
    let too_many_changes = [b"B1\tann\n", &repeated[..], b"C1\n"].concat();
    let long_key = [b"B1\tann\nS1\tpriv/", &vec![b'k'; 2_000][..], b"\tvalue\nC1\n"].concat();
    let cases: &[Case<'_>] = &[
        (b"Zjunk\n", &[], Closed),
        (b"S1\tpriv/key\tvalue\n", &[], Closed),
        (b"C1\n", &[], Closed),
        (b"B4294967296\tann\n", &[], Closed),
        (b"B1\tann\nB1\tann\n", &[], Closed),
        (b"B1\tann\nA1\tpriv/key\tmany\n", &[], Closed),
        (b"I0\t-1\tpriv/\tann\n", &[], Closed),
        (&many, &[], Closed),
        (b"B1\tann\nS1\tpriv/key\t\xff\xfe\nC1\n", &["F1\t"], GoesOn),
        (&large, &[], GoesOn),
        (&too_many_changes, &["F1\t"], GoesOn),
        (&long_key, &["F1\t"], GoesOn),
        (b"L\xff\xfe\tann\n", &["N"], GoesOn),
        (b"L\x01n\x01t\0\tann\n", &["N"], GoesOn),
        (b"I1\t0\t\tann\n", &[""], GoesOn),
    ];
    door.answers(&alone, &door.opening, cases);
    // This socket hands out no stored hashes, whatever its client calls the dict.
    door.answers(&alone, "", &[(b"H3\t0\t0\t\tauth\nLshared/passdb/alice@example.org\t\n", &["F"], Closed)]);
    door.answers(&alone, "", &[(b"H9\t0\t0\t\tkeys\n", &[], Closed)]);
    assert_unharmed(&alone);
}

#[test]
fn broken_words_of_postfix_get_an_answer_or_end_the_connection() {
    let alone = Alone::start("");
    let endless = vec![b'1'; 1 << 20];
    let large = [b"9999:", &endless[..]].concat();
    let closed: &[&[u8]] = &[
        &endless,
        &large,
        b"\0",
        b"get alice@example.org\n",
        b"-1:",
        b":",
        b"0:,",
        b"3:abc,",
        b"5:map x!",
        b"\xff\xfe",
    ];
    for said in closed {
        let mut connection = alone.connect("socketmap");
        connection.send(said);
        alone.assert_others_log_in("a broken netstring");
        assert_eq!(connection.rest(), "", "{}", said[..said.len().min(60)].escape_ascii());
    }
    let netstring = |text: &[u8]| [text.len().to_string().as_bytes(), b":", text, b","].concat();
    let answered: &[(&[u8], &str)] = &[
        (b"virtual_mailbox_maps \xff\xfe@example.org", "9:NOTFOUND ,"),
        (b"virtual_mailbox_maps a\0b\n@example.org", "9:NOTFOUND ,"),
        (b"virtual_mailbox_maps ", "9:NOTFOUND ,"),
        (b"virtual_mailbox_maps  alice@example.org", "9:NOTFOUND ,"),
        (b"virtual_mailbox_domains *", "9:NOTFOUND ,"),
        (b"\n\x1b[2J x", "PERM no such map"),
    ];
    for (query, expected) in answered {
        let mut connection = alone.connect("socketmap");
        connection.send(netstring(query));
        connection.send(netstring(b"virtual_mailbox_maps alice@example.org"));
        connection.end_sending();
        let heard = connection.rest();
        assert!(heard.contains(expected) && heard.ends_with("20:OK alice@example.org,"), "{heard}");
    }
    assert_unharmed(&alone);
}

/// Names are kept with every key, so they are held to the same length.
#[test]
fn a_dict_of_an_endless_name_keeps_nothing() {
    let alone = Alone::start("");
    for (name, user, kept) in
        [("notes", "ann", true), (&*"n".repeat(2_000), "ann", false), ("notes", &"u".repeat(2_000), false)]
    {
        let mut dict = alone.connect("keys");
        dict.send(format!("H3\t2\t0\t\t{name}\nB1\t{user}\nS1\tpriv/a\tb\nC1\n"));
        let heard = dict.line_after("*1");
        assert_eq!(heard.starts_with("+1\tO1"), kept, "{heard}");
    }
    assert_unharmed(&alone);
}
