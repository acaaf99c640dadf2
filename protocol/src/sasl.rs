//! SASL messages: PLAIN (RFC 4616) and LOGIN, as exchanges of challenge and response.
//!
//! Trusts: nobody. Responses arrive decoded; [`decode`] is strict base64, and no error repeats its input.
//! Fails:  [`Step::Malformed`], which says nothing of any password.
//! Limits: names that are not UTF-8 get replacement characters, so no account has them.

use base64::{Engine, engine::general_purpose::STANDARD};
use nom::{
    IResult, Parser,
    bytes::complete::{tag, take_while},
    combinator::all_consuming,
    sequence::terminated,
};
use zeroize::Zeroizing;

use crate::Secret;

/// A mechanism that we offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// One message: authorization name, user name, password.
    Plain,
    /// Two questions: user name, password.
    Login,
}

impl Mechanism {
    /// All that we offer, in the order we list them.
    pub const ALL: [Self; 2] = [Self::Plain, Self::Login];

    /// The mechanism of that name, in any case of letters.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name().as_bytes().eq_ignore_ascii_case(name))
    }

    /// Its registered name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
        }
    }
}

/// What a finished exchange yields.
#[derive(Debug)]
pub struct Credentials {
    /// Whom the user wants to act as, when that is somebody else.
    pub authzid: Option<String>,
    /// The user's name as sent.
    pub username: String,
    /// The password.
    pub password: Secret,
}

/// Where an exchange stands.
#[derive(Debug)]
pub enum Step {
    /// Ask this of the client and give the answer to the exchange.
    Challenge(&'static str, Exchange),
    /// All is said.
    Done(Credentials),
    /// The response is no message of this mechanism.
    Malformed,
}

/// An exchange waiting for the client's response.
#[derive(Debug)]
pub struct Exchange(Awaited);

#[derive(Debug)]
enum Awaited {
    PlainMessage,
    LoginName,
    LoginPassword { username: String },
}

impl Exchange {
    /// Begins. An absent initial response is not an empty one: PLAIN asks for the first and refuses the second.
    #[must_use]
    pub fn start(mechanism: Mechanism, initial: Option<Secret>) -> Step {
        let (challenge, exchange) = match mechanism {
            Mechanism::Plain => ("", Self(Awaited::PlainMessage)),
            Mechanism::Login => ("Username:", Self(Awaited::LoginName)),
        };
        match initial {
            Some(name) if mechanism == Mechanism::Login && name.expose().is_empty() => {
                Step::Challenge(challenge, exchange)
            }
            Some(response) => exchange.respond(response),
            None => Step::Challenge(challenge, exchange),
        }
    }

    /// Goes on with the client's response.
    #[must_use]
    pub fn respond(self, response: Secret) -> Step {
        match self.0 {
            Awaited::PlainMessage => plain(response.expose()).map_or(Step::Malformed, Step::Done),
            Awaited::LoginName => {
                let username = lossy(response.expose());
                Step::Challenge("Password:", Self(Awaited::LoginPassword { username }))
            }
            Awaited::LoginPassword { username } => {
                Step::Done(Credentials { authzid: None, username, password: response })
            }
        }
    }
}

/// Strict base64: padded, nothing left over.
#[must_use]
pub fn decode(text: &[u8]) -> Option<Secret> {
    let mut decoded = Zeroizing::new(Vec::new());
    STANDARD.decode_vec(text, &mut decoded).ok()?;
    Some(Secret::new(std::mem::take(&mut decoded)))
}

/// The base64 of a challenge.
#[must_use]
pub fn encode(challenge: &str) -> String {
    STANDARD.encode(challenge)
}

fn plain(message: &[u8]) -> Option<Credentials> {
    let (_, (authzid, username, password)) = plain_message(message).ok()?;
    Some(Credentials {
        // doveadm 2.3 repeats the user's name here.
        authzid: (!authzid.is_empty() && authzid != username).then(|| lossy(authzid)),
        username: lossy(username),
        password: Secret::new(password.to_vec()),
    })
}

/// Authorization name, user name, password.
type PlainMessage<'a> = (&'a [u8], &'a [u8], &'a [u8]);

