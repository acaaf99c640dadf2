//! What a mail program says to log in, over each protocol and in each of its ways.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::dovecot::Dovecot;
use crate::{PATIENCE, joined};

/// One way to hand over a name and a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    ImapLogin,
    ImapPlain,
    ImapPlainWithoutInitialResponse,
    ImapLoginMechanism,
    Pop3UserPass,
    Pop3Plain,
    SubmissionPlain,
    SubmissionLoginMechanism,
    SievePlain,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Imap,
    Pop3,
    Submission,
    Sieve,
}

/// What the mail program heard, in the words of its protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    Welcome,
    No(String),
    NotNow(String),
}

impl Door {
    pub const ALL: [Self; 9] = [
        Self::ImapLogin,
        Self::ImapPlain,
        Self::ImapPlainWithoutInitialResponse,
        Self::ImapLoginMechanism,
        Self::Pop3UserPass,
        Self::Pop3Plain,
        Self::SubmissionPlain,
        Self::SubmissionLoginMechanism,
        Self::SievePlain,
    ];

    /// Logs in and, where that succeeds, uses the session once before leaving it.
    pub fn log_in(self, dovecot: &Dovecot, user: &str, password: &str) -> Heard {
        let client = LineClient::connect(match self.protocol() {
            Protocol::Imap => dovecot.addresses.imap,
            Protocol::Pop3 => dovecot.addresses.pop3,
            Protocol::Submission => dovecot.addresses.submission,
            Protocol::Sieve => dovecot.addresses.sieve,
        });
        match self.protocol() {
            Protocol::Imap => self.imap(client, user, password),
            Protocol::Pop3 => self.pop3(client, user, password),
            Protocol::Submission => self.submission(client, user, password),
            Protocol::Sieve => sieve(client, user, password),
        }
    }

    pub fn protocol(self) -> Protocol {
        match self {
            Self::ImapLogin | Self::ImapPlain | Self::ImapPlainWithoutInitialResponse | Self::ImapLoginMechanism => {
                Protocol::Imap
            }
            Self::Pop3UserPass | Self::Pop3Plain => Protocol::Pop3,
            Self::SubmissionPlain | Self::SubmissionLoginMechanism => Protocol::Submission,
            Self::SievePlain => Protocol::Sieve,
        }
    }

    /// What it says of a wrong password or an unknown name.
    pub fn refusal(self) -> &'static str {
        match self.protocol() {
            Protocol::Imap => "a NO [AUTHENTICATIONFAILED] Authentication failed.",
            Protocol::Pop3 => "-ERR [AUTH] Authentication failed.",
            Protocol::Submission => "535 5.7.8 Authentication failed.",
            Protocol::Sieve => "NO \"Authentication failed.\"",
        }
    }

    fn imap(self, mut client: LineClient, user: &str, password: &str) -> Heard {
        client.read_until("* OK");
        match self {
            Self::ImapLogin => {
                client.send(&format!("a LOGIN {} {}", quoted(user), quoted(password)));
            }
            Self::ImapPlain => {
                client.send(&format!("a AUTHENTICATE PLAIN {}", plain(user, password)));
            }
            Self::ImapPlainWithoutInitialResponse => {
                client.answer_challenges("a AUTHENTICATE PLAIN", "+", &[plain(user, password)]);
            }
            _ => client.answer_challenges("a AUTHENTICATE LOGIN", "+", &[encoded(user), encoded(password)]),
        }
        let heard = client.read_until("a ");
        if heard.starts_with("a OK") {
            client.send("b STATUS INBOX (MESSAGES)");
            client.read_until("b OK");
            Heard::Welcome
        } else {
            refusal(heard, "a NO [UNAVAILABLE]")
        }
    }

    fn pop3(self, mut client: LineClient, user: &str, password: &str) -> Heard {
        client.read_until("+OK");
        if self == Self::Pop3UserPass {
            client.send(&format!("USER {user}"));
            client.read_until("+OK");
            client.send(&format!("PASS {password}"));
        } else {
            client.send(&format!("AUTH PLAIN {}", plain(user, password)));
        }
        let heard = client.read_line();
        if heard.starts_with("+OK") {
            client.send("STAT");
            client.read_until("+OK");
            Heard::Welcome
        } else {
            refusal(heard, "-ERR [SYS/TEMP]")
        }
    }

    fn submission(self, mut client: LineClient, user: &str, password: &str) -> Heard {
        client.read_until("220 ");
        client.send("EHLO client.example.net");
        client.read_until("250 ");
        if self == Self::SubmissionPlain {
            client.send(&format!("AUTH PLAIN {}", plain(user, password)));
        } else {
            client.answer_challenges("AUTH LOGIN", "334", &[encoded(user), encoded(password)]);
        }
        let heard = client.read_line();
        if heard.starts_with("235 ") { Heard::Welcome } else { refusal(heard, "454 ") }
    }
}

