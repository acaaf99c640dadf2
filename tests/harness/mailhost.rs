//! A mail host for one test: a Dovecot, whoever answers its logins, and the mailboxes that every test knows.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::dovecot::{
    Answerer, Dovecot, Mailbox, Recipe, Setup, Version, doveadm_settings, make_run_directory, sockets_below,
};
use crate::gatepost::Gatepost;
use crate::short_directory;

pub const ALICE: Mailbox = Mailbox { user: "alice@example.org", password: "Secret-a1", enabled: true };
/// Her password is what a keyboard can do: spaces, quotes, a colon, a tab's worth of UTF-8.
pub const BOB: Mailbox =
    Mailbox { user: "bob@example.org", password: r#" Grüße: "zwölf\" %u {PLAIN} 1€ "#, enabled: true };
pub const CAROL: Mailbox = Mailbox { user: "carol@example.org", password: "Secret-c3", enabled: false };
/// What gatepost calls a Dovecot whose sessions it may end.
pub const DOVECOT: &str = "mail1";
pub const NOBODY: &str = "nobody@example.org";

#[derive(Debug)]
pub struct MailHost {
    pub dovecot: Dovecot,
    pub answerer: Answerer,
    /// `None` where Dovecot answers for itself.
    gatepost: Option<Gatepost>,
    pub directory: TempDir,
}

impl MailHost {
    pub fn start(version: Version, answerer: Answerer) -> Self {
        Self::start_with(Setup::plain(version, answerer, &[ALICE, BOB, CAROL]))
    }

    /// The same, and Dovecot keeps last logins and quotas with whoever answers.
    pub fn with_plugins(version: Version, answerer: Answerer) -> Self {
        Self::start_with(Setup { plugins: true, ..Setup::plain(version, answerer, &[ALICE, BOB, CAROL]) })
    }

    /// The same, and gatepost may end its sessions.
    pub fn with_doveadm(version: Version, answerer: Answerer) -> Self {
        Self::start_with(Setup { doveadm: true, ..Setup::plain(version, answerer, &[ALICE, BOB, CAROL]) })
    }

    /// The same, and one login process of each protocol serves many clients over one connection to whoever answers.
    pub fn in_high_performance_mode(version: Version, answerer: Answerer) -> Self {
        let endless = match version {
            Version::V2_3 => "service_count = 0",
            Version::V2_4 => "restart_request_count = unlimited",
        };
        let one =
            |service| format!("service {service} {{\n  process_limit = 1\n  client_limit = 500\n  {endless}\n}}\n");
        let more = one("imap-login") + &one("pop3-login");
        Self::start_with(Setup { more: &more, ..Setup::plain(version, answerer, &[ALICE, BOB, CAROL]) })
    }

    pub fn start_with(setup: Setup<'_>) -> Self {
        let directory = short_directory();
        let gatepost = (setup.answerer != Answerer::Dovecot).then(|| {
            make_run_directory(directory.path());
            let mut sockets = sockets_below(directory.path());
            // The others are then Dovecot's own.
            sockets.retain(|socket| setup.recipe == Recipe::AuthSockets || socket.protocol == "dict");
            let mut kicks = if setup.doveadm { doveadm_settings(directory.path(), DOVECOT) } else { String::new() };
            if setup.doveadm && setup.recipe == Recipe::DictPassdb {
                kicks.push_str("flush_cache = true\n");
            }
            let gatepost = Gatepost::start(directory.path(), sockets, &kicks);
            add_accounts(&gatepost, setup.mailboxes);
            gatepost
        });
        let dovecot = Dovecot::start(directory.path(), setup);
        Self { dovecot, answerer: setup.answerer, gatepost, directory }
    }

    pub fn gatepost(&mut self) -> &mut Gatepost {
        self.gatepost_and_dovecot().0
    }

    pub fn gatepost_and_dovecot(&mut self) -> (&mut Gatepost, &Dovecot) {
        (self.gatepost.as_mut().expect("here Dovecot answers for itself"), &self.dovecot)
    }

    pub fn store(&self) -> StoreFile {
        StoreFile::of(self.answerer, self.directory.path())
    }

    /// Stops everything, forgets what lay in `/run`, as a reboot does, and starts everything again.
    pub fn reboot(&mut self) {
        self.dovecot.stop();
        if let Some(gatepost) = &mut self.gatepost {
            gatepost.stop();
        }
        fs::remove_dir_all(self.dovecot.base()).expect("cannot remove the run directory");
        if let Some(gatepost) = &mut self.gatepost {
            make_run_directory(self.directory.path());
            gatepost.open_sockets();
            gatepost.resume();
        }
        self.dovecot.resume();
    }
}

/// The file that holds the passwords of whoever answers.
#[derive(Debug)]
pub struct StoreFile {
    path: PathBuf,
    answerer: Answerer,
}

/// How a store is out of reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    Moved,
    Unreadable,
}

