//! `[redis]`: where it is, and how to log in there.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use super::raw;
use super::values::{Password, Period};
use crate::revocation::redis::{Address, Login, Place, Settings, Tls};

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;
/// In bytes; it stands before every key.
const PREFIX_LIMIT: usize = 64;
const LONGEST_CONNECT: Duration = Duration::from_secs(10);
/// A login that has to ask must still be answered in time.
const LONGEST_RESPONSE: Duration = Duration::from_secs(1);
const LONGEST_HORIZON: Duration = Duration::from_hours(366 * 24);

/// Keys with what is wrong about them; the empty key is the table.
type Complaints = Vec<(&'static str, String)>;

/// `None` where no server is named: there is no Redis.
pub(super) fn resolve(written: &raw::Redis, complaints: &mut Complaints) -> Option<Settings> {
    let place = place(written, complaints);
    if let Some(key) = place.is_none().then(|| without_a_server(written)).flatten() {
        complaints.push((key, "is of no use without a server; set `addresses` or `sentinels`".to_owned()));
    }
    let usable = |byte: u8| byte.is_ascii_graphic() && !b"*?[]\\\"".contains(&byte);
    if written.prefix.is_empty() || written.prefix.len() > PREFIX_LIMIT || !written.prefix.bytes().all(usable) {
        let text = format!("must be 1 to {PREFIX_LIMIT} visible ASCII characters, none of them * ? [ ] \\ or a quote");
        complaints.push(("prefix", text));
    }
    between("connect_timeout", &written.connect_timeout, LONGEST_CONNECT, complaints);
    between("response_timeout", &written.response_timeout, LONGEST_RESPONSE, complaints);
    between("horizon", &written.horizon, LONGEST_HORIZON, complaints);
    let login = login(
        written.username.as_ref().map(|username| ("username", username)),
        written.password.as_ref().map(|password| ("password", password)),
        written.password_file.as_deref().map(|file| ("password_file", file)),
        complaints,
    );
    let tls = tls(written, complaints);
    Some(Settings {
        place: place?,
        login,
        tls,
        database: written.database,
        prefix: written.prefix.clone(),
        connect_timeout: written.connect_timeout.0,
        response_timeout: written.response_timeout.0,
        horizon: written.horizon.0,
    })
}

fn place(written: &raw::Redis, complaints: &mut Complaints) -> Option<Place> {
    let servers = addresses("addresses", &written.addresses, PORT, complaints);
    let sentinels = addresses("sentinels", &written.sentinels, SENTINEL_PORT, complaints);
    if written.sentinels.is_empty() {
        return Some(Place::Servers(servers)).filter(|_| !written.addresses.is_empty());
    }
    if !written.addresses.is_empty() {
        complaints
            .push(("addresses", "the master's address is asked of `sentinels`; remove one of the two".to_owned()));
    }
    let master = written.master.clone().filter(|master| !master.is_empty()).unwrap_or_else(|| {
        let text = "needs `master`, the name by which they know it (`sentinel monitor NAME …`)";
        complaints.push(("sentinels", text.to_owned()));
        String::new()
    });
    let login = login(
        written.sentinel_username.as_ref().map(|username| ("sentinel_username", username)),
        written.sentinel_password.as_ref().map(|password| ("sentinel_password", password)),
        written.sentinel_password_file.as_deref().map(|file| ("sentinel_password_file", file)),
        complaints,
    );
    Some(Place::Sentinels { sentinels, master, login })
}

/// The first key that says something about a server that is not named.
fn without_a_server(written: &raw::Redis) -> Option<&'static str> {
    [
        ("master", written.master.is_some()),
        ("username", written.username.is_some()),
        ("password", written.password.is_some()),
        ("password_file", written.password_file.is_some()),
        ("sentinel_username", written.sentinel_username.is_some()),
        ("sentinel_password", written.sentinel_password.is_some()),
        ("sentinel_password_file", written.sentinel_password_file.is_some()),
    ]
    .into_iter()
    .find_map(|(key, is_set)| is_set.then_some(key))
}

fn addresses(key: &'static str, written: &[String], port: u16, complaints: &mut Complaints) -> Vec<Address> {
    let read = |text: &String| match address(text, port) {
        Ok(address) => Some(address),
        Err(problem) => {
            complaints.push((key, format!("{text:?} {problem}")));
            None
        }
    };
    written.iter().filter_map(read).collect()
}

