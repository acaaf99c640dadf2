//! What is written is read again as it was meant, and no input depends on how it was cut.

use std::time::Instant;

use base64::{Engine, engine::general_purpose::STANDARD};
use gatepost_protocol::{
    dovecot::{
        Cookie, Handshake,
        client::{ClientEvent, ClientSession, Login, Reply},
        dict::{Change, Commit, DictEvent, DictSession},
        escape::{escape, unescape},
        master::{MasterEvent, MasterSession, Role},
    },
    line::LineReader,
    postfix::socketmap::{Answer, Query, SocketmapSession},
};
use proptest::{collection::vec, prelude::*};

/// Text with more than its share of bytes that mean something on the wire.
fn text() -> impl Strategy<Value = String> {
    let special = prop::sample::select(vec!['\x01', '\t', '\r', '\n', '\0', '=', ' ', ',', ':', 't', 'ä']);
    vec(prop_oneof![special, any::<char>()], 0..12).prop_map(|characters| characters.into_iter().collect())
}

fn name() -> impl Strategy<Value = String> {
    text().prop_map(|text| text.replace(['\0', '='], "")).prop_filter("a name is not empty", |name| !name.is_empty())
}

fn fields() -> impl Strategy<Value = Vec<(String, String)>> {
    vec((name(), text()), 0..6)
}

/// Bytes that go some way before they break a protocol.
fn conversation() -> impl Strategy<Value = Vec<u8>> {
    let pieces = [
        "VERSION\t1\t2\n",
        "VERSION\t1\t4\n",
        "VERSION\t1\t0\n",
        "CPID\t41\n",
        "AUTH\t",
        "CONT\t",
        "CANCEL\t",
        "1",
        "2\t",
        "PLAIN\t",
        "LOGIN\t",
        "service=imap",
        "\tnologin",
        "\tresp=",
        "AGFubgBz",
        "=",
        "\n",
        "\r\n",
        "\t",
        "USER\t",
        "PASS\t",
        "LIST\t1\n",
        "ann",
        "CACHE-FLUSH\t3\n",
        "REQUEST\t9\t1\t1\t",
        "5fc6b06b47332b9f7c7d69eadae6b41d",
        "H3\t2\t0\t\tauth\n",
        "H3\t0\t0\t\tauth\n",
        "Lpriv/a\tann\n",
        "I0\t0\tpriv/\tann\n",
        "B1\tann\n",
        "S1\tpriv/a\tb\n",
        "U1\tpriv/a\n",
        "A1\tpriv/a\t-1\n",
        "C1\n",
        "R1\n",
        "22:virt alice@example.org,",
        "3:v k",
        ",",
        "9:",
        "\x01",
        "\0",
    ];
    let piece = prop::sample::select(pieces.map(|piece| piece.as_bytes().to_vec()).to_vec());
    let start = prop::sample::select(vec!["VERSION\t1\t2\nCPID\t41\n", "VERSION\t1\t0\n", "H3\t2\t0\t\tauth\n", ""]);
    (start, vec(prop_oneof![9 => piece, 1 => vec(any::<u8>(), 0..3)], 0..24))
        .prop_map(|(start, pieces)| [start.as_bytes().to_vec(), pieces.concat()].concat())
}

fn client() -> ClientSession {
    let mut session = ClientSession::new(Handshake { server_pid: 7, connection: 1, cookie: Cookie::new([0; 16]) });
    session.output().clear();
    session
}

/// A client session of this minor that was asked for this login.
fn asked(minor: u32, lines: &str) -> (ClientSession, Option<Login>) {
    let mut session = client();
    let received = session.receive(format!("VERSION\t1\t{minor}\nCPID\t41\n{lines}").as_bytes(), Instant::now());
    assert_eq!(received, Ok(()));
    assert!(matches!(session.next_event(), Some(ClientEvent::Hello { .. })));
    let login = match session.next_event() {
        Some(ClientEvent::Login(login)) => Some(*login),
        _ => None,
    };
    (session, login)
}

/// The words of the only line of an output.
fn words(output: &[u8]) -> Vec<String> {
    let line = output.strip_suffix(b"\n").unwrap_or_default();
    assert!(!line.iter().any(|byte| b"\n\r\0".contains(byte)), "one line: {}", output.escape_ascii());
    let words = line.split(|&byte| byte == b'\t');
    words.map(|word| String::from_utf8_lossy(&unescape(word)).into_owned()).collect()
}

fn pairs(words: &[String]) -> Vec<(String, String)> {
    let pair = |word: &String| {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        (name.to_owned(), value.to_owned())
    };
    words.iter().map(pair).collect()
}

fn cut<'a>(mut bytes: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut chunks = Vec::new();
    for &size in sizes {
        let (chunk, rest) = bytes.split_at(size.min(bytes.len()));
        chunks.push(chunk);
        bytes = rest;
    }
    chunks.push(bytes);
    chunks
}