/// Goes through all doors at once.
pub fn at_every_door(dovecot: &Dovecot, user: &str, password: &str) -> Vec<(Door, Heard)> {
    thread::scope(|scope| {
        let visits = Door::ALL.map(|door| (door, scope.spawn(move || door.log_in(dovecot, user, password))));
        visits.map(|(door, visit)| (door, joined(visit))).into()
    })
}

fn sieve(mut client: LineClient, user: &str, password: &str) -> Heard {
    client.read_until("OK ");
    client.send(&format!("AUTHENTICATE \"PLAIN\" \"{}\"", plain(user, password)));
    let heard = client.read_line();
    if heard.starts_with("OK") {
        client.send("LISTSCRIPTS");
        client.read_until("OK ");
        Heard::Welcome
    } else {
        refusal(heard, "NO (TRYLATER)")
    }
}

fn refusal(heard: String, temporary: &str) -> Heard {
    if heard.starts_with(temporary) { Heard::NotNow(heard) } else { Heard::No(heard) }
}

/// The base64 of a SASL PLAIN message.
pub fn plain(user: &str, password: &str) -> String {
    encoded(&format!("\0{user}\0{password}"))
}

pub fn encoded(text: &str) -> String {
    STANDARD.encode(text)
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A connection of a protocol of lines, as all those here are.
#[derive(Debug)]
pub struct LineClient {
    stream: BufReader<TcpStream>,
}

impl LineClient {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)
            .unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"));
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout can be set");
        Self { stream: BufReader::new(stream) }
    }

    pub fn send(&mut self, line: &str) {
        let line = format!("{line}\r\n");
        self.stream
            .get_mut()
            .write_all(line.as_bytes())
            .unwrap_or_else(|error| panic!("cannot send {line:?}: {error}"));
    }

    /// The next line without its ending; empty when the peer has closed.
    pub fn read_line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap_or_else(|error| panic!("nothing more was heard: {error}"));
        line.trim_end().to_owned()
    }

    /// The first line to begin with `start`; those before it are passed over.
    pub fn read_until(&mut self, start: &str) -> String {
        let mut passed = Vec::new();
        loop {
            let line = self.read_line();
            if line.starts_with(start) {
                return line;
            }
            assert!(!line.is_empty(), "closed without a line that begins {start:?}; heard {passed:?}");
            passed.push(line);
        }
    }

    fn answer_challenges(&mut self, command: &str, challenge: &str, answers: &[String]) {
        self.send(command);
        for answer in answers {
            self.read_until(challenge);
            self.send(answer);
        }
    }
}

/// Hands `message` over by LMTP; what was said of each recipient: to RCPT when refused, else to the message.
pub fn deliver(lmtp: SocketAddr, recipients: &[&str], message: &str) -> Vec<String> {
    let mut client = LineClient::connect(lmtp);
    client.read_until("220 ");
    client.send("LHLO client.example.net");
    client.read_until("250 ");
    client.send("MAIL FROM:<sender@example.net>");
    client.read_until("250 ");
    let mut heard = Vec::new();
    for recipient in recipients {
        client.send(&format!("RCPT TO:<{recipient}>"));
        heard.push(client.read_line());
    }
    if heard.iter().any(|line| line.starts_with("250 ")) {
        client.send("DATA");
        client.read_until("354 ");
        client.send(message);
        client.send(".");
        for accepted in heard.iter_mut().filter(|line| line.starts_with("250 ")) {
            *accepted = client.read_line();
        }
    }
    heard
}

/// The text of the only mail in the inbox.
pub fn read_only_mail(dovecot: &Dovecot, user: &str, password: &str) -> String {
    let mut client = LineClient::connect(dovecot.addresses.imap);
    client.read_until("* OK");
    client.send(&format!("a LOGIN {} {}", quoted(user), quoted(password)));
    client.read_until("a OK");
    client.send("b SELECT INBOX");
    client.read_until("* 1 EXISTS");
    client.read_until("b OK");
    client.send("c FETCH 1 BODY.PEEK[TEXT]");
    client.read_until("* 1 FETCH");
    let mut text = String::new();
    loop {
        let line = client.read_line();
        if line.starts_with("c OK") {
            return text.trim_end_matches([')', '\n']).to_owned();
        }
        text.push_str(&line);
        text.push('\n');
    }
}
