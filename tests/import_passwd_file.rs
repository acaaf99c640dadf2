//! What a passwd-file says, once as Dovecot 2.3 reads it and once as an import does.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use gatepost::account::StoredHash;
use gatepost::import::Mailbox;
use gatepost::import::passwd_file::{Reading, plan};
use gatepost::password::{Ceilings, Cost, Workspace, verify};
use gatepost_harness::dovecot::{Answerer, Dovecot, Setup, Version};
use gatepost_harness::{User, short_directory};
use gatepost_protocol::Secret;

/// Names, and the password that Dovecot lets them in with.
const LINES: [(&str, Option<&str>); 16] = [
    (
        "all@example.org:{PLAIN}secret:5001:5002:All,,,:/srv/all:/bin/sh:userdb_mail=mbox:~/m allow_nets=127.0.0.0/8",
        Some("secret"),
    ),
    (
        "variables@example.org:{PLAIN}secret:5001:5001::/srv/v::userdb_mail=maildir:/srv/%d/%Ln userdb_note=%n_%u",
        Some("secret"),
    ),
    ("group@example.org:{PLAIN}secret:vmail:vmail::/srv/g", Some("secret")),
    (
        "later@example.org:{PLAIN}secret:5001:5001::/old::userdb_home=/new userdb_uid=5003  userdb_uid=5004",
        Some("secret"),
    ),
    ("oldform@example.org:{PLAIN}secret:5001:5001::/srv/o:::mbox:~/old", Some("secret")),
    ("oldempty@example.org:{PLAIN}secret:5001:5001::/srv/o:::", Some("secret")),
    ("short@example.org:{PLAIN}secret:5001:5001", Some("secret")),
    ("flag@example.org:{PLAIN}secret:5001:5001::/srv/f::userdb_flag nodelay", Some("secret")),
    ("rule@example.org:{PLAIN}secret:5001:5001::/srv/r::userdb_quota_rule=*:storage=7M:messages=5", Some("secret")),
    ("des@example.org:ab1/7.G9Wdm3c:5001:5001::/srv/d", None),
    ("md5@example.org:$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/$ignored:5001:5001::/srv/d", Some("password")),
    ("pwdfile@example.org:5ebe2294ecd0e0f08eab7690d2a6ee69[34]:5001:5001::/srv/p", Some("secret")),
    ("bang@example.org:!$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/:5001:5001::/srv/b", None),
    ("star@example.org:*:5001:5001::/srv/s", None),
    ("none@example.org::5001:5001::/srv/n", None),
    ("barred@example.org:{PLAIN}secret:5001:5001::/srv/b::nologin reason=Moved", None),
];

/// What Dovecot refuses or takes no notice of, and an import leaves out or reads past.
const NO_USERS: &str = "# comment\n\n:{PLAIN}secret\n\
    root@example.org:{PLAIN}secret:0:0::/root\n\
    unknown@example.org:{PLAIN}secret:no-such-user:5001::/srv/u\n\
    digest@example.org:short[56]:5001:5001::/srv/u\n";

#[test]
fn an_import_reads_what_dovecot_reads() {
    let directory = short_directory();
    let dovecot = Dovecot::start(directory.path(), Setup::plain(Version::V2_3, Answerer::Dovecot, &[]));
    let text = LINES.map(|(line, _)| line).join("\n") + "\n" + NO_USERS;
    fs::write(directory.path().join("users"), &text).expect("a passwd-file");
    let reading = Reading {
        default_domain: None,
        default_scheme: "CRYPT",
        uid_of: |name| (name == "vmail").then(|| User::named(name).uid),
        gid_of: |name| (name == "vmail").then(|| User::named(name).gid),
    };
    let plan = plan(text.as_bytes(), &reading).expect("a plan");

    for (mailbox, (line, password)) in plan.mailboxes.iter().zip(LINES) {
        let user = mailbox.username.as_str();
        assert!(line.starts_with(user), "{line}");
        let (mut dovecot_says, mut import_says) = (userdb(&dovecot, user), own_userdb(mailbox));
        if !import_says.contains_key("quota_rule") && mailbox.quota.is_some() {
            dovecot_says.remove("quota_rule");
        }
        // What the harness sets for every mailbox.
        import_says.entry("mail".to_owned()).or_insert_with(|| "maildir:~/Maildir".to_owned());
        assert_eq!(dovecot_says, import_says, "{line}");
        for candidate in password.map_or(["secret", ""].as_slice(), |_| password.as_slice()) {
            let is_right = password.is_some();
            assert_eq!(lets_in(&dovecot, user, candidate), is_right, "Dovecot: {user} with {candidate:?}");
            assert_eq!(would_let_in(mailbox, candidate), is_right, "import: {user} with {candidate:?}");
        }
    }
    assert_eq!(plan.mailboxes.len(), LINES.len());

    let names = ["root@example.org", "unknown@example.org", "digest@example.org"];
    assert_eq!(plan.left_out.iter().map(|left_out| left_out.name.as_str()).collect::<Vec<_>>(), names);
    for name in names {
        assert!(!dovecot.doveadm(&["user", name]).status.success(), "{name}");
    }
}

/// `doveadm user` as a map; a home that is not there is empty there.
fn userdb(dovecot: &Dovecot, user: &str) -> BTreeMap<String, String> {
    let output = dovecot.doveadm(&["user", user]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{user}: {text}{}", String::from_utf8_lossy(&output.stderr));
    let pairs = text.lines().filter_map(|line| line.split_once('\t'));
    let is_said = |(key, value): &(&str, &str)| *key != "field" && !(*key == "home" && value.is_empty());
    pairs.filter(is_said).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn own_userdb(mailbox: &Mailbox) -> BTreeMap<String, String> {
    let fields = mailbox.fields.iter();
    fields.filter_map(|(key, value)| Some((key.strip_prefix("userdb_")?.to_owned(), value.clone()))).collect()
}

fn lets_in(dovecot: &Dovecot, user: &str, password: &str) -> bool {
    let output = dovecot.doveadm(&["auth", "test", "-x", "rip=127.0.0.1", user, password]);
    output.status.success() && !String::from_utf8_lossy(&output.stdout).contains("nologin")
}

fn would_let_in(mailbox: &Mailbox, password: &str) -> bool {
    let ceilings = Ceilings { memory_kib: 1 << 20, time: Duration::from_secs(5) };
    let matches = |hash: &StoredHash| {
        let secret = Secret::from(password);
        verify(&secret, mailbox.username.as_str(), hash, &ceilings, &mut Workspace::new(&Cost::default()))
            .expect("a known scheme")
    };
    mailbox.enabled && mailbox.hash.as_ref().is_some_and(matches)
}
