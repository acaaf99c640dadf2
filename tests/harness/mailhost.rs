//! A mail host for one test: a Dovecot, whoever answers its logins, and the mailboxes that every test knows.

use std::fs;

use tempfile::TempDir;

use crate::dovecot::{Answerer, Dovecot, Mailbox, Version};
use crate::short_directory;

pub const ALICE: Mailbox = Mailbox { user: "alice@example.org", password: "Secret-a1", enabled: true };
/// Her password is what a keyboard can do: spaces, quotes, a colon, a tab's worth of UTF-8.
pub const BOB: Mailbox =
    Mailbox { user: "bob@example.org", password: r#" Grüße: "zwölf\" %u {PLAIN} 1€ "#, enabled: true };
pub const CAROL: Mailbox = Mailbox { user: "carol@example.org", password: "Secret-c3", enabled: false };
pub const NOBODY: &str = "nobody@example.org";

#[derive(Debug)]
pub struct MailHost {
    pub dovecot: Dovecot,
    pub answerer: Answerer,
    pub directory: TempDir,
}

impl MailHost {
    pub fn start(version: Version, answerer: Answerer) -> Self {
        let directory = short_directory();
        let dovecot = Dovecot::start(directory.path(), version, answerer, &[ALICE, BOB, CAROL]);
        Self { dovecot, answerer, directory }
    }

    /// Stops everything, forgets what lay in `/run`, as a reboot does, and starts everything again.
    pub fn reboot(&mut self) {
        self.dovecot.stop();
        fs::remove_dir_all(self.dovecot.base()).expect("cannot remove the run directory");
        self.dovecot.resume();
    }
}
