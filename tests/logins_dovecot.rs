//! Logins, deliveries and look-ups through a real Dovecot 2.3 and 2.4, answered by Dovecot alone and by gatepost.
//!
//! What a mail program hears is written out and the same for both; where they differ, both answers are.

use std::thread;

use gatepost_harness::client::{Door, Heard, LineClient, Protocol, at_every_door, deliver, plain, read_only_mail};
use gatepost_harness::dovecot::Answerer;
use gatepost_harness::mailhost::{ALICE, BOB, CAROL, MailHost, NOBODY};
use gatepost_harness::{joined, on_every_pair, on_pair, times, wait_until};

on_every_pair! { start:
    right_password_opens_every_door,
    password_of_spaces_quotes_and_umlauts_opens_every_door,
    wrong_password_is_refused_at_every_door,
    unknown_user_hears_what_a_wrong_password_hears,
    disabled_user_is_refused_and_hears_why_only_with_the_right_password,
    name_in_capitals_is_the_same_mailbox,
    cancelled_exchange_leaves_the_connection_usable,
    logins_go_on_after_a_reload,
    logins_go_on_after_a_restart_of_dovecot,
    logins_go_on_from_an_empty_run_directory,
    lmtp_delivers_to_a_known_mailbox_and_refuses_an_unknown_one,
    lda_delivers_as_the_mail_user,
    doveadm_finds_lists_and_tests_users,
    doveadm_looks_up_and_visits_everybody,
    stranger_learns_nothing_of_a_mailbox,
}

mod high_performance_mode {
    use super::logins_over_one_connection_each_get_their_own_answer;
    use gatepost_harness::on_every_pair;

    on_every_pair! { in_high_performance_mode: logins_over_one_connection_each_get_their_own_answer }
}

// A passwd-file that is taken away is no outage to Dovecot: it answers from memory, or refuses.
macro_rules! with_gatepost {
    ($($test:ident),+ $(,)?) => {
        on_pair!(gatepost_under_dovecot_2_3, start(V2_3, Gatepost): $($test),+);
        on_pair!(gatepost_under_dovecot_2_4, start(V2_4, Gatepost): $($test),+);
    };
}

with_gatepost! {
    login_is_recorded_with_service_and_address,
    account_may_be_bound_to_networks,
    changed_password_is_the_only_one_from_then_on,
    outage_is_not_now_to_everybody_and_over_when_it_is_over,
    who_was_there_lately_comes_in_during_an_outage,
    restart_of_gatepost_costs_nobody_a_login_or_a_session,
    sudden_end_of_gatepost_is_survived,
    mail_program_is_listed_by_what_it_calls_itself,
}

fn right_password_opens_every_door(host: &mut MailHost) {
    assert_everybody_welcome(host);
}

fn password_of_spaces_quotes_and_umlauts_opens_every_door(host: &mut MailHost) {
    for (door, heard) in at_every_door(&host.dovecot, BOB.user, BOB.password) {
        assert_eq!(heard, Heard::Welcome, "{door:?}");
    }
}

fn wrong_password_is_refused_at_every_door(host: &mut MailHost) {
    for (door, heard) in at_every_door(&host.dovecot, ALICE.user, BOB.password) {
        assert_eq!(heard, Heard::No(door.refusal().to_owned()), "{door:?}");
    }
}

fn unknown_user_hears_what_a_wrong_password_hears(host: &mut MailHost) {
    for (door, heard) in at_every_door(&host.dovecot, NOBODY, ALICE.password) {
        assert_eq!(heard, Heard::No(door.refusal().to_owned()), "{door:?}");
    }
}

fn disabled_user_is_refused_and_hears_why_only_with_the_right_password(host: &mut MailHost) {
    assert_eq!(
        Door::ImapLogin.log_in(&host.dovecot, CAROL.user, ALICE.password),
        Heard::No(Door::ImapLogin.refusal().to_owned())
    );
    for (door, heard) in at_every_door(&host.dovecot, CAROL.user, CAROL.password) {
        assert_eq!(heard, Heard::No(disabled_refusal(door, host.answerer)), "{door:?}");
    }
}

fn name_in_capitals_is_the_same_mailbox(host: &mut MailHost) {
    assert_eq!(Door::ImapLogin.log_in(&host.dovecot, "Alice@Example.ORG", ALICE.password), Heard::Welcome);
}

