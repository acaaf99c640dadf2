//! Several Dovecots: each is brought to the same, and none waits for another.

use gatepost_harness::client::Protocol;
use gatepost_harness::dovecot::{
    Answerer, Dovecot, Setup, Version, doveadm_settings, make_run_directory, sockets_below,
};
use gatepost_harness::gatepost::{Gatepost, Socket};
use gatepost_harness::mailhost::{ALICE, add_accounts};
use gatepost_harness::session::Session;
use gatepost_harness::short_directory;

use super::{NEW, completed, receipt, set_password, step, wait_for_note};

#[test]
fn sessions_end_in_every_dovecot_and_one_that_is_away_holds_up_no_other() {
    let [first, second] = [(); 2].map(|()| short_directory());
    for directory in [&first, &second] {
        make_run_directory(directory.path());
    }
    let more =
        sockets_below(second.path()).into_iter().map(|socket| Socket { name: second_name(socket.name), ..socket });
    let sockets = sockets_below(first.path()).into_iter().chain(more).collect();
    let settings = doveadm_settings(first.path(), "old") + &doveadm_settings(second.path(), "new");
    let gatepost = Gatepost::start(first.path(), sockets, &settings);
    add_accounts(&gatepost, &[ALICE]);
    let start = |directory: &tempfile::TempDir, version| {
        let setup = Setup::plain(version, Answerer::Gatepost, &[]);
        Dovecot::start(directory.path(), Setup { doveadm: true, ..setup })
    };
    let (old, mut new) = (start(&first, Version::V2_3), start(&second, Version::V2_4));

    let open = |dovecot, password| Session::open(Protocol::Imap, dovecot, ALICE.user, password);
    let sessions = [open(&old, ALICE.password), open(&new, ALICE.password)];
    let change = set_password(&gatepost, ALICE.user, NEW);
    for session in sessions {
        assert!(session.last_words().starts_with("* BYE"));
    }
    let done = completed(&gatepost, change);
    for place in ["old", "new"] {
        assert_eq!(step(&done, "kick", place)["count"], 1, "{done}");
    }

    let session = open(&old, NEW);
    new.stop();
    let change = set_password(&gatepost, ALICE.user, "Another-pass-2");
    assert!(session.last_words().starts_with("* BYE"));
    wait_for_note(&gatepost, change, "new", &["`[dovecot.new] url`"]);
    assert_eq!(receipt(&gatepost, change)["complete"], false);
    new.resume();
    let done = completed(&gatepost, change);
    assert_eq!((&step(&done, "kick", "old")["count"], &step(&done, "kick", "new")["count"]), (&1.into(), &0.into()));
}

fn second_name(name: &str) -> &'static str {
    match name {
        "login" => "login-2",
        "master" => "master-2",
        "userdb" => "userdb-2",
        "doveadm" => "doveadm-2",
        "dict" => "dict-2",
        _ => "mail-dict-2",
    }
}