/// `HOST`, `HOST:PORT`, `[::1]:PORT`, or the path of a socket file.
fn address(text: &str, default_port: u16) -> Result<Address, &'static str> {
    if text.contains("://") {
        return Err("is a URL; write HOST:PORT (and set `tls` for rediss://), or the path of a socket");
    }
    if text.starts_with('/') {
        return Ok(Address::Unix(text.into()));
    }
    let malformed = "is no address; write HOST:PORT, [IPV6]:PORT, or the absolute path of a socket";
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or(malformed)?)),
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let port = port.map_or(Ok(default_port), str::parse).ok().filter(|port| *port != 0).ok_or(malformed)?;
    let is_name = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    let is_host = if text.starts_with('[') { host.parse::<std::net::Ipv6Addr>().is_ok() } else { is_name };
    if host.is_empty() || !is_host {
        return Err(malformed);
    }
    Ok(Address::Tcp { host: host.to_owned(), port })
}

fn tls(written: &raw::Redis, complaints: &mut Complaints) -> Option<Tls> {
    let authorities = written.ca_file.as_deref().and_then(|file| match authorities_of(file) {
        Ok(certificates) => Some(certificates),
        Err(problem) => {
            complaints.push(("ca_file", problem));
            None
        }
    });
    if written.ca_file.is_some() && !written.tls {
        complaints.push(("ca_file", "is of no use without `tls = true`".to_owned()));
    }
    written.tls.then_some(Tls { authorities })
}

fn authorities_of(file: &Path) -> Result<Vec<u8>, String> {
    let pem = fs::read(file)
        .map_err(|error| format!("cannot read {}: {error}; let the daemon's user read it", file.display()))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(pem),
        _ => Err(format!("{} holds no certificate in PEM", file.display())),
    }
}

/// How to log in, of settings with their keys.
fn login(
    username: Option<(&'static str, &String)>,
    password: Option<(&'static str, &Password)>,
    file: Option<(&'static str, &Path)>,
    complaints: &mut Complaints,
) -> Login {
    let read = match (password, file) {
        (Some(_), Some((key, _))) => {
            complaints.push((key, "the password is set beside it too; remove one of the two".to_owned()));
            None
        }
        (None, Some((key, file))) => match password_of(file) {
            Ok(password) => Some((key, password)),
            Err(problem) => {
                complaints.push((key, problem));
                return Login::default();
            }
        },
        (password, None) => password.map(|(key, password)| (key, password.clone())),
    };
    if let Some((key, _)) = read.as_ref().filter(|(_, password)| password.expose().is_empty()) {
        complaints.push((key, "is empty; remove it if Redis asks for none".to_owned()));
    }
    if let (Some((key, _)), None) = (username, &read) {
        complaints.push((key, "needs a password beside it".to_owned()));
    }
    Login { username: username.map(|(_, name)| name.clone()), password: read.map(|(_, password)| password) }
}

/// The whole file, without the line end that editors add.
fn password_of(file: &Path) -> Result<Password, String> {
    let text = fs::read_to_string(file)
        .map(zeroize::Zeroizing::new)
        .map_err(|error| format!("cannot read {}: {error}; let the daemon's user read it", file.display()))?;
    Ok(Password::from(text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line))))
}

fn between(key: &'static str, period: &Period, longest: Duration, complaints: &mut Complaints) {
    if period.0.is_zero() {
        complaints.push((key, "must be longer than nothing".to_owned()));
    } else if period.0 > longest {
        let seconds = longest.as_secs();
        let text = if seconds < 3600 { format!("{seconds} s") } else { format!("{} h", seconds / 3600) };
        complaints.push((key, format!("is longer than \"{text}\"")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Option<Address> {
        Some(Address::Tcp { host: host.to_owned(), port })
    }

    #[test]
    fn addresses_are_hosts_with_a_port_or_paths() {
        let cases = [
            ("127.0.0.1:6380", tcp("127.0.0.1", 6380)),
            ("redis", tcp("redis", PORT)),
            ("redis_1.example.org:7000", tcp("redis_1.example.org", 7000)),
            ("[::1]:6380", tcp("::1", 6380)),
            ("[::1]", tcp("::1", PORT)),
            ("/run/redis/redis.sock", Some(Address::Unix("/run/redis/redis.sock".into()))),
            ("run/redis.sock", None),
            ("::1", None),
            ("[redis]:1", None),
            ("[::1]6380", None),
            ("redis:", None),
            ("redis:0", None),
            ("redis:70000", None),
            (":6379", None),
            ("", None),
            ("user@redis", None),
            ("redis://127.0.0.1", None),
            ("rediss://127.0.0.1:6380", None),
        ];
        for (text, expected) in cases {
            assert_eq!(address(text, PORT).ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_password_file_may_end_with_one_line_end() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("password");
        for (content, password) in [("s3cret", "s3cret"), ("s3cret\n", "s3cret"), ("s3\r\n", "s3"), ("\n\n", "\n")] {
            fs::write(&file, content).expect("written");
            assert_eq!(password_of(&file).expect("read").expose(), password, "{content:?}");
        }
    }
}
