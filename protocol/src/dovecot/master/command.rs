//! What a mail process says, line by line.

use super::{
    super::{
        ClientInfo, CommandName, Cookie, ProtocolError,
        error::bad,
        escape::{fields, number, text},
    },
    HandOff, Lookup, MasterEvent, Role,
};

impl MasterEvent {
    /// A line after the handshake. A REQUEST with a cookie that is none names only its id.
    pub(super) fn parse(line: &[u8], role: Role) -> Result<Result<Self, BadCookie>, ProtocolError> {
        let mut arguments = fields(line);
        let command = arguments.next().unwrap_or_default();
        let event = match (command, role) {
            (b"USER", _) => Self::User(lookup("USER", arguments)?),
            (b"PASS", _) => Self::Pass(lookup("PASS", arguments)?),
            (b"LIST", _) => {
                let id = id("LIST", &mut arguments)?;
                let mask = arguments.find_map(|parameter| parameter.strip_prefix(b"user=").map(text));
                Self::List { id, mask }
            }
            (b"CACHE-FLUSH", Role::Master) => {
                let id = id("CACHE-FLUSH", &mut arguments)?;
                Self::CacheFlush { id, users: arguments.map(text).collect() }
            }
            (b"REQUEST", Role::Master) => return hand_off(arguments),
            _ => return Err(ProtocolError::UnknownCommand(CommandName::of(line))),
        };
        Ok(Ok(event))
    }

    pub(super) const fn command(&self) -> &'static str {
        match self {
            Self::Request(_) => "REQUEST",
            Self::User(_) => "USER",
            Self::Pass(_) => "PASS",
            Self::List { .. } => "LIST",
            Self::CacheFlush { .. } => "CACHE-FLUSH",
        }
    }

    pub(super) const fn id(&self) -> u32 {
        match self {
            Self::Request(HandOff { id, .. })
            | Self::User(Lookup { id, .. })
            | Self::Pass(Lookup { id, .. })
            | Self::List { id, .. }
            | Self::CacheFlush { id, .. } => *id,
        }
    }
}

/// A hand-off that nobody can have made.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadCookie {
    pub(super) id: u32,
}

/// `id⇥user⇥service=…[⇥parameter…]`
fn lookup<'a>(command: &'static str, mut arguments: impl Iterator<Item = &'a [u8]>) -> Result<Lookup, ProtocolError> {
    let id = id(command, &mut arguments)?;
    let user = arguments.next().filter(|user| !user.is_empty());
    let user = user.ok_or_else(|| bad(command, "the user's name is missing"))?;
    let mut info = ClientInfo::default();
    arguments.for_each(|parameter| info.note(parameter));
    if info.service.is_empty() {
        return Err(bad(command, "the service is missing"));
    }
    Ok(Lookup { id, user: String::from_utf8_lossy(user).into_owned(), info })
}

/// `id⇥client pid⇥auth id⇥cookie[⇥session_pid=…][⇥request_auth_token]`
fn hand_off<'a>(
    mut arguments: impl Iterator<Item = &'a [u8]>,
) -> Result<Result<MasterEvent, BadCookie>, ProtocolError> {
    let mut next = || arguments.next().and_then(number);
    let (Some(id), Some(client_pid), Some(auth_id)) = (next(), next(), next()) else {
        return Err(bad("REQUEST", "three numbers must follow"));
    };
    let Some(cookie) = arguments.next().and_then(Cookie::from_hex) else {
        return Ok(Err(BadCookie { id }));
    };
    let mut hand_off = HandOff { id, client_pid, auth_id, cookie, session_pid: None, wants_token: false };
    for parameter in arguments {
        if let Some(pid) = parameter.strip_prefix(b"session_pid=") {
            let pid = number(pid).ok_or_else(|| bad("REQUEST", "session_pid is no process id"))?;
            hand_off.session_pid = Some(pid);
        } else if parameter == b"request_auth_token" {
            hand_off.wants_token = true;
        }
    }
    Ok(Ok(MasterEvent::Request(hand_off)))
}