fn cancelled_exchange_leaves_the_connection_usable(host: &mut MailHost) {
    let mut client = LineClient::connect(host.dovecot.addresses.imap);
    client.read_until("* OK");
    client.send("a AUTHENTICATE PLAIN");
    client.read_until("+");
    client.send("*");
    client.read_until("a BAD");
    client.send(&format!("b AUTHENTICATE PLAIN {}", plain(ALICE.user, ALICE.password)));
    client.read_until("b OK");
}

fn logins_go_on_after_a_reload(host: &mut MailHost) {
    assert_everybody_welcome(host);
    host.dovecot.reload();
    assert_everybody_welcome(host);
}

fn logins_go_on_after_a_restart_of_dovecot(host: &mut MailHost) {
    assert_everybody_welcome(host);
    host.dovecot.stop();
    host.dovecot.resume();
    assert_everybody_welcome(host);
}

fn logins_go_on_from_an_empty_run_directory(host: &mut MailHost) {
    assert_everybody_welcome(host);
    host.reboot();
    assert_everybody_welcome(host);
}

fn lmtp_delivers_to_a_known_mailbox_and_refuses_an_unknown_one(host: &mut MailHost) {
    let heard = deliver(host.dovecot.addresses.lmtp, &[ALICE.user, NOBODY], MAIL);
    assert!(heard[0].starts_with("250 2.0.0 "), "{heard:?}");
    assert!(heard[1].starts_with("550 5.1.1 "), "{heard:?}");
    assert_eq!(read_only_mail(&host.dovecot, ALICE.user, ALICE.password), "Good morning.");
}

fn lda_delivers_as_the_mail_user(host: &mut MailHost) {
    let to_alice = host.dovecot.lda(ALICE.user, MAIL);
    assert!(to_alice.status.success(), "{to_alice:?}");
    assert_eq!(read_only_mail(&host.dovecot, ALICE.user, ALICE.password), "Good morning.");
    assert_eq!(host.dovecot.lda(NOBODY, MAIL).status.code(), Some(67), "the code for a user that does not exist");
}

fn doveadm_finds_lists_and_tests_users(host: &mut MailHost) {
    let doveadm = |arguments: &[&str]| {
        let output = host.dovecot.doveadm(arguments);
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, fields) = doveadm(&["user", ALICE.user]);
    assert_eq!(code, Some(0), "{fields}");
    assert!(fields.contains(&format!("home\t{}/mail/{}", host.directory.path().display(), ALICE.user)), "{fields}");
    assert_eq!(doveadm(&["user", NOBODY]).0, Some(67));
    assert_eq!(doveadm(&["user", "*"]), (Some(0), format!("{}\n{}\n{}\n", ALICE.user, BOB.user, CAROL.user)));
    assert_eq!(doveadm(&["user", "a*"]), (Some(0), format!("{}\n", ALICE.user)));
    assert_eq!(doveadm(&["auth", "test", ALICE.user, ALICE.password]).0, Some(0));
    assert_eq!(doveadm(&["auth", "test", ALICE.user, BOB.password]).0, Some(77));
    assert_eq!(doveadm(&["auth", "test", NOBODY, ALICE.password]).0, Some(77));
}

fn doveadm_looks_up_and_visits_everybody(host: &mut MailHost) {
    let doveadm = |arguments: &[&str]| host.dovecot.doveadm(arguments);
    assert_eq!(doveadm(&["auth", "lookup", ALICE.user]).status.code(), Some(0));
    assert_eq!(doveadm(&["auth", "lookup", NOBODY]).status.code(), Some(67));
    let flush = || String::from_utf8_lossy(&doveadm(&["auth", "cache", "flush", ALICE.user]).stdout).into_owned();
    flush();
    for password in [ALICE.password, BOB.password, ALICE.password] {
        doveadm(&["auth", "test", ALICE.user, password]);
    }
    // Dovecot alone keeps no cache here; gatepost remembers a right password and a wrong one.
    let remembered = if host.answerer == Answerer::Gatepost { 2 } else { 0 };
    assert_eq!(flush(), format!("{remembered} cache entries flushed\n"));
    assert_eq!(flush(), "0 cache entries flushed\n");
    let visited = doveadm(&["-f", "tab", "mailbox", "list", "-A"]);
    let visited = String::from_utf8_lossy(&visited.stdout);
    for mailbox in [ALICE, BOB, CAROL] {
        assert!(visited.lines().any(|line| line == format!("{}\tINBOX", mailbox.user)), "{visited}");
    }
}

