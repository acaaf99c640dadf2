//! A new password, set in Debian's real Roundcube by a person with a browser, with each driver of its password plugin.

use gatepost_harness::chromium::Chromium;
use gatepost_harness::client::{Door, Heard, deliver};
use gatepost_harness::dovecot::{Answerer, Version};
use gatepost_harness::mailhost::{ALICE, MailHost};
use gatepost_harness::roundcube::{Driver, Plugin, Roundcube};

const NEW: &str = r#"Grüße "an" a1"#;
const WITHOUT_DIGIT_OR_CAPITAL: &str = "long but all letters";
const SUBJECT: &str = "Still here";
const SESSION_ENDED: &str = "Your session is invalid or expired.";

#[test]
fn password_is_changed_by_httpapi() {
    let mut host = MailHost::start(Version::V2_3, Answerer::Gatepost);
    let driver = Driver::HttpApi(host.gatepost().http);
    change_it(&host, driver, "Could not save new password.");
}

#[test]
fn password_is_changed_by_poppassd() {
    let mut host = MailHost::start(Version::V2_4, Answerer::Gatepost);
    let driver = Driver::Poppassd(host.gatepost().poppassd);
    let reasons = "Choose another password: add an upper-case letter; add a digit.";
    change_it(&host, driver, &format!("Could not save new password. {reasons}"));
}

#[test]
fn web_session_ends_when_the_password_is_changed_elsewhere() {
    let mut host = MailHost::start(Version::V2_3, Answerer::Gatepost);
    deliver_a_mail(&host);
    let gatepost = host.gatepost();
    let token = gatepost.must(&["token", "add", "roundcube", "--role", "webmail"], "");
    let plugin = Plugin { gatepost: gatepost.http, token: token.lines().next().unwrap_or_default() };
    let driver = Driver::Poppassd(gatepost.poppassd);
    let roundcube = Roundcube::start(host.directory.path(), &host.dovecot, driver, Some(plugin));
    let [here, elsewhere] = ["here", "elsewhere"].map(|name| Chromium::start(&host.directory.path().join(name)));
    for browser in [&here, &elsewhere] {
        roundcube.log_in(browser, ALICE.user, ALICE.password);
        assert_eq!(roundcube.read_mail(browser, SUBJECT), "Some words.");
    }

    // By a user in another browser: that one stays logged in.
    assert_eq!(roundcube.change_password(&elsewhere, ALICE.password, NEW), "Successfully saved.");
    assert_eq!(roundcube.read_mail(&elsewhere, SUBJECT), "Some words.");
    here.click("#taskmenu a.mail");
    assert_eq!(roundcube.message(&here), SESSION_ENDED);

    // By an admin.
    roundcube.log_in(&here, ALICE.user, NEW);
    assert_eq!(roundcube.read_mail(&here, SUBJECT), "Some words.");
    host.gatepost().must(&["logout", ALICE.user], "");
    for browser in [&here, &elsewhere] {
        browser.click("#taskmenu a.mail");
        assert_eq!(roundcube.message(browser), SESSION_ENDED);
    }
    roundcube.log_in(&here, ALICE.user, NEW);
    assert_eq!(roundcube.read_mail(&here, SUBJECT), "Some words.");
}

/// What a person goes through; `weak` is what the page says of a password that misses the policy.
fn change_it(host: &MailHost, driver: Driver, weak: &str) {
    let directory = host.directory.path();
    deliver_a_mail(host);
    let roundcube = Roundcube::start(directory, &host.dovecot, driver, None);
    let browser = Chromium::start(directory);

    roundcube.log_in(&browser, ALICE.user, ALICE.password);
    assert_eq!(roundcube.read_mail(&browser, SUBJECT), "Some words.");

    assert_eq!(roundcube.change_password(&browser, ALICE.password, WITHOUT_DIGIT_OR_CAPITAL), weak);
    let message = roundcube.change_password(&browser, "Wrong-w9", NEW);
    assert_eq!(message, "Current password incorrect.");
    assert_eq!(log_in(host, ALICE.password), Heard::Welcome);

    let message = roundcube.change_password(&browser, ALICE.password, NEW);
    assert_eq!(message, "Successfully saved.");
    assert_eq!(log_in(host, NEW), Heard::Welcome);
    assert_eq!(log_in(host, ALICE.password), Heard::No(Door::ImapLogin.refusal().to_owned()));
    // With the password that its session holds now.
    assert_eq!(roundcube.read_mail(&browser, SUBJECT), "Some words.");

    roundcube.log_out(&browser);
    roundcube.log_in(&browser, ALICE.user, ALICE.password);
    assert_eq!(roundcube.message(&browser), "Login failed.");
    roundcube.log_in(&browser, ALICE.user, NEW);
    assert_eq!(roundcube.read_mail(&browser, SUBJECT), "Some words.");
}

fn deliver_a_mail(host: &MailHost) {
    let message = format!("Subject: {SUBJECT}\r\n\r\nSome words.");
    let delivered = deliver(host.dovecot.addresses.lmtp, &[ALICE.user], &message);
    assert!(delivered.iter().all(|line| line.starts_with("250 ")), "{delivered:?}");
}

fn log_in(host: &MailHost, password: &str) -> Heard {
    Door::ImapLogin.log_in(&host.dovecot, ALICE.user, password)
}
