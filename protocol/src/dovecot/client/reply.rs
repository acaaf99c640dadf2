//! What an auth client is told, in the words it understands.

use bytes::{BufMut, BytesMut};

use super::super::{
    Handshake,
    escape::{LineWriter, needs_escaping},
};
use crate::{
    line::{TooLong, one_line},
    sasl,
    sasl::Mechanism,
};

/// The answer to a login. A client that hears "no" may drop a stored password; one that hears "not now" retries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The password is right.
    Accept {
        /// The user's name as it is from now on.
        user: String,
        /// Further fields; an empty value makes a flag. `nologin` says that the user must not come in all the same.
        fields: Vec<(String, String)>,
    },
    /// No.
    Refuse {
        /// The user's name, for the client's log.
        user: Option<String>,
        /// Why, for the client.
        code: Option<FailCode>,
        /// Why, for the user.
        reason: Option<String>,
    },
    /// Not now: nobody knows whether the password is right.
    TryLater,
}

/// Why a login is refused, where the user may know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailCode {
    /// The password is right, but not for acting as that other user.
    AuthzFail,
    /// The account is disabled.
    UserDisabled,
    /// The password is too old.
    PassExpired,
}

/// Who reads the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    /// A client of the Dovecot kind, of this minor version.
    Dovecot { minor: u32 },
    /// Postfix or Exim: no escapes, no codes, and every OK lets the user in.
    Mta,
}

/// The answer cannot be put into a line that this audience would understand.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unsayable;

impl From<TooLong> for Unsayable {
    fn from(_: TooLong) -> Self {
        Self
    }
}

/// Dovecot's clients read lines of this length; Exim of half.
const LONGEST_LINE: usize = 16_384;

/// The whole greeting. Exim writes nothing before it has read DONE, and Postfix wants MECH before SPID.
pub(super) fn greet(output: &mut BytesMut, handshake: &Handshake) {
    use std::fmt::Write;
    let mut greeting = String::from("VERSION\t1\t2\n");
    for mechanism in Mechanism::ALL {
        let _ = writeln!(greeting, "MECH\t{}\tplaintext", mechanism.name());
    }
    let Handshake { server_pid, connection, cookie } = handshake;
    let _ = write!(greeting, "SPID\t{server_pid}\nCUID\t{connection}\nCOOKIE\t{}\nDONE\n", cookie.hex());
    output.put_slice(greeting.as_bytes());
}

/// `CONT⇥id⇥base64`. Exim needs the TAB even before nothing.
pub(super) fn challenge(output: &mut BytesMut, id: u32, challenge: &str) {
    let line = LineWriter::new(output, "CONT").number(id);
    // Our own challenges are short.
    let _ = line.field(sasl::encode(challenge)).end(LONGEST_LINE);
}

/// `FAIL⇥id`, for a request that never became a login.
pub(super) fn fail(output: &mut BytesMut, id: u32, code: Option<&str>, reason: Option<&str>) {
    let mut line = LineWriter::new(output, "FAIL").number(id);
    if let Some(code) = code {
        line = line.pair("code", code);
    }
    if let Some(reason) = reason {
        line = line.pair("reason", reason);
    }
    let _ = line.end(LONGEST_LINE);
}

/// "Not now", as a Dovecot client hears it.
pub(super) fn try_later(output: &mut BytesMut, id: u32) {
    let line = LineWriter::new(output, "FAIL").number(id);
    let _ = line.pair("code", "temp_fail").end(LONGEST_LINE);
}

/// `CANCELLED⇥id`: fatal to a client older than minor 4, awaited by the others.
pub(super) fn cancelled(output: &mut BytesMut, id: u32) {
    let _ = LineWriter::new(output, "CANCELLED").number(id).end(LONGEST_LINE);
}

impl Reply {
    /// Writes the answer in one line, or finds that this audience can only be told to try later.
    pub(super) fn write(&self, output: &mut BytesMut, id: u32, audience: Audience) -> Result<(), Unsayable> {
        match (self, audience) {
            (Self::Accept { user, fields }, Audience::Dovecot { minor }) => {
                Ok(accept(output, id, user, fields, minor)?)
            }
            (Self::Accept { user, fields }, Audience::Mta) => {
                let value = |name| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value);
                if value("nologin").is_some() {
                    let reason = value("reason").map(String::as_str);
                    return Ok(refuse(output, id, None, Some(FailCode::UserDisabled), reason, audience)?);
                }
                if needs_escaping(user.as_bytes()) {
                    return Ok(refuse(output, id, None, None, None, audience)?);
                }
                // The only field that an MTA reads.
                Ok(accept(output, id, user, &[], 0)?)
            }
            (Self::Refuse { user, code, reason }, _) => {
                Ok(refuse(output, id, user.as_deref(), *code, reason.as_deref(), audience)?)
            }
            (Self::TryLater, Audience::Dovecot { .. }) => {
                try_later(output, id);
                Ok(())
            }
            (Self::TryLater, Audience::Mta) => Err(Unsayable),
        }
    }
}

/// `OK⇥id⇥user=…`, the name first since Exim reads sixteen fields only.
fn accept(output: &mut BytesMut, id: u32, user: &str, fields: &[(String, String)], minor: u32) -> Result<(), TooLong> {
    let line = LineWriter::new(output, "OK").number(id).pair("user", user);
    line.passdb_fields(fields, minor).end(LONGEST_LINE)
}

