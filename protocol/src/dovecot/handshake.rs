//! How a connection begins, on auth client and master sockets.

use std::fmt;

use subtle::ConstantTimeEq;

use super::{
    CommandName, ProtocolError,
    error::bad,
    escape::{fields, number},
};

/// Proves that who claims a login was handed it by the client that made it.
#[derive(Clone)]
pub struct Cookie([u8; 16]);

/// The server's part of an auth client's handshake.
#[derive(Clone, Debug)]
pub struct Handshake {
    /// Must be the same on every socket of this server: imap compares the login socket's with the master socket's.
    pub server_pid: u32,
    /// A number of this connection.
    pub connection: u32,
    /// The secret of this connection.
    pub cookie: Cookie,
}

/// `VERSION⇥major⇥minor`: the minor. Another major is another protocol.
pub(super) fn version(line: &[u8]) -> Result<u32, ProtocolError> {
    let mut arguments = fields(line);
    if arguments.next() != Some(b"VERSION") {
        return Err(ProtocolError::NoVersion(CommandName::of(line)));
    }
    let mut next = || arguments.next().and_then(number);
    let (Some(major), Some(minor)) = (next(), next()) else {
        return Err(bad("VERSION", "two numbers must follow"));
    };
    if major == 1 { Ok(minor) } else { Err(ProtocolError::Major(major)) }
}

impl Cookie {
    /// Sixteen random bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// From 32 hexadecimal digits.
    #[must_use]
    pub fn from_hex(text: &[u8]) -> Option<Self> {
        let digits = std::str::from_utf8(text).ok()?;
        let well_formed = digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let value = u128::from_str_radix(digits, 16).ok().filter(|_| well_formed)?;
        Some(Self(value.to_be_bytes()))
    }

    /// As it goes to the client.
    pub(crate) fn hex(&self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.0))
    }
}

impl PartialEq for Cookie {
    /// In a time that does not tell how much of it is right.
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Cookie {}

impl fmt::Debug for Cookie {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Cookie(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_32_digits() {
        let cookie = Cookie::from_hex(b"00c6b06b47332b9f7c7d69eadae6b41d").expect("32 digits");
        assert_eq!(cookie.hex(), "00c6b06b47332b9f7c7d69eadae6b41d");
        assert_eq!(Cookie::from_hex(cookie.hex().to_uppercase().as_bytes()), Some(cookie));
        for wrong in [&b""[..], b"00c6", b"+0c6b06b47332b9f7c7d69eadae6b41d", b"00c6b06b47332b9f7c7d69eadae6b41d0"] {
            assert_eq!(Cookie::from_hex(wrong), None);
        }
    }

    #[test]
    fn a_cookie_is_not_shown() {
        assert_eq!(format!("{:?}", Cookie::new([7; 16])), "Cookie(..)");
    }

    #[test]
    fn only_major_1_is_ours() {
        let no_version = |line: &str| Err(ProtocolError::NoVersion(CommandName::of(line.as_bytes())));
        let cases = [
            ("VERSION\t1\t0", Ok(0)),
            ("VERSION\t1\t99", Ok(99)),
            ("VERSION\t1\t2\textra", Ok(2)),
            ("VERSION\t2\t0", Err(ProtocolError::Major(2))),
            ("VERSION\t1", Err(bad("VERSION", "two numbers must follow"))),
            ("CPID\t1", no_version("CPID")),
            ("", no_version("")),
        ];
        for (line, expected) in cases {
            assert_eq!(version(line.as_bytes()), expected, "{line:?}");
        }
    }
}
