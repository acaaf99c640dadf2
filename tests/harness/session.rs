//! Sessions that stay open, as a mail program keeps them, and what they hear at their end.

use crate::client::{LineClient, Protocol, plain};
use crate::dovecot::Dovecot;

/// A session past its login, in which the server may end at any time.
#[derive(Debug)]
pub struct Session {
    client: LineClient,
    pub protocol: Protocol,
}

impl Session {
    /// Logs in and waits there: IMAP in IDLE, the others for their own next command.
    pub fn open(protocol: Protocol, dovecot: &Dovecot, user: &str, password: &str) -> Self {
        let login = plain(user, password);
        let (address, greeting, command, welcome) = match protocol {
            Protocol::Imap => (dovecot.addresses.imap, "* OK", format!("a AUTHENTICATE PLAIN {login}"), "a OK"),
            Protocol::Pop3 => (dovecot.addresses.pop3, "+OK", format!("AUTH PLAIN {login}"), "+OK"),
            Protocol::Submission => (dovecot.addresses.submission, "220 ", format!("AUTH PLAIN {login}"), "235 "),
            Protocol::Sieve => (dovecot.addresses.sieve, "OK ", format!("AUTHENTICATE \"PLAIN\" \"{login}\""), "OK"),
        };
        let mut client = LineClient::connect(address);
        client.read_until(greeting);
        if protocol == Protocol::Submission {
            client.send("EHLO client.example.net");
            client.read_until("250 ");
        }
        client.send(&command);
        client.read_until(welcome);
        if protocol == Protocol::Imap {
            client.send("b SELECT INBOX");
            client.read_until("b OK");
            client.send("c IDLE");
            client.read_until("+ idling");
        }
        Self { client, protocol }
    }

    /// Says something, and is answered.
    pub fn prove_open(&mut self) {
        match self.protocol {
            Protocol::Imap => {
                self.client.send("DONE");
                self.client.read_until("c OK");
                self.client.send("c IDLE");
                self.client.read_until("+ idling");
            }
            Protocol::Pop3 => {
                self.client.send("NOOP");
                self.client.read_until("+OK");
            }
            Protocol::Submission => {
                self.client.send("NOOP");
                self.client.read_until("250 ");
            }
            Protocol::Sieve => {
                self.client.send("NOOP");
                self.client.read_until("OK");
            }
        }
    }

    /// Waits until the server has ended it; what was heard last.
    pub fn last_words(mut self) -> String {
        let mut last = String::new();
        loop {
            let line = self.client.read_line();
            if line.is_empty() {
                return last;
            }
            last = line;
        }
    }
}
