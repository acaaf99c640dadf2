//! A Dovecot 2.3 that verifies passwords itself, from gatepost's dict, and remembers its verdicts.

use gatepost_harness::client::{Door, Heard, Protocol};
use gatepost_harness::dovecot::{Answerer, Recipe, Setup, Version};
use gatepost_harness::mailhost::{ALICE, DOVECOT, MailHost};
use gatepost_harness::session::Session;

use super::{NEW, completed, receipt, set_password, step};

#[test]
fn remembered_password_is_forgotten_before_the_sessions_end() {
    let setup = Setup::plain(Version::V2_3, Answerer::Gatepost, &[ALICE]);
    let more = "auth_cache_size = 10M\nauth_cache_ttl = 1 hour\n";
    let mut host = MailHost::start_with(Setup { recipe: Recipe::DictPassdb, doveadm: true, more, ..setup });
    let (gatepost, dovecot) = host.gatepost_and_dovecot();
    let session = Session::open(Protocol::Imap, dovecot, ALICE.user, ALICE.password);
    let change = set_password(gatepost, ALICE.user, NEW);
    let flush = step(&receipt(gatepost, change), "cache-flush", DOVECOT);
    assert!(session.last_words().starts_with("* BYE"));
    assert_eq!(
        Door::ImapLogin.log_in(dovecot, ALICE.user, ALICE.password),
        Heard::No(Door::ImapLogin.refusal().to_owned()),
        "{flush}"
    );
    assert_eq!(Door::ImapLogin.log_in(dovecot, ALICE.user, NEW), Heard::Welcome);
    let done = completed(gatepost, change);
    assert_eq!(step(&done, "cache-flush", DOVECOT)["state"], "done", "{done}");
    assert_eq!(step(&done, "kick", DOVECOT)["count"], 1, "{done}");
}
