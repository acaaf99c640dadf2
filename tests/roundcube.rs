//! A new password, set in Debian's real Roundcube by a person with a browser, with each driver of its password plugin.

use gatepost_harness::chromium::Chromium;
use gatepost_harness::client::{Door, Heard, deliver};
use gatepost_harness::dovecot::{Answerer, Version};
use gatepost_harness::mailhost::{ALICE, MailHost};
use gatepost_harness::roundcube::{Driver, Roundcube};

const NEW: &str = r#"Grüße "an" a1"#;
const WITHOUT_DIGIT_OR_CAPITAL: &str = "long but all letters";
const SUBJECT: &str = "Still here";

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

/// What a person goes through; `weak` is what the page says of a password that misses the policy.
fn change_it(host: &MailHost, driver: Driver, weak: &str) {
    let directory = host.directory.path();
    let message = format!("Subject: {SUBJECT}\r\n\r\nSome words.");
    let delivered = deliver(host.dovecot.addresses.lmtp, &[ALICE.user], &message);
    assert!(delivered.iter().all(|line| line.starts_with("250 ")), "{delivered:?}");
    let roundcube = Roundcube::start(directory, &host.dovecot, driver);
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
    assert_eq!(browser.text("#messagestack > div"), "Login failed.");
    roundcube.log_in(&browser, ALICE.user, NEW);
    assert_eq!(roundcube.read_mail(&browser, SUBJECT), "Some words.");
}

fn log_in(host: &MailHost, password: &str) -> Heard {
    Door::ImapLogin.log_in(&host.dovecot, ALICE.user, password)
}
