//! Where a Dovecot's doveadm answers over HTTP.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use hyper::Uri;
use serde::Deserialize;

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Endpoint {
    Http(Host),
    Https(Host),
    /// A `unix_listener` of Dovecot's.
    Unix(PathBuf),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// A name or an address, without the brackets of IPv6.
    pub name: String,
    pub port: u16,
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is no place of Dovecot's doveadm; write it like \"unix:/run/dovecot/http\", \
                 \"http://127.0.0.1:8080\" or \"https://imap1.example.org:8443\""
            )
        };
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() { Err(wrong()) } else { Ok(Self::Unix(path.into())) };
        }
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let bare = uri.path_and_query().is_none_or(|rest| rest.as_str() == "/");
        let anonymous = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        let (Some(name), Some(port), true, true) = (uri.host(), uri.port_u16(), bare, anonymous) else {
            return Err(wrong());
        };
        let name = name.trim_matches(['[', ']']).to_owned();
        match uri.scheme_str() {
            Some("http") => Ok(Self::Http(Host { name, port })),
            Some("https") => Ok(Self::Https(Host { name, port })),
            _ => Err(wrong()),
        }
    }
}

impl TryFrom<String> for Endpoint {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(host) => write!(formatter, "http://{host}"),
            Self::Https(host) => write!(formatter, "https://{host}"),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, port } = self;
        if name.contains(':') { write!(formatter, "[{name}]:{port}") } else { write!(formatter, "{name}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_and_written_alike() {
        let host = |name: &str, port| Host { name: name.to_owned(), port };
        let cases = [
            ("http://127.0.0.1:8080", Endpoint::Http(host("127.0.0.1", 8080))),
            ("https://imap1.example.org:8443", Endpoint::Https(host("imap1.example.org", 8443))),
            ("http://[2001:db8::1]:8080", Endpoint::Http(host("2001:db8::1", 8080))),
            ("unix:/run/dovecot/http", Endpoint::Unix("/run/dovecot/http".into())),
        ];
        for (text, endpoint) in cases {
            assert_eq!((text.parse(), endpoint.to_string()), (Ok(endpoint), text.to_owned()));
        }
        for text in [
            "",
            "imap1",
            "imap1:8080",
            "http://imap1",
            "ftp://imap1:21",
            "unix:",
            "http://imap1:8080/doveadm/v1",
            "http://key@imap1:8080",
            "http://imap1:99999",
        ] {
            assert!(text.parse::<Endpoint>().is_err(), "{text:?}");
        }
    }
}
