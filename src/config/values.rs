//! The small words of the file: a duration, a mode, a protocol, a log level. Parsed once, into a type.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use gatepost_protocol::Secret;
use ipnet::IpNet;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

/// A length of time, written as `"2 s"`, `"500 ms"` or `"10 min"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Period(pub(super) Duration);

impl TryFrom<String> for Period {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse::<SignedDuration>()
            .ok()
            .and_then(|duration| duration.try_into().ok())
            .map(Self)
            .ok_or_else(|| format!("{text:?} is not a length of time; write it like \"2 s\", \"500 ms\" or \"10 min\""))
    }
}

/// A password for some other program. What is wrong with one is said without it.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "toml::Value")]
pub struct Password(Secret);

impl Password {
    /// The text, for the one who logs in with it.
    #[must_use]
    pub fn expose(&self) -> &str {
        // It was made from text.
        std::str::from_utf8(self.0.expose()).unwrap_or_default()
    }
}

impl From<&str> for Password {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

/// Tells whether a configuration changed; nobody is let in by it, so it need not take the same time always.
impl PartialEq for Password {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose() == other.0.expose()
    }
}

impl Eq for Password {}

impl TryFrom<toml::Value> for Password {
    type Error = &'static str;

    fn try_from(value: toml::Value) -> Result<Self, &'static str> {
        match value {
            toml::Value::String(text) => Ok(Self(Secret::new(text.into_bytes()))),
            _ => Err("must be text in quotes"),
        }
    }
}

/// A network, written as `"192.0.2.0/24"`, or an address, which is a network of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Network(pub(super) IpNet);

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network.map(Self).map_err(|_| {
            format!("{text:?} is neither a network nor an address; write it like \"192.0.2.0/24\" or \"192.0.2.10\"")
        })
    }
}

/// The permissions of a socket file, written as `"0660"`.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Mode(pub u32);

impl Mode {
    /// Whether anybody on the host may connect.
    #[must_use]
    pub fn is_open_to_all(self) -> bool {
        self.0 & 0o002 != 0
    }
}

impl TryFrom<String> for Mode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let octal = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match u32::from_str_radix(&text, 8) {
            Ok(mode) if octal && mode <= 0o777 => Ok(Self(mode)),
            _ => Err(format!("{text:?} is not a file mode; write it in octal, like \"0660\"")),
        }
    }
}

impl fmt::Debug for Mode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:04o}", self.0)
    }
}

/// What is spoken on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Auth,
    Login,
    Master,
    Userdb,
    Dict,
    Socketmap,
    Policy,
    Poppassd,
    Http,
    Admin,
    Status,
}

impl Protocol {
    const ALL: [(Self, &'static str); 11] = [
        (Self::Auth, "auth"),
        (Self::Login, "login"),
        (Self::Master, "master"),
        (Self::Userdb, "userdb"),
        (Self::Dict, "dict"),
        (Self::Socketmap, "socketmap"),
        (Self::Policy, "policy"),
        (Self::Poppassd, "poppassd"),
        (Self::Http, "http"),
        (Self::Admin, "admin"),
        (Self::Status, "status"),
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(protocol, _)| *protocol == self).map_or("", |(_, name)| name)
    }

    /// Whether this version speaks it.
    #[must_use]
    pub fn is_available(self) -> bool {
        self != Self::Policy
    }

    /// Whether who may do what is decided by the peer's credentials, which only a unix socket shows.
    #[must_use]
    pub fn needs_peer_credentials(self) -> bool {
        matches!(self, Self::Master | Self::Userdb | Self::Dict | Self::Admin)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Protocol {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.iter().find(|(_, name)| *name == text).map(|(protocol, _)| *protocol).ok_or(())
    }
}

/// The least important line that is still logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

/// Where log lines go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// The journal where systemd connected it to stderr, else lines on stderr.
    #[default]
    Auto,
    Terminal,
    Journald,
}

/// A user or a group, by name or by number.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "expected the name or the number of a user or a group")]
pub(super) enum Id {
    Number(u32),
    Name(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read_with_their_unit() {
        let cases = [
            ("2 s", Some(Duration::from_secs(2))),
            ("2s", Some(Duration::from_secs(2))),
            ("500 ms", Some(Duration::from_millis(500))),
            ("10 min", Some(Duration::from_mins(10))),
            ("1 h 30 min", Some(Duration::from_mins(90))),
            ("0 s", Some(Duration::ZERO)),
            ("2", None),
            ("-2 s", None),
            ("2 s ago", None),
            ("2 parsecs", None),
            ("", None),
        ];
        for (text, duration) in cases {
            assert_eq!(Period::try_from(text.to_owned()).ok().map(|period| period.0), duration, "{text:?}");
        }
    }

    #[test]
    fn modes_are_octal() {
        let cases = [("0660", Some(0o660)), ("666", Some(0o666)), ("0", Some(0)), ("0680", None), ("1777", None)];
        for (text, mode) in cases {
            assert_eq!(Mode::try_from(text.to_owned()).ok().map(|mode| mode.0), mode, "{text:?}");
        }
        for text in ["", "+660", "0o660", "rw-rw----"] {
            assert!(Mode::try_from(text.to_owned()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn every_protocol_is_known_by_its_name() {
        for (protocol, name) in Protocol::ALL {
            assert_eq!((name.parse(), protocol.as_str()), (Ok(protocol), name));
        }
        assert_eq!("imap".parse::<Protocol>(), Err(()));
    }
}
