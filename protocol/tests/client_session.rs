//! The auth client session, told what Dovecot's login processes, Postfix and Exim say.

use std::time::{Duration, Instant};

use gatepost_protocol::dovecot::{
    Cookie, Handshake, ProtocolError,
    client::{ClientEvent, ClientSession, FailCode, Login, Reply},
};

const DOVECOT: &str = "VERSION\t1\t2\nCPID\t41\n";
const DOVECOT_2_4_1: &str = "VERSION\t1\t3\nCPID\t41\n";
const DOVECOT_2_4_4: &str = "VERSION\t1\t4\nCPID\t41\n";
const POSTFIX: &str = "VERSION\t1\t0\nCPID\t41\n";
/// `\0ann\0s`
const MESSAGE: &str = "AGFubgBz";

struct Talk {
    session: ClientSession,
    now: Instant,
}

impl Talk {
    /// A session past its handshake.
    fn with(client: &str) -> Self {
        let session = ClientSession::new(Handshake { server_pid: 7, connection: 1, cookie: Cookie::new([0; 16]) });
        let mut talk = Self { session, now: Instant::now() };
        talk.session.output().clear();
        talk.says(client);
        assert!(matches!(talk.session.next_event(), Some(ClientEvent::Hello { pid: 41, .. })));
        talk
    }

    fn says(&mut self, lines: &str) {
        assert_eq!(self.session.receive(lines.as_bytes(), self.now), Ok(()), "{lines:?}");
    }

    fn breaks_off(&mut self, lines: &str) -> ProtocolError {
        match self.session.receive(lines.as_bytes(), self.now) {
            Ok(()) => panic!("{lines:?} was taken"),
            Err(error) => error,
        }
    }

    fn login(&mut self) -> Login {
        match self.session.next_event() {
            Some(ClientEvent::Login(login)) => *login,
            other => panic!("no login but {other:?}"),
        }
    }

    fn hears(&mut self, expected: &str) {
        let output = self.session.output().split();
        assert_eq!(String::from_utf8_lossy(&output), expected);
    }
}

fn auth(id: u32, rest: &str) -> String {
    format!("AUTH\t{id}\tPLAIN\tservice=imap\trip=192.0.2.9\t{rest}\n")
}

fn from_mta(id: u32) -> String {
    format!("AUTH\t{id}\tPLAIN\tservice=smtp\tnologin\trip=192.0.2.9\tresp={MESSAGE}\n")
}

fn accept(user: &str) -> Reply {
    Reply::Accept { user: user.to_owned(), fields: Vec::new() }
}

fn refuse() -> Reply {
    Reply::Refuse { user: None, code: None, reason: None }
}

#[test]
fn the_greeting_does_not_wait_for_the_client() {
    let mut session = ClientSession::new(Handshake { server_pid: 7, connection: 1, cookie: Cookie::new([0; 16]) });
    assert!(session.output().ends_with(b"\nDONE\n"));
    assert!(session.next_event().is_none());
    assert_eq!(session.minor(), None);
}

#[test]
fn a_login_in_one_line_is_answered_in_one_line() {
    let mut talk = Talk::with(DOVECOT);
    talk.says(&auth(1, &format!("secured\tresp={MESSAGE}")));
    let login = talk.login();
    assert_eq!((login.id, login.username.as_str(), login.password.expose()), (1, "ann", &b"s"[..]));
    assert_eq!(login.info.remote_ip, "192.0.2.9".parse().ok());
    assert!(login.info.secured);
    assert_eq!(talk.session.open(), 1);
    talk.session.reply(1, accept("ann"));
    assert_eq!(talk.session.open(), 0);
    talk.hears("OK\t1\tuser=ann\n");
    talk.session.reply(1, refuse());
    talk.hears("");
}

#[test]
fn answers_may_come_in_any_order() {
    let mut talk = Talk::with(DOVECOT);
    for id in 1..=3 {
        talk.says(&auth(id, &format!("resp={MESSAGE}")));
        talk.login();
    }
    talk.session.reply(3, refuse());
    talk.session.reply(1, accept("ann"));
    talk.session.reply(2, Reply::TryLater);
    talk.hears("FAIL\t3\nOK\t1\tuser=ann\nFAIL\t2\tcode=temp_fail\n");
}