fn id<'a>(command: &'static str, arguments: &mut impl Iterator<Item = &'a [u8]>) -> Result<u32, ProtocolError> {
    arguments.next().and_then(number).ok_or_else(|| bad(command, "a number must follow"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COOKIE: &str = "5fc6b06b47332b9f7c7d69eadae6b41d";

    fn parsed(line: &str) -> MasterEvent {
        match MasterEvent::parse(line.as_bytes(), Role::Master) {
            Ok(Ok(event)) => event,
            other => panic!("{line:?} gave {other:?}"),
        }
    }

    fn lookup(id: u32, user: &str, service: &str) -> Lookup {
        Lookup { id, user: user.to_owned(), info: ClientInfo { service: service.to_owned(), ..ClientInfo::default() } }
    }

    fn hand_off(session_pid: Option<u32>, wants_token: bool) -> MasterEvent {
        let cookie = Cookie::from_hex(COOKIE.as_bytes()).expect("a cookie");
        MasterEvent::Request(HandOff {
            id: 2_528_641_025,
            client_pid: 13761,
            auth_id: 1,
            cookie,
            session_pid,
            wants_token,
        })
    }

    #[test]
    fn lookups_name_a_user_and_a_service() {
        let list = |id, mask: Option<&str>| MasterEvent::List { id, mask: mask.map(str::to_owned) };
        let flush = |users: &[&str]| MasterEvent::CacheFlush {
            id: 1,
            users: users.iter().map(|&user| user.to_owned()).collect(),
        };
        let request = format!("REQUEST\t2528641025\t13761\t1\t{COOKIE}");
        let cases = [
            ("USER\t1\tann\tservice=lmtp", MasterEvent::User(lookup(1, "ann", "lmtp"))),
            ("USER\t2\ta\x01tn\tprotocol=lda\tdebug", MasterEvent::User(lookup(2, "a\x01tn", "lda"))),
            ("PASS\t0\tann\tservice=imap\tdebug", MasterEvent::Pass(lookup(0, "ann", "imap"))),
            ("LIST\t1\tuser=*\tservice=doveadm\tdebug", list(1, Some("*"))),
            ("LIST\t1\tprotocol=doveadm\tuser=a\x01tb", list(1, Some("a\tb"))),
            ("LIST\t1", list(1, None)),
            ("CACHE-FLUSH\t1\tann@example.org\tbob", flush(&["ann@example.org", "bob"])),
            ("CACHE-FLUSH\t1", flush(&[])),
            (&request, hand_off(None, false)),
            (&format!("{request}\tsession_pid=4\trequest_auth_token"), hand_off(Some(4), true)),
            (&format!("{request}\tsession_pid=4\tunknown=1"), hand_off(Some(4), false)),
        ];
        for (line, expected) in cases {
            assert_eq!(parsed(line), expected, "{line:?}");
        }
    }

    #[test]
    fn a_cookie_that_is_none_is_told_from_a_broken_command() {
        for cookie in ["", "\t", "\txyz", &format!("\t{COOKIE}0")] {
            let line = format!("REQUEST\t9\t1\t1{cookie}");
            let found = MasterEvent::parse(line.as_bytes(), Role::Master);
            assert_eq!(found, Ok(Err(BadCookie { id: 9 })), "{line:?}");
        }
    }

    #[test]
    fn broken_commands_are_refused() {
        let cases = [
            ("USER", "bad USER: a number must follow"),
            ("USER\t1", "bad USER: the user's name is missing"),
            ("USER\t1\t\tservice=lmtp", "bad USER: the user's name is missing"),
            ("USER\t1\tann", "bad USER: the service is missing"),
            ("PASS\t-1\tann\tservice=lmtp", "bad PASS: a number must follow"),
            ("LIST", "bad LIST: a number must follow"),
            ("CACHE-FLUSH\tann", "bad CACHE-FLUSH: a number must follow"),
            ("REQUEST\t1\t2", "bad REQUEST: three numbers must follow"),
            (&format!("REQUEST\t1\t2\t3\t{COOKIE}\tsession_pid=x"), "bad REQUEST: session_pid is no process id"),
            ("AUTH\t1", "unknown command AUTH"),
            ("", "unknown command an empty line"),
        ];
        for (line, expected) in cases {
            match MasterEvent::parse(line.as_bytes(), Role::Master) {
                Ok(event) => panic!("{line:?} gave {event:?}"),
                Err(error) => assert_eq!(error.to_string(), expected),
            }
        }
    }

    #[test]
    fn a_userdb_socket_knows_no_hand_off_and_no_flush() {
        for line in ["REQUEST\t1\t2\t3", "CACHE-FLUSH\t1"] {
            let found = MasterEvent::parse(line.as_bytes(), Role::Userdb);
            assert!(matches!(found, Err(ProtocolError::UnknownCommand(_))), "{line:?}");
        }
    }
}
