//! What a Dovecot under test is told: the samples of `config/dovecot/`, and where things are in its directory.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{Addresses, Answerer, Mailbox, Recipe, Setup, Version, base_below};
use crate::User;

pub(super) fn file_below(directory: &Path) -> PathBuf {
    directory.join("dovecot.conf")
}

/// What the samples call `/run/gatepost`.
pub(super) fn run_gatepost_below(directory: &Path) -> PathBuf {
    directory.join("run-gatepost")
}

pub(super) fn write(directory: &Path, setup: &Setup<'_>, addresses: &Addresses) {
    let mut text = common(directory, setup.version);
    listeners(&mut text, addresses);
    match (setup.answerer, setup.recipe) {
        (Answerer::Dovecot, _) => own_answers(&mut text, directory, setup),
        (Answerer::Gatepost, Recipe::AuthSockets) => include(&mut text, directory, setup.version, "gatepost.conf"),
        (Answerer::Gatepost, Recipe::DictPassdb) => {
            copy_sample(directory, setup.version, "gatepost-dict.conf.ext");
            include(&mut text, directory, setup.version, "gatepost-dict.conf");
        }
    }
    if setup.plugins {
        include(&mut text, directory, setup.version, "gatepost-plugins.conf");
        if setup.answerer == Answerer::Dovecot {
            own_dict_server(&mut text, directory, setup.version);
        }
    }
    if setup.doveadm {
        include(&mut text, directory, setup.version, "gatepost-doveadm.conf");
    }
    text.push_str(setup.more);
    let _ = writeln!(text, "!include_try {}", directory.join("local.conf").display());
    fs::write(file_below(directory), text).expect("cannot write the configuration");
}

fn common(directory: &Path, version: Version) -> String {
    let versioned = match version {
        Version::V2_3 => "disable_plaintext_auth = no\nmail_location = maildir:~/Maildir\n",
        Version::V2_4 => {
            "dovecot_config_version = 2.4.1\ndovecot_storage_version = 2.4.1\n\
             auth_allow_cleartext = yes\nmail_driver = maildir\nmail_path = ~/Maildir\n"
        }
    };
    format!(
        "{versioned}base_dir = {}\nstate_dir = {}\nlog_path = /dev/stderr\n\
         protocols = imap pop3 submission sieve lmtp\nlisten = 127.0.0.1\nssl = no\nhostname = mail.example.org\n\
         submission_relay_host = 127.0.0.1\nsubmission_relay_port = 9\n\
         auth_failure_delay = 0\nauth_mechanisms = plain login\n\
         service anvil {{\n  unix_listener anvil-auth-penalty {{\n    mode = 0\n  }}\n}}\n",
        base_below(directory).display(),
        directory.join("state").display(),
    )
}

fn listeners(text: &mut String, addresses: &Addresses) {
    for (service, listeners) in [
        ("imap-login", [("imap", addresses.imap.port()), ("imaps", 0)].as_slice()),
        ("pop3-login", &[("pop3", addresses.pop3.port()), ("pop3s", 0)]),
        ("submission-login", &[("submission", addresses.submission.port()), ("submissions", 0)]),
        ("managesieve-login", &[("sieve", addresses.sieve.port())]),
        ("lmtp", &[("lmtp", addresses.lmtp.port())]),
    ] {
        let _ = writeln!(text, "service {service} {{");
        for (listener, port) in listeners {
            let _ = writeln!(text, "  inet_listener {listener} {{\n    port = {port}\n  }}");
        }
        text.push_str("}\n");
    }
}

fn own_answers(text: &mut String, directory: &Path, setup: &Setup<'_>) {
    let users = directory.join("users");
    fs::write(&users, passwd_file(directory, setup.mailboxes)).expect("cannot write the passwd-file");
    for kind in ["passdb", "userdb"] {
        let _ = match setup.version {
            Version::V2_3 => writeln!(text, "{kind} {{\n  driver = passwd-file\n  args = {}\n}}", users.display()),
            Version::V2_4 => writeln!(text, "{kind} passwd-file {{\n  passwd_file_path = {}\n}}", users.display()),
        };
    }
}

fn passwd_file(directory: &Path, mailboxes: &[Mailbox]) -> String {
    let User { uid, gid } = User::named("vmail");
    let mut text = String::new();
    for Mailbox { user, password, enabled } in mailboxes {
        let extra = if *enabled { "" } else { "nologin reason=Ask_the_postmaster" };
        let home = directory.join("mail").join(user);
        let password = STANDARD.encode(password);
        let _ = writeln!(text, "{user}:{{PLAIN.B64}}{password}:{uid}:{gid}::{}::{extra}", home.display());
    }
    text
}

/// Dovecot's dict service where the samples expect gatepost's, each dict a file.
fn own_dict_server(text: &mut String, directory: &Path, version: Version) {
    let socket = run_gatepost_below(directory).join("mail-dict");
    fs::create_dir_all(run_gatepost_below(directory)).expect("cannot make the directory of the dict socket");
    let _ = writeln!(text, "service dict {{\n  unix_listener {} {{\n    mode = 0666\n  }}\n}}", socket.display());
    let kept = directory.join("dict");
    crate::directory_of(&kept, User::named("dovecot"), 0o700);
    for name in ["last-login", "quota"] {
        let file = kept.join(name);
        let _ = match version {
            Version::V2_3 => writeln!(text, "dict {{\n  {name} = file:{}\n}}", file.display()),
            Version::V2_4 => writeln!(
                text,
                "dict_server {{\n  dict {name} {{\n    driver = file\n    dict_file_path = {}\n  }}\n}}",
                file.display()
            ),
        };
    }
}

fn include(text: &mut String, directory: &Path, version: Version, sample: &str) {
    let copy = copy_sample(directory, version, sample);
    let _ = writeln!(text, "!include {}", copy.display());
}

/// A sample is used as it is, but for the directories it names.
fn copy_sample(directory: &Path, version: Version, sample: &str) -> PathBuf {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/dovecot").join(version.name());
    let text = fs::read_to_string(samples.join(sample)).unwrap_or_else(|error| panic!("no sample {sample}: {error}"));
    let text = text
        .replace("/run/gatepost", &run_gatepost_below(directory).display().to_string())
        .replace("/etc/dovecot", &directory.display().to_string());
    let copy = directory.join(sample);
    fs::write(&copy, text).expect("cannot copy a sample");
    copy
}