/// The userdb socket is open to everybody, and tells a user of the system about mailboxes of the same uid only.
fn stranger_learns_nothing_of_a_mailbox(host: &mut MailHost) {
    let ask = |user: &str, arguments: &[&str]| {
        let output = host.dovecot.doveadm_as(user, arguments);
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let home = format!("{}/mail/{}", host.directory.path().display(), ALICE.user);
    assert_eq!(ask("vmail", &["user", "-f", "home", ALICE.user]), (Some(0), format!("{home}\n")));
    assert_eq!(ask("nobody", &["user", "-f", "home", ALICE.user]), (Some(75), String::new()));
    assert_eq!(ask("nobody", &["user", "*"]), (Some(75), String::new()));
}

fn logins_over_one_connection_each_get_their_own_answer(host: &mut MailHost) {
    let dovecot = &host.dovecot;
    let rounds = times(5, 200);
    thread::scope(|scope| {
        for door in [Door::ImapLogin, Door::ImapLoginMechanism, Door::Pop3UserPass, Door::Pop3Plain] {
            for (user, password) in [(ALICE.user, ALICE.password), (BOB.user, BOB.password)] {
                scope.spawn(move || {
                    for round in 0..rounds {
                        assert_eq!(door.log_in(dovecot, user, password), Heard::Welcome, "{door:?} {user} {round}");
                        let crossed = door.log_in(dovecot, user, &format!("{password}{round}"));
                        assert_eq!(crossed, Heard::No(door.refusal().to_owned()), "{door:?} {user} {round}");
                    }
                });
            }
        }
    });
}

fn login_is_recorded_with_service_and_address(host: &mut MailHost) {
    assert_everybody_welcome(host);
    let (gatepost, dovecot) = host.gatepost_and_dovecot();
    assert_eq!(
        Door::ImapLogin.log_in(dovecot, ALICE.user, BOB.password),
        Heard::No(Door::ImapLogin.refusal().to_owned())
    );
    let mut recorded = String::new();
    wait_until("every login is recorded", || {
        recorded = gatepost.must(&["logins", ALICE.user], "");
        recorded.lines().filter(|line| line.contains("127.0.0.1")).count() > Door::ALL.len()
    });
    for service in ["imap", "pop3", "submission", "sieve"] {
        assert!(recorded.contains(service), "{service} in {recorded}");
    }
}

fn account_may_be_bound_to_networks(host: &mut MailHost) {
    let (gatepost, dovecot) = host.gatepost_and_dovecot();
    gatepost.must(&["account", "set", ALICE.user, "--field", "allow_nets=192.0.2.0/24"], "");
    for (door, heard) in at_every_door(dovecot, ALICE.user, ALICE.password) {
        assert!(matches!(heard, Heard::No(_)), "{door:?} heard {heard:?}");
    }
    gatepost.must(&["account", "set", ALICE.user, "--field", "allow_nets=192.0.2.0/24,127.0.0.0/8"], "");
    for (door, heard) in at_every_door(dovecot, ALICE.user, ALICE.password) {
        assert_eq!(heard, Heard::Welcome, "{door:?}");
    }
}

fn changed_password_is_the_only_one_from_then_on(host: &mut MailHost) {
    assert_everybody_welcome(host);
    let (gatepost, dovecot) = host.gatepost_and_dovecot();
    gatepost.must(&["passwd", ALICE.user, "--stdin"], "Another-pass-1\n");
    for (door, heard) in at_every_door(dovecot, ALICE.user, ALICE.password) {
        assert_eq!(heard, Heard::No(door.refusal().to_owned()), "{door:?}");
    }
    for (door, heard) in at_every_door(dovecot, ALICE.user, "Another-pass-1") {
        assert_eq!(heard, Heard::Welcome, "{door:?}");
    }
}

fn outage_is_not_now_to_everybody_and_over_when_it_is_over(host: &mut MailHost) {
    assert_everybody_welcome(host);
    for loss in host.store().losses() {
        forget_passwords(host);
        host.store().lose(*loss);
        for (door, heard) in at_every_door(&host.dovecot, ALICE.user, ALICE.password) {
            assert!(matches!(heard, Heard::NotNow(_)), "{door:?} heard {heard:?}");
        }
        for (door, heard) in at_every_door(&host.dovecot, ALICE.user, BOB.password) {
            assert!(matches!(heard, Heard::NotNow(_)), "{door:?} heard {heard:?}");
        }
        let heard = deliver(host.dovecot.addresses.lmtp, &[ALICE.user, NOBODY], MAIL);
        assert!(heard.iter().all(|line| line.starts_with("451 ")), "{heard:?}");
        assert_eq!(host.dovecot.lda(ALICE.user, MAIL).status.code(), Some(75), "the code for later");
        assert_eq!(host.dovecot.doveadm(&["user", ALICE.user]).status.code(), Some(75));
        host.store().mend(*loss);
        assert_everybody_welcome(host);
    }
}

/// gatepost writes its store alone, so it knows that nothing has changed while the store was away.
fn who_was_there_lately_comes_in_during_an_outage(host: &mut MailHost) {
    for loss in host.store().losses() {
        forget_passwords(host);
        assert_everybody_welcome(host);
        host.store().lose(*loss);
        for (door, heard) in at_every_door(&host.dovecot, ALICE.user, ALICE.password) {
            assert_eq!(heard, Heard::Welcome, "{door:?}");
        }
        for (door, heard) in at_every_door(&host.dovecot, ALICE.user, "never tried before") {
            assert!(matches!(heard, Heard::NotNow(_)), "{door:?} heard {heard:?}");
        }
        host.store().mend(*loss);
    }
}

/// What gatepost verified lately it would know without its store.
fn forget_passwords(host: &MailHost) {
    let flushed = host.dovecot.doveadm(&["auth", "cache", "flush"]);
    assert!(flushed.status.success(), "{flushed:?}");
}

fn restart_of_gatepost_costs_nobody_a_login_or_a_session(host: &mut MailHost) {
    let mut session = LineClient::connect(host.dovecot.addresses.imap);
    session.read_until("* OK");
    session.send(&format!("a AUTHENTICATE PLAIN {}", plain(ALICE.user, ALICE.password)));
    session.read_until("a OK");
    let (gatepost, dovecot) = host.gatepost_and_dovecot();
    gatepost.stop();
    let visits = thread::scope(|scope| {
        let visits = scope.spawn(|| at_every_door(dovecot, ALICE.user, ALICE.password));
        gatepost.resume();
        joined(visits)
    });
    for (door, heard) in visits {
        assert_eq!(heard, Heard::Welcome, "{door:?}");
    }
    session.send("b STATUS INBOX (MESSAGES)");
    session.read_until("b OK");
}

fn sudden_end_of_gatepost_is_survived(host: &mut MailHost) {
    assert_everybody_welcome(host);
    host.gatepost().kill();
    host.gatepost().resume();
    assert_everybody_welcome(host);
}

fn mail_program_is_listed_by_what_it_calls_itself(host: &mut MailHost) {
    let mut client = LineClient::connect(host.dovecot.addresses.imap);
    client.read_until("* OK");
    client.send("a ID (\"name\" \"Probe\" \"version\" \"1.0\")");
    client.read_until("a OK");
    client.send(&format!("b AUTHENTICATE PLAIN {}", plain(ALICE.user, ALICE.password)));
    client.read_until("b OK");
    let mut listed = String::new();
    wait_until("the client is written down", || {
        listed = host.gatepost().must(&["clients", ALICE.user], "");
        listed.lines().count() > 1
    });
    let row = listed.lines().nth(1).unwrap_or_default();
    for part in ["  imap  127.0.0.1  main  ", "\"Probe\"", "\"1.0\""] {
        assert!(row.contains(part), "no {part} in\n{listed}");
    }
}

const MAIL: &str = "Subject: greeting\r\n\r\nGood morning.";

fn assert_everybody_welcome(host: &MailHost) {
    for (door, heard) in at_every_door(&host.dovecot, ALICE.user, ALICE.password) {
        assert_eq!(heard, Heard::Welcome, "{door:?}");
    }
}

/// Dovecot accepts such a login and adds `nologin`, which only its own login processes understand; gatepost refuses
/// it with a reason, which Postfix understands too.
fn disabled_refusal(door: Door, answerer: Answerer) -> String {
    let (imap, smtp, reason) = match answerer {
        Answerer::Dovecot => ("[CONTACTADMIN]", "525 5.7.13", "Ask_the_postmaster"),
        Answerer::Gatepost => ("[ALERT]", "535 5.7.8", "This mailbox is disabled."),
    };
    match door.protocol() {
        Protocol::Imap => format!("a NO {imap} {reason}"),
        Protocol::Pop3 => format!("-ERR [AUTH] {reason}"),
        Protocol::Submission => format!("{smtp} {reason}"),
        Protocol::Sieve => format!("NO \"{reason}\""),
    }
}