/// `message = [authzid] UTF8NUL authcid UTF8NUL passwd`
fn plain_message(input: &[u8]) -> IResult<&[u8], PlainMessage<'_>> {
    let text = || take_while(|byte| byte != 0);
    let nul = || tag("\0");
    (terminated(text(), nul()), terminated(text(), nul()), all_consuming(text())).parse(input)
}

fn lossy(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Option<Secret> {
        Some(Secret::from(text))
    }

    fn done(step: Step) -> (Option<String>, String, Vec<u8>) {
        match step {
            Step::Done(found) => (found.authzid, found.username, found.password.expose().to_vec()),
            other => panic!("not done: {other:?}"),
        }
    }

    #[test]
    fn plain_takes_three_parts_and_nothing_else() {
        let cases = [
            ("\0ann\0s3cret", Some((None, "ann", "s3cret"))),
            ("ann\0ann\0s3cret", Some((None, "ann", "s3cret"))),
            ("bob\0ann\0s3cret", Some((Some("bob"), "ann", "s3cret"))),
            ("\0\0", Some((None, "", ""))),
            ("\0ann\0 with space\t\r\n", Some((None, "ann", " with space\t\r\n"))),
            ("", None),
            ("ann", None),
            ("\0ann", None),
            ("\0ann\0s3cret\0", None),
            ("\0ann\0s3\0cret", None),
        ];
        for (message, expected) in cases {
            match (Exchange::start(Mechanism::Plain, secret(message)), expected) {
                (Step::Malformed, None) => {}
                (step, Some((authzid, username, password))) => {
                    let expected = (authzid.map(str::to_owned), username.to_owned(), password.into());
                    assert_eq!(done(step), expected, "{message:?}");
                }
                (step, None) => panic!("{message:?} gave {step:?}"),
            }
        }
    }

    #[test]
    fn plain_without_initial_response_asks_an_empty_question() {
        let Step::Challenge("", exchange) = Exchange::start(Mechanism::Plain, None) else {
            panic!("no challenge");
        };
        let found = done(exchange.respond(Secret::from("\0ann\0s")));
        assert_eq!(found, (None, "ann".to_owned(), b"s".to_vec()));
    }

    #[test]
    fn login_asks_for_the_name_unless_it_came_first() {
        for initial in [None, secret("")] {
            let Step::Challenge("Username:", exchange) = Exchange::start(Mechanism::Login, initial) else {
                panic!("no question for the name");
            };
            let Step::Challenge("Password:", exchange) = exchange.respond(Secret::from("ann")) else {
                panic!("no question for the password");
            };
            assert_eq!(done(exchange.respond(Secret::from("a\0b"))), (None, "ann".to_owned(), b"a\0b".to_vec()));
        }
        assert!(matches!(Exchange::start(Mechanism::Login, secret("ann")), Step::Challenge("Password:", _)));
    }

    #[test]
    fn base64_is_strict() {
        let cases: [(&str, Option<&[u8]>); 8] = [
            ("", Some(b"")),
            ("AGFubgBz", Some(b"\0ann\0s")),
            ("YQ==", Some(b"a")),
            ("YQ", None),
            ("YQ=", None),
            ("YR==", None),
            ("!!!!", None),
            ("YWFh\r", None),
        ];
        for (text, expected) in cases {
            let decoded = decode(text.as_bytes());
            assert_eq!(decoded.as_ref().map(Secret::expose), expected, "{text}");
        }
    }

    #[test]
    fn a_name_that_is_not_utf8_is_kept_apart_from_real_ones() {
        let (_, username, _) = done(Exchange::start(Mechanism::Plain, Some(Secret::new(b"\0ann\xff\0s".to_vec()))));
        assert_eq!(username, "ann\u{fffd}");
    }

    #[test]
    fn nothing_secret_is_shown_by_debug() {
        let step = Exchange::start(Mechanism::Plain, secret("\0ann\0s3cret"));
        assert!(!format!("{step:?}").contains("s3cret"));
    }
}