impl StoreFile {
    pub fn of(answerer: Answerer, directory: &Path) -> Self {
        let path = directory.join(match answerer {
            Answerer::Dovecot => "users",
            Answerer::Gatepost => "gatepost/gatepost.db",
        });
        Self { path, answerer }
    }

    /// Dovecot's auth reads its passwd-file as root, whatever the mode.
    pub fn losses(&self) -> &'static [Loss] {
        match self.answerer {
            Answerer::Dovecot => &[Loss::Moved],
            Answerer::Gatepost => &[Loss::Moved, Loss::Unreadable],
        }
    }

    /// Takes it away under the running answerer.
    pub fn lose(&self, loss: Loss) {
        match loss {
            Loss::Moved => fs::rename(&self.path, self.path.with_extension("lost")),
            Loss::Unreadable => fs::set_permissions(&self.path, Permissions::from_mode(0o000)),
        }
        .expect("cannot take the store away");
    }

    /// Puts it back.
    pub fn mend(&self, loss: Loss) {
        match loss {
            Loss::Moved => fs::rename(self.path.with_extension("lost"), &self.path),
            Loss::Unreadable => fs::set_permissions(&self.path, Permissions::from_mode(0o600)),
        }
        .expect("cannot put the store back");
    }
}

/// Makes each mailbox, and its domain, through the command.
pub fn add_accounts(gatepost: &Gatepost, mailboxes: &[Mailbox]) {
    gatepost.must(&["domain", "add", "example.org"], "");
    for Mailbox { user, password, enabled } in mailboxes {
        gatepost.must(&["account", "add", user, "--stdin"], &format!("{password}\n"));
        if !enabled {
            gatepost.must(&["account", "disable", user], "");
        }
    }
}

/// Makes each function a test on Dovecot 2.3 and 2.4, alone and with gatepost answering; `start` is one of
/// [`MailHost`]'s ways to start.
#[macro_export]
macro_rules! on_every_pair {
    ($start:ident: $($test:ident),+ $(,)?) => {
        $crate::on_pair!(dovecot_2_3_alone, $start(V2_3, Dovecot): $($test),+);
        $crate::on_pair!(dovecot_2_4_alone, $start(V2_4, Dovecot): $($test),+);
        $crate::on_pair!(dovecot_2_3_asks_gatepost, $start(V2_3, Gatepost): $($test),+);
        $crate::on_pair!(dovecot_2_4_asks_gatepost, $start(V2_4, Gatepost): $($test),+);
    };
}

#[macro_export]
macro_rules! on_pair {
    ($pair:ident, $start:ident($version:ident, $answerer:ident): $($test:ident),+ $(,)?) => {
        mod $pair {
            $(
                #[test]
                fn $test() {
                    use $crate::dovecot::{Answerer, Version};
                    super::$test(&mut $crate::mailhost::MailHost::$start(Version::$version, Answerer::$answerer));
                }
            )+
        }
    };
}
