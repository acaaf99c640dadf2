//! Logins through a real Exim, answered by Dovecot's auth process and by gatepost.
//!
//! What an SMTP client hears is written out; where the two differ, both answers are.

use gatepost_harness::client::{encoded, plain};
use gatepost_harness::dovecot::Answerer;
use gatepost_harness::mailhost::{ALICE, BOB, CAROL, NOBODY};
use gatepost_harness::smtp::{self, exchange};
use gatepost_harness::submission::Submission;

macro_rules! answered_by {
    ($module:ident, $answerer:ident: $($test:ident),+ $(,)?) => {
        mod $module {
            use super::{Answerer, Submission};
            $(
                #[test]
                fn $test() {
                    super::$test(&mut Submission::on_exim(Answerer::$answerer));
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
    outage_is_temporary_unless_dovecot_answers,
}

answered_by! { gatepost, Gatepost:
    right_password_may_send,
    wrong_password_and_unknown_user_hear_the_same,
    disabled_user_may_not_send_unless_dovecot_answers,
    cancelled_exchange_leaves_the_session_usable,
    outage_is_temporary_unless_dovecot_answers,
}

const ACCEPTED: &str = "235 Authentication succeeded";
const REFUSED: &str = "535 Incorrect authentication data";
const NOT_NOW: &str = "435 Unable to authenticate at present";

fn right_password_may_send(host: &mut Submission) {
    for mailbox in [ALICE, BOB] {
        for mechanism in ["PLAIN", "LOGIN"] {
            let heard = host.log_in(mechanism, mailbox.user, mailbox.password);
            assert_eq!(heard, ACCEPTED, "{} by {mechanism}", mailbox.user);
        }
    }
    let heard = smtp::send(host.smtp, ALICE.user, ALICE.password, "ann@example.net", "Good morning.");
    assert!(heard.starts_with("250 OK id="), "{heard}");
    let heard = smtp::send_as_stranger(host.smtp, "ann@example.net", "Good morning.");
    assert!(heard.starts_with("550 "), "{heard}");
}

fn wrong_password_and_unknown_user_hear_the_same(host: &mut Submission) {
    for mechanism in ["PLAIN", "LOGIN"] {
        assert_eq!(host.log_in(mechanism, ALICE.user, BOB.password), REFUSED, "wrong by {mechanism}");
        assert_eq!(host.log_in(mechanism, NOBODY, ALICE.password), REFUSED, "unknown by {mechanism}");
    }
}

/// Exim does not look at `nologin`, which is how Dovecot says that a user is disabled.
fn disabled_user_may_not_send_unless_dovecot_answers(host: &mut Submission) {
    assert_eq!(host.log_in("PLAIN", CAROL.user, ALICE.password), REFUSED);
    let expected = match host.answerer() {
        Answerer::Dovecot => ACCEPTED,
        Answerer::Gatepost => REFUSED,
    };
    assert_eq!(host.log_in("PLAIN", CAROL.user, CAROL.password), expected);
}

fn cancelled_exchange_leaves_the_session_usable(host: &mut Submission) {
    let mut client = smtp::connect(host.smtp);
    for command in ["AUTH PLAIN", "AUTH LOGIN"] {
        assert_eq!(exchange(&mut client, command, &["*".to_owned()]), "501 Authentication cancelled");
    }
    let user = format!("AUTH LOGIN {}", encoded(ALICE.user));
    assert_eq!(exchange(&mut client, &user, &["*".to_owned()]), "501 Authentication cancelled");
    let right = format!("AUTH PLAIN {}", plain(ALICE.user, ALICE.password));
    assert_eq!(exchange(&mut client, &right, &[]), ACCEPTED);
}

/// Exim takes any FAIL for a wrong password, whatever its code; Dovecot's auth has nothing else to say.
fn outage_is_temporary_unless_dovecot_answers(host: &mut Submission) {
    for loss in host.store().losses() {
        if host.answerer() == Answerer::Gatepost {
            // What it verified lately it would know without its store.
            host.gatepost().stop();
            host.gatepost().resume();
        }
        host.store().lose(*loss);
        let expected = match host.answerer() {
            Answerer::Dovecot => REFUSED,
            Answerer::Gatepost => NOT_NOW,
        };
        for (user, password) in [(ALICE.user, ALICE.password), (ALICE.user, BOB.password), (NOBODY, ALICE.password)] {
            for mechanism in ["PLAIN", "LOGIN"] {
                assert_eq!(host.log_in(mechanism, user, password), expected, "{user} by {mechanism}");
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
