//! What a mail server says of the client that it serves: parameters of AUTH and of master lookups.
//!
//! Trusts: nothing of it. Whether the peer may be believed is decided by who it is, not here.
//! Fails:  never. Unknown parameters are ignored; an address or port that is none is absent (Exim sends empty ones).

use std::{net::IpAddr, str::FromStr};

use super::escape::text;

/// The client, as the mail server sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientInfo {
    /// imap, pop3, submission, sieve, smtp, doveadm, lmtp …; `service=` or, from 2.4, `protocol=`.
    pub service: String,
    /// Dovecot's session id.
    pub session: Option<String>,
    /// The address that was connected to.
    pub local_ip: Option<IpAddr>,
    /// The client's address.
    pub remote_ip: Option<IpAddr>,
    /// The port that was connected to.
    pub local_port: Option<u16>,
    /// The client's port.
    pub remote_port: Option<u16>,
    /// The address this server was connected to, where a proxy stands before it.
    pub real_local_ip: Option<IpAddr>,
    /// The proxy's address.
    pub real_remote_ip: Option<IpAddr>,
    /// The port this server was connected to, where a proxy stands before it.
    pub real_local_port: Option<u16>,
    /// The proxy's port.
    pub real_remote_port: Option<u16>,
    /// TLS, or a connection from this host.
    pub secured: bool,
    /// Do not count failures against the address (doveadm, trusted networks).
    pub no_penalty: bool,
    /// The name the client asked for by TLS.
    pub local_name: Option<String>,
    /// IMAP ID, if Dovecot keeps it.
    pub client_id: Option<String>,
    /// The name in a verified client certificate.
    pub certificate_name: Option<String>,
    /// No REQUEST will follow: Postfix and Exim say so, and nobody else.
    pub nologin: bool,
}

impl ClientInfo {
    /// Takes in one parameter as it is on the wire.
    pub(crate) fn note(&mut self, parameter: &[u8]) {
        let parameter = text(parameter);
        let (name, value) = parameter.split_once('=').unwrap_or((&parameter, ""));
        match name {
            "service" | "protocol" => value.clone_into(&mut self.service),
            "session" => self.session = present(value),
            "lip" => self.local_ip = address(value),
            "rip" => self.remote_ip = address(value),
            "lport" => self.local_port = parsed(value),
            "rport" => self.remote_port = parsed(value),
            "real_lip" => self.real_local_ip = address(value),
            "real_rip" => self.real_remote_ip = address(value),
            "real_lport" => self.real_local_port = parsed(value),
            "real_rport" => self.real_remote_port = parsed(value),
            "secured" => self.secured = true,
            "no-penalty" => self.no_penalty = true,
            "local_name" => self.local_name = present(value),
            "client_id" => self.client_id = present(value),
            "cert_username" => self.certificate_name = present(value),
            "nologin" => self.nologin = true,
            _ => {}
        }
    }
}

/// One address has one form, so that a budget of wrong passwords is one too.
fn address(value: &str) -> Option<IpAddr> {
    parsed::<IpAddr>(value).map(|address| address.to_canonical())
}

fn parsed<T: FromStr>(value: &str) -> Option<T> {
    value.parse().ok()
}

fn present(value: &str) -> Option<String> {
    (!value.is_empty()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(parameters: &str) -> ClientInfo {
        let mut info = ClientInfo::default();
        for parameter in parameters.split('\t') {
            info.note(parameter.as_bytes());
        }
        info
    }

    #[test]
    fn dovecot_says_all_of_it() {
        let found = info(concat!(
            "service=imap\tsecured=tls\tsession=B+N5OgFh+Md/AAAB\tlip=192.0.2.1\trip=2001:db8::9\tlport=993\trport=51192",
            "\treal_lip=10.0.0.1\treal_rip=10.0.0.2\treal_lport=10993\treal_rport=4242\tlocal_name=imap.example.org",
            "\tclient_id=\"name\" \"a\x01tb\"\tssl_ja3_hash=0\tdebug\tno-penalty\tvalid-client-cert\tcert_username=ann"
        ));
        let ip = |text: &str| text.parse().ok();
        let expected = ClientInfo {
            service: "imap".to_owned(),
            session: Some("B+N5OgFh+Md/AAAB".to_owned()),
            local_ip: ip("192.0.2.1"),
            remote_ip: ip("2001:db8::9"),
            local_port: Some(993),
            remote_port: Some(51192),
            real_local_ip: ip("10.0.0.1"),
            real_remote_ip: ip("10.0.0.2"),
            real_local_port: Some(10993),
            real_remote_port: Some(4242),
            secured: true,
            no_penalty: true,
            local_name: Some("imap.example.org".to_owned()),
            client_id: Some("\"name\" \"a\tb\"".to_owned()),
            certificate_name: Some("ann".to_owned()),
            nologin: false,
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn dovecot_2_4_calls_the_service_a_protocol() {
        assert_eq!(info("protocol=sieve").service, "sieve");
    }

    #[test]
    fn exim_sends_empty_addresses_when_there_is_no_connection() {
        let found = info("service=smtp\trip=\tlip=\tnologin");
        assert_eq!((found.remote_ip, found.local_ip, found.nologin), (None, None, true));
    }

    #[test]
    fn a_mapped_address_is_the_one_it_maps() {
        assert_eq!(info("rip=::ffff:192.0.2.9").remote_ip, "192.0.2.9".parse().ok());
    }
}
