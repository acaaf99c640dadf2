//! Logins through a real Postfix, answered by Dovecot's auth process and by gatepost.
//!
//! What an SMTP client hears is written out; where the two differ, both answers are.

use gatepost_harness::client::{encoded, plain, read_only_mail};
use gatepost_harness::dovecot::{Answerer, Mailbox};
use gatepost_harness::mailhost::{ALICE, BOB, CAROL, Loss, NOBODY};
use gatepost_harness::smtp::{self, exchange};
use gatepost_harness::submission::Submission;

macro_rules! answered_by {
    ($module:ident, $answerer:ident: $($test:ident),+ $(,)?) => {
        mod $module {
            use super::{Answerer, Submission};
            $(
                #[test]
                fn $test() {
                    super::$test(&mut Submission::on_postfix(Answerer::$answerer));
                }
            )+
        }
    };
}

answered_by! { dovecot, Dovecot:
    right_password_may_send,
    wrong_password_and_unknown_user_hear_the_same,
    disabled_user_may_not_send_unless_dovecot_answers,
    cancelled_exchange_leaves_the_session_usable,
    broken_exchange_is_refused_and_leaves_the_session_usable,
    outage_is_temporary_unless_dovecot_answers,
}

answered_by! { gatepost, Gatepost:
    right_password_may_send,
    wrong_password_and_unknown_user_hear_the_same,
    disabled_user_may_not_send_unless_dovecot_answers,
    cancelled_exchange_leaves_the_session_usable,
    broken_exchange_is_refused_and_leaves_the_session_usable,
    outage_is_temporary_unless_dovecot_answers,
    session_outlives_a_restart,
    only_who_is_logged_in_may_send_elsewhere,
    mail_is_delivered_to_a_mailbox_that_only_gatepost_knows,
    outage_defers_mail,
}

const MAIL: &str = "Good morning.";
const ACCEPTED: &str = "235 2.7.0 Authentication successful";
const REFUSED: &str = "535 5.7.8 Error: authentication failed: (reason unavailable)";
const NOT_NOW: &str = "454 4.7.0 Temporary authentication failure: Connection lost to authentication server";

fn right_password_may_send(host: &mut Submission) {
    for Mailbox { user, password, .. } in [ALICE, BOB] {
        for mechanism in ["PLAIN", "LOGIN"] {
            assert_eq!(host.log_in(mechanism, user, password), ACCEPTED, "{user} by {mechanism}");
        }
        let spoken: [(&str, &[String]); 2] = [
            ("AUTH PLAIN", &[plain(user, password)]),
            (&format!("AUTH LOGIN {}", encoded(user)), &[encoded(password)]),
        ];
        for (command, answers) in spoken {
            assert_eq!(exchange(&mut smtp::connect(host.smtp), command, answers), ACCEPTED, "{user} by {command}");
        }
    }
}

fn wrong_password_and_unknown_user_hear_the_same(host: &mut Submission) {
    for mechanism in ["PLAIN", "LOGIN"] {
        assert_eq!(host.log_in(mechanism, ALICE.user, BOB.password), REFUSED, "wrong by {mechanism}");
        assert_eq!(host.log_in(mechanism, NOBODY, ALICE.password), REFUSED, "unknown by {mechanism}");
    }
}

/// Postfix does not look at `nologin`, which is how Dovecot says that a user is disabled.
fn disabled_user_may_not_send_unless_dovecot_answers(host: &mut Submission) {
    assert_eq!(host.log_in("PLAIN", CAROL.user, ALICE.password), REFUSED);
    let heard = host.log_in("PLAIN", CAROL.user, CAROL.password);
    match host.answerer() {
        Answerer::Dovecot => assert_eq!(heard, ACCEPTED),
        Answerer::Gatepost => assert!(heard.starts_with("535 5.7.8 "), "{heard}"),
    }
}

fn cancelled_exchange_leaves_the_session_usable(host: &mut Submission) {
    let mut client = smtp::connect(host.smtp);
    for command in ["AUTH PLAIN", "AUTH LOGIN"] {
        assert_eq!(exchange(&mut client, command, &["*".to_owned()]), "501 5.7.0 Authentication aborted");
    }
    assert_eq!(exchange(&mut client, &format!("AUTH PLAIN {}", plain(ALICE.user, ALICE.password)), &[]), ACCEPTED);
}