proptest! {
    #[test]
    fn escaped_text_is_the_same_and_stays_in_its_field(bytes in vec(any::<u8>(), 0..40)) {
        let escaped = escape(&bytes);
        prop_assert_eq!(&*unescape(&escaped), &bytes[..]);
        prop_assert!(!escaped.iter().any(|byte| b"\0\t\r\n".contains(byte)));
    }

    #[test]
    fn lines_do_not_depend_on_chunks(
        bytes in vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..60),
        sizes in vec(0..9_usize, 0..20),
    ) {
        let mut reader = LineReader::new(100);
        let mut lines = Vec::new();
        for chunk in cut(&bytes, &sizes) {
            reader.receive(chunk);
            while let Some(line) = reader.next_line() {
                lines.push(line.map(<[u8]>::to_vec));
            }
        }
        let mut expected: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').collect();
        expected.pop();
        let expected = expected.into_iter().map(|line| Ok(line.strip_suffix(b"\r").unwrap_or(line).to_vec()));
        prop_assert_eq!(lines, expected.collect::<Vec<_>>());
    }

    #[test]
    fn a_plain_login_arrives_as_it_was_sent(
        user in text().prop_map(|text| text.replace('\0', "")),
        password in vec(1_u8.., 0..20),
        session_id in name(),
        in_dialogue: bool,
    ) {
        let message = STANDARD.encode([b"\0", user.as_bytes(), b"\0", &password].concat());
        let session_id_escaped = String::from_utf8_lossy(&escape(session_id.as_bytes())).into_owned();
        let start = format!("AUTH\t7\tPLAIN\tservice=imap\tsession={session_id_escaped}");
        let lines = if in_dialogue {
            format!("{start}\nCONT\t7\t{message}\n")
        } else {
            format!("{start}\tresp={message}\n")
        };
        let (_, login) = asked(2, &lines);
        let login = login.expect("a login");
        prop_assert_eq!((login.id, &login.username, login.password.expose()), (7, &user, &password[..]));
        prop_assert_eq!(login.info.session, Some(session_id));
    }

    #[test]
    fn a_login_login_arrives_as_it_was_sent(user in name(), password in vec(any::<u8>(), 0..20), name_first: bool) {
        let (user_sent, password_sent) = (STANDARD.encode(&user), STANDARD.encode(&password));
        let lines = if name_first {
            format!("AUTH\t7\tLOGIN\tservice=imap\tresp={user_sent}\nCONT\t7\t{password_sent}\n")
        } else {
            format!("AUTH\t7\tLOGIN\tservice=imap\nCONT\t7\t{user_sent}\nCONT\t7\t{password_sent}\n")
        };
        let (_, login) = asked(2, &lines);
        let login = login.expect("a login");
        prop_assert_eq!((&login.username, login.password.expose()), (&user, &password[..]));
    }

    #[test]
    fn an_ok_is_read_as_it_was_meant(user in text(), fields in fields(), minor in 0..5_u32) {
        let (mut session, login) = asked(minor, "AUTH\t7\tPLAIN\tservice=imap\tresp=AGFubgBz\n");
        prop_assert!(login.is_some());
        session.reply(7, Reply::Accept { user: user.clone(), fields: fields.clone() });
        let words = words(session.output());
        prop_assert_eq!(&words[..2], ["OK", "7"]);
        prop_assert_eq!(pairs(&words[2..]), [vec![("user".to_owned(), user)], fields].concat());
    }

    #[test]
    fn an_mta_hears_one_plain_line_of_two_or_three_words(user in text(), fields in fields()) {
        let (mut session, login) = asked(0, "AUTH\t7\tPLAIN\tservice=smtp\tnologin\tresp=AGFubgBz\n");
        prop_assert!(login.is_some());
        session.reply(7, Reply::Accept { user: user.clone(), fields });
        let said = String::from_utf8_lossy(session.output()).into_owned();
        let sayable = !user.contains(['\0', '\x01', '\t', '\r', '\n']);
        prop_assert_eq!(said, if sayable { format!("OK\t7\tuser={user}\n") } else { "FAIL\t7\n".to_owned() });
    }

    #[test]
    fn a_lookup_and_its_answer_arrive_as_they_were_sent(user in "[^\0\t\r\n]{1,12}", found in name(), fields in fields()) {
        let mut session = MasterSession::new(Role::Userdb, 7);
        session.output().clear();
        let lookup = format!("VERSION\t1\t0\nUSER\t1\t{user}\tservice=lmtp\n");
        prop_assert_eq!(session.receive(lookup.as_bytes()), Ok(()));
        let Some(MasterEvent::User(lookup)) = session.next_event() else {
            panic!("no lookup");
        };
        prop_assert_eq!((lookup.id, lookup.user), (1, user));
        prop_assert_eq!(session.user(1, &found, &fields), Ok(()));
        let words = words(session.output());
        prop_assert_eq!(&words[..3], ["USER", "1", &found]);
        prop_assert_eq!(pairs(&words[3..]), fields);
    }

    #[test]
    fn a_transaction_arrives_as_it_was_sent(
        user in text(),
        changes in vec((0..3, name(), vec(any::<u8>(), 0..20), any::<i64>()), 0..6),
    ) {
        let changes = changes.into_iter().map(|(kind, key, value, difference)| match kind {
            0 => Change::Set { key, value },
            1 => Change::Unset { key },
            _ => Change::Add { key, difference },
        });
        let changes: Vec<Change> = changes.collect();
        let mut sent = [b"H4\t0\t0\t\tx\nB9\t", &*escape(user.as_bytes()), b"\n"].concat();
        for change in &changes {
            let (letter, key, rest) = match change {
                Change::Set { key, value } => ("S", key, Some(escape(value).into_owned())),
                Change::Unset { key } => ("U", key, None),
                Change::Add { key, difference } => ("A", key, Some(difference.to_string().into_bytes())),
            };
            sent.extend([letter.as_bytes(), b"9\t", &*escape(key.as_bytes())].concat());
            sent.extend(rest.into_iter().flat_map(|rest| [b"\t", &rest[..]].concat()));
            sent.push(b'\n');
        }
        sent.extend(b"C9\n");
        let mut session = DictSession::new();
        prop_assert_eq!(session.receive(&sent), Ok(()));
        prop_assert!(session.next_event().is_some());
        let commit = Commit { serial: 1, user, expire: 0, changes };
        prop_assert_eq!(session.next_event(), Some(DictEvent::Commit(commit)));
    }

    #[test]
    fn a_row_is_read_as_it_was_meant(key in name(), value in text()) {
        let mut session = DictSession::new();
        prop_assert_eq!(session.receive(b"H3\t2\t0\t\tx\nI1\t0\t\tann\n"), Ok(()));
        prop_assert!(session.next_event().and_then(|_| session.next_event()).is_some());
        session.output().clear();
        session.row(1, &key, value.as_bytes());
        let words = words(session.output());
        prop_assert_eq!(words, ["+1".to_owned(), format!("O{key}"), value]);
    }

    #[test]
    fn a_socketmap_lookup_and_its_answer_arrive_as_they_were_sent(map in "[^ ]{0,8}", key in text(), data in name()) {
        let text = format!("{map} {key}");
        let mut session = SocketmapSession::new();
        prop_assert_eq!(session.receive(format!("{}:{text},", text.len()).as_bytes()), Ok(()));
        prop_assert_eq!(session.next_query(), Some(Query { map, key }));
        session.answer(Answer::Found(data.clone()));
        prop_assert_eq!(session.output(), &format!("{}:OK {data},", data.len() + 3));
    }

    #[test]
    fn no_session_depends_on_chunks(bytes in conversation(), sizes in vec(0..30_usize, 0..20)) {
        let whole = [&bytes[..]];
        let chunks = cut(&bytes, &sizes);
        let now = Instant::now();
        prop_assert_eq!(heard_by_client(&whole, now), heard_by_client(&chunks, now));
        prop_assert_eq!(heard_by_master(&whole), heard_by_master(&chunks));
        prop_assert_eq!(heard_by_dict(&whole), heard_by_dict(&chunks));
        prop_assert_eq!(heard_by_socketmap(&whole), heard_by_socketmap(&chunks));
    }
}

