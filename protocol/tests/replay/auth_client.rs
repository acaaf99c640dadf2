//! Login processes, doveadm auth, Postfix and Exim.

use std::time::Instant;

use gatepost_protocol::dovecot::{
    Cookie, Handshake,
    client::{ClientEvent, ClientSession, FailCode, Login, Reply},
    escape,
};

use super::{Replay, server_field, transcript::Connection};

pub(crate) struct AuthClient {
    session: ClientSession,
    now: Instant,
    logins: Vec<Login>,
    from_mta: bool,
}

/// A session that says of itself what the recorded server said; its greeting is checked here.
pub(crate) fn begin(connection: &Connection) -> AuthClient {
    let number = |word| server_field(connection, word).and_then(|text| text.parse().ok());
    let cookie = server_field(connection, "COOKIE").and_then(|text| Cookie::from_hex(text.as_bytes()));
    let (Some(server_pid), Some(number), Some(cookie)) = (number("SPID"), number("CUID"), cookie) else {
        panic!("{connection} has no handshake");
    };
    let session = ClientSession::new(Handshake { server_pid, connection: number, cookie });
    let mut client = AuthClient { session, now: Instant::now(), logins: Vec::new(), from_mta: false };
    let ours = |word: &str| word != "MECH" && is_handshake(word);
    let recorded = connection.lines.iter().filter_map(|line| match line {
        super::Line::Server(line) => Some(line.as_str()),
        super::Line::Client(_) => None,
    });
    let recorded = recorded.filter(|line| {
        let offered = ["MECH\tPLAIN\tplaintext", "MECH\tLOGIN\tplaintext"].contains(line);
        offered || ours(line.split('\t').next().unwrap_or_default())
    });
    for line in recorded {
        assert_eq!(client.said().as_deref(), Some(line), "the greeting of {connection}");
    }
    client
}

impl Replay for AuthClient {
    fn receive(&mut self, bytes: &[u8]) {
        if let Err(error) = self.session.receive(bytes, self.now) {
            panic!("{error}");
        }
        while let Some(event) = self.session.next_event() {
            match event {
                ClientEvent::Login(login) => {
                    self.from_mta |= login.info.nologin;
                    self.logins.push(*login);
                }
                ClientEvent::Hello { pid, .. } => assert_ne!(pid, 0),
                ClientEvent::Cancel { id } => self.logins.retain(|login| login.id != id),
            }
        }
    }

    fn answer(&mut self, recorded: &str) {
        let mut fields = recorded.split('\t').filter(|field| !field.is_empty());
        let (word, id) = (fields.next(), fields.next().and_then(|id| id.parse().ok()));
        let Some(place) = self.logins.iter().position(|login| Some(login.id) == id) else {
            panic!("nobody wanted to log in before {recorded:?}");
        };
        let login = self.logins.remove(place);
        let fields = fields.map(|field| {
            let field = String::from_utf8_lossy(&escape::unescape(field.as_bytes())).into_owned();
            let (name, value) = field.split_once('=').unwrap_or((&field, ""));
            (name.to_owned(), value.to_owned())
        });
        let (mut user, mut code, mut reason, mut others) = (None, None, None, Vec::new());
        for (name, value) in fields {
            match name.as_str() {
                "user" => user = Some(value),
                "code" => code = Some(value),
                "reason" if word == Some("FAIL") => reason = Some(value),
                _ => others.push((name, value)),
            }
        }
        if let Some(user) = &user {
            // A master user is named behind it.
            assert!(login.username.starts_with(user), "{login:?} became {user}");
        }
        let reply = match (word, code.as_deref(), user) {
            (Some("OK"), None, Some(user)) => Reply::Accept { user, fields: others },
            (Some("FAIL"), Some("temp_fail"), _) => Reply::TryLater,
            (Some("FAIL"), None, user) => Reply::Refuse { user, code: None, reason },
            (Some("FAIL"), Some("user_disabled"), user) => {
                Reply::Refuse { user, code: Some(FailCode::UserDisabled), reason }
            }
            _ => panic!("cannot answer {recorded:?}"),
        };
        self.session.reply(login.id, reply);
    }

    fn expected(&self, recorded: &str) -> Option<String> {
        let word = recorded.split('\t').next().unwrap_or_default();
        if is_handshake(word) {
            return None;
        }
        let fields: Vec<&str> = recorded.split('\t').collect();
        if self.from_mta && word == "OK" && fields.contains(&"nologin") {
            // Dovecot's OK lets the user send mail.
            let reason = fields.iter().find(|field| field.starts_with("reason=")).unwrap_or(&"");
            return Some(format!("FAIL\t{}\tcode=user_disabled\t{reason}", fields[1]));
        }
        // Other fields of a FAIL are read by nobody, and the TAB at the end of an OK means nothing.
        let shown = |field: &&str| {
            word != "FAIL"
                || !field.contains('=')
                || ["user=", "code=", "reason="].iter().any(|name| field.starts_with(name))
        };
        let line = fields.into_iter().filter(shown).collect::<Vec<_>>().join("\t");
        Some(if word == "OK" { line.trim_end_matches('\t').to_owned() } else { line })
    }

    fn said(&mut self) -> Option<String> {
        take_line(self.session.output())
    }
}

fn is_handshake(word: &str) -> bool {
    ["VERSION", "MECH", "SPID", "CUID", "COOKIE", "DONE"].contains(&word)
}

/// The first line of an output, without its LF.
pub(crate) fn take_line(output: &mut bytes::BytesMut) -> Option<String> {
    let end = output.iter().position(|&byte| byte == b'\n')?;
    let line = output.split_to(end + 1);
    Some(String::from_utf8_lossy(&line[..end]).into_owned())
}