#[test]
fn a_dialogue_ends_in_a_login() {
    let mut talk = Talk::with(DOVECOT);
    talk.says("AUTH\t1\tPLAIN\tservice=imap\nAUTH\t2\tlogin\tservice=pop3\n");
    talk.hears("CONT\t1\t\nCONT\t2\tVXNlcm5hbWU6\n");
    assert!(talk.session.next_event().is_none());
    talk.says(&format!("CONT\t2\tYm9i\nCONT\t1\t{MESSAGE}\nCONT\t2\tcw==\n"));
    talk.hears("CONT\t2\tUGFzc3dvcmQ6\n");
    let (first, second) = (talk.login(), talk.login());
    assert_eq!((first.id, first.username.as_str(), first.info.service.as_str()), (1, "ann", "imap"));
    assert_eq!((second.id, second.username.as_str(), second.info.service.as_str()), (2, "bob", "pop3"));
    assert_eq!(second.password.expose(), b"s");
}

#[test]
fn what_dovecot_2_4_adds_to_a_continuation_is_ignored() {
    let mut talk = Talk::with(DOVECOT_2_4_4);
    talk.says(&format!("AUTH\t1\tPLAIN\tprotocol=imap\tfinal-resp-ok\nCONT\t1\t{MESSAGE}\tchannel_binding=AA==\n"));
    let login = talk.login();
    assert_eq!((login.username.as_str(), login.info.service.as_str()), ("ann", "imap"));
}

#[test]
fn exim_ends_every_auth_with_resp_and_means_nothing_by_it() {
    let mut talk = Talk::with(POSTFIX);
    talk.says("AUTH\t1\tPLAIN\tservice=smtp\tsecured\trip=127.0.0.1\tlip=127.0.0.1\tnologin\tresp=\n");
    talk.hears("CONT\t1\t\n");
}

#[test]
fn an_empty_initial_response_is_no_plain_message() {
    let mut talk = Talk::with(DOVECOT);
    talk.says(&auth(1, "resp="));
    talk.hears("FAIL\t1\n");
    let mut talk = Talk::with(POSTFIX);
    talk.says("AUTH\t1\tPLAIN\tservice=smtp\tnologin\tresp==\n");
    talk.hears("FAIL\t1\n");
    assert_eq!(talk.session.open(), 0);
}

#[test]
fn invalid_base64_fails_at_once() {
    let mut talk = Talk::with(DOVECOT);
    talk.says(&auth(1, "resp=!!!!"));
    talk.hears("FAIL\t1\tcode=invalid_base64\treason=Invalid base64 data in initial response\n");
    talk.says(&auth(1, "secured"));
    talk.says("CONT\t1\t!!!!\n");
    talk.hears("CONT\t1\t\nFAIL\t1\tcode=invalid_base64\treason=Invalid base64 data in continued response\n");
    assert_eq!(talk.session.open(), 0);
}

#[test]
fn a_mechanism_not_offered_is_refused_and_the_connection_kept() {
    let mut talk = Talk::with(DOVECOT);
    talk.says("AUTH\t1\tEXTERNAL\tservice=imap\tresp=\n");
    talk.hears("FAIL\t1\treason=Unsupported authentication mechanism\n");
    talk.says(&auth(1, &format!("resp={MESSAGE}")));
    talk.login();
}

#[test]
fn a_continuation_nobody_asked_for_fails() {
    let mut talk = Talk::with(DOVECOT);
    talk.says(&format!("CONT\t9\t{MESSAGE}\n"));
    talk.hears("FAIL\t9\treason=Authentication request timed out\n");

    talk.says(&auth(1, &format!("resp={MESSAGE}")));
    talk.says(&format!("CONT\t1\t{MESSAGE}\n"));
    talk.hears("FAIL\t1\treason=Unexpected continuation\n");
    assert!(talk.session.next_event().is_none(), "a login not yet taken is taken back");

    talk.says(&auth(2, &format!("resp={MESSAGE}")));
    talk.login();
    talk.says(&format!("CONT\t2\t{MESSAGE}\n"));
    talk.hears("FAIL\t2\treason=Unexpected continuation\n");
    assert!(matches!(talk.session.next_event(), Some(ClientEvent::Cancel { id: 2 })));
    talk.session.reply(2, accept("ann"));
    talk.hears("");
}

