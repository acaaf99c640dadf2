//! Dovecot's API away, silent, or locked; gatepost killed: what is not done is pending, says why, and is done later.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use gatepost_harness::client::Protocol;
use gatepost_harness::dovecot::{DOVEADM_KEY, Dovecot, Version};
use gatepost_harness::mailhost::{ALICE, DOVECOT};
use gatepost_harness::process::LogMark;
use gatepost_harness::session::Session;

use super::{completed, receipt, set_password, start, step, wait_for_note, with_both};

#[test]
fn what_could_not_be_ended_is_pending_says_why_and_ends_when_the_api_is_back() {
    with_both(api_breaks_and_comes_back);
}

#[test]
fn killed_daemon_goes_on_after_its_start() {
    with_both(daemon_is_killed);
}

#[test]
fn dovecot_that_is_configured_no_more_is_given_up_and_said_so() {
    with_both(dovecot_is_configured_no_more);
}

/// What is the matter with the API, and how it is put right.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Away,
    Silent,
    OtherKey,
}

impl Fault {
    /// What the receipt says of it: the cause, and the setting to look at.
    fn note(self) -> [&'static str; 2] {
        match self {
            Self::Away => ["cannot connect", "`[dovecot.mail1] url`"],
            Self::Silent => ["no answer within 2s", "`[dovecot.mail1] timeout`"],
            Self::OtherKey => ["the key was not accepted", "`[dovecot.mail1] api_key`"],
        }
    }
}

/// The API broken; [`Self::mend`] puts it right.
struct Broken<'a> {
    dovecot: &'a Dovecot,
    fault: Fault,
    /// Takes connections, and says nothing.
    silence: Option<UnixListener>,
}

impl<'a> Broken<'a> {
    fn new(dovecot: &'a Dovecot, fault: Fault) -> Self {
        let mut broken = Self { dovecot, fault, silence: None };
        match fault {
            Fault::Away => broken.put_socket_away(),
            Fault::Silent => {
                broken.put_socket_away();
                let listener = UnixListener::bind(broken.socket());
                broken.silence = Some(listener.unwrap_or_else(|error| panic!("cannot listen: {error}")));
                let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o666);
                fs::set_permissions(broken.socket(), everybody).unwrap_or_else(|error| panic!("no mode: {error}"));
            }
            Fault::OtherKey => broken.change_key("doveadm_api_key = another\n"),
        }
        broken
    }

    fn mend(mut self) {
        match self.fault {
            Fault::Away => {}
            Fault::Silent => {
                self.silence = None;
                fs::remove_file(self.socket()).unwrap_or_else(|error| panic!("cannot remove the silence: {error}"));
            }
            Fault::OtherKey => return self.change_key(""),
        }
        fs::rename(self.away(), self.socket()).unwrap_or_else(|error| panic!("cannot put the socket back: {error}"));
    }

    fn put_socket_away(&self) {
        fs::rename(self.socket(), self.away()).unwrap_or_else(|error| panic!("cannot put the socket away: {error}"));
    }

    fn change_key(&self, setting: &str) {
        let file = self.dovecot.configuration().with_file_name("local.conf");
        fs::write(file, setting).unwrap_or_else(|error| panic!("cannot write local.conf: {error}"));
        self.dovecot.reload();
    }

    fn socket(&self) -> PathBuf {
        self.dovecot.base().join("http")
    }

    fn away(&self) -> PathBuf {
        self.dovecot.base().join("http.away")
    }
}

fn api_breaks_and_comes_back(version: Version) {
    let mut host = start(version);
    let (gatepost, dovecot) = host.gatepost_and_dovecot();
    let mut password = ALICE.password.to_owned();
    let changes = [Fault::Away, Fault::Silent, Fault::OtherKey].map(|fault| {
        let mut session = Session::open(Protocol::Imap, dovecot, ALICE.user, &password);
        let broken = Broken::new(dovecot, fault);
        let mark = gatepost.process().mark();
        password = format!("Another-pass-{fault:?}-1");
        let change = set_password(gatepost, ALICE.user, &password);
        assert_eq!(receipt(gatepost, change)["complete"], false, "{fault:?}");
        wait_for_note(gatepost, change, DOVECOT, &fault.note());
        session.prove_open();
        broken.mend();
        assert!(session.last_words().starts_with("* BYE"), "{fault:?}");
        // Dovecot is started later than gatepost, so the first time is already told.
        gatepost.process().wait_for_log("sessions cannot be ended now", LogMark::default());
        gatepost.process().wait_for_log("sessions can be ended again", mark);
        change
    });
    for change in changes {
        let kick = step(&completed(gatepost, change), "kick", DOVECOT);
        assert_eq!((&kick["state"], &kick["note"]), (&"done".into(), &().into()), "{kick}");
        assert!(kick["count"].as_u64() >= Some(1), "{kick}");
    }
}

fn daemon_is_killed(version: Version) {
    let mut host = start(version);
    let change = {
        let (gatepost, dovecot) = host.gatepost_and_dovecot();
        let session = Session::open(Protocol::Imap, dovecot, ALICE.user, ALICE.password);
        let broken = Broken::new(dovecot, Fault::Away);
        let change = set_password(gatepost, ALICE.user, "Another-pass-1");
        gatepost.kill();
        broken.mend();
        gatepost.resume();
        assert!(session.last_words().starts_with("* BYE"));
        change
    };
    let kick = step(&completed(host.gatepost(), change), "kick", DOVECOT);
    assert_eq!((&kick["state"], &kick["count"]), (&"done".into(), &1.into()), "{kick}");
}

fn dovecot_is_configured_no_more(version: Version) {
    let mut host = start(version);
    let configuration = host.directory.path().join("gatepost.toml");
    let (gatepost, dovecot) = host.gatepost_and_dovecot();
    let broken = Broken::new(dovecot, Fault::Away);
    let change = set_password(gatepost, ALICE.user, "Another-pass-1");
    wait_for_note(gatepost, change, DOVECOT, &Fault::Away.note());
    gatepost.stop();
    let text = fs::read_to_string(&configuration).unwrap_or_else(|error| panic!("no configuration: {error}"));
    let (before, table) = text.split_once("\n[dovecot.").unwrap_or_else(|| panic!("no table in {text}"));
    let (_, after) = table.split_once(&format!("api_key = \"{DOVEADM_KEY}\"")).unwrap_or_else(|| panic!("in {text}"));
    fs::write(&configuration, format!("{before}{after}")).unwrap_or_else(|error| panic!("cannot write: {error}"));
    gatepost.resume();
    let kick = step(&completed(gatepost, change), "kick", DOVECOT);
    assert_eq!(kick["state"], "failed", "{kick}");
    assert!(kick["note"].as_str().is_some_and(|note| note.contains("no longer in the configuration")), "{kick}");
    broken.mend();
}