fn refuse(
    output: &mut BytesMut,
    id: u32,
    user: Option<&str>,
    code: Option<FailCode>,
    reason: Option<&str>,
    audience: Audience,
) -> Result<(), TooLong> {
    let mut line = LineWriter::new(output, "FAIL").number(id);
    let sayable = |name: &&str| audience != Audience::Mta || !needs_escaping(name.as_bytes());
    if let Some(user) = user.filter(sayable) {
        line = line.pair("user", user);
    }
    if let Some(code) = code {
        line = line.pair("code", code.name());
    }
    if let Some(reason) = reason {
        line = line.pair("reason", &one_line(reason));
    }
    line.end(LONGEST_LINE)
}

impl FailCode {
    const fn name(self) -> &'static str {
        match self {
            Self::AuthzFail => "authz_fail",
            Self::UserDisabled => "user_disabled",
            Self::PassExpired => "pass_expired",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::super::Cookie, *};

    const LOGIN_2_3: Audience = Audience::Dovecot { minor: 2 };
    const LOGIN_2_4: Audience = Audience::Dovecot { minor: 3 };

    fn accept(user: &str, fields: &[(&str, &str)]) -> Reply {
        Reply::Accept {
            user: user.to_owned(),
            fields: fields.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect(),
        }
    }

    fn refuse(user: Option<&str>, code: Option<FailCode>, reason: Option<&str>) -> Reply {
        Reply::Refuse { user: user.map(str::to_owned), code, reason: reason.map(str::to_owned) }
    }

    fn written(reply: &Reply, audience: Audience) -> Option<String> {
        let mut output = BytesMut::new();
        let said = reply.write(&mut output, 7, audience);
        let text = String::from_utf8(output.to_vec()).expect("UTF-8");
        assert_eq!(said.is_err(), text.is_empty(), "an answer is one line or none");
        said.is_ok().then_some(text)
    }

    #[test]
    fn each_audience_hears_what_it_understands() {
        use FailCode::{AuthzFail, PassExpired, UserDisabled};
        let suspended = accept("bob", &[("nologin", ""), ("reason", "Suspended")]);
        let cases = [
            (accept("ann", &[]), LOGIN_2_3, Some("OK\t7\tuser=ann\n")),
            (accept("ann", &[]), Audience::Mta, Some("OK\t7\tuser=ann\n")),
            (accept("a\tn", &[]), LOGIN_2_3, Some("OK\t7\tuser=a\x01tn\n")),
            (accept("a\tn", &[]), Audience::Mta, Some("FAIL\t7\n")),
            (accept("ann", &[("host", "::1")]), LOGIN_2_3, Some("OK\t7\tuser=ann\thost=::1\n")),
            (accept("ann", &[("host", "::1")]), Audience::Mta, Some("OK\t7\tuser=ann\n")),
            (suspended.clone(), LOGIN_2_3, Some("OK\t7\tuser=bob\tnologin\treason=Suspended\n")),
            (suspended.clone(), LOGIN_2_4, Some("OK\t7\tuser=bob\tnologin=\treason=Suspended\n")),
            (suspended, Audience::Mta, Some("FAIL\t7\tcode=user_disabled\treason=Suspended\n")),
            (refuse(None, None, None), LOGIN_2_3, Some("FAIL\t7\n")),
            (
                refuse(Some("ann"), Some(PassExpired), Some("Too old")),
                LOGIN_2_3,
                Some("FAIL\t7\tuser=ann\tcode=pass_expired\treason=Too old\n"),
            ),
            (refuse(Some("a\nn"), Some(AuthzFail), None), LOGIN_2_3, Some("FAIL\t7\tuser=a\x01nn\tcode=authz_fail\n")),
            (
                refuse(Some("a\nn"), Some(UserDisabled), Some("a\r\nb")),
                Audience::Mta,
                Some("FAIL\t7\tcode=user_disabled\treason=a  b\n"),
            ),
            (Reply::TryLater, LOGIN_2_3, Some("FAIL\t7\tcode=temp_fail\n")),
            (Reply::TryLater, LOGIN_2_4, Some("FAIL\t7\tcode=temp_fail\n")),
            (Reply::TryLater, Audience::Mta, None),
        ];
        for (reply, audience, expected) in cases {
            assert_eq!(written(&reply, audience).as_deref(), expected, "{reply:?} to {audience:?}");
        }
    }

    #[test]
    fn an_answer_too_long_for_a_line_is_not_given() {
        let long = "x".repeat(LONGEST_LINE);
        assert_eq!(written(&accept("ann", &[("home", &long)]), LOGIN_2_3), None);
        let reason = "ä".repeat(LONGEST_LINE);
        let refused = written(&refuse(None, None, Some(&reason)), LOGIN_2_3).expect("a refusal is cut");
        assert_eq!(refused, format!("FAIL\t7\treason={}\n", "ä".repeat(256)));
    }

    #[test]
    fn the_greeting_is_whole_and_short() {
        let mut output = BytesMut::new();
        let handshake = Handshake { server_pid: u32::MAX, connection: u32::MAX, cookie: Cookie::new([0xab; 16]) };
        greet(&mut output, &handshake);
        let expected = concat!(
            "VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tLOGIN\tplaintext\nSPID\t4294967295\nCUID\t4294967295\n",
            "COOKIE\tabababababababababababababababab\nDONE\n"
        );
        assert_eq!(output, expected);
        assert!(output.len() <= 1024, "some clients read it with one call");
    }

    #[test]
    fn an_empty_challenge_still_has_its_field() {
        let mut output = BytesMut::new();
        challenge(&mut output, 1, "");
        challenge(&mut output, 2, "Username:");
        assert_eq!(output, "CONT\t1\t\nCONT\t2\tVXNlcm5hbWU6\n");
    }
}