#[test]
fn a_cancelled_request_is_not_answered() {
    for (client, expected) in [(DOVECOT, ""), (DOVECOT_2_4_1, ""), (DOVECOT_2_4_4, "CANCELLED\t2\n")] {
        let mut talk = Talk::with(client);
        talk.says(&auth(2, &format!("resp={MESSAGE}")));
        talk.login();
        talk.says("CANCEL\t2\n");
        assert!(matches!(talk.session.next_event(), Some(ClientEvent::Cancel { id: 2 })));
        talk.session.reply(2, accept("ann"));
        talk.hears(expected);
        assert_eq!(talk.session.open(), 0);
    }
}

#[test]
fn a_cancelled_dialogue_leaves_nothing() {
    let mut talk = Talk::with(DOVECOT);
    talk.says(&auth(1, "secured"));
    talk.says("CANCEL\t1\n");
    talk.hears("CONT\t1\t\n");
    assert!(talk.session.next_event().is_none());
    assert_eq!((talk.session.open(), talk.session.next_expiry()), (0, None));
}

#[test]
fn a_success_may_be_cancelled_afterwards() {
    let mut talk = Talk::with(DOVECOT_2_4_4);
    talk.says(&auth(1, &format!("resp={MESSAGE}")));
    talk.login();
    talk.session.reply(1, accept("ann"));
    talk.says("CANCEL\t1\n");
    talk.hears("OK\t1\tuser=ann\n");
    assert!(matches!(talk.session.next_event(), Some(ClientEvent::Cancel { id: 1 })));
}

#[test]
fn a_cancelled_login_keeps_its_number_until_it_is_answered() {
    let mut talk = Talk::with(DOVECOT);
    let (first, second) = (auth(1, &format!("resp={MESSAGE}")), auth(1, "resp=AGJvYgB4"));
    talk.says(&first);
    talk.login();
    assert!(talk.session.awaits(1));
    talk.says("CANCEL\t1\n");
    assert!(!talk.session.awaits(1));
    assert!(matches!(talk.session.next_event(), Some(ClientEvent::Cancel { id: 1 })));
    talk.says("CONT\t1\tAA==\n");
    talk.hears("FAIL\t1\treason=Authentication request timed out\n");
    talk.session.reply(1, accept("ann"));
    talk.says(&second);
    assert_eq!(talk.login().username, "bob");
    talk.session.reply(1, refuse());
    talk.hears("FAIL\t1\n");

    let mut talk = Talk::with(DOVECOT);
    talk.says(&first);
    talk.login();
    talk.says("CANCEL\t1\n");
    assert_eq!(talk.breaks_off(&second), ProtocolError::Reused { command: "AUTH", id: 1 });
    talk.hears("");
}

#[test]
fn postfix_never_cancels_so_dialogues_end_by_themselves() {
    let mut talk = Talk::with(POSTFIX);
    talk.says("AUTH\t1\tLOGIN\tservice=smtp\tnologin\n");
    talk.hears("CONT\t1\tVXNlcm5hbWU6\n");
    let expiry = talk.now + Duration::from_secs(150);
    assert_eq!(talk.session.next_expiry(), Some(expiry));
    talk.session.expire(expiry - Duration::from_millis(1));
    assert_eq!(talk.session.open(), 1);
    talk.session.expire(expiry);
    assert_eq!((talk.session.open(), talk.session.next_expiry()), (0, None));
    talk.hears("");
    talk.says("CONT\t1\tYm9i\n");
    talk.hears("FAIL\t1\treason=Authentication request timed out\n");
    talk.says(&from_mta(2));
    talk.login();
}

#[test]
fn a_login_being_decided_does_not_expire() {
    let mut talk = Talk::with(DOVECOT);
    talk.says(&auth(1, &format!("resp={MESSAGE}")));
    talk.login();
    assert_eq!(talk.session.next_expiry(), None);
    talk.session.expire(talk.now + Duration::from_secs(1000));
    talk.session.reply(1, accept("ann"));
    talk.hears("OK\t1\tuser=ann\n");
}