fn broken_exchange_is_refused_and_leaves_the_session_usable(host: &mut Submission) {
    let mut client = smtp::connect(host.smtp);
    for broken in ["AUTH PLAIN =", &format!("AUTH PLAIN {}", encoded("no NUL at all"))] {
        client.send(broken);
        let heard = client.read_line();
        assert!(heard.starts_with("535 5.7.8 "), "{broken}: {heard}");
    }
    assert_eq!(exchange(&mut client, &format!("AUTH PLAIN {}", plain(ALICE.user, ALICE.password)), &[]), ACCEPTED);
}

/// Postfix takes any FAIL for a wrong password, whatever its code; Dovecot's auth has nothing else to say.
fn outage_is_temporary_unless_dovecot_answers(host: &mut Submission) {
    for loss in host.store().losses() {
        if host.answerer() == Answerer::Gatepost {
            // What it verified lately it would know without its store.
            host.gatepost().stop();
            host.gatepost().resume();
        }
        host.store().lose(*loss);
        for (user, password) in [(ALICE.user, ALICE.password), (ALICE.user, BOB.password), (NOBODY, ALICE.password)] {
            for mechanism in ["PLAIN", "LOGIN"] {
                let heard = host.log_in(mechanism, user, password);
                match host.answerer() {
                    Answerer::Dovecot => assert!(heard.starts_with("535 5.7.8 "), "{user} by {mechanism}: {heard}"),
                    Answerer::Gatepost => assert_eq!(heard, NOT_NOW, "{user} by {mechanism}"),
                }
            }
        }
        host.store().mend(*loss);
        if host.answerer() == Answerer::Gatepost {
            assert_eq!(host.log_in("PLAIN", ALICE.user, ALICE.password), ACCEPTED);
            host.store().lose(*loss);
            assert_eq!(host.log_in("PLAIN", ALICE.user, ALICE.password), ACCEPTED, "she was there a moment ago");
            host.store().mend(*loss);
        }
    }
}

fn session_outlives_a_restart(host: &mut Submission) {
    let mut client = smtp::connect(host.smtp);
    assert_eq!(exchange(&mut client, &format!("AUTH PLAIN {}", plain(ALICE.user, BOB.password)), &[]), REFUSED);
    host.gatepost().stop();
    host.gatepost().resume();
    assert_eq!(exchange(&mut client, &format!("AUTH PLAIN {}", plain(ALICE.user, ALICE.password)), &[]), ACCEPTED);
}

fn only_who_is_logged_in_may_send_elsewhere(host: &mut Submission) {
    let heard = smtp::send(host.smtp, ALICE.user, ALICE.password, "ann@example.net", MAIL);
    assert!(heard.starts_with("250 2.0.0 Ok: queued"), "{heard}");
    let heard = smtp::send_as_stranger(host.smtp, "ann@example.net", MAIL);
    assert_eq!(heard, "454 4.7.1 <ann@example.net>: Relay access denied");
}

fn mail_is_delivered_to_a_mailbox_that_only_gatepost_knows(host: &mut Submission) {
    let dovecot = host.start_dovecot();
    for recipient in [ALICE.user, "bob+lists@example.org"] {
        let heard = smtp::send_as_stranger(host.smtp, recipient, MAIL);
        assert!(heard.starts_with("250 2.0.0 Ok: queued"), "{recipient}: {heard}");
        host.postfix().wait_until_handed_over(recipient);
    }
    let heard = smtp::send_as_stranger(host.smtp, NOBODY, MAIL);
    assert_eq!(
        heard,
        format!("550 5.1.1 <{NOBODY}>: Recipient address rejected: User unknown in virtual mailbox table")
    );
    for Mailbox { user, password, .. } in [ALICE, BOB] {
        assert_eq!(read_only_mail(&dovecot, user, password), MAIL, "{user}");
    }
}

fn outage_defers_mail(host: &mut Submission) {
    host.store().lose(Loss::Moved);
    for recipient in [ALICE.user, NOBODY] {
        let heard = smtp::send_as_stranger(host.smtp, recipient, MAIL);
        assert!(heard.starts_with("451 4.3.0 "), "{recipient}: {heard}");
    }
    host.store().mend(Loss::Moved);
    // Another recipient, since this smtpd keeps in mind what it could not resolve.
    let heard = smtp::send_as_stranger(host.smtp, BOB.user, MAIL);
    assert!(heard.starts_with("250 2.0.0 Ok: queued"), "{heard}");
}
