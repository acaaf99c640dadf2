//! What Dovecot keeps in a dict, and doveadm's ways to it: the same output and exit codes whoever keeps it.

use gatepost_harness::client::{Door, Heard, deliver};
use gatepost_harness::dovecot::Answerer;
use gatepost_harness::mailhost::{ALICE, BOB, MailHost};
use gatepost_harness::{on_every_pair, wait_until};

on_every_pair! { with_plugins:
    doveadm_dict_sets_gets_counts_lists_and_unsets,
    a_users_keys_are_as_private_as_the_keeper_makes_them,
    a_dict_name_is_a_key_space_of_its_own,
    a_login_is_kept_as_the_last_one,
    a_mail_is_kept_in_the_quota,
}

const NOT_FOUND: i32 = 68;
const MALFORMED: i32 = 64;

fn doveadm_dict_sets_gets_counts_lists_and_unsets(host: &MailHost) {
    let steps: &[(&[&str], i32, &[&str])] = &[
        (&["get", "priv/a/x"], NOT_FOUND, &[]),
        (&["set", "priv/a/x", "one two"], 0, &[]),
        (&["get", "priv/a/x"], 0, &["one two"]),
        (&["set", "priv/a/x", "Grüße\t\u{1}\\ 1€"], 0, &[]),
        (&["get", "priv/a/x"], 0, &["Grüße\t\u{1}\\ 1€"]),
        (&["set", "priv/a/n", "2"], 0, &[]),
        (&["inc", "priv/a/n", "5"], 0, &[]),
        (&["get", "priv/a/n"], 0, &["7"]),
        (&["inc", "priv/none", "3"], NOT_FOUND, &[]),
        (&["get", "priv/none"], NOT_FOUND, &[]),
        (&["set", "priv/a/x", "1"], 0, &[]),
        (&["set", "priv/a/sub/z", "deep"], 0, &[]),
        (&["set", "shared/s", "for all"], 0, &[]),
        (&["get", "shared/s"], 0, &["for all"]),
        (&["iter", "priv/a/"], 0, &["key\tvalue", "priv/a/n\t7", "priv/a/x\t1"]),
        (&["iter", "-R", "priv/a/"], 0, &["key\tvalue", "priv/a/n\t7", "priv/a/sub/z\tdeep", "priv/a/x\t1"]),
        (&["iter", "-R", "-V", "priv/a/"], 0, &["key", "priv/a/n", "priv/a/sub/z", "priv/a/x"]),
        (&["iter", "-1", "priv/a/x"], 0, &["key\tvalue", "priv/a/x\t1"]),
        (&["iter", "priv/nothing/"], 0, &["key\tvalue"]),
        (&["unset", "priv/a/x"], 0, &[]),
        (&["get", "priv/a/x"], NOT_FOUND, &[]),
        (&["unset", "priv/a/x"], 0, &[]),
        (&["get", "neither/x"], MALFORMED, &[]),
    ];
    for (step, (arguments, code, lines)) in steps.iter().enumerate() {
        assert_eq!(
            dict(host, LAST_LOGIN, ALICE.user, arguments),
            (Some(*code), owned(lines)),
            "step {step}: {arguments:?}"
        );
    }
}

/// Dovecot's file driver has one `priv/` for everybody who comes through its dict server.
fn a_users_keys_are_as_private_as_the_keeper_makes_them(host: &MailHost) {
    dict(host, LAST_LOGIN, ALICE.user, &["set", "priv/mine", "alice's"]);
    let heard = dict(host, LAST_LOGIN, BOB.user, &["get", "priv/mine"]);
    match host.answerer {
        Answerer::Dovecot => assert_eq!(heard, (Some(0), owned(&["alice's"]))),
        _ => assert_eq!(heard, (Some(NOT_FOUND), vec![])),
    }
}

fn a_dict_name_is_a_key_space_of_its_own(host: &MailHost) {
    dict(host, LAST_LOGIN, ALICE.user, &["set", "priv/x", "here"]);
    assert_eq!(dict(host, QUOTA, ALICE.user, &["get", "priv/x"]), (Some(NOT_FOUND), vec![]));
}

fn a_login_is_kept_as_the_last_one(host: &MailHost) {
    let key = format!("shared/last-login/{}", ALICE.user);
    let get = || dict(host, LAST_LOGIN, ALICE.user, &["get", &key]);
    assert_eq!(get(), (Some(NOT_FOUND), vec![]));
    for door in [Door::ImapLogin, Door::Pop3UserPass] {
        assert_eq!(door.log_in(&host.dovecot, ALICE.user, ALICE.password), Heard::Welcome);
        wait_until("the login is kept", || {
            let (code, lines) = get();
            code == Some(0) && lines.iter().all(|seconds| seconds.parse::<u32>().is_ok())
        });
        dict(host, LAST_LOGIN, ALICE.user, &["unset", &key]);
    }
}

fn a_mail_is_kept_in_the_quota(host: &MailHost) {
    for message in ["Subject: one\r\n\r\nFirst.", "Subject: two\r\n\r\nSecond."] {
        let heard = deliver(host.dovecot.addresses.lmtp, &[ALICE.user], message);
        assert!(heard[0].starts_with("250 2.0.0 "), "{heard:?}");
    }
    wait_until("both mails are counted", || {
        dict(host, QUOTA, ALICE.user, &["get", "priv/quota/messages"]) == (Some(0), owned(&["2"]))
    });
    let (code, bytes) = dict(host, QUOTA, ALICE.user, &["get", "priv/quota/storage"]);
    assert_eq!(code, Some(0));
    assert!(bytes[0].parse::<u32>().is_ok_and(|bytes| bytes > 100), "{bytes:?}");
}

const LAST_LOGIN: &str = "last-login";
const QUOTA: &str = "quota";

/// `doveadm dict`: its exit code, and what it printed, in order of the lines, for no order is promised.
fn dict(host: &MailHost, name: &str, user: &str, arguments: &[&str]) -> (Option<i32>, Vec<String>) {
    let output = host.dovecot.doveadm_dict(name, user, arguments);
    let mut lines: Vec<_> =
        String::from_utf8_lossy(&output.stdout).lines().map(|line| line.trim_end().to_owned()).collect();
    lines.sort_unstable();
    (output.status.code(), lines)
}

fn owned(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}
