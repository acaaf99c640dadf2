//! What an auth client says, line by line.

use super::super::{
    ClientInfo, CommandName, ProtocolError,
    error::bad,
    escape::{fields, number},
};
use crate::{Secret, sasl, sasl::Mechanism};

/// A line after the handshake.
pub(super) enum Command<'a> {
    Auth(Box<Auth<'a>>),
    /// The response as sent, in base64.
    Continue {
        id: u32,
        response: &'a [u8],
    },
    Cancel {
        id: u32,
    },
}

pub(super) struct Auth<'a> {
    pub(super) id: u32,
    /// Absent if it is none that we offer.
    pub(super) mechanism: Option<Mechanism>,
    pub(super) info: ClientInfo,
    /// What followed `resp=`, as sent.
    pub(super) response: Option<&'a [u8]>,
}

/// `CPID⇥pid`
pub(super) fn client_pid(line: &[u8]) -> Result<u32, ProtocolError> {
    let mut arguments = fields(line);
    if arguments.next() != Some(b"CPID") {
        return Err(ProtocolError::NoPid(CommandName::of(line)));
    }
    arguments.next().and_then(number).filter(|&pid| pid != 0).ok_or_else(|| bad("CPID", "a process id must follow"))
}

impl<'a> Command<'a> {
    pub(super) fn parse(line: &'a [u8]) -> Result<Self, ProtocolError> {
        let mut arguments = fields(line);
        let command = arguments.next().unwrap_or_default();
        let mut id = |command| {
            let id = arguments.next().and_then(number).filter(|&id| id != 0);
            id.ok_or_else(|| bad(command, "a number that is not 0 must follow"))
        };
        match command {
            b"AUTH" => {
                let id = id("AUTH")?;
                Auth::parse(id, arguments).map(Box::new).map(Self::Auth)
            }
            b"CONT" => {
                let id = id("CONT")?;
                let response = arguments.next().ok_or_else(|| bad("CONT", "the response is missing"))?;
                Ok(Self::Continue { id, response })
            }
            b"CANCEL" => Ok(Self::Cancel { id: id("CANCEL")? }),
            _ => Err(ProtocolError::UnknownCommand(CommandName::of(line))),
        }
    }
}

impl<'a> Auth<'a> {
    /// `MECH⇥service=…[⇥parameter…][⇥resp=…]`, the response last.
    fn parse(id: u32, mut arguments: impl Iterator<Item = &'a [u8]>) -> Result<Self, ProtocolError> {
        let mechanism = arguments.next().ok_or_else(|| bad("AUTH", "the mechanism is missing"))?;
        let mut info = ClientInfo::default();
        let mut response = None;
        for parameter in arguments {
            if response.is_some() {
                return Err(bad("AUTH", "something follows the response"));
            }
            response = parameter.strip_prefix(b"resp=");
            if response.is_none() {
                info.note(parameter);
            }
        }
        if info.service.is_empty() {
            return Err(bad("AUTH", "the service is missing"));
        }
        Ok(Self { id, mechanism: Mechanism::from_name(mechanism), info, response })
    }

    /// The initial response, absent or present, decoded.
    ///
    /// Exim always ends with `resp=` and means nothing by it; to a Dovecot login process the same is the client's `=`,
    /// a response that is there and empty. Postfix passes the client's `=` on as it is.
    pub(super) fn initial_response(&self, minor: u32) -> Result<Option<Secret>, InvalidBase64> {
        match self.response {
            None => Ok(None),
            Some(b"") if minor < 2 => Ok(None),
            Some(b"=") => Ok(Some(Secret::default())),
            Some(text) => sasl::decode(text).map(Some).ok_or(InvalidBase64),
        }
    }
}

pub(super) struct InvalidBase64;

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(line: &str) -> Auth<'_> {
        match Command::parse(line.as_bytes()) {
            Ok(Command::Auth(auth)) => *auth,
            Ok(_) => panic!("{line:?} is no AUTH"),
            Err(error) => panic!("{line:?}: {error}"),
        }
    }

    #[test]
    fn a_client_has_a_process_id() {
        assert_eq!(client_pid(b"CPID\t41"), Ok(41));
        for line in ["CPID", "CPID\t", "CPID\t0", "CPID\tx", "AUTH\t1", ""] {
            assert!(client_pid(line.as_bytes()).is_err(), "{line:?}");
        }
    }

    #[test]
    fn broken_commands_are_named_without_their_content() {
        let cases = [
            ("AUTH", "bad AUTH: a number that is not 0 must follow"),
            ("AUTH\t0\tPLAIN\tservice=imap", "bad AUTH: a number that is not 0 must follow"),
            ("AUTH\t1", "bad AUTH: the mechanism is missing"),
            ("AUTH\t1\tPLAIN", "bad AUTH: the service is missing"),
            ("AUTH\t1\tPLAIN\tservice=", "bad AUTH: the service is missing"),
            ("AUTH\t1\tPLAIN\tservice=imap\tresp=AA==\tsecured", "bad AUTH: something follows the response"),
            ("AUTH\t1\tPLAIN\tservice=imap\tresp=AA==\tresp=AA==", "bad AUTH: something follows the response"),
            ("CONT\t1", "bad CONT: the response is missing"),
            ("CONT\tx\tAGFubgBz", "bad CONT: a number that is not 0 must follow"),
            ("CANCEL", "bad CANCEL: a number that is not 0 must follow"),
            ("auth\t1\tPLAIN", "unknown command (a line of 12 bytes)"),
            ("AGFubgBz", "unknown command (a line of 8 bytes)"),
            ("REQUEST\t1", "unknown command REQUEST"),
            ("", "unknown command an empty line"),
        ];
        for (line, expected) in cases {
            match Command::parse(line.as_bytes()) {
                Ok(_) => panic!("{line:?} was taken"),
                Err(error) => assert_eq!(error.to_string(), expected, "{line:?}"),
            }
        }
    }

    #[test]
    fn mechanisms_are_named_in_any_case() {
        let cases =
            [("plain", Some(Mechanism::Plain)), ("Login", Some(Mechanism::Login)), ("CRAM-MD5", None), ("", None)];
        for (name, mechanism) in cases {
            assert_eq!(auth(&format!("AUTH\t1\t{name}\tservice=imap")).mechanism, mechanism);
        }
    }

    #[test]
    fn an_empty_response_means_what_its_sender_means() {
        // What follows the service, from a client of which minor, and what it means: INVALID, ABSENT or the response.
        const INVALID: Option<&str> = Some("invalid");
        const ABSENT: Option<&str> = None;
        let cases = [
            ("", 0, ABSENT),
            ("", 2, ABSENT),
            ("\tresp=", 0, ABSENT),
            ("\tresp=", 1, ABSENT),
            ("\tresp=", 2, Some("")),
            ("\tresp=", 4, Some("")),
            ("\tresp==", 0, Some("")),
            ("\tresp==", 2, Some("")),
            ("\tresp=AGFubgBz", 0, Some("\0ann\0s")),
            ("\tresp=!!!!", 2, INVALID),
        ];
        for (end, minor, expected) in cases {
            let line = format!("AUTH\t7\tPLAIN\tservice=imap{end}");
            let found = match auth(&line).initial_response(minor) {
                Ok(response) => response.map(|response| response.expose().to_vec()),
                Err(InvalidBase64) => INVALID.map(Into::into),
            };
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{line:?} from a client of minor {minor}");
        }
    }
}