#[test]
fn not_now_is_a_code_to_dovecot_and_a_closed_connection_to_an_mta() {
    let mut talk = Talk::with(DOVECOT);
    talk.says(&auth(1, &format!("resp={MESSAGE}")));
    talk.login();
    talk.session.reply(1, Reply::TryLater);
    talk.hears("FAIL\t1\tcode=temp_fail\n");
    assert!(!talk.session.hangs_up());

    let mut talk = Talk::with(POSTFIX);
    talk.says(&from_mta(1));
    talk.login();
    talk.session.reply(1, Reply::TryLater);
    talk.hears("");
    assert!(talk.session.hangs_up());
    assert!(!talk.session.wants_input());
}

#[test]
fn a_disabled_mailbox_is_ok_nologin_to_dovecot_and_fail_to_an_mta() {
    let disabled = Reply::Accept {
        user: "bob".to_owned(),
        fields: vec![("nologin".to_owned(), String::new()), ("reason".to_owned(), "Suspended".to_owned())],
    };
    for (client, auth, expected) in [
        (DOVECOT, auth(1, &format!("resp={MESSAGE}")), "OK\t1\tuser=bob\tnologin\treason=Suspended\n"),
        (POSTFIX, from_mta(1), "FAIL\t1\tcode=user_disabled\treason=Suspended\n"),
    ] {
        let mut talk = Talk::with(client);
        talk.says(&auth);
        talk.login();
        talk.session.reply(1, disabled.clone());
        talk.hears(expected);
    }
}

#[test]
fn what_is_decided_is_written_before_the_connection_closes() {
    let mut talk = Talk::with(POSTFIX);
    for id in 1..=2 {
        talk.says(&from_mta(id));
        talk.login();
    }
    talk.says(&auth(3, &format!("resp={MESSAGE}")));
    talk.login();
    talk.says(&auth(4, "secured"));
    talk.says(&auth(5, &format!("resp={MESSAGE}")));
    talk.session.output().clear();
    talk.session.reply(2, accept("ann"));
    talk.session.reply(1, Reply::TryLater);
    talk.hears("OK\t2\tuser=ann\nFAIL\t3\tcode=temp_fail\nFAIL\t4\tcode=temp_fail\nFAIL\t5\tcode=temp_fail\n");
    assert!(talk.session.hangs_up());
    assert!(talk.session.next_event().is_none());
    talk.session.reply(3, accept("ann"));
    talk.says(&auth(6, "secured"));
    talk.hears("");
}

#[test]
fn a_drained_session_says_not_now_and_hangs_up() {
    let mut talk = Talk::with(DOVECOT);
    talk.says(&auth(1, &format!("resp={MESSAGE}")));
    talk.session.close();
    talk.session.close();
    talk.hears("FAIL\t1\tcode=temp_fail\n");
    assert!(talk.session.hangs_up());
}

#[test]
fn a_broken_line_ends_the_session_but_refuses_nobody() {
    let duplicate = auth(1, &format!("resp={MESSAGE}"));
    for (broken, expected) in [
        ("HELO\n", "unknown command HELO"),
        ("\n", "unknown command an empty line"),
        ("CPID\t41\n", "unknown command CPID"),
        (duplicate.as_str(), "AUTH uses 1 again while it is open"),
        ("AUTH\t0\tPLAIN\tservice=imap\n", "bad AUTH: a number that is not 0 must follow"),
        ("AUTH\t2\tPLAIN\n", "bad AUTH: the service is missing"),
    ] {
        let mut talk = Talk::with(DOVECOT);
        talk.says(&auth(1, &format!("resp={MESSAGE}")));
        talk.login();
        assert_eq!(talk.breaks_off(broken).to_string(), expected);
        talk.hears("FAIL\t1\tcode=temp_fail\n");
        assert!(talk.session.hangs_up());
    }
}