/// What a session made of it all: how it ended, its events, its output.
type Heard = (String, Vec<String>, Vec<u8>);

fn heard_by_client(chunks: &[&[u8]], now: Instant) -> Heard {
    let mut session = client();
    let ended = chunks.iter().try_for_each(|chunk| session.receive(chunk, now));
    let events = std::iter::from_fn(|| session.next_event()).map(|event| format!("{event:?}")).collect();
    (format!("{ended:?}"), events, session.output().to_vec())
}

fn heard_by_master(chunks: &[&[u8]]) -> Heard {
    let mut session = MasterSession::new(Role::Master, 7);
    let ended = chunks.iter().try_for_each(|chunk| session.receive(chunk));
    let events = std::iter::from_fn(|| session.next_event()).map(|event| format!("{event:?}")).collect();
    (format!("{ended:?}"), events, session.output().to_vec())
}

fn heard_by_dict(chunks: &[&[u8]]) -> Heard {
    let mut session = DictSession::new();
    let ended = chunks.iter().try_for_each(|chunk| session.receive(chunk));
    let events = std::iter::from_fn(|| session.next_event()).map(|event| format!("{event:?}")).collect();
    (format!("{ended:?}"), events, session.output().to_vec())
}

fn heard_by_socketmap(chunks: &[&[u8]]) -> Heard {
    let mut session = SocketmapSession::new();
    let ended = chunks.iter().try_for_each(|chunk| session.receive(chunk));
    let events = std::iter::from_fn(|| {
        let query = session.next_query();
        session.answer(Answer::NotFound);
        query
    });
    let events = events.map(|query| format!("{query:?}")).collect();
    (format!("{ended:?}"), events, session.output().to_vec())
}
