//! A session born during the change: its login was handed over before, and Dovecot lists it only after.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use gatepost_harness::client::{LineClient, plain};
use gatepost_harness::dovecot::{Answerer, Setup, Version};
use gatepost_harness::mailhost::{ALICE, DOVECOT, MailHost};
use gatepost_harness::{User, directory_of, short_directory, wait_until};

use super::{NEW, completed, receipt, set_password, step, with_both};

#[test]
fn session_born_during_the_change_ends_before_the_receipt_is_complete() {
    with_both(session_is_born_late);
}

/// imap claims the login, and then waits for a post-login script: for as long as that takes, it is in no list.
fn session_is_born_late(version: Version) {
    let gate = short_directory();
    directory_of(gate.path(), User::named("vmail"), 0o755);
    let setup = Setup::plain(version, Answerer::Gatepost, &[ALICE]);
    let mut host = MailHost::start_with(Setup { doveadm: true, more: &post_login(gate.path()), ..setup });
    let (gatepost, dovecot) = host.gatepost_and_dovecot();
    let mut client = LineClient::connect(dovecot.addresses.imap);
    client.read_until("* OK");
    client.send(&format!("a AUTHENTICATE PLAIN {}", plain(ALICE.user, ALICE.password)));
    wait_until("the login was handed over", || gate.path().join("reached").exists());

    let change = set_password(gatepost, ALICE.user, NEW);
    let early = receipt(gatepost, change);
    assert_eq!((&early["complete"], &step(&early, "kick", DOVECOT)["count"]), (&false.into(), &0.into()), "{early}");
    fs::write(gate.path().join("open"), "").unwrap_or_else(|error| panic!("cannot open the gate: {error}"));
    client.read_until("* BYE");
    let kick = step(&completed(gatepost, change), "kick", DOVECOT);
    assert_eq!((&kick["state"], &kick["count"]), (&"done".into(), &1.into()), "{kick}");
}

fn post_login(gate: &Path) -> String {
    let script = gate.join("post-login");
    let text = format!(
        "#!/bin/sh\n: > {0}/reached\nwhile [ ! -e {0}/open ]; do sleep 0.02; done\nexec \"$@\"\n",
        gate.display()
    );
    fs::write(&script, text).unwrap_or_else(|error| panic!("cannot write the script: {error}"));
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))
        .unwrap_or_else(|error| panic!("cannot make the script executable: {error}"));
    format!(
        "service imap {{\n  executable = imap imap-postlogin\n}}\n\
         service imap-postlogin {{\n  executable = script-login {}\n  user = vmail\n  unix_listener imap-postlogin {{\n  }}\n}}\n",
        script.display()
    )
}