#[test]
fn the_handshake_comes_first_and_once() {
    for broken in ["CPID\t41\n", "VERSION\t2\t0\n", "VERSION\t1\t2\nAUTH\t1\tPLAIN\n", "VERSION\t1\t2\nCPID\t0\n", "\n"]
    {
        let mut session = ClientSession::new(Handshake { server_pid: 7, connection: 1, cookie: Cookie::new([0; 16]) });
        assert!(session.receive(broken.as_bytes(), Instant::now()).is_err(), "{broken:?}");
        assert!(session.hangs_up());
    }
}

#[test]
fn a_line_longer_than_dovecots_limit_ends_the_session() {
    let mut talk = Talk::with(DOVECOT);
    let most = 16_384 - "CONT\t1\t".len();
    talk.says(&format!("CONT\t1\t{}\n", "x".repeat(most)));
    let error = talk.breaks_off(&format!("CONT\t1\t{}\n", "x".repeat(most + 1)));
    assert_eq!(error.to_string(), "a line is longer than 16384 bytes");
}

#[test]
fn a_crowd_waits_and_nobody_is_lost() {
    let mut talk = Talk::with(DOVECOT);
    let total = u32::try_from(ClientSession::MAX_HANDED_OUT).unwrap_or(u32::MAX) + 2;
    for id in 1..=total {
        talk.says(&auth(id, &format!("resp={MESSAGE}")));
    }
    for id in 1..=total - 2 {
        assert_eq!(talk.login().id, id);
    }
    assert!(talk.session.next_event().is_none());
    assert!(!talk.session.wants_input());
    talk.session.reply(5, refuse());
    assert_eq!(talk.login().id, total - 1);
    talk.says("CANCEL\t6\n");
    assert!(matches!(talk.session.next_event(), Some(ClientEvent::Cancel { id: 6 })), "it passes the waiting login");
    assert!(talk.session.next_event().is_none(), "work goes on for what was cancelled");
    talk.session.reply(6, accept("ann"));
    assert_eq!(talk.login().id, total);
    assert!(talk.session.wants_input());
}

#[test]
fn a_client_that_is_fed_past_all_bounds_is_dropped() {
    let mut talk = Talk::with(DOVECOT);
    let lines: String = (1..=9000).map(|id| format!("CANCEL\t{id}\n")).collect();
    assert_eq!(talk.breaks_off(&lines).to_string(), "more than 8192 requests at once");
}

#[test]
fn the_oldest_of_too_many_dialogues_makes_room() {
    let mut talk = Talk::with(POSTFIX);
    let total = u32::try_from(ClientSession::MAX_DIALOGUES).unwrap_or(u32::MAX) + 1;
    for id in 1..=total {
        talk.now += Duration::from_millis(1);
        talk.says(&format!("AUTH\t{id}\tLOGIN\tservice=smtp\tnologin\n"));
    }
    assert_eq!(talk.session.open(), ClientSession::MAX_DIALOGUES);
    talk.session.output().clear();
    talk.says("CONT\t1\tYm9i\nCONT\t2\tYm9i\n");
    talk.hears("FAIL\t1\treason=Authentication request timed out\nCONT\t2\tUGFzc3dvcmQ6\n");
}

#[test]
fn a_client_that_does_not_read_is_not_read_from() {
    let mut talk = Talk::with(DOVECOT);
    while talk.session.wants_input() {
        talk.says("CONT\t9\tAA==\n");
    }
    assert!(talk.session.output().len() < 52 * 1024);
    talk.session.output().clear();
    assert!(talk.session.wants_input());
}

#[test]
fn refusals_carry_their_reason() {
    let mut talk = Talk::with(DOVECOT);
    talk.says(&auth(1, &format!("resp={MESSAGE}")));
    talk.login();
    talk.session.reply(
        1,
        Reply::Refuse {
            user: Some("ann".to_owned()),
            code: Some(FailCode::PassExpired),
            reason: Some("Change it".to_owned()),
        },
    );
    talk.hears("FAIL\t1\tuser=ann\tcode=pass_expired\treason=Change it\n");
}

#[test]
fn dovecot_2_4_is_known_by_its_minor() {
    assert!(Talk::with(DOVECOT_2_4_1).session.dovecot_24());
    assert!(Talk::with(DOVECOT_2_4_4).session.dovecot_24());
    assert!(!Talk::with(DOVECOT).session.dovecot_24());
}
