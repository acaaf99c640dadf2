//! Processes that serve many clients: 2.3 can only end all of them, 2.4 ends the account's alone.

use gatepost_harness::client::Protocol;
use gatepost_harness::dovecot::{Answerer, Setup, Version};
use gatepost_harness::mailhost::{ALICE, BOB, DOVECOT, MailHost};
use gatepost_harness::session::Session;

use super::{NEW, completed, set_password, step};

#[test]
fn everybody_in_a_shared_process_leaves_with_the_account_dovecot_2_3() {
    let (mut host, hers, his) = host_with_one_imap_process(Version::V2_3);
    change_her_password(&mut host, hers);
    assert!(his.last_words().starts_with("* BYE"), "the process was ended");
}

#[test]
fn only_the_account_leaves_a_shared_process_dovecot_2_4() {
    let (mut host, hers, mut his) = host_with_one_imap_process(Version::V2_4);
    change_her_password(&mut host, hers);
    his.prove_open();
}

fn host_with_one_imap_process(version: Version) -> (MailHost, Session, Session) {
    let endless = match version {
        Version::V2_3 => "service_count = 0",
        Version::V2_4 => "restart_request_count = unlimited",
    };
    let more = format!("service imap {{\n  process_limit = 1\n  client_limit = 20\n  {endless}\n}}\n");
    let setup = Setup::plain(version, Answerer::Gatepost, &[ALICE, BOB]);
    let host = MailHost::start_with(Setup { doveadm: true, more: &more, ..setup });
    let hers = Session::open(Protocol::Imap, &host.dovecot, ALICE.user, ALICE.password);
    let his = Session::open(Protocol::Imap, &host.dovecot, BOB.user, BOB.password);
    (host, hers, his)
}

fn change_her_password(host: &mut MailHost, hers: Session) {
    let change = set_password(host.gatepost(), ALICE.user, NEW);
    assert!(hers.last_words().starts_with("* BYE"));
    let kick = step(&completed(host.gatepost(), change), "kick", DOVECOT);
    assert_eq!((&kick["state"], &kick["count"]), (&"done".into(), &1.into()), "{kick}");
}
